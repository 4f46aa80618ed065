"""Things between the camera and the people: furniture, walls, poles, leaves, balls and what hands hold.

Places are shares of the picture's side, so an occluder looks alike at every size of the picture.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hmrcli.scenes import patterns as p
from hmrcli.scenes.noise import SIDE, fractal

Array = NDArray[Any]

LEAST, MOST = 0.1, 0.5
"""Share of the box that an occluder covers."""

_GRID = 40
"""Samples along each side of a box where coverage is measured."""

_SCALE = 256
"""Side of the picture in which it is measured."""

_KINDS = (p.COUNTER, p.PILLAR, p.BARS, p.FOLIAGE, p.CRATE, p.BALL, p.HELD)
_SHARES = (0.24, 0.20, 0.12, 0.14, 0.14, 0.06, 0.10)
_COVERED = {p.BARS: (0.10, 0.25), p.HELD: (0.10, 0.18), p.BALL: (0.10, 0.30)}
"""Narrower ranges of what small things cover."""


@dataclass(frozen=True)
class Occluder:
    """A flat shape with shading."""

    kind: int
    """One of COUNTER, PILLAR, BARS, FOLIAGE, CRATE, BALL and HELD of `hmrcli.scenes.patterns`."""
    centre: tuple[float, float]
    """x and y, shares of the picture's side."""
    half: tuple[float, float]
    """Half width and half height before it is turned, shares of the picture's side."""
    angle: float
    """Radians, clockwise as the picture shows it."""
    roundness: float
    """Radius of the corners over the smaller half."""
    bars: int
    """How many stand side by side."""
    period: float
    """From one bar to the next, a share of the picture's side."""
    texture: int
    """One of FLAT, GRAIN, BANDS and CHECKS of `hmrcli.scenes.patterns`."""
    colours: tuple[float, float, float, float, float, float]
    """RGB of the thing and of its texture, 0 to 1."""
    softness: float
    """Width of the edge, a share of the picture's side."""
    place: tuple[float, float]
    """Where in the noise table its texture begins."""


def draw_occluder(random: np.random.Generator, bbox_xywh: ArrayLike, size: int) -> Occluder:
    """Something that hides 10 to 50 % of that part of a box which lies in the picture.

    Args:
        random: where the numbers come from.
        bbox_xywh: left, top, width and height of a person, pixels.
        size: side of the picture, pixels.

    Raises:
        ValueError: the box does not meet the picture.
    """
    box = _inside(bbox_xywh, size)
    kind = int(random.choice(_KINDS, p=_SHARES))
    low, high = _COVERED.get(kind, (LEAST, MOST))
    goal = float(random.uniform(low + 0.02, high - 0.02))
    shape = _shape(random, kind, box)
    return _fitted(shape, box, goal)


def paint_occluder(image: NDArray[np.uint8], occluder: Occluder) -> NDArray[np.bool_]:
    """Paints an occluder over a picture, in place.

    Args:
        image: (S, S, 3) uint8 RGB, contiguous.
        occluder: from `draw_occluder`.

    Returns:
        (S, S) bool: where the picture was painted over, soft edge included.
    """
    from hmrcli.scenes import occluder_kernels as kernels

    size = len(image)
    mask = np.zeros((size, size), np.bool_)
    kernels.paint(
        fractal(),
        occluder.kind,
        occluder.texture,
        _numbers(occluder, size),
        np.array(occluder.colours),
        _window(occluder, size),
        image,
        mask,
    )
    return mask


def hidden_by(occluder: Occluder, pixels: NDArray[np.int64], size: int) -> NDArray[np.bool_]:
    """Which of the pixels (N, 2), column and row, of a picture of that size an occluder is painted over."""
    from hmrcli.scenes import occluder_kernels as kernels

    hidden = np.empty(len(pixels), np.bool_)
    kernels.hides(fractal(), occluder.kind, _numbers(occluder, size), _window(occluder, size), pixels, hidden)
    return hidden


def coverage(occluder: Occluder, bbox_xywh: ArrayLike, size: int) -> float:
    """Share of the box, as far as it lies in the picture, that the occluder hides.

    Raises:
        ValueError: the box does not meet the picture.
    """
    return _coverage(occluder, _inside(bbox_xywh, size))


def _inside(bbox_xywh: ArrayLike, size: int) -> Array:
    """(4,) left, top, right, bottom of the box within the picture, as shares of its side."""
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
    """What the kernels read, lengths in pixels of a picture of that size."""
    return np.array(
        [
            *(size * v for v in (*occluder.centre, *occluder.half)),
            np.cos(occluder.angle),
            np.sin(occluder.angle),
            occluder.roundness,
            occluder.bars,
            size * occluder.period,
            max(1.0, size * occluder.softness),
            *occluder.place,
            size,
        ]
    )


