from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hmrcli.body.joints import SMPL_54
from hmrcli.data.augmentation import (
    Patch,
    SampleAugmentation,
    augment_crop,
    augment_joints2d,
    augment_joints3d,
    augment_pose,
    augmented_affine,
    draw_augmentation,
    draw_patch,
    flip_joints3d,
    flip_pose,
    rotate_joints3d,
    rotate_pose,
    scale_channels,
    self_mix,
)
from hmrcli.data.crop import crop_affine, crop_image
from hmrcli.recipe.schema import Augmentation, Rotation, SelfMix

MIX = SelfMix(
    datasets=("h36m",),
    probability=0.5,
    area=(0.02, 0.4),
    aspect=(0.3, 1 / 0.3),
    blend=(0.1, 0.9),
    attempts=100,
)
BASE = Augmentation(
    channel_noise=0.4, flip=0.5, scale=0.25, rotation=Rotation(degrees=30, probability=0.6), self_mix=None
)
MIXED = BASE.model_copy(update={"self_mix": MIX.model_copy(update={"probability": 1})})
seeds = st.integers(0, 2**32 - 1)
angles = st.floats(-np.pi, np.pi)


@pytest.fixture(scope="module")
def golden():
    return dict(np.load(Path(__file__).parents[1] / "golden" / "augment.npz"))


@pytest.mark.parametrize("case", range(5))
def test_equals_published_augmentation(golden, case):
    given, expected = (
        {key.split("/")[-1]: golden[key] for key in golden if key.startswith(f"{case}/{side}/")}
        for side in ("in", "out")
    )
    augmentation = SampleAugmentation(
        flip=bool(given["flip"]), rotation=float(np.deg2rad(given["rotation"][0]))
    )
    affine = augmented_affine(augmentation, given["center"], given["scale"][0])

    image = np.ascontiguousarray(golden["image"][..., ::-1])
    crop = augment_crop(crop_image(image, affine), augmentation)
    assert np.abs(crop[..., ::-1].astype(int) - expected["img"]).max() <= 1
    joints2d = augment_joints2d(given["keypoints2d"], augmentation, affine, SMPL_54.flip)
    assert joints2d == pytest.approx(expected["keypoints2d"], abs=1e-4)
    joints3d = augment_joints3d(given["keypoints3d"], augmentation, SMPL_54.flip)
    assert joints3d == pytest.approx(expected["keypoints3d"], abs=1e-4)

    pose, expected_pose = (
        np.concatenate([side["smpl_global_orient"], side["smpl_body_pose"].ravel()])
        for side in (given, expected)
    )
    assert augment_pose(pose, augmentation) == pytest.approx(expected_pose, abs=1e-4)


def test_nothing_is_changed_without_augmentation():
    rng, nothing = np.random.default_rng(0), SampleAugmentation()
    crop, joints = rng.integers(0, 256, (56, 56, 3)).astype(np.uint8), rng.standard_normal((54, 4))
    pose = rng.uniform(-1, 1, 72)
    assert np.array_equal(augment_crop(crop, nothing), crop)
    assert np.array_equal(augmented_affine(nothing, [30, 40], 50), crop_affine([30, 40], 50))
    assert np.array_equal(augment_joints3d(joints, nothing, SMPL_54.flip), joints)
    assert augment_pose(pose, nothing) == pytest.approx(pose)


def test_scale_widens_the_square():
    wide = augmented_affine(SampleAugmentation(scale=1.25), [30, 40], 80)
    assert wide == pytest.approx(crop_affine([30, 40], 100))


@given(seeds)
def test_flip_twice_is_identity(seed):
    rng = np.random.default_rng(seed)
    joints, pose = rng.standard_normal((2, 54, 4)), rng.standard_normal((2, 72)).astype(np.float32)
    before = joints.copy()
    assert np.array_equal(flip_joints3d(flip_joints3d(joints, SMPL_54.flip), SMPL_54.flip), joints)
    assert np.array_equal(flip_pose(flip_pose(pose)), pose)
    assert np.array_equal(joints, before)  # never in place


def test_flip_takes_left_for_right():
    left, right = SMPL_54.names.index("left_knee"), SMPL_54.names.index("right_knee")
    joints = np.zeros((54, 4))
    joints[left] = 1, 2, 3, 0.5
    assert flip_joints3d(joints, SMPL_54.flip)[right].tolist() == [-1, 2, 3, 0.5]
    joints2d = augment_joints2d(
        joints[:, [0, 1, 3]], SampleAugmentation(flip=True), np.eye(2, 3), SMPL_54.flip
    )
    assert joints2d[right].tolist() == [1, 2, 0.5]  # the affine mirrors, the permutation only renames
    pose = np.zeros(72)
    pose[3 * left : 3 * left + 3] = 1, 2, 3
    assert flip_pose(pose)[3 * right : 3 * right + 3].tolist() == [1, -2, -3]


