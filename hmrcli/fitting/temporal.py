"""Smoothness of posed bodies over time: a prior on accelerations, and a solver of whole windows of frames.

Each rotation and the place of the body move as if white noise accelerated them (an integrated Wiener process), of
which many frames know more than one. What is seen well hardly moves by it, what is hidden or only guessed moves much:
depth more than the place in the image, a covered arm more than one in sight.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from hmrcli.fitting.points import PLACE, POSE, BodyState
from hmrcli.fitting.priors import log_rotation
from hmrcli.fitting.solver import Quadratic

MOVING = 75
"""Numbers of a frame that change over time: rotations of 24 joints and the translation."""
_FREE = [*range(POSE.start, POSE.stop), *range(PLACE.start, PLACE.stop)]
_PARTS = 25
"""Vectors among them: 24 rotations and the translation."""


class Intervals(NamedTuple):
    """Time between neighbouring frames."""

    seconds: Tensor
    """(F - 1,)."""
    bridged: Tensor
    """(F - 1,) True where a motion goes on from one frame to the next."""


class Chain(NamedTuple):
    """Quadratic of F frames that are linked to the next and the one after next; P numbers each."""

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


def velocities(state: BodyState, intervals: Intervals) -> Tensor:
    """Returns (F - 1, 25, 3): radians a second of the joints in their parents' axes, metres a second of the body."""
    turned = log_rotation(state.rotmat[1:] @ state.rotmat[:-1].mT)[0]
    moved = (state.transl[1:] - state.transl[:-1])[:, None]
    return torch.cat([turned, moved], 1) / intervals.seconds[:, None, None]


def acceleration_terms(state: BodyState, intervals: Intervals, agility: Tensor) -> Chain:
    """Sums ½ ∫ |acceleration|² / agility dt around a state.

    Args:
        state: of F frames.
        intervals: between them; nothing is asked across one that is not bridged.
        agility: (F, 25) spectral density of each part's acceleration, (rad/s²)²/Hz and (m/s²)²/Hz.
    """
    frames, dtype = len(state.transl), state.transl.dtype
    turned, slope = log_rotation(state.rotmat[1:] @ state.rotmat[:-1].mT)
    eye = torch.eye(3, dtype=dtype)
    moved = (state.transl[1:] - state.transl[:-1])[:, None]
    seconds = intervals.seconds[:, None, None]
    velocity = torch.cat([turned, moved], 1) / seconds
    # A later rotation turned from the left changes the log by its left Jacobian's inverse, the earlier one by the right's.
    later = torch.cat([slope, eye.expand(frames - 1, 1, 3, 3)], 1) / seconds[..., None]
    earlier = -later.mT
    residual = velocity[1:] - velocity[:-1]
    between = (intervals.seconds[1:] + intervals.seconds[:-1]) / 2
    linked = (intervals.bridged[1:] & intervals.bridged[:-1]).to(dtype)
    weight = (linked / between)[:, None] / agility[1:-1]
    parts = (-earlier[:-1], earlier[1:] - later[:-1], later[1:])  # by the frame before, at and after

    gradient = torch.zeros(frames, _PARTS, 3, dtype=dtype)
    own = torch.zeros(frames, _PARTS, 3, 3, dtype=dtype)
    next_ = torch.zeros(frames - 1, _PARTS, 3, 3, dtype=dtype)
    second = torch.zeros(frames - 2, _PARTS, 3, 3, dtype=dtype)
    inner = frames - 2
    for at, part in enumerate(parts):
        weighted = weight[..., None, None] * part.mT
        gradient[at : at + inner] += (weighted @ residual[..., None])[..., 0]
        own[at : at + inner] += weighted @ part
        if at < 2:
            next_[at : at + inner] += weighted @ parts[at + 1]
        if at < 1:
            second += weighted @ parts[at + 2]
    cost = 0.5 * (weight * residual.square().sum(-1)).sum()
    return Chain(cost, gradient.flatten(1), *(_block_diagonal(block) for block in (own, next_, second)))


def _block_diagonal(blocks: Tensor) -> Tensor:
    """Puts (F, 25, 3, 3) on the diagonals of (F, 75, 75)."""
    matrix = blocks.new_zeros(len(blocks), MOVING, MOVING)
    matrix.unflatten(2, (_PARTS, 3)).unflatten(1, (_PARTS, 3)).diagonal(dim1=1, dim2=3).copy_(
        blocks.movedim(1, -1)
    )
    return matrix


