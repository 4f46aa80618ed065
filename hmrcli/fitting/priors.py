"""Priors of people's poses and shapes, from open data alone (`data/build/pose_prior.py`)."""

import json
from collections.abc import Mapping
from functools import cache
from typing import NamedTuple

import numpy as np
import roma
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from hmrcli.assets.bundled import bundled
from hmrcli.fitting.points import SHAPE, STEP, BodyState
from hmrcli.fitting.solver import Quadratic, diagonal_blocks

JOINTS = (
    *("hip", "-hip", "spine", "knee", "-knee", "spine", "ankle", "-ankle", "spine", "foot", "-foot"),
    *("neck", "collar", "-collar", "neck", "shoulder", "-shoulder", "elbow", "-elbow", "wrist", "-wrist"),
    *("hand", "-hand"),
)
"""The row of the prior for each joint below the root; the right side mirrors the left."""


class PosePrior(NamedTuple):
    """Axis-angle ranges of the 23 joints below the root, radians, (23, 3) each, or (B, 23, 3) for each person."""

    least: Tensor
    greatest: Tensor
    usual: Tensor
    spread: Tensor


@cache
def pose_prior() -> PosePrior:
    """Reads the bundled prior, in float64."""
    return both_sides(json.loads(bundled("fitting/pose_prior.json").read_text()))


def both_sides(rows: Mapping[str, ArrayLike]) -> PosePrior:
    """Completes the prior of the whole body by rows (3, 4) of `JOINTS` in the middle and on the left.

    Each holds for x, y and z the least, greatest and usual angle and its spread, radians.
    """
    joints = []
    for name in JOINTS:
        least, greatest, usual, spread = np.asarray(rows[name.lstrip("-")], np.float64).T
        if name.startswith("-"):  # y and z change sign
            keep = np.array([True, False, False])
            least, greatest = np.where(keep, least, -greatest), np.where(keep, greatest, -least)
            usual = np.where(keep, usual, -usual)
        joints.append([least, greatest, usual, spread])
    return PosePrior(*torch.from_numpy(np.array(joints)).unbind(1))


def log_rotation(rotmat: Tensor) -> tuple[Tensor, Tensor]:
    """Takes the axis-angle (…, 3) of rotations and its change (…, 3, 3) when they are turned from the left.

    That is the inverse left Jacobian of SO(3) (Solà et al. 2018, eq. 146).
    """
    vector = roma.rotmat_to_rotvec(rotmat)
    half = vector.norm(dim=-1)[..., None, None] / 2
    safe = half.clamp(min=1e-4)
    curve = torch.where(half > 1e-4, (1 - safe / safe.tan()) / (4 * safe.square()), 1 / 12)
    cross = torch.linalg.cross(vector[..., None, :], torch.eye(3).to(vector).expand_as(rotmat)).mT
    return vector, torch.eye(3).to(vector) - cross / 2 + curve * (cross @ cross)


def pose_terms(prior: PosePrior, state: BodyState, strength: float, limit: float) -> Quadratic:
    """Draws joints to their usual rotation, and back into their range.

    The strength weighs ½ ((angle - usual) / spread)², the limit ½ (radians out of range)².
    """
    angles, turn = log_rotation(state.rotmat[:, 1:])
    drawn = angles - prior.usual
    outside = (angles - prior.greatest).clamp(min=0) + (angles - prior.least).clamp(max=0)
    weight = strength / prior.spread.square()
    gradient = angles.new_zeros(len(angles), STEP)
    gradient[:, 3:72] = (turn.mT @ (weight * drawn + limit * outside)[..., None]).flatten(1)
    hessian = angles.new_zeros(len(angles), STEP, STEP)  # joints do not meet in it
    curve = turn.mT @ ((weight + limit * (outside != 0))[..., None] * turn)
    diagonal_blocks(hessian[:, 3:72, 3:72]).copy_(curve)
    cost = 0.5 * (weight * drawn.square() + limit * outside.square()).sum((1, 2))
    return Quadratic(cost, gradient, hessian)


def shape_terms(state: BodyState, strength: float) -> Quadratic:
    """Draws the shape to the mean: ½ strength |betas|², a beta being one standard deviation."""
    gradient = torch.zeros(len(state.betas), STEP).to(state.betas)
    gradient[:, SHAPE] = strength * state.betas
    curve = torch.zeros(STEP).to(state.betas)
    curve[SHAPE] = strength
    hessian = torch.diag(curve).expand(len(gradient), -1, -1)
    return Quadratic(0.5 * (strength * state.betas.square()).sum(1), gradient, hessian)
