"""Errors of the 2D joints that heatmaps find on a test set."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from hmrcli.algorithms.pose import peaks
from hmrcli.body.camera import CROP_SIZE
from hmrcli.data.annotations import Annotations
from hmrcli.data.crop import crop_affine, square_around, transform_points
from hmrcli.errors import BadInput
from hmrcli.evaluation.samples import Samples, check_finite_rows, outputs

THRESHOLDS = (5, 10)
"""Of the PCK, percent of the box's side (Yang and Ramanan, PAMI 2013)."""


def check_labels(annotations: Annotations, path: Path) -> None:
    """Raises BadInput where no row has one of COCO's 2D joints."""
    keypoints = annotations.select("coco_17").keypoints2d
    if keypoints is None or not (keypoints[..., 2] > 0).any():
        raise BadInput(
            f"{path}: none of {len(annotations)} rows has 2D joints, by which heatmaps are measured; name another "
            "test set with evaluation.annotations"
        )


def keypoint_errors(
    network: nn.Module, samples: Samples, rows: Sequence[int], workers: int = 0
) -> NDArray[np.float64]:
    """Returns the distances (N,) of heatmaps' peaks from the N joints that the rows label, percent of the box's side.

    Args:
        network: maps crops to heatmaps; in evaluation mode, on its device.
        samples: annotations with COCO's 17 joints.

    Raises:
        BadInput: an image is missing or cannot be decoded.
    """
    annotations = samples.annotations.select("coco_17")
    assert annotations.keypoints2d is not None
    found = [np.empty(0)]
    for numbers, heatmaps in outputs(network, samples, rows, workers=workers):
        check_finite_rows(heatmaps, annotations[numbers])
        with torch.inference_mode():
            places = peaks(heatmaps)[0].double().cpu().numpy() * (CROP_SIZE / heatmaps.shape[-1])
        affine = crop_affine(*square_around(annotations.bbox_xywh[numbers]))
        targets = transform_points(annotations.keypoints2d[numbers].astype(float), affine)
        distances = np.linalg.norm(places - targets[..., :2], axis=-1) * (100 / CROP_SIZE)
        found.append(distances[targets[..., 2] > 0])
    return np.concatenate(found)


def keypoint_metrics(errors: NDArray[np.float64]) -> dict[str, float]:
    """Returns the mean of errors, and the share of them below each threshold, all in percent."""
    shares = {f"pck{limit}_percent": 100 * float((errors < limit).mean()) for limit in THRESHOLDS}
    return {"error_percent": float(errors.mean()), **shares}
