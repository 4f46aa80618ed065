"""Cameras that were calibrated, brought to a picture's size."""

from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hmrcli.camera.camera import Camera
from hmrcli.camera.distortion import limit
from hmrcli.errors import BadInput

_BLOCK = 16
"""Pixels to which video codecs fill up a picture."""
_FAR_OFF = 0.2
"""Share of a picture's side by which its principal point lies off the middle at most, where its size is not known."""
TURNS = {1: 0, 3: 2, 6: 1, 8: 3}
"""Quarters by which pictures are turned clockwise to be shown, by EXIF's orientation; others are mirrored."""


class Calibration(NamedTuple):
    """One camera of a calibration file, as it stands there; pixels."""

    path: Path
    name: str
    focal_lengths: tuple[float, float]
    """Along x and y."""
    principal_point: tuple[float, float]
    size: tuple[int, int] | None
    """Width and height; None where the file does not tell."""
    distortion: tuple[float, ...]
    """OpenCV's coefficients; none for a pinhole."""

    def camera(self, width: int, height: int, orientation: int = 1) -> Camera:
        """Returns the camera of a picture of some size, as it is shown.

        A picture of the calibrated proportions may have any size, and one that lacks or has a part of a video codec's
        block of 16 pixels, at the right or below, has the same camera. One that is shown upright while the camera was
        calibrated lying, as EXIF's `orientation` says, has the camera turned with it.

        Raises:
            BadInput: the picture's proportions are others, or the calibration cannot be that of such a picture.
        """
        about, calibrated = f"{self.path}: camera {self.name}", self.size or (width, height)
        focal_x, focal_y = self.focal_lengths
        along_y = None if focal_x == focal_y else focal_y
        camera = Camera(focal_x, self.principal_point, *calibrated, "given", along_y, self.distortion)
        turns = TURNS.get(orientation, 0)
        if turns % 2 and not camera.suits(width, height):
            camera = camera.turned(turns)
        if max(abs(camera.width - width), abs(camera.height - height)) < _BLOCK:
            camera = replace(camera, width=width, height=height)
        if not camera.suits(width, height):
            raise BadInput(
                f"{about} was calibrated at {calibrated[0]}x{calibrated[1]} pixels, the picture has {width}x{height}: "
                "other proportions; give one that is neither cut nor turned, or --focal instead of --calib"
            )
        camera = camera.resized(width, height)
        off = np.abs(np.array(camera.principal_point) / (width, height) - 0.5).max()
        if off > (1.5 if self.size else _FAR_OFF):
            unsuited = "does not suit it; add image_width, image_height"
            why = "lies far from the picture" if self.size else unsuited
            point = _text(camera.principal_point)
            raise BadInput(f"{about}: principal point {point} in {width}x{height} {why}")
        if not 0.1 < camera.focal_length / np.hypot(width, height) < 100:
            raise BadInput(f"{about}: focal length {camera.focal_length:.1f} does not suit {width}x{height}")
        _check_distortion(camera, about)
        return camera


def _check_distortion(camera: Camera, about: str) -> None:
    """Refuses coefficients that fold the picture before its border, which no lens does."""
    if not camera.distortion:
        return
    width, height = camera.width, camera.height
    (center_x, center_y), focal = camera.principal_point, camera.focal_length
    border = np.array([(0, center_y), (width, center_y), (center_x, 0), (center_x, height)])
    flat: NDArray[Any] = (camera.undistorted(border) - camera.principal_point) / focal
    if not np.linalg.norm(flat, axis=1).max() < limit(camera.distortion):
        raise BadInput(
            f"{about}: distortion {_text(camera.distortion)} folds the picture within its border; "
            "expected OpenCV's order k1, k2, p1, p2, k3, of a lens that is no fisheye"
        )


def _text(numbers: tuple[float, ...]) -> str:
    return ", ".join(f"{number:.6g}" for number in numbers)
