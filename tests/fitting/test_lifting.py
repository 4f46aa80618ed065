import numpy as np
import pytest
import roma
import torch

from hmrcli.assets.bundled import bundled
from hmrcli.body import BodyModel, load_body
from hmrcli.evaluation.metrics import pa_mpjpe
from hmrcli.fitting.fit import fit_landmarks
from hmrcli.fitting.landmarks import INDICES, NAMES
from hmrcli.fitting.lifting import flipped, lift, lifter, looks, mirrored_joints, sighting
from hmrcli.fitting.targets import Targets, seen_targets
from hmrcli.inference.fit import landmark_targets
from hmrcli.inference.images import read_image
from hmrcli.inference.photo import Photo, find_landmarks

from .test_fit import people, pixels_off, seen

LIMBS = [k for k, name in enumerate(NAMES) if name.endswith(("elbow", "wrist", "hip", "knee", "ankle"))]


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return load_body("open")


@pytest.fixture(scope="module")
def targets(body: BodyModel) -> Targets:
    return seen(body, people(40, seed=1))


def flattened(targets: Targets) -> Targets:
    """Limbs as landmark networks see them: too little of them in depth, and the trunk leaning."""
    points3d = targets.points3d.clone()
    points3d[..., 2] = 0.6 * points3d[..., 2] + 0.15 * points3d[..., 1]
    return targets._replace(points3d=points3d)


def off(targets: Targets, truth: Targets) -> float:
    limbs = [1000 * each.points3d[:, INDICES][:, LIMBS] for each in (targets, truth)]
    return float(pa_mpjpe(*limbs).mean())


def test_people_seen_too_flat_are_lifted_to_what_they_are(targets: Targets) -> None:
    flat = flattened(targets)
    assert off(lift(flat), targets) < 0.8 * off(flat, targets)


def test_a_fit_to_lifted_landmarks_is_nearer_and_projects_as_well(body: BodyModel, targets: Targets) -> None:
    flat = flattened(targets)
    joints = body(people(40, seed=1).rotmat.float(), people(40, seed=1).betas.float()).joints
    errors = []
    for some in (flat, lift(flat)):
        fit = fit_landmarks(body, some)
        errors.append(float(pa_mpjpe(body(fit.rotmat, fit.betas).joints, joints).mean()))
    assert errors[1] < 0.9 * errors[0]
    assert pixels_off(body, fit, targets).mean() < 0.01 * 450


def test_only_depth_and_the_likely_pose_change(targets: Targets) -> None:
    lifted = lift(targets)
    for name in Targets._fields:
        changed = not torch.equal(getattr(lifted, name), getattr(targets, name))
        assert changed == (name in ("points3d", "deviation3d", "angles", "angle_spread"))
    rest = [k for k in range(33) if k not in INDICES]
    assert torch.equal(lifted.points3d[:, rest], targets.points3d[:, rest])


def test_where_the_origin_lies_does_not_matter(targets: Targets) -> None:
    shift = torch.tensor([0.3, -0.5, 2.0], dtype=torch.float64)
    here, there = (
        looks(lifter(), sighting(each))
        for each in (targets, targets._replace(points3d=targets.points3d + shift))
    )
    for a, b in zip(here, there):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=0)


def test_mirrored_people_are_lifted_to_their_mirror_image(targets: Targets) -> None:
    people = sighting(targets)
    here, there = looks(lifter(), people), looks(lifter(), flipped(people))
    back = flipped(people._replace(points3d=there.points3d)).points3d
    torch.testing.assert_close(here.points3d, back, atol=1e-5, rtol=0)
    torch.testing.assert_close(here.rotmat, mirrored_joints(there.rotmat), atol=1e-5, rtol=0)


def test_each_is_lifted_as_alone_and_nobody_as_nobody(targets: Targets) -> None:
    together = lift(targets)
    alone = lift(Targets(*(value[3:4] for value in targets)))
    torch.testing.assert_close(alone.points3d[0], together.points3d[3], atol=1e-5, rtol=0)
    assert lift(Targets(*(value[:0] for value in targets))).points3d.shape == (0, 33, 3)


def test_hidden_landmarks_are_less_sure(targets: Targets) -> None:
    arm = [INDICES[NAMES.index(name)] for name in ("left_elbow", "left_wrist")]
    hidden = targets._replace(confidence=targets.confidence.clone())
    hidden.confidence[:, arm] = 0
    sure, unsure = (lift(each).deviation3d[:, arm] for each in (targets, hidden))
    assert (unsure > sure).float().mean() > 0.9 and (sure > 0).all()


def test_the_likely_pose_is_nearer_than_the_usual_one_and_knows_how_near(targets: Targets) -> None:
    truth = roma.rotmat_to_rotvec(people(40, seed=1).rotmat[:, 1:])
    lifted, limbs = lift(flattened(targets)), [0, 1, 3, 4, 15, 16, 17, 18]  # hips, knees, shoulders, elbows
    likely, usual = ((each.angles - truth)[:, limbs].norm(dim=-1) for each in (lifted, targets))
    assert likely.mean() < 0.8 * usual.mean()
    ratio = ((lifted.angles - truth) / lifted.angle_spread)[:, limbs].square().mean().sqrt()
    assert 0.3 < ratio < 3


def test_joints_below_hidden_landmarks_are_less_sure(targets: Targets) -> None:
    hidden = targets._replace(confidence=targets.confidence.clone())
    hidden.confidence[
        :, [INDICES[NAMES.index(f"left_{name}")] for name in ("knee", "ankle", "heel", "foot_index")]
    ] = 0
    sure, unsure = (lift(each).angle_spread[:, [0, 3]].mean(2) for each in (targets, hidden))
    assert (unsure > sure).float().mean() > 0.9


def test_the_default_fits_to_lifted_landmarks() -> None:
    image = read_image(bundled("photos/walk.jpg"))
    landmarks, boxes = find_landmarks(image, None, None)
    raw = seen_targets(landmarks, boxes, Photo(image).camera)
    given = landmark_targets(landmarks, boxes, Photo(image))
    assert torch.equal(given.points3d, lift(raw).points3d)
    assert np.array_equal(raw.points3d.numpy(), landmarks.points3d)
