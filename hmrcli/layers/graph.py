"""Layers on a mesh that the two graph networks share."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hmrcli.body.sparse import Side, SparseMatrix, sparse_product


class MeshMatrix(SparseMatrix):
    """A constant sparse matrix from vertices to vertices, multiplied with a whole batch at once."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, C) -> (B, M, C), in float32."""
        batch, size, channels = x.shape
        arrays = *self._of_batch("rows", batch, size), *self._of_batch("columns", batch, self.height)
        return sparse_product(x.float().reshape(-1, channels), *arrays).view(batch, self.height, channels)

    def _of_batch(self, side: Side, batch: int, width: int) -> tuple[Tensor, Tensor, Tensor]:
        """Repeats the matrix for each of a batch, whose rows of `width` stand one below the other."""
        places, starts, values = self.arrays(side)
        sample = torch.arange(batch, device=places.device)[:, None]
        starts = F.pad((starts[:-1] + sample * len(places)).flatten(), (0, 1), value=batch * len(places))
        return (places + sample * width).flatten(), starts, values.repeat(batch)


class GraphLinear(nn.Module):
    """One linear map for all vertices, on channels-first features; `W` and `b` are the published files' names."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        bound = 1.0 / (in_channels * out_channels)
        self.W = nn.Parameter(torch.empty(out_channels, in_channels).uniform_(-bound, bound))
        self.b = nn.Parameter(torch.empty(out_channels).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, V) -> (B, out_channels, V)."""
        # Unlike `W @ x`, this neither copies x into another layout nor leaves the result in one.
        return torch.baddbmm(self.b[:, None], self.W.expand(len(x), -1, -1), x)


class GraphConvolution(nn.Module):
    """Linear map, then the mean over each vertex and its neighbours (Kipf and Welling 2017, eq. 2).

    All layers of a network share `neighbours`: adjacency with self-loops, rows divided by degree.
    """

    def __init__(self, in_channels: int, out_channels: int, neighbours: MeshMatrix) -> None:
        super().__init__()
        bound = 6.0 / math.sqrt(in_channels + out_channels)
        self.weight = nn.Parameter(torch.empty(in_channels, out_channels).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(out_channels).uniform_(-bound, bound))
        self.neighbours = neighbours

    def forward(self, x: Tensor) -> Tensor:
        """(B, V, in_channels) -> (B, V, out_channels)."""
        return self.neighbours(torch.bmm(x, self.weight.expand(len(x), -1, -1))) + self.bias
