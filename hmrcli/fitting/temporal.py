"""Smoothness of a posed body over time: a prior on accelerations, solved together with what each frame says.

Rotations and the place of the body move as if white noise accelerated them (an integrated Wiener process), of which
many frames know more than one. What is seen well hardly moves by it, what is hidden or guessed moves much: depth more
than the place in the picture, a covered arm more than one in sight. Times between frames may vary.
"""

from collections.abc import Callable
from typing import NamedTuple

import roma
import torch
from torch import Tensor

from hmrcli.fitting.points import PLACE, POSE, STEP, BodyState
from hmrcli.fitting.priors import log_rotation
from hmrcli.fitting.solver import Quadratic, diagonal_blocks
from hmrcli.motion.chain import Chain, linked

MOVING = [*range(POSE.start, POSE.stop), *range(PLACE.start, PLACE.stop)]
"""Numbers of a step that change from frame to frame: rotations and place, not the shape."""
PARTS = len(MOVING) // 3
"""Vectors among them: of 24 joints, and the place."""
_OTHER_POSE = 0.4
"""Radians, root mean square over the joints, by which a pose differs from those around that is half believed."""
_HELD = 1e12
_FIRM, _LOOSER, _FIRMER = 1e-4, 30.0, 0.1
"""Damping of the first step, and its change where a step is refused or taken."""


class Intervals(NamedTuple):
    """Times (F - 1,) between F frames, and where a motion goes on from one to the next, (F - 1,) bool."""

    seconds: Tensor
    bridged: Tensor


def velocities(state: BodyState, intervals: Intervals) -> Tensor:
    """Returns (F - 1, 25, 3): of joints in their parents' axes, radians a second, and of the place, metres a second."""
    turned = log_rotation(state.rotmat[1:] @ state.rotmat[:-1].mT)[0]
    moved = (state.transl[1:] - state.transl[:-1])[:, None]
    return torch.cat([turned, moved], 1) / intervals.seconds[:, None, None]


def believed(state: BodyState, reach: int) -> tuple[BodyState, Tensor]:
    """Finds frames that were fitted to somebody turned around, or to nobody: for a moment, their pose is another.

    Each of F frames, fitted alone, is compared with as many before and after as `reach` says; moments of that
    many are found. Returns the median of their poses where a frame is not believed, and how far each is, (F,)
    in [0, 1].
    """
    count = len(state.transl)
    around = torch.arange(count)[:, None] + torch.arange(-reach, reach + 1)
    around = around.clamp(0, count - 1)
    middle = roma.special_procrustes(state.rotmat[around].median(1).values)
    off = roma.rotmat_geodesic_distance(state.rotmat, middle).square().mean(1).sqrt()
    trust = 1 / (1 + (off / _OTHER_POSE) ** 4)
    doubted = trust < 0.5
    rotmat = torch.where(doubted[:, None, None, None], middle, state.rotmat)
    transl = torch.where(doubted[:, None], state.transl[around].median(1).values, state.transl)
    return state._replace(rotmat=rotmat, transl=transl), trust


def acceleration_terms(state: BodyState, intervals: Intervals, agility: Tensor) -> Chain:
    """Sums ½ ∫ |acceleration|² / agility dt around a state of F >= 3 frames.

    Nothing is asked across an interval that is not bridged. The agility (F, 25) is the spectral density of
    each part's acceleration, (rad/s²)²/Hz and (m/s²)²/Hz.
    """
    seconds = intervals.seconds
    velocity = velocities(state, intervals)
    residual = velocity[1:] - velocity[:-1]
    # Turning the later rotation from the left changes the log by the left Jacobian's inverse, turning the earlier
    # one by the right one's, which is its transpose.
    _, slope = log_rotation(state.rotmat[1:] @ state.rotmat[:-1].mT)
    later = torch.cat([slope, torch.eye(3).to(slope).expand(len(slope), 1, 3, 3)], 1)
    later = later / seconds[:, None, None, None]
    before, at, after = later.mT[:-1], -later.mT[1:] - later[:-1], later[1:]
    bridged = intervals.bridged[1:] & intervals.bridged[:-1]
    between = (seconds[1:] + seconds[:-1]) / 2
    weight = (bridged / between)[:, None] / agility[1:-1]
    chain = linked((before, at, after), residual, weight[..., None].expand_as(residual))
    matrices = []
    for blocks in (chain.own, chain.next, chain.second):
        matrices.append(blocks.new_zeros(len(blocks), 3 * PARTS, 3 * PARTS))
        diagonal_blocks(matrices[-1]).copy_(blocks)
    return Chain(chain.cost, chain.gradient.flatten(1), *matrices)


def smoothest(
    state: BodyState,
    objective: Callable[[BodyState], Quadratic],
    intervals: Intervals,
    agility: Tensor,
    held: int,
    iterations: int,
    tolerance: float = 1e-3,
) -> BodyState:
    """Minimises what each frame asks and the accelerations together (Levenberg-Marquardt); shapes stay.

    Args:
        state: near the least value, F >= 3 frames.
        objective: of each frame for itself, (F,).
        intervals, agility: as for `acceleration_terms`.
        held: frames at the start that stay as they are.
        iterations: at most as many steps.
        tolerance: share of the cost below which a change ends them.
    """

    def whole(state: BodyState) -> Chain:
        chain, each = acceleration_terms(state, intervals, agility), objective(state).of(MOVING)
        gradient, own = chain.gradient + each.gradient, chain.own + each.hessian
        gradient[:held] = 0
        own[:held] += _HELD * torch.eye(len(MOVING)).to(own)
        return chain._replace(cost=chain.cost + each.cost[held:].sum(), gradient=gradient, own=own)

    around, damping = whole(state), _FIRM
    for _ in range(iterations):
        step = state.transl.new_zeros(len(state.transl), STEP)
        step[:, MOVING] = around.step(damping)
        trial = state.moved(step)
        trial_around = whole(trial)
        change = trial_around.cost - around.cost
        settled = change.abs() < tolerance * around.cost
        if change < 0:
            state, around, damping = trial, trial_around, damping * _FIRMER
        else:
            damping *= _LOOSER
        if settled:
            break
    return state
