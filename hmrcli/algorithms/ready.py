"""Trained networks, ready to predict."""

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import torch
from torch import nn

from hmrcli.algorithms.build import build_network
from hmrcli.body import BodyModel
from hmrcli.environment import chosen_device as chosen_device
from hmrcli.errors import UsageError
from hmrcli.layers.weights import WeightReport, load_weights
from hmrcli.recipe import Recipe


def load_network(
    recipe: Recipe, checkpoint: Path, body: BodyModel, device: torch.device
) -> tuple[nn.Module, WeightReport]:
    """The network of a recipe with trained weights, ready to predict.

    Raises:
        MissingFile: the checkpoint, or a file of the body that the network needs, is not there.
        BadInput: the checkpoint is damaged or belongs to another network.
        UsageError: the recipe's network makes no bodies.
    """
    require_bodies(recipe)
    network = build_network(recipe, body)
    report = load_weights(network, checkpoint)
    # Convolutions run 1.2 to 1.3 times as fast this way on a CPU (benchmarks/networks.py), more on a GPU.
    network = torch.nn.utils.convert_conv2d_weight_memory_format(network, torch.channels_last)
    return network.eval().to(device), report


def require_bodies(recipe: Recipe) -> None:
    """Raises UsageError for recipes whose networks make heatmaps of joints instead of bodies."""
    if recipe.algorithm == "pose":
        raise UsageError(
            f"--recipe: {recipe.name} trains a backbone, which makes no bodies; name a recipe that starts from it, "
            "such as that of hmr_l1_coco --open"
        )


def prediction_precision(device: torch.device) -> AbstractContextManager[object]:
    """bfloat16 where the device computes it natively; coordinates and rotations stay float32 in the networks."""
    if device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.autocast("cuda", torch.bfloat16)
    return nullcontext()
