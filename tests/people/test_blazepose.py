import numpy as np
import pytest

from hmrcli.people import blazepose
from hmrcli.people.blazepose import Reading, read_crops, read_crops_both_ways, refine
from hmrcli.people.crops import warp_crops
from hmrcli.people.runtime import run
from hmrcli.people.skeleton import LANDMARK_INDEX, LANDMARK_MIRROR


def test_refine_moves_to_the_center_of_mass_only_where_confident():
    heatmaps = np.full((1, 3, 64, 64), -30.0)
    heatmaps[0, 0, 20, 31:33] = 10  # 31.5 cells across, 20 down
    heatmaps[0, 1, 20, 31] = -0.1  # just below a half
    heatmaps[0, 2, 20, 31] = 10  # too far away to count
    points = np.array([[[128.0, 84.0], [128.0, 84.0], [10.0, 10.0]]])
    moved = refine(points, heatmaps)
    assert moved[0, 0] == pytest.approx([126, 80], abs=0.05)
    assert np.array_equal(moved[0, 1:], points[0, 1:])


def test_refine_leaves_points_outside_the_crop():
    points = np.array([[[-5.0, 100.0], [300.0, 100.0]]])
    assert np.array_equal(refine(points, np.full((1, 2, 64, 64), 10.0)), points)


def test_reading_both_ways_is_the_same_for_the_mirrored_crop(photo, found):
    crop = warp_crops(photo, found.crop_to_image[:1])
    plain, mirrored = read_crops_both_ways(crop), read_crops_both_ways(np.ascontiguousarray(crop[:, :, ::-1]))
    body = mirrored.points[:, list(LANDMARK_MIRROR)] * [-1, 1] + [255, 0]
    assert plain.points[:, :33] == pytest.approx(body, abs=0.01)
    assert plain.mask == pytest.approx(mirrored.mask[:, :, ::-1], abs=1e-3)


def test_looks_that_disagree_are_not_averaged(monkeypatch):
    """The first of two people is read alike both ways; the plain look swaps the second's ankles."""
    left, right = LANDMARK_INDEX["left_ankle"], LANDMARK_INDEX["right_ankle"]
    points = np.random.default_rng(0).uniform(50, 200, (2, 35, 2))
    truth = Reading(
        points,
        np.full((2, 33), 0.8, np.float32),
        np.ones((2, 33), np.float32),
        np.zeros((2, 33, 3), np.float32),
        np.ones(2, np.float32),
        np.zeros((2, 256, 256), np.float32),
    )
    shifted = points + 4
    shifted[1, [left, right]] = shifted[1, [right, left]]
    plain = truth._replace(points=shifted, visibility=truth.visibility - 0.1)
    order = [*LANDMARK_MIRROR, 33, 34]
    mirrored = truth._replace(points=points[:, order] * [-1, 1] + [255, 0])
    looks = iter([plain, mirrored])
    monkeypatch.setattr(blazepose, "read_crops", lambda crops: next(looks))
    joined = read_crops_both_ways(np.empty((2, 256, 256, 3), np.uint8))
    assert joined.points[0] == pytest.approx(points[0] + 2)
    assert joined.points[1] == pytest.approx(points[1])
    assert joined.visibility[:, 0] == pytest.approx([0.75, 0.8])


def test_a_batch_reads_as_one_by_one(photo, found):
    crops = warp_crops(photo, np.concatenate([found.crop_to_image] * 5))  # 10 crops: more than one batch
    together = read_crops(crops)
    for i in (0, 1, 8, 9):
        alone = read_crops(crops[i : i + 1])
        assert together.points[i] == pytest.approx(alone.points[0], abs=0.01)
        assert together.world[i] == pytest.approx(alone.world[0], abs=1e-3)


def test_no_crops():
    reading = read_crops_both_ways(np.empty((0, 256, 256, 3), np.uint8))
    assert [field.shape for field in reading[:4]] == [(0, 35, 2), (0, 33), (0, 33), (0, 33, 3)]


def test_depth_is_the_mean_of_two_opinions(photo, found):
    crop = warp_crops(photo, found.crop_to_image[:1])
    heavy, lite = (run(f"blazepose_{name}", crop, ("world",))[0][:, :33] for name in ("heavy", "lite"))
    world = read_crops(crop).world
    assert np.array_equal(world[..., :2], heavy[..., :2])
    assert world[..., 2] == pytest.approx((heavy[..., 2] + lite[..., 2]) / 2, abs=1e-6)
    assert np.abs(heavy[..., 2] - lite[..., 2]).max() > 0.01
