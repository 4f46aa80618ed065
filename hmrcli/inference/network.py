"""Runs a network on crops of people."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hmrcli.algorithms import prediction_precision
from hmrcli.body import BodyModel
from hmrcli.data.crop import crop_affine, crop_image, normalise, square_around
from hmrcli.layers import Prediction

BATCH = 64
"""Crops that go through the network at once."""


def crop_people(
    image: NDArray[np.uint8], boxes: NDArray[np.floating], scale: float, size: int
) -> NDArray[np.uint8]:
    """Square crops (N, size, size, 3) around boxes (N, 4), each by one warp."""
    crops = np.empty((len(boxes), size, size, 3), np.uint8)
    for crop, center, side in zip(crops, *square_around(boxes, scale)):
        crop[:] = crop_image(image, crop_affine(center, side, size=size), size)
    return crops


def predict(network: nn.Module, body: BodyModel, crops: NDArray[np.uint8]) -> tuple[Prediction, Tensor]:
    """What a network sees in crops (N, size, size, 3), N at least 1; in float32 on the CPU.

    Returns:
        the prediction, without intermediate meshes, and (N, 24, 3) joints of its bodies in metres. A mesh without
        parameters has its joints by the body's regressor.
    """
    device = next(network.parameters()).device
    predictions, joints = [], []
    for start in range(0, len(crops), BATCH):
        pixels = torch.from_numpy(crops[start : start + BATCH]).to(device)
        with torch.inference_mode():
            with prediction_precision(device):
                predicted = network(normalise(pixels).contiguous(memory_format=torch.channels_last))
            predictions.append(predicted)
            if predicted.rotmat is None:
                joints.append(body.joint_regressor @ predicted.vertices)
            else:
                joints.append(body(predicted.rotmat, predicted.betas).joints)
    fields = zip(*(p._replace(mesh_levels=None) for p in predictions))
    joined = (None if field[0] is None else torch.cat(field).float().cpu() for field in fields)
    return Prediction._make(joined), torch.cat(joints).float().cpu()
