"""Distortion of a lens, in OpenCV's model: radial, rational, tangential and thin prism.

Coordinates are those of a pinhole with focal length 1: x = X / Z to the right, y = Y / Z downwards. Coefficients
are OpenCV's, in its order: k1, k2, p1, p2, k3, k4, k5, k6, s1, s2, s3, s4; absent ones are 0.
"""

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

COUNTS = (0, 4, 5, 8, 12)
"""Of coefficients in a set."""
WIDEST = 6.0
"""Tangent of 80 degrees, the widest angle from the optical axis that this model is used for."""
_STEP = 1e-6
_ROUNDS = 40


@lru_cache
def limit(coefficients: tuple[float, ...]) -> float:
    """Returns the distance from the axis up to which points farther out are imaged farther out.

    Beyond, the polynomials fold back, and a point far outside the picture would be shown within it.
    """
    radius = np.linspace(0, WIDEST, 6001)
    imaged = radius * _radial(radius**2, coefficients)
    turns = np.flatnonzero(~(np.diff(imaged) > 0))
    return float(radius[turns[0]]) if len(turns) else WIDEST


def distort(points: Array, coefficients: tuple[float, ...]) -> Array:
    """Returns where a lens shows points (..., 2); beyond `limit`, as much off as at it."""
    if not coefficients:
        return points
    beyond = np.maximum(_length(points) / limit(coefficients), 1)
    x, y = np.moveaxis(points / beyond, -1, 0)
    _, _, p1, p2, _, _, _, _, s1, s2, s3, s4 = _all(coefficients)
    square = x * x + y * y
    radial = _radial(square, coefficients)
    seen_x = x * radial + 2 * p1 * x * y + p2 * (square + 2 * x * x) + s1 * square + s2 * square**2
    seen_y = y * radial + p1 * (square + 2 * y * y) + 2 * p2 * x * y + s3 * square + s4 * square**2
    return np.stack([seen_x, seen_y], -1) * beyond


def undistort(points: Array, coefficients: tuple[float, ...]) -> Array:
    """Returns the points (..., 2) that a lens shows at given ones: the inverse of `distort`, by Newton's method."""
    if not coefficients:
        return points
    found = points / np.maximum(_length(points) / limit(coefficients), 1)
    for _ in range(_ROUNDS):
        along = [
            (distort(found + step, coefficients) - distort(found - step, coefficients)) / (2 * _STEP)
            for step in (np.array([_STEP, 0]), np.array([0, _STEP]))
        ]
        off = points - distort(found, coefficients)
        change = np.linalg.solve(np.stack(along, -1), off[..., None])[..., 0]
        # Steps are held short where the model bends sharply.
        longest = 0.2 * (1 + _length(found))
        found = found + change * np.minimum(1, longest / np.maximum(_length(change), 1e-300))
        if np.abs(change).max(initial=0) < 1e-12:
            break
    return found


def quarter_turns(coefficients: tuple[float, ...], turns: int) -> tuple[float, ...]:
    """Returns the coefficients of a lens turned with its picture, clockwise by quarters.

    The radial part is the same all around; (p2, p1), (s1, s3) and (s2, s4) are vectors in the picture.
    """
    if not coefficients:
        return coefficients
    k1, k2, p1, p2, k3, k4, k5, k6, s1, s2, s3, s4 = _all(coefficients)
    for _ in range(turns % 4):
        (p2, p1), (s1, s3), (s2, s4) = (-p1, p2), (-s3, s1), (-s4, s2)
    return (k1, k2, p1, p2, k3, k4, k5, k6, s1, s2, s3, s4)[: len(coefficients)]


def _length(vectors: Array) -> Array:
    return np.linalg.norm(vectors, axis=-1, keepdims=True)


def _all(coefficients: tuple[float, ...]) -> tuple[float, ...]:
    return (*coefficients, *[0.0] * (COUNTS[-1] - len(coefficients)))


def _radial(square: Array, coefficients: tuple[float, ...]) -> Array:
    """Returns the factor by which points move along their radius, by its square; not a number at poles."""
    k1, k2, _, _, k3, k4, k5, k6, *_ = _all(coefficients)
    below = 1 + square * (k4 + square * (k5 + square * k6))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(below > 0, (1 + square * (k1 + square * (k2 + square * k3))) / below, np.nan)
