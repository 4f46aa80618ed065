"""CLIFF (Li et al., ECCV 2022): HMR that is told where in the photo its crop lies, and is taught in the photo."""

from collections.abc import Callable

import torch
from torch import Tensor

from hmrcli.algorithms.hmr import HMR, HMRHead
from hmrcli.algorithms.targets import TrainingTargets
from hmrcli.algorithms.terms import body_joints, body_pairs, mean_errors
from hmrcli.body.camera import CROP_SIZE, full_image_translation, project
from hmrcli.body.model import BodyModel
from hmrcli.layers.constants import constant
from hmrcli.layers.crops import Crops, whole_photos
from hmrcli.layers.mean_parameters import MeanParameters, rest_parameters
from hmrcli.layers.prediction import Prediction
from hmrcli.layers.resnet import ResNet, resnet18, resnet50
from hmrcli.recipe import Recipe
from hmrcli.recipe.schema import Network

BACKBONES: dict[str, Callable[[], ResNet]] = {"resnet18": resnet18, "resnet50": resnet50}

_SPAN = CROP_SIZE - 1
"""Pixels that both axes of a crop are divided by, whatever its size: the benchmark's code never sets another."""


def diagonal(crops: Crops) -> Tensor:
    """Returns the focal lengths (B,) that CLIFF takes photos to have, pixels; those of a calibration are never used."""
    return crops.photo_size.norm(dim=1)


def bbox_info(crops: Crops) -> Tensor:
    """Tells where crops lie in their photos (section 3.2), normalised as in the published code.

    Returns:
        (B, 3) offset of the center and size of the box, by the focal length; about 0 and 1 on average.
    """
    focal, (center, side) = diagonal(crops)[:, None], crops.box.split([2, 1], dim=1)
    return torch.cat(
        [2.8 * (center - crops.photo_size / 2) / focal, (side - 0.24 * focal) / (0.06 * focal)], 1
    )


class CLIFFHead(HMRHead):
    """HMR's head with three more inputs, between the image's feature and the estimate; 3,472,541 parameters."""

    def __init__(self, mean: MeanParameters, iterations: int, features: int = 2048) -> None:
        super().__init__(mean, iterations, features + 3)

    def forward(self, features: Tensor, bbox_info: Tensor) -> tuple[Tensor, Tensor, Tensor]:  # type: ignore[override]
        """(B, features), (B, 3) -> rotmat (B, 24, 3, 3), betas (B, 10), cam (B, 3)."""
        return super().forward(torch.cat([features, bbox_info], dim=1))


class CLIFF(HMR):
    """HMR on a ResNet with a `CLIFFHead`; 26,980,573 parameters with ResNet-50."""

    def features(self, images: Tensor) -> Tensor:
        """(B, 3, 256, 192) normalised RGB -> (B, 2048), or 512 with ResNet-18."""
        return self.backbone(images).mean(dim=(2, 3))

    def forward(self, crops: Tensor | Crops) -> Prediction:
        """Predicts rotmat, betas, cam, vertices and joints; pictures alone are taken for whole photos."""
        crops = crops if isinstance(crops, Crops) else whole_photos(crops)
        return self.regress(self.features(crops.images), bbox_info(crops))


def build_cliff(
    body: BodyModel, backbone: str = "resnet50", iterations: int = 3, mean: MeanParameters | None = None
) -> CLIFF:
    """Builds CLIFF. Without `mean` the iteration starts from the rest pose."""
    network = BACKBONES[backbone]()
    head = CLIFFHead(rest_parameters() if mean is None else mean, iterations, network.out_channels)
    return CLIFF(network, head, body)


def build(network: Network, body: BodyModel, mean: MeanParameters | None) -> CLIFF:
    """Builds what a recipe asks for."""
    return build_cliff(body, network.backbone, network.iterations or 3, mean)


def losses(
    prediction: Prediction, targets: TrainingTargets, body: BodyModel, recipe: Recipe
) -> dict[str, Tensor]:
    """Compares as HMR does, but for the 2D joints, which go through the photo's camera (section 3.3)."""
    joints3d = body_joints(body, prediction, targets)
    width, height = recipe.crop_shape
    middle = constant((width / 2, height / 2), joints3d.device)
    joints2d = through_photo(joints3d, prediction.cam, targets.crops, width) + middle
    # Labels are pixels of a square crop of 224 around the same center, as wide as this one.
    labels = targets.keypoints2d
    labels = labels._replace(values=(labels.values - CROP_SIZE / 2) * (width / CROP_SIZE) + middle)
    pairs = body_pairs(prediction, targets, joints3d, 2 * joints2d / _SPAN - 1, labels.spanning(_SPAN))
    return mean_errors(pairs, recipe.losses)


def through_photo(joints3d: Tensor, cam: Tensor, crops: Crops, width: int) -> Tensor:
    """Projects joints (B, J, 3) into photos, and from there into crops so many pixels wide: (B, J, 2) from the middle.

    As in the published code, a crop's rotation is left out, though its labels have it.
    """
    (center, side), focal, principal = crops.box.split([2, 1], dim=1), diagonal(crops), crops.photo_size / 2
    transl = full_image_translation(cam, center, side[:, 0], focal, principal)
    pixels = project(joints3d + transl[:, None], focal, principal)
    return (pixels - center[:, None]) * (width / side)[:, None]
