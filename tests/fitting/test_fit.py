"""Fitting on bodies whose pose is known, seen through landmarks computed from them."""

import pytest
import roma
import torch

from hmrcli.body import BodyModel, load_body
from hmrcli.fitting.fit import Fit, fit_landmarks
from hmrcli.fitting.landmarks import INDICES, NAMES, TRUST, attachments
from hmrcli.fitting.points import BodyState, body_points, pose_points
from hmrcli.fitting.priors import pose_prior
from hmrcli.fitting.targets import GUESSED, Targets, usual_angles, view_rotation
from hmrcli.people.skeleton import LANDMARKS

FOCAL, CENTER = 1500.0, (900.0, 500.0)


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return load_body("open")


def people(count: int, seed: int = 0) -> BodyState:
    """Upright people in poses of the prior, turned any way, about 6 metres away."""
    generator = torch.Generator().manual_seed(seed)
    prior = pose_prior()
    noise = torch.randn(count, 23, 3, generator=generator, dtype=torch.float64)
    angles = (prior.usual + 0.7 * prior.spread * noise).clamp(prior.least, prior.greatest)
    turn = torch.zeros(count, 3, dtype=torch.float64)
    turn[:, 1] = 6.28 * torch.rand(count, generator=generator, dtype=torch.float64)
    half_turn = roma.rotvec_to_rotmat(torch.tensor([torch.pi, 0, 0], dtype=torch.float64))
    root = half_turn @ roma.rotvec_to_rotmat(turn)
    rotmat = torch.cat([root[:, None], roma.rotvec_to_rotmat(angles)], 1)
    betas = 0.5 * torch.randn(count, 10, generator=generator, dtype=torch.float64)
    across = torch.rand(count, 2, generator=generator, dtype=torch.float64) - 0.5
    return BodyState(rotmat, betas, torch.cat([across, torch.full((count, 1), 6.0)], 1))


def seen(body: BodyModel, state: BodyState) -> Targets:
    points = pose_points(body_points(body, attachments()), state).points
    count = len(points)
    points2d = torch.zeros(count, 33, 2, dtype=torch.float64)
    points3d = torch.zeros(count, 33, 3, dtype=torch.float64)
    points2d[:, INDICES] = FOCAL * points[..., :2] / points[..., 2:] + torch.tensor(CENTER)
    confidence = torch.zeros(count, 33, dtype=torch.float64)
    confidence[:, INDICES] = 1
    focal, center = torch.full((count,), FOCAL), torch.tensor([CENTER]).expand(count, 2)
    targets = Targets(
        points2d,
        points3d,
        confidence,
        torch.full((count,), 450.0),
        focal,
        center,
        torch.full((count, 33), 0.03),
        **usual_angles(count),
    )
    # Landmarks speak in axes of a camera that looks at the person, in metres of their own.
    away = view_rotation(targets).mT
    points3d[:, INDICES] = 0.9 * (away[:, None] @ (points - points.mean(1, keepdim=True))[..., None])[..., 0]
    return targets


def pixels_off(body: BodyModel, fit: Fit, targets: Targets) -> torch.Tensor:
    state = BodyState(fit.rotmat.double(), fit.betas.double(), fit.transl.double())
    points = pose_points(body_points(body, attachments()), state).points
    projected = FOCAL * points[..., :2] / points[..., 2:] + torch.tensor(CENTER)
    return (projected - targets.points2d[:, INDICES]).norm(dim=-1).mean(1)


def test_every_landmark_has_a_place() -> None:
    assert len(NAMES) == len(set(NAMES)) == len(attachments()) == len(TRUST) == 27
    assert [LANDMARKS[i] for i in INDICES] == list(NAMES)
    for name, place in zip(NAMES, attachments()):
        if name.startswith("left"):
            right = attachments()[NAMES.index(name.replace("left", "right"))]
            assert right.offset == (-place.offset[0], *place.offset[1:])


def test_known_poses_are_found(body: BodyModel) -> None:
    truth = people(12)
    targets = seen(body, truth)
    fit = fit_landmarks(body, targets)
    assert (pixels_off(body, fit, targets) < 0.01 * 450).all()
    joints = [1, 2, 4, 5, 7, 8, 16, 17, 18, 19, 20, 21]
    found = body(fit.rotmat, fit.betas).joints[:, joints]
    expected = body(truth.rotmat.float(), truth.betas.float()).joints[:, joints]
    distance = ((found - found.mean(1, keepdim=True)) - (expected - expected.mean(1, keepdim=True))).norm(
        dim=-1
    )
    assert distance.mean() < 0.05
    assert (fit.transl[:, 2] - 6).abs().max() < 0.6


def test_a_batch_is_fitted_as_one_by_one_and_the_same_each_time(body: BodyModel) -> None:
    targets = seen(body, people(3))
    together, again = fit_landmarks(body, targets), fit_landmarks(body, targets)
    assert all(torch.equal(a, b) for a, b in zip(together, again))
    for i in range(3):
        alone = fit_landmarks(body, Targets(*(value[i : i + 1] for value in targets)))
        torch.testing.assert_close(alone.rotmat[0], together.rotmat[i], atol=1e-4, rtol=0)
        torch.testing.assert_close(alone.transl[0], together.transl[i], atol=1e-4, rtol=0)


