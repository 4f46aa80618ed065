"""What poses and shapes people have, from open knowledge alone.

Ranges of motion are the averages that clinical goniometry tables give (American Academy of Orthopaedic Surgeons,
*Joint Motion*, 1965; Boone and Azen, J. Bone Joint Surg. 61-A, 1979), shared out over the joints of the body and
turned into its axes: x to the subject's left, y up, z to the front, arms sideways at rest.
"""

import math
from typing import NamedTuple

import roma
import torch
from torch import Tensor

from hmrcli.fitting.points import SHAPE, STEP, BodyState
from hmrcli.fitting.solver import Quadratic

# Degrees about x, y, z for the joints of the middle and of the left: (least, greatest), (usual, spread).
# The right mirrors the left: y and z change sign.
_RANGES = {
    "hip": [((-120, 25), (-5, 30)), ((-40, 40), (0, 15)), ((-25, 45), (3, 12))],
    "knee": [((0, 150), (8, 30)), ((-12, 12), (0, 5)), ((-8, 8), (0, 4))],
    "ankle": [((-25, 50), (0, 15)), ((-20, 20), (0, 10)), ((-25, 25), (0, 8))],
    "foot": [((-45, 30), (0, 10)), ((-8, 8), (0, 4)), ((-8, 8), (0, 4))],
    "spine": [((-12, 30), (3, 9)), ((-16, 16), (0, 7)), ((-13, 13), (0, 6))],
    "neck": [((-30, 28), (2, 12)), ((-38, 38), (0, 14)), ((-22, 22), (0, 9))],
    "collar": [((-15, 15), (0, 6)), ((-25, 20), (-3, 8)), ((-12, 35), (0, 9))],
    "shoulder": [((-80, 90), (5, 35)), ((-130, 50), (-15, 35)), ((-100, 95), (-55, 40))],
    "elbow": [((-85, 85), (0, 30)), ((-150, 3), (-35, 40)), ((-12, 12), (0, 8))],
    "wrist": [((-45, 45), (0, 15)), ((-30, 25), (0, 10)), ((-75, 75), (0, 18))],
    "hand": [((-10, 10), (0, 4)), ((-10, 10), (0, 4)), ((-60, 20), (-10, 12))],
}
_JOINTS = (
    *("root", "hip", "-hip", "spine", "knee", "-knee", "spine", "ankle", "-ankle", "spine", "foot", "-foot"),
    *("neck", "collar", "-collar", "neck", "shoulder", "-shoulder", "elbow", "-elbow", "wrist", "-wrist"),
    *("hand", "-hand"),
)


class PosePrior(NamedTuple):
    """Axis-angle ranges of the 23 joints below the root, radians, (23, 3) each."""

    least: Tensor
    greatest: Tensor
    usual: Tensor
    spread: Tensor


def pose_prior(dtype: torch.dtype = torch.float64, device: torch.device | str = "cpu") -> PosePrior:
    """The ranges of all joints as tensors."""
    rows = []
    for name in _JOINTS[1:]:
        mirrored = name.startswith("-")
        for axis, ((least, greatest), (usual, spread)) in enumerate(_RANGES[name.lstrip("-")]):
            if mirrored and axis > 0:
                least, greatest, usual = -greatest, -least, -usual
            rows.append([math.radians(value) for value in (least, greatest, usual, spread)])
    return PosePrior(*torch.tensor(rows, dtype=dtype, device=device).view(23, 3, 4).unbind(-1))


def log_rotation(rotmat: Tensor) -> tuple[Tensor, Tensor]:
    """Axis-angle of rotations and how it changes when they are turned a little from the left.

    Returns:
        (…, 3) radians, and (…, 3, 3) the inverse left Jacobian of SO(3) (Solà et al. 2018, eq. 146).
    """
    vector = roma.rotmat_to_rotvec(rotmat)
    half = vector.norm(dim=-1)[..., None, None] / 2
    safe = half.clamp(min=1e-4)
    curve = torch.where(half > 1e-4, (1 - safe / safe.tan()) / (4 * safe.square()), 1 / 12)
    cross = torch.linalg.cross(vector[..., None, :], torch.eye(3).to(vector).expand_as(rotmat)).mT
    return vector, torch.eye(3).to(vector) - cross / 2 + curve * (cross @ cross)


def pose_terms(prior: PosePrior, state: BodyState, strength: float, limit: float) -> Quadratic:
    """Draws joints to their usual rotation, and back into their range.

    Args:
        strength: weight of ½ ((angle - usual) / spread)².
        limit: weight of ½ (radians out of range)².
    """
    angles, turn = log_rotation(state.rotmat[:, 1:])
    drawn = angles - prior.usual
    outside = (angles - prior.greatest).clamp(min=0) + (angles - prior.least).clamp(max=0)
    weight = strength / prior.spread.square()
    gradient = angles.new_zeros(len(angles), STEP)
    gradient[:, 3:72] = (turn.mT @ (weight * drawn + limit * outside)[..., None]).flatten(1)
    hessian = angles.new_zeros(len(angles), STEP, STEP)  # joints do not meet in it: 3 × 3 blocks
    blocks = hessian[:, 3:72, 3:72].unflatten(2, (23, 3)).unflatten(1, (23, 3)).diagonal(dim1=1, dim2=3)
    blocks.copy_((turn.mT @ ((weight + limit * (outside != 0))[..., None] * turn)).movedim(1, -1))
    cost = 0.5 * (weight * drawn.square() + limit * outside.square()).sum((1, 2))
    return Quadratic(cost, gradient, hessian)


def shape_terms(state: BodyState, strength: float) -> Quadratic:
    """Draws the shape to the mean: ½ strength |betas|², a beta being one standard deviation."""
    gradient = torch.zeros(len(state.betas), STEP).to(state.betas)
    gradient[:, SHAPE] = strength * state.betas
    curve = torch.zeros(STEP).to(state.betas)
    curve[SHAPE] = strength
    hessian = torch.diag(curve).expand(len(gradient), -1, -1)
    return Quadratic(0.5 * strength * state.betas.square().sum(1), gradient, hessian)
