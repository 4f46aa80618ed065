"""Least squares over the frames of a clip, each linked to the next and the one after next."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad


class Chain(NamedTuple):
    """Quadratic of F frames of P numbers each."""

    cost: Tensor
    """() of all frames."""
    gradient: Tensor
    """(F, P)."""
    own: Tensor
    """(F, P, P) Hessian of each frame."""
    next: Tensor
    """(F - 1, P, P) of each frame (rows) with the next (columns)."""
    second: Tensor
    """(F - 2, P, P) of each frame with the one after next."""

    def step(self, damping: float = 0.0) -> Tensor:
        """Returns the step (F, P) to the least value, its diagonal raised by a share of it (Marquardt 1963)."""
        own = self.own + torch.diag_embed(damping * self.own.diagonal(dim1=1, dim2=2))
        frames, size = self.gradient.shape
        odd, pairs = frames % 2, (frames + 1) // 2
        if odd:  # an idle frame completes the last pair
            own = torch.cat([own, torch.eye(size).to(own)[None]])
        # Two frames at a time, each pair is linked to the next alone.
        links = (self.next, self.second)
        after, second = (pad(link, (0, 0, 0, 0, 0, 2 * pairs - len(link))) for link in links)
        diagonal, above = (own.new_zeros(pairs, 2 * size, 2 * size) for _ in range(2))
        diagonal[:, :size, :size], diagonal[:, size:, size:] = own[::2], own[1::2]
        diagonal[:, :size, size:], diagonal[:, size:, :size] = after[::2], after[::2].mT
        above[:, :size, :size], above[:, size:, size:] = second[::2], second[1::2]
        above[:, size:, :size] = after[1::2]
        right = pad(self.gradient, (0, 0, 0, odd)).reshape(pairs, 2 * size)
        return -solve_block_tridiagonal(diagonal, above[:-1], right).reshape(2 * pairs, size)[:frames]


def linked(parts: tuple[Tensor, Tensor, Tensor], residual: Tensor, weight: Tensor) -> Chain:
    """Returns ½ Σ w r² of residuals that three frames in a row share, around a state.

    Residual and weight are (F - 2, ..., M); parts, (F - 2, ..., M, P) each, say how a residual changes with the frame
    before, at and after it.
    """
    inner, (*batch, _, size) = len(residual), parts[0].shape[1:]
    gradient = residual.new_zeros(inner + 2, *batch, size)
    links = [residual.new_zeros(inner + k, *batch, size, size) for k in (2, 1, 0)]
    for at, part in enumerate(parts):
        weighted = part.mT * weight[..., None, :]
        gradient[at : at + inner] += (weighted @ residual[..., None])[..., 0]
        for ahead in range(3 - at):
            links[ahead][at : at + inner] += weighted @ parts[at + ahead]
    return Chain(0.5 * (weight * residual.square()).sum(), gradient, *links)


def solve_block_tridiagonal(diagonal: Tensor, above: Tensor, right: Tensor) -> Tensor:
    """Solves a symmetric positive definite system of K blocks by Cholesky's decomposition.

    The diagonal is (K, n, n), what is `above` it (K - 1, n, n), of each block with the next, and the right side (K, n).
    """
    triangular = torch.linalg.solve_triangular
    factors, links, values = [], [], []
    block, value = diagonal[0], right[0]
    for k in range(len(diagonal)):
        factors.append(torch.linalg.cholesky(block))
        values.append(triangular(factors[k], value[:, None], upper=False)[:, 0])
        if k + 1 < len(diagonal):
            links.append(triangular(factors[k], above[k], upper=False))
            block = diagonal[k + 1] - links[k].mT @ links[k]
            value = right[k + 1] - links[k].mT @ values[k]
    solution = [triangular(factors[-1].mT, values[-1][:, None], upper=True)[:, 0]]
    for k in range(len(links) - 1, -1, -1):
        rest = values[k] - links[k] @ solution[-1]
        solution.append(triangular(factors[k].mT, rest[:, None], upper=True)[:, 0])
    return torch.stack(solution[::-1])
