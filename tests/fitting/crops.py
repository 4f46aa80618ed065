"""People of known pose seen in crops, and the settings of SPIN's fitting."""

from math import pi
from typing import Literal, NamedTuple

import roma
import torch
from torch import Tensor

from hmrcli.body.camera import crop_translation, project
from hmrcli.body.joints import SMPL_49
from hmrcli.body.model import BodyModel
from hmrcli.fitting.points import BodyState
from hmrcli.fitting.priors import pose_prior
from hmrcli.recipe.schema import FitWeights, InTheLoop


def settings(objective: Literal["original", "benchmark"], corrected: bool = True) -> InTheLoop:
    """As the published code has them."""
    own = objective == "original"
    return InTheLoop(
        objective=objective,
        corrected=corrected,
        steps=(100, 100) if own else (50, 50),
        lr=0.01,
        stop_below=None if own else 1e-4,
        sigma=100.0,
        weights=FitWeights(pose_prior=4.78**2, angle_prior=15.2**2, shape_prior=25.0),
        pose_prior="gmm_08.pkl",
        ignored_joints=(1, 9, 12, 27, 28),
        threshold=100.0 if own else 10.0,
        largest_beta=3.0,
    )


class People(NamedTuple):
    """B people in crops."""

    state: BodyState
    cam: Tensor
    keypoints2d: Tensor


def people(body: BodyModel, count: int, noise: float = 1.0, seed: int = 0) -> People:
    """Upright people seen from all sides, poses within the ranges of joints, `noise` pixels on their joints."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    prior = pose_prior()
    pose = prior.usual + 0.7 * prior.spread * normal(count, 23, 3)
    pose = torch.maximum(torch.minimum(pose, prior.greatest), prior.least)
    upright = roma.rotvec_to_rotmat(torch.tensor([pi, 0, 0], dtype=torch.float64))
    facing = torch.zeros(count, 3, dtype=torch.float64)
    facing[:, 1] = 2 * pi * torch.rand(count, generator=generator, dtype=torch.float64)
    root = upright @ roma.rotvec_to_rotmat(facing) @ roma.rotvec_to_rotmat(0.15 * normal(count, 3))
    rotmat = torch.cat([root[:, None], roma.rotvec_to_rotmat(pose)], 1)
    betas = 0.8 * normal(count, 10)
    cam = torch.tensor([0.85, 0.0, 0.2], dtype=torch.float64) + 0.05 * normal(count, 3)
    state = BodyState(rotmat, betas, crop_translation(cam))
    pixels = project(joints(body, state), 5000.0, torch.tensor([112.0, 112.0]))
    pixels = pixels.double() + noise * normal(count, 49, 2)
    return People(state, cam, torch.cat([pixels, torch.ones(count, 49, 1, dtype=torch.float64)], -1))


def turned(state: BodyState, angle: float, seed: int) -> Tensor:
    """(B, 24, 3, 3) the rotations, each turned by a random vector of deviation `angle`, in radians."""
    generator = torch.Generator().manual_seed(seed)
    turn = angle * torch.randn(*state.rotmat.shape[:2], 3, generator=generator, dtype=torch.float64)
    return roma.rotvec_to_rotmat(turn) @ state.rotmat


def joints(body: BodyModel, state: BodyState) -> Tensor:
    """(B, 49, 3) from the body's own forward pass."""
    return body.smpl_54_joints(body(*state))[:, SMPL_49.from_54]
