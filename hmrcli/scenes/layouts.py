"""What rooms and landscapes contain, drawn from a generator as the arrays that the kernels read.

Places are in metres about where the person stands: x right, y up from the floor, z away from the camera.
"""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from hmrcli.scenes import patterns as p

Array = NDArray[Any]
Room = tuple[Array, Array, Array, Array, Array, Array]
"""bounds, colours, patterns, panels, boxes, lamp: see `backdrop_kernels.paint_room`."""

STUDIOS = (
    ((0.62, 0.64, 0.66), (0.80, 0.80, 0.78), p.PLAIN, p.SMOOTH),
    ((0.45, 0.33, 0.22), (0.72, 0.75, 0.80), p.PLANKS, p.PANELLED),
    ((0.25, 0.38, 0.30), (0.22, 0.42, 0.28), p.CARPET, p.SMOOTH),
    ((0.30, 0.31, 0.36), (0.35, 0.36, 0.42), p.TILES, p.TWO_TONE),
)
"""Floor's colour, wall's, and their patterns, of the four plain rooms of the studio pool."""

_GROUNDS = (
    (p.GRASS, (0.30, 0.42, 0.16), (0.45, 0.46, 0.22)),
    (p.ROAD, (0.36, 0.36, 0.38), (0.85, 0.84, 0.80)),
    (p.ROAD, (0.62, 0.28, 0.22), (0.92, 0.90, 0.88)),
    (p.SAND, (0.76, 0.66, 0.50), (0.66, 0.55, 0.40)),
    (p.SAND, (0.88, 0.90, 0.94), (0.76, 0.81, 0.90)),
    (p.PAVING, (0.60, 0.57, 0.53), (0.36, 0.34, 0.32)),
    (p.GRASS, (0.42, 0.36, 0.24), (0.30, 0.34, 0.16)),
    (p.PLAIN, (0.58, 0.56, 0.54), (0.46, 0.45, 0.44)),
)
_SKIES = (
    ((0.25, 0.47, 0.82), (0.72, 0.83, 0.94), (0.97, 0.97, 0.98)),
    ((0.55, 0.60, 0.67), (0.80, 0.82, 0.85), (0.70, 0.72, 0.75)),
    ((0.30, 0.34, 0.55), (0.95, 0.70, 0.50), (0.90, 0.62, 0.55)),
    ((0.05, 0.07, 0.14), (0.20, 0.20, 0.28), (0.12, 0.13, 0.18)),
    ((0.85, 0.87, 0.90), (0.92, 0.92, 0.92), (0.97, 0.97, 0.97)),
)


def draw_room(random: np.random.Generator) -> Room:
    """A furnished room."""
    ceiling = random.uniform(2.4, 3.6)
    bounds = np.array(
        [
            -random.uniform(1.3, 4),
            random.uniform(1.3, 4),
            -random.uniform(1, 3),
            random.uniform(0.9, 4),
            ceiling,
        ]
    )
    wall = _colour(random, (0.0, 0.35), (0.45, 0.98))
    second = _colour(random, (0.0, 0.6), (0.25, 0.95)) if random.random() < 0.6 else 0.8 * wall
    floor_pattern = int(random.choice([p.PLAIN, p.PLANKS, p.TILES, p.CARPET], p=[0.15, 0.4, 0.25, 0.2]))
    floor = _wood(random) if floor_pattern == p.PLANKS else _colour(random, (0.0, 0.35), (0.25, 0.85))
    scale = random.uniform(0.08, 0.2) if floor_pattern == p.PLANKS else random.uniform(0.25, 0.9)
    wall_pattern = int(
        random.choice(
            [p.SMOOTH, p.STRIPES, p.BRICKS, p.PANELLED, p.TWO_TONE], p=[0.5, 0.12, 0.12, 0.13, 0.13]
        )
    )
    side = (
        wall * random.uniform(0.85, 1.0) if random.random() < 0.8 else _colour(random, (0.1, 0.6), (0.4, 0.9))
    )
    light = random.uniform(0.75, 1.1)
    colours = np.stack(
        [
            floor,
            0.6 * floor,
            wall,
            second,
            side,
            np.full(3, random.uniform(0.8, 1.0)),
            _skirting(random, wall),
        ]
    )
    patterns = np.array([floor_pattern, scale, wall_pattern, random.uniform(0.08, 0.35)])
    lamp = np.array([random.normal(0, 1), ceiling, random.normal(0, 1), light * 1.15, light * 0.6])
    return bounds, colours, patterns, _panels(random, bounds), _furniture(random, bounds), lamp


