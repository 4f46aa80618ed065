"""Networks and losses that torch's compiler takes whole: the same losses, whatever it makes of the graph.

Graphs are run as they are caught, which is quick; code is generated for a part of one network alone.
"""

import shutil
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
import torch

from benchmarks.operators import learner_without_backbone, made_batch
from hmrcli.algorithms.hmr import HMRHead
from hmrcli.data.training import Batch
from hmrcli.layers.mean_parameters import rest_parameters
from hmrcli.training import learner as learners
from hmrcli.training.learner import Learner
from hmrcli.training.step import read_losses, train_step
from tests.processes import together

pytestmark = pytest.mark.usefixtures("narrow_backbones", "one_thread")


GENERATED = learners.compile_whole


@pytest.fixture
def backend() -> str:
    """Catches what is computed; `aot_eager` its derivatives, too, which takes as long again."""
    return "eager"


@pytest.fixture(autouse=True)
def as_caught(monkeypatch: pytest.MonkeyPatch, backend: str) -> None:
    """A part that the compiler cannot catch raises."""

    def caught(computes: Any) -> Any:
        return torch.compile(computes, fullgraph=True, backend=backend)

    monkeypatch.setattr(learners, "compile_whole", caught)


def rows_of(batch: Batch, rows: slice) -> Batch:
    return Batch(*(values[rows] for values in batch))


def losses_of(one: Learner, parts: list[Batch], steps: int = 2) -> list[dict[str, float]]:
    return list(read_losses([train_step(one, parts, step, 0) for step in range(steps)]))


@pytest.mark.parametrize("backend", ["aot_eager"])
def test_all_of_network_and_losses_is_compiled() -> None:
    plain, compiled = (learner_without_backbone("open_quick", 2, compiled=each) for each in (False, True))
    batch = made_batch(plain.recipe, 2)
    for one, other in zip(losses_of(plain, [batch]), losses_of(compiled, [batch]), strict=True):
        assert other == pytest.approx(one, rel=1e-5)


def test_micro_batches_and_the_adversary_are_as_without() -> None:
    """What is saved has the names and values of a network that is not compiled, which goes on from there."""
    plain, compiled = (learner_without_backbone("hmr_l1", 2, compiled=each) for each in (False, True))
    batch = made_batch(plain.recipe, 4)
    parts = [rows_of(batch, slice(0, 2)), rows_of(batch, slice(2, 4))]
    for one, other in zip(losses_of(plain, parts), losses_of(compiled, parts), strict=True):
        assert other == pytest.approx(one, rel=1e-5)
    resumed = learner_without_backbone("hmr_l1", 2)
    resumed.network.load_state_dict(compiled.network.state_dict())
    resumed.load_state(deepcopy(compiled.state()))
    after = [next(read_losses([train_step(one, parts, 2, 0)])) for one in (plain, resumed)]
    assert after[1] == pytest.approx(after[0], rel=1e-5)


def steps(rank: int, compiled: bool) -> list[dict[str, float]]:
    one = learner_without_backbone("cliff", 2, compiled)
    return losses_of(one, [rows_of(made_batch(one.recipe, 4), slice(2 * rank, 2 * rank + 2))])


def test_processes_train_a_compiled_network() -> None:
    """One of two compiles, which takes long enough; what it computes is in the other's second step."""
    plain = together(lambda rank: steps(rank, compiled=False))
    mixed = together(lambda rank: steps(rank, compiled=rank == 1))
    for one, other in zip(plain[0] + plain[1], mixed[0] + mixed[1], strict=True):
        assert other == pytest.approx(one, rel=1e-5)


@pytest.mark.skipif(shutil.which("c++") is None, reason="torch.compile needs a C++ compiler on the CPU")
def test_generated_code_draws_and_learns_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dropout included."""
    from torch._inductor import config

    monkeypatch.setattr(config, "compile_threads", 1)  # here, not in processes that each import torch first
    monkeypatch.setattr(config.cpp, "simdlen", 1)  # a fifth less to compile, and not what is tested
    head, features = HMRHead(rest_parameters(), 1, 64).train(), torch.randn(2, 64)

    def learned(computes: Callable[[torch.Tensor], tuple[torch.Tensor, ...]]) -> list[torch.Tensor]:
        torch.manual_seed(0)
        rotmat, betas, cam = computes(features)
        loss = (rotmat * torch.arange(3.0)).sum() + betas.square().sum() + cam.square().sum()
        return [rotmat, *torch.autograd.grad(loss, [head.fc1.weight, head.decpose.weight])]

    outcomes = [learned(computes) for computes in (head, GENERATED(head))]
    for one, other in zip(*outcomes, strict=True):
        torch.testing.assert_close(other, one)
