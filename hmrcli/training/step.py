"""One step of training, on one process or many.

All that a step depends on is the state of its `Learner`, the samples, and its number: dropout draws from
(seed, step, process), rates follow from the epoch. So a run that goes on after an interruption repeats itself.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from hmrcli.algorithms.predict import predict
from hmrcli.algorithms.targets import Counts, count_labels
from hmrcli.data.training import Batch
from hmrcli.distributed import averaged, on_device, rank_and_size
from hmrcli.layers import Prediction
from hmrcli.training.learner import Kept, Labels, Learner, learning_rate, set_training
from hmrcli.training.losses import RotationsAndShape, total

LABELS = ("keypoints2d", "keypoints3d", "pose", "betas", "has_keypoints2d", "has_keypoints3d", "has_smpl")


class NotFinite(ArithmeticError):
    """A loss that is no number; the network's parameters are as they were before the step."""

    def __init__(self, step: int, terms: Sequence[str], micro_batches: Sequence[Batch]) -> None:
        """Takes the step, the terms of its loss that are not finite, and this process's samples."""
        super().__init__(", ".join(terms))
        self.step, self.terms, self.micro_batches = step, tuple(terms), micro_batches


class Step(NamedTuple):
    """A step that was asked for; a GPU may not have taken it yet."""

    number: int
    micro_batches: Sequence[Batch]
    names: tuple[str, ...]
    values: Tensor
    """The weighted terms of the loss, their `total`, and the discriminator's, over all processes; on the device."""


def read_losses(steps: Sequence[Step]) -> Iterator[dict[str, float]]:
    """Reads the losses of steps, in their order, by one wait for the device.

    Raises:
        NotFinite: at the first step where a term is not finite on some process. That step and all after it changed
            nothing.
    """
    for step, values in zip(steps, torch.stack([step.values for step in steps]).tolist()):
        losses = dict(zip(step.names, values))
        if wrong := [name for name, value in losses.items() if not math.isfinite(value)]:
            raise NotFinite(step.number, wrong, step.micro_batches)
        yield losses


def train_step(learner: Learner, micro_batches: Sequence[Batch], step: int, epoch: int) -> Step:
    """Takes one step of the optimisers on this process's share of a batch, without waiting for the device.

    The means of the losses are over the whole batch, whatever the number of processes and micro-batches. The
    discriminator learns before it scores; where gradients are accumulated over micro-batches, it scores first,
    because all of them have to be seen before it may change. A step that fails leaves network, adversary and
    optimisers as they were; so does one whose losses are not finite, and every one after it.

    Args:
        micro_batches: equal ones, over which gradients are accumulated; one at a time is on the device.
        step: of the run, from 0.
    """
    torch.manual_seed(_noise_seed(learner.recipe.seed, step, rank_and_size()[0]))
    set_training(learner.network, learner.recipe)
    optimizer, failed = learner.optimizer, learner.failed
    others = learner.adversary.optimizer.param_groups if learner.adversary else []
    for group in (*optimizer.param_groups, *others):
        group["lr"] = learning_rate(learner.recipe, group["name"], epoch)
    optimizer.zero_grad(set_to_none=True)
    kept = Kept(learner)
    try:
        sums = _accumulate(learner, micro_batches, step)
        values = averaged(torch.cat([each.detach() for each in sums.values()]))
    except BaseException:
        kept.put_back()
        raise
    failed.logical_or_((0 * values).sum().isnan())  # 0 times what is not finite is no number
    kept.put_back(where=failed > 0)
    if fused := optimizer.defaults[
        "fused"
    ]:  # decides on the device whether it steps, as for scaled gradients
        optimizer.found_inf = failed  # type: ignore[attr-defined]
    if fused or not failed:
        optimizer.step()
    return Step(step, micro_batches, tuple(name for names in sums for name in names), values)


def _accumulate(learner: Learner, micro_batches: Sequence[Batch], step: int) -> dict[tuple[str, ...], Tensor]:
    """Computes losses (N,) by their N names, and gradients; the discriminator's own optimiser steps here."""
    counts = _mean_counts(micro_batches, learner.device)
    sums: dict[tuple[str, ...], Tensor] = {}
    bodies: list[RotationsAndShape] = []
    for number, micro_batch in enumerate(micro_batches):
        batch = micro_batch.to(learner.device)
        with ExitStack() as stack:
            if number < len(micro_batches) - 1 and isinstance(learner.parallel, DistributedDataParallel):
                stack.enter_context(learner.parallel.no_sync())
            with torch.autocast(learner.device.type, torch.bfloat16, enabled=learner.precision == "bf16"):
                prediction = predict(learner.parallel, batch.crops)
            if learner.adversary is not None:
                bodies.append(RotationsAndShape(prediction.rotmat.detach(), prediction.betas.detach()))
                if len(micro_batches) == 1:
                    _add(sums, learner.adversary.learn(bodies, step))
            labels, its_counts = _labels(learner, batch, prediction, counts)
            terms = learner.losses(prediction, labels, batch.crops, its_counts)
            loss = total(terms) / len(micro_batches)
            _add(sums, terms, 1 / len(micro_batches))
            _add(sums, {"total": loss})
            loss.backward()
    if learner.adversary is not None and len(micro_batches) > 1:
        _add(sums, learner.adversary.learn(bodies, step))
    return sums


def _labels(learner: Learner, batch: Batch, prediction: Prediction, counts: Counts) -> tuple[Labels, Counts]:
    """Returns the labels of a micro-batch and what its means divide by."""
    if learner.relabel is None:
        return _given_labels(batch), counts
    labels = learner.relabel(batch, prediction)
    # How many fits are good enough is known for this micro-batch alone.
    known = averaged(count_labels(labels).smpl)
    return labels, counts._replace(smpl=known)


def _mean_counts(micro_batches: Sequence[Batch], device: torch.device) -> Counts:
    """Counts the labels of the average micro-batch of all processes."""
    each = torch.stack([torch.stack(count_labels(_given_labels(part))) for part in micro_batches])
    return Counts(*averaged(on_device(each.mean(0), device)).unbind())


def _given_labels(batch: Batch) -> Labels:
    return {name: getattr(batch, name) for name in LABELS}


def _noise_seed(seed: int, step: int, rank: int) -> int:
    """Returns a number for each step and process of a run, far from those of its neighbours."""
    return (seed * 0x9E3779B97F4A7C15 + step * 0xBF58476D1CE4E5B9 + rank * 0x94D049BB133111EB) % 2**63


def _add(sums: dict[tuple[str, ...], Tensor], values: Mapping[str, Tensor], share: float = 1.0) -> None:
    """Adds named scalars, or a share of them, to those of the micro-batches before."""
    names, block = tuple(values), torch.stack(list(values.values())).detach()
    block = block if share == 1 else block * share
    sums[names] = sums[names] + block if names in sums else block
