"""The motion of one person whose body a network regressed in each frame: one shape, and less of the frames' noise.

Fits and regressions share one prior on accelerations (`fitting.temporal`). What a fit is asked by landmarks, a
regression is asked by itself: to stay near what the network said of each frame.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from hmrcli.body import BodyModel
from hmrcli.fitting.motion import FEWEST, Smooth, frames_of, motion_of, smoothed
from hmrcli.fitting.points import PLACE, POSE, STEP, BodyState
from hmrcli.fitting.priors import log_rotation
from hmrcli.fitting.solver import Quadratic, diagonal_blocks
from hmrcli.motion import Camera, Motion, Track

TURNED = 0.15
"""Radians by which a joint that a network regressed is usually off."""
ACROSS, ALONG = 0.02, 0.15
"""Metres by which its place is, across the line of sight and along it."""


def smooth_regression(
    body: BodyModel,
    track: Track,
    camera: Camera,
    regressed: BodyState,
    smooth: Smooth = "light",
) -> Motion:
    """Makes a motion of the (F,) bodies that a network regressed of a person, frame by frame.

    Their median shape becomes that of all; without smoothing, pose and place stay as they are.
    """
    state = BodyState(*(value.double() for value in regressed))
    state = state._replace(betas=state.betas.median(0).values.repeat(len(state.betas), 1))
    if smooth != "none" and len(track.frames) >= FEWEST:
        state = smoothed(state, track.times, smooth, partial(_near, state))
    return motion_of(body, track, camera, state, "regression")


def _near(regressed: BodyState, seen: slice, trust: Tensor) -> Callable[[BodyState], Quadratic]:
    """Returns what keeps some bodies (F,) near what was regressed, as far as each is trusted, (F,)."""
    regressed = frames_of(regressed, seen)
    sight = torch.nn.functional.normalize(regressed.transl, dim=-1)
    along = sight[:, :, None] * sight[:, None]
    firm = along / ALONG**2 + (torch.eye(3).to(along) - along) / ACROSS**2

    def objective(state: BodyState) -> Quadratic:
        turned, slope = log_rotation(state.rotmat @ regressed.rotmat.mT)
        moved = state.transl - regressed.transl
        gradient = turned.new_zeros(len(turned), STEP)
        gradient[:, POSE] = (slope.mT @ turned[..., None]).flatten(1) / TURNED**2
        gradient[:, PLACE] = (firm @ moved[..., None])[..., 0]
        hessian = turned.new_zeros(len(turned), STEP, STEP)  # joints do not meet in it
        diagonal_blocks(hessian[:, POSE, POSE]).copy_(slope.mT @ slope / TURNED**2)
        hessian[:, PLACE, PLACE] = firm
        off = turned.square().sum((1, 2)) / TURNED**2 + (moved * gradient[:, PLACE]).sum(1)
        return Quadratic(0.5 * trust * off, trust[:, None] * gradient, trust[:, None, None] * hessian)

    return objective
