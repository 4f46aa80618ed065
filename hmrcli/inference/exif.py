"""Facts that cameras write beside a picture: which way up it is, and their focal length."""

import math
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from PIL.Image import Image

ORIENTATION = 0x0112
FILM_DIAGONAL = math.hypot(36, 24)
"""Millimetres of the film that focal lengths "equivalent on 35 mm" speak of, by their angle along the diagonal."""
SENSORS = (1.0, 5 / 4, 4 / 3, 3 / 2, 16 / 9)
"""Proportions of cameras' photos."""


class Exif(NamedTuple):
    """`orientation` is EXIF's 1 to 8; `focal_length` in pixels, None where it is not known."""

    orientation: int = 1
    focal_length: float | None = None


def read_exif(picture: "Image") -> Exif:
    """Reads EXIF; the defaults where it is unreadable."""
    try:
        exif = picture.getexif()
        return Exif(exif.get(ORIENTATION, 1), _focal_length(exif.get_ifd(0x8769), *picture.size))
    except Exception:  # as many kinds as decoders have
        return Exif()


def _focal_length(details: dict[int, Any], width: int, height: int) -> float | None:
    """Returns pixels, by the equivalent on 35 mm film, or by the focal length and the resolution of the sensor.

    None where EXIF speaks of a picture of other proportions, from which this one was cut; or of a sensor, and the
    proportions are those of none.
    """
    full = [float(details.get(tag) or 0) for tag in (0xA002, 0xA003)]  # pixels that the camera wrote
    proportions = max(width, height) / min(width, height)
    known = [max(full) / min(full)] if min(full) > 0 else SENSORS if 0xA20E in details else [proportions]
    if not any(0.98 < proportions / one < 1.02 for one in known):
        return None
    equivalent = float(details.get(0xA405) or 0)
    unit = {2: 25.4, 3: 10.0, 4: 1.0}.get(details.get(0xA210, 2))  # millimetres
    if not equivalent and unit and min(full) > 0:
        on_sensor = float(details.get(0x920A) or 0) * float(details.get(0xA20E) or 0) / unit
        equivalent = on_sensor / math.hypot(*full) * FILM_DIAGONAL
    return focal_of_film(equivalent, width, height) if 5 <= equivalent <= 3000 else None


def focal_of_film(millimetres: float, width: int, height: int) -> float:
    """Returns a focal length in pixels, of the equivalent on 35 mm film."""
    return millimetres / FILM_DIAGONAL * math.hypot(width, height)
