"""Similarity alignment of point sets, in closed form for whole batches."""

import torch
from torch import Tensor

_WELL_DETERMINED = 1e-2
_NEWTON_STEPS = 12
"""Enough for the last digit of every matrix whose factor (see `nearest_rotation`) is larger than that."""


def align_similarity(source: Tensor, target: Tensor, valid: Tensor | None = None) -> Tensor:
    """Moves each point set (N, P, 3) onto its target by the least-squares similarity (Umeyama 1991, eq. 40 to 43).

    That is scale, rotation, never a reflection, and translation. Points that all coincide go to the target's mean.

    Args:
        source: float64, of any unit.
        target: the same.
        valid: (N, P) bool, the points that are fitted; all are moved.
    """
    weight = None if valid is None else valid.to(source)[..., None]
    target_mean = _centroid(target, weight)
    centered = source - _centroid(source, weight)
    fitted = centered if weight is None else weight * centered
    sums = fitted.mT @ (target - target_mean)
    rotation = nearest_rotation(sums)
    spread = torch.linalg.vecdot(fitted.flatten(1), centered.flatten(1))
    size = torch.linalg.vecdot(source.flatten(1), source.flatten(1))
    coincide = spread <= 1e-28 * size  # what rounding leaves of equal points
    scale = torch.where(coincide, 0, (rotation * sums).sum((1, 2)) / spread)
    return (centered @ (scale[:, None, None] * rotation)).add_(target_mean)


def nearest_rotation(matrix: Tensor) -> Tensor:
    """Returns for matrices M (N, 3, 3), float64, the rotations R (N, 3, 3) with the largest trace(R' M).

    R = U diag(1, 1, det(U V')) V' of M = U S V'.

    With a, b, c the singular values, c negative where M reflects, the trace t = a + b + c is the largest root
    of a quartic (Horn, JOSA A 1987; coefficients as Theobald, Acta Cryst. A 2005), which Newton's method reaches
    from above. M = R P with a symmetric P of eigenvalues a, b, c; the theorem of Cayley and Hamilton for P,
    applied to M'M = P² and to the cofactors of M, leaves R in terms of M (Hoger and Carlson 1984):

        (t i - d) R = t cof(M) + (t² - i) M - M M'M,   i = ab + bc + ca,   d = det(M)

    The factor on the left is (a + b)(b + c)(c + a). Where it is small the rotation is hardly determined, or not
    at all, and these few matrices go through the singular value decomposition.
    """
    unit = matrix / torch.linalg.vector_norm(matrix, dim=(1, 2), keepdim=True)
    first, second, third = unit.unbind(1)
    sides = ((second, third), (third, first), (first, second))
    cofactors = torch.stack([torch.linalg.cross(one, other) for one, other in sides], dim=1)
    determinant = torch.linalg.vecdot(first, cofactors[:, 0])
    gram = unit.mT @ unit
    constant = 2 * gram.square().sum((1, 2)) - 1
    trace = torch.full_like(determinant, 3**0.5)
    for _ in range(_NEWTON_STEPS):
        square = trace * trace
        value = (square - 2) * square - 8 * determinant * trace + constant
        trace = trace - value / (4 * (square - 1) * trace - 8 * determinant)
    pairs = (trace * trace - 1) / 2
    factor = trace * pairs - determinant
    by_column = (trace * trace - pairs)[:, None, None] * unit - unit @ gram
    rotation = (trace[:, None, None] * cofactors + by_column) / factor[:, None, None]
    if (poor := ~(factor > _WELL_DETERMINED)).any():  # with matrices of zeros, whose factor is not a number
        left, _, right = torch.linalg.svd(matrix[poor])
        left[:, :, 2] *= torch.linalg.det(left @ right).sign()[:, None]
        rotation[poor] = left @ right
    return rotation


def _centroid(points: Tensor, weight: Tensor | None) -> Tensor:
    """Returns (N, 1, 3) the mean of the points that count; of none, the origin."""
    if weight is None:
        return points.mean(1, keepdim=True)
    return (weight * points).sum(1, keepdim=True) / weight.sum(1, keepdim=True).clamp_min(1)
