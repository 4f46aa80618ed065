"""Legs whose feet are asked to be elsewhere."""

import numpy as np
import pytest
import roma
import torch

from hmrcli.body import load_body
from hmrcli.motion.legs import LEGS, planted, ramped

TIMES = np.arange(12) / 30


def posed(bend: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rotations, joints and points of the soles of somebody who bends the knees, (12, …)."""
    body = load_body("open")
    pose = torch.zeros(12, 24, 3)
    pose[:, 0, 1] = 0.7
    pose[:, [1, 2], 0], pose[:, [4, 5], 0], pose[:, [7, 8], 0] = -bend / 2, bend, -bend / 2
    rotmat = roma.rotvec_to_rotmat(pose)
    joints = body(rotmat, torch.zeros(12, 10)).joints.double().numpy()
    return rotmat.double().numpy(), joints, soles(joints)


def soles(joints: np.ndarray) -> np.ndarray:
    """Points below ankles and feet, (F, 4, 3), in a world whose floor they reach in the first frame."""
    return joints[:, [7, 10, 8, 11]] - joints[0, [7, 10, 8, 11]] * [0, 1, 0]


@pytest.mark.parametrize("bend", [0.05, 0.6, 1.8])
def test_a_foot_that_slides_comes_back_to_its_place(bend: float) -> None:
    rotmat, joints, points = posed(bend)
    slid = points + np.linspace(-0.02, 0.02, 12)[:, None, None] * [1, 0.2 if bend > 0.1 else 0.0, 0.5]
    stands = np.ones((12, 4), bool)
    found = planted(rotmat, joints, slid, stands, TIMES)
    body = load_body("open")
    moved = body(torch.from_numpy(found).float(), torch.zeros(12, 10)).joints.double().numpy()
    # The ankle moves by what the soles are off; the foot keeps its direction.
    wanted = slid.mean(0)[::2] - slid[:, ::2]
    for k, leg in enumerate(LEGS):
        step = moved[:, leg.ankle] - joints[:, leg.ankle]
        np.testing.assert_allclose(step[:, [0, 2]], wanted[:, k][:, [0, 2]], atol=2e-3)
        direction = joints[:, leg.ankle + 3] - joints[:, leg.ankle]
        np.testing.assert_allclose(moved[:, leg.ankle + 3] - moved[:, leg.ankle], direction, atol=1e-5)
    others = [j for j in range(24) if j not in (1, 2, 4, 5, 7, 8)]
    assert np.abs(found[:, others] - rotmat[:, others]).max() == 0


@pytest.mark.parametrize("bend", [0.0, 0.6])
def test_feet_in_their_place_leave_the_legs_as_they_are(bend: float) -> None:
    rotmat, joints, points = posed(bend)
    found = planted(rotmat, joints, points, np.ones((12, 4), bool), TIMES)
    assert np.abs(found - rotmat).max() < 1e-5
    free = planted(rotmat, joints, points + 1, np.zeros((12, 4), bool), TIMES)
    assert np.abs(free - rotmat).max() < 1e-5


def test_a_leg_does_not_reach_farther_than_it_is_long() -> None:
    rotmat, joints, points = posed(0.1)
    far = points + np.linspace(-0.5, 0.5, 12)[:, None, None] * [1, 0, 0]
    found = planted(rotmat, joints, far, np.ones((12, 4), bool), TIMES)
    assert np.isfinite(found).all()
    eye = np.eye(3)
    assert np.abs(found @ found.transpose(0, 1, 3, 2) - eye).max() < 1e-5
    moved = load_body("open")(torch.from_numpy(found).float(), torch.zeros(12, 10)).joints.double().numpy()
    assert np.linalg.norm(moved - joints, axis=2).max() < 0.1


def test_moves_begin_and_end_gently() -> None:
    moves, stands = np.zeros((30, 3)), np.zeros(30, bool)
    stands[12:18] = True
    moves[12:18] = [0.03, 0, 0]
    found = ramped(moves, stands, np.arange(30) / 30)[:, 0]
    assert (found[12:18] == 0.03).all()
    assert found[:7].max() == found[24:].max() == 0
    assert (np.diff(found[6:13]) >= 0).all()
    assert np.abs(np.diff(found)).max() < 0.016
