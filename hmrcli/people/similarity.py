"""Similarity of two findings, as of one person."""

import numpy as np

from hmrcli.body.joints import COCO_DEVIATIONS


def keypoint_similarity(a: np.ndarray, b: np.ndarray, area: float, confident: float = 0.2) -> float:
    """COCO's object keypoint similarity, in [0, 1], over the keypoints confident in both.

    Args:
        a: (17, 3) x, y, confidence.
        b: (17, 3) likewise.
        area: of the person, square pixels.
        confident: keypoints below this do not count; fewer than three give 0.
    """
    seen = (a[:, 2] > confident) & (b[:, 2] > confident)
    if seen.sum() < 3:
        return 0.0
    squared = ((a[seen, :2] - b[seen, :2]) ** 2).sum(1)
    reach = 2 * np.array(COCO_DEVIATIONS)[seen]
    return float(np.exp(-squared / (2 * max(area, 1.0) * reach**2)).mean())


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
