"""SMPLify-style fitting (Bogo et al. 2016) to body landmarks in 2D and 3D, with a second-order solver."""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from hmrcli.body import BodyModel
from hmrcli.fitting.initial import initial_state, with_hidden_legs
from hmrcli.fitting.landmarks import attachments
from hmrcli.fitting.points import BodyPoints, BodyState, PosedPoints, body_points, pose_points
from hmrcli.fitting.priors import PosePrior, pose_prior, pose_terms, shape_terms
from hmrcli.fitting.solver import Quadratic, least_squares, levenberg_marquardt, robust_least_squares
from hmrcli.fitting.targets import HIPS, SHOULDERS, Targets, fitted_targets, legs_hidden


class Strengths(NamedTuple):
    """Weights of the objective; standard deviations say how far each landmark source is believed."""

    deviation2d: float = 0.012
    """Share of the box side."""
    deviation3d: float = 0.95
    """Factor on what 3D landmarks are said to be off by."""
    outlier2d: float = 0.08
    outlier3d: float = 0.2
    pose: float = 0.25
    limit: float = 400.0
    shape: float = 2.0
    """Shapes that landmarks ask for are mostly noise: drawn firmly to the mean, they come nearer to the true ones."""
    depth_scale: tuple[float, float] = (1.0, 0.15)
    """Factor from lifted metres to body metres: usual, and spread of its logarithm."""
    upright: float = 0.08
    """Metres by which shoulders are nearer or farther than the hips, where legs are hidden."""


USUAL = Strengths()
ITERATIONS = 15


class Fit(NamedTuple):
    """Fitted bodies."""

    rotmat: Tensor
    """(B, 24, 3, 3) float32."""
    betas: Tensor
    """(B, 10)."""
    transl: Tensor
    """(B, 3) metres in camera space."""
    cost: Tensor
    """(B,) value of the objective."""


def fit_landmarks(
    body: BodyModel | Sequence[BodyModel],
    targets: Targets,
    strengths: Strengths | None = None,
    iterations: int = ITERATIONS,
) -> Fit:
    """Estimates pose, shape and place of each person.

    Args:
        body: any body model in SMPL's format, or the open one at the age of each person.
        targets: landmarks of B people; computed in float64, so that people are fitted alike alone and together.
        strengths: `USUAL` when not given.
        iterations: greatest number of steps; with none, bodies are placed where they start.

    Returns:
        the fits, in float32.
    """
    if isinstance(body, BodyModel):
        model, size = _at_adult_size(body), torch.tensor(body.size, dtype=torch.float64)
    else:
        model = BodyPoints.of_each([_at_adult_size(one) for one in body])
        size = torch.tensor([[one.size] for one in body], dtype=torch.float64)
    strengths = strengths or USUAL
    targets = fitted_targets(targets)
    prior = with_hidden_legs(model, likely_pose(pose_prior(), targets), targets)
    state = initial_state(model, prior, targets)

    def objective(state: BodyState) -> Quadratic:
        return landmark_objective(model, prior, Shape(0.0, 1.0), targets, strengths, state)

    state, cost = levenberg_marquardt(state, objective, BodyState.moved, iterations)
    return Fit(state.rotmat.float(), state.betas.float(), (size * state.transl).float(), cost.float())


@lru_cache(maxsize=16)  # of the adults' body, and of children of all ages that are tried
def _at_adult_size(body: BodyModel) -> BodyPoints:
    """Picks the points at the landmarks: a child is fitted where all strengths hold, and brought nearer afterwards."""
    return body_points(body, attachments(body.size)).scaled(1 / body.size)


def likely_pose(prior: PosePrior, targets: Targets) -> PosePrior:
    """Puts the likely pose of each person in place of the usual one; limits stay."""
    return prior._replace(usual=targets.angles, spread=targets.angle_spread)


class Shape(NamedTuple):
    """Betas of people: usual ones and how far they are from these."""

    usual: float | Tensor
    spread: float | Tensor


def landmark_objective(
    model: BodyPoints,
    prior: PosePrior,
    shape: Shape,
    targets: Targets,
    strengths: Strengths,
    state: BodyState,
) -> Quadratic:
    """Sums the objective around a state: reprojection, 3D landmarks, trunk, pose, joint limits, shape."""
    posed = pose_points(model, state)
    total = reprojection_term(posed, targets, strengths)
    total = total.plus(points3d_term(posed, targets, strengths))
    total = total.plus(upright_term(posed, targets, strengths))
    total = total.plus(pose_terms(prior, state, strengths.pose, strengths.limit))
    return total.plus(shape_terms(state, strengths.shape / shape.spread**2, shape.usual))


def reprojection_term(posed: PosedPoints, targets: Targets, strengths: Strengths) -> Quadratic:
    """Measures the distance of projected points to 2D landmarks, in standard deviations."""
    depth = posed.points[..., 2:].clamp(min=0.1)
    slope = posed.points[..., :2] / depth
    unit = strengths.deviation2d * targets.extent[:, None, None]
    focal = targets.focal_length[:, None, None] / unit
    residual = focal * slope + (targets.principal_point[:, None] - targets.points2d) / unit
    across, along = posed.jacobian[..., :2, :], posed.jacobian[..., 2:, :]
    jacobian = (focal / depth)[..., None] * (across - slope[..., None] * along)
    return robust_least_squares(
        residual, jacobian, targets.confidence, strengths.outlier2d / strengths.deviation2d
    )


def points3d_term(posed: PosedPoints, targets: Targets, strengths: Strengths) -> Quadratic:
    """Measures the distance to 3D landmarks about their common center, in standard deviations.

    The landmarks' scale is a guess of their network, so it follows the body within `depth_scale`. It is solved
    for each state, which leaves the gradient as it is (the envelope theorem).
    """
    deviation = strengths.deviation3d * targets.deviation3d
    weight = targets.confidence / deviation.square()
    share = weight / weight.sum(1, keepdim=True).clamp(min=1e-9)
    body = posed.points - (share[..., None] * posed.points).sum(1, keepdim=True)
    jacobian = posed.jacobian - (share[..., None, None] * posed.jacobian).sum(1, keepdim=True)
    seen = targets.points3d - (share[..., None] * targets.points3d).sum(1, keepdim=True)
    usual, spread = strengths.depth_scale
    pull = 1 / (usual * spread) ** 2
    energy = (weight[..., None] * seen.square()).sum((1, 2))
    scale = ((weight[..., None] * seen * body).sum((1, 2)) + pull * usual) / (energy + pull)
    unit = deviation[..., None]
    residual = (body - scale[:, None, None] * seen) / unit
    return robust_least_squares(
        residual, jacobian / unit[..., None], targets.confidence, strengths.outlier3d / deviation
    )


def upright_term(posed: PosedPoints, targets: Targets, strengths: Strengths) -> Quadratic:
    """Holds the trunk of people with hidden legs upright: how far it leans, their landmarks do not know."""
    shoulders, hips = (
        PosedPoints(*(value[:, part].mean(1) for value in posed)) for part in (SHOULDERS, HIPS)
    )
    residual = (shoulders.points - hips.points)[:, 2:] / strengths.upright
    jacobian = (shoulders.jacobian - hips.jacobian)[:, 2:] / strengths.upright
    weight = legs_hidden(targets.confidence) * targets.confidence[:, SHOULDERS].amin(1)
    return least_squares(residual, jacobian, weight[:, None])
