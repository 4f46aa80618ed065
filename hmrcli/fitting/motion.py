"""The motion of one person of a clip: one shape, and pose and place that go smoothly from frame to frame."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Literal, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hmrcli.body import BodyModel
from hmrcli.camera.camera import NEAR
from hmrcli.fitting.agreement import agreement, in_picture, joints_visibility
from hmrcli.fitting.fit import at_adult_size, fit_landmarks, landmark_objective
from hmrcli.fitting.initial import likely_pose
from hmrcli.fitting.lifting import lift
from hmrcli.fitting.points import SHAPE, BodyPoints, BodyState
from hmrcli.fitting.solver import Quadratic, levenberg_marquardt
from hmrcli.fitting.targets import Targets, fitted_targets, seen_targets
from hmrcli.fitting.temporal import MOVING, PARTS, Intervals, believed, smoothest, velocities
from hmrcli.motion import Camera, Motion, Track

Smooth = Literal["none", "light", "strong"]
Frames = NDArray[np.float32]
Values = TypeVar("Values", BodyState, Targets, Intervals)

GAP = 0.5
"""Seconds: a motion goes on over shorter gaps in what was seen; after longer ones it starts anew."""
BATCH = 64
"""Frames that are fitted at once."""
WINDOW, AHEAD = 180, 40
"""Frames that are smoothed at once, and those behind them that are looked at as well."""
FIRST_STEPS, LAST_STEPS = 8, 4
"""Of the solver: for each frame with a shape of its own, and with the shape of all."""
MOMENT = 0.07
"""Seconds for which a person may be taken for turned around, or be lost, and it is noticed."""
FEWEST = 3
"""Frames that have an acceleration."""
SHORTEST = 1e-3
"""Seconds: no interval between frames counts as less."""
USUAL_RATE = 30.0
"""Frames a second of a motion of one frame."""


class Agility(NamedTuple):
    """How a body is believed to accelerate: spectral densities of white noise."""

    turning: float
    """(rad/s²)²/Hz, of slow joints."""
    moving: float
    """(m/s²)²/Hz, of the place."""
    fast: float
    """Radians a second of a joint that turns with twice that density; it grows with the square of the speed."""


AGILITY = {"light": Agility(15.0, 0.8, 0.9), "strong": Agility(5.0, 0.3, 0.7)}
"""What each does is in docs/motion.md."""
SPEED_OVER, FAST_OVER = 0.06, 0.15
"""Seconds: deviations of the bells that speeds, and squares of them, are averaged under."""


def fit_track(
    body: BodyModel,
    track: Track,
    camera: Camera,
    smooth: Smooth = "light",
    tell: Callable[[float], None] = lambda share: None,
) -> Motion:
    """Recovers the motion of one person.

    Every frame is fitted alone; then one shape is found that all frames agree on, and poses and places are fitted
    once more with it, each frame for itself (`none`) or together with a prior on accelerations.

    Args:
        body: any body in SMPL's format.
        track: what was seen of the person; its masks may be compact (F, S, S) or absent (F, 0, 0).
        camera: of all frames.
        smooth: strength of the prior.
        tell: hears the share of the work that is done.
    """
    model = at_adult_size(body)
    targets, count = track_targets(track, camera), len(track.frames)
    states, knowledge = [], []
    for part in _batches(count):
        state, known = _each_alone(body, model, frames_of(targets, part))
        states.append(state)
        knowledge.append(known)
        tell(0.5 * part.stop / count)
    state, known = BodyState(*map(torch.cat, zip(*states))), torch.cat(knowledge)
    # The mean of the frames' shapes, by what is known of them in each.
    shape = torch.linalg.solve(known.sum(0), (known @ state.betas[..., None]).sum(0))[:, 0]
    state = state._replace(betas=shape.expand(count, -1).clone())
    if smooth == "none" or count < FEWEST:
        for part in _batches(count):
            here, objective = frames_of(state, part), frame_objective(model, targets, part)
            found, _ = levenberg_marquardt(here, objective, BodyState.moved, LAST_STEPS, free=MOVING)
            _put(state, part, found)
            tell(0.5 + 0.5 * part.stop / count)
    else:
        asked = partial(frame_objective, model, targets)
        state = smoothed(state, track.times, smooth, asked, lambda share: tell(0.5 + 0.5 * share))
    return motion_of(body, track, camera, state._replace(transl=body.size * state.transl), "fit")


def smoothed(
    state: BodyState,
    times: NDArray[np.float64],
    smooth: Literal["light", "strong"],
    objective: Callable[[slice, Tensor], Callable[[BodyState], Quadratic]],
    tell: Callable[[float], None] = lambda share: None,
) -> BodyState:
    """Makes poses and places go smoothly from frame to frame, as far as what was seen allows.

    Args:
        state: of F frames, `FEWEST` or more, each found alone.
        times: (F,) seconds.
        smooth: strength of the prior.
        objective: what some frames ask, by how far each of them is believed.
        tell: hears the share of the work that is done.
    """
    count, gaps = len(times), intervals(times)
    state, trust = believed(state, max(round(MOMENT / gaps.seconds.median().item()), 2))
    agility = agility_of(state, gaps, AGILITY[smooth])
    for part, held, ahead in _windows(count):
        seen = slice(part.start - held, part.stop + ahead)
        between = frames_of(gaps, slice(seen.start, seen.stop - 1))
        asked = objective(seen, trust[seen])
        found = smoothest(frames_of(state, seen), asked, between, agility[seen], held, LAST_STEPS)
        _put(state, part, frames_of(found, slice(held, held + part.stop - part.start)))
        tell(part.stop / count)
    return state


def track_targets(track: Track, camera: Camera) -> Targets:
    """Takes what was seen of a person as what to fit to, frame by frame; depth is lifted."""
    return lift(seen_targets(track.landmarks, track.boxes, camera))


def frame_objective(
    model: BodyPoints, targets: Targets, part: slice, trust: Tensor | None = None
) -> Callable[[BodyState], Quadratic]:
    """Returns what `fit_landmarks` minimises for some frames, with a trust (F,) in what was seen if given."""
    fitted = fitted_targets(frames_of(targets, part))
    prior = likely_pose(model, fitted)
    if trust is not None:
        fitted = fitted._replace(confidence=trust[:, None] * fitted.confidence)
    return partial(landmark_objective, model, prior, fitted)


def intervals(times: NDArray[np.float64]) -> Intervals:
    """Returns the times between frames at `times` (F,) seconds."""
    seconds = torch.from_numpy(np.diff(np.asarray(times, np.float64))).clamp(min=SHORTEST)
    return Intervals(seconds, seconds <= GAP)


def agility_of(state: BodyState, gaps: Intervals, usual: Agility) -> Tensor:
    """Returns (F, 25) densities for `acceleration_terms`: fast joints may accelerate more, so that they keep pace.

    The state is not smooth: speeds are averaged over time before they count; `usual` is of slow joints.
    """
    density = torch.full((len(state.transl), PARTS), usual.turning).to(state.transl)
    density[:, -1] = usual.moving
    times = torch.cat([gaps.seconds.new_zeros(1), gaps.seconds.cumsum(0)])
    middle = (times[1:] + times[:-1]) / 2
    speed = velocities(state, gaps)[:, :-1].flatten(1)
    weight = (gaps.seconds * gaps.bridged)[:, None]
    mean = _under_bell(middle, middle, speed, weight, SPEED_OVER)
    squares = mean.unflatten(1, (-1, 3)).square().sum(-1)
    density[:, :-1] *= 1 + _under_bell(times, middle, squares, weight, FAST_OVER) / usual.fast**2
    return density


def _under_bell(times: Tensor, known: Tensor, values: Tensor, weight: Tensor, deviation: float) -> Tensor:
    """Averages values (K, N) of `known` times (K,) around times (T,), under a normal distribution."""
    means = []
    for part in times.split(256):  # of a long clip, only what is near
        ends = torch.stack([part[0] - 4 * deviation, part[-1] + 4 * deviation])
        near = slice(*torch.searchsorted(known, ends))
        bell = (-0.5 * ((part[:, None] - known[near]) / deviation) ** 2).exp()
        means.append(bell @ (weight * values)[near] / (bell @ weight[near]).clamp(min=1e-9))
    return torch.cat(means)


def _each_alone(body: BodyModel, model: BodyPoints, targets: Targets) -> tuple[BodyState, Tensor]:
    """Fits each frame, and returns with it what it knows of the shape, (F, 10, 10) whatever the pose may be."""
    fits = fit_landmarks(body, targets, iterations=FIRST_STEPS)
    state = BodyState(fits.rotmat.double(), fits.betas.double(), fits.transl.double() / body.size)
    hessian = frame_objective(model, targets, slice(None))(state).hessian
    cross = hessian[:, MOVING, SHAPE]
    explained = cross.mT @ torch.linalg.solve(hessian[:, MOVING][:, :, MOVING], cross)
    return state, hessian[:, SHAPE, SHAPE] - explained


def _batches(count: int) -> Iterator[slice]:
    return (slice(start, min(start + BATCH, count)) for start in range(0, count, BATCH))


def _windows(count: int) -> Iterator[tuple[slice, int, int]]:
    """Yields frames to smooth together, how many before them are held, and how many behind are looked at."""
    start = 0
    while start < count:
        stop = count if count - start <= WINDOW + AHEAD else start + WINDOW
        yield slice(start, stop), min(start, 2), min(AHEAD, count - stop)
        start = stop


def frames_of(values: Values, part: slice) -> Values:
    """Returns some frames of what has an axis of frames in front."""
    return type(values)(*(value[part] for value in values))


def _put(state: BodyState, part: slice, found: BodyState) -> None:
    for whole, value in zip(state, found):
        whole[part] = value


def motion_of(body: BodyModel, track: Track, camera: Camera, state: BodyState, method: str) -> Motion:
    """Puts the bodies of a track, (F,) with the shape of the first, into a motion; scores them by what was seen."""
    scores, visibility = _seen(body, track, camera, state)
    rates = np.diff(track.frames) / np.maximum(np.diff(track.times), SHORTEST)
    return Motion(
        track_id=track.track_id,
        frames=track.frames,
        times=track.times,
        fps=float(np.median(rates)) if len(rates) else USUAL_RATE,
        rotmat=state.rotmat.float().numpy(),
        betas=state.betas[0].float().numpy(),
        transl=state.transl.float().numpy(),
        bbox_xywh=track.boxes.astype(np.float32),
        scores=scores,
        joints_visibility=visibility,
        camera=camera,
        body=body,
        method=method,
    )


def _seen(body: BodyModel, track: Track, camera: Camera, state: BodyState) -> tuple[Frames, Frames]:
    """Scores the bodies of all frames, (F,), and tells how far their joints were seen, (F, 24)."""
    size, parts = (camera.height, camera.width), body.parts.cpu().numpy()
    scores, seen = [], []
    for frames in _batches(len(track.frames)):
        landmarks = track.landmarks[frames]
        with torch.inference_mode():
            rotmat, betas, transl = (value.float() for value in frames_of(state, frames))
            posed = [points.cpu().numpy() for points in body(rotmat, betas, transl)]
        # What is behind the camera lies outside every picture.
        skin, joints = (np.where(points[..., 2:] > NEAR, camera.project(points), -1.0) for points in posed)
        visibility = in_picture(joints, size) * joints_visibility(landmarks, joints)
        scores.append(agreement(landmarks, track.boxes[frames], joints, visibility, skin, parts, size))
        seen.append(visibility)
    return np.concatenate(scores).astype(np.float32), np.concatenate(seen).astype(np.float32)
