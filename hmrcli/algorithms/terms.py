"""Errors of predictions: projections as the papers compare them, and means over what is labelled.

A mean is a sum over the labelled part of a batch divided by its size. The sizes depend on labels alone, so a
batch that is split over processes or steps can divide by the average size of its parts: the average of the
parts' losses, and of their gradients, is then that of the whole batch.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from hmrcli.algorithms.targets import Keypoints, Parameters, TrainingTargets
from hmrcli.body.camera import CROP_SIZE, crop_translation, project
from hmrcli.body.model import BodyModel, BodyOutput
from hmrcli.layers.constants import constant
from hmrcli.layers.prediction import Prediction
from hmrcli.recipe import Recipe
from hmrcli.recipe.schema import Loss

ERRORS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "l1": lambda predicted, target: (predicted - target).abs(),
    "mse": lambda predicted, target: (predicted - target).square(),
    "smooth_l1": lambda predicted, target: F.smooth_l1_loss(predicted, target, reduction="none"),
}
"""Error of each number; `smooth_l1` bends at 1."""

Pairs = dict[str, tuple[Tensor, Keypoints | Parameters]]
"""Predictions and their targets, by the names of the terms."""


class Part(NamedTuple):
    """A prediction and its target, which a term compares."""

    predicted: Tensor
    """(B, J, D) joints or (B, ...) numbers, in the unit of the target."""
    target: Keypoints | Parameters
    over: str | None = None
    """Divisor of the sum over joints. "visible": coordinates of joints with confidence (HMR). "flagged": all
    coordinates of samples with a flag, the others being left out (PARE; the 3D losses of GraphCMR and Graphormer).
    "all": all coordinates of the batch (the 2D losses of these two)."""


def mean_errors(pairs: Pairs, losses: Mapping[str, Loss]) -> dict[str, Tensor]:
    """Computes the mean error of every pair that a recipe's losses name, in the way that they say.

    Terms of a kind are computed side by side, as one row of numbers for each sample.
    """
    errors: dict[str, Tensor] = {}
    named = {name: loss for name, loss in losses.items() if name in pairs}
    for kind in dict.fromkeys(loss.kind for loss in named.values()):
        names = [name for name, loss in named.items() if loss.kind == kind]
        parts = [Part(*pairs[name], named[name].over) for name in names]
        errors |= zip(names, means(parts, kind).unbind())
    return errors


def means(parts: Sequence[Part], kind: str) -> Tensor:
    """Averages the errors, of a kind in `ERRORS`, of N parts; those of joints are weighed by their confidence.

    Returns:
        (N,); 0, connected to the prediction, where nothing is labelled.

    Raises:
        ValueError: `over` of joints is none of those that there are.
    """
    counted = [_weights_and_count(part) for part in parts]
    predicted = torch.cat([part.predicted.flatten(1) for part in parts], 1)
    target = torch.cat([part.target.values.flatten(1) for part in parts], 1)
    weights = torch.cat([one.weights for one in counted], 1)
    errors = ERRORS[kind](predicted, target) * weights
    sums = [each.sum() for each in errors.split([one.weights.shape[1] for one in counted], 1)]
    sizes = constant(tuple(float(one.size) for one in counted), predicted.device)
    return divide(torch.stack(sums), torch.stack([one.labelled for one in counted]) * sizes)


class _Counted(NamedTuple):
    weights: Tensor
    """(B, numbers of a sample)"""
    labelled: Tensor
    """Scalar: what is labelled; the sum is divided by so many times `size`."""
    size: int


def _weights_and_count(part: Part) -> _Counted:
    target, batch = part.target, len(part.predicted)
    if isinstance(target, Parameters):
        size = part.predicted[0].numel()
        return _Counted(target.flags[:, None].expand(batch, size), target.labelled, size)
    joints, dimensions = part.predicted.shape[1:]
    confidence = target.confidence
    if part.over == "visible":
        labelled, size = target.visible, dimensions
    elif part.over == "flagged":
        confidence = confidence * target.flags[:, None]
        labelled, size = target.flagged, joints * dimensions
    elif part.over == "all":
        labelled, size = constant((1.0,), confidence.device)[0], batch * joints * dimensions
    else:
        raise ValueError(f"a mean over {part.over!r} joints: expected visible, flagged or all")
    return _Counted(confidence[..., None].expand(batch, joints, dimensions).flatten(1), labelled, size)


def divide(total: Tensor, count: Tensor) -> Tensor:
    """Divides sums by counts; where a count is 0, the sum is too, and is returned."""
    return total / torch.where(count > 0, count, 1)


def camera_prior(cam: Tensor) -> Tensor:
    """Averages exp(-10 s)² over cameras (B, 3), which keeps scales positive (SPIN's training code)."""
    return torch.exp(-10 * cam[:, 0]).square().mean()


PERSPECTIVE_SPAN = CROP_SIZE - 1
"""Pixels that [-1, 1] stands for in papers with a perspective camera, whose crops end at the last pixel's middle; those
with an orthographic one take `CROP_SIZE`, the crop's edge."""


def perspective2d(joints3d: Tensor, cam: Tensor, focal_length: float) -> Tensor:
    """Projects joints (B, J, 3) into the crop of a perspective camera of a focal length in pixels, to [-1, 1].

    The camera (B, 3) s, tx, ty stands for the translation (tx, ty, 2 f / (224 s)), metres.
    """
    placed = joints3d + crop_translation(cam, CROP_SIZE, focal_length)[:, None]
    return 2 * project(placed, focal_length, placed.new_zeros(2)) / PERSPECTIVE_SPAN


def orthographic2d(joints3d: Tensor, cam: Tensor) -> Tensor:
    """Projects joints (B, J, 3) by an orthographic camera (B, 3), to [-1, 1]: s (x + tx), s (y + ty)."""
    return cam[:, None, :1] * (joints3d[..., :2] + cam[:, None, 1:])


def body_joints(body: BodyModel, prediction: Prediction, targets: TrainingTargets) -> Tensor:
    """Returns the joints (B, J, 3) of predicted bodies that the targets name.

    Those of the kinematic tree come with the prediction, as they cannot be had from its vertices.
    """
    assert prediction.joints is not None
    return targets.choose(body.smpl_54_joints(BodyOutput(prediction.vertices, prediction.joints)))


def perspective_pairs(
    prediction: Prediction, targets: TrainingTargets, joints3d: Tensor, recipe: Recipe
) -> Pairs:
    """Pairs bodies as `body_pairs` does, whose joints the recipe's perspective camera sees."""
    assert recipe.camera is not None and recipe.camera.focal_length is not None
    joints2d = perspective2d(joints3d, prediction.cam, recipe.camera.focal_length)
    keypoints2d = targets.keypoints2d.spanning(PERSPECTIVE_SPAN)
    return body_pairs(prediction, targets, joints3d, joints2d, keypoints2d)


def orthographic_pairs(prefix: str, joints3d: Tensor, cam: Tensor, targets: TrainingTargets) -> Pairs:
    """Pairs joints (B, J, 3) in space and as an orthographic camera (B, 3) sees them."""
    joints2d = orthographic2d(joints3d, cam)
    return {
        f"{prefix}keypoints3d": (targets.center(joints3d), targets.keypoints3d),
        f"{prefix}keypoints2d": (joints2d, targets.keypoints2d.spanning(CROP_SIZE)),
    }


def body_pairs(
    prediction: Prediction,
    targets: TrainingTargets,
    joints3d: Tensor,
    joints2d: Tensor,
    keypoints2d: Keypoints,
) -> Pairs:
    """Pairs what HMR (Kanazawa et al. 2018), SPIN, PARE and CLIFF compare: joints, rotations, shape and vertices.

    `joints3d` are from `body_joints`; `joints2d` are the same as the algorithm's camera sees them, and `keypoints2d`
    the true ones, in one unit.
    """
    assert prediction.rotmat is not None and prediction.betas is not None
    pairs: Pairs = {
        "keypoints3d": (targets.center(joints3d), targets.keypoints3d),
        "keypoints2d": (joints2d, keypoints2d),
        "rotmat": (prediction.rotmat, targets.rotmat),
        "betas": (prediction.betas, targets.betas),
    }
    if targets.vertices is not None:
        pairs["vertices"] = (prediction.vertices, targets.vertices)
    return pairs


def gaussians(places: Tensor, size: int, sigma: float) -> Tensor:
    """Draws heatmaps (B, J, size, size) that are 1 at places (B, J, 2), x and y in cells, also between cells."""
    cells = torch.arange(size, device=places.device, dtype=places.dtype)
    across, down = (torch.exp(-(cells - places[..., i, None]).square() / (2 * sigma**2)) for i in (0, 1))
    return down[..., :, None] * across[..., None, :]
