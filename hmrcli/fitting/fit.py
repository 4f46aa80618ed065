"""SMPLify-style fitting (Bogo et al. 2016) to body landmarks in 2D and 3D, with a second-order solver."""

from collections.abc import Sequence
from functools import lru_cache, partial
from typing import NamedTuple

import torch
from torch import Tensor

from hmrcli.body import BodyModel
from hmrcli.fitting.initial import initial_state, likely_pose
from hmrcli.fitting.landmarks import attachments
from hmrcli.fitting.points import BodyPoints, BodyState, PosedPoints, body_points, pose_points
from hmrcli.fitting.priors import PosePrior, pose_terms, shape_terms
from hmrcli.fitting.solver import Quadratic, least_squares, levenberg_marquardt, robust_least_squares
from hmrcli.fitting.targets import HIPS, SHOULDERS, Targets, fitted_targets, legs_hidden

# Weights of the objective; standard deviations say how far each landmark source is believed.
_DEVIATION2D, _OUTLIER2D = 0.012, 0.08
"""Shares of the box side."""
_DEVIATION3D, _OUTLIER3D = 0.95, 0.2
"""Factor on what 3D landmarks are said to be off by, and metres."""
_POSE, _LIMIT = 0.25, 400.0
_SHAPE = 2.0
"""Shapes that landmarks ask for are mostly noise: drawn firmly to the mean, they come nearer to the truth."""
_SCALE, _SCALE_SPREAD = 1.0, 0.15
"""Factor from lifted metres to body metres: usual, and spread of its logarithm."""
_UPRIGHT = 0.08
"""Metres by which shoulders are nearer or farther than the hips, where legs are hidden."""
ITERATIONS = 15


class Fit(NamedTuple):
    """Fitted bodies in camera space (see `BodyState`), float32, and the value (B,) of the objective."""

    rotmat: Tensor
    betas: Tensor
    transl: Tensor
    cost: Tensor


def fit_landmarks(
    body: BodyModel | Sequence[BodyModel],
    targets: Targets,
    iterations: int = ITERATIONS,
) -> Fit:
    """Estimates pose, shape and place of each person.

    Args:
        body: any body model in SMPL's format, or the open one at the age of each person.
        targets: landmarks of B people; computed in float64, so that people are fitted alike alone and together.
        iterations: greatest number of steps; with none, bodies are placed where they start.
    """
    if isinstance(body, BodyModel):
        model, size = at_adult_size(body), torch.tensor(body.size, dtype=torch.float64)
    else:
        model = BodyPoints.of_each([at_adult_size(one) for one in body])
        size = torch.tensor([[one.size] for one in body], dtype=torch.float64)
    targets = fitted_targets(targets)
    prior = likely_pose(model, targets)
    state = initial_state(model, prior, targets)
    objective = partial(landmark_objective, model, prior, targets)
    state, cost = levenberg_marquardt(state, objective, BodyState.moved, iterations)
    return Fit(state.rotmat.float(), state.betas.float(), (size * state.transl).float(), cost.float())


@lru_cache(maxsize=16)  # of the adults' body, and of children of all ages that are tried
def at_adult_size(body: BodyModel) -> BodyPoints:
    """Picks the points at the landmarks: a child is fitted where all strengths hold, and brought nearer afterwards."""
    return body_points(body, attachments(body.size)).scaled(1 / body.size)


def landmark_objective(model: BodyPoints, prior: PosePrior, targets: Targets, state: BodyState) -> Quadratic:
    """Sums the objective around a state: reprojection, 3D landmarks, trunk, pose, joint limits, shape."""
    posed = pose_points(model, state)
    total = reprojection_term(posed, targets).plus(points3d_term(posed, targets))
    total = total.plus(upright_term(posed, targets)).plus(pose_terms(prior, state, _POSE, _LIMIT))
    return total.plus(shape_terms(state, _SHAPE))


def reprojection_term(posed: PosedPoints, targets: Targets) -> Quadratic:
    """Measures the distance of projected points to 2D landmarks, in standard deviations."""
    depth = posed.points[..., 2:].clamp(min=0.1)
    slope = posed.points[..., :2] / depth
    unit = _DEVIATION2D * targets.extent[:, None, None]
    focal = targets.focal_length[:, None, None] / unit
    residual = focal * slope + (targets.principal_point[:, None] - targets.points2d) / unit
    across, along = posed.jacobian[..., :2, :], posed.jacobian[..., 2:, :]
    jacobian = (focal / depth)[..., None] * (across - slope[..., None] * along)
    return robust_least_squares(residual, jacobian, targets.confidence, _OUTLIER2D / _DEVIATION2D)


def points3d_term(posed: PosedPoints, targets: Targets) -> Quadratic:
    """Measures the distance to 3D landmarks about their common center, in standard deviations.

    The landmarks' scale is a guess of their network, so it follows the body within its usual spread. It is
    solved for each state, which leaves the gradient as it is (the envelope theorem).
    """
    deviation = _DEVIATION3D * targets.deviation3d
    weight = targets.confidence / deviation.square()
    share = weight / weight.sum(1, keepdim=True).clamp(min=1e-9)
    body = posed.points - (share[..., None] * posed.points).sum(1, keepdim=True)
    jacobian = posed.jacobian - (share[..., None, None] * posed.jacobian).sum(1, keepdim=True)
    seen = targets.points3d - (share[..., None] * targets.points3d).sum(1, keepdim=True)
    pull = 1 / (_SCALE * _SCALE_SPREAD) ** 2
    energy = (weight[..., None] * seen.square()).sum((1, 2))
    scale = ((weight[..., None] * seen * body).sum((1, 2)) + pull * _SCALE) / (energy + pull)
    residual = (body - scale[:, None, None] * seen) / deviation[..., None]
    jacobian = jacobian / deviation[..., None, None]
    return robust_least_squares(residual, jacobian, targets.confidence, _OUTLIER3D / deviation)


def upright_term(posed: PosedPoints, targets: Targets) -> Quadratic:
    """Holds the trunk of people with hidden legs upright: how far it leans, their landmarks do not know."""
    shoulders, hips = (
        PosedPoints(*(value[:, part].mean(1) for value in posed)) for part in (SHOULDERS, HIPS)
    )
    residual = (shoulders.points - hips.points)[:, 2:] / _UPRIGHT
    jacobian = (shoulders.jacobian - hips.jacobian)[:, 2:] / _UPRIGHT
    weight = legs_hidden(targets.confidence) * targets.confidence[:, SHOULDERS].amin(1)
    return least_squares(residual, jacobian, weight[:, None])
