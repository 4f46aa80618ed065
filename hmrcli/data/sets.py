"""The image sets of a recipe, opened: from annotations and images, or rendered while training."""

import os
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from hmrcli.assets.data_root import ANNOTATIONS, FITS, IMAGES
from hmrcli.data.annotation_files import read_annotations
from hmrcli.data.annotations import Annotations
from hmrcli.data.body_parameters import read_fits, read_poses
from hmrcli.data.compact import COMPACT_SUFFIX, read_compact, write_compact
from hmrcli.data.images import missing_images, read_bgr
from hmrcli.data.label_checks import check_set, refuse_without_labels
from hmrcli.data.mixture import generator
from hmrcli.data.needed import kept_sets, locate, needed_files, require
from hmrcli.data.open_files import image_name, unfinished_folder
from hmrcli.errors import BadInput, MissingFile
from hmrcli.files import whole_file
from hmrcli.recipe import Recipe
from hmrcli.scenes.subjects import first_fits, labelled_bodies


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

    image: NDArray[np.uint8]
    """(H, W, 3) BGR, as OpenCV decodes."""
    bbox_xywh: NDArray[np.float32]
    """(4,) pixels, padded as the annotations are."""
    labels: dict[str, Any]
    """As `Annotations.labels`, without their first axis."""


class TrainingImages(Protocol):
    """A set of the mixture, wherever its images come from."""

    @property
    def name(self) -> str:
        """As the recipe calls it."""

    @property
    def fits(self) -> Bodies | None:
        """SPIN: bodies of all rows in the full image, where fitting in the loop starts."""

    def __len__(self) -> int: ...

    def image(self, row: int) -> Path:
        """Path of a row's image; of one that is rendered, where its file would be."""

    def read(self, row: int) -> LabelledImage:
        """A row.

        Raises:
            BadInput: the image is missing or cannot be decoded.
        """


@dataclass(frozen=True, eq=False)
class ImageSet:
    """A set of the mixture that is read from files."""

    name: str
    annotations: Annotations
    folder: Path
    """Of the images."""
    fits: Bodies | None = None
    """SPIN: bodies of all rows in the full image, where fitting in the loop starts."""

    def __len__(self) -> int:
        return len(self.annotations)

    def image(self, row: int) -> Path:
        """Path of a row's image."""
        return self.folder / str(self.annotations.image_path[row])

    def read(self, row: int) -> LabelledImage:
        """See `TrainingImages`."""
        return _labelled(read_bgr(self.image(row)), self.annotations, row)


@dataclass(frozen=True, eq=False)
class RenderedSet:
    """A part of the open data set, each row made when it is asked for the first time."""

    name: str
    rows: int
    joints: str
    """The set of the keypoints."""
    folder: Path
    """Of the images."""
    fits: Bodies | None = None
    """As those of `ImageSet`."""

    def __len__(self) -> int:
        return self.rows

    def image(self, row: int) -> Path:
        """Where a row's image is, once it was asked for."""
        return self.folder / image_name(row)

    def read(self, row: int) -> LabelledImage:
        """See `TrainingImages`. Rows are kept as files, since to render one takes longer than to learn from it."""
        labels = unfinished_folder(self.folder) / "rows" / f"{row:06d}.safetensors"
        if (
            not labels.is_file()
        ):  # to word what a missing file should have said takes longer than to render one
            return self._render(row, labels)
        try:
            annotations = read_compact(labels).select(self.joints, strict=False)
            return _labelled(read_bgr(self.image(row)), annotations, 0)
        except (MissingFile, BadInput):
            return self._render(row, labels)

    def _render(self, row: int, labels: Path) -> LabelledImage:
        from hmrcli.data.rendered import annotations_of
        from hmrcli.scenes.labels import render_sample

        sample = render_sample(self.name, row)
        annotations = annotations_of(self.name, [row], [sample])
        try:
            with whole_file(self.image(row)) as temporary:
                temporary.write_bytes(sample.jpeg)
            write_compact(labels, annotations)
        except OSError:  # a folder that is not ours, or a full disk: as good, only slower
            pass
        image = cv2.imdecode(np.frombuffer(sample.jpeg, np.uint8), cv2.IMREAD_COLOR)
        return _labelled(np.asarray(image, np.uint8), annotations.select(self.joints, strict=False), 0)


