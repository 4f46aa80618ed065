"""What was seen of one person over the frames of a clip."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hmrcli.people.landmarks import Landmarks


class Track(NamedTuple):
    """One person of a clip, in F frames in ascending order; frames in which nothing was seen of them are left out."""

    track_id: int
    """From 1, in the order in which people were first seen."""
    frames: NDArray[np.int64]
    """(F,) numbers of the frames, from 0."""
    times: NDArray[np.float64]
    """(F,) seconds from the clip's start; frame rates may vary."""
    boxes: NDArray[np.float64]
    """(F, 4) x, y, width, height in pixels."""
    landmarks: Landmarks
    """Of F entries."""


def by_frame(several: Iterable[NDArray[np.int64]]) -> dict[int, list[tuple[int, int]]]:
    """Tells by the frames (F,) of several people, for each frame, who is in it, and which of their own it is."""
    found: dict[int, list[tuple[int, int]]] = {}
    for person, frames in enumerate(several):
        for at, frame in enumerate(frames.tolist()):
            found.setdefault(frame, []).append((person, at))
    return found
