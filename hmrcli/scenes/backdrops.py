"""Backdrops behind the people: views out of panoramas, photographs, and empty rooms.

A backdrop is a kind and two seeds: `layout` says what is there, `view` from where it is seen. Rooms and panoramas
agree with the camera and the ground; flat photographs cannot.
"""

import json
from colorsys import hsv_to_rgb
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from hmrcli.assets.bundled import bundled
from hmrcli.render.rasteriser import Camera
from hmrcli.scenes.kinds import CARPET, PANELLED, PLAIN, PLANKS, SMOOTH, TILES, TWO_TONE
from hmrcli.scenes.noise import fractal

if TYPE_CHECKING:
    from hmrcli.scenes.scene import Ground

Array = NDArray[Any]

POOLS = ("studio", "train", "test", "wild")

_KINDS = ("panorama", "photograph", "room")
_SHARES = {"train": (0.62, 0.18, 0.2), "test": (0.62, 0.18, 0.2), "wild": (0.68, 0.22, 0.1)}

STUDIOS = (
    ((0.62, 0.64, 0.66), (0.80, 0.80, 0.78), PLAIN, SMOOTH),
    ((0.45, 0.33, 0.22), (0.72, 0.75, 0.80), PLANKS, PANELLED),
    ((0.25, 0.38, 0.30), (0.22, 0.42, 0.28), CARPET, SMOOTH),
    ((0.30, 0.31, 0.36), (0.35, 0.36, 0.42), TILES, TWO_TONE),
)
"""Floor's colour, wall's, and their patterns, of the four rooms of the studio pool."""

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
    """Backdrop behind the people, as numbers and the name of a file."""

    kind: str
    """studio, panorama, photograph or room."""
    picture: str
    """Name of a bundled picture, or nothing."""
    layout: int
    """Seed of what is there; for a studio its number."""
    view: int
    """From where it is seen."""
    gain: tuple[float, ...]
    """Factors of red, green and blue."""
    blur: float
    """Deviation of the blur of what lies out of focus, as a share of the picture's side."""


@lru_cache(maxsize=1)
def pictures() -> tuple[dict[str, Any], ...]:
    """Lists the bundled photographs and panoramas: `name`, `kind`, `split` and where each is from."""
    return tuple(json.loads(bundled("scenes/backdrops/index.json").read_text(encoding="utf-8")))


