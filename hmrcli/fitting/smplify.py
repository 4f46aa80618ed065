"""SMPLify as SPIN runs it on the 49 joints of a crop (Bogo et al. 2016; Kolotouros et al. 2019, section 3.3).

The terms and weights are the published ones; the optimiser is not. Adam at a small rate takes its hundred steps
and ends before the minimum. Here the same objective is minimised to second order, for each person apart; the
published numbers of steps are upper bounds. The rate counts in the benchmark's uncorrected form alone: Adam moves
no number further than rate times steps, so its fits never get away from the wrong place where they start.
"""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from hmrcli.body import BodyModel
from hmrcli.body.camera import CROP_FOCAL_LENGTH, CROP_SIZE
from hmrcli.body.joints import SMPL_49
from hmrcli.fitting.mixture import MixturePrior, mixture_terms
from hmrcli.fitting.points import (
    PLACE,
    POSE,
    SHAPE,
    STEP,
    Attachment,
    BodyPoints,
    BodyState,
    PosedPoints,
    body_points,
    pose_points,
)
from hmrcli.fitting.priors import PosePrior, log_rotation, pose_terms, shape_terms
from hmrcli.fitting.solver import Quadratic, least_squares, levenberg_marquardt, robust_least_squares
from hmrcli.recipe.schema import InTheLoop

_DISTINCT = sorted(set(SMPL_49.from_54))
_AMONG_DISTINCT = [_DISTINCT.index(joint) for joint in SMPL_49.from_54]
"""The 49 name fifteen joints twice."""

_TORSO_OPENPOSE = (9, 12, 2, 5)
_TORSO_ANNOTATED = (27, 28, 33, 34)
"""Right and left hip, right and left shoulder among the 49."""

_BENT = {"original": (52, 55, 9, 12), "fork": (55, 58, 12, 15)}
"""Left and right elbow about y, left and right knee about x, among the body pose's 69 numbers. The benchmark's
indices are those of the whole pose's 72, used on the 69: they name other angles."""
_UNNATURAL = (1.0, -1.0, -1.0, -1.0)

_LIMIT_SHARE = 800.0
"""Weight of joint limits for each unit of pose prior when the bundled prior takes the mixture's place."""
_NEAREST = 0.1
"""Metres: joints nearer to the camera than this, or behind it, are projected from here."""
_DEPTH_WEIGHT = 100.0**2
_CONVERGED = 1e-5
"""Relative change at which a fit ends where the recipe sets none: further steps of Newton's kind change nothing."""


class Joints2d(NamedTuple):
    """Targets of the fit: pixels (B, 49, 2) of the crop, and their confidence (B, 49) in [0, 1]."""

    points2d: Tensor
    confidence: Tensor


def joints2d_of(keypoints2d: Tensor, ignored: Sequence[int] = ()) -> Joints2d:
    """Keypoints (B, 49, 3) of a crop, pixels and confidence, in float64; `ignored` joints get confidence 0."""
    keypoints2d = keypoints2d.double()
    confidence = keypoints2d[..., 2].clone()
    confidence[:, list(ignored)] = 0
    # Joints that nobody saw may hold anything, and zero times anything is not always zero.
    return Joints2d(torch.where(confidence[..., None] > 0, keypoints2d[..., :2], 0.0), confidence)


def smplify_points(body: BodyModel) -> BodyPoints:
    """Returns the distinct joints among SPIN's 49, exactly as the body's forward pass places them."""
    attachments = [Attachment(joint=joint) for joint in range(24)]
    attachments += [Attachment(vertex=vertex) for vertex in body.landmark_vertices.tolist()]
    attachments += [Attachment(regressor=row) for row in body.extra_regressor]
    return body_points(body, [attachments[joint] for joint in _DISTINCT], correctives=True)


def joints49(model: BodyPoints, state: BodyState) -> PosedPoints:
    """SPIN's 49 joints of posed bodies and their derivatives."""
    posed = pose_points(model, state)
    return PosedPoints(*(values[:, _AMONG_DISTINCT] for values in posed))


