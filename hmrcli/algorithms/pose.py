"""Pose networks: heatmaps of 2D joints, by which a backbone learns people before it learns bodies.

What is kept of them is the backbone, as it stands in the networks of the five algorithms.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hmrcli.algorithms.targets import TrainingTargets
from hmrcli.algorithms.terms import ERRORS, divide, gaussians
from hmrcli.body.camera import CROP_SIZE
from hmrcli.body.joints import COCO_17
from hmrcli.body.model import BodyModel
from hmrcli.layers.crops import Crops, pixels
from hmrcli.layers.hrnet import ClassificationHRNet, PoseHRNet
from hmrcli.layers.mean_parameters import MeanParameters
from hmrcli.layers.resnet import ResNet, resnet18, resnet50
from hmrcli.layers.unused import mark_unused
from hmrcli.recipe import Recipe
from hmrcli.recipe.schema import Network

BACKBONES: dict[str, Callable[[], ResNet | PoseHRNet | ClassificationHRNet]] = {
    "resnet18": resnet18,
    "resnet50": resnet50,
    "hrnet_w32": lambda: PoseHRNet(32),
    "hrnet_w48": lambda: ClassificationHRNet(width=48),
}
"""`hrnet_w32` is PARE's, `hrnet_w48` Graphormer's."""

STRIDE = 4
"""Pixels of the picture for each cell of a heatmap."""

SIGMA = 2.0
"""Deviation of the Gaussians that heatmaps learn, in their cells (Xiao et al., ECCV 2018)."""

_CHANNELS = 256
"""Of the deconvolutions."""


class PoseNetwork(nn.Module):
    """A backbone and what brings its features to heatmaps of a quarter of the picture's size.

    ResNets go through three deconvolutions (Xiao et al., ECCV 2018, section 2). HRNets have maps of that size, which
    one convolution reads (Sun et al., CVPR 2019, section 3). What follows the four branches of a `ClassificationHRNet`
    is not trained.
    """

    def __init__(self, backbone: ResNet | PoseHRNet | ClassificationHRNet) -> None:
        super().__init__()
        self.backbone = backbone
        channels = backbone.out_channels
        self.upsampling = nn.Sequential()
        if isinstance(backbone, ResNet):
            self.upsampling.extend([*_doubled(channels), *_doubled(), *_doubled()])
            channels = _CHANNELS
        if isinstance(backbone, ClassificationHRNet):
            for part in (backbone.incre_modules, backbone.downsamp_modules, backbone.final_layer):
                mark_unused(part)
        self.joint_maps = nn.Conv2d(channels, len(COCO_17), 1)
        for module in (*self.upsampling, self.joint_maps):
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.normal_(module.weight, std=0.001)

    def forward(self, crops: Tensor | Crops) -> Tensor:
        """(B, 3, H, W) normalised RGB -> heatmaps (B, 17, H/4, W/4) of COCO's joints, float32."""
        images = pixels(crops)
        if isinstance(self.backbone, ClassificationHRNet):
            fine, *coarse = self.backbone.multiscale(images)
            size = fine.shape[-2:]
            maps = torch.cat([fine, *(F.interpolate(x, size, mode="bilinear") for x in coarse)], dim=1)
        else:
            maps = self.upsampling(self.backbone(images))
        return self.joint_maps(maps).float()


def build_pose(backbone: str = "resnet50") -> PoseNetwork:
    """Builds what trains a backbone on heatmaps."""
    return PoseNetwork(BACKBONES[backbone]())


def build(network: Network, body: BodyModel, mean: MeanParameters | None) -> PoseNetwork:
    """Builds what a recipe asks for."""
    return build_pose(network.backbone)


def losses(
    prediction: Tensor, targets: TrainingTargets, body: BodyModel, recipe: Recipe
) -> dict[str, Tensor]:
    """Compares heatmaps (B, 17, H, W) with Gaussians at the joints.

    Each joint's mean error of its cells is weighed by its confidence. A joint outside the picture has no heatmap and
    counts for nothing.
    """
    keypoints, size = targets.keypoints2d, prediction.shape[-1]
    places = keypoints.values * (size / CROP_SIZE)
    seen = keypoints.confidence * ((places >= 0) & (places <= size - 1)).all(dim=-1)
    kind = recipe.losses["heatmaps"].kind
    error = ERRORS[kind](prediction.float(), gaussians(places, size, SIGMA)).mean(dim=(2, 3))
    return {"heatmaps": divide((error * seen).sum(), keypoints.visible)}


def peaks(heatmaps: Tensor) -> tuple[Tensor, Tensor]:
    """Finds where heatmaps are highest, a quarter of a cell towards the higher neighbour (Newell et al., ECCV 2016).

    (B, J, H, W) -> (B, J, 2) x, y in cells, and (B, J) heights.
    """
    height, width = heatmaps.shape[-2:]
    values, index = heatmaps.flatten(2).max(dim=2)
    y, x = index // width, index % width
    padded = F.pad(heatmaps, (1, 1, 1, 1), mode="replicate").flatten(2)

    def beside(dx: int, dy: int) -> Tensor:
        place = (y + 1 + dy) * (width + 2) + x + 1 + dx
        return padded.gather(2, place[..., None])[..., 0]

    slope = torch.stack([beside(1, 0) - beside(-1, 0), beside(0, 1) - beside(0, -1)], dim=-1)
    inside = torch.stack([(x > 0) & (x < width - 1), (y > 0) & (y < height - 1)], dim=-1)
    return torch.stack([x, y], dim=-1) + 0.25 * slope.sign() * inside, values


def _doubled(in_channels: int = _CHANNELS) -> list[nn.Module]:
    """Layers that double the resolution."""
    deconvolution = nn.ConvTranspose2d(in_channels, _CHANNELS, 4, stride=2, padding=1, bias=False)
    return [deconvolution, nn.BatchNorm2d(_CHANNELS), nn.ReLU(inplace=True)]
