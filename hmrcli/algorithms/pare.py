"""PARE (Kocabas et al. 2021): part maps attend to the pixels that tell about each joint."""

import torch
from torch import Tensor, nn

from hmrcli.body.model import BodyModel
from hmrcli.body.rotations import rotmat_from_6d
from hmrcli.layers.hrnet import PoseHRNet
from hmrcli.layers.mean import MeanParameters, rest_parameters
from hmrcli.layers.prediction import Prediction, full_precision
from hmrcli.layers.resnet import FeaturePyramid
from hmrcli.layers.stored import stored_only

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
            stored_only(self, "temperature", "init_pose", "init_shape", "init_cam")
        else:
            stored_only(self, "temperature")
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
    """Backbone and part-attention head; 32,861,502 parameters with HRNet-W32.

    Args:
        backbone: HRNet with upsampled branches, or a small pyramid.
        head: the part-attention regressor.
        body: turns pose and shape into vertices.
    """

    def __init__(self, backbone: PoseHRNet | FeaturePyramid, head: PAREHead, body: BodyModel) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.body = body

    def forward(self, images: Tensor) -> Prediction:
        """(B, 3, 224, 224) normalised RGB -> rotmat, betas, cam, vertices, part_maps (B, 25, 56, 56).

        The pyramid's maps have 1/8 of the picture's size.
        """
        rotmat, betas, cam, part_maps = self.head(self.backbone(images))
        with full_precision(images):
            vertices = self.body(rotmat, betas).vertices
        return Prediction(cam=cam, vertices=vertices, rotmat=rotmat, betas=betas, part_maps=part_maps)


def _branch(in_channels: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (in_channels, 128):
        layers += [
            nn.Conv2d(channels, 128, 3, padding=1, bias=False),
            nn.BatchNorm2d(128),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers)