def smplify(
    model: BodyPoints,
    prior: PosePrior | MixturePrior,
    settings: InTheLoop,
    start: BodyState,
    keypoints2d: Tensor,
) -> BodyState:
    """Fits bodies to the 2D joints of crops: root and place first, then root, pose and shape.

    Args:
        model: from `smplify_points`.
        prior: SMPLify's mixture, or the bundled ranges of joints in its place.
        settings: the recipe's `in_the_loop`.
        start: (B, …) the network's estimate, float64.
        keypoints2d: (B, 49, 3) pixels of the crop and confidence.
    """
    joints2d = joints2d_of(keypoints2d, settings.ignored_joints)
    hips_and_shoulders = joints2d_of(keypoints2d)  # no hip is ignored here
    tolerance = settings.stop_below or _CONVERGED
    root, pose = POSE.start + 3, list(range(POSE.start, SHAPE.stop))
    place = [*range(root), *range(PLACE.start, PLACE.stop)]
    everything = partial(smplify_objective, model, prior, settings, joints2d)

    def torso(state: BodyState) -> Quadratic:
        depth = _depth_term(state, start.transl[:, 2])
        return torso_term(joints49(model, state), hips_and_shoulders).plus(depth)

    reach = torch.inf if settings.corrected else settings.lr * settings.steps[0]

    def move(state: BodyState, step: Tensor) -> BodyState:
        moved = state.moved(step)
        way = (moved.transl - start.transl).clamp(-reach, reach)
        return moved._replace(transl=start.transl + way)

    first = torso if settings.objective == "original" else everything
    state, _ = levenberg_marquardt(start, first, move, settings.steps[0], tolerance, place)
    return levenberg_marquardt(state, everything, move, settings.steps[1], tolerance, pose)[0]


def smplify_objective(
    model: BodyPoints,
    prior: PosePrior | MixturePrior,
    settings: InTheLoop,
    joints2d: Joints2d,
    state: BodyState,
) -> Quadratic:
    """SMPLify's objective around a state: reprojection, pose, unnatural bending, shape."""
    weights = settings.weights
    total = reprojection_term(joints49(model, state), joints2d, settings)
    if isinstance(prior, MixturePrior):
        total = total.plus(mixture_terms(prior, state, weights.pose_prior))
    else:
        limit = _LIMIT_SHARE * weights.pose_prior
        total = total.plus(pose_terms(prior, state, weights.pose_prior, limit))
    return total.plus(angle_terms(state, settings)).plus(shape_terms(state, 2 * weights.shape_prior))


def projection(posed: PosedPoints) -> tuple[Tensor, Tensor]:
    """Pixels of the crop (B, N, 2), and how they change (B, N, 2, 85)."""
    depth = posed.points[..., 2:].clamp(min=_NEAREST)
    slope = posed.points[..., :2] / depth
    across, along = posed.jacobian[..., :2, :], posed.jacobian[..., 2:, :]
    along = along * (posed.points[..., 2:] > _NEAREST)[..., None]
    jacobian = (CROP_FOCAL_LENGTH / depth)[..., None] * (across - slope[..., None] * along)
    return CROP_FOCAL_LENGTH * slope + CROP_SIZE / 2, jacobian


def reprojection_losses(pixels: Tensor, joints2d: Joints2d, settings: InTheLoop) -> Tensor:
    """Computes the loss (B, 49) of joints seen at `pixels` (B, 49, 2), by which fits are compared."""
    residual = _residual(pixels, joints2d, settings).square()
    robust = residual * settings.sigma**2 / (settings.sigma**2 + residual)
    return _trust(joints2d, settings) * robust.sum(-1)


def _residual(pixels: Tensor, joints2d: Joints2d, settings: InTheLoop) -> Tensor:
    """(B, 49, 2) what the robust function squares."""
    difference = pixels - joints2d.points2d
    if settings.objective == "original":
        return difference
    return (2 * difference / (CROP_SIZE - 1)).square()


def _trust(joints2d: Joints2d, settings: InTheLoop) -> Tensor:
    return joints2d.confidence.square() if settings.objective == "original" else joints2d.confidence


