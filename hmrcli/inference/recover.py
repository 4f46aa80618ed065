"""Many images, one after another, into files: what is done stays done, whatever becomes of the others."""

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hmrcli.camera import Camera
from hmrcli.camera.calibration import Calibration
from hmrcli.errors import UsageError
from hmrcli.files import sha256
from hmrcli.inference.exif import focal_of_film
from hmrcli.inference.images import Picture, read_picture
from hmrcli.inference.inputs import output_stems
from hmrcli.inference.task import Task

if TYPE_CHECKING:
    from hmrcli.export.bvh import BvhNames
    from hmrcli.inference.predictor import Predictor

BATCH, BATCH_BYTES = 8, 100_000_000
"""Images whose people go through a trained network together, at most, and their bytes: seconds of work."""

Box = tuple[float, float, float, float]


class Asked(NamedTuple):
    """Requests of a user, the same for every image."""

    saves: Collection[str]
    """Of `overlay`, `mesh`, `npz`, `json`, `amass`, `bvh`, `openpose`, `coco`."""
    mesh_format: str = "glb"
    bvh_names: "BvhNames" = "smpl"
    correctives: bool = False
    """True for pose correctives in animated glb files."""
    boxes: list[Box] | None = None
    """x, y, width, height of people, pixels; None to find them."""
    bbox_scale: float | None = None
    """None for the usual one."""
    max_people: int | None = None
    focal: tuple[str, float] | None = None
    """`px` or `mm` (on 35 mm film) and the length; None for EXIF's."""
    calibration: Calibration | None = None
    """Of the camera of every image, in place of a focal length."""
    resume: bool = False
    """True to skip images whose files are there, of the same settings."""


class Result(NamedTuple):
    """Result for one image."""

    path: Path
    target: Path
    """Folder and stem of its files."""
    entry: dict[str, Any] = {}  # noqa: RUF012 (never changed)
    """Of the JSON document; empty where there is an error."""
    error: Exception | None = None
    notes: tuple[str, ...] = ()
    skipped: bool = False
    """True where the files were there before."""


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
    waiting: list[Task] = []
    for path, target in zip(paths, output_stems(paths, out)):
        try:
            picture = read_picture(path)
            camera = camera_of(picture.camera, asked, picture.orientation)
            settings = _settings(path, picture, camera, asked)
        except UsageError:
            raise
        except Exception as error:
            yield Result(path, target, error=error)
            continue
        from hmrcli.export.write import prepare
        from hmrcli.inference.save import saved_entry

        loaded = predictor()
        prepare(loaded.body, asked.saves)
        job = Task(path, target, picture, camera, settings)
        if asked.resume and (
            entry := saved_entry(job, loaded, asked.saves, asked.mesh_format, asked.bvh_names)
        ):
            yield Result(path, target, entry, skipped=True)
            continue
        waiting.append(job)
        enough = sum(one.picture.pixels.size for one in waiting) > BATCH_BYTES or len(waiting) == BATCH
        if loaded.recipe is None or enough:  # a fit gains nothing from company
            yield from _finish(waiting, loaded, asked)
            waiting = []
    if waiting:
        yield from _finish(waiting, predictor(), asked)


def _finish(batch: list[Task], predictor: "Predictor", asked: Asked) -> Iterator[Result]:
    """Recovers the people of some images and writes their files."""
    from hmrcli.inference.save import save_image

    boxes = None if asked.boxes is None else [asked.boxes] * len(batch)
    pixels, cameras = [job.picture.pixels for job in batch], [job.camera for job in batch]
    try:
        found = predictor.many(pixels, boxes, asked.max_people, cameras)
    except UsageError:
        raise
    except Exception as error:
        if len(batch) == 1:
            yield Result(batch[0].path, batch[0].target, error=error)
        else:  # the one that is wrong is not known
            for job in batch:
                yield from _finish([job], predictor, asked)
        return
    for job, people in zip(batch, found):
        notes = (*job.picture.notes, *(f"{job.path}: {text}" for text in people.notes))
        try:
            entry = save_image(job, people, predictor, asked.saves, asked.mesh_format, asked.bvh_names)
        except UsageError:
            raise
        except Exception as error:
            yield Result(job.path, job.target, error=error, notes=notes)
        else:
            yield Result(job.path, job.target, entry, notes=notes)


def camera_of(told: Camera, asked: Asked, orientation: int = 1) -> Camera:
    """Returns the camera of a picture or a clip: as asked for, else as the file tells.

    Args:
        told: by the file.
        asked: by the user.
        orientation: EXIF's 1 to 8, by which the pixels were turned.

    Raises:
        UsageError: no lens has such a focal length.
        BadInput: the calibration is that of other pictures.
    """
    width, height = told.width, told.height
    if asked.calibration is not None:
        return asked.calibration.camera(width, height, orientation)
    if asked.focal is None:
        return told
    unit, value = asked.focal
    length = value if unit == "px" else focal_of_film(value, width, height)
    if not 0.1 < length / math.hypot(width, height) < 100:
        raise UsageError(f"--focal: {length:.0f} pixels do not suit a picture of {width}x{height}")
    return Camera.of_focal_length(length, width, height)


def _settings(path: Path, picture: Picture, camera: Camera, asked: Asked) -> dict[str, Any]:
    """Gathers what the result of an image depends on, beside the predictor."""
    if asked.boxes is not None:
        from hmrcli.inference.photo import checked_boxes

        checked_boxes(asked.boxes, camera.width, camera.height)
    return {
        "image_sha256": sha256(path),
        "camera": camera.as_json(),
        "boxes": asked.boxes,
        "bbox_scale": asked.bbox_scale,
        "max_people": asked.max_people,
    }
