"""The motion of one person whose body a network regressed in each frame: one shape, and less of the frames' noise.

Fits and regressions share one prior on accelerations (`fitting.temporal`). What a fit is asked by landmarks, a
regression is asked by itself: to stay near what the network said of each frame.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from hmrcli.body import BodyModel
from hmrcli.fitting.motion import FEWEST, Smooth, motion_of, smoothed
from hmrcli.fitting.points import PLACE, POSE, STEP, BodyState
from hmrcli.fitting.priors import log_rotation
from hmrcli.fitting.solver import Quadratic
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
    tell: Callable[[float], None] | None = None,
) -> Motion:
    """Makes a motion of what a network regressed, frame by frame.

    Args:
        body: that was regressed.
        track: what was seen of the person.
        camera: of all frames.
        regressed: (F,) bodies; their median shape becomes that of all.
        smooth: `none` leaves pose and place as they are.
        tell: hears the share of the work that is done.
    """
    state = BodyState(*(value.double() for value in regressed))
    state = state._replace(betas=state.betas.median(0).values.repeat(len(state.betas), 1))
    if smooth != "none" and len(track.frames) >= FEWEST:
        state = smoothed(
            state,
            track.times,
            smooth,
            lambda seen, trust: _near(BodyState(*(value[seen] for value in state)), trust),
            tell or (lambda share: None),
        )
    return motion_of(body, track, camera, state, "regression")


def _near(regressed: BodyState, trust: Tensor) -> Callable[[BodyState], Quadratic]:
    """Returns what keeps bodies (F,) near what was regressed, as far as each is trusted, (F,)."""
    sight = torch.nn.functional.normalize(regressed.transl, dim=-1)
    along = sight[:, :, None] * sight[:, None]
    firm = along / ALONG**2 + (torch.eye(3).to(along) - along) / ACROSS**2

    def objective(state: BodyState) -> Quadratic:
        turned, slope = log_rotation(state.rotmat @ regressed.rotmat.mT)
        moved = state.transl - regressed.transl
        gradient = turned.new_zeros(len(turned), STEP)
        gradient[:, POSE] = (slope.mT @ turned[..., None]).flatten(1) / TURNED**2
        gradient[:, PLACE] = (firm @ moved[..., None])[..., 0]
        hessian = turned.new_zeros(len(turned), STEP, STEP)  # joints do not meet in it: 3 x 3 blocks
        blocks = hessian[:, POSE, POSE].unflatten(2, (24, 3)).unflatten(1, (24, 3)).diagonal(dim1=1, dim2=3)
        blocks.copy_((slope.mT @ slope).movedim(1, -1) / TURNED**2)
        hessian[:, PLACE, PLACE] = firm
        off = turned.square().sum((1, 2)) / TURNED**2 + (moved * gradient[:, PLACE]).sum(1)
        return Quadratic(0.5 * trust * off, trust[:, None] * gradient, trust[:, None, None] * hessian)

    return objective
