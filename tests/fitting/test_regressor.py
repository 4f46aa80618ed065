"""The regressor on a photo, what it is invariant to, and fits that start from it."""

import dataclasses

import numpy as np
import pytest
import roma
import torch

from hmrcli.assets.bundled import bundled
from hmrcli.body import BodyModel, load_body
from hmrcli.body.joints import SMPL_24
from hmrcli.fitting.fit import Start, fit_landmarks
from hmrcli.fitting.points import BodyState
from hmrcli.fitting.priors import pose_prior, shape_terms
from hmrcli.fitting.regressor import crop_axes, evidence, mirrored_rotations, regress, regressor
from hmrcli.fitting.targets import Targets
from hmrcli.inference import Predictor
from hmrcli.inference.fit import landmark_targets
from hmrcli.inference.images import read_image
from hmrcli.inference.photo import Photo, find_landmarks
from hmrcli.people import Landmarks

from .test_fit import people, pixels_off, seen


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return load_body("open")


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    return read_image(bundled("photos/walk.jpg"))


@pytest.fixture(scope="module")
def found(photo: np.ndarray) -> tuple[Landmarks, Targets]:
    landmarks, boxes = find_landmarks(photo, None, None)
    return landmarks, landmark_targets(landmarks, boxes, Photo(photo))


def test_mirrored_rotations_pose_the_mirrored_body(body: BodyModel) -> None:
    rotmat, betas = roma.random_rotmat((2, 24)), torch.zeros(2, 10)
    expected = body(rotmat, betas).joints[:, list(SMPL_24.flip)] * torch.tensor([-1.0, 1, 1])
    moved = body(mirrored_rotations(rotmat), betas).joints
    torch.testing.assert_close(moved - moved[:, :1], expected - expected[:, :1], atol=2e-3, rtol=0)


def test_place_size_and_turn_in_the_image_change_nothing_but_the_root(
    found: tuple[Landmarks, Targets],
) -> None:
    landmarks, targets = found
    angle, scale, shift = 0.7, 1.6, np.array([300.0, -120.0])
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    crops = scale * turn @ landmarks.crop_to_image
    crops[:, :, 2] += shift
    across = landmarks.points3d[..., :2] @ turn.T
    moved = dataclasses.replace(
        landmarks,
        points2d=scale * landmarks.points2d @ turn.T + shift,
        points3d=np.concatenate([across, landmarks.points3d[..., 2:]], 2),
        crop_to_image=crops,
    )
    for here, there in zip(evidence(landmarks), evidence(moved)):
        torch.testing.assert_close(here, there, atol=1e-4, rtol=0)
    first, second = regress(landmarks, targets), regress(moved, targets)
    roll = torch.eye(3)
    roll[:2, :2] = torch.from_numpy(turn)
    before = crop_axes(landmarks, targets).mT @ first.rotmat[:, 0]
    after = crop_axes(moved, targets).mT @ second.rotmat[:, 0]
    torch.testing.assert_close(before, after, atol=1e-4, rtol=0)
    torch.testing.assert_close(
        crop_axes(moved, targets), crop_axes(landmarks, targets) @ roll, atol=1e-4, rtol=0
    )
    torch.testing.assert_close(first.rotmat[:, 1:], second.rotmat[:, 1:], atol=1e-4, rtol=0)


def test_a_mirrored_photo_shows_mirrored_people(photo: np.ndarray, found: tuple[Landmarks, Targets]) -> None:
    mirrored = np.ascontiguousarray(photo[:, ::-1])
    landmarks, boxes = find_landmarks(mirrored, None, None)
    there = regress(landmarks, landmark_targets(landmarks, boxes, Photo(mirrored)))
    here = regress(*found)
    off = roma.rotmat_geodesic_distance(mirrored_rotations(here.rotmat), there.rotmat)
    assert off.mean() < 0.1 and (here.betas - there.betas).abs().mean() < 0.2


def test_people_of_a_photo_are_found_without_a_fit(
    body: BodyModel, photo: np.ndarray, found: tuple[Landmarks, Targets]
) -> None:
    _, targets = found
    start = regress(*found)
    unit = start.rotmat @ start.rotmat.mT
    torch.testing.assert_close(unit, torch.eye(3).expand_as(unit), atol=1e-5, rtol=0)
    placed = fit_landmarks(body, targets, iterations=0, start=start)
    assert torch.equal(placed.rotmat, start.rotmat)
    for fit, share in ((placed, 0.06), (fit_landmarks(body, targets, start=start), 0.03)):
        assert (pixels_off_in_photo(body, fit, targets) < share).all()


