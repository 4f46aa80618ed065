"""The motion of one recovered person."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hmrcli.body import BodyModel
from hmrcli.camera import Camera

Array = NDArray[np.float32]


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
