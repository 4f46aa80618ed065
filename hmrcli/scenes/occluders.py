"""Things between the camera and the people: furniture, walls, poles, boards and leaves.

Places are shares of the picture's side, so an occluder looks alike at every size of the picture.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hmrcli.scenes.kinds import COUNTER, CRATE, FOLIAGE, GRAIN, PILLAR
from hmrcli.scenes.noise import SIDE, fractal

Array = NDArray[Any]

LEAST, MOST = 0.1, 0.5
"""Share of the box that an occluder covers."""

_SHARES = (0.26, 0.24, 0.34, 0.16)

_GRID, _SCALE = 40, 256
"""Samples along each side of a box where coverage is measured, and the side of the picture in which it is."""


@dataclass(frozen=True)
class Occluder:
    """A flat shape with shading."""

    kind: int
    """COUNTER, PILLAR, CRATE or FOLIAGE."""
    center: tuple[float, float]
    """x and y, shares of the picture's side."""
    half: tuple[float, float]
    """Half width and half height before it is turned, shares of the picture's side."""
    angle: float
    """Radians, clockwise as the picture shows it."""
    roundness: float
    """Radius of the corners over the smaller half."""
    texture: int
    """FLAT or GRAIN."""
    colours: tuple[float, ...]
    """RGB of the thing and RGB of its texture, 0 to 1."""
    softness: float
    """Width of the edge, a share of the picture's side."""
    place: tuple[float, float]
    """Place in the noise table where its texture begins."""


def draw_occluder(random: np.random.Generator, bbox_xywh: ArrayLike, size: int) -> Occluder:
    """Draws something that hides 10 to 50 % of that part of a box which lies in the picture.

    Args:
        random: where the numbers come from.
        bbox_xywh: left, top, width and height of a person, pixels.
        size: side of the picture, pixels.

    Raises:
        ValueError: the box does not meet the picture.
    """
    box = _inside(bbox_xywh, size)
    kind = int(random.choice(len(_SHARES), p=_SHARES))
    goal = float(random.uniform(LEAST + 0.02, MOST - 0.02))
    return _fitted(_shape(random, kind, box), box, goal)


def paint_occluder(image: NDArray[np.uint8], occluder: Occluder) -> NDArray[np.bool_]:
    """Paints an occluder over a picture (S, S, 3), in place.

    Returns:
        (S, S) bool: where the picture was painted over, soft edge included.
    """
    from hmrcli.scenes import occluder_kernels as kernels

    size = len(image)
    mask, colours = np.zeros((size, size), np.bool_), np.array(occluder.colours)
    numbers, window = _numbers(occluder, size), _window(occluder, size)
    kernels.paint(fractal(), occluder.kind, occluder.texture, numbers, colours, window, image, mask)
    return mask


def hidden_by(occluder: Occluder, pixels: NDArray[np.int64], size: int) -> NDArray[np.bool_]:
    """Finds which pixels (N, 2), column and row, of a picture of that size an occluder is painted over."""
    from hmrcli.scenes import occluder_kernels as kernels

    hidden = np.empty(len(pixels), np.bool_)
    kernels.hides(fractal(), occluder.kind, _numbers(occluder, size), _window(occluder, size), pixels, hidden)
    return hidden


def _inside(bbox_xywh: ArrayLike, size: int) -> Array:
    """Returns left, top, right, bottom of the box within the picture, as shares of its side."""
    left, top, width, height = (float(v) for v in np.asarray(bbox_xywh, np.float64))
    box = np.clip(np.array([left, top, left + width, top + height]) / size, 0, 1)
    if box[2] <= box[0] or box[3] <= box[1]:
        raise ValueError(
            f"box {left:g}, {top:g}, {width:g}, {height:g} lies outside a picture of {size} pixels"
        )
    return box


def _coverage(occluder: Occluder, box: Array) -> float:
    from hmrcli.scenes import occluder_kernels as kernels

    return float(kernels.covered(fractal(), occluder.kind, _numbers(occluder, _SCALE), box * _SCALE, _GRID))


def _numbers(occluder: Occluder, size: int) -> Array:
    """Returns what the kernels read, lengths in pixels of a picture of that size."""
    lengths = [size * v for v in (*occluder.center, *occluder.half)]
    turn = [np.cos(occluder.angle), np.sin(occluder.angle)]
    soft = max(1.0, size * occluder.softness)
    return np.array([*lengths, *turn, occluder.roundness, soft, *occluder.place, size])