def pixels_off_in_photo(body: BodyModel, fit, targets: Targets) -> torch.Tensor:
    """Mean distance of the main joints to their landmarks, as a share of the box."""
    joints, marks = [16, 17, 1, 2, 4, 5, 7, 8], [11, 12, 23, 24, 25, 26, 27, 28]
    placed = body(fit.rotmat, fit.betas, fit.transl).joints[:, joints]
    pixels = targets.focal_length[:, None, None] * placed[..., :2] / placed[..., 2:]
    off = pixels + targets.principal_point[:, None] - targets.points2d[:, marks]
    return off.norm(dim=-1).mean(1) / targets.extent


def test_nobody_gives_nobody(found: tuple[Landmarks, Targets]) -> None:
    landmarks, targets = found
    start = regress(landmarks[:0], Targets(*(value[:0] for value in targets)))
    assert start.rotmat.shape == (0, 24, 3, 3) and start.betas.shape == (0, 10)


def test_a_fit_without_landmarks_stays_where_it_starts(body: BodyModel) -> None:
    truth = people(3)
    start = Start(truth.rotmat, truth.betas, torch.full((23, 3), 0.2), torch.full((10,), 0.5))
    nothing = seen(body, truth)._replace(confidence=torch.zeros(3, 33))
    fit = fit_landmarks(body, nothing, start=start)
    torch.testing.assert_close(fit.rotmat, truth.rotmat.float(), atol=1e-3, rtol=0)
    torch.testing.assert_close(fit.betas, truth.betas.float(), atol=1e-3, rtol=0)


def test_a_fit_leaves_a_start_that_the_landmarks_contradict(body: BodyModel) -> None:
    truth, other = people(4), people(4, seed=5)
    usual = pose_prior().usual
    start = Start(
        torch.cat([other.rotmat[:, :1], roma.rotvec_to_rotmat(usual).expand(4, 23, 3, 3)], 1),
        torch.zeros(4, 10),
        torch.full((23, 3), 1.0),
        torch.ones(10),
    )
    targets = seen(body, truth)
    fit = fit_landmarks(body, targets, start=start, iterations=60)
    assert (pixels_off(body, fit, targets) < 0.03 * 450).sum() >= 3


def test_shapes_are_drawn_to_the_usual_one() -> None:
    betas = torch.randn(2, 10, dtype=torch.float64)
    state = BodyState(torch.eye(3).expand(2, 24, 3, 3), betas, torch.zeros(2, 3))
    strength, usual = torch.rand(10, dtype=torch.float64), torch.randn(2, 10, dtype=torch.float64)
    around = shape_terms(state, strength, usual)
    expected = 0.5 * (strength * (betas - usual) ** 2).sum(1)
    torch.testing.assert_close(around.cost, expected)
    step = -around.gradient / around.hessian.diagonal(dim1=1, dim2=2).clamp(min=1e-9)
    torch.testing.assert_close(betas + step[:, 72:82], usual)


def test_the_file_is_small_and_says_how_far_it_is_off() -> None:
    path = bundled("fitting/regressor.safetensors")
    assert path.stat().st_size < 10e6 and path.with_suffix(".md").exists()
    network = regressor()
    assert network.pose_spread.min() > 0 and network.pose_spread.max() < 1.5
    assert network.shape_spread.min() > 0 and network.shape_spread.max() < 1.5


def test_predictors_use_it(photo: np.ndarray) -> None:
    regressed = Predictor.from_default(start="regressor", refine=False)(photo)
    fitted = Predictor.from_default(start="regressor")(photo)
    assert [p.method for p in regressed] == ["regression"] * 2 and [p.method for p in fitted] == ["fit"] * 2
    for one, other in zip(regressed, fitted):
        apart = np.linalg.norm(one.joints2d - other.joints2d, axis=1).mean()
        assert 0 < apart < 0.1 * one.bbox_xywh[2:].max()
    with pytest.raises(ValueError, match="regressor"):
        Predictor.from_default(refine=False)