def smoothest(
    state: BodyState,
    objective: Callable[[BodyState], Quadratic],
    intervals: Intervals,
    agility: Tensor,
    held: int = 0,
    iterations: int = 4,
    tolerance: float = 1e-3,
) -> BodyState:
    """Minimises an objective of each frame and the acceleration terms of all (Levenberg-Marquardt); shapes stay.

    Args:
        state: near the least, F >= 3 frames.
        objective: of each frame, (F,).
        intervals: between frames.
        agility: see `acceleration_terms`.
        held: frames at the start that stay as they are.
        iterations: at most as many steps.
        tolerance: share of the cost below which a step's change ends them.
    """
    around = _whole(state, objective, intervals, agility, held)
    damping = 1e-4
    for _ in range(iterations):
        trial = _moved(state, _step(around, damping))
        trial_around = _whole(trial, objective, intervals, agility, held)
        change = trial_around.cost - around.cost
        settled = change.abs() < tolerance * around.cost
        if change < 0:
            state, around, damping = trial, trial_around, damping / 10
        else:
            damping *= 30
        if settled:
            break
    return state


def _moved(state: BodyState, step: Tensor) -> BodyState:
    whole = step.new_zeros(len(step), PLACE.stop)
    whole[:, _FREE] = step
    return state.moved(whole)


def _whole(
    state: BodyState,
    objective: Callable[[BodyState], Quadratic],
    intervals: Intervals,
    agility: Tensor,
    held: int,
) -> Chain:
    chain = acceleration_terms(state, intervals, agility)
    each = objective(state)
    gradient = chain.gradient + each.gradient[:, _FREE]
    own = chain.own + each.hessian[:, _FREE][:, :, _FREE]
    gradient[:held] = 0
    own[:held] += 1e12 * torch.eye(MOVING, dtype=own.dtype)
    return chain._replace(cost=chain.cost + each.cost[held:].sum(), gradient=gradient, own=own)


def _step(chain: Chain, damping: float) -> Tensor:
    """Solves for the step (F, P); two frames at a time, each pair is linked to the next alone."""
    own = chain.own + torch.diag_embed(damping * chain.own.diagonal(dim1=1, dim2=2))
    frames, size = chain.gradient.shape
    pairs, odd = (frames + 1) // 2, frames % 2
    pad = torch.nn.functional.pad
    if odd:  # an idle frame completes the last pair
        own = torch.cat([own, torch.eye(size, dtype=own.dtype)[None]])
    gradient = pad(chain.gradient, (0, 0, 0, odd))
    after = pad(chain.next, (0, 0, 0, 0, 0, 2 * pairs - len(chain.next)))
    second = pad(chain.second, (0, 0, 0, 0, 0, 2 * pairs - len(chain.second)))
    diagonal = own.new_zeros(pairs, 2 * size, 2 * size)
    diagonal[:, :size, :size], diagonal[:, size:, size:] = own[::2], own[1::2]
    diagonal[:, :size, size:], diagonal[:, size:, :size] = after[::2], after[::2].mT
    above = own.new_zeros(pairs, 2 * size, 2 * size)
    above[:, :size, :size], above[:, size:, size:] = second[::2], second[1::2]
    above[:, size:, :size] = after[1::2]
    solved = solve_block_tridiagonal(diagonal, above[:-1], gradient.reshape(pairs, 2 * size))
    return -solved.reshape(2 * pairs, size)[:frames]


def solve_block_tridiagonal(diagonal: Tensor, above: Tensor, right: Tensor) -> Tensor:
    """Solves a symmetric positive definite system of K blocks by Cholesky's decomposition.

    Args:
        diagonal: (K, n, n).
        above: (K - 1, n, n) of each block with the next.
        right: (K, n).
    """
    factors, links, values = [], [], []
    block, value = diagonal[0], right[0]
    for k in range(len(diagonal)):
        factor = torch.linalg.cholesky(block)
        value = torch.linalg.solve_triangular(factor, value[:, None], upper=False)[:, 0]
        factors.append(factor)
        values.append(value)
        if k + 1 < len(diagonal):
            link = torch.linalg.solve_triangular(factor, above[k], upper=False)
            block, value = diagonal[k + 1] - link.mT @ link, right[k + 1] - link.mT @ value
            links.append(link)
    solution = [torch.linalg.solve_triangular(factors[-1].mT, values[-1][:, None], upper=True)[:, 0]]
    for k in range(len(links) - 1, -1, -1):
        rest = values[k] - links[k] @ solution[-1]
        solution.append(torch.linalg.solve_triangular(factors[k].mT, rest[:, None], upper=True)[:, 0])
    return torch.stack(solution[::-1])
