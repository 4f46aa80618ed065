"""Properties that every network has."""

import torch
from torch import Tensor, nn

from hmrcli.layers import Prediction
from hmrcli.layers.unused import unused_names
from hmrcli.recipe import Recipe, load_recipe, recipe_names


def row_of(algorithm: str, variant: str = "normal") -> Recipe:
    """A row of an algorithm, or the one recipe of those that are not of the benchmark."""
    return load_recipe(algorithm if algorithm in recipe_names() else f"{algorithm}_{variant}")


def published_state(network: nn.Module) -> set[str]:
    return {f"{name} {tuple(value.shape)}" for name, value in network.state_dict().items()}


def parameter_count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def assert_trains(network: nn.Module, outputs: list[Tensor]) -> None:
    """A loss on all outputs reaches every parameter that is not stored only."""
    network.zero_grad()
    torch.stack([(output * torch.randn_like(output)).sum() for output in outputs]).sum().backward()
    unread = unused_names(network)
    for name, parameter in network.named_parameters():
        assert (parameter.grad is None) == (name in unread), name
        assert parameter.grad is None or parameter.grad.isfinite().all(), name
    network.zero_grad()


def assert_same(whole: Prediction, parts: list[Prediction]) -> None:
    """A batch gives what its samples give one by one."""
    for field in ("cam", "vertices", "rotmat", "betas", "joints3d", "part_maps"):
        value = getattr(whole, field)
        if value is not None:
            alone = torch.cat([getattr(part, field) for part in parts])
            assert (value - alone).abs().max() <= 1e-4 * value.abs().max(), field


def assert_rotations(rotmat: Tensor) -> None:
    assert rotmat.dtype == torch.float32
    torch.testing.assert_close(rotmat @ rotmat.mT, torch.eye(3).expand_as(rotmat), atol=1e-5, rtol=0)
    torch.testing.assert_close(torch.linalg.det(rotmat), torch.ones(rotmat.shape[:-2]), atol=1e-5, rtol=0)
