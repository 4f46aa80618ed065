"""HRNet (Sun et al. 2019): four resolutions side by side, exchanging features after every module.

The pose variant feeds PARE, the classification variant feeds Graphormer; both share stem and stages.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

from hmrcli.layers.resnet import BasicBlock, Bottleneck, conv_block, initialise
from hmrcli.layers.unused import mark_unused


class HighResolutionModule(nn.Module):
    """Four blocks in each branch, then every branch receives the sum of all branches at its resolution.

    Args:
        channels: width of each branch, finest first; branch b has 1/2^b of the first one's resolution.
    """

    def __init__(self, channels: tuple[int, ...]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(nn.Sequential(*(BasicBlock(c, c) for _ in range(4))) for c in channels)
        self.fuse_layers = nn.ModuleList(
            nn.ModuleList(_fuse(channels, source, target) for source in range(len(channels)))
            for target in range(len(channels))
        )

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """One (B, channels[b], H/2^b, W/2^b) tensor a branch -> the same shapes."""
        features = [branch(x) for branch, x in zip(self.branches, features, strict=True)]
        fused = []
        for layers in self.fuse_layers:
            terms = [layer(x) for layer, x in zip(layers, features, strict=True)]  # type: ignore[call-overload]
            fused.append(torch.relu_(sum(terms[1:], start=terms[0])))
        return fused


class HighResolutionStages(nn.Module):
    """Stem and the four stages that the two variants share.

    Args:
        width: channels of the finest branch (32, 48 or 64); branch b has width·2^b, all together `out_channels`.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.out_channels = 15 * width
        widths = tuple(width * 2**b for b in range(4))
        self.conv1 = nn.Conv2d(3, 64, 3, stride=2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.conv2 = nn.Conv2d(64, 64, 3, stride=2, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(64)
        self.layer1 = nn.Sequential(Bottleneck(64, 64), *(Bottleneck(256, 64) for _ in range(3)))
        self.transition1 = nn.ModuleList(
            [conv_block(256, widths[0]), nn.Sequential(conv_block(256, widths[1], stride=2))]
        )
        self.stage2 = nn.Sequential(HighResolutionModule(widths[:2]))
        self.transition2 = _new_branch(widths[1], widths[2], existing=2)
        self.stage3 = nn.Sequential(*(HighResolutionModule(widths[:3]) for _ in range(4)))
        self.transition3 = _new_branch(widths[2], widths[3], existing=3)
        self.stage4 = nn.Sequential(*(HighResolutionModule(widths) for _ in range(3)))

    def multiscale(self, images: Tensor) -> list[Tensor]:
        """(B, 3, H, W) normalised RGB -> four maps (B, width·2^b, H/4/2^b, W/4/2^b), finest first."""
        x = torch.relu_(self.bn1(self.conv1(images)))
        x = torch.relu_(self.bn2(self.conv2(x)))
        x = self.layer1(x)
        features = self.stage2([transition(x) for transition in self.transition1])
        features = self.stage3([*features, self.transition2[-1](features[-1])])
        return self.stage4([*features, self.transition3[-1](features[-1])])


class PoseHRNet(HighResolutionStages):
    """HRNet for dense heads: all branches brought to the finest resolution and concatenated."""

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.upsample_stage_2 = _upsample(2 * width, steps=1)
        self.upsample_stage_3 = _upsample(4 * width, steps=2)
        self.upsample_stage_4 = _upsample(8 * width, steps=3)
        self.final_layer = mark_unused(nn.Conv2d(width, 24, 1))
        initialise(self)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) normalised RGB -> (B, 15·width, H/4, W/4)."""
        x1, x2, x3, x4 = self.multiscale(images)
        upsampled = [self.upsample_stage_2(x2), self.upsample_stage_3(x3), self.upsample_stage_4(x4)]
        return torch.cat([x1, *upsampled], dim=1)


class ClassificationHRNet(HighResolutionStages):
    """HRNet for ImageNet: branches widened and merged from fine to coarse."""

    def __init__(self, width: int) -> None:
        super().__init__(width)
        inner = (32, 64, 128, 256)
        self.incre_modules = nn.ModuleList(
            nn.Sequential(Bottleneck(width * 2**b, channels)) for b, channels in enumerate(inner)
        )
        self.downsamp_modules = nn.ModuleList(
            conv_block(4 * fine, 4 * coarse, stride=2, bias=True) for fine, coarse in pairwise(inner)
        )
        self.final_layer = nn.Sequential(
            nn.Conv2d(1024, 2048, 1), nn.BatchNorm2d(2048), nn.ReLU(inplace=True)
        )
        self.classifier = mark_unused(nn.Linear(2048, 1000))
        initialise(self)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, H, W) normalised RGB -> feature (B, 2048), grid (B, 1024, H/32, W/32).

        The grid is taken before `final_layer`, the feature is the spatial mean after it.
        """
        features = self.multiscale(images)
        grid = self.incre_modules[0](features[0])
        for step, downsample in enumerate(self.downsamp_modules, start=1):
            grid = self.incre_modules[step](features[step]) + downsample(grid)
        return self.final_layer(grid).mean(dim=(2, 3)), grid


def _new_branch(in_channels: int, out_channels: int, existing: int) -> nn.ModuleList:
    """Keeps the existing branches unchanged, and makes a coarser one from the last of them."""
    kept = [nn.Identity() for _ in range(existing)]
    return nn.ModuleList([*kept, nn.Sequential(conv_block(in_channels, out_channels, stride=2))])


def _fuse(channels: tuple[int, ...], source: int, target: int) -> nn.Module:
    """Brings branch `source` to the width and resolution of branch `target`."""
    if source == target:
        return nn.Identity()
    if source > target:
        return nn.Sequential(
            nn.Conv2d(channels[source], channels[target], 1, bias=False),
            nn.BatchNorm2d(channels[target]),
            nn.Upsample(scale_factor=2 ** (source - target), mode="nearest"),
        )
    halvings = [conv_block(channels[source], channels[source], stride=2) for _ in range(target - source - 1)]
    last = conv_block(channels[source], channels[target], stride=2)[:2]  # the sum comes before the ReLU
    return nn.Sequential(*halvings, last)


def _upsample(channels: int, steps: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for _ in range(steps):
        layers.append(nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True))
        layers.extend(conv_block(channels, channels))
    return nn.Sequential(*layers)
