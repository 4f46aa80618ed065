"""From crops to predictions, and from a checkpoint to a network that makes them."""

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import nn

from hmrcli.algorithms import build_network
from hmrcli.body import BodyModel
from hmrcli.data.crop import normalise
from hmrcli.errors import UsageError
from hmrcli.layers.crops import Crops
from hmrcli.layers.weights import Undrawn, WeightReport, load_weights
from hmrcli.recipe import Recipe


def predict(network: nn.Module, crops: Crops) -> Any:
    """Runs a network on crops as they were cut out.

    Args:
        network: of any algorithm, in whatever mode, also compiled or wrapped for several processes.
        crops: with pictures (B, H, W, 3) RGB, uint8, on the network's device.

    Returns:
        a `Prediction`, or heatmaps (B, J, H, W) of a pose network.
    """
    images = normalise(crops.images).contiguous(memory_format=torch.channels_last)
    return network(crops._replace(images=images))


def load_network(
    recipe: Recipe, checkpoint: Path, body: BodyModel, device: torch.device
) -> tuple[nn.Module, WeightReport]:
    """Builds the network of a recipe with trained weights, ready to predict.

    Raises:
        MissingFile: the checkpoint, or a file of the body that the network needs, is not there.
        BadInput: the checkpoint is damaged or belongs to another network.
        UsageError: the recipe's network makes no bodies.
    """
    require_bodies(recipe)
    with Undrawn():
        network = build_network(recipe, body)
    report = load_weights(network, checkpoint)
    # Convolutions run 1.2 to 1.3 times as fast this way on a CPU (benchmarks/networks.py), more on a GPU.
    network = torch.nn.utils.convert_conv2d_weight_memory_format(network, torch.channels_last)
    return network.eval().to(device), report


def require_bodies(recipe: Recipe) -> None:
    """Raises UsageError for recipes whose networks make heatmaps of joints instead of bodies."""
    if not recipe.rules.makes_bodies:
        raise UsageError(
            f"--recipe: {recipe.name} trains a backbone, which makes no bodies; name a recipe that starts from it, "
            "such as that of hmr_l1_coco --open"
        )


def prediction_precision(device: torch.device) -> AbstractContextManager[object]:
    """Switches bfloat16 on where a device computes it natively; coordinates and rotations stay float32."""
    if device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.autocast("cuda", torch.bfloat16)
    return nullcontext()
