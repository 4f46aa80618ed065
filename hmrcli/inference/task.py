"""What is asked of every image, one image of many, and what came of it."""

import math
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hmrcli.camera import Camera
from hmrcli.camera.calibration import Calibration
from hmrcli.errors import UsageError
from hmrcli.files import sha256
from hmrcli.inference.exif import focal_of_film
from hmrcli.inference.images import Picture

if TYPE_CHECKING:
    from hmrcli.export.bvh import BvhNames


class Asked(NamedTuple):
    """Requests of a user, the same for every image."""

    saves: Collection[str]
    """Of `overlay`, `mesh`, `npz`, `json`, `amass`, `bvh`, `openpose`, `coco`."""
    mesh_format: str = "glb"
    bvh_names: "BvhNames" = "smpl"
    correctives: bool = False
    """True for pose correctives in animated glb files."""
    boxes: list[tuple[float, float, float, float]] | None = None
    """x, y, width, height of people, pixels; None to find them."""
    bbox_scale: float | None = None
    """None for the usual one."""
    max_people: int | None = None
    focal: tuple[str, float] | None = None
    """`px` or `mm` (on 35 mm film) and the length; None for EXIF's."""
    calibration: Calibration | None = None
    """Of the camera of every image, in place of a focal length."""
    network: bool = False
    """True for a trained network's bodies, which takes given boxes as they are."""
    resume: bool = False
    """True to skip images whose files are there, of the same settings."""


class Task(NamedTuple):
    """An image and where its files go."""

    path: Path
    """Of the image, as the user named it."""
    target: Path
    """Folder and stem of the files: `target_overlay.png`, `target_0.glb`, `target_0.npz`, `target.json`."""
    picture: Picture
    camera: Camera
    settings: dict[str, Any]
    """Settings that results depend on beside the predictor, kept in the document."""


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


def camera_of(told: Camera, asked: Asked, orientation: int = 1) -> Camera:
    """Returns the camera of a picture or a clip: as asked for, else as told by the file.

    The pixels were turned by EXIF's `orientation`, 1 to 8.

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


def settings_of(path: Path, camera: Camera, asked: Asked) -> dict[str, Any]:
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
