"""What was seen of one person over the frames of a clip, and the motion that was recovered from it."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hmrcli.body import BodyModel
from hmrcli.camera import Camera
from hmrcli.people.landmarks import Landmarks

Array = NDArray[np.float32]


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


@dataclass(frozen=True, eq=False)
class Motion:
    """One body over F frames, in the camera's space (x right, y down, z forward) unless `up` says otherwise.

    A photo's person is a motion of one frame.

    Attributes:
        track_id: of the person in the clip, from 1.
        frames: (F,) numbers of the frames, ascending, from 0; those in which nothing was seen are absent.
        times: (F,) seconds from the clip's start.
        fps: frames a second that exports are written at.
        rotmat: (F, 24, 3, 3) joint rotations in their parent's frame, the root's in the camera's.
        betas: (10,) one shape for all frames.
        transl: (F, 3) metres: `vertices + transl` lie in camera space.
        bbox_xywh: (F, 4) pixels.
        scores: (F,) in [0, 1], as `Person.score`.
        joints_visibility: (F, 24) in [0, 1], as `Person.joints_visibility`.
        camera: that all frames were seen by.
        body: that was posed.
        up: the axis that points up: `-y` in camera space, `y` in a world with a floor at y = 0.
        method: how the poses were found: `fit` to landmarks, `regression` by a network.
    """

    track_id: int
    frames: NDArray[np.int64]
    times: NDArray[np.float64]
    fps: float
    rotmat: Array
    betas: Array
    transl: Array
    bbox_xywh: Array
    scores: Array
    joints_visibility: Array
    camera: Camera
    body: BodyModel = field(repr=False)
    up: str = "-y"
    method: str = "fit"
