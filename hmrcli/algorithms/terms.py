"""Errors of predictions: projections as the papers compare them, and means over what is labelled.

A mean is a sum over the labelled part of a batch divided by its size. The sizes depend on labels alone, so a
batch that is split over processes or steps can divide by the average size of its parts: the average of the
parts' losses, and of their gradients, is then that of the whole batch.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from hmrcli.algorithms.targets import Keypoints, Parameters, TrainingTargets
from hmrcli.body.camera import CROP_SIZE, crop_translation, project
from hmrcli.body.model import BodyModel, BodyOutput
from hmrcli.layers.prediction import Prediction
from hmrcli.recipe.schema import Loss

ERRORS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "l1": lambda predicted, target: (predicted - target).abs(),
    "mse": lambda predicted, target: (predicted - target).square(),
    "smooth_l1": lambda predicted, target: F.smooth_l1_loss(predicted, target, reduction="none"),
}
"""Error of each number; `smooth_l1` bends at 1."""

Pairs = Mapping[str, tuple[Tensor, Keypoints | Parameters]]
"""Predictions and their targets, by the names of the terms."""


def mean_errors(pairs: Pairs, losses: Mapping[str, Loss]) -> dict[str, Tensor]:
    """Computes the mean error of every pair that a recipe's losses name, in the way that they say."""
    errors = {}
    for name, loss in losses.items():
        if name in pairs:
            predicted, target = pairs[name]
            if isinstance(target, Keypoints):
                errors[name] = keypoint_mean(predicted, target, loss.kind, loss.over)
            else:
                errors[name] = parameter_mean(predicted, target, loss.kind)
    return errors


def keypoint_mean(predicted: Tensor, keypoints: Keypoints, kind: str, over: str | None) -> Tensor:
    """Averages the errors of joints, each weighed by its confidence.

    Args:
        predicted: (B, J, D) in the units of the target.
        keypoints: the true ones.
        kind: key of `ERRORS`.
        over: what the sum is divided by. "visible": coordinates of joints with confidence (HMR). "flagged":
            all coordinates of samples with a flag, the others being left out (PARE; the 3D losses of GraphCMR and
            Graphormer). "all": all coordinates of the batch (the 2D losses of these two).

    Returns:
        Scalar; 0, connected to the prediction, where nothing is labelled.

    Raises:
        ValueError: `over` is none of these.
    """
    error = ERRORS[kind](predicted, keypoints.values) * keypoints.confidence[..., None]
    joints, dimensions = predicted.shape[1:]
    if over == "visible":
        return divide(error.sum(), keypoints.visible * dimensions)
    if over == "flagged":
        return divide(
            (error.sum(dim=(1, 2)) * keypoints.flags).sum(), keypoints.flagged * joints * dimensions
        )
    if over == "all":
        return error.mean()
    raise ValueError(f"a mean over {over!r} joints: expected visible, flagged or all")


def parameter_mean(predicted: Tensor, target: Parameters, kind: str) -> Tensor:
    """Averages the errors of all numbers (B, ...) of labelled samples.

    Returns:
        Scalar; 0, connected to the prediction, where nothing is labelled.
    """
    error = ERRORS[kind](predicted, target.values).flatten(1).mean(dim=1)
    return divide((error * target.flags).sum(), target.labelled)


def divide(total: Tensor, count: Tensor) -> Tensor:
    """Divides a sum; where the count is 0, the sum is too, and is returned."""
    return total / torch.where(count > 0, count, 1)


def camera_prior(cam: Tensor) -> Tensor:
    """Averages exp(-10 s)² over cameras (B, 3), which keeps scales positive (SPIN's training code)."""
    return torch.exp(-10 * cam[:, 0]).square().mean()


PERSPECTIVE_SPAN = CROP_SIZE - 1
"""Pixels that [-1, 1] stands for in papers with a perspective camera, whose crops end at the last pixel's middle; those
with an orthographic one take `CROP_SIZE`, the crop's edge."""


def perspective2d(joints3d: Tensor, cam: Tensor, focal_length: float, size: int = CROP_SIZE) -> Tensor:
    """Projects joints into the crop of a perspective camera, to [-1, 1].

    Args:
        joints3d: (B, J, 3) metres.
        cam: (B, 3) s, tx, ty; stands for the translation (tx, ty, 2 f / (size s)).
        focal_length: pixels of the crop.
        size: side of the crop, pixels.

    Returns:
        (B, J, 2) offsets p from the middle of the crop as 2 p / (size - 1).
    """
    placed = joints3d + crop_translation(cam, size, focal_length)[:, None]
    return 2 * project(placed, focal_length, placed.new_zeros(2)) / (size - 1)


def orthographic2d(joints3d: Tensor, cam: Tensor) -> Tensor:
    """Projects joints (B, J, 3) by an orthographic camera (B, 3), to [-1, 1]: s (x + tx), s (y + ty)."""
    return cam[:, None, :1] * (joints3d[..., :2] + cam[:, None, 1:])


def body_joints(body: BodyModel, prediction: Prediction, targets: TrainingTargets) -> Tensor:
    """Returns the joints (B, J, 3) of predicted bodies that the targets name.

    Those of the kinematic tree come with the prediction, as they cannot be had from its vertices.
    """
    assert prediction.joints is not None
    return targets.choose(body.smpl_54_joints(BodyOutput(prediction.vertices, prediction.joints)))


def body_pairs(
    prediction: Prediction,
    targets: TrainingTargets,
    joints3d: Tensor,
    joints2d: Tensor,
    keypoints2d: Keypoints,
) -> dict[str, tuple[Tensor, Keypoints | Parameters]]:
    """Pairs what HMR (Kanazawa et al. 2018), SPIN and PARE compare: joints, rotations, shape and vertices.

    Args:
        joints3d: of the predicted bodies, from `body_joints`.
        joints2d: the same as the algorithm's camera sees them.
        keypoints2d: the true ones, in the unit of these.
    """
    assert prediction.rotmat is not None and prediction.betas is not None
    pairs: dict[str, tuple[Tensor, Keypoints | Parameters]] = {
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
