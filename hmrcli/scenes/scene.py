"""Scene of a picture, as numbers: made by `sample.draw_scene`, painted by `paint.paint_scene`.

Camera coordinates are x right, y down, z forward, in metres; image coordinates are continuous pixels.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hmrcli.render.rasteriser import Camera
from hmrcli.scenes.backdrops import Backdrop
from hmrcli.scenes.looks import Look
from hmrcli.scenes.occluders import Occluder


@dataclass(frozen=True)
class Person:
    """Somebody in the picture."""

    pose: NDArray[np.float32]
    """(72,) axis-angle, radians; the root's in the camera's frame."""
    betas: NDArray[np.float32]
    """(10,)"""
    transl: NDArray[np.float32]
    """(3,) metres."""
    look: Look


@dataclass(frozen=True)
class Light:
    """Sun or lamp, and what comes from everywhere."""

    direction: tuple[float, float, float]
    """Unit vector from the scene towards the light, camera axes."""
    colour: tuple[float, ...]
    """Linear RGB of the key light."""
    ambient: tuple[float, ...]
    """Linear RGB from above; from below comes less, in the colour of the ground."""
    softness: float
    """0 for hard shadows, 1 for an overcast sky."""


@dataclass(frozen=True)
class Ground:
    """The floor: points x with normal . x = offset, camera axes, metres."""

    normal: tuple[float, float, float]
    """Unit vector upwards."""
    offset: float


@dataclass(frozen=True)
class Lens:
    """Changes to light on its way to the file."""

    motion: tuple[float, float]
    """Length of the blur along x and y, pixels."""
    defocus: float
    """Deviation of the blur, pixels."""
    noise: float
    """Deviation of the sensor's noise, grey levels."""
    jpeg_quality: int


@dataclass(frozen=True)
class Scene:
    """A picture before it is painted."""

    size: int
    """Side of the picture, pixels."""
    camera: Camera
    people: tuple[Person, ...]
    """The first is the one with labels."""
    light: Light
    ground: Ground | None
    backdrop: Backdrop
    occluders: tuple[Occluder, ...]
    """Between the camera and the people, painted last."""
    lens: Lens
    seed: int
    """Of noise that has no other name."""
