"""Poses of the two clips of CMU's motion capture database that Debian's `assimp-testmodels` carries, as BVH.

"This data is free for use in research and commercial projects worldwide" (mocap.cs.cmu.edu; the text is beside the
clips). The data used was obtained from mocap.cs.cmu.edu. The database was created with funding from NSF EIA-0196217.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from packages import member
from scipy.spatial.transform import Rotation

from hmrcli.body import load_body
from hmrcli.body.joints import PARENTS

Array = NDArray[np.float64]

CLIPS = [f"usr/share/assimp/models/BVH/{name}.bvh" for name in ("01_01", "01_03")]
"""One man who jumps, turns, climbs and swings."""
EVERY = 12
"""Frames, of 120 a second; the first is a T-pose that was not acted."""
JOINTS = (
    *(
        "Hips",
        "LeftUpLeg",
        "RightUpLeg",
        "LowerBack",
        "LeftLeg",
        "RightLeg",
        "Spine",
        "LeftFoot",
        "RightFoot",
    ),
    *("Spine1", "LeftToeBase", "RightToeBase", "Neck", "LeftShoulder", "RightShoulder", "Head", "LeftArm"),
    *("RightArm", "LeftForeArm", "RightForeArm", "LeftHand", "RightHand", "LeftHand", "RightHand"),
)
"""Their joint for each of ours."""
ENDS = {1: 4, 2: 5, 4: 7, 5: 8, 13: 16, 14: 17, 16: 18, 17: 19, 18: 20, 19: 21}
"""Bones whose direction at rest is another one than ours: from joint to joint."""


class Clip(NamedTuple):
    """A BVH file's F frames of N joints."""

    names: list[str]
    offsets: Array
    """(N, 3) from each joint's parent at rest."""
    turns: Array
    """(F, N, 3, 3) from rest to the room: y up."""


def read_bvh(text: str) -> Clip:
    """Reads rotations in the order z, y, x."""
    hierarchy, motion = text.split("MOTION")
    names: list[str] = []
    parents: list[int] = []
    offsets: list[list[float]] = []
    above: list[int] = []
    for line in hierarchy.splitlines():
        match line.split():
            case ["ROOT" | "JOINT", name]:
                parents.append(above[-1] if above else -1)
                names.append(name)
                opened = len(names) - 1
            case ["End", _]:
                opened = -1
            case ["{"]:
                above.append(opened)
            case ["}"]:
                above.pop()
            case ["OFFSET", *numbers] if above[-1] >= 0:
                offsets.append([float(number) for number in numbers])
    rows = np.array([line.split() for line in motion.strip().splitlines()[2:]], float)
    local = Rotation.from_euler("ZYX", rows[:, 3:].reshape(-1, 3), degrees=True).as_matrix()
    local = local.reshape(len(rows), len(names), 3, 3)
    turns = [local[:, 0]]
    for joint in range(1, len(names)):
        turns.append(turns[parents[joint]] @ local[:, joint])
    return Clip(names, np.array(offsets), np.stack(turns, 1))


def captured_poses() -> NDArray[np.float32]:
    """(N, 72) axis-angle, radians; the root's from an upright frame, y up."""
    body = load_body("open")
    rest = (body.joint_regressor @ body.v_template).double().numpy()
    poses = []
    for path in CLIPS:
        clip = read_bvh(member("assimp-testmodels", path).decode())
        turns = clip.turns[1::EVERY, [clip.names.index(name) for name in JOINTS]]
        for start, end in ENDS.items():
            theirs = clip.offsets[clip.names.index(JOINTS[end])]
            turns[:, start] = turns[:, start] @ swing(rest[end] - rest[start], theirs)
        local = turns.copy()
        local[:, 1:] = np.swapaxes(turns[:, list(PARENTS[1:])], -1, -2) @ turns[:, 1:]
        poses.append(Rotation.from_matrix(local.reshape(-1, 3, 3)).as_rotvec().reshape(-1, 72))
    return np.concatenate(poses).astype(np.float32)


def swing(start: Array, end: Array) -> Array:
    """The smallest rotation from one direction to another."""
    start, end = start / np.linalg.norm(start), end / np.linalg.norm(end)
    axis = np.cross(start, end)
    length = np.linalg.norm(axis)
    angle = np.arctan2(length, np.dot(start, end))
    return np.asarray(Rotation.from_rotvec(axis / np.maximum(length, 1e-9) * angle).as_matrix())
