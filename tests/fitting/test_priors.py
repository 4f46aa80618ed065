"""The pose prior: its derivatives, its symmetry, and that it knows a joint's limits."""

import roma
import torch

from hmrcli.fitting.points import STEP, BodyState
from hmrcli.fitting.priors import log_rotation, pose_prior, pose_terms, shape_terms

MIRROR = [0, 2, 1, 3, 5, 4, 6, 8, 7, 9, 11, 10, 12, 14, 13, 15, 17, 16, 19, 18, 21, 20, 23, 22]


def state_of(pose: torch.Tensor) -> BodyState:
    zeros = torch.zeros(len(pose), 13, dtype=torch.float64)
    return BodyState(roma.rotvec_to_rotmat(pose), zeros[:, :10], zeros[:, 10:])


def cost(pose: torch.Tensor) -> torch.Tensor:
    return pose_terms(pose_prior(), state_of(pose), 1.0, 400.0).cost


def test_gradients_are_derivatives_of_the_cost() -> None:
    generator = torch.Generator().manual_seed(1)
    pose = 0.7 * torch.randn(2, 24, 3, generator=generator, dtype=torch.float64)
    pose[0, 5] = 0  # no rotation at all: where the axis is undefined
    state = state_of(pose)._replace(betas=torch.randn(2, 10, generator=generator, dtype=torch.float64))

    def value(state: BodyState) -> torch.Tensor:
        return pose_terms(pose_prior(), state, 0.5, 400.0).cost + shape_terms(state, 2.0).cost

    gradient = pose_terms(pose_prior(), state, 0.5, 400.0).plus(shape_terms(state, 2.0)).gradient
    for column in range(STEP):
        step = torch.zeros(2, STEP, dtype=torch.float64)
        step[:, column] = 1e-6
        difference = (value(state.moved(step)) - value(state.moved(-step))) / 2e-6
        torch.testing.assert_close(gradient[:, column], difference, atol=1e-4, rtol=1e-5)


def test_logarithm_inverts_the_exponential() -> None:
    vector = torch.tensor([[0.0, 0, 0], [1e-9, 0, 0], [0.3, -1.2, 2.0]], dtype=torch.float64)
    torch.testing.assert_close(log_rotation(roma.rotvec_to_rotmat(vector))[0], vector)


def test_left_and_right_are_treated_alike() -> None:
    pose = 0.5 * torch.randn(4, 24, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    mirrored = pose[:, MIRROR] * torch.tensor([1.0, -1, -1], dtype=torch.float64)
    torch.testing.assert_close(cost(pose), cost(mirrored))


def test_a_knee_bent_forwards_costs_more_than_one_bent_backwards() -> None:
    bent = torch.zeros(2, 24, 3, dtype=torch.float64)
    bent[0, 4, 0], bent[1, 4, 0] = 1.0, -1.0  # SMPL: a knee bends about +x
    natural, broken = cost(bent)
    assert broken > natural + 100


def test_an_elbow_bent_backwards_costs_more() -> None:
    bent = torch.zeros(2, 24, 3, dtype=torch.float64)
    bent[0, 18, 1], bent[1, 18, 1] = -1.0, 1.0
    natural, broken = cost(bent)
    assert broken > natural + 100