@given(seeds, angles)
def test_pose_turns_as_the_joints_do(seed, rotation):
    rng = np.random.default_rng(seed)
    pose, directions = rng.uniform(-2, 2, (3, 72)), rng.standard_normal((3, 5, 3))
    turned = rotate_pose(pose, np.full(3, rotation))
    assert np.array_equal(turned[:, 3:], pose[:, 3:])
    for i in range(3):
        posed = directions[i] @ matrix(pose[i, :3]).T
        assert directions[i] @ matrix(turned[i, :3]).T == pytest.approx(rotate_joints3d(posed, rotation))


def matrix(axis_angle: np.ndarray) -> np.ndarray:
    """Rodrigues' formula."""
    angle = np.linalg.norm(axis_angle)
    x, y, z = axis_angle / angle
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


@given(angles)
def test_turning_a_person_at_rest(rotation):
    assert rotate_pose(np.zeros(72), rotation)[:3] == pytest.approx([0, 0, -rotation], abs=1e-9)


@given(seeds, angles, st.booleans())
def test_pose_augmentation_can_be_undone(seed, rotation, flip):
    pose = np.random.default_rng(seed).uniform(-1, 1, 72)
    back = rotate_pose(augment_pose(pose, SampleAugmentation(flip=flip, rotation=rotation)), -rotation)
    assert (flip_pose(back) if flip else back) == pytest.approx(pose)


def test_projected_3d_joints_follow_the_crop():
    """Orthographic 2D of the turned 3D joints is the turned 2D: one sign error in either would show."""
    joints3d = np.random.default_rng(5).uniform(-1, 1, (54, 4))
    augmentation = SampleAugmentation(flip=True, scale=0.9, rotation=0.7)
    joints2d = joints3d[:, :2] * 100 + [300, 200]
    affine = augmented_affine(augmentation, [300, 200], 250)
    moved = augment_joints2d(joints2d, augmentation, affine, SMPL_54.flip)
    turned = augment_joints3d(joints3d, augmentation, SMPL_54.flip)
    assert moved == pytest.approx(turned[:, :2] * 100 * 224 / 225 + 112)


def test_channels_are_scaled_rounded_and_saturated():
    image = np.array([[[0, 100, 200]], [[255, 3, 101]]], np.uint8)
    scaled = scale_channels(image, (0.6, 0.5, 1.4))
    assert scaled.tolist() == [[[0, 50, 255]], [[153, 2, 141]]]


def test_scaling_the_crop_is_scaling_the_image():
    image = np.random.default_rng(6).integers(0, 180, (100, 120, 3)).astype(np.uint8)
    affine = crop_affine([60, 50], 90, 0.3, 56)
    gains = (0.7, 1.05, 1.4)
    crop = augment_crop(crop_image(image, affine, 56), SampleAugmentation(gains=gains))
    assert np.abs(crop.astype(int) - crop_image(scale_channels(image, gains), affine, 56)).max() <= 2


def test_draws_depend_on_the_generator_alone():
    first, second, other = (draw_augmentation(np.random.default_rng([7, s]), MIXED) for s in (1, 1, 2))
    assert first == second
    assert first != other


@given(seeds)
def test_a_setting_changes_no_other_draw(seed):
    always, never = (
        settings.model_copy(update={"rotation": Rotation(degrees=30, probability=share)})
        for settings, share in ((BASE, 1), (MIXED, 0))
    )
    base = draw_augmentation(np.random.default_rng(seed), always)
    never = draw_augmentation(np.random.default_rng(seed), never.model_copy(update={"flip": 0}))
    assert never.patch is not None
    assert replace(never, flip=base.flip, rotation=base.rotation, patch=None) == base


def test_strength_zero_is_no_augmentation():
    nothing = {"channel_noise": 0, "flip": 0, "scale": 0, "rotation": Rotation(degrees=0, probability=0.6)}
    off = draw_augmentation(np.random.default_rng(0), BASE.model_copy(update=nothing))
    assert off == SampleAugmentation()


