"""Every recipe's network on the open body: what it is, how it trains, and that its weights survive a file."""

import functools

import pytest
import torch
from torch import nn

from hmrcli.algorithms import build_network
from hmrcli.body import load_body
from hmrcli.layers import load_weights, save_weights
from hmrcli.layers.weights import Undrawn
from hmrcli.recipe import Recipe, load_recipe, recipe_names
from hmrcli.recipe.schema import Network
from hmrcli.training.learner import set_training

ALGORITHMS = ("hmr", "spin", "graphcmr", "pare", "graphormer")


@functools.cache
def body():
    return load_body("open")


def signature(recipe: Recipe) -> dict[str, torch.Size]:
    """Shapes of a recipe's weights."""
    return _signature(recipe.network.model_copy(update={"initialisation": None}), recipe.algorithm)


@functools.cache  # what is built depends on nothing else
def _signature(settings: Network, algorithm: str) -> dict[str, torch.Size]:
    with Undrawn():
        network = build_network(
            load_recipe(f"{algorithm}_normal").model_copy(update={"network": settings}), body()
        )
    return {name: value.shape for name, value in network.state_dict().items()}


def what_is_built(recipe: Recipe) -> dict[str, object]:
    return recipe.network.model_dump(exclude={"initialisation"})


@pytest.mark.parametrize("algorithm", ALGORITHMS[:-1])
def test_batch_norms_are_set_and_weights_survive_a_file(algorithm, tmp_path):
    """That a step reaches every parameter is tested with the losses of the recipes (tests/training).

    Graphormer's file, of 700 MB, is written and read in tests/inference/test_predictor.py.
    """
    recipe = load_recipe(f"{algorithm}_normal")
    torch.manual_seed(0)
    network = build_network(recipe, body())
    set_training(network, recipe)
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    assert any(not norm.training for norm in norms) == (recipe.network.batch_norm == "frozen")

    path = tmp_path / "model.safetensors"
    save_weights(network, path)
    torch.manual_seed(1)
    with Undrawn():
        other = build_network(recipe, body())
    weights = network.state_dict()
    assert any(not torch.equal(weights[name], value) for name, value in other.state_dict().items())
    report = load_weights(other, path)
    assert not report.missing
    assert not report.unexpected
    assert all(torch.equal(weights[name], value) for name, value in other.state_dict().items())


@pytest.mark.parametrize("name", [name for name in recipe_names() if not name.startswith(("open_", "cliff"))])
def test_every_recipe_builds_the_network_of_its_algorithm(name):
    """The four rows of an algorithm share one network."""
    recipe = load_recipe(name)
    normal = load_recipe(f"{recipe.algorithm}_normal")
    assert what_is_built(recipe) == what_is_built(normal)
    assert signature(recipe) == signature(normal)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_open_cells_build_the_networks_of_their_rows(algorithm):
    rows = {name for name in recipe_names() if name.startswith(f"{algorithm}_")}
    assert len(rows) == 4
    first, *others = (load_recipe(name, open=True) for name in sorted(rows))
    assert all(what_is_built(other) == what_is_built(first) for other in others)
    assert signature(first) == signature(load_recipe(f"{algorithm}_normal"))
