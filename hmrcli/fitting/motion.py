"""The motion of one person of a clip: one shape, and pose and place that go smoothly from frame to frame."""

from typing import Literal, NamedTuple

import torch

from hmrcli.fitting.fit import USUAL, Shape, fit_landmarks, landmark_objective
from hmrcli.fitting.initial import with_hidden_legs
from hmrcli.fitting.points import SHAPE, BodyPoints, BodyState
from hmrcli.fitting.priors import pose_prior
from hmrcli.fitting.solver import Quadratic, levenberg_marquardt
from hmrcli.fitting.targets import Targets, fitted_targets
from hmrcli.fitting.temporal import Intervals, smoothest

Smooth = Literal["none", "light", "strong"]

BATCH = 64
ITERATIONS = 8
WINDOW, AHEAD = 180, 40
GAP = 0.5


class Agility(NamedTuple):
    """How freely the body may accelerate, spectral densities: (rad/s²)²/Hz and (m/s²)²/Hz."""

    turning: float
    moving: float
    speed: float = 3.0
    speed_moving: float = 1.0


AGILITY = {"light": Agility(100.0, 2.0), "strong": Agility(5.0, 0.2)}


def settle(model: BodyPoints, state: BodyState, targets: Targets, iterations: int) -> BodyState:
    objective = frame_objective(model, targets)
    keep = [i for i in range(85) if not SHAPE.start <= i < SHAPE.stop]

    def restricted(s):
        q = objective(s)
        return Quadratic(q.cost, q.gradient[:, keep], q.hessian[:, keep][:, :, keep])

    def move(s, step):
        w = step.new_zeros(len(step), 85)
        w[:, keep] = step
        return s.moved(w)

    return levenberg_marquardt(state, restricted, move, iterations)[0]


def frame_objective(model, targets):
    fitted = fitted_targets(targets)
    prior = with_hidden_legs(model, pose_prior(), fitted)
    return lambda state: landmark_objective(model, prior, Shape(0.0, 1.0), fitted, USUAL, state)


def cut(nt, s):
    return type(nt)(*(v[s] for v in nt))


def each_frame(body, model, targets):
    states, infos = [], []
    for a in range(0, len(targets.points2d), BATCH):
        t = cut(targets, slice(a, a + BATCH))
        f = fit_landmarks(body, t, iterations=ITERATIONS)
        s = BodyState(f.rotmat.double(), f.betas.double(), f.transl.double())
        q = frame_objective(model, t)(s)
        rest = [i for i in range(85) if not SHAPE.start <= i < SHAPE.stop]
        cross = q.hessian[:, rest, SHAPE]
        info = q.hessian[:, SHAPE, SHAPE] - cross.mT @ torch.linalg.solve(q.hessian[:, rest][:, :, rest], cross)
        states.append(s)
        infos.append(info)
    return BodyState(*(torch.cat(v) for v in zip(*states))), torch.cat(infos)


def one_shape(betas, infos):
    return torch.linalg.solve(infos.sum(0), (infos @ betas[..., None]).sum(0)[:, 0])


def smoothed(model, state, targets, intervals, agility):
    F = len(state.transl)
    done = 0
    while done < F:
        a = max(0, done - 2)
        b = min(F, done + WINDOW + AHEAD)
        if F - b < AHEAD: b = F
        w = slice(a, b)
        s = smoothest(cut(state, w), frame_objective(model, cut(targets, w)), Intervals(*(v[a:b-1] for v in intervals)), agility[w], held=done - a)
        e = b if b == F else done + WINDOW
        for whole, part in zip(state, s):
            whole[done:e] = part[done - a : e - a]
        done = e
    return state
