"""Points carried by the body, and their derivatives in closed form.

A point moves with the body by linear blend skinning (SMPL, eq. 3-4): joints, vertices and small offsets from
them are all of this kind. Fitting needs some thirty of them, so neither the mesh nor automatic differentiation
is in its loop.
"""

from collections.abc import Sequence
from typing import NamedTuple

import roma
import torch
from torch import Tensor

from hmrcli.body import BodyModel

POSE, SHAPE, PLACE = slice(0, 72), slice(72, 82), slice(82, 85)
"""Where a step's parts lie: rotations of the 24 joints, betas, translation."""
STEP = 85


class BodyState(NamedTuple):
    """A batch of posed bodies: what the solver moves."""

    rotmat: Tensor
    """(B, 24, 3, 3) rotation of each joint in its parent's frame."""
    betas: Tensor
    """(B, 10)."""
    transl: Tensor
    """(B, 3) metres."""

    def moved(self, step: Tensor) -> "BodyState":
        """Applies a step (B, 85): rotations from the left, each in its parent's frame; the rest is added."""
        turn = roma.rotvec_to_rotmat(step[:, POSE].unflatten(1, (24, 3)))
        return BodyState(turn @ self.rotmat, self.betas + step[:, SHAPE], self.transl + step[:, PLACE])


class BodyPoints(NamedTuple):
    """A few points of a body in rest pose, ready to be posed."""

    parents: tuple[int, ...]
    subtree: Tensor
    """(24, 24): 1 where the column's joint hangs on the row's joint, itself included."""
    joints: Tensor
    """(24, 3) rest joints of the mean shape."""
    joint_dirs: Tensor
    """(24, 3, 10) their change per beta."""
    points: Tensor
    """(N, 3) rest points of the mean shape."""
    point_dirs: Tensor
    """(N, 3, 10)."""
    weights: Tensor
    """(N, 24) skinning weights."""


class Attachment(NamedTuple):
    """How a point hangs on the body: a joint or a vertex, and an offset from it in the rest pose."""

    joint: int | None = None
    vertex: int | None = None
    offset: tuple[float, float, float] = (0.0, 0.0, 0.0)


def body_points(
    body: BodyModel, attachments: Sequence[Attachment], dtype: torch.dtype = torch.float64
) -> BodyPoints:
    """Picks points of a body.

    Pose correctives are left out: at joints and landmark vertices they are millimetres.
    """
    template, shapedirs = body.v_template.to(dtype), body.shapedirs.to(dtype)
    regressor, skinning = body.joint_regressor.to(dtype), body.weights.to(dtype)
    joints = regressor @ template
    joint_dirs = torch.einsum("jv,vck->jck", regressor, shapedirs)
    points, dirs, weights = [], [], []
    for joint, vertex, offset in attachments:
        if joint is not None:
            points.append(joints[joint])
            dirs.append(joint_dirs[joint])
            weights.append(torch.eye(24, dtype=dtype, device=template.device)[joint])
        else:
            points.append(template[vertex])
            dirs.append(shapedirs[vertex])
            weights.append(skinning[vertex])
        points[-1] = points[-1] + torch.tensor(offset, dtype=dtype, device=template.device)
    subtree = torch.eye(24, dtype=dtype, device=template.device)
    for child in range(23, 0, -1):
        subtree[body.parents[child]] += subtree[child]
    return BodyPoints(
        body.parents,
        subtree,
        joints,
        joint_dirs,
        torch.stack(points),
        torch.stack(dirs),
        torch.stack(weights),
    )


class PosedPoints(NamedTuple):
    """Points in camera space with their derivatives."""

    points: Tensor
    """(B, N, 3) metres."""
    jacobian: Tensor
    """(B, N, 3, 85) by the parts of a step."""


def world_rotations(parents: Sequence[int], rotmat: Tensor) -> Tensor:
    """Chains rotations (B, 24, 3, 3) from each joint's parent frame to the world, root first."""
    chained = [rotmat[:, 0]]
    for joint in range(1, len(parents)):
        chained.append(chained[parents[joint]] @ rotmat[:, joint])
    return torch.stack(chained, 1)


def pose_points(model: BodyPoints, state: BodyState) -> PosedPoints:
    """Poses the points and differentiates them.

    Turning joint j by a small rotation vector w moves all that hangs on it by w × (x - p_j), so a skinned point
    moves by w × (the sum of its weighted parts below j - their weight times p_j).
    """
    batch, parents = len(state.betas), list(model.parents[1:])
    world = world_rotations(model.parents, state.rotmat)
    upright = torch.eye(3).to(world).expand(batch, 1, 3, 3)
    frames = torch.cat([upright, world[:, parents]], 1)  # the parent's axes: those of each joint's step

    joints = model.joints + torch.einsum("jck,bk->bjc", model.joint_dirs, state.betas)
    rest = model.points + torch.einsum("nck,bk->bnc", model.point_dirs, state.betas)
    bones = torch.cat([joints[:, :1], joints[:, 1:] - joints[:, parents]], 1)
    bone_dirs = torch.cat([model.joint_dirs[:1], model.joint_dirs[1:] - model.joint_dirs[parents]])
    chain = model.subtree.T  # row: a joint, columns: those it hangs on
    posed_joints = chain @ (frames @ bones[..., None])[..., 0] + state.transl[:, None]
    posed_dirs = torch.einsum("ja,baxk->bjxk", chain, frames @ bone_dirs)

    parts = torch.einsum("bjxy,bnjy->bnjx", world, rest[:, :, None] - joints[:, None]) + posed_joints[:, None]
    parts = model.weights[..., None] * parts
    below = model.subtree @ parts - (model.weights @ model.subtree.T)[..., None] * posed_joints[:, None]
    turns = torch.linalg.cross(frames.mT[:, None], below[:, :, :, None])  # (B, N, 24, axis, 3)

    shape = torch.einsum("nj,bjxy,nyk->bnxk", model.weights, world, model.point_dirs)
    shape = shape + torch.einsum("nj,bjxk->bnxk", model.weights, posed_dirs - world @ model.joint_dirs)
    place = torch.eye(3).to(world).expand(*shape.shape[:3], 3)
    return PosedPoints(parts.sum(2), torch.cat([turns.flatten(2, 3).mT, shape, place], -1))
