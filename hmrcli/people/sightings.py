"""What is kept of a person in each frame of a clip."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import cv2
import numpy as np

from hmrcli.people.crops import to_image
from hmrcli.people.landmarks import Landmarks

MASK_SIDE = 64
"""Cells along each side of a mask that is kept."""
_SEEN = 0.3
"""Landmarks of less visibility do not widen a box."""
_AROUND = 0.08
"""Share of the longer side by which a person is wider than their landmarks, which end at eyes and ankles."""


class Sighting(NamedTuple):
    """One person in one frame."""

    frame: int
    """Number of the frame, from 0."""
    time: float
    """Seconds from the clip's start."""
    box: np.ndarray
    """(4,) x, y, width, height in pixels."""
    landmarks: Landmarks
    """Of one entry, its mask of 64 x 64 cells of 0 or 1."""


def compact(landmarks: Landmarks) -> Landmarks:
    """Leaves out of landmarks what a clip does not need: float64, and the masks' finer detail."""
    side = (MASK_SIDE, MASK_SIDE)
    masks = [cv2.resize(mask, side, interpolation=cv2.INTER_AREA) > 0.5 for mask in landmarks.masks]
    fields = ("points2d", "visibility", "presence", "points3d", "score")
    small = {name: np.asarray(getattr(landmarks, name), np.float32) for name in fields}
    return replace(landmarks, **small, masks=np.reshape(masks, (-1, *side)).astype(np.uint8))


def joined(several: Sequence[Landmarks]) -> Landmarks:
    """Puts landmarks one after another; there is at least one."""
    fields = vars(several[0])
    return Landmarks(**{name: np.concatenate([getattr(one, name) for one in several]) for name in fields})


def boxes_around(landmarks: Landmarks, size: tuple[int, ...]) -> np.ndarray:
    """Returns boxes (N, 4) around the visible landmarks and the masks of people, within an image (height, width).

    A mask may spill over to a neighbour: it widens the box of the landmarks by a fifth at most.
    """
    boxes = np.empty((len(landmarks), 4))
    for i, box in enumerate(boxes):
        points = landmarks.points2d[i][landmarks.visibility[i] >= _SEEN]
        points = points if len(points) > 2 else landmarks.points2d[i]
        low, high = points.min(0), points.max(0)
        longer = (high - low).max()
        rows, columns = np.nonzero(landmarks.masks[i] > 0.5)
        cell = 256 / landmarks.masks.shape[-1]
        if len(rows):
            outline = np.stack([columns, rows], 1)[None] * cell + (cell - 1) / 2
            masked = to_image(outline, landmarks.crop_to_image[[i]])[0]
            low = np.minimum(low, np.maximum(masked.min(0), low - 0.2 * longer))
            high = np.maximum(high, np.minimum(masked.max(0), high + 0.2 * longer))
        else:
            low, high = low - _AROUND * longer, high + _AROUND * longer
        low, high = np.clip(low, 0, size[1::-1]), np.clip(high, 0, size[1::-1])
        box[:] = [*low, *np.maximum(high - low, 1)]
    return boxes
