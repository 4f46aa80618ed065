"""A camera, and where it shows points."""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmrcli.camera import distortion

Array = NDArray[Any]
NEAR = 0.05
"""Metres: nearer points are not seen."""
_ROUNDING = 1.5
"""Pixels by which sizes of the same proportions differ at most."""


@dataclass(frozen=True)
class Camera:
    """A camera: x right, y down, z forward; pixels of the full image, the middle of which is (width / 2, height / 2).

    Bodies are fitted and placed under its pinhole: `focal_length` and `principal_point`, square pixels, no distortion.
    `seen` and `undistorted` lead from there to the picture and back.

    Attributes:
        focal_length: pixels, along x.
        principal_point: (x, y) pixels.
        width: of the image, pixels.
        height: likewise.
        source: of the focal length: `given`, `exif` or `diagonal`.
        focal_length_y: pixels, along y; None where pixels are square.
        distortion: OpenCV's coefficients (see `hmrcli.camera.distortion`); none for a pinhole.
    """

    focal_length: float
    principal_point: tuple[float, float]
    width: int
    height: int
    source: str = "diagonal"
    focal_length_y: float | None = None
    distortion: tuple[float, ...] = ()

    @classmethod
    def by_diagonal(cls, width: int, height: int) -> "Camera":
        """Returns the camera of a picture of which nothing is known: its diagonal is a usual lens (53 degrees)."""
        return cls(math.hypot(width, height), (width / 2, height / 2), width, height)

    @classmethod
    def of_focal_length(cls, focal_length: float, width: int, height: int, source: str = "given") -> "Camera":
        """Returns a pinhole camera that looks at the middle of its picture."""
        return cls(focal_length, (width / 2, height / 2), width, height, source)

    @property
    def matrix(self) -> Array:
        """K (3, 3), pixels."""
        center_x, center_y = self.principal_point
        focal_y = self.focal_length_y or self.focal_length
        return np.array([[self.focal_length, 0, center_x], [0, focal_y, center_y], [0, 0, 1]])

    @property
    def is_pinhole(self) -> bool:
        """Tells a camera that shows points where its `focal_length` and `principal_point` alone do."""
        return not self.distortion and self.focal_length_y in (None, self.focal_length)

    def seen(self, points: Array) -> Array:
        """Moves points (..., 3) to where they look the same to the pinhole, depth kept, metres."""
        if self.is_pinhole:
            return points
        depth = np.maximum(points[..., 2:], NEAR)
        scale = np.array([1.0, (self.focal_length_y or self.focal_length) / self.focal_length])
        flat = distortion.distort(np.asarray(points[..., :2] / depth, np.float64), self.distortion) * scale
        return np.concatenate([flat * depth, points[..., 2:]], -1)

    def project(self, points: Array) -> Array:
        """Projects points (..., 3) in metres to pixels (..., 2) of the picture; undefined behind the camera."""
        seen = self.seen(np.asarray(points, np.float64))
        return self.focal_length * seen[..., :2] / seen[..., 2:] + np.array(self.principal_point)

    def undistorted(self, pixels: Array) -> Array:
        """Returns where the pinhole would show what the picture shows at pixels (..., 2)."""
        if self.is_pinhole:
            return pixels
        scale = np.array([self.focal_length, self.focal_length_y or self.focal_length])
        flat = (np.asarray(pixels, np.float64) - self.principal_point) / scale
        return distortion.undistort(flat, self.distortion) * self.focal_length + self.principal_point

    def suits(self, width: int, height: int) -> bool:
        """Tells whether a picture of some size has the camera's proportions, but for rounding to whole pixels."""
        return (
            abs(width - height * self.width / self.height) <= _ROUNDING
            or abs(height - width * self.height / self.width) <= _ROUNDING
        )

    def resized(self, width: int, height: int) -> "Camera":
        """Returns the camera of the same picture at another size."""
        if (width, height) == (self.width, self.height):
            return self
        x, y = width / self.width, height / self.height
        center_x, center_y = self.principal_point
        focal_y = (self.focal_length_y or self.focal_length) * y
        return replace(
            self,
            focal_length=self.focal_length * x,
            focal_length_y=None if self.focal_length_y is None and x == y else focal_y,
            principal_point=(center_x * x, center_y * y),
            width=width,
            height=height,
        )

    def turned(self, quarters: int) -> "Camera":
        """Returns the camera of the picture turned clockwise by quarters."""
        camera = self
        for _ in range(quarters % 4):
            center_x, center_y = camera.principal_point
            camera = replace(
                camera,
                focal_length=camera.focal_length_y or camera.focal_length,
                focal_length_y=camera.focal_length_y and camera.focal_length,
                principal_point=(camera.height - center_y, center_x),
                width=camera.height,
                height=camera.width,
                distortion=distortion.quarter_turns(camera.distortion, 1),
            )
        return camera

    def as_json(self) -> dict[str, Any]:
        """Returns what JSON documents hold of it, by the names of the contract; pixels."""
        return {
            "focal_length": round(self.focal_length, 6),
            "focal_source": self.source,
            "principal_point": [round(value, 6) for value in self.principal_point],
            "K": self.matrix.round(6).tolist(),
            "distortion": list(self.distortion),
        }

    def arrays(self) -> dict[str, Array]:
        """Returns what npz files hold of it, by the same names; float32, K and distortion float64."""
        return {
            "focal_length": np.array(self.focal_length, np.float32),
            "principal_point": np.array(self.principal_point, np.float32),
            "K": self.matrix,
            "distortion": np.array(self.distortion, np.float64),
        }