def test_statistics_of_the_base_recipe():
    rng = np.random.default_rng(8)
    draws = [draw_augmentation(rng, BASE) for _ in range(20_000)]
    gains = np.array([draw.gains for draw in draws])
    assert gains.min() >= 0.6 and gains.max() <= 1.4
    assert gains.mean(0) == pytest.approx(np.ones(3), abs=0.01)
    assert gains.std(0) == pytest.approx(np.full(3, 0.8 / np.sqrt(12)), abs=0.01)
    assert np.corrcoef(gains.T)[np.triu_indices(3, 1)] == pytest.approx(np.zeros(3), abs=0.04)
    assert np.mean([draw.flip for draw in draws]) == pytest.approx(0.5, abs=0.02)
    scale = np.array([draw.scale for draw in draws])
    assert (scale.min(), scale.max()) == (0.75, 1.25)
    assert np.mean(scale == 1.25) == pytest.approx(0.1587, abs=0.015)  # beyond one deviation
    assert np.mean(np.abs(scale - 1) < 0.125) == pytest.approx(0.3829, abs=0.02)
    rotation = np.degrees([draw.rotation for draw in draws])
    assert np.abs(rotation).max() == pytest.approx(60)
    assert np.mean(rotation != 0) == pytest.approx(0.6, abs=0.02)
    turned = rotation[rotation != 0]
    assert np.mean(turned >= 59.99) == pytest.approx(0.0228, abs=0.006)  # beyond two deviations
    assert np.mean(np.abs(turned) < 30) == pytest.approx(0.6827, abs=0.02)
    assert all(draw.patch is None for draw in draws)


def test_statistics_of_patches():
    rng = np.random.default_rng(9)
    settings = BASE.model_copy(update={"self_mix": MIX})
    drawn = [draw_augmentation(rng, settings).patch for _ in range(8_000)]
    patches = [patch for patch in drawn if patch]
    assert len(patches) / len(drawn) == pytest.approx(0.5, abs=0.03)
    height, width, share = np.array([(p.height, p.width, p.share) for p in patches]).T
    assert height.max() < 224 and width.max() < 224
    area, aspect = height * width / 224**2, height / width
    assert area.min() == pytest.approx(0.02, abs=0.002) and area.max() == pytest.approx(0.4, abs=0.01)
    small = aspect[area < 0.25]  # only larger patches can be refused for an edge too long
    assert small.min() >= 0.28 and small.max() <= 3.5
    assert np.median(small) == pytest.approx((0.3 + 1 / 0.3) / 2, abs=0.12)  # uniform, not log-uniform
    assert share.min() >= 0.1 and share.max() <= 0.9
    assert share.mean() == pytest.approx(0.5, abs=0.03)
    for corner in ("target", "source"):
        place = np.array([getattr(p, corner) for p in patches])
        room = 224 - np.stack([height, width], 1)
        assert place.min() == 0 and (place <= room).all() and (place == room).any(0).all()
        assert (place / room).mean(0) == pytest.approx(np.full(2, 0.5), abs=0.03)
    offset = np.array([np.subtract(p.target, p.source) for p in patches])
    assert np.mean((offset == 0).all(1)) < 0.01  # the two corners are drawn apart


def test_a_patch_that_never_fits_is_given_up():
    whole = MIX.model_copy(update={"area": (1, 1), "aspect": (1, 1)})
    assert draw_patch(np.random.default_rng(0), whole) is None


@given(seeds)
def test_self_mix_blends_one_patch_and_nothing_else(seed):
    rng = np.random.default_rng(seed)
    crop, patch = rng.integers(0, 256, (64, 64, 3)).astype(np.uint8), draw_patch(rng, MIX, 64)
    assert patch is not None
    before, mixed = crop.copy(), self_mix(crop, patch)
    assert np.array_equal(crop, before)
    (top, left), (source_top, source_left) = patch.target, patch.source
    inside = np.zeros((64, 64), bool)
    inside[top : top + patch.height, left : left + patch.width] = True
    assert np.array_equal(mixed[~inside], crop[~inside])
    target = crop[inside].astype(int)
    shifted = np.roll(crop, (top - source_top, left - source_left), (0, 1))[inside].astype(int)
    blend = mixed[inside].astype(int)
    assert (blend <= np.maximum(target, shifted)).all()
    assert (blend >= np.minimum(target, shifted) - 1).all()  # fractions are dropped
    assert np.abs(blend + 0.5 - (target + patch.share * (shifted - target))).max() <= 0.5 + 1e-6


def test_self_mix_by_hand():
    crop = np.zeros((4, 4, 3), np.uint8)
    crop[0, 0], crop[3, 2] = 100, 201
    mixed = self_mix(crop, Patch(1, 2, target=(0, 0), source=(3, 2), share=0.25))
    assert mixed[0, 0].tolist() == [125, 125, 125]  # 75 + 50.25
    mixed[0, 0] = 100
    assert np.array_equal(mixed, crop)


def test_labels_know_nothing_of_colour_and_patch():
    mixing = draw_augmentation(np.random.default_rng(1), MIXED)
    plain = replace(mixing, gains=(1.0, 1.0, 1.0), patch=None)
    joints = np.random.default_rng(2).standard_normal((54, 4))
    assert np.array_equal(augmented_affine(mixing, [9, 9], 50), augmented_affine(plain, [9, 9], 50))
    assert np.array_equal(*(augment_joints3d(joints, a, SMPL_54.flip) for a in (mixing, plain)))
