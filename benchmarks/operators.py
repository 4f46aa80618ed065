"""Operators of a training step, counted by torch's profiler on the CPU: what a GPU is given to do one by one.

    python benchmarks/operators.py [RECIPE...]

The backbone is replaced by features that are there already, so that what is counted is all of a step beside it: head,
body, losses, adversary, optimisers, labels. Counted are operators that compute or copy; views and allocations are not,
operators on lists of tensors count once, as on a GPU. Waits are operators that make a GPU's host wait for a result.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.world import open_recipe
from hmrcli.algorithms import build_network
from hmrcli.algorithms.graphcmr import GraphCMR
from hmrcli.algorithms.graphormer import Graphormer
from hmrcli.body import load_body
from hmrcli.body.joints import JOINT_SETS
from hmrcli.data.sets import Bodies
from hmrcli.data.training import Batch
from hmrcli.recipe import Recipe
from hmrcli.training.learner import Learner, make_learner
from hmrcli.training.step import train_step

ROWS = ("hmr_l1", "spin_l1", "graphcmr_l1", "pare_l1", "graphormer_l1", "cliff", "open_quick")
"""One of each algorithm. SPIN's fits are left out, whose number of rounds depends on the people."""
WAITS = ("item", "_local_scalar_dense", "nonzero", "is_nonzero", "masked_select", "unique", "equal")
_NO_WORK = frozenset(
    """
    view reshape permute transpose t expand select slice unsqueeze squeeze as_strided split unbind flatten unflatten
    narrow detach detach_ alias empty empty_like empty_strided split_with_sizes resolve_conj resolve_neg _unsafe_view
    expand_as view_as lift_fresh result_type movedim mT numpy_T real _reshape_alias resize_ resize_as_ as_strided_
    new_empty set_data _nnpack_available scalar_tensor chunk diagonal
    """.split()  # noqa: SIM905
)
_CALLS = {
    "convolution_backward": 3,
    "_foreach": 1,
    "_fused_adam": 1,
    "dropout": 1,
    "embedding_bag": 1,
    "convolution": 1,
}
"""What a CPU does in several operators, and a GPU in so many, by how they begin."""


class Operators(NamedTuple):
    """Operators of a step beside the backbone."""

    computing: int
    waits: list[str]


class Features(nn.Module):
    """Stands in for a backbone: features of as many pictures as there are, whatever they show, with one parameter."""

    def __init__(self, features: Tensor | tuple[Tensor, ...]) -> None:
        super().__init__()
        self.scale, self.features = nn.Parameter(torch.ones(())), features

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Returns them for any pictures."""
        if isinstance(self.features, tuple):
            return tuple(each[: len(images)] * self.scale for each in self.features)
        return self.features[: len(images)] * self.scale


def made_batch(recipe: Recipe, samples: int) -> Batch:
    """Makes up samples with all kinds of labels."""
    random = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(samples, *shape, generator=random)

    joints, (width, height) = len(JOINT_SETS[recipe.data.joints]), recipe.crop_shape
    every, numbers = torch.ones(samples, dtype=torch.bool), torch.arange(samples)
    return Batch(
        images=(128 + 40 * normal(height, width, 3)).clip(0, 255).byte(),
        affine=torch.eye(2, 3).expand(samples, 2, 3),
        box=torch.tensor([[200.0, 200.0, 150.0]]).expand(samples, 3),
        photo_size=torch.full((samples, 2), 400.0),
        keypoints2d=torch.cat([112 + 40 * normal(joints, 2), torch.ones(samples, joints, 1)], 2),
        keypoints3d=torch.cat([0.3 * normal(joints, 3), torch.ones(samples, joints, 1)], 2),
        pose=0.2 * normal(72),
        betas=normal(10),
        has_keypoints2d=every,
        has_keypoints3d=every,
        has_smpl=numbers % 3 > 0,
        dataset=numbers * 0,
        row=numbers,
        epoch=numbers * 0,
        position=numbers,
        flip=~every,
        rotation=torch.zeros(samples),
    )


def learner_without_backbone(name: str, samples: int, compiled: bool = False) -> Learner:
    """Builds the learner of a row whose features are there already."""
    recipe, body = open_recipe(name, batch_size=samples), load_body("open")
    torch.manual_seed(0)
    network = build_network(recipe, body)
    owner, part = (network.graph_cnn, "resnet") if name.startswith("graphcmr") else (network, "backbone")
    width, height = recipe.crop_shape
    with torch.no_grad():
        features = getattr(owner, part).eval()(torch.zeros(1, 3, height, width))
    several = isinstance(features, tuple)
    made = [torch.randn(samples, *each.shape[1:]) for each in (features if several else (features,))]
    setattr(owner, part, Features(tuple(made) if several else made[0]))
    random = np.random.default_rng(0)
    real = Bodies(*(random.normal(scale=0.2, size=(99, size)).astype(np.float32) for size in (72, 10)))
    return make_learner(recipe, network, body, torch.device("cpu"), real, compiled=compiled)


def count(name: str, samples: int = 4) -> Operators:
    """Counts the operators of the third step of a row, beside its backbone."""
    learner = learner_without_backbone(name, samples)
    batch = made_batch(learner.recipe, samples)
    for step in range(2):
        train_step(learner, [batch], step, 0)
    return counted(lambda: train_step(learner, [batch], 2, 0))


def count_layers(name: str, samples: int = 4) -> int:
    """Counts the operators of a graph network or of transformers alone, forward and backward; 0 for other rows."""
    network = learner_without_backbone(name, samples).network
    if isinstance(network, GraphCMR):
        features = torch.randn(samples, 2048, requires_grad=True)
        return counted(lambda: run_back(*network.graph_cnn.regress(features))).computing
    if isinstance(network, Graphormer):
        feature, grid = network.backbone(torch.zeros(samples, 3, 224, 224))
        return counted(lambda: run_back(*(network.regress(feature, grid).mesh_levels or ()))).computing
    return 0


def run_back(*outputs: Tensor) -> None:
    """Takes the gradient of their sums."""
    torch.autograd.backward(outputs, [torch.ones_like(output) for output in outputs])


def counted(work: Callable[[], object]) -> Operators:
    """Counts the operators of some work."""
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        work()
    computing, waits = 0, []
    todo = [event for event in profiled.events() if event.cpu_parent is None]
    while todo:
        event = todo.pop()
        operator = event.name.removeprefix("aten::")
        if calls := next((calls for start, calls in _CALLS.items() if operator.startswith(start)), 0):
            computing += calls
            continue
        waits += [operator] if operator in WAITS else []
        below = [each.name.removeprefix("aten::") for each in event.cpu_children if "aten::" in each.name]
        if operator == "to" and not below:  # of the right type already
            continue
        if event.name.startswith("aten::") and operator not in _NO_WORK:
            computing += not any(name not in _NO_WORK for name in below)
        todo += event.cpu_children
    return Operators(computing, waits)


def main() -> None:
    """Counts the rows that are named."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recipes", nargs="*", default=ROWS)
    torch.set_num_threads(1)
    print(f"{'a step beside its backbone':28}{'operators':>10}{'waits':>8}{'of it, graph layers':>22}")
    for name in parser.parse_args().recipes:
        found = count(name)
        print(f"{name:28}{found.computing:10}{len(found.waits):8}{count_layers(name):22}", flush=True)


if __name__ == "__main__":
    main()
