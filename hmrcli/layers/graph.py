"""Layers on a mesh that the two graph networks share."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class SparseMatrix(nn.Module):
    """A constant sparse matrix, multiplied with a whole batch at once.

    Row i of the product is a weighted sum of a few rows of the operand. That is the operation of
    `embedding_bag`, which is vectorised, differentiable and available on every device.

    Args:
        matrix: (M, N) sparse COO.
    """

    columns: Tensor
    offsets: Tensor
    values: Tensor

    def __init__(self, matrix: Tensor) -> None:
        super().__init__()
        matrix = matrix.coalesce()
        rows, columns = matrix.indices()
        counts = torch.bincount(rows, minlength=len(matrix))
        self.register_buffer("columns", columns, persistent=False)
        self.register_buffer("offsets", counts.cumsum(0) - counts, persistent=False)
        self.register_buffer("values", matrix.values().float(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, C) -> (B, M, C), in float32."""
        batch, size, channels = x.shape
        sample = torch.arange(batch, device=x.device)[:, None]
        product = F.embedding_bag(
            (self.columns + sample * size).flatten(),
            x.float().reshape(batch * size, channels),
            (self.offsets + sample * len(self.columns)).flatten(),
            mode="sum",
            per_sample_weights=self.values.repeat(batch),
        )
        return product.view(batch, len(self.offsets), channels)


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
        # Unlike `W @ x`, this neither copies x into another layout nor leaves the result in one.
        return torch.baddbmm(self.b[:, None], self.W.expand(len(x), -1, -1), x)


class GraphConvolution(nn.Module):
    """Linear map, then the mean over each vertex and its neighbours (Kipf and Welling 2017, eq. 2).

    Args:
        in_channels: width of the input.
        out_channels: width of the output.
        neighbours: adjacency with self-loops, rows divided by degree; shared by all layers of a network.
    """

    def __init__(self, in_channels: int, out_channels: int, neighbours: SparseMatrix) -> None:
        super().__init__()
        bound = 6.0 / math.sqrt(in_channels + out_channels)
        self.weight = nn.Parameter(torch.empty(in_channels, out_channels).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(out_channels).uniform_(-bound, bound))
        self.neighbours = neighbours

    def forward(self, x: Tensor) -> Tensor:
        """(B, V, in_channels) -> (B, V, out_channels)."""
        return self.neighbours(torch.bmm(x, self.weight.expand(len(x), -1, -1))) + self.bias