def _shape(random: np.random.Generator, kind: int, box: Array) -> Occluder:
    """An occluder of its kind about the box, as large as the box allows, before it is fitted."""
    wide, tall = box[2] - box[0], box[3] - box[1]
    x = box[0] + wide * random.uniform(0.1, 0.9)
    y = box[1] + tall * random.uniform(0.1, 0.9)
    angle, roundness, bars, period = float(random.normal(0, 0.04)), float(random.uniform(0, 0.15)), 1, 1.0
    longer = max(wide, tall)
    if kind == p.COUNTER:  # its upper edge comes up from below the box
        half = (max(0.6, wide) if random.random() < 0.6 else wide * random.uniform(0.5, 0.9), 0.5 * tall)
        y = box[3] + half[1]
    elif kind == p.PILLAR:  # its inner edge comes in from the left or right of the box
        half = (0.5 * wide, 1.5)
        x = box[0] - half[0] if random.random() < 0.5 else box[2] + half[0]
        y = 0.5
    elif kind == p.BARS:
        bars, angle = (
            int(random.integers(1, 5)),
            float(random.normal(0, 0.15) + 0.5 * np.pi * random.integers(2)),
        )
        half, period = (1.5, 0.05 * longer), longer * random.uniform(0.2, 0.4)
    elif kind == p.FOLIAGE:
        half = (longer * random.uniform(0.3, 0.6), longer * random.uniform(0.3, 0.6))
        angle = float(random.uniform(-np.pi, np.pi))
    elif kind == p.CRATE:
        half, angle = (
            (longer * random.uniform(0.15, 0.4), longer * random.uniform(0.15, 0.4)),
            float(random.normal(0, 0.3)),
        )
    elif kind == p.BALL:
        half = (longer * 0.25, longer * 0.25)
    else:
        half = (longer * random.uniform(0.04, 0.1), longer * random.uniform(0.1, 0.3))
        angle, roundness = float(random.uniform(-np.pi, np.pi)), float(random.uniform(0.2, 1.0))
    return Occluder(
        kind,
        (float(x), float(y)),
        (float(half[0]), float(half[1])),
        angle,
        roundness,
        bars,
        float(period),
        p.GRAIN if kind == p.FOLIAGE else int(random.choice(4, p=[0.4, 0.3, 0.15, 0.15])),
        _colours(random, kind),
        float(0.004 + 0.02 * random.random() ** 3),
        (float(random.uniform(0, SIDE)), float(random.uniform(0, SIDE))),
    )


def _colours(random: np.random.Generator, kind: int) -> tuple[float, float, float, float, float, float]:
    """Greens for leaves, woods and greys for things that are built, anything for what is held."""
    bright = random.uniform(0.12, 0.95)
    if kind == p.FOLIAGE:
        first = np.array([random.uniform(0.15, 0.5), random.uniform(0.3, 0.6), random.uniform(0.05, 0.25)])
    elif kind in (p.BALL, p.HELD) or random.random() < 0.3:
        first = random.uniform(0.05, 0.95, 3)
    elif random.random() < 0.5:
        first = bright * np.array([0.85, 0.64, 0.44])
    else:
        first = np.clip(bright + random.normal(0, 0.04, 3), 0, 1)
    second = np.clip(first * random.uniform(0.4, 1.5) + random.normal(0, 0.1, 3), 0, 1)
    r, g, b, *rest = (float(v) for v in (*first, *second))
    return (r, g, b, rest[0], rest[1], rest[2])


def _fitted(shape: Occluder, box: Array, goal: float) -> Occluder:
    """The shape moved in, or made larger or smaller, until it covers the goal: by halving, in 10 steps."""
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
    """Counters and pillars come further in by a share of the box; other things become larger."""
    (x, y), (a, b) = shape.centre, shape.half
    if shape.kind == p.COUNTER:
        b += 0.5 * (1 - box[3])  # down to the picture's lower edge
        return replace(shape, centre=(x, float(box[3] + b - amount * (box[3] - box[1]))), half=(a, float(b)))
    if shape.kind == p.PILLAR:
        grown = amount * (box[2] - box[0])
        return replace(shape, centre=(x + grown if x < box[0] else x - grown, y))
    if shape.kind == p.BARS:
        return replace(shape, half=(a, b * amount))
    return replace(shape, half=(a * amount, b * amount))


def _window(occluder: Occluder, size: int) -> Array:
    """(4,) first and last + 1 column and row that an occluder can touch."""
    a, b = occluder.half
    b += 0.5 * (occluder.bars - 1) * occluder.period
    if occluder.kind == p.FOLIAGE:
        a, b = 1.6 * a, 1.6 * b
    cos, sin = abs(np.cos(occluder.angle)), abs(np.sin(occluder.angle))
    reach = np.array([a * cos + b * sin, a * sin + b * cos]) + occluder.softness + 2 / size
    first = np.floor((np.array(occluder.centre) - reach) * size)
    last = np.ceil((np.array(occluder.centre) + reach) * size)
    edges = np.clip(np.array([first[0], last[0], first[1], last[1]]), 0, size)
    return edges.astype(np.int64)
