"""The camera of a picture or clip: as asked for, else as its file tells."""

import math

from hmrcli.camera import Camera
from hmrcli.camera.calibration import Calibration
from hmrcli.errors import UsageError
from hmrcli.inference.exif import focal_of_film


def chosen_camera(
    found: Camera,
    focal: tuple[str, float] | None = None,
    calibration: Calibration | None = None,
    orientation: int = 1,
) -> Camera:
    """Returns the camera that was asked for, of the size of the one that was found.

    Args:
        found: what the file tells: EXIF's, or by the diagonal.
        focal: `px` or `mm` (on 35 mm film) and the length.
        calibration: of the camera.
        orientation: EXIF's, by which the picture was turned.

    Raises:
        UsageError: no lens has such a focal length.
        BadInput: the calibration is that of other pictures.
    """
    width, height = found.width, found.height
    if calibration is not None:
        return calibration.camera(width, height, orientation)
    if focal is None:
        return found
    unit, value = focal
    length = value if unit == "px" else focal_of_film(value, width, height)
    if not 0.1 < length / math.hypot(width, height) < 100:
        raise UsageError(f"--focal: {length:.0f} pixels do not suit a picture of {width}x{height}")
    return Camera.of_focal_length(length, width, height)
