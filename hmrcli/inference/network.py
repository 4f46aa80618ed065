"""Runs a trained network on crops of people, and places its bodies in the full image."""

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hmrcli.body import BodyModel
from hmrcli.datasets.crop import crop_affine, crop_image, normalise, square_around
from hmrcli.networks import Prediction, WeightReport, build_network, load_weights
from hmrcli.recipe import Recipe

BATCH = 64
"""Crops that go through the network at once."""


def load_network(
    recipe: Recipe, checkpoint: Path, body: BodyModel, device: torch.device
) -> tuple[nn.Module, WeightReport]:
    """The network of a recipe with trained weights, ready to predict.

    Raises:
        MissingFile: the checkpoint, or a file of the body that the network needs, is not there.
        BadInput: the checkpoint is damaged or belongs to another network.
    """
    network = build_network(recipe, body)
    report = load_weights(network, checkpoint)
    # Convolutions run 1.1 to 1.2 times as fast this way on a CPU (benchmarks/networks.py), more on a GPU.
    network = torch.nn.utils.convert_conv2d_weight_memory_format(network, torch.channels_last)
    return network.eval().to(device), report


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
            with _precision(device):
                predicted = network(normalise(pixels).contiguous(memory_format=torch.channels_last))
            predictions.append(predicted)
            if predicted.rotmat is None:
                joints.append(body.joint_regressor @ predicted.vertices)
            else:
                joints.append(body(predicted.rotmat, predicted.betas).joints)
    fields = zip(*(p._replace(mesh_levels=None) for p in predictions))
    joined = (None if field[0] is None else torch.cat(field).float().cpu() for field in fields)
    return Prediction._make(joined), torch.cat(joints).float().cpu()


def _precision(device: torch.device) -> AbstractContextManager[object]:
    """bfloat16 where the device computes it natively; coordinates and rotations stay float32 in the networks."""
    if device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.autocast("cuda", torch.bfloat16)
    return nullcontext()


def usual_device() -> torch.device:
    """CUDA where there is one, else MPS, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
