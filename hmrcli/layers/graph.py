"""Layers on a mesh that the two graph networks share."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hmrcli.body.sparse import SparseMatrix


class MeshMatrix(SparseMatrix):
    """A constant sparse matrix from vertices to vertices, multiplied with a whole batch at once."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, C) -> (B, M, C), in float32."""
        batch, _, channels = x.shape
        side_by_side = x.float().transpose(0, 1).flatten(1)
        return super().forward(side_by_side).unflatten(1, (batch, channels)).transpose(0, 1)


class GraphLinear(nn.Module):
    """One linear map for all vertices, on channels-first features.

    Parameters are called `W` and `b` as in the published files.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        bound = 1.0 / (in_channels * out_channels)
        self.W = nn.Parameter(torch.empty(out_channels, in_channels).uniform_(-bound, bound))
        self.b = nn.Parameter(torch.empty(out_channels).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, V) -> (B, out_channels, V)."""
        return F.conv1d(x, self.W[:, :, None], self.b)


class GraphConvolution(nn.Module):
    """Mean over each vertex and its neighbours, then a linear map (Kipf and Welling 2017, eq. 2).

    Args:
        in_channels: width of the input.
        out_channels: width of the output.
        neighbours: adjacency with self-loops, rows divided by degree; shared by all layers of a network.
    """

    def __init__(self, in_channels: int, out_channels: int, neighbours: MeshMatrix) -> None:
        super().__init__()
        bound = 6.0 / math.sqrt(in_channels + out_channels)
        self.weight = nn.Parameter(torch.empty(in_channels, out_channels).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(out_channels).uniform_(-bound, bound))
        self.neighbours = neighbours

    def forward(self, x: Tensor) -> Tensor:
        """(B, V, in_channels) -> (B, V, out_channels)."""
        means = self.neighbours(x).transpose(0, 1)  # as it lies in memory
        return F.linear(means, self.weight.T, self.bias).transpose(0, 1)