def draw_backdrop(random: np.random.Generator, pool: str, ground: "Ground | None") -> Backdrop:
    """Draws a backdrop of a pool.

    Pools train and test share nothing: neither photographs nor layouts; wild shows the photographs of test. Where
    there is no ground, flat photographs come more often.

    Args:
        random: where the numbers come from.
        pool: studio (four fixed rooms), train, test or wild.
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
        shares = shares * (0.6, 3, 0.6)
    kind = str(random.choice(_KINDS, p=shares / shares.sum()))
    layout = int(random.integers(_STRIDE)) + (0 if pool == "train" else _STRIDE)
    split = "train" if pool == "train" else "test"
    names = [entry["name"] for entry in pictures() if entry["kind"] == kind and entry["split"] == split]
    picture = names[int(random.integers(len(names)))] if names else ""
    return Backdrop(kind, picture, layout, view, gain, blur)


def paint_backdrop(
    backdrop: Backdrop, size: int, camera: Camera, ground: "Ground | None"
) -> NDArray[np.uint8]:
    """Paints a backdrop as a camera sees it.

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
        x, y = camera.principal_point
        half = Camera(camera.focal_length / 2, (x / 2, y / 2))
        small = _painted(backdrop, size // 2, half, ground, deviation / 2)
        return cv2.resize(small, (size, size), interpolation=cv2.INTER_LINEAR)  # type: ignore[return-value]
    return _painted(backdrop, size, camera, ground, deviation)


def _painted(
    backdrop: Backdrop, size: int, camera: Camera, ground: "Ground | None", deviation: float
) -> NDArray[np.uint8]:
    """Paints the backdrop, graded and blurred."""
    image = np.empty((size, size, 3), np.uint8)
    layout, view = np.random.default_rng(backdrop.layout), np.random.default_rng(backdrop.view)
    if backdrop.kind == "photograph":
        image = _photograph(_decoded(backdrop.picture), size, view)
    else:
        _paint_place(backdrop, layout, view, camera, ground, image)
    if backdrop.gain != (1.0, 1.0, 1.0):
        image = cv2.multiply(image, (*backdrop.gain, 1.0))  # type: ignore[call-overload]
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
        image[:] = _panorama(_decoded(backdrop.picture), lens, level, squash, turn, len(image))
        return
    studio = backdrop.kind == "studio"
    distance = _STUDIO if studio else _distance(lens, level, height, len(image))
    yaw = float(view.normal(0, 0.45))
    eye = np.array([distance * np.sin(yaw), height, -distance * np.cos(yaw)])
    bounds, colours, patterns, lamp = _studio(backdrop.layout) if studio else _room(layout)
    kernels.paint_room(
        fractal(), lens, _turned(level, yaw), eye, _around(bounds, eye), colours, patterns, lamp,
        backdrop.layout % 65521, image,
    )  # fmt: skip


def _room(random: np.random.Generator) -> tuple[Array, Array, Array, Array]:
    """Draws bounds, colours, patterns and lamp of a room, as `paint_room` takes them."""
    ceiling = random.uniform(2.4, 3.6)
    bounds = [-random.uniform(1.3, 4), random.uniform(1.3, 4), -random.uniform(1, 3), random.uniform(0.9, 4)]
    wall, side = _colour(random, (0.0, 0.35), (0.45, 0.98)), random.uniform(0.85, 1.0)
    second = _colour(random, (0.0, 0.6), (0.25, 0.95)) if random.random() < 0.6 else 0.8 * wall
    pattern = int(random.choice([PLAIN, PLANKS, TILES, CARPET], p=[0.15, 0.4, 0.25, 0.2]))
    floor = _colour(random, (0.0, 0.35), (0.25, 0.85))
    if pattern == PLANKS:  # from pale birch to dark walnut
        floor = random.uniform(0.35, 1.0) * np.array(
            [0.85, random.uniform(0.58, 0.70), random.uniform(0.35, 0.52)]
        )
    scale = random.uniform(0.08, 0.2) if pattern == PLANKS else random.uniform(0.25, 0.9)
    papered = int(random.choice(5, p=[0.4, 0.15, 0.15, 0.15, 0.15]))
    light, above, skirting = random.uniform(0.75, 1.1), np.full(3, random.uniform(0.8, 1.0)), np.full(3, 0.92)
    return (
        np.array([*bounds, ceiling]),
        np.stack([floor, 0.6 * floor, wall, second, side * wall, above, skirting if side < 0.93 else wall]),
        np.array([pattern, scale, papered, random.uniform(0.08, 0.35)]),
        np.array([random.normal(0, 1), ceiling, random.normal(0, 1), light * 1.15, light * 0.6]),
    )


def _studio(index: int) -> tuple[Array, Array, Array, Array]:
    """Returns one of the four fixed rooms in the same form."""
    floor, wall = np.array(STUDIOS[index][0]), np.array(STUDIOS[index][1])
    return (
        np.array([-4.0, 4.0, -4.0, 2.6 + 0.5 * index, 3.4]),
        np.stack([floor, 0.7 * floor, wall, 0.85 * wall, 0.95 * wall, wall, 0.6 * wall]),
        np.array([STUDIOS[index][2], (0.4, 0.12, 0.4, 0.5)[index], STUDIOS[index][3], 0.3]),
        np.array([0.5 * index - 0.75, 3.2, -1.0, 1.1, 0.7]),
    )


def _colour(
    random: np.random.Generator, saturation: tuple[float, float], value: tuple[float, float]
) -> Array:
    """Draws RGB (3,) of any hue."""
    return np.array(hsv_to_rgb(random.random(), random.uniform(*saturation), random.uniform(*value)))


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
    """Turns the axes about the vertical."""
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
    """Moves the walls of a room out where the camera would be beyond them."""
    left, right, back, front, ceiling = bounds
    sides = [min(left, eye[0] - 0.7), max(right, eye[0] + 0.7), min(back, eye[2] - 0.7), front]
    return np.array([*sides, max(ceiling, eye[1] + 0.4)])


def _panorama(picture: Array, lens: Array, level: Array, squash: float, turn: float, size: int) -> Array:
    """Looks out of an equirectangular picture, its floor moved to the camera's height.

    A ray that meets the floor h below the camera shows what the photographer, `squash` h above the same floor, saw at
    that place: its slope is multiplied by `squash`.
    """
    height, width = picture.shape[:2]
    steps = np.arange(size, dtype=np.float32) + np.float32(0.5)
    across, down = np.meshgrid(*((steps - np.float32(middle)) / np.float32(lens[0]) for middle in lens[1:]))
    right, up, ahead = np.tensordot(level, np.stack([across, down, np.ones_like(across)]), 1).astype(
        np.float32
    )
    up = np.where(up < 0, squash * up, up)
    bearing, rise = cv2.phase(ahead, right), cv2.phase(cv2.magnitude(right, ahead), up)
    x = (bearing + np.float32(turn)) % np.float32(2 * np.pi) * np.float32(width / (2 * np.pi)) - np.float32(
        0.5
    )
    rise = np.where(rise > np.pi, rise - np.float32(2 * np.pi), rise)
    y = np.clip(np.float32(height / 2 - 0.5) - rise * np.float32(height / np.pi), 0, height - 1)
    return cv2.remap(picture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)


def _photograph(picture: Array, size: int, view: np.random.Generator) -> NDArray[np.uint8]:
    """A square cut out of a picture, turned over half of the time."""
    side = int(min(picture.shape[:2]) * view.uniform(0.55, 1.0))
    top, left = (int(view.integers(0, extent - side + 1)) for extent in picture.shape[:2])
    square = picture[top : top + side, left : left + side]
    if view.random() < 0.5:
        square = square[:, ::-1]
    method = cv2.INTER_AREA if side > size else cv2.INTER_LINEAR
    return cv2.resize(np.ascontiguousarray(square), (size, size), interpolation=method)  # type: ignore[return-value]


@lru_cache(maxsize=128)
def _decoded(name: str) -> NDArray[np.uint8]:
    """(h, w, 3) RGB of a bundled picture, kept in memory."""
    image = cv2.imread(str(bundled(f"scenes/backdrops/{name}")), cv2.IMREAD_COLOR)
    assert image is not None, f"{name} cannot be decoded"
    return np.ascontiguousarray(image[..., ::-1])