def _shape(random: np.random.Generator, kind: int, box: Array) -> Occluder:
    """Draws an occluder of its kind about the box, before it is fitted."""
    wide, tall = box[2] - box[0], box[3] - box[1]
    longer = max(wide, tall)
    x = box[0] + wide * random.uniform(0.1, 0.9)
    y = box[1] + tall * random.uniform(0.1, 0.9)
    angle, roundness = random.normal(0, 0.04), random.uniform(0, 0.15)
    if kind == COUNTER:  # its upper edge comes up from below the box
        half = (max(0.6, wide) if random.random() < 0.6 else wide * random.uniform(0.5, 0.9), 0.5 * tall)
        y = box[3] + half[1]
    elif kind == PILLAR:  # its inner edge comes in from the left or right of the box
        half = (0.5 * wide, 1.5)
        x = box[0] - half[0] if random.random() < 0.5 else box[2] + half[0]
        y = 0.5
    elif kind == CRATE:  # from a pole to a board
        half = (longer * random.uniform(0.03, 0.4), longer * random.uniform(0.15, 0.6))
        angle = random.normal(0, 0.3) + 0.5 * np.pi * random.integers(2)
    else:
        half = (longer * random.uniform(0.3, 0.6), longer * random.uniform(0.3, 0.6))
        angle = random.uniform(-np.pi, np.pi)
    return Occluder(
        kind=kind,
        center=(float(x), float(y)),
        half=(float(half[0]), float(half[1])),
        angle=float(angle),
        roundness=float(roundness),
        texture=GRAIN if kind == FOLIAGE else int(random.random() < 0.45),
        colours=_colours(random, kind),
        softness=float(0.004 + 0.02 * random.random() ** 3),
        place=(float(random.uniform(0, SIDE)), float(random.uniform(0, SIDE))),
    )


def _colours(random: np.random.Generator, kind: int) -> tuple[float, ...]:
    """Draws greens for leaves; woods, greys and any colour for things that are built."""
    bright, which = random.uniform(0.12, 0.95), random.random()
    if kind == FOLIAGE:
        first = np.array([random.uniform(0.15, 0.5), random.uniform(0.3, 0.6), random.uniform(0.05, 0.25)])
    elif which < 0.35:
        first = random.uniform(0.05, 0.95, 3)
    elif which < 0.65:
        first = bright * np.array([0.85, 0.64, 0.44])
    else:
        first = np.clip(bright + random.normal(0, 0.04, 3), 0, 1)
    second = np.clip(first * random.uniform(0.4, 1.5) + random.normal(0, 0.1, 3), 0, 1)
    return tuple(float(value) for value in (*first, *second))


def _fitted(shape: Occluder, box: Array, goal: float) -> Occluder:
    """Moves the shape in, or makes it larger or smaller, until it covers the goal: by halving, in 10 steps."""
    low, high = 0.0, 1.0
    while _coverage(_grown(shape, box, high), box) < goal and high < 16:
        low, high = high, 2 * high
    for _ in range(10):
        middle = 0.5 * (low + high)
        if _coverage(_grown(shape, box, middle), box) < goal:
            low = middle
        else:
            high = middle
    return _grown(shape, box, high)


def _grown(shape: Occluder, box: Array, amount: float) -> Occluder:
    """Moves counters and pillars further in by a share of the box; makes other things larger."""
    (x, y), (a, b) = shape.center, shape.half
    if shape.kind == COUNTER:
        b += 0.5 * (1 - box[3])  # down to the picture's lower edge
        return replace(shape, center=(x, float(box[3] + b - amount * (box[3] - box[1]))), half=(a, float(b)))
    if shape.kind == PILLAR:
        grown = amount * (box[2] - box[0])
        return replace(shape, center=(x + grown if x < box[0] else x - grown, y))
    return replace(shape, half=(a * amount, b * amount))


def _window(occluder: Occluder, size: int) -> Array:
    """Returns the first and last + 1 column and row that an occluder can touch."""
    a, b = np.array(occluder.half) * (1.6 if occluder.kind == FOLIAGE else 1.0)
    cos, sin = abs(np.cos(occluder.angle)), abs(np.sin(occluder.angle))
    reach = np.array([a * cos + b * sin, a * sin + b * cos]) + occluder.softness + 2 / size
    first = np.floor((np.array(occluder.center) - reach) * size)
    last = np.ceil((np.array(occluder.center) + reach) * size)
    return np.clip(np.array([first[0], last[0], first[1], last[1]]), 0, size).astype(np.int64)
