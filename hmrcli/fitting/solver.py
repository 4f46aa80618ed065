"""Levenberg-Marquardt on batches of small non-linear least squares problems."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor

State = TypeVar("State", bound=tuple)


class Quadratic(NamedTuple):
    """The objective around a state: cost (B,) + gradient (B, P)·step + ½ step·hessian (B, P, P)·step.

    The Hessian is Gauss-Newton's.
    """

    cost: Tensor
    gradient: Tensor
    hessian: Tensor

    def plus(self, other: "Quadratic") -> "Quadratic":
        """Adds two objectives."""
        return Quadratic(*(a + b for a, b in zip(self, other)))

    def of(self, free: Sequence[int] | slice) -> "Quadratic":
        """Keeps some of the P numbers of a step."""
        return Quadratic(self.cost, self.gradient[:, free], self.hessian[:, free][:, :, free])


def diagonal_blocks(matrix: Tensor) -> Tensor:
    """Views the blocks (B, J, 3, 3) on the diagonals of matrices (B, 3J, 3J)."""
    parts = (matrix.shape[-1] // 3, 3)
    return matrix.unflatten(2, parts).unflatten(1, parts).diagonal(dim1=1, dim2=3).movedim(-1, 1)


def least_squares(residual: Tensor, jacobian: Tensor, weight: Tensor | float = 1.0) -> Quadratic:
    """Returns ½ Σ w r² around a state, of residuals (B, M), their jacobian (B, M, P) and weights (B, M)."""
    weighted = weight * residual
    return Quadratic(
        0.5 * (weighted * residual).sum(-1),
        (weighted[:, None] @ jacobian)[:, 0],
        jacobian.mT @ (jacobian * (torch.as_tensor(weight) * torch.ones_like(residual))[..., None]),
    )


def robust_least_squares(
    residual: Tensor, jacobian: Tensor, weight: Tensor, scale: Tensor | float
) -> Quadratic:
    """Returns ½ Σ w ρ(|r|²) over residual vectors, ρ(s) = s / (1 + s / scale²) (Geman-McClure).

    Args:
        residual: (B, N, D), one vector a landmark.
        jacobian: (B, N, D, P).
        weight: (B, N).
        scale: length beyond which a residual counts as an outlier, in units of the residual; (B, N) or for all.
    """
    damped = 1 / (1 + residual.square().sum(-1) / scale**2)
    each = (weight * damped**2).repeat_interleave(residual.shape[-1], 1)
    around = least_squares(residual.flatten(1), jacobian.flatten(1, 2), each)
    return around._replace(cost=0.5 * (weight * damped * residual.square().sum(-1)).sum(-1))


def levenberg_marquardt(
    state: State,
    objective: Callable[[State], Quadratic],
    move: Callable[[State, Tensor], State],
    iterations: int = 20,
    tolerance: float = 1e-4,
    free: Sequence[int] | slice = slice(None),
) -> tuple[State, Tensor]:
    """Minimises each problem of a batch; problems do not influence each other.

    A step that does not lower a problem's cost is refused and its damping raised (Marquardt 1963; the diagonal
    scaling of Fletcher 1971).

    Args:
        state: named tuple of tensors (B, ...).
        objective: the sum to minimise, around a state.
        move: applies a step (B, P) to a state.
        iterations: at most as many evaluations after the first.
        tolerance: a problem has converged when a step changes its cost by a smaller share than this.
        free: numbers of a step that may be other than zero.

    Returns:
        the states of least cost and their costs (B,).
    """
    whole = objective(state)
    around, size = whole.of(free), whole.gradient.shape[1]
    damping = torch.full_like(around.cost, 1e-3)
    open_ = torch.ones_like(around.cost, dtype=torch.bool)
    for _ in range(iterations):
        diagonal = around.hessian.diagonal(dim1=-2, dim2=-1)
        damped = around.hessian + torch.diag_embed(damping[:, None] * diagonal + 1e-9)
        factor, failed = torch.linalg.cholesky_ex(damped)
        step = -torch.cholesky_solve(around.gradient[..., None], factor)[..., 0]
        step = torch.where((failed == 0)[:, None] & step.isfinite(), step, 0.0)
        spread = step.new_zeros(len(step), size)
        spread[:, free] = step
        trial = move(state, spread)
        trial_around = objective(trial).of(free)
        better = open_ & (trial_around.cost < around.cost)
        settled = (trial_around.cost - around.cost).abs() < tolerance * around.cost
        state = _choose(better, trial, state)
        around = _choose(better, trial_around, around)
        damping = torch.where(better, (damping / 5).clamp(min=1e-7), damping * 6)
        open_ = open_ & ~settled & (damping < 1e6)
        if not open_.any():
            break
    return state, around.cost


def _choose(mask: Tensor, first: State, second: State) -> State:
    picked = (torch.where(mask.view(-1, *[1] * (a.dim() - 1)), a, b) for a, b in zip(first, second))
    return type(first)(*picked)
