"""Networks on narrow backbones: a recipe's loss trains what its paper trains, and nothing else."""

import pytest
import torch

from hmrcli.algorithms import ALGORITHMS, build_network
from hmrcli.body import load_body
from hmrcli.layers import Discriminator
from hmrcli.layers.crops import Crops
from hmrcli.layers.unused import unused_names
from hmrcli.training.losses import total, training_losses
from tests.algorithms.checks import row_of
from tests.training.made import CROPS, made_labels

pytestmark = pytest.mark.usefixtures("narrow_backbones")


@pytest.fixture(scope="module")
def body():
    return load_body("open")


@pytest.mark.parametrize("algorithm", [name for name, one in ALGORITHMS.items() if one.makes_bodies])
def test_every_trained_parameter_gets_a_gradient(algorithm, body):
    # Half of all seeds start GraphCMR's camera with a ReLU that is off at every vertex; this one does not.
    torch.manual_seed(1)
    recipe = row_of(algorithm)
    network = build_network(recipe, body)
    discriminator = Discriminator() if recipe.adversary else None
    # Small crops are quick; Graphormer alone needs its grid of 7 by 7, and has no statistics of a single number.
    count, size = (1, 224) if algorithm == "graphormer" else (2, 64)
    prediction = network(torch.randn(count, 3, size, size))
    crops = Crops(*(each[:count] for each in CROPS))
    terms = training_losses(recipe, prediction, made_labels(recipe, count), crops, body, discriminator)
    total(terms).backward()
    unread = unused_names(network)
    for name, parameter in network.named_parameters():
        assert (parameter.grad is None) == (name in unread), name
        if parameter.grad is not None:
            assert parameter.grad.isfinite().all(), name
            # A bias before a batch norm has no effect, and so a gradient of zeros.
            assert name.endswith("bias") or parameter.grad.any(), name
    assert discriminator is None or all(parameter.grad is None for parameter in discriminator.parameters())
    assert not any(buffer.requires_grad for buffer in body.buffers())
