"""A first guess in closed form: torso by Procrustes, limbs by their directions, place by least squares."""

import roma
import torch
from torch import Tensor

from hmrcli.fitting.landmarks import NAMES
from hmrcli.fitting.points import BodyPoints, BodyState, pose_points, world_rotations
from hmrcli.fitting.priors import PosePrior, pose_prior
from hmrcli.fitting.targets import Targets

# Each limb: upper joint, lower joint, the landmarks at its three ends, and its hinge in the rest pose.
# A knee bends about the subject's left; an elbow brings the forearm of a sideways arm to the front.
_LIMBS = (
    (1, 4, [NAMES.index(f"left_{name}") for name in ("hip", "knee", "ankle")], (1.0, 0.0, 0.0)),
    (2, 5, [NAMES.index(f"right_{name}") for name in ("hip", "knee", "ankle")], (1.0, 0.0, 0.0)),
    (16, 18, [NAMES.index(f"left_{name}") for name in ("shoulder", "elbow", "wrist")], (0.0, -1.0, 0.0)),
    (17, 19, [NAMES.index(f"right_{name}") for name in ("shoulder", "elbow", "wrist")], (0.0, 1.0, 0.0)),
)
_TORSO = [NAMES.index(f"{side}_{name}") for side in ("left", "right") for name in ("shoulder", "hip")]
_SEEN = 0.1
"""Limbs with a landmark of less confidence are hidden."""


def initial_state(model: BodyPoints, prior: PosePrior, targets: Targets) -> BodyState:
    """Guesses a state near the landmarks (`fitted_targets`), from which the solver converges, in float64.

    Bodies have the mean shape, and the prior's pose where nothing is seen; they are placed by what is.
    """
    rotmat = guessed_rotations(model, prior, targets.points3d, targets.confidence >= _SEEN)
    state = BodyState(rotmat, rotmat.new_zeros(len(rotmat), 10), rotmat.new_zeros(len(rotmat), 3))
    return state._replace(transl=_place(pose_points(model, state).points, targets))


def likely_pose(model: BodyPoints, targets: Targets) -> PosePrior:
    """Returns the prior with the likely pose of each person in place of the usual one; limits stay.

    For a hidden leg it is the landmarks' guess, seated or standing.
    """
    prior = pose_prior()._replace(usual=targets.angles, spread=targets.angle_spread)
    confidence = targets.confidence
    rotmat = guessed_rotations(model, prior, targets.points3d, confidence > 0)
    guess = roma.rotmat_to_rotvec(rotmat[:, 1:])
    usual = prior.usual.expand(len(guess), -1, -1).clone()
    for upper, lower, ends, _ in _LIMBS[:2]:
        least = confidence[:, ends].amin(1)
        # A thigh is raised and the knee straight where a leg was squeezed into the picture.
        bent = guess[:, lower - 1].norm(dim=1) >= 0.4 * guess[:, upper - 1].norm(dim=1)
        hidden = (least > 0) & (least < _SEEN) & bent
        for joint in (upper - 1, lower - 1):
            usual[hidden, joint] = guess[hidden, joint]
    return prior._replace(usual=usual)


def guessed_rotations(model: BodyPoints, prior: PosePrior, points3d: Tensor, seen: Tensor) -> Tensor:
    """Finds rotations (B, 24, 3, 3) that bring torso and limbs nearest to landmarks (B, N, 3), float64.

    Limbs with a landmark that is not `seen` (B, N) are in their usual pose.
    """
    batch = len(points3d)
    rest = model.points[..., _TORSO, :].expand(batch, -1, -1)
    root, _ = roma.rigid_points_registration(rest, points3d[:, _TORSO])
    usual = roma.rotvec_to_rotmat(prior.usual).expand(batch, 23, 3, 3)
    rotmat = torch.cat([root[:, None], usual], 1)
    for upper, lower, ends, hinge in _LIMBS:
        start, middle, end = ends
        along = points3d[:, [middle, end]] - points3d[:, [start, middle]]
        bones = model.points[..., [middle, end], :] - model.points[..., [start, middle], :]
        first, second = bones.unbind(-2)
        axis = torch.tensor(hinge).to(bones)
        parent = world_rotations(model.parents, rotmat)[:, model.parents[upper]]
        # A straight limb shows no hinge; then it keeps the one of the smallest turn.
        swung = _least_turn((parent @ first[..., None])[..., 0], along[:, 0]) @ parent
        bend = torch.linalg.cross(_unit(along[:, 0]), _unit(along[:, 1])) + 0.2 * (swung @ axis)
        turned = _frame(along[:, 0], bend) @ _frame(first, axis).mT
        bent = turned.mT @ _least_turn((turned @ second[..., None])[..., 0], along[:, 1]) @ turned
        known = seen[:, ends].all(1)[:, None, None]
        rotmat[:, upper] = torch.where(known, parent.mT @ turned, rotmat[:, upper])
        rotmat[:, lower] = torch.where(known, bent, rotmat[:, lower])
    return rotmat


def _unit(vector: Tensor) -> Tensor:
    return torch.nn.functional.normalize(vector, dim=-1, eps=1e-9)


def _frame(along: Tensor, about: Tensor) -> Tensor:
    """Returns the rotation whose columns are `along`, the part of `about` across it, and their cross product."""
    first = _unit(along)
    second = _unit(about - (about * first).sum(-1, keepdim=True) * first)
    return torch.stack([first, second, torch.linalg.cross(first, second)], -1)


def _least_turn(source: Tensor, target: Tensor) -> Tensor:
    """Finds the smallest rotation (B, 3, 3) that brings one direction (B, 3) to another."""
    source, target = _unit(source), _unit(target)
    axis = torch.linalg.cross(source, target)
    angle = torch.atan2(axis.norm(dim=-1), (source * target).sum(-1))
    return roma.rotvec_to_rotmat(_unit(axis) * angle[:, None])


def _place(points: Tensor, targets: Targets) -> Tensor:
    """Finds the translation (B, 3) that brings points (B, N, 3) nearest to their rays: linear in homogeneous pixels."""
    slope = (targets.points2d - targets.principal_point[:, None]) / targets.focal_length[:, None, None]
    zero, one = torch.zeros_like(slope[..., 0]), torch.ones_like(slope[..., 0])
    across, down = torch.stack([one, zero, -slope[..., 0]], -1), torch.stack([zero, one, -slope[..., 1]], -1)
    rows = torch.stack([across, down], 2)
    values = slope * points[..., 2:] - points[..., :2]
    weight = targets.confidence.sqrt()[..., None, None]
    left, right = (weight * rows).flatten(1, 2), (weight * values[..., None]).flatten(1, 2)
    place = torch.linalg.lstsq(left, right).solution[..., 0]
    # Few, far or contradicting landmarks can put the solution behind the camera; take the depth by size then.
    depth = 1.7 * targets.focal_length / targets.extent
    total = targets.confidence.sum(1)[:, None].clamp(min=1e-6)
    center = (targets.confidence[..., None] * slope).sum(1) / total
    by_size = torch.cat([center * depth[:, None], depth[:, None]], 1)
    return torch.where(place[:, 2:] > 0.3, place, by_size)
