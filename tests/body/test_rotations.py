"""Rotations against definitions written out here and against roma."""

import numpy as np
import roma
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hmrcli.body.rotations import (
    axis_angle_from_rotmat,
    pose_from_rotmat,
    rotmat_from_6d,
    rotmat_from_axis_angle,
    rotmat_from_pose,
    sixd_from_rotmat,
)


def test_6d_layout_is_interleaved():
    numbers = torch.tensor([1.0, 0.5, 2.0, -1.0, 0.0, 3.0])
    first, second = torch.tensor([1.0, 2.0, 0.0]), torch.tensor([0.5, -1.0, 3.0])
    rotmat = rotmat_from_6d(numbers)
    x = first / first.norm()
    y = second - (x @ second) * x
    y = y / y.norm()
    torch.testing.assert_close(rotmat, torch.stack([x, y, torch.linalg.cross(x, y)], dim=1))


def test_6d_of_the_identity():
    assert sixd_from_rotmat(torch.eye(3)).tolist() == [1, 0, 0, 1, 0, 0]


@given(st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_6d_round_trip(seed):
    rotmat = roma.random_rotmat((4, 24), generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(rotmat_from_6d(sixd_from_rotmat(rotmat)), rotmat, atol=1e-5, rtol=0)
    scaled = sixd_from_rotmat(rotmat) * torch.tensor([2.0, 0.3] * 3)  # lengths of the columns do not matter
    torch.testing.assert_close(rotmat_from_6d(scaled), rotmat, atol=1e-5, rtol=0)


def test_axis_angle_is_rodrigues():
    axis = torch.tensor([0.6, 0.0, 0.8])
    angle = 1.1
    k = torch.tensor([[0, -0.8, 0], [0.8, 0, -0.6], [0, 0.6, 0]])
    expected = torch.eye(3) + np.sin(angle) * k + (1 - np.cos(angle)) * (k @ k)
    torch.testing.assert_close(rotmat_from_axis_angle(angle * axis), expected, atol=1e-6, rtol=0)


def test_axis_angle_at_rest_is_differentiable():
    still = torch.zeros(2, 72, requires_grad=True)
    rotmat = rotmat_from_pose(still)
    assert torch.equal(rotmat, torch.eye(3).expand(2, 24, 3, 3))
    (rotmat * torch.arange(9.0).view(3, 3)).sum().backward()
    assert torch.isfinite(still.grad).all() and still.grad.abs().sum() > 0


def test_pose_round_trip():
    pose = 0.8 * torch.randn(3, 72, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(pose_from_rotmat(rotmat_from_pose(pose)), pose, atol=1e-5, rtol=0)


def test_axis_angle_of_half_turns():
    half_turns = torch.diag_embed(torch.tensor([[1.0, -1, -1], [-1, 1, -1], [-1, -1, 1]]))
    angles = axis_angle_from_rotmat(half_turns)
    torch.testing.assert_close(angles.abs(), np.pi * torch.eye(3), atol=1e-5, rtol=0)
