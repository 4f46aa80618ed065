"""HMR (Kanazawa et al. 2018): iterative regression of pose, shape and camera; SPIN shares the network."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hmrcli.algorithms.targets import TrainingTargets
from hmrcli.algorithms.terms import body_joints, camera_prior, mean_errors, perspective_pairs
from hmrcli.body.model import BodyModel
from hmrcli.body.rotations import rotmat_from_6d
from hmrcli.layers.crops import Crops, pixels
from hmrcli.layers.hrnet import PoseHRNet
from hmrcli.layers.mean_parameters import MeanParameters, rest_parameters
from hmrcli.layers.prediction import Prediction, full_precision
from hmrcli.layers.resnet import ResNet, resnet18, resnet50
from hmrcli.recipe import Recipe
from hmrcli.recipe.schema import Network

BACKBONES: dict[str, Callable[[], ResNet | PoseHRNet]] = {
    "resnet18": resnet18,
    "resnet50": resnet50,
    "hrnet_w32": lambda: PoseHRNet(32),
}


class HMRHead(nn.Module):
    """Regresses residuals to the current estimate, a fixed number of times (3 in the paper), from the mean on.

    There is no activation between the two layers, as in the published networks.
    """

    init_pose: Tensor
    init_shape: Tensor
    init_cam: Tensor

    def __init__(self, mean: MeanParameters, iterations: int, features: int = 2048) -> None:
        super().__init__()
        self.iterations, self.features = iterations, features
        self.fc1 = nn.Linear(features + 144 + 10 + 3, 1024)
        self.fc2 = nn.Linear(1024, 1024)
        self.decpose = nn.Linear(1024, 144)
        self.decshape = nn.Linear(1024, 10)
        self.deccam = nn.Linear(1024, 3)
        for layer in (self.decpose, self.decshape, self.deccam):
            nn.init.xavier_uniform_(layer.weight, gain=0.01)
        self.register_buffer("init_pose", mean.pose.clone())
        self.register_buffer("init_shape", mean.shape.clone())
        self.register_buffer("init_cam", mean.cam.clone())

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, features) -> rotmat (B, 24, 3, 3), betas (B, 10), cam (B, 3)."""
        start = torch.cat([self.init_pose, self.init_shape, self.init_cam], dim=1)
        estimate = start.expand(len(features), -1)
        last = (self.decpose, self.decshape, self.deccam)  # as one layer
        weight, bias = torch.cat([each.weight for each in last]), torch.cat([each.bias for each in last])
        # The first layer sees the features and the estimate; the features stay the same.
        of_features, of_estimate = self.fc1.weight.split([self.features, start.shape[1]], dim=1)
        seen = F.linear(features, of_features, self.fc1.bias)
        for _ in range(self.iterations):
            x = F.dropout(torch.addmm(seen, estimate, of_estimate.T), 0.5, self.training)
            x = F.dropout(self.fc2(x), 0.5, self.training)
            estimate = estimate + F.linear(x, weight, bias)
        pose, betas, cam = estimate.split([144, 10, 3], dim=1)
        return rotmat_from_6d(pose.unflatten(1, (24, 6))), betas, cam


class HMR(nn.Module):
    """Backbone and iterative head; 26,977,501 parameters with ResNet-50.

    HRNet-W32 is for the benchmark's wider experiments.
    """

    def __init__(self, backbone: ResNet | PoseHRNet, head: HMRHead, body: BodyModel) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.body = body

    def features(self, images: Tensor) -> Tensor:
        """(B, 3, 224, 224) normalised RGB -> (B, 2048), or 512 with ResNet-18.

        A spatial mean for ResNets. HRNet's 480 maps are cut into 2048 runs of equal length instead, which
        mixes channels: that is how the published HRNet models were trained.
        """
        return self.backbone(images).reshape(len(images), self.head.features, -1).mean(dim=2)

    def forward(self, crops: Tensor | Crops) -> Prediction:
        """(B, 3, 224, 224) normalised RGB -> rotmat, betas, cam, vertices, joints."""
        return self.regress(self.features(pixels(crops)))

    def regress(self, features: Tensor, *more: Tensor) -> Prediction:
        """Predicts from features (B, F), and from what else the head takes."""
        with full_precision(features):
            rotmat, betas, cam = self.head(features.float(), *more)
            posed = self.body(rotmat, betas)
        return Prediction(cam, posed.vertices, rotmat, betas, joints=posed.joints)


def build_hmr(
    body: BodyModel, backbone: str = "resnet50", iterations: int = 3, mean: MeanParameters | None = None
) -> HMR:
    """Builds HMR, which is also SPIN's network. Without `mean` the iteration starts from the rest pose."""
    network = BACKBONES[backbone]()
    features = network.out_channels if isinstance(network, ResNet) else 2048
    head = HMRHead(rest_parameters() if mean is None else mean, iterations, features)
    return HMR(network, head, body)


def build(network: Network, body: BodyModel, mean: MeanParameters | None) -> HMR:
    """Builds what a recipe asks for."""
    return build_hmr(body, network.backbone, network.iterations or 3, mean)


def losses(
    prediction: Prediction, targets: TrainingTargets, body: BodyModel, recipe: Recipe
) -> dict[str, Tensor]:
    """Compares bodies and their joints; what the discriminator says comes from `training.losses`.

    SPIN's recipes also keep the camera in front of the body.
    """
    joints3d = body_joints(body, prediction, targets)
    terms = mean_errors(perspective_pairs(prediction, targets, joints3d, recipe), recipe.losses)
    if "camera_prior" in recipe.losses:
        terms["camera_prior"] = camera_prior(prediction.cam)
    return terms
