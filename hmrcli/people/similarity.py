"""Similarity of two findings, as of one person."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from hmrcli.body.joints import COCO_DEVIATIONS

Item = TypeVar("Item")

_CONFIDENT = 0.2


def keypoint_similarity(a: np.ndarray, b: np.ndarray, area: float) -> float:
    """COCO's object keypoint similarity, in [0, 1], of keypoints (17, 3: x, y, confidence) of a person.

    Those count that are confident in both; fewer than three give 0. The person's area is in square pixels.
    """
    seen = (a[:, 2] > _CONFIDENT) & (b[:, 2] > _CONFIDENT)
    if seen.sum() < 3:
        return 0.0
    squared = ((a[seen, :2] - b[seen, :2]) ** 2).sum(1)
    reach = 2 * np.array(COCO_DEVIATIONS)[seen]
    return float(np.exp(-squared / (2 * max(area, 1.0) * reach**2)).mean())


def distinct(items: Sequence[Item], same: Callable[[Item, Item], bool]) -> list[Item]:
    """Keeps of items, the best first, those that are not the same as one before."""
    kept: list[Item] = []
    for item in items:
        if not any(same(item, other) for other in kept):
            kept.append(item)
    return kept


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Returns intersection over union of two boxes x, y, width, height."""
    shared = _shared(a, b)
    return float(shared / max(np.prod(a[2:]) + np.prod(b[2:]) - shared, 1e-9))


def inside_share(a: np.ndarray, b: np.ndarray) -> float:
    """Returns how much of box a is inside box b, in [0, 1]."""
    return float(_shared(a, b) / max(np.prod(a[2:]), 1e-9))


def _shared(a: np.ndarray, b: np.ndarray) -> float:
    low, high = np.maximum(a[:2], b[:2]), np.minimum(a[:2] + a[2:], b[:2] + b[2:])
    return float(np.prod(np.maximum(high - low, 0)))
