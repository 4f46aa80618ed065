"""The image sets of a recipe, opened: annotations and the images that they name."""

import os
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hmrcli.assets.data_root import ANNOTATIONS, FITS, IMAGES
from hmrcli.assets.open_sets import OPEN_SETS
from hmrcli.data.annotation_files import read_annotations
from hmrcli.data.annotations import Annotations
from hmrcli.data.body_parameters import read_fits, read_poses
from hmrcli.data.compact import COMPACT_SUFFIX, read_compact, write_compact
from hmrcli.data.crop_cache import (
    CropCache,
    StoredCrop,
    cache_folder,
    cache_settings,
    open_cache,
    whole_photo,
)
from hmrcli.data.images import missing_images, read_bgr
from hmrcli.data.label_checks import check_set, refuse_without_labels
from hmrcli.data.mixture import generator
from hmrcli.data.needed import kept_sets, locate, needed_files, require
from hmrcli.errors import BadInput, MissingFile
from hmrcli.recipe import Recipe


@dataclass(frozen=True, eq=False)
class Bodies:
    """Poses and shapes of N bodies."""

    pose: NDArray[np.float32]
    """(N, 72) axis-angle, radians."""
    betas: NDArray[np.float32]
    """(N, 10)"""

    def __len__(self) -> int:
        return len(self.pose)

    def draw(self, seed: int, step: int, count: int) -> "Bodies":
        """Some of them, each drawn anew from all: the real examples of a step of the run."""
        rows = generator("poses", seed, step).integers(0, len(self), count)
        return Bodies(self.pose[rows], self.betas[rows])


class LabelledImage(NamedTuple):
    """A row of a set."""

    image: StoredCrop
    """The photo, or what a cache has of it."""
    bbox_xywh: NDArray[np.float32]
    """(4,) pixels, padded as the annotations are."""
    labels: dict[str, Any]
    """As `Annotations.labels`, without their first axis."""


@dataclass(frozen=True, eq=False)
class ImageSet:
    """A set of the mixture."""

    name: str
    annotations: Annotations
    folder: Path
    """Of the images."""
    fits: Bodies | None = None
    """SPIN: bodies of all rows in the full image, where fitting in the loop starts."""
    cache: CropCache | None = None
    """Read in place of the images."""

    def __len__(self) -> int:
        return len(self.annotations)

    def image(self, row: int) -> Path:
        """Path of a row's image."""
        return self.folder / str(self.annotations.image_path[row])

    def read(self, row: int) -> LabelledImage:
        """Reads a row.

        Raises:
            BadInput: the image is missing or cannot be decoded.
        """
        labels = {name: each[0] for name, each in self.annotations.labels(slice(row, row + 1)).items()}
        image = whole_photo(read_bgr(self.image(row))) if self.cache is None else self.cache.read(row)
        return LabelledImage(image, self.annotations.bbox_xywh[row], labels)


def load_sets(
    recipe: Recipe,
    root: Path,
    without: Collection[str] = (),
    say: Callable[[str], None] = lambda text: None,
    cached: bool = True,
) -> list[ImageSet]:
    """Opens the training sets of a recipe, in its order.

    Args:
        say: for notes to a person: which labels each set has, and what looks wrong in them.
        cached: read crops in place of images where `hmr data crops` has made them.

    Raises:
        MissingFile: files of the sets or images are missing; the message lists the files.
        BadInput: a file cannot be used, or has nothing to learn from.
        UsageError: as `needed.kept_sets`.
    """
    require(file for file in needed_files(recipe, root, without) if file.dataset)
    sets = []
    for name in kept_sets(recipe, without):
        dataset = recipe.data.mixture[name]
        path = locate(ANNOTATIONS, dataset.annotations, root)
        refuse_without_labels(recipe, name, path)
        annotations = open_annotations(path, recipe.data.joints, name)
        fits = None
        if dataset.fits is not None:
            stored = locate(FITS, dataset.fits, root)
            fits = Bodies(*read_fits(stored))
            if len(fits) != len(annotations):
                raise BadInput(
                    f"{stored}: expected {len(annotations)} rows as in {path}, the file has {len(fits)}; "
                    "obtain the fits that belong to these annotations"
                )
        if dataset.rows is not None:
            _require_rows(len(annotations), dataset.rows, path, f"data.mixture.{name}.rows")
            annotations = annotations[: dataset.rows]
            fits = fits and Bodies(fits.pose[: dataset.rows], fits.betas[: dataset.rows])
        images = ImageSet(name, annotations, root / IMAGES / name, fits)
        _look_for_images(images)
        check_set(recipe, name, annotations, path, images.folder, say)
        crops = cache_folder(root, name, path, cache_settings(recipe))
        if cached and (cache := open_cache(crops, path, len(images), images.image)):
            say(f"{name}: crops are read in place of the images, from {crops}")
            images = replace(images, cache=cache)
        sets.append(images)
    return sets


def load_real_bodies(recipe: Recipe, root: Path) -> Bodies | None:
    """Real poses and shapes for the adversary; None for recipes without.

    Raises:
        MissingFile, BadInput: as `body_parameters.read_poses`; or the file has fewer rows than the recipe wants.
    """
    if recipe.adversary is None:
        return None
    path, rows = locate(ANNOTATIONS, recipe.adversary.annotations, root), recipe.adversary.rows
    pose, betas = read_poses(path)
    if rows is not None:
        _require_rows(len(pose), rows, path, "adversary.rows")
    return Bodies(pose[:rows], betas[:rows])


def open_annotations(path: Path, joints: str, dataset: str) -> Annotations:
    """Annotations mapped from a compact file beside the original, which is made when absent or out of date.

    Compact files open at once, and processes share their memory. Where none can be written, the original is read.

    Raises:
        MissingFile, BadInput: as `read_annotations`.
    """
    if path.suffix == COMPACT_SUFFIX or not path.is_file():
        return read_annotations(path, joints, dataset)
    compact = path.with_name(f"{path.stem}.{joints}{COMPACT_SUFFIX}")
    made_from = path.stat().st_mtime_ns
    if compact.is_file() and compact.stat().st_mtime_ns == made_from:
        with suppress(BadInput):  # damaged, or of another version: made again below
            return read_annotations(compact, joints, dataset)
    annotations = read_annotations(path, joints, dataset)
    try:
        write_compact(compact, annotations)
        os.utime(compact, ns=(made_from, made_from))  # the mark of the original that it was made from
    except OSError:  # a folder that is not ours, or a full disk: as good, only slower
        return annotations
    return read_compact(compact, joints, dataset)


def _require_rows(found: int, wanted: int, path: Path, key: str) -> None:
    if found < wanted:
        advice = f"change {key}"
        if path.stem in OPEN_SETS:
            advice += f"; more are rendered by: hmr download {path.stem} --rows {wanted}"
        raise BadInput(f"{path}: expected the {wanted:,} rows of {key}, the file has {found:,}; {advice}")


def _look_for_images(images: ImageSet) -> None:
    paths = images.annotations.image_path
    if missing := missing_images(images.folder, paths):
        way = f"unpack the images of {images.name} in {images.folder}"
        if images.name in OPEN_SETS:
            way = f"remove {images.folder}, which makes hmr download {images.name} render them again"
        raise MissingFile(
            f"training set {images.name}: {len(missing)} of {len(np.unique(paths))} images are missing, first "
            f"{images.folder / missing[0]}; {way}, or train with --without {images.name}"
        )