def studio_room(index: int) -> Room:
    """One of the four fixed rooms: plain, without furniture."""
    floor, wall, floor_pattern, wall_pattern = STUDIOS[index]
    bounds = np.array([-4.0, 4.0, -4.0, 2.6 + 0.5 * index, 3.4])
    paint = np.array(wall)
    colours = np.stack(
        [np.array(floor), 0.7 * np.array(floor), paint, 0.85 * paint, 0.95 * paint, paint, 0.6 * paint]
    )
    patterns = np.array([floor_pattern, (0.4, 0.12, 0.4, 0.5)[index], wall_pattern, 0.3])
    lamp = np.array([0.5 * index - 0.75, 3.2, -1.0, 1.1, 0.7])
    return bounds, colours, patterns, np.empty((0, 12)), np.empty((0, 10)), lamp


def draw_landscape(random: np.random.Generator) -> tuple[Array, Array, Array, Array, float]:
    """Colours, ground, skylines, boxes and share of clouds, as `backdrop_kernels.paint_outdoors` reads them."""
    pattern, first, second = _GROUNDS[int(random.integers(len(_GROUNDS)))]
    sky = np.array(_SKIES[int(random.choice(len(_SKIES), p=[0.4, 0.25, 0.13, 0.07, 0.15]))])
    sky = np.clip(sky + random.normal(0, 0.03, (3, 3)), 0, 1)
    dark = 0.35 + 0.65 * float(sky[1].max())
    ground = np.clip((np.array([first, second]) + random.normal(0, 0.03, (2, 3))) * dark, 0, 1)
    scale = random.uniform(0.3, 1.2)
    skylines = []
    far, near = random.random(2)
    if far < 0.5:
        hill = 0.5 * sky[1] + 0.5 * np.array([0.35, 0.42, 0.40]) * dark
        skylines.append((p.HILLS, random.uniform(0.04, 0.25), *hill))
    if near < 0.4:
        wall = _colour(random, (0.0, 0.25), (0.4, 0.8)) * dark
        skylines.append((p.TOWN, random.uniform(0.08, 0.5), *wall))
    if near > 0.25:
        leaves = (
            np.array([random.uniform(0.16, 0.4), random.uniform(0.28, 0.45), random.uniform(0.1, 0.22)])
            * dark
        )
        skylines.append((p.TREES, random.uniform(0.03, 0.35), *leaves))
    boxes = [_street_box(random, dark) for _ in range(int(random.integers(0, 4)))]
    return (
        np.concatenate([ground, sky]),
        np.array([pattern, scale]),
        np.array(skylines, np.float64).reshape(-1, 5),
        np.array(boxes, np.float64).reshape(-1, 10),
        float(random.uniform(0, 0.8)),
    )


def _colour(
    random: np.random.Generator, saturation: tuple[float, float], value: tuple[float, float]
) -> Array:
    """(3,) RGB of any hue."""
    hsv = np.array([random.uniform(0, 360), random.uniform(*saturation), random.uniform(*value)], np.float32)
    return cv2.cvtColor(hsv[None, None], cv2.COLOR_HSV2RGB)[0, 0].astype(np.float64)


def _wood(random: np.random.Generator) -> Array:
    """(3,) RGB from pale birch to dark walnut."""
    return random.uniform(0.35, 1.0) * np.array(
        [0.85, random.uniform(0.58, 0.70), random.uniform(0.35, 0.52)]
    )


def _skirting(random: np.random.Generator, wall: Array) -> Array:
    return np.full(3, 0.92) if random.random() < 0.5 else (wall if random.random() < 0.5 else _wood(random))


