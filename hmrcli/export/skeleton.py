"""The skeleton that files hold: names, bones at rest, and where its joints are when it is posed."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from hmrcli.body import BodyModel
from hmrcli.body.joints import LANDMARKS, PARENTS, SMPL_24

Array = NDArray[np.floating]

CHILDREN = tuple(
    tuple(joint for joint, parent in enumerate(PARENTS) if parent == above) for above in range(24)
)
"""Joints below each joint."""


def _depth_first(joint: int) -> list[int]:
    return [joint, *(below for child in CHILDREN[joint] for below in _depth_first(child))]


DEPTH_FIRST = tuple(_depth_first(0))
"""The 24 joints, each followed by all that are below it."""

_MIXAMO = (
    "Hips LeftUpLeg RightUpLeg Spine LeftLeg RightLeg Spine1 LeftFoot RightFoot Spine2 LeftToeBase RightToeBase "
    "Neck LeftShoulder RightShoulder Head LeftArm RightArm LeftForeArm RightForeArm LeftHand RightHand "
    "LeftHandMiddle1 RightHandMiddle1"
)
JOINT_NAMES = {"smpl": SMPL_24.names, "mixamo": tuple(f"mixamorig:{name}" for name in _MIXAMO.split())}
"""Names of the 24 joints in SMPL's order: SMPL's own, and those of Mixamo's rigs, which engines map by name."""


class Rest(NamedTuple):
    """A shaped body in T-pose: y up, facing z, the person's left at positive x; metres."""

    vertices: Array
    """(V, 3)"""
    joints: Array
    """(24, 3)"""

    @property
    def bones(self) -> Array:
        """Returns (24, 3) each joint seen from its parent; zero for the root."""
        return self.joints - self.joints[[0, *PARENTS[1:]]]


def at_rest(body: BodyModel, betas: Array) -> Rest:
    """Returns the body of a shape (10,) in T-pose."""
    with torch.inference_mode():
        shape = torch.as_tensor(betas, dtype=torch.float32, device=body.v_template.device)[None]
        posed = body(torch.eye(3, device=shape.device).expand(1, 24, 3, 3), shape)
    return Rest(posed.vertices[0].cpu().numpy().astype(float), posed.joints[0].cpu().numpy().astype(float))


def joint_frames(rest: Rest, rotmat: Array, transl: Array) -> Array:
    """Returns where the joints of a posed body are: (24, 4, 4) from the frame of each into space, metres.

    It turns about its root joint at rest, by rotations (24, 3, 3) in the parent's frame; `transl` (3,) is added.
    """
    frames, bones = np.tile(np.eye(4), (24, 1, 1)), rest.bones
    rotations, positions = frames[:, :3, :3], frames[:, :3, 3]
    rotations[0], positions[0] = rotmat[0], rest.joints[0] + transl
    for joint, parent in enumerate(PARENTS[1:], start=1):
        positions[joint] = positions[parent] + rotations[parent] @ bones[joint]
        rotations[joint] = rotations[parent] @ rotmat[joint]
    return frames


def tips(body: BodyModel, rest: Rest) -> dict[int, Array]:
    """Returns where the five limbs end, seen from their last joint (3,): crown, finger tips, toes."""
    head, parts = SMPL_24.names.index("head"), body.parts.cpu().numpy()
    crown = np.where(parts == head, rest.vertices[:, 1], -np.inf).argmax()
    ends = {head: int(crown)}
    for joint, vertex in (("hand", "middle"), ("foot", "bigtoe")):
        for side in ("left", "right"):
            ends[SMPL_24.names.index(f"{side}_{joint}")] = LANDMARKS[f"{side}_{vertex}"]
    return {joint: rest.vertices[vertex] - rest.joints[joint] for joint, vertex in ends.items()}
