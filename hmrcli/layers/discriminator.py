"""HMR's discriminator of real poses and shapes from predicted ones (Kanazawa et al. 2018, section 3.2)."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_JOINTS = 23  # the root's rotation depends on the camera, so it has no score


class PoseDiscriminator(nn.Module):
    """A shared embedding of every joint's rotation, then one score a joint."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_blocks = nn.ModuleDict({"conv_0": nn.Conv2d(9, 32, 1), "conv_1": nn.Conv2d(32, 32, 1)})
        self.fc_layer = nn.ModuleList(nn.Linear(32, 1) for _ in range(_JOINTS))

    def forward(self, rotmat: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 23, 3, 3) -> scores (B, 23), embeddings (B, 32, 23)."""
        x = rotmat.flatten(2)
        for layer in self.conv_blocks.values():  # of one pixel: linear maps
            x = F.linear(x, layer.weight.flatten(1), layer.bias)  # type: ignore[operator, arg-type]
        weight = torch.cat([layer.weight for layer in self.fc_layer])  # type: ignore[misc]
        bias = torch.cat([layer.bias for layer in self.fc_layer])  # type: ignore[misc]
        return torch.linalg.vecdot(x, weight) + bias, x.transpose(1, 2)


class MLPDiscriminator(nn.Module):
    """Fully connected layers of these widths with ReLU between them, down to one score."""

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        steps = enumerate(pairwise((*widths, 1)))
        self.fc_blocks = nn.ModuleDict({f"regressor_fc_{i}": nn.Linear(*step) for i, step in steps})

    def forward(self, x: Tensor) -> Tensor:
        """(B, widths[0]) -> (B, 1)."""
        first, *rest = self.fc_blocks.values()
        x = first(x)
        for layer in rest:
            x = layer(torch.relu(x))
        return x


class Discriminator(nn.Module):
    """Scores each joint, the whole pose and the shape; 1,807,509 parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.pose_discriminator = PoseDiscriminator()
        self.full_pose_discriminator = MLPDiscriminator((32 * _JOINTS, 1024, 1024))
        self.shape_discriminator = MLPDiscriminator((10, 5))

    def forward(self, rotmat: Tensor, betas: Tensor) -> Tensor:
        """Scores, 1 for real and 0 for made up (least-squares GAN), of 23 joints, the whole pose and the shape.

        Rotations (B, 24, 3, 3), root first, and betas (B, 10) -> (B, 25).
        """
        _, jointed = rotmat.split([1, _JOINTS], dim=1)
        joints, embedding = self.pose_discriminator(jointed)
        pose = self.full_pose_discriminator(embedding.flatten(1))
        return torch.cat([joints, pose, self.shape_discriminator(betas)], dim=1)
