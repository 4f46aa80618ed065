"""PARE (Kocabas et al. 2021): part maps attend to the pixels that tell about each joint."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from hmrcli.algorithms.targets import Keypoints, TrainingTargets
from hmrcli.algorithms.terms import (
    PERSPECTIVE_SPAN,
    body_joints,
    camera_prior,
    divide,
    gaussians,
    mean_errors,
    perspective_pairs,
)
from hmrcli.body.model import BodyModel
from hmrcli.body.rotations import rotmat_from_6d
from hmrcli.layers.crops import Crops, pixels
from hmrcli.layers.hrnet import PoseHRNet
from hmrcli.layers.mean_parameters import MeanParameters, rest_parameters
from hmrcli.layers.prediction import Prediction, full_precision
from hmrcli.layers.resnet import FeaturePyramid, conv_block
from hmrcli.layers.unused import mark_unused
from hmrcli.recipe import Recipe
from hmrcli.recipe.schema import Network

BACKBONES: dict[str, Callable[[], PoseHRNet | FeaturePyramid]] = {
    "resnet18": FeaturePyramid,
    "hrnet_w32": lambda: PoseHRNet(32),
    "hrnet_w48": lambda: PoseHRNet(48),
}

_JOINTS = 24


class JointwiseLinear(nn.Module):
    """A linear map of its own for every joint, without bias."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(1, out_channels, in_channels, _JOINTS, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, 24) -> (B, 24, out_channels)."""
        return torch.einsum("bcj,ocj->bjo", x, self.weight[0, ..., 0, 0])


class PAREHead(nn.Module):
    """Two branches of features; the part branch says where the other one looks.

    Args:
        in_channels: width of the backbone's map (480 for HRNet-W32).
        mean: pose, shape and camera that its output is added to; by default nothing is, as published.
    """

    init_pose: Tensor
    init_shape: Tensor
    init_cam: Tensor

    def __init__(self, in_channels: int, mean: MeanParameters | None = None) -> None:
        super().__init__()
        self.adds_mean = mean is not None
        self.keypoint_deconv_layers = _branch(in_channels)
        self.smpl_deconv_layers = _branch(in_channels)
        self.keypoint_final_layer = nn.Conv2d(128, 1 + _JOINTS, 1)
        self.smpl_final_layer = nn.Conv2d(128, 64, 1)
        self.shape_mlp = nn.Linear(64 * _JOINTS, 10)
        self.cam_mlp = nn.Linear(64 * _JOINTS, 3)
        self.pose_mlp = JointwiseLinear(128, 6)
        start = rest_parameters() if mean is None else mean
        self.register_buffer("temperature", torch.tensor(1.0))
        self.register_buffer("init_pose", start.pose)
        self.register_buffer("init_shape", start.shape)
        self.register_buffer("init_cam", start.cam)
        if mean is None:
            mark_unused(self, "temperature", "init_pose", "init_shape", "init_cam")
        else:
            mark_unused(self, "temperature")
            with torch.no_grad():  # training starts at the mean
                for layer in (self.pose_mlp, self.shape_mlp, self.cam_mlp):
                    layer.weight.mul_(0.01)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """(B, in_channels, H, W) -> rotmat (B, 24, 3, 3), betas (B, 10), cam (B, 3), maps (B, 25, H, W)."""
        part_maps = self.keypoint_final_layer(self.keypoint_deconv_layers(features)).float()
        pose_maps = self.smpl_deconv_layers(features)
        shape_maps = self.smpl_final_layer(pose_maps)
        with full_precision(features):
            attention = part_maps[:, 1:].flatten(2).softmax(dim=2).transpose(1, 2)
            pose = pose_maps.float().flatten(2) @ attention
            shape = (shape_maps.float().flatten(2) @ attention).flatten(1)
            sixd, betas, cam = self.pose_mlp(pose), self.shape_mlp(shape), self.cam_mlp(shape)
            if self.adds_mean:
                sixd = sixd + self.init_pose.unflatten(1, (_JOINTS, 6))
                betas, cam = betas + self.init_shape, cam + self.init_cam
            return rotmat_from_6d(sixd), betas, cam, part_maps


