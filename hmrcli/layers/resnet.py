"""ResNet (He et al. 2016), with the parameter names of torchvision's published files."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class BasicBlock(nn.Module):
    """Two 3×3 convolutions with a shortcut."""

    expansion = 1

    def __init__(self, in_channels: int, channels: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample = _shortcut(in_channels, channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> (B, channels, H/stride, W/stride)."""
        y = torch.relu_(self.bn1(self.conv1(x)))
        return torch.relu_(self.bn2(self.conv2(y)) + self.downsample(x))


class Bottleneck(nn.Module):
    """1×1, 3×3, 1×1 convolutions with a shortcut; the stride sits in the 3×3 one (ResNet v1.5)."""

    expansion = 4

    def __init__(self, in_channels: int, channels: int, stride: int = 1) -> None:
        super().__init__()
        out_channels = channels * self.expansion
        self.conv1 = nn.Conv2d(in_channels, channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = nn.Conv2d(channels, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.downsample = _shortcut(in_channels, out_channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> (B, 4·channels, H/stride, W/stride)."""
        y = torch.relu_(self.bn1(self.conv1(x)))
        y = torch.relu_(self.bn2(self.conv2(y)))
        return torch.relu_(self.bn3(self.conv3(y)) + self.downsample(x))


class ResNet(nn.Module):
    """ResNet up to its last feature map, of so many blocks in each of the four stages.

    The stem has `width` channels, the stages 1, 2, 4 and 8 times as many, before the block's expansion.
    """

    def __init__(
        self, block: type[BasicBlock | Bottleneck], blocks: tuple[int, int, int, int], width: int = 64
    ) -> None:
        super().__init__()
        widths = [width * 2**stage * block.expansion for stage in range(4)]
        self.out_channels = widths[-1]
        self.conv1 = nn.Conv2d(3, width, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.layer1 = _stage(block, width, width, blocks[0], stride=1)
        self.layer2 = _stage(block, widths[0], 2 * width, blocks[1], stride=2)
        self.layer3 = _stage(block, widths[1], 4 * width, blocks[2], stride=2)
        self.layer4 = _stage(block, widths[2], 8 * width, blocks[3], stride=2)
        initialise(self)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) normalised RGB -> (B, out_channels, H/32, W/32)."""
        return self.layer4(self.layer3(self.layer2(self.layer1(self.stem(images)))))

    def stem(self, images: Tensor) -> Tensor:
        """Computes what comes before the stages: (B, 3, H, W) -> (B, 64, H/4, W/4)."""
        return F.max_pool2d(torch.relu_(self.bn1(self.conv1(images))), 3, stride=2, padding=1)


class FeaturePyramid(nn.Module):
    """The second and third stage of a ResNet-18 of half the width in one map (Lin et al., CVPR 2017, section 3).

    For pictures of 128 pixels, of which a cell of the fourth stage would cover more than a limb. The stage is left out.
    Half the width learns about as much from as many pictures, in half the time.
    """

    out_channels = 128

    def __init__(self) -> None:
        super().__init__()
        self.resnet = ResNet(BasicBlock, blocks=(2, 2, 2, 2), width=32)
        self.resnet.layer4 = nn.Sequential()
        self.fine = nn.Conv2d(64, self.out_channels, 1)
        self.coarse = nn.Conv2d(128, self.out_channels, 1)
        self.smooth = conv_block(self.out_channels, self.out_channels)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) normalised RGB -> (B, 128, H/8, W/8)."""
        second = self.resnet.layer2(self.resnet.layer1(self.resnet.stem(images)))
        third = self.coarse(self.resnet.layer3(second))
        return self.smooth(self.fine(second) + F.interpolate(third, second.shape[-2:], mode="nearest"))


def resnet18() -> ResNet:
    """ResNet-18: 11,176,512 parameters without the classifier; 512 channels."""
    return ResNet(BasicBlock, blocks=(2, 2, 2, 2))


def resnet50() -> ResNet:
    """ResNet-50: 23,508,032 parameters without the classifier; 2048 channels."""
    return ResNet(Bottleneck, blocks=(3, 4, 6, 3))


def conv_block(in_channels: int, out_channels: int, stride: int = 1, bias: bool = False) -> nn.Sequential:
    """Makes a 3×3 convolution, its batch norm and a ReLU."""
    convolution = nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=bias)
    return nn.Sequential(convolution, nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True))


def initialise(network: nn.Module) -> None:
    """Draws the weights of all convolutions anew."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


def _stage(
    block: type[BasicBlock | Bottleneck], in_channels: int, channels: int, blocks: int, stride: int
) -> nn.Sequential:
    rest = [block(channels * block.expansion, channels) for _ in range(blocks - 1)]
    return nn.Sequential(block(in_channels, channels, stride), *rest)


def _shortcut(in_channels: int, out_channels: int, stride: int) -> nn.Module:
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels)
    )
