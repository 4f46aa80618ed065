import pytest
import torch
from torch import Tensor

from hmrcli.algorithms.pose import SIGMA, peaks
from hmrcli.algorithms.targets import count_labels
from hmrcli.algorithms.terms import gaussians
from hmrcli.body import load_body
from hmrcli.body.camera import CROP_SIZE
from hmrcli.recipe import Recipe, load_recipe
from hmrcli.training.losses import training_losses
from tests.training.made import CROPS


def heatmap_losses(recipe: Recipe, heatmaps: Tensor, labels: dict[str, Tensor], counts=None):
    return training_losses(recipe, heatmaps, labels, CROPS, load_body("open"), counts=counts)


def labels(keypoints2d: Tensor) -> dict[str, Tensor]:
    """Labels of people of whom only keypoints (B, 17, 3) are known."""
    batch = len(keypoints2d)
    return {
        "keypoints2d": keypoints2d,
        "keypoints3d": torch.zeros(batch, 17, 4),
        "pose": torch.zeros(batch, 72),
        "betas": torch.zeros(batch, 10),
        "has_keypoints2d": torch.ones(batch, dtype=torch.bool),
        "has_keypoints3d": torch.zeros(batch, dtype=torch.bool),
        "has_smpl": torch.zeros(batch, dtype=torch.bool),
    }


def keypoints(batch: int = 3) -> Tensor:
    random = torch.Generator().manual_seed(0)
    places = 20 + 180 * torch.rand(batch, 17, 2, generator=random)
    return torch.cat([places, 0.5 + 0.5 * torch.rand(batch, 17, 1, generator=random)], 2)


@pytest.mark.parametrize("size", [32, 56])
def test_true_heatmaps_cost_nothing_and_peak_at_the_joints(size):
    truth = keypoints()
    heatmaps = gaussians(truth[..., :2] * (size / CROP_SIZE), size, SIGMA)
    losses = heatmap_losses(load_recipe("open_pose_resnet50"), heatmaps, labels(truth))
    assert losses.keys() == {"heatmaps"} and losses["heatmaps"] == 0
    found = peaks(heatmaps)[0] * (CROP_SIZE / size)
    assert ((found - truth[..., :2]).abs() <= 0.26 * CROP_SIZE / size).all()


def test_the_loss_is_the_weighted_mean_over_cells():
    recipe = load_recipe("open_pose_resnet50", ["losses.heatmaps.weight=10"])
    truth = torch.zeros(1, 17, 3)
    truth[0, 3] = torch.tensor([112.0, 56.0, 0.5])
    heatmaps = torch.zeros(1, 17, 56, 56)
    y, x = torch.meshgrid(torch.arange(56.0), torch.arange(56.0), indexing="ij")
    expected = 10 * 0.5 * torch.exp(-((x - 28).square() + (y - 14).square()) / 8).square().mean()
    found = heatmap_losses(recipe, heatmaps, labels(truth))["heatmaps"]
    torch.testing.assert_close(found, expected)


def test_joints_outside_or_unknown_teach_nothing():
    recipe, truth = load_recipe("open_pose_resnet50"), keypoints(1)
    truth[0, 0, :2] = torch.tensor([-3.0, 50.0])
    truth[0, 1, :2] = torch.tensor([50.0, 226.0])
    truth[0, 2, 2] = 0
    heatmaps = torch.zeros(1, 17, 56, 56, requires_grad=True)
    heatmap_losses(recipe, heatmaps, labels(truth))["heatmaps"].backward()
    taught = heatmaps.grad.abs().sum((0, 2, 3)) > 0
    assert taught.tolist() == [False] * 3 + [True] * 14


def test_parts_of_a_batch_average_to_the_whole():
    recipe, truth = load_recipe("open_pose_resnet50"), keypoints(4)
    truth[0, :9, 2] = 0
    heatmaps = torch.rand(4, 17, 56, 56, generator=torch.Generator().manual_seed(1))
    whole = heatmap_losses(recipe, heatmaps, labels(truth))["heatmaps"]
    halves = [(heatmaps[part], labels(truth[part])) for part in (slice(2), slice(2, 4))]
    each = [count_labels(part) for _, part in halves]
    counts = type(each[0])(*(sum(pair) / 2 for pair in zip(*each)))
    parts = [heatmap_losses(recipe, part, known, counts)["heatmaps"] for part, known in halves]
    torch.testing.assert_close(sum(parts) / 2, whole)


def test_labels_of_another_joint_set_are_refused():
    with pytest.raises(ValueError, match="keypoints2d has shape"):
        heatmap_losses(
            load_recipe("open_pose_resnet50"), torch.zeros(1, 17, 8, 8), labels(torch.zeros(1, 24, 3))
        )
