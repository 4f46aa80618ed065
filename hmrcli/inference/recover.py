"""Many images, one after another, into files: what is done stays done, whatever becomes of the others."""

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hmrcli.errors import UsageError
from hmrcli.files import sha256
from hmrcli.inference.images import Picture, focal_of_film, read_picture, targets

if TYPE_CHECKING:
    from hmrcli.inference.predictor import Predictor

BATCH, BATCH_BYTES = 8, 100_000_000
"""Images whose people go through a trained network together, at most, and their bytes: seconds of work."""

Box = tuple[float, float, float, float]


class Asked(NamedTuple):
    """What a user wants of every image.

    Attributes:
        saves: of `overlay`, `mesh`, `npz`, `json`.
        mesh_format: suffix of mesh files.
        boxes: x, y, width, height of people, pixels; None to find them.
        bbox_scale: None for the usual one.
        max_people: None for all.
        focal: `px` or `mm` (on 35 mm film) and the length; None for EXIF's.
        resume: whether images are skipped whose files are there, of the same settings.
    """

    saves: Collection[str]
    mesh_format: str
    boxes: list[Box] | None
    bbox_scale: float | None
    max_people: int | None
    focal: tuple[str, float] | None
    resume: bool


class Result(NamedTuple):
    """What became of one image.

    Attributes:
        path: of the image.
        target: folder and stem of its files.
        entry: of the JSON document; empty where there is an error.
        error: why there is no entry.
        notes: what a person should know.
        skipped: whether the files were there before.
    """

    path: Path
    target: Path
    entry: dict[str, Any] = {}  # noqa: RUF012 (never changed)
    error: Exception | None = None
    notes: tuple[str, ...] = ()
    skipped: bool = False


class _Read(NamedTuple):
    path: Path
    target: Path
    picture: Picture
    settings: dict[str, Any]


def recover_images(
    paths: Sequence[Path], out: Path, predictor: Callable[[], "Predictor"], asked: Asked
) -> Iterator[Result]:
    """Writes the files of each image; tells of it as soon as they are written.

    Args:
        paths: of the images.
        out: folder of the files.
        predictor: gives it; called when the first image has been read, so that bad inputs are known before.
        asked: for every image.

    Raises:
        UsageError: a box or a focal length does not suit an image.
    """
    waiting: list[_Read] = []
    for path, target in zip(paths, targets(paths, out)):
        try:
            picture = read_picture(path)
            settings = _settings(path, picture, asked)
            if asked.boxes is not None:
                from hmrcli.inference.predictor import checked_boxes

                checked_boxes(asked.boxes, picture.pixels)
        except UsageError:
            raise
        except Exception as error:
            yield Result(path, target, error=error)
            continue
        loaded = predictor()
        if asked.resume and (entry := _saved(target, loaded, settings, asked)):
            yield Result(path, target, entry | {"path": str(path)}, skipped=True)
            continue
        waiting.append(_Read(path, target, picture, settings))
        enough = sum(one.picture.pixels.size for one in waiting) > BATCH_BYTES or len(waiting) == BATCH
        if loaded.recipe is None or enough:  # a fit gains nothing from company
            yield from _finish(waiting, loaded, asked)
            waiting = []
    if waiting:
        yield from _finish(waiting, predictor(), asked)


def _finish(batch: list[_Read], predictor: "Predictor", asked: Asked) -> Iterator[Result]:
    """Recovers the people of some images and writes their files."""
    from hmrcli.inference.save import save_image

    boxes = None if asked.boxes is None else [asked.boxes] * len(batch)
    pixels = [one.picture.pixels for one in batch]
    focal_lengths = [one.settings["focal_length"] for one in batch]
    try:
        found = predictor.many(pixels, boxes, asked.max_people, focal_lengths)
    except UsageError:
        raise
    except Exception as error:
        if len(batch) == 1:
            yield Result(batch[0].path, batch[0].target, error=error)
        else:  # the one that is wrong is not known
            for one in batch:
                yield from _finish([one], predictor, asked)
        return
    for (path, target, picture, settings), people in zip(batch, found):
        notes = (*picture.notes, *(f"{path}: {text}" for text in people.notes))
        try:
            entry = save_image(
                path, picture.pixels, people, predictor, target, asked.saves, asked.mesh_format,
                focal_source=settings["focal_source"], settings=settings,
            )  # fmt: skip
        except Exception as error:
            yield Result(path, target, error=error, notes=notes)
        else:
            yield Result(path, target, entry, notes=notes)


def _saved(
    target: Path, predictor: "Predictor", settings: dict[str, Any], asked: Asked
) -> dict[str, Any] | None:
    from hmrcli.inference.save import saved_entry

    return saved_entry(target, predictor, settings, asked.saves, asked.mesh_format)


def _settings(path: Path, picture: Picture, asked: Asked) -> dict[str, Any]:
    """What the result of an image depends on, beside the predictor."""
    height, width = picture.pixels.shape[:2]
    length, source = picture.focal_length, "diagonal" if picture.focal_length is None else "exif"
    if asked.focal is not None:
        unit, value = asked.focal
        length, source = value if unit == "px" else focal_of_film(value, width, height), "given"
        if not 0.1 < length / math.hypot(width, height) < 100:
            raise UsageError(f"--focal: {length:.0f} pixels do not suit {path} of {width}x{height}")
    return {
        "image_sha256": sha256(path),
        "focal_length": length,
        "focal_source": source,
        "boxes": asked.boxes,
        "bbox_scale": asked.bbox_scale,
        "max_people": asked.max_people,
    }
