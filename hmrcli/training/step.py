"""One step of training, on one process or many.

All that a step depends on is the state of its `Learner`, the samples, and its number: dropout draws from
(seed, step, process), rates follow from the epoch. So a run that goes on after an interruption repeats itself.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from hmrcli.algorithms.predict import predict
from hmrcli.algorithms.targets import Counts, count_labels
from hmrcli.data.training import Batch
from hmrcli.distributed import averaged, rank_and_size
from hmrcli.layers import Prediction
from hmrcli.training.adversary import RotationsAndShape
from hmrcli.training.learner import Labels, Learner, keep, learning_rate, set_training
from hmrcli.training.losses import total

LABELS = ("keypoints2d", "keypoints3d", "pose", "betas", "has_keypoints2d", "has_keypoints3d", "has_smpl")


class NotFinite(ArithmeticError):
    """A loss that is no number; the network's parameters are as they were before the step."""

    def __init__(self, terms: Sequence[str], micro_batches: Sequence[Batch]) -> None:
        """Takes the terms of the loss that are not finite, and this process's samples."""
        super().__init__(", ".join(terms))
        self.terms, self.micro_batches = tuple(terms), micro_batches


class Step(NamedTuple):
    """Results of a step."""

    losses: dict[str, float]
    """The weighted terms, their `total`, and the discriminator's, over all processes."""
    stop: bool
    """True where a process was asked to stop."""


def train_step(
    learner: Learner,
    micro_batches: Sequence[Batch],
    step: int,
    epoch: int,
    stop: Callable[[], bool] = lambda: False,
) -> Step:
    """Takes one step of the optimisers on this process's share of a batch.

    The means of the losses are over the whole batch, whatever the number of processes and micro-batches. The
    discriminator learns before it scores; where gradients are accumulated over micro-batches, it scores first,
    because all of them have to be seen before it may change. A step that fails leaves network, adversary and
    optimisers as they were.

    Args:
        micro_batches: equal ones, over which gradients are accumulated; one at a time is on the device.
        step: of the run, from 0.
        stop: whether this process was asked to stop.

    Raises:
        NotFinite: a term is not finite on some process; all processes raise it.
    """
    torch.manual_seed(_noise_seed(learner.recipe.seed, step, rank_and_size()[0]))
    set_training(learner.network, learner.recipe)
    _set_rates(learner, epoch)
    learner.optimizer.zero_grad(set_to_none=True)
    put_back = keep(learner)
    try:
        result = _accumulate(learner, micro_batches, step, stop)
    except BaseException:
        put_back()
        raise
    learner.optimizer.step()
    return result


def _accumulate(
    learner: Learner, micro_batches: Sequence[Batch], step: int, stop: Callable[[], bool]
) -> Step:
    """Computes losses and gradients of a step; the discriminator's own optimiser steps here."""
    counts = _mean_counts(micro_batches, learner.device)
    sums: dict[str, Tensor] = {}
    bodies: list[RotationsAndShape] = []
    for number, micro_batch in enumerate(micro_batches):
        batch = micro_batch.to(learner.device)
        with ExitStack() as stack:
            if number < len(micro_batches) - 1 and isinstance(learner.parallel, DistributedDataParallel):
                stack.enter_context(learner.parallel.no_sync())
            with _autocast(learner):
                prediction = predict(learner.parallel, batch.crops)
            if learner.adversary is not None:
                bodies.append(RotationsAndShape(prediction.rotmat.detach(), prediction.betas.detach()))
                if len(micro_batches) == 1:
                    _add(sums, learner.adversary.learn(bodies, step))
            labels, its_counts = _labels(learner, batch, prediction, counts)
            terms = learner.losses(prediction, labels, batch.crops, its_counts)
            loss = total(terms)
            _add(sums, {name: value / len(micro_batches) for name, value in {**terms, "total": loss}.items()})
            (loss / len(micro_batches)).backward()
    if learner.adversary is not None and len(micro_batches) > 1:
        _add(sums, learner.adversary.learn(bodies, step))
    values = torch.stack([*sums.values(), loss.new_tensor(float(stop()))]).detach()
    *numbers, stopped = averaged(values).tolist()
    losses = dict(zip(sums, numbers))
    wrong = [name for name, value in losses.items() if value - value != 0]
    if wrong:
        raise NotFinite(wrong, micro_batches)
    return Step(losses, stopped > 0)


def _labels(learner: Learner, batch: Batch, prediction: Prediction, counts: Counts) -> tuple[Labels, Counts]:
    """Returns the labels of a micro-batch and what its means divide by."""
    if learner.relabel is None:
        return {name: getattr(batch, name) for name in LABELS}, counts
    labels = learner.relabel(batch, prediction)
    # How many fits are good enough is known for this micro-batch alone.
    known = averaged(count_labels(labels).smpl)
    return labels, counts._replace(smpl=known)


def _set_rates(learner: Learner, epoch: int) -> None:
    adversary = learner.adversary.optimizer.param_groups if learner.adversary else []
    for group in (*learner.optimizer.param_groups, *adversary):
        group["lr"] = learning_rate(learner.recipe, group["name"], epoch)


def _autocast(learner: Learner) -> AbstractContextManager[object]:
    if learner.precision == "fp32":
        return nullcontext()
    return torch.autocast(learner.device.type, torch.bfloat16)


def _mean_counts(micro_batches: Sequence[Batch], device: torch.device) -> Counts:
    """Counts the labels of the average micro-batch of all processes."""
    each = [
        torch.stack(count_labels({name: getattr(micro_batch, name) for name in LABELS}))
        for micro_batch in micro_batches
    ]
    return Counts(*averaged(torch.stack(each).mean(0).to(device)))


def _noise_seed(seed: int, step: int, rank: int) -> int:
    """Returns a number for each step and process of a run, far from those of its neighbours."""
    return (seed * 0x9E3779B97F4A7C15 + step * 0xBF58476D1CE4E5B9 + rank * 0x94D049BB133111EB) % 2**63


def _add(sums: dict[str, Tensor], values: Mapping[str, Tensor]) -> None:
    for name, value in values.items():
        sums[name] = sums[name] + value.detach() if name in sums else value.detach()
