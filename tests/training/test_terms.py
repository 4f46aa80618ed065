import numpy as np
import pytest
import torch

from hmrcli.algorithms.pare import part_map_loss
from hmrcli.algorithms.targets import Keypoints, Parameters, centered_on_hips
from hmrcli.algorithms.terms import (
    Part,
    camera_prior,
    gaussians,
    means,
    orthographic2d,
    perspective2d,
)
from hmrcli.body.joints import JOINT_SETS
from hmrcli.body.rotations import rotmat_from_pose
from tests.algorithms.golden import golden

KINDS = {"normal": ("smooth_l1", "mse"), "l1": ("l1", "l1"), "pare_normal": ("mse", "mse")}
"""Of keypoints and of body parameters."""


@pytest.fixture(scope="module")
def data():
    return {name: torch.from_numpy(array) for name, array in golden("losses").items()}


def assert_golden(weighted, data, name):
    torch.testing.assert_close(weighted, data[f"loss:{name}"], rtol=1e-5, atol=1e-6)


def keypoints(target, flags=None):
    confidence = target[..., -1]
    flags = torch.ones(len(target)) if flags is None else flags
    return Keypoints(target[..., :-1], confidence, flags, (confidence > 0).sum(), flags.sum())


@pytest.mark.parametrize("recipe", KINDS)
@pytest.mark.parametrize(("over", "suffix"), [("visible", ""), ("flagged", "_flagged")])
def test_keypoints_of_the_original(recipe, over, suffix, data):
    kind = KINDS[recipe][0]
    every = JOINT_SETS["smpl_54"].from_54
    target3d = data["gt_joints"].clone()
    target3d[..., :3] = centered_on_hips(target3d[..., :3], every)
    predicted3d = centered_on_hips(data["pred_joints"], every)
    loss = 100 * means([Part(predicted3d, keypoints(target3d, data["has_keypoints"]), over)], kind)[0]
    assert_golden(loss, data, f"{recipe}/keypoints3d{suffix}")

    target2d = data["gt_kp2d"].clone()
    target2d[..., :2] = 2 * target2d[..., :2] / 223 - 1
    predicted2d = perspective2d(data["pred_joints"], data["cam"], 5000)
    loss = 10 * means([Part(predicted2d, keypoints(target2d, data["has_keypoints"]), over)], kind)[0]
    assert_golden(loss, data, f"{recipe}/keypoints2d{suffix}")


@pytest.mark.parametrize("recipe", KINDS)
def test_body_terms_of_the_original(recipe, data):
    kind = KINDS[recipe][1]
    flags = data["has_smpl"]

    def weighted(weight, predicted, target, kind):
        return weight * means([Part(predicted, Parameters(target, flags, flags.sum()))], kind)[0]

    rotmat = rotmat_from_pose(data["gt_pose"])
    assert_golden(weighted(3, data["pred_rotmat"], rotmat, kind), data, f"{recipe}/pose")
    assert_golden(weighted(0.02, data["pred_betas"], data["gt_betas"], kind), data, f"{recipe}/betas")
    vertices = weighted(2, data["pred_vertices"], data["gt_vertices"], "l1")
    assert_golden(vertices, data, f"{recipe}/vertices")


def test_every_golden_loss_is_tested(data):
    keypoint = ("keypoints3d", "keypoints2d", "keypoints3d_flagged", "keypoints2d_flagged")
    tested = {f"loss:{r}/{t}" for r in KINDS for t in (*keypoint, "pose", "betas", "vertices")}
    tested |= {f"loss:gan/{name}" for name in ("real", "fake", "generator")}  # in test_adversary
    assert {name for name in data if name.startswith("loss:")} == tested


