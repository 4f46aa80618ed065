"""Made-up predictions and labels on the open body."""

import torch
from torch import Tensor

from hmrcli.body import BodyModel
from hmrcli.body.rotations import rotmat_from_pose
from hmrcli.layers import Prediction
from hmrcli.layers.crops import whole_photos
from hmrcli.recipe import Recipe

JOINTS = {"smpl_54": 54, "smpl_49": 49, "common_24": 24, "evaluation_14": 14}
CROPS = whole_photos(torch.zeros(3, 3, 224, 224))
"""Where nothing is known of the photos."""
FLAGS = ("has_keypoints2d", "has_keypoints3d", "has_smpl")


def made_labels(recipe: Recipe, batch: int = 3) -> dict[str, Tensor]:
    """Labels of all kinds; the last sample has none, the first all."""
    random = torch.Generator().manual_seed(1)
    count = JOINTS[recipe.data.joints]
    known = torch.arange(batch) < max(1, batch - 1)
    confidence = torch.rand(batch, count, 1, generator=random) * (
        torch.rand(batch, count, 1, generator=random) > 0.3
    )
    confidence = confidence * known[:, None, None]
    return {
        "keypoints2d": torch.cat([224 * torch.rand(batch, count, 2, generator=random), confidence], 2),
        "keypoints3d": torch.cat([torch.randn(batch, count, 3, generator=random), confidence.flip(1)], 2),
        "pose": 0.3 * torch.randn(batch, 72, generator=random),
        "betas": torch.randn(batch, 10, generator=random),
        **{name: known.clone() for name in FLAGS},
    }


def made_prediction(recipe: Recipe, body: BodyModel, batch: int = 3) -> Prediction:
    """What a recipe's network could return; every field is a leaf that collects its gradient."""
    random = torch.Generator().manual_seed(2)

    def normal(*shape: int) -> Tensor:
        return torch.randn(batch, *shape, generator=random)

    cam = torch.tensor([0.9, 0.05, -0.1]) + 0.05 * normal(3)
    levels = tuple(0.5 * normal(size, 3) for size in body.levels.sizes[::-1])
    if recipe.algorithm == "graphormer":
        return _leaves(Prediction(cam, levels[-1], mesh_levels=levels, joints3d=0.5 * normal(14, 3)))
    rotmat, betas = rotmat_from_pose(0.3 * normal(72)), normal(10)
    output = body(rotmat, betas)
    posed = Prediction(cam, output.vertices, rotmat, betas, joints=output.joints)
    if recipe.algorithm == "graphcmr":
        return _leaves(posed._replace(mesh_levels=levels[1:]))
    return _leaves(posed._replace(part_maps=normal(25, 8, 8)) if recipe.algorithm == "pare" else posed)


def leaves(prediction: Prediction) -> dict[str, Tensor]:
    """Fields by name, mesh levels from coarse to fine as level0, level1, …"""
    fields = {name: value for name, value in prediction._asdict().items() if isinstance(value, Tensor)}
    levels = prediction.mesh_levels or ()
    if prediction.rotmat is None:
        del fields["vertices"]  # the last level itself
    return fields | {f"level{i}": level for i, level in enumerate(levels)}


def _leaves(prediction: Prediction) -> Prediction:
    levels = prediction.mesh_levels
    levels = None if levels is None else tuple(level.requires_grad_() for level in levels)
    fields = {
        name: value.requires_grad_()
        for name, value in prediction._asdict().items()
        if isinstance(value, Tensor)
    }
    return prediction._replace(**fields, mesh_levels=levels)
