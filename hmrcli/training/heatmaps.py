"""The loss of pose networks: heatmaps of 2D joints against Gaussians at their places."""

from collections.abc import Mapping

from torch import Tensor

from hmrcli.body.camera import CROP_SIZE
from hmrcli.recipe import Recipe
from hmrcli.training.terms import ERRORS, Counts, count_labels, divide, gaussians
from hmrcli.training.truth import check_labels

SIGMA = 2.0
"""Deviation of the Gaussians, cells of the heatmaps (Xiao et al., ECCV 2018)."""


def heatmap_losses(
    recipe: Recipe, heatmaps: Tensor, labels: Mapping[str, Tensor], counts: Counts | None = None
) -> dict[str, Tensor]:
    """The weighted term of a pose recipe: each joint's mean error of its cells, weighed by its confidence.

    Args:
        recipe: names kind and weight.
        heatmaps: (B, 17, H, W).
        labels: as of `losses.training_losses`. A joint outside the picture has no heatmap and counts for nothing.
        counts: what the mean divides by; by default this batch's own.

    Raises:
        ValueError: a label is missing or has a wrong shape.
    """
    check_labels(labels, len(heatmaps), recipe.data.joints)
    counts = count_labels(labels) if counts is None else counts
    keypoints = labels["keypoints2d"].float()
    size = heatmaps.shape[-1]
    places = keypoints[..., :2] * (size / CROP_SIZE)
    seen = keypoints[..., 2] * ((places >= 0) & (places <= size - 1)).all(dim=-1)
    terms = {}
    for name, loss in recipe.losses.items():
        error = ERRORS[loss.kind](heatmaps.float(), gaussians(places, size, SIGMA)).mean(dim=(2, 3))
        terms[name] = loss.weight * divide((error * seen).sum(), counts.visible2d)
    return terms