def _panels(random: np.random.Generator, bounds: Array) -> Array:
    """(P, 12) windows, doors, posters and boards; never two in one place of a wall."""
    rows = []
    for wall in range(3):
        low, high = (bounds[0], bounds[1]) if wall == 0 else (bounds[2], bounds[3])
        at = low + random.uniform(0.2, 1.0)
        while at < high - 0.6:
            kind = int(random.choice(4, p=[0.4, 0.25, 0.2, 0.15]))
            wide, bottom, top = _panel_size(random, kind, bounds[4])
            if at + wide > high - 0.1:
                break
            first = _colour(random, (0.0, 0.8), (0.2, 1.0))
            second = _colour(random, (0.0, 0.8), (0.2, 1.0))
            if kind == p.WINDOW:
                first, second = np.array([0.80, 0.90, 0.98]), np.full(3, 0.9)
            elif kind == p.DOOR:
                first = _wood(random) if random.random() < 0.6 else np.full(3, 0.88)
                second = 0.8 * first
            rows.append((wall, at, at + wide, bottom, top, kind, *first, *second))
            at += wide + random.uniform(0.2, 2.0)
    return np.array(rows, np.float64).reshape(-1, 12)


def _panel_size(random: np.random.Generator, kind: int, ceiling: float) -> tuple[float, float, float]:
    """Width, bottom and top in metres."""
    if kind == p.DOOR:
        return random.uniform(0.8, 1.0), 0.0, 2.05
    if kind == p.WINDOW:
        return random.uniform(0.7, 1.8), random.uniform(0.3, 1.0), min(ceiling - 0.2, 2.2)
    bottom = random.uniform(0.9, 1.5)
    return random.uniform(0.3, 1.3), bottom, min(ceiling - 0.15, bottom + random.uniform(0.3, 1.0))


def _furniture(random: np.random.Generator, bounds: Array) -> Array:
    """(B, 10) things along the front wall and the sides, clear of the person."""
    rows = []
    for _ in range(int(random.integers(0, 5))):
        kind = int(random.choice([p.BLOCK, p.SHELF, p.DRAWERS], p=[0.4, 0.3, 0.3]))
        wide, deep = random.uniform(0.5, 2.0), random.uniform(0.3, 0.6)
        tall = random.uniform(1.2, 2.2) if kind == p.SHELF else random.uniform(0.35, 1.1)
        colour = _wood(random) if random.random() < 0.5 else _colour(random, (0.0, 0.6), (0.2, 0.9))
        where = random.integers(3)
        if where == 0 or bounds[3] > 1.5:
            x = random.uniform(bounds[0], max(bounds[0] + 0.1, bounds[1] - wide))
            rows.append((x, x + wide, 0, tall, bounds[3] - deep, bounds[3], *colour, kind))
        else:
            x = bounds[0] if where == 1 else bounds[1] - deep
            z = random.uniform(0.3, 1.0)
            rows.append((x, x + deep, 0, tall, z, z + wide, *colour, kind))
    return np.array(rows, np.float64).reshape(-1, 10)


def _street_box(random: np.random.Generator, dark: float) -> tuple[float, ...]:
    """A hedge, a wall, a bench, a parked car or a bin, behind the person."""
    x, z = random.normal(0, 4), random.uniform(1.5, 12)
    sizes = ((6.0, 1.3, 0.8), (8.0, 2.2, 0.3), (1.8, 0.45, 0.5), (4.2, 1.5, 1.7), (0.6, 1.0, 0.6))
    which = int(random.integers(len(sizes)))
    wide, tall, deep = np.array(sizes[which]) * random.uniform(0.7, 1.3, 3)
    kind = (p.HEDGE, p.BLOCK, p.BLOCK, p.CAR, p.BLOCK)[which]
    colour = _colour(random, (0.0, 0.7), (0.2, 0.9))
    if kind == p.HEDGE:
        colour = np.array([random.uniform(0.2, 0.4), random.uniform(0.35, 0.5), random.uniform(0.1, 0.25)])
    return (x - wide / 2, x + wide / 2, 0.0, tall, z, z + deep, *(colour * dark), float(kind))