def _labelled(image: NDArray[np.uint8], annotations: Annotations, row: int) -> LabelledImage:
    labels = annotations.labels(slice(row, row + 1))
    values = {name: array[0] for name, array in labels.items()}
    return LabelledImage(image, annotations.bbox_xywh[row], values)


def load_sets(
    recipe: Recipe, root: Path, without: Collection[str] = (), say: Callable[[str], None] = lambda text: None
) -> list[TrainingImages]:
    """Opens the training sets of a recipe, in its order.

    Sets with a number of `rendered` rows whose annotations are not there are rendered while training. The first
    time, annotations are converted to compact files beside the originals, if that folder can be written
    to: later they open at once, and processes share their memory.

    Args:
        recipe: names the sets and the joints of their keypoints.
        root: the data root.
        without: names of sets to leave out.
        say: for notes to a person: which labels each set has, and what looks wrong in them.

    Raises:
        MissingFile: files of the sets or images are missing; the message lists the files.
        BadInput: a file cannot be used, or has nothing to learn from.
        UsageError: as `needed.kept_sets`.
    """
    require(file for file in needed_files(recipe, root, without) if file.dataset)
    sets: list[TrainingImages] = []
    for name in kept_sets(recipe, without):
        dataset = recipe.data.mixture[name]
        path = locate(ANNOTATIONS, dataset.annotations, root)
        if dataset.rendered is not None and not path.is_file():
            started = Bodies(*first_fits(name, dataset.rendered)) if dataset.fits is not None else None
            sets.append(
                RenderedSet(name, dataset.rendered, recipe.data.joints, root / IMAGES / name, started)
            )
            say(f"training set {name}: {dataset.rendered:,} rows, rendered while training")
            continue
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
        images = ImageSet(name, annotations, root / IMAGES / name, fits)
        _look_for_images(images)
        check_set(recipe, name, annotations, path, images.folder, say)
        sets.append(images)
    return sets


def load_real_bodies(recipe: Recipe, root: Path) -> Bodies | None:
    """Real poses and shapes for the adversary; None for recipes without.

    Raises:
        MissingFile, BadInput: as `smpl_fields.read_poses`.
    """
    if recipe.adversary is None:
        return None
    path, rendered = locate(ANNOTATIONS, recipe.adversary.annotations, root), recipe.adversary.rendered
    if rendered is not None and not path.is_file():
        return Bodies(*labelled_bodies(path.stem, rendered))
    return Bodies(*read_poses(path))


def open_annotations(path: Path, joints: str, dataset: str) -> Annotations:
    """Annotations mapped from a compact file beside the original, which is made when absent or out of date.

    Args:
        path: of any kind of annotation file.
        joints: the set of the keypoints.
        dataset: name of the data set.

    Raises:
        MissingFile, BadInput: as `read_annotations`.
    """
    if path.suffix == COMPACT_SUFFIX or not path.is_file():
        return read_annotations(path, joints, dataset)
    compact = path.with_name(f"{path.stem}.{joints}{COMPACT_SUFFIX}")
    made_from = path.stat().st_mtime_ns
    if compact.is_file() and compact.stat().st_mtime_ns == made_from:
        try:
            return read_annotations(compact, joints, dataset)
        except BadInput:  # damaged, or of another version: made again below
            pass
    annotations = read_annotations(path, joints, dataset)
    try:
        write_compact(compact, annotations)
        os.utime(compact, ns=(made_from, made_from))  # the mark of the original that it was made from
    except OSError:  # a folder that is not ours, or a full disk: as good, only slower
        return annotations
    return read_compact(compact, joints, dataset)


def _look_for_images(images: ImageSet) -> None:
    paths = images.annotations.image_path
    if missing := missing_images(images.folder, paths):
        raise MissingFile(
            f"training set {images.name}: {len(missing)} of {len(np.unique(paths))} images are missing, first "
            f"{images.folder / missing[0]}; unpack the images of {images.name} in {images.folder}, or train with "
            f"--without {images.name}"
        )
