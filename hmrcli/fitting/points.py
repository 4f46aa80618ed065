"""Points carried by the body, and their derivatives in closed form.

A point moves with the body by linear blend skinning (SMPL, eq. 3-4): joints, vertices, small offsets from them
and weighted sums of vertices are all of this kind. Fitting needs some thirty of them, so neither the mesh nor
automatic differentiation is in its loop.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import roma
import torch
from torch import Tensor

from hmrcli.body import BodyModel

POSE, SHAPE, PLACE = slice(0, 72), slice(72, 82), slice(82, 85)
"""Places of a step's parts: rotations of the 24 joints, betas, translation."""
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
    """A few points of a body in rest pose, ready to be posed.

    Of bodies of several sizes, lengths have an axis B in front, and each person has a body (`of_each`).
    """

    parents: tuple[int, ...]
    subtree: Tensor
    """(24, 24): 1 where the column's joint hangs on the row's joint, itself included."""
    joints: Tensor
    """(24, 3) rest joints of the mean shape."""
    joint_dirs: Tensor
    """(24, 3, 10) their change per beta."""
    points: Tensor
    """(N, 3) rest points of the mean shape."""
    weights: Tensor
    """(N, 24) skinning weights."""
    carried: Tensor
    """(N, 24, 3) what each joint carries: the rest vertices of a point times their skinning weights, summed."""
    carried_dirs: Tensor
    """(N, 24, 3, 10) its change per beta."""
    correctives: Tensor | None = None
    """(N, 24, 3, 207) its change per entry of the rotation matrices minus identity, where they are kept."""

    def scaled(self, factor: float) -> "BodyPoints":
        """Returns the points of a body that is larger by a factor."""
        return self._replace(**{name: factor * value for name, value in self._lengths().items()})

    def _lengths(self) -> dict[str, Any]:
        names = ("joints", "joint_dirs", "points", "carried", "carried_dirs", "correctives")
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}

    @staticmethod
    def of_each(bodies: Sequence["BodyPoints"]) -> "BodyPoints":
        """Puts together the points of B people whose bodies are the open one at some age."""
        each = [body._lengths() for body in bodies]
        together: dict[str, Any] = {name: torch.stack([one[name] for one in each]) for name in each[0]}
        return bodies[0]._replace(**together)


class Attachment(NamedTuple):
    """Attachment of a point to the body: a joint, a vertex or a sum of vertices, and an offset in the rest pose."""

    joint: int | None = None
    vertex: int | None = None
    regressor: Tensor | None = None
    """(V,) weights of the vertices, most of them zero; a row of a joint regressor."""
    offset: tuple[float, float, float] = (0.0, 0.0, 0.0)


def body_points(
    body: BodyModel,
    attachments: Sequence[Attachment],
    dtype: torch.dtype = torch.float64,
    correctives: bool = False,
) -> BodyPoints:
    """Picks N points of a body.

    With `correctives`, SMPL's pose correctives move the points; at joints and landmark vertices they are
    millimetres.
    """
    template, shapedirs = body.v_template.to(dtype), body.shapedirs.to(dtype)
    regressor = body.joint_regressor.to(dtype)
    joints = regressor @ template
    joint_dirs = torch.einsum("jv,vck->jck", regressor, shapedirs)
    points, corrections = [], []
    for joint, vertex, sums, place in attachments:
        offset = torch.tensor(place).to(template)
        if joint is not None:
            vertices, skinning = torch.arange(0), template.new_zeros(0, 24)
            share, point = torch.eye(24).to(template)[joint], joints[joint] + offset
            carried, dirs = share[:, None] * point, share[:, None, None] * joint_dirs[joint]
        else:
            vertices = torch.tensor([vertex]) if sums is None else sums.nonzero()[:, 0]
            amounts = template.new_ones(1) if sums is None else sums.to(template)[vertices]
            skinning = amounts[:, None] * body.weights[vertices].to(dtype)
            share, point = skinning.sum(0), amounts @ template[vertices] + offset
            carried = skinning.T @ template[vertices] + share[:, None] * offset
            dirs = torch.einsum("vj,vck->jck", skinning, shapedirs[vertices])
        points.append((point, share, carried, dirs))
        if correctives:
            directions = body.posedirs_of(vertices).to(dtype)
            corrections.append(torch.einsum("vj,vcp->jcp", skinning, directions))
    subtree = torch.eye(24).to(template)
    for child in range(23, 0, -1):
        subtree[body.parents[child]] += subtree[child]
    places, weights, carried, dirs = map(torch.stack, zip(*points))
    bends = torch.stack(corrections) if correctives else None
    return BodyPoints(body.parents, subtree, joints, joint_dirs, places, weights, carried, dirs, bends)


class PosedPoints(NamedTuple):
    """Points (B, N, 3) in camera space, metres, and their derivatives (B, N, 3, 85) by parts of a step."""

    points: Tensor
    jacobian: Tensor


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

    joints = model.joints + torch.einsum("...jck,...k->...jc", model.joint_dirs, state.betas)
    bones = torch.cat([joints[:, :1], joints[:, 1:] - joints[:, parents]], 1)
    dirs = model.joint_dirs
    bone_dirs = torch.cat([dirs[..., :1, :, :], dirs[..., 1:, :, :] - dirs[..., parents, :, :]], -3)
    chain = model.subtree.T  # row: a joint, columns: those it hangs on
    posed_joints = chain @ (frames @ bones[..., None])[..., 0] + state.transl[:, None]
    posed_dirs = torch.einsum("ja,baxk->bjxk", chain, frames @ bone_dirs)

    carried = model.carried + torch.einsum("...njck,...k->...njc", model.carried_dirs, state.betas)
    if model.correctives is not None:
        bend = (state.rotmat[:, 1:] - upright).flatten(1)
        carried = carried + torch.einsum("...njcp,...p->...njc", model.correctives, bend)
    parts = torch.einsum("bjxy,bnjy->bnjx", world, carried - model.weights[..., None] * joints[:, None])
    parts = parts + model.weights[..., None] * posed_joints[:, None]
    below = model.subtree @ parts - (model.weights @ model.subtree.T)[..., None] * posed_joints[:, None]
    turns = torch.linalg.cross(frames.mT[:, None], below[:, :, :, None])  # (B, N, 24, axis, 3)
    turns = turns.flatten(2, 3).mT
    if model.correctives is not None:
        turns[..., 3:] += _corrective_turns(model.correctives, world, state.rotmat)

    shape = torch.einsum("...jxy,...njyk->...nxk", world, model.carried_dirs)
    shape = shape + torch.einsum("nj,bjxk->bnxk", model.weights, posed_dirs - world @ dirs)
    place = model.weights.sum(1)[:, None, None] * torch.eye(3).to(world)
    jacobian = torch.cat([turns, shape, place.expand(batch, -1, -1, -1)], -1)
    return PosedPoints(parts.sum(2), jacobian)


def _corrective_turns(correctives: Tensor, world: Tensor, rotmat: Tensor) -> Tensor:
    """Returns (B, N, 3, 69), by which points move because turning the 23 joints changes their correctives."""
    moved = torch.einsum("...jxy,...njyp->...nxp", world, correctives).unflatten(3, (23, 9))
    # Turning a rotation from the left by a small vector crosses its columns with the axis.
    axes = torch.eye(3).to(rotmat)[None, None, :, None]
    change = torch.linalg.cross(axes, rotmat[:, 1:, None].mT).mT  # (B, 23, axis, 3, 3)
    return torch.einsum("bnxjp,bjap->bnxja", moved, change.flatten(3)).flatten(3)
