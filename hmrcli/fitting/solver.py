"""Levenberg-Marquardt on batches of small non-linear least squares problems."""

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor

State = TypeVar("State", bound=tuple)


class Quadratic(NamedTuple):
    """The objective around a state: cost + gradient·step + ½ step·hessian·step."""

    cost: Tensor
    """(B,)."""
    gradient: Tensor
    """(B, P)."""
    hessian: Tensor
    """(B, P, P), Gauss-Newton's."""

    def plus(self, other: "Quadratic") -> "Quadratic":
        """Adds two objectives."""
        return Quadratic(*(a + b for a, b in zip(self, other)))


def least_squares(residual: Tensor, jacobian: Tensor, weight: Tensor | float = 1.0) -> Quadratic:
    """Returns ½ Σ w r² around a state.

    Args:
        residual: (B, M).
        jacobian: (B, M, P).
        weight: broadcastable to (B, M).
    """
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
    around = least_squares(
        residual.flatten(1),
        jacobian.flatten(1, 2),
        (weight * damped**2).repeat_interleave(residual.shape[-1], 1),
    )
    return around._replace(cost=0.5 * (weight * damped * residual.square().sum(-1)).sum(-1))


def levenberg_marquardt(
    state: State,
    objective: Callable[[State], Quadratic],
    move: Callable[[State, Tensor], State],
    iterations: int = 20,
    tolerance: float = 1e-4,
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

    Returns:
        the states of least cost and their costs (B,).
    """
    around = objective(state)
    damping = torch.full_like(around.cost, 1e-3)
    open_ = torch.ones_like(around.cost, dtype=torch.bool)
    for _ in range(iterations):
        diagonal = around.hessian.diagonal(dim1=-2, dim2=-1)
        damped = around.hessian + torch.diag_embed(damping[:, None] * diagonal + 1e-9)
        factor, failed = torch.linalg.cholesky_ex(damped)
        step = -torch.cholesky_solve(around.gradient[..., None], factor)[..., 0]
        step = torch.where((failed == 0)[:, None] & step.isfinite(), step, 0.0)
        trial = move(state, step)
        trial_around = objective(trial)
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