def test_a_mean_over_all_counts_what_is_not_visible():
    target = torch.tensor([[[1.0, 1, 1], [9, 9, 0]], [[9, 9, 0], [9, 9, 0]]])
    predicted = torch.zeros(2, 2, 2, requires_grad=True)
    flags = torch.tensor([1.0, 0.0])
    by = {
        o: means([Part(predicted, keypoints(target, flags), o)], "l1")[0]
        for o in ("visible", "flagged", "all")
    }
    assert {over: value.item() for over, value in by.items()} == {"visible": 1, "flagged": 0.5, "all": 0.25}
    with pytest.raises(ValueError, match="'some' joints: expected visible, flagged or all"):
        means([Part(predicted, keypoints(target), "some")], "l1")[0]


@pytest.mark.parametrize("over", ["visible", "flagged", "all"])
def test_nothing_labelled_is_zero_and_connected(over):
    predicted = torch.randn(2, 5, 3, requires_grad=True)
    nobody = Parameters(torch.ones(2, 5, 3), torch.zeros(2), torch.tensor(0.0))
    loss = means([Part(predicted, keypoints(torch.zeros(2, 5, 4), torch.zeros(2)), over)], "smooth_l1")[0]
    loss = loss + means([Part(predicted, nobody)], "mse")[0]
    loss.backward()
    assert loss == 0
    assert torch.equal(predicted.grad, torch.zeros(2, 5, 3))


def test_projections():
    joints = torch.tensor([[[0.5, -0.25, 0.0], [0.0, 0.0, 1.0]]])
    cam = torch.tensor([[0.8, 0.1, -0.2]])
    depth = 2 * 5000 / (224 * 0.8)
    expected = [
        [5000 * 0.6 / depth, 5000 * -0.45 / depth],
        [5000 * 0.1 / (depth + 1), 5000 * -0.2 / (depth + 1)],
    ]
    torch.testing.assert_close(perspective2d(joints, cam, 5000), torch.tensor([expected]) * 2 / 223)
    torch.testing.assert_close(
        orthographic2d(joints, cam), torch.tensor([[[0.8 * 0.6, 0.8 * -0.45], [0.08, -0.16]]])
    )


def test_camera_prior_punishes_negative_scales():
    assert camera_prior(torch.tensor([[0.0, 3, 4], [0.1, 5, 6]])) == pytest.approx((1 + 0.1353352832) / 2)
    assert camera_prior(torch.tensor([[-0.1, 0, 0]])) > camera_prior(torch.tensor([[0.1, 0, 0]]))


def test_part_maps_learn_where_joints_are():
    size = 16
    cells = torch.rand(2, 24, 2) * (size - 3) + 1
    target = torch.cat([(cells + 0.5) / size * 2 - 1, torch.ones(2, 24, 1)], dim=2)
    perfect = torch.cat(
        [torch.zeros(2, 1, size, size), gaussians(cells, size, 1.0).clamp(min=1e-30).log()], 1
    )
    found = part_map_loss(perfect, keypoints(target))
    chance = part_map_loss(torch.zeros(2, 25, size, size), keypoints(target))
    elsewhere = part_map_loss(perfect.roll(3, dims=3), keypoints(target))
    # The entropy of a Gaussian of one cell, and of no idea at all.
    assert found == pytest.approx(np.log(2 * np.pi * np.e), abs=0.05)
    assert chance == pytest.approx(np.log(size**2), abs=1e-4)
    assert elsewhere > found + 3


def test_part_maps_of_unknown_joints_count_for_nothing():
    maps = torch.randn(3, 25, 8, 8, requires_grad=True)
    target = torch.rand(3, 54, 3) - 0.5
    target[0, :, 2] = 0  # not labelled
    target[1, :, 0] = 1.3  # outside the crop
    target[2, :, 2] = 1
    flags = torch.tensor([1.0, 1.0, 0.0])  # the last has no keypoints
    part_map_loss(maps, keypoints(target, flags)).backward()
    assert torch.equal(maps.grad, torch.zeros_like(maps))
    alone = part_map_loss(maps[2:], keypoints(target[2:]))
    both = part_map_loss(maps[1:], keypoints(target[1:]))
    torch.testing.assert_close(both, alone / 2)
