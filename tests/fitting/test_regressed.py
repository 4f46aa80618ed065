"""Motions of bodies that are known, as a network would have regressed them frame by frame."""

import numpy as np
import pytest
import roma
import torch

from hmrcli.body import BodyModel, load_body
from hmrcli.fitting.points import BodyState
from hmrcli.fitting.regressed import smooth_regression
from tests.fitting.test_motion import (
    CAMERA,
    LIMBS,
    RATE,
    WRISTS_ANKLES,
    accelerations,
    limbs,
    limbs_of,
    observed,
    off,
    performed,
    wander,
)

TIMES = np.arange(60) / RATE


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return load_body("open")


def regressed(truth: BodyState, seed: int = 1) -> BodyState:
    """Noise that is new in each frame, and errors that stay for a while."""
    count, generator = len(truth.transl), torch.Generator().manual_seed(seed)

    def errors(new: float, slow: float, size: int) -> torch.Tensor:
        fresh = torch.randn(count, size, generator=generator, dtype=torch.float64)
        return new * fresh + slow * wander(TIMES, size, 0.5, seed + size)

    turn = roma.rotvec_to_rotmat(errors(0.05, 0.1, 72).unflatten(1, (24, 3)))
    deep = torch.tensor([0.005, 0.005, 0.08], dtype=torch.float64)
    return BodyState(
        turn @ truth.rotmat, truth.betas + errors(0.3, 0, 10), truth.transl + deep * errors(1, 0, 3)
    )


def test_smooth_regressions_shake_less_and_are_no_farther_from_the_truth(body: BodyModel) -> None:
    truth = performed(TIMES)
    track, expected = observed(body, truth, TIMES), limbs(body, truth.rotmat, truth.betas)
    found = {s: smooth_regression(body, track, CAMERA, regressed(truth), s) for s in ("none", "light")}
    errors = {s: off(limbs_of(m), expected) for s, m in found.items()}
    shakes = {s: off(accelerations(limbs_of(m)), accelerations(expected)) for s, m in found.items()}
    assert shakes["light"] < 0.5 * shakes["none"]
    assert errors["light"] < errors["none"]
    jumps = {s: np.abs(np.diff(m.transl[:, 2] - truth.transl[:, 2].numpy())).mean() for s, m in found.items()}
    assert jumps["light"] < 0.3 * jumps["none"]


def test_fast_joints_keep_their_speed(body: BodyModel) -> None:
    truth = performed(TIMES, swings=2.0)
    track, expected = observed(body, truth, TIMES), limbs(body, truth.rotmat, truth.betas)
    found = limbs_of(smooth_regression(body, track, CAMERA, regressed(truth), "light"))
    places = [LIMBS.index(joint) for joint in WRISTS_ANKLES]
    speeds = [
        ((points[2:, places] - points[:-2, places]).norm(dim=-1) * RATE / 2).sort(0).values[-5:].mean(0)
        for points in (found, expected)
    ]
    assert (speeds[0] / speeds[1]).min() > 0.85


def test_without_smoothing_poses_are_those_of_the_network(body: BodyModel) -> None:
    truth = performed(TIMES)
    state = regressed(truth)
    motion = smooth_regression(body, observed(body, truth, TIMES), CAMERA, state, "none")
    assert motion.rotmat == pytest.approx(state.rotmat.numpy(), abs=1e-6)
    assert motion.transl == pytest.approx(state.transl.numpy(), abs=1e-6)
    assert motion.betas == pytest.approx(np.median(state.betas.numpy(), 0), abs=0.15)
    assert motion.method == "regression"
