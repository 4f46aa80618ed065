"""What is behind the people: photographs, views out of panoramas, rooms, landscapes, studios and textures.

A backdrop is a kind and two seeds: `layout` says what is there, `view` from where it is seen. Walls, floors,
horizons and panoramas agree with the camera and the ground; flat photographs and textures cannot.
"""

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from hmrcli.assets.bundled import bundled
from hmrcli.render.rasteriser import Camera
from hmrcli.scenes.layouts import STUDIOS, draw_landscape, draw_room, studio_room
from hmrcli.scenes.noise import SIDE, fractal

if TYPE_CHECKING:
    from hmrcli.scenes.scene import Ground

Array = NDArray[Any]

POOLS = ("studio", "train", "test", "wild")

_KINDS = ("panorama", "photograph", "room", "landscape", "cyclorama", "texture")
_SHARES = {
    "train": (0.34, 0.10, 0.26, 0.18, 0.07, 0.05),
    "test": (0.34, 0.10, 0.26, 0.18, 0.07, 0.05),
    "wild": (0.40, 0.14, 0.16, 0.26, 0.02, 0.02),
}
_PHOTOGRAPHER = 1.6
"""Metres from the floor to the camera that took a panorama: an eye's height, as they are usually taken."""

_STUDIO = 5.0
"""Metres from a camera of a studio to the middle of the room: it stands there whatever part of it is seen."""

_COARSE = 0.9
"""Deviation of the blur, in pixels, beyond which half the resolution does."""

_STRIDE = 1 << 30
"""Layouts of training lie below, those of testing above."""


@dataclass(frozen=True)
class Backdrop:
    """What is behind the people, as numbers and the name of a file."""

    kind: str
    """studio, panorama, photograph, room, landscape, cyclorama or texture."""
    picture: str
    """Name of a bundled picture, or nothing."""
    layout: int
    """What is there; for a studio which of them."""
    view: int
    """From where it is seen."""
    gain: tuple[float, float, float]
    """Factors of red, green and blue."""
    blur: float
    """Deviation of the blur of what lies out of focus, as a share of the picture's side."""


@lru_cache(maxsize=1)
def pictures() -> tuple[dict[str, Any], ...]:
    """The bundled photographs and panoramas: `name`, `kind`, `split` and where each is from."""
    return tuple(json.loads(bundled("scenes/backdrops/index.json").read_text(encoding="utf-8")))


def draw_backdrop(
    random: np.random.Generator, pool: str, camera: Camera, ground: "Ground | None"
) -> Backdrop:
    """One backdrop of a pool.

    Pools train and test share nothing: neither photographs nor layouts; wild shows the photographs of test,
    and more of the outdoors. Where there is no ground, photographs and textures come as often as rooms.

    Args:
        random: where the numbers come from.
        pool: studio (four fixed rooms), train, test or wild.
        camera: the camera of the picture.
        ground: the floor, or None.

    Raises:
        ValueError: the pool is unknown.
    """
    if pool not in POOLS:
        raise ValueError(f"pool is {pool!r}, expected one of {', '.join(POOLS)}")
    view = int(random.integers(_STRIDE))
    gain = tuple(float(g) for g in np.exp(random.normal(0, 0.12) + random.normal(0, 0.04, 3)))
    blur = float(0.002 + 0.012 * random.random() ** 3)
    if pool == "studio":
        return Backdrop("studio", "", int(random.integers(len(STUDIOS))), view, (1.0, 1.0, 1.0), 0.002)
    shares = np.array(_SHARES[pool])
    if ground is None:
        shares = shares * (0.6, 3, 0.6, 0.6, 1, 2)
    kind = str(random.choice(_KINDS, p=shares / shares.sum()))
    layout = int(random.integers(_STRIDE)) + (0 if pool == "train" else _STRIDE)
    split = "train" if pool == "train" else "test"
    names = [entry["name"] for entry in pictures() if entry["kind"] == kind and entry["split"] == split]
    picture = names[int(random.integers(len(names)))] if names else ""
    return Backdrop(kind, picture, layout, view, (gain[0], gain[1], gain[2]), blur)


