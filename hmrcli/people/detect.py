"""Finds people in a photo of any size: several looks at it, merged."""

import numpy as np

from hmrcli.people.movenet import Detection, look
from hmrcli.people.skeleton import KEYPOINT_SIGMAS

SIDES = (256, 512, 1024)
"""Longer side of the image at each look: people who fill it, in the middle, small ones."""


def detect_people(
    image: np.ndarray, max_people: int | None = None, min_score: float = 0.25, sides: tuple[int, ...] = SIDES
) -> list[Detection]:
    """People in an image, best first.

    Args:
        image: (H, W, 3) uint8 RGB.
        max_people: keep the best of them.
        min_score: people below are left out.
        sides: scales to look at, multiples of 32.
    Returns:
        Detections with boxes and 17 keypoints in pixels; empty where there is nobody.
    """
    # Looking at more pixels than the image has shows nothing new, but the network needs 256.
    useful = [side for side in sides if side <= max(sides[0], 1.5 * max(image.shape[:2]))]
    found = [person for side in useful for person in look(image, side, min_score)]
    found.sort(key=lambda person: -person.score)
    kept: list[Detection] = []
    for person in found:
        if not any(same_person(person, other) for other in kept):
            kept.append(person)
    return kept[:max_people]


def same_person(a: Detection, b: Detection) -> bool:
    """Whether two detections show one person: their keypoints, or their boxes, all but coincide."""
    return keypoint_similarity(a, b) > 0.4 or overlap(a.bbox_xywh, b.bbox_xywh) > 0.7


def keypoint_similarity(a: Detection, b: Detection) -> float:
    """COCO's object keypoint similarity in [0, 1] over keypoints confident in both, with the area of the larger box."""
    seen = (a.keypoints[:, 2] > 0.2) & (b.keypoints[:, 2] > 0.2)
    if seen.sum() < 3:
        return 0.0
    area = max(np.prod(a.bbox_xywh[2:]), np.prod(b.bbox_xywh[2:]))
    squared = ((a.keypoints[seen, :2] - b.keypoints[seen, :2]) ** 2).sum(1)
    sigmas = np.array(KEYPOINT_SIGMAS)[seen]
    return float(np.exp(-squared / (2 * area * (2 * sigmas) ** 2)).mean())


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two boxes x, y, width, height."""
    low, high = np.maximum(a[:2], b[:2]), np.minimum(a[:2] + a[2:], b[:2] + b[2:])
    shared = np.prod(np.maximum(high - low, 0))
    return float(shared / max(np.prod(a[2:]) + np.prod(b[2:]) - shared, 1e-9))