class PARE(nn.Module):
    """Backbone and part-attention head; 32,861,502 parameters with HRNet-W32."""

    def __init__(self, backbone: PoseHRNet | FeaturePyramid, head: PAREHead, body: BodyModel) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.body = body

    def forward(self, crops: Tensor | Crops) -> Prediction:
        """(B, 3, 224, 224) normalised RGB -> rotmat, betas, cam, vertices, joints, part_maps (B, 25, 56, 56).

        The pyramid's maps have 1/8 of the picture's size.
        """
        images = pixels(crops)
        rotmat, betas, cam, part_maps = self.head(self.backbone(images))
        with full_precision(images):
            vertices, joints = self.body(rotmat, betas)
        return Prediction(cam, vertices, rotmat, betas, part_maps=part_maps, joints=joints)


def build_pare(body: BodyModel, backbone: str = "hrnet_w32", mean: MeanParameters | None = None) -> PARE:
    """Builds PARE with its own HRNet, or on a pyramid of half a ResNet-18; what it finds is added to a given mean."""
    network = BACKBONES[backbone]()
    return PARE(network, PAREHead(network.out_channels, mean), body)


def build(network: Network, body: BodyModel, mean: MeanParameters | None) -> PARE:
    """Builds what a recipe asks for."""
    if mean is None and network.mean_parameters is not None:
        mean = rest_parameters()  # weight files bring the recipe's
    return build_pare(body, network.backbone, mean)


def losses(
    prediction: Prediction, targets: TrainingTargets, body: BodyModel, recipe: Recipe
) -> dict[str, Tensor]:
    """Compares bodies and joints as HMR does; two terms are ours."""
    assert prediction.part_maps is not None
    wanted = recipe.losses
    joints3d = body_joints(body, prediction, targets)
    pairs = perspective_pairs(prediction, targets, joints3d, recipe)
    if "local_keypoints3d" in wanted:
        pairs["local_keypoints3d"] = local_keypoints(prediction, targets, joints3d)
    terms = mean_errors(pairs, wanted)
    if "camera_prior" in wanted:
        terms["camera_prior"] = camera_prior(prediction.cam)
    if "part_maps" in wanted:
        keypoints2d = targets.keypoints2d.spanning(PERSPECTIVE_SPAN)
        terms["part_maps"] = part_map_loss(prediction.part_maps, keypoints2d)
    return terms


def local_keypoints(
    prediction: Prediction, targets: TrainingTargets, joints3d: Tensor
) -> tuple[Tensor, Keypoints]:
    """Pairs joints (B, J, 3) in the frame of the pelvis, where the body's turn in the picture is undone.

    Ours: this leaves the pose alone, as PA-MPJPE does, which is learned sooner than where a body faces. Samples
    without a pose, whose turn is unknown, count as without error.
    """
    assert prediction.rotmat is not None
    true = targets.keypoints3d
    known = true._replace(
        values=true.values @ targets.rotmat.values[:, 0],
        confidence=true.confidence * targets.rotmat.flags[:, None],
    )
    return targets.center(joints3d) @ prediction.rotmat[:, 0], known


def part_map_loss(part_maps: Tensor, keypoints: Keypoints) -> Tensor:
    """Tells how far PARE's attention is from the joints: mean cross-entropy with Gaussians of one cell.

    Ours. The paper teaches the same maps by segmentation (section 3.3); joints are labelled in more pictures.

    Args:
        part_maps: (B, 25, H, H) background and 24 joints, before the softmax.
        keypoints: 2D, in [-1, 1], the body's 24 joints first. Those outside the crop count for nothing.
    """
    joints, size = part_maps.shape[1] - 1, part_maps.shape[-1]
    places = (keypoints.values[:, :joints] + 1) / 2 * size - 0.5
    inside = ((places >= 0) & (places <= size - 1)).all(dim=-1)
    target = gaussians(places, size, sigma=1.0).flatten(2)
    target = target / target.sum(dim=2, keepdim=True).clamp(min=1e-6)
    error = -(target * part_maps[:, 1:].flatten(2).log_softmax(dim=2)).sum(dim=2)
    seen = keypoints.confidence[:, :joints] * inside * keypoints.flags[:, None]
    return divide((error * seen).sum(), keypoints.flagged * joints)


def _branch(in_channels: int) -> nn.Sequential:
    return nn.Sequential(*conv_block(in_channels, 128), *conv_block(128, 128))
