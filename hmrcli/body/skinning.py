"""Costly steps of the body model, with the batch along the last axis and their own backward passes.

Both are plain formulas; autograd's own backward passes are several times slower, because it writes out every
intermediate and transposes the sparse matrix in each step.
"""

import warnings
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from hmrcli.body.sparse import trusted


def blend_rows(blend: Tensor, points: Tensor) -> Tensor:
    """Moves each point by its own affine map (SMPL, eq. 2).

    Args:
        blend: (V, 3, 4, B) a 3x4 matrix per point and body.
        points: (V, 3, B).

    Returns:
        (V, 3, B).
    """
    moved: Tensor = _BlendRows.apply(blend, points)
    return moved


class _BlendRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, blend: Tensor, points: Tensor) -> Tensor:
        ctx.save_for_backward(blend, points)
        moved = torch.addcmul(blend[:, :, 3], blend[:, :, 0], points[:, 0:1])
        moved.addcmul_(blend[:, :, 1], points[:, 1:2])
        return moved.addcmul_(blend[:, :, 2], points[:, 2:3])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        blend, points = ctx.saved_tensors
        of_blend = torch.empty_like(blend)
        torch.mul(gradient[:, :, None], points[:, None], out=of_blend[:, :, :3])
        of_blend[:, :, 3] = gradient
        of_points = blend[:, 0, :3] * gradient[:, 0:1]
        of_points.addcmul_(blend[:, 1, :3], gradient[:, 1:2])
        of_points.addcmul_(blend[:, 2, :3], gradient[:, 2:3])
        return of_blend, of_points


def row_arrays(dense: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Takes a matrix apart into row pointers, columns and values: plain tensors, which a module moves like others."""
    with warnings.catch_warnings(), trusted():
        warnings.simplefilter("ignore")  # torch calls its row format a beta, once a process
        rows = dense.to_sparse_csr()
    return rows.crow_indices(), rows.col_indices(), rows.values()


def from_row_arrays(pointers: Tensor, columns: Tensor, values: Tensor, width: int) -> Tensor:
    """Puts together the sparse matrix that `row_arrays` took apart."""
    size = (len(pointers) - 1, width)
    with trusted():
        return torch.sparse_csr_tensor(pointers, columns, values, size)


def sparse_product(matrix: Tensor, transposed: Tensor, factors: Tensor) -> Tensor:
    """Multiplies (N, K) sparse by (K, B) dense; `transposed` (K, N) serves the backward pass."""
    product: Tensor = _SparseProduct.apply(matrix, transposed, factors)
    return product


class _SparseProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, matrix: Tensor, transposed: Tensor, factors: Tensor) -> Tensor:
        ctx.transposed = transposed
        return matrix @ factors

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, None, Tensor]:
        return None, None, ctx.transposed @ gradient.contiguous()