def reprojection_term(posed: PosedPoints, joints2d: Joints2d, settings: InTheLoop) -> Quadratic:
    """Builds the sum of `reprojection_losses`, each coordinate robust for itself."""
    pixels, jacobian = projection(posed)
    residual = _residual(pixels, joints2d, settings)
    if settings.objective == "benchmark":  # of (a d)², with a = 2 / 223
        share = 2 / (CROP_SIZE - 1)
        jacobian = (2 * share**2 * (pixels - joints2d.points2d))[..., None] * jacobian
    weight = 2 * _trust(joints2d, settings).repeat_interleave(2, 1)
    return robust_least_squares(
        residual.flatten(1)[..., None], jacobian.flatten(1, 2)[:, :, None], weight, settings.sigma
    )


def torso_term(posed: PosedPoints, joints2d: Joints2d) -> Quadratic:
    """Squared pixels at hips and shoulders: OpenPose's if it is sure of all four, else the annotated ones.

    SPIN counts annotated joints fully even where none is annotated; here these do not count.
    """
    pixels, jacobian = projection(posed)
    residual = pixels - joints2d.points2d
    sure = (joints2d.confidence[:, _TORSO_OPENPOSE] > 0).all(1, keepdim=True)
    known = (joints2d.confidence > 0).to(residual)
    weight = torch.zeros_like(known)
    weight[:, _TORSO_OPENPOSE] = 2 * sure.to(known)
    weight[:, _TORSO_ANNOTATED] = 2 * (~sure) * known[:, _TORSO_ANNOTATED]
    return least_squares(residual.flatten(1), jacobian.flatten(1, 2), weight.repeat_interleave(2, 1))


def _depth_term(state: BodyState, depth: Tensor) -> Quadratic:
    """Holds the depth (B,) that the network sees: the torso alone says little about it."""
    jacobian = torch.zeros(len(depth), 1, STEP).to(depth)
    jacobian[:, 0, PLACE.stop - 1] = 1
    return least_squares((state.transl[:, 2] - depth)[:, None], jacobian, 2 * _DEPTH_WEIGHT)


def angle_terms(state: BodyState, settings: InTheLoop) -> Quadratic:
    """Keeps elbows and knees from bending the wrong way: w Σ exp(±θ)², or (exp(±θ) - 1)² in the benchmark."""
    fork = settings.objective == "benchmark"
    columns = list(_BENT["fork" if fork and not settings.corrected else "original"])
    angles, turn = log_rotation(state.rotmat[:, 1:])
    signs = torch.tensor(_UNNATURAL).to(angles)
    bent = (signs * angles.flatten(1)[:, columns]).exp()
    jacobian = angles.new_zeros(len(angles), len(columns), STEP)
    for row, column in enumerate(columns):
        joint, axis = divmod(column, 3)
        steps = slice(3 + 3 * joint, 6 + 3 * joint)
        jacobian[:, row, steps] = (signs * bent)[:, row, None] * turn[:, joint, axis]
    return least_squares(bent - 1 if fork else bent, jacobian, 2 * settings.weights.angle_prior)


def place_in_crop(points: Tensor, joints2d: Joints2d, otherwise: Tensor) -> Tensor:
    """Translation that brings the annotated joints (25 to 48) nearest to their pixels, by linear least squares.

    Points (B, 49, 3) are joints of bodies at the origin, metres; rows are weighed with the root of the
    confidence, as SPIN does. It is `otherwise` (B, 3) where joints do not determine it, or put the body
    behind the camera.
    """
    points, confidence = points[:, 25:], joints2d.confidence[:, 25:]
    slope = (joints2d.points2d[:, 25:] - CROP_SIZE / 2) / CROP_FOCAL_LENGTH
    rows = torch.cat([torch.eye(2).to(slope).expand(*slope.shape, 2), -slope[..., None]], -1)
    values = slope * points[..., 2:] - points[..., :2]
    weighted = (confidence[..., None, None] * rows).flatten(1, 2).mT
    system, right = weighted @ rows.flatten(1, 2), weighted @ values.flatten(1)[..., None]
    place = torch.linalg.solve_ex(system, right)[0][..., 0]
    seen = ((confidence > 0).sum(1) >= 2) & place.isfinite().all(1) & (place[:, 2] > _NEAREST)
    return torch.where(seen[:, None], place, otherwise)
