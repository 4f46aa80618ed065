"""Training on several processes under torchrun: their devices, and averages over all of them."""

import os
from collections.abc import Callable
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from hmrcli.errors import HmrError
from hmrcli.evaluation.processes import rank_and_size
from hmrcli.training.spoken import Elsewhere

Value = TypeVar("Value")


def local_device(device: torch.device) -> torch.device:
    """The device of this process: each on a machine has a GPU of its own."""
    if device.type != "cuda" or rank_and_size()[1] == 1:
        return device
    own = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    torch.cuda.set_device(own)
    return own


def averaged(values: Tensor) -> Tensor:
    """The mean of a tensor over all processes; changed in place."""
    size = rank_and_size()[1]
    if size > 1:
        dist.all_reduce(values)
        values /= size
    return values


def from_first(value: Value) -> Value:
    """An object of the first process, for all."""
    if rank_and_size()[1] == 1:
        return value
    box = [value]
    dist.broadcast_object_list(box, src=0)
    return box[0]


def anywhere(value: bool) -> bool:
    """Whether it is so on any process; on the CPU, so that no GPU is waited for."""
    if rank_and_size()[1] == 1:
        return value
    box = torch.tensor(float(value))
    dist.all_reduce(box, dist.ReduceOp.MAX)
    return box.item() > 0


def done_by_first(work: Callable[[], Value]) -> Value:
    """What the first process made, for all.

    Raises:
        HmrError: the first raised it; the others raise `Elsewhere`.
    """
    if rank_and_size()[1] == 1:
        return work()
    made, error = None, None
    if rank_and_size()[0] == 0:
        try:
            made = work()
        except HmrError as raised:
            error = raised
    made, failed = from_first((made, error is not None))
    if error is not None:
        raise error
    if failed:
        raise Elsewhere
    return made  # type: ignore[return-value]
