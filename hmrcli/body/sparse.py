"""Sparse matrices: constant ones that are multiplied with, and entries that are known to be in place."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

Side = Literal["rows", "columns"]
_ARRAYS = ("places", "starts", "values")


class SparseMatrix(nn.Module):
    """A constant sparse matrix, kept by rows for products and by columns for their gradients.

    A row of a product is a weighted sum of a few rows of the other factor. That is the operation of `embedding_bag`,
    which is vectorised, there on every device, and known to torch's compiler.
    """

    def __init__(self, matrix: Tensor) -> None:
        """Takes (M, N), dense or sparse."""
        super().__init__()
        self.height = len(matrix)
        if matrix.is_sparse:
            matrix = matrix.coalesce()
            (rows, columns), values = matrix.indices(), matrix.values()
        else:
            rows, columns = (matrix != 0).nonzero(as_tuple=True)  # three times as fast as of the numbers
            values = matrix[rows, columns]
        order = columns.argsort(stable=True)
        for side, lines, count, entries in (
            ("rows", rows, len(matrix), (columns, values)),
            ("columns", columns, matrix.shape[1], (rows[order], values[order])),
        ):
            ends = torch.bincount(lines, minlength=count).cumsum(0)
            arrays = entries[0], F.pad(ends, (1, 0)), entries[1].float()
            for name, array in zip(_ARRAYS, arrays):  # copies: the compiler knows no parts of other tensors
                self.register_buffer(f"{side}_{name}", array.clone(), persistent=False)

    def times(self, factor: float) -> "SparseMatrix":
        """Returns this matrix times a number; both keep the places of their entries in the same memory."""
        other = SparseMatrix.__new__(SparseMatrix)
        nn.Module.__init__(other)
        other.height = self.height
        for name, array in self.named_buffers():
            kept = factor * array if name.endswith("values") else array
            other.register_buffer(name, kept, persistent=False)
        return other

    def forward(self, factors: Tensor) -> Tensor:
        """(N, K) -> (M, K)."""
        return sparse_product(factors, *self.arrays("rows"), *self.arrays("columns"))

    def arrays(self, side: Side) -> tuple[Tensor, Tensor, Tensor]:
        """Returns the entries row by row, or column by column: their places there, where each starts, and values."""
        places, starts, values = (self.get_buffer(f"{side}_{name}") for name in _ARRAYS)
        return places, starts, values


def sparse_product(factors: Tensor, *arrays: Tensor) -> Tensor:
    """Multiplies a matrix, given by its `arrays` of rows and columns, with factors (N, K)."""
    product: Tensor = _SparseProduct.apply(factors, *arrays)
    return product


class _SparseProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, factors: Tensor, *arrays: Tensor) -> Tensor:
        by_row, by_column = arrays[:3], arrays[3:]
        ctx.save_for_backward(*by_column)
        return _weighted_sums(factors, *by_row)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        return _weighted_sums(gradient.contiguous(), *ctx.saved_tensors), *[None] * 6


def _weighted_sums(factors: Tensor, places: Tensor, starts: Tensor, values: Tensor) -> Tensor:
    return F.embedding_bag(
        places, factors, starts, mode="sum", per_sample_weights=values, include_last_offset=True
    )


@contextmanager
def trusted() -> Iterator[None]:
    """Makes sparse tensors without checking their entries, and says so to torch, which otherwise warns (2.11)."""
    with torch.sparse.check_sparse_tensor_invariants(enable=False):
        yield


def sparse_matrix(index: Tensor, values: Tensor, size: tuple[int, int]) -> Tensor:
    """Makes a sparse COO matrix of rows and columns `index` (2, K); `values` (K,) of one place add up."""
    with trusted():
        return torch.sparse_coo_tensor(index, values, size).coalesce()
