"""Pieces of the losses: projections as the papers compare them, and means over what is labelled.

A mean is a sum over the labelled part of a batch divided by its size. The sizes depend on labels alone, so a
batch that is split over processes or steps can divide by the average size of its parts: the average of the
parts' losses, and of their gradients, is then that of the whole batch.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from hmrcli.body.camera import CROP_SIZE, crop_translation, project

ERRORS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "l1": lambda predicted, target: (predicted - target).abs(),
    "mse": lambda predicted, target: (predicted - target).square(),
    "smooth_l1": lambda predicted, target: F.smooth_l1_loss(predicted, target, reduction="none"),
}
"""Error of each number; `smooth_l1` bends at 1."""


class Counts(NamedTuple):
    """How much of a batch is labelled: scalars that the means divide by."""

    visible2d: Tensor
    """2D joints with confidence."""
    visible3d: Tensor
    """3D joints with confidence."""
    flagged2d: Tensor
    """Samples with 2D joints."""
    flagged3d: Tensor
    """Samples with 3D joints."""
    smpl: Tensor
    """Samples with pose and shape."""


def count_labels(labels: Mapping[str, Tensor]) -> Counts:
    """Counts the labels of a batch, which have the keys and shapes of `losses.training_losses`."""
    return Counts(
        visible2d=(labels["keypoints2d"][..., -1] > 0).sum().float(),
        visible3d=(labels["keypoints3d"][..., -1] > 0).sum().float(),
        flagged2d=labels["has_keypoints2d"].float().sum(),
        flagged3d=labels["has_keypoints3d"].float().sum(),
        smpl=labels["has_smpl"].float().sum(),
    )


class Keypoints(NamedTuple):
    """True joints of a batch in the form in which they are compared."""

    target: Tensor
    """(B, J, D)"""
    confidence: Tensor
    """(B, J), 0 where a joint is unknown."""
    flags: Tensor
    """(B,) 1 for samples that have such joints, else 0."""
    visible: Tensor
    """Scalar: joints with confidence."""
    flagged: Tensor
    """Scalar: samples with a flag."""


def keypoint_mean(predicted: Tensor, keypoints: Keypoints, kind: str, over: str | None) -> Tensor:
    """Mean error of joints, each weighed by its confidence.

    Args:
        predicted: (B, J, D) in the units of the target.
        keypoints: the truth.
        kind: key of `ERRORS`.
        over: what the sum is divided by. "visible": coordinates of joints with confidence (HMR). "flagged":
            all coordinates of samples with a flag, the others being left out (PARE; the 3D losses of GraphCMR and
            Graphormer). "all": all coordinates of the batch (the 2D losses of these two).

    Returns:
        Scalar; 0, connected to the prediction, where nothing is labelled.

    Raises:
        ValueError: `over` is none of these.
    """
    error = ERRORS[kind](predicted, keypoints.target) * keypoints.confidence[..., None]
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


def labelled_mean(predicted: Tensor, target: Tensor, flags: Tensor, count: Tensor, kind: str) -> Tensor:
    """Mean error over the numbers of labelled samples.

    Args:
        predicted: (B, ...) and `target` of the same shape.
        target: the truth; finite also where it is unknown.
        flags: (B,) 1 for labelled samples, else 0.
        count: scalar, how many these are.
        kind: key of `ERRORS`.

    Returns:
        Scalar; 0, connected to the prediction, where nothing is labelled.
    """
    error = ERRORS[kind](predicted, target).flatten(1).mean(dim=1)
    return divide((error * flags).sum(), count)


def divide(total: Tensor, count: Tensor) -> Tensor:
    """The quotient, or the sum itself, which is 0 then, where the count is 0."""
    return total / torch.where(count > 0, count, 1)


def camera_prior(cam: Tensor) -> Tensor:
    """Mean of exp(-10 s)² over cameras (B, 3): keeps scales positive (SPIN's training code)."""
    return torch.exp(-10 * cam[:, 0]).square().mean()


def perspective2d(joints3d: Tensor, cam: Tensor, focal_length: float, size: int = CROP_SIZE) -> Tensor:
    """Joints in the crop of a perspective camera, in [-1, 1].

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
    """Joints (B, J, 3) in the crop of an orthographic camera (B, 3), in [-1, 1]: s (x + tx), s (y + ty)."""
    return cam[:, None, :1] * (joints3d[..., :2] + cam[:, None, 1:])


def centred_on_hips(joints3d: Tensor, hips: tuple[int, int]) -> Tensor:
    """Joints (B, J, 3) relative to the middle between two of them."""
    return joints3d - joints3d[:, list(hips)].mean(dim=1, keepdim=True)


def gaussians(places: Tensor, size: int, sigma: float) -> Tensor:
    """Heatmaps (B, J, size, size) that are 1 at places (B, J, 2), x and y in cells, also between cells."""
    cells = torch.arange(size, device=places.device, dtype=places.dtype)
    across, down = (torch.exp(-(cells - places[..., i, None]).square() / (2 * sigma**2)) for i in (0, 1))
    return down[..., :, None] * across[..., None, :]


def part_map_loss(part_maps: Tensor, keypoints: Keypoints) -> Tensor:
    """How far PARE's attention is from where the joints are: mean cross-entropy with Gaussians of one cell.

    Ours. The paper teaches the same maps by segmentation (section 3.3); joints are labelled in more pictures.

    Args:
        part_maps: (B, 25, H, H) background and 24 joints, before the softmax.
        keypoints: 2D, in [-1, 1], the body's 24 joints first. Those outside the crop count for nothing.
    """
    size = part_maps.shape[-1]
    joints = part_maps.shape[1] - 1
    places = (keypoints.target[:, :joints] + 1) / 2 * size - 0.5
    inside = ((places >= 0) & (places <= size - 1)).all(dim=-1)
    target = gaussians(places, size, sigma=1.0).flatten(2)
    target = target / target.sum(dim=2, keepdim=True).clamp(min=1e-6)
    error = -(target * part_maps[:, 1:].flatten(2).log_softmax(dim=2)).sum(dim=2)
    seen = keypoints.confidence[:, :joints] * inside * keypoints.flags[:, None]
    return divide((error * seen).sum(), keypoints.flagged * joints)