def test_one_wild_landmark_does_not_carry_the_body_away(body: BodyModel) -> None:
    targets = seen(body, people(4))
    clean = fit_landmarks(body, targets)
    wrist = LANDMARKS.index("left_wrist")
    targets.points2d[:, wrist] += 400
    fit = fit_landmarks(body, targets)
    legs = [1, 2, 4, 5, 7, 8]
    moved = (
        body(fit.rotmat, fit.betas, fit.transl).joints - body(clean.rotmat, clean.betas, clean.transl).joints
    )
    assert moved[:, legs].norm(dim=-1).mean() < 0.05


def test_what_is_not_seen_takes_the_usual_pose(body: BodyModel) -> None:
    targets = seen(body, people(2))
    below = [
        LANDMARKS.index(f"{s}_{n}")
        for s in ("left", "right")
        for n in ("knee", "ankle", "heel", "foot_index")
    ]
    targets.confidence[:, below] = 0
    targets.points2d[:, below] = 1e4  # must not matter
    targets.points3d[:, below] = 1e4
    angles = roma.rotmat_to_rotvec(fit_landmarks(body, targets).rotmat[:, 1:].double())
    off = (angles - pose_prior().usual)[:, [3, 4, 6, 7]]  # knees and ankles
    assert off.abs().max() < 0.05


def test_hips_squeezed_into_the_picture_do_not_shrink_somebody_with_hidden_legs(body: BodyModel) -> None:
    targets = seen(body, people(4))
    legs = [LANDMARKS.index(name) for name in NAMES if name.endswith(("knee", "ankle", "heel", "foot_index"))]
    hips, shoulders = (
        [LANDMARKS.index(f"{side}_{name}") for side in ("left", "right")] for name in ("hip", "shoulder")
    )
    targets.confidence[:, legs] = 0
    straight = fit_landmarks(body, targets)
    up = targets.points2d[:, shoulders].mean(1) - targets.points2d[:, hips].mean(1)
    targets.points2d[:, hips] += 0.3 * up[:, None]
    targets.points3d[:, hips, 2] += 0.2  # and a trunk that leans to the camera explains it
    squeezed = fit_landmarks(body, targets)
    depth = (squeezed.transl / straight.transl)[:, 2]
    assert (depth - 1).abs().max() < 0.15
    joints = body(squeezed.rotmat, squeezed.betas).joints
    trunk = joints[:, 12] - joints[:, 0]
    assert (trunk[:, 2] / trunk[:, 1]).abs().max() < 0.35


def test_a_hidden_leg_sits_where_its_landmarks_guess_so(body: BodyModel) -> None:
    truth = people(2)
    sitting = roma.rotvec_to_rotmat(torch.tensor([-1.4, 0.0, 0.0], dtype=torch.float64))
    truth.rotmat[:, [1, 2]] = sitting
    truth.rotmat[:, [4, 5]] = sitting.mT
    targets = seen(body, truth)
    legs = [
        LANDMARKS.index(f"{s}_{n}")
        for s in ("left", "right")
        for n in ("knee", "ankle", "heel", "foot_index")
    ]
    knees = {}
    for name, confidence in (("guessed", GUESSED), ("unknown", 0.0)):
        targets.confidence[:, legs] = confidence
        angles = roma.rotmat_to_rotvec(fit_landmarks(body, targets).rotmat[:, [1, 2, 4, 5]])
        knees[name] = angles.norm(dim=-1)
    assert knees["guessed"].min() > 1.0
    assert knees["unknown"].max() < 0.6


def test_nothing_seen_still_gives_a_body(body: BodyModel) -> None:
    targets = seen(body, people(2))
    fit = fit_landmarks(body, targets._replace(confidence=torch.zeros(2, 33)))
    assert all(value.isfinite().all() for value in fit)


def test_joints_stay_in_their_range(body: BodyModel) -> None:
    targets = seen(body, people(6, seed=4))
    targets.points3d[..., 2] *= -1  # front and back exchanged: knees and elbows would have to bend backwards
    angles = roma.rotmat_to_rotvec(fit_landmarks(body, targets).rotmat[:, 1:].double())
    prior = pose_prior()
    hinges = [3, 4, 17, 18]  # knees, elbows
    beyond = (angles - prior.greatest).clamp(min=0) + (prior.least - angles).clamp(min=0)
    assert beyond[:, hinges].max() < 0.2


def test_the_view_rotation_looks_at_the_person() -> None:
    targets = Targets(
        torch.tensor([[[CENTER[0] + FOCAL, CENTER[1]]] * 33]), torch.zeros(1, 33, 3), torch.ones(1, 33),
        torch.ones(1), torch.tensor([FOCAL]), torch.tensor([CENTER]), torch.ones(1, 33), **usual_angles(1),
    )  # fmt: skip
    ahead = view_rotation(targets) @ torch.tensor([0.0, 0.0, 1.0])
    torch.testing.assert_close(ahead, torch.tensor([[1.0, 0.0, 1.0]]) / 2**0.5)
