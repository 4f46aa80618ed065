"""Networks and losses that torch's compiler takes whole: the same losses, whatever it makes of the graph.

Graphs are run as they are caught, which is quick; `test_step.py` has code generated for one of them.
"""

from typing import Any

import pytest
import torch

from benchmarks.operators import learner_without_backbone, made_batch
from hmrcli.data.training import Batch
from hmrcli.training import learner as learners
from hmrcli.training.learner import Learner
from hmrcli.training.step import read_losses, train_step
from tests.processes import together

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(autouse=True)
def as_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """A part that the compiler cannot catch raises."""

    def caught(computes: Any) -> Any:
        return torch.compile(computes, fullgraph=True, backend="aot_eager")

    monkeypatch.setattr(learners, "_compiled", caught)


def rows_of(batch: Batch, rows: slice) -> Batch:
    return Batch(*(values[rows] for values in batch))


def losses_of(one: Learner, parts: list[Batch], steps: int = 2) -> list[dict[str, float]]:
    return list(read_losses([train_step(one, parts, step, 0) for step in range(steps)]))


@pytest.mark.parametrize("name", ["cliff", "open_quick"])
def test_all_of_network_and_losses_is_compiled(name: str) -> None:
    plain, compiled = (learner_without_backbone(name, 2, compiled=each) for each in (False, True))
    batch = made_batch(plain.recipe, 2)
    for one, other in zip(losses_of(plain, [batch]), losses_of(compiled, [batch]), strict=True):
        assert other == pytest.approx(one, rel=1e-5)


def test_micro_batches_and_the_adversary_are_as_without() -> None:
    plain, compiled = (learner_without_backbone("hmr_l1", 2, compiled=each) for each in (False, True))
    batch = made_batch(plain.recipe, 4)
    parts = [rows_of(batch, slice(0, 2)), rows_of(batch, slice(2, 4))]
    for one, other in zip(losses_of(plain, parts), losses_of(compiled, parts), strict=True):
        assert other == pytest.approx(one, rel=1e-5)


def steps(rank: int, compiled: bool) -> list[dict[str, float]]:
    one = learner_without_backbone("cliff", 2, compiled)
    return losses_of(one, [rows_of(made_batch(one.recipe, 4), slice(2 * rank, 2 * rank + 2))])


def test_processes_train_a_compiled_network() -> None:
    plain, _ = together(lambda rank: steps(rank, compiled=False))
    compiled, _ = together(lambda rank: steps(rank, compiled=True))
    for one, other in zip(plain, compiled, strict=True):
        assert other == pytest.approx(one, rel=1e-5)
