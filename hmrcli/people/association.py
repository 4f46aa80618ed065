"""Tells people of a clip apart: by where they should be by now, their size, and the colours that they wear."""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from hmrcli.people.landmarks import Landmarks
from hmrcli.people.similarity import keypoint_similarity, overlap
from hmrcli.people.skeleton import LANDMARK_INDEX

_HIPS = [LANDMARK_INDEX[f"{side}_hip"] for side in ("left", "right")]
_TRUNK = [LANDMARK_INDEX[f"{side}_{part}"] for part in ("shoulder", "hip") for side in ("left", "right")]
_BINS = (12, 6, 4)
"""Of hue, saturation and value."""
SAME = 0.6
"""Likeness of keypoints of one person in one frame."""
ALIKE = 0.5
"""Least likeness of colours of one person in two frames."""


class Whereabouts(NamedTuple):
    """A person somewhere in a clip: the pixel (2,) between the hips at a time in seconds, and its velocity.

    The size is the box's longer side in pixels; colours (see `colours`) are None where they were never seen
    alone.
    """

    time: float
    middle: np.ndarray
    velocity: np.ndarray
    size: float
    colours: np.ndarray | None


def middle_of(landmarks: Landmarks) -> np.ndarray:
    """Returns the points (N, 2) between the hips, pixels."""
    return landmarks.points2d[:, _HIPS].mean(1)


def colours(view: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Returns the colours of a person in their crop (256, 256, 3) RGB as a unit vector; zero where the mask is empty.

    The vector holds roots of a histogram's shares, so that products of two are Bhattacharyya's coefficients.
    """
    hsv = cv2.cvtColor(view[::2, ::2], cv2.COLOR_RGB2HSV)
    inside = np.ascontiguousarray(mask[::2, ::2] > 0.5).astype(np.uint8)
    counts = cv2.calcHist([hsv], [0, 1, 2], inside, list(_BINS), [0, 180, 0, 256, 0, 256]).ravel()
    return np.asarray(np.sqrt(counts / max(counts.sum(), 1)), np.float32)


def resemblance(before: Whereabouts, after: Whereabouts) -> float:
    """Tells how likely someone lost before is someone found after, in [0, 1]; 0 where it cannot be.

    They went on as they were going for half a second at most, and may be the farther from there, the longer ago it is.
    """
    passed = max(after.time - before.time, 0.0)
    expected = before.middle + before.velocity * min(passed, 0.5)
    reach = (0.5 + 1.5 * passed) * max(before.size, after.size)
    near = 1 - float(np.linalg.norm(after.middle - expected)) / reach
    grown = max(before.size, after.size) / max(min(before.size, after.size), 1)
    if near <= 0 or grown > 2.0 + passed:
        return 0.0
    a, b = before.colours, after.colours
    alike = 0.75 if a is None or b is None else float(a @ b)
    return near * alike / grown if alike >= ALIKE else 0.0


def matched(lost: Sequence[Whereabouts], found: Sequence[Whereabouts]) -> dict[int, int]:
    """Finds who of the found (keys) is who of the lost (values): the most resembling pairs first."""
    pairs = [(resemblance(a, b), i, k) for i, a in enumerate(lost) for k, b in enumerate(found)]
    who: dict[int, int] = {}
    for value, i, k in sorted(pairs, key=lambda pair: -pair[0]):
        if value > 0 and k not in who and i not in who.values():
            who[k] = i
    return who


def same_place(found: Landmarks, i: int, k: int, either_way: bool = False) -> bool:
    """Tells whether two findings in one frame are of one person: their keypoints all but coincide.

    The trunk tells, too: arms and legs of two people who pass each other are apart longer than what the network
    takes for one trunk; `either_way` also of one who is taken to face the camera once, and away from it once.
    """
    marks = found[[i, k]].keypoints()
    areas = np.ptp(found.points2d[[i, k]], axis=1).prod(1)
    if keypoint_similarity(marks[0], marks[1], areas.max()) > SAME:
        return True
    trunks = found.points2d[[i, k]][:, _TRUNK]
    length = np.linalg.norm(trunks[:, :2].mean(1) - trunks[:, 2:].mean(1), axis=1)
    ways = (trunks[1], trunks[1][[1, 0, 3, 2]])[: 1 + either_way]
    apart = min(np.linalg.norm(trunks[0] - way, axis=1).mean() for way in ways)
    return bool(apart < 0.12 * length.max() and length.min() > 0.7 * length.max())


def coverage(boxes: np.ndarray) -> np.ndarray:
    """Returns (N,) the greatest overlap (IoU) of each box (N, 4) with another."""
    others = ([overlap(a, b) for k, b in enumerate(boxes) if k != i] for i, a in enumerate(boxes))
    return np.array([max(overlaps, default=0.0) for overlaps in others])
