"""What a step asks of a device, counted: the number of its operators, and that it never waits for a result."""

from typing import Any

import pytest
import torch

from benchmarks.operators import count, learner_without_backbone, made_batch
from hmrcli.training.step import read_losses, train_step

pytestmark = pytest.mark.usefixtures("narrow_backbones", "one_thread")


@pytest.mark.parametrize(
    ("name", "most"),
    [("hmr_l1", 475), ("spin_l1", 360), ("cliff", 417), ("open_quick", 500), ("graphcmr_l1", 940)],
)
def test_a_step_beside_its_backbone_has_few_operators(name: str, most: int) -> None:
    """A little more than there are."""
    found = count(name)
    assert found.computing <= most and not found.waits


def test_a_step_never_waits_for_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """What would wait on a GPU is forbidden from the upload of the samples on."""
    learner = learner_without_backbone("hmr_l1", 2)
    batch = made_batch(learner.recipe, 2)
    train_step(learner, [batch], 0, 0)

    def waits(*_: Any, **__: Any) -> None:
        raise AssertionError("a GPU would be waited for")

    with monkeypatch.context() as patched:
        for name in ("item", "tolist", "cpu", "numpy", "nonzero", "__bool__", "__float__", "__int__"):
            patched.setattr(torch.Tensor, name, waits)
        taken = train_step(learner, [batch], 1, 0)
    assert next(read_losses([taken]))["total"] > 0
