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
_WIDTH, _HEIGHT = 0xA002, 0xA003
_FOCAL_LENGTH, _ON_FILM = 0x920A, 0xA405
_RESOLUTION, _RESOLUTION_UNIT = 0xA20E, 0xA210


class Exif(NamedTuple):
    """`orientation` is EXIF's 1 to 8; `focal_length` in pixels, None where it is not known; `notes` say why."""

    orientation: int = 1
    focal_length: float | None = None
    notes: tuple[str, ...] = ()


def read_exif(picture: "Image") -> Exif:
    """Reads EXIF; the defaults where it is unreadable."""
    try:
        exif = picture.getexif()
        return Exif(exif.get(ORIENTATION, 1), *_focal_length(exif.get_ifd(0x8769), *picture.size))
    except Exception:  # as many kinds as decoders have
        return Exif()


def _focal_length(details: dict[int, Any], width: int, height: int) -> tuple[float | None, tuple[str, ...]]:
    """Returns pixels, and notes, by the equivalent on 35 mm film, or by focal length and resolution of the sensor.

    Both speak of the picture that the camera wrote. One of the same proportions is that at another size. One that
    was cut keeps the focal length in pixels where a side is still as long; otherwise it may have been resized, too.
    Then all that is known is that a cut narrows the view: a lens that was long for the whole picture is taken for that
    of what is left, as it is at least as long; of a wide one nothing is known.
    """
    full = [float(details.get(tag) or 0) for tag in (_WIDTH, _HEIGHT)]  # pixels that the camera wrote
    known = min(full) > 0
    film = float(details.get(_ON_FILM) or 0)
    unit = {2: 25.4, 3: 10.0, 4: 1.0}.get(details.get(_RESOLUTION_UNIT, 2))  # millimetres
    if not film and unit and known:
        on_sensor = float(details.get(_FOCAL_LENGTH) or 0) * float(details.get(_RESOLUTION) or 0) / unit
        film = on_sensor / math.hypot(*full) * FILM_DIAGONAL
    if not 5 <= film <= 3000:
        return None, ()
    long, short = max(width, height), min(width, height)
    proportions = [max(full) / min(full)] if known else SENSORS
    if any(0.98 < long / short / one < 1.02 for one in proportions):
        return focal_of_film(film, width, height), ()
    if known and width <= full[0] and height <= full[1] and (width == full[0] or height == full[1]):
        note = f"was cut from {full[0]:g}x{full[1]:g} pixels; the lens is taken to point at the middle of what is left"
        return focal_of_film(film, *full), (note,)
    origin = f"a picture of {full[0]:g}x{full[1]:g}" if known else "another picture"
    if film < FILM_DIAGONAL:
        return None, (
            f"was cut from {origin}, so its EXIF does not tell its focal length; give it by --focal or --calib",
        )
    least = focal_of_film(film, width, height)
    return least, (
        f"was cut from {origin}: by its EXIF the focal length is {least:.0f} pixels or more, the former is taken; "
        "give it by --focal or --calib",
    )


def focal_of_film(millimetres: float, width: float, height: float) -> float:
    """Returns a focal length in pixels, of the equivalent on 35 mm film."""
    return millimetres / FILM_DIAGONAL * math.hypot(width, height)
