"""SMPLify's pose prior: a mixture of Gaussians over poses, from the file that its authors publish."""

from math import log, pi
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from hmrcli.assets.pickles import read_pickle
from hmrcli.errors import BadInput
from hmrcli.fitting.points import STEP, BodyState
from hmrcli.fitting.priors import log_rotation
from hmrcli.fitting.solver import Quadratic

_SIZE = 69
_BODY = slice(3, 72)


class MixturePrior(NamedTuple):
    """K Gaussians over the axis-angles of the 23 joints below the root, radians.

    Means are (K, 69), precisions (K, 69, 69), offsets (K,) minus the logarithm of each one's weight and norm.
    """

    means: Tensor
    precisions: Tensor
    offsets: Tensor


def read_mixture(path: Path) -> MixturePrior:
    """Reads `gmm_08.pkl`: means (K, 69), covars (K, 69, 69), weights (K,).

    Weights are divided by each Gaussian's norm relative to the narrowest's (Bogo et al. 2016, eq. 5 and 6).

    Raises:
        MissingFile: there is no such file.
        BadInput: it holds anything else, or a covariance that is not positive definite.
    """
    stored = read_pickle(path)
    if not isinstance(stored, dict):
        raise BadInput(f"{path}: expected a dictionary, the file has {type(stored).__name__}")
    weights = _numbers(stored, "weights", (), path)
    means = _numbers(stored, "means", (_SIZE,), path)
    covariances = _numbers(stored, "covars", (_SIZE, _SIZE), path)
    if not len(weights) == len(means) == len(covariances) > 0:
        raise BadInput(f"{path}: fields means, covars and weights differ in length")
    if (weights <= 0).any():
        raise BadInput(f"{path}: field weights must be positive")
    factors, failed = torch.linalg.cholesky_ex(covariances)
    if failed.any():
        raise BadInput(f"{path}: field covars must hold positive definite matrices")
    roots = factors.diagonal(dim1=1, dim2=2).log().sum(1)  # logarithm of the root of the determinant
    offsets = _SIZE / 2 * log(2 * pi) + roots - roots.min() - weights.log()
    return MixturePrior(means, torch.cholesky_inverse(factors), offsets)


def _numbers(stored: dict, name: str, shape: tuple[int, ...], path: Path) -> Tensor:
    expected = ", ".join(["K", *map(str, shape)])
    if name not in stored:
        raise BadInput(f"{path}: field {name} is missing; expected numbers of shape ({expected})")
    values = np.asarray(stored[name])
    if values.dtype.kind not in "fiu" or values.ndim != len(shape) + 1 or values.shape[1:] != shape:
        raise BadInput(f"{path}: field {name} has shape {values.shape}, expected ({expected})")
    if not np.isfinite(values).all():
        raise BadInput(f"{path}: field {name} holds values that are not finite")
    return torch.from_numpy(values.astype(np.float64))


def mixture_terms(prior: MixturePrior, state: BodyState, weight: float) -> Quadratic:
    """Returns weight × min over the Gaussians of (½ squared Mahalanobis distance + offset)."""
    angles, turn = log_rotation(state.rotmat[:, 1:])
    offset = angles.flatten(1)[:, None] - prior.means
    pulled = torch.einsum("kpq,bkq->bkp", prior.precisions, offset)
    cost, nearest = (0.5 * (offset * pulled).sum(-1) + prior.offsets).min(1)
    people = torch.arange(len(nearest), device=nearest.device)
    turns = torch.diag_embed(turn.permute(0, 2, 3, 1)).permute(0, 3, 1, 4, 2).flatten(3).flatten(1, 2)
    gradient, hessian = angles.new_zeros(len(angles), STEP), angles.new_zeros(len(angles), STEP, STEP)
    gradient[:, _BODY] = weight * (turns.mT @ pulled[people, nearest][..., None])[..., 0]
    hessian[:, _BODY, _BODY] = weight * (turns.mT @ prior.precisions[nearest] @ turns)
    return Quadratic(weight * cost, gradient, hessian)