def paint_backdrop(
    backdrop: Backdrop, size: int, camera: Camera, ground: "Ground | None"
) -> NDArray[np.uint8]:
    """The backdrop as a camera sees it.

    Args:
        backdrop: from `draw_backdrop`.
        size: side of the picture, pixels.
        camera: focal length and principal point in pixels of this picture.
        ground: the floor, or None: then its place is made up.

    Returns:
        (size, size, 3) uint8 RGB.
    """
    deviation = backdrop.blur * size
    if deviation > _COARSE and size % 2 == 0:  # what is out of focus needs half the pixels
        half = camera._replace(
            focal_length=camera.focal_length / 2,
            principal_point=(camera.principal_point[0] / 2, camera.principal_point[1] / 2),
        )
        small = _painted(backdrop, size // 2, half, ground, deviation / 2)
        return cv2.resize(small, (size, size), interpolation=cv2.INTER_LINEAR)  # type: ignore[return-value]
    return _painted(backdrop, size, camera, ground, deviation)


def _painted(
    backdrop: Backdrop, size: int, camera: Camera, ground: "Ground | None", deviation: float
) -> NDArray[np.uint8]:
    """The backdrop, graded and blurred."""
    image = np.empty((size, size, 3), np.uint8)
    layout, view = np.random.default_rng(backdrop.layout), np.random.default_rng(backdrop.view)
    if backdrop.kind == "photograph":
        image = _photograph(_decoded(backdrop.picture), size, view)
    elif backdrop.kind == "texture":
        _texture(layout, view, image)
    else:
        _paint_place(backdrop, layout, view, camera, ground, image)
    if backdrop.gain != (1.0, 1.0, 1.0):
        image = _graded(image, backdrop.gain)
    return cv2.GaussianBlur(image, (0, 0), deviation) if deviation > 0.3 else image  # type: ignore[return-value]


def _paint_place(
    backdrop: Backdrop,
    layout: np.random.Generator,
    view: np.random.Generator,
    camera: Camera,
    ground: "Ground | None",
    image: Array,
) -> None:
    """Paints a backdrop that has a floor."""
    from hmrcli.scenes import backdrop_kernels as kernels

    lens = np.array([camera.focal_length, *camera.principal_point], np.float64)
    level, height = _floor(ground, view)
    if backdrop.kind == "panorama":
        squash = float(np.clip(_PHOTOGRAPHER / height, 0.25, 4.0))
        turn = float(view.uniform(0, 2 * np.pi))
        kernels.paint_panorama(_decoded(backdrop.picture), lens, level, squash, turn, image)
        return
    studio = backdrop.kind == "studio"
    distance = _STUDIO if studio else _distance(lens, level, height, len(image))
    spread = 0.15 if backdrop.kind == "cyclorama" else 0.45
    yaw = float(view.normal(0, spread))
    frame = _turned(level, yaw)
    eye = np.array([distance * np.sin(yaw), height, -distance * np.cos(yaw)])
    noise = fractal()
    detail = backdrop.layout % 65521
    if backdrop.kind == "landscape":
        kernels.paint_outdoors(noise, lens, frame, eye, *draw_landscape(layout), detail, image)
    elif backdrop.kind == "cyclorama":
        colour = np.clip(layout.uniform(0.1, 1.0) + layout.normal(0, 0.12, 3), 0.03, 1.0)
        spot = np.array(
            [layout.normal(0, 1), layout.uniform(0, 2), layout.uniform(1.5, 5), layout.uniform(0.4, 0.9)]
        )
        kernels.paint_cyclorama(noise, lens, frame, eye, float(layout.uniform(1.2, 3.5)), colour, spot, image)
    else:
        drawn = studio_room(backdrop.layout) if studio else draw_room(layout)
        bounds, *rest = drawn
        kernels.paint_room(noise, lens, frame, eye, _around(bounds, eye), *rest, detail, image)


def _floor(ground: "Ground | None", view: np.random.Generator) -> tuple[Array, float]:
    """Axes right, up and forward, as rows in the camera's, and the camera's height above the floor."""
    tilt, roll, height = view.normal(0.05, 0.1), view.normal(0, 0.02), view.uniform(0.9, 1.9)
    up = np.array([np.sin(roll), -np.cos(tilt), -np.sin(tilt)])
    if ground is not None:
        up, height = np.array(ground.normal, np.float64), -ground.offset
    up = up / np.linalg.norm(up)
    ahead = np.array([0.0, 0.0, 1.0])
    if abs(up[2]) > 0.999:  # looking straight down or up: the top of the picture is ahead
        ahead = np.array([0.0, -1.0, 0.0])
    ahead = ahead - up * (ahead @ up)
    ahead /= np.linalg.norm(ahead)
    return np.stack([np.cross(ahead, up), up, ahead]), max(0.1, float(height))


def _turned(level: Array, yaw: float) -> Array:
    """The axes turned about the vertical."""
    right, up, ahead = level
    cos, sin = np.cos(yaw), np.sin(yaw)
    return np.stack([cos * right - sin * ahead, up, cos * ahead + sin * right])


def _distance(lens: Array, level: Array, height: float, size: int) -> float:
    """Metres along the floor to where feet would be: as high in the picture as they get, or a person as small."""
    ray = level @ np.array([(size / 2 - lens[1]) / lens[0], (0.75 * size - lens[2]) / lens[0], 1.0])
    upright = float(lens[0]) * 1.7 / (0.6 * size)
    met = height * np.hypot(ray[0], ray[2]) / -ray[1] if ray[1] < -1e-3 else upright
    return float(np.clip(met, 0.5 * upright, 2 * upright))


def _around(bounds: Array, eye: Array) -> Array:
    """The walls of a room, moved out where the camera would be beyond them."""
    left, right, back, front, ceiling = bounds
    return np.array(
        [
            min(left, eye[0] - 0.7),
            max(right, eye[0] + 0.7),
            min(back, eye[2] - 0.7),
            front,
            max(ceiling, eye[1] + 0.4),
        ]
    )


def _photograph(picture: Array, size: int, view: np.random.Generator) -> NDArray[np.uint8]:
    """A square cut out of a picture, turned over half of the time."""
    side = int(min(picture.shape[:2]) * view.uniform(0.55, 1.0))
    top, left = (int(view.integers(0, extent - side + 1)) for extent in picture.shape[:2])
    square = picture[top : top + side, left : left + side]
    if view.random() < 0.5:
        square = square[:, ::-1]
    method = cv2.INTER_AREA if side > size else cv2.INTER_LINEAR
    return cv2.resize(np.ascontiguousarray(square), (size, size), interpolation=method)  # type: ignore[return-value]


def _texture(layout: np.random.Generator, view: np.random.Generator, image: Array) -> None:
    """Noise between three colours."""
    from hmrcli.scenes import backdrop_kernels as kernels

    stripes = layout.uniform(0.02, 0.4) if layout.random() < 0.4 else 0.0
    place = np.array([*view.uniform(0, SIDE, 2), 2 ** layout.uniform(4, 8), layout.uniform(0, 120), stripes])
    kernels.paint_texture(fractal(), place, layout.uniform(0.05, 1.0, (3, 3)), image)


def _graded(image: Array, gain: tuple[float, float, float]) -> Array:
    """The image with its channels multiplied."""
    table = np.clip(np.arange(256)[:, None] * np.array(gain), 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(image, table[None]))


@lru_cache(maxsize=128)
def _decoded(name: str) -> NDArray[np.uint8]:
    """(h, w, 3) RGB of a bundled picture, kept in memory."""
    image = cv2.imread(str(bundled(f"scenes/backdrops/{name}")), cv2.IMREAD_COLOR)
    assert image is not None, f"{name} cannot be decoded"
    return np.ascontiguousarray(image[..., ::-1])
