from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from benchmarks.world import people
from hmrcli.algorithms.pose import SIGMA
from hmrcli.algorithms.terms import gaussians
from hmrcli.body.camera import CROP_SIZE
from hmrcli.data.crop import crop_affine, square_around, transform_points
from hmrcli.evaluation.evaluate import keypoint_errors, keypoint_metrics
from hmrcli.evaluation.samples import Samples
from hmrcli.layers import Crops
from hmrcli.recipe.algorithms import CropShape


class Oracle(nn.Module):
    """Answers with heatmaps at given places (N, 17, 2) in the frame of 224, batch by batch."""

    def __init__(self, places: Tensor) -> None:
        super().__init__()
        self.places, self.done = places, 0
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, crops: Crops) -> Tensor:
        images = crops.images
        size = images.shape[-1] // 4
        own = self.places[self.done : self.done + len(images)]
        self.done += len(images)
        return gaussians(own * (size / CROP_SIZE), size, SIGMA)


@pytest.fixture(scope="module")
def annotations(tmp_path_factory):
    folder = tmp_path_factory.mktemp("people")
    return people(folder, "people", 5), folder


def places(annotations) -> np.ndarray:
    known = annotations.select("coco_17")
    affine = crop_affine(*square_around(known.bbox_xywh))
    return transform_points(known.keypoints2d.astype(float), affine)[..., :2]


@pytest.mark.parametrize("size", [128, 224])
def test_true_heatmaps_err_by_a_part_of_a_cell(annotations, size):
    known, folder = annotations
    network = Oracle(torch.from_numpy(places(known)).float())
    errors = keypoint_errors(network, Samples(known, folder, CropShape(size, size)), range(5))
    assert len(errors) == 5 * 17
    assert errors.max() < 100 * 0.4 * 4 / size  # a quarter of a cell along each axis
    assert keypoint_metrics(errors)["pck5_percent"] == 100


def test_errors_are_percent_of_the_box(annotations):
    known, folder = annotations
    moved = torch.from_numpy(places(known)).float() + torch.tensor([0.08 * CROP_SIZE, 0.0])
    errors = keypoint_errors(Oracle(moved[[1, 3]]), Samples(known, folder, CropShape(224, 224)), [1, 3])
    assert len(errors) == 2 * 17
    np.testing.assert_allclose(errors, 8, atol=0.8)
    metrics = keypoint_metrics(errors)
    assert (metrics["pck5_percent"], metrics["pck10_percent"]) == (0, 100)
    assert metrics["error_percent"] == pytest.approx(8, abs=0.3)


def test_joints_without_confidence_are_not_measured(annotations):
    known, folder = annotations
    keypoints = known.keypoints2d.copy()
    keypoints[:, :, 2] = 0
    keypoints[2, 24, 2] = 1  # the nose
    known = replace(known, keypoints2d=keypoints)
    network = Oracle(torch.from_numpy(places(known)).float())
    assert len(keypoint_errors(network, Samples(known, folder, CropShape(224, 224)), range(5))) == 1
