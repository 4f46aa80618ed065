"""Rotations out of any 3x3 matrices, in closed form: a decomposition by a library makes a GPU's host wait for it."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def polar_rotation(matrices: Tensor) -> Tensor:
    """Returns the orthogonal factor of polar decompositions, times its determinant.

    With M = R S, S's characteristic polynomial and M S² = R S³ give R from M, its cofactors and the invariants of S
    (Hoger and Carlson, Quarterly of Applied Mathematics 1984); these follow from the eigenvalues of MᵀM, in closed
    form, too. The gradient is finite where singular values coincide, also where two of them are 0.

    (..., 3, 3) -> rotations (..., 3, 3); a left-handed factor is negated as a whole. Zeros for zeros.
    """
    rotations: Tensor = _PolarRotation.apply(matrices)
    return rotations


class _PolarRotation(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, matrices: Tensor) -> Tensor:
        # Squares lose half of the digits; Apple's GPUs have no more of them.
        m = matrices if matrices.device.type == "mps" else matrices.double()
        squared, cofactors = m.mT @ m, torch.linalg.cross(m.roll(-1, -2), m.roll(-2, -2))
        determinant = (m * cofactors).sum((-2, -1), keepdim=True) / 3
        sign = torch.where(determinant < 0, -1.0, 1.0)
        values = _eigenvalues(squared)[..., None, :].clamp(min=0)
        first = values.sqrt().sum(-1, keepdim=True)
        second = (first.square() - values.sum(-1, keepdim=True)) / 2
        scale = (first * second - determinant.abs()).clamp(min=torch.finfo(m.dtype).tiny)
        outside = sign * ((first.square() - second) * m - m @ squared)
        rotations = (outside + first * cofactors) / scale
        ctx.save_for_backward(rotations, squared, second, sign / scale)
        return rotations.to(matrices)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        """Turns dR = R [w]× around, where (tr(S) - S) w is what RᵀdM lacks of being symmetric.

        The inverse of tr(S) - S is (S² + II) / scale.
        """
        rotations, squared, second, factor = ctx.saved_tensors
        turn = torch.linalg.cross(gradient.to(rotations), rotations).sum(-2, keepdim=True)
        solved = factor * (turn @ squared + second * turn)
        return torch.linalg.cross(rotations, solved.expand_as(rotations)).to(gradient)


def _eigenvalues(symmetric: Tensor) -> Tensor:
    """Finds those of symmetric matrices (..., 3, 3), in no order (Smith, Communications of the ACM 1961)."""
    diagonal = symmetric.diagonal(dim1=-2, dim2=-1)
    mean = diagonal.mean(-1, keepdim=True)
    apart = symmetric - torch.diag_embed(mean.expand_as(diagonal))
    spread = (apart.square().mean((-2, -1)) * 1.5).sqrt()[..., None]
    first, second, third = (apart / spread.clamp(min=torch.finfo(apart.dtype).tiny)[..., None]).unbind(-2)
    half = (first * torch.linalg.cross(second, third)).sum(-1, keepdim=True) / 2
    thirds = torch.arange(-1, 2, dtype=mean.dtype, device=mean.device) * (2 * torch.pi / 3)
    return mean + 2 * spread * torch.cos(half.clamp(-1, 1).acos() / 3 + thirds)
