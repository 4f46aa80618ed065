"""Training on several processes under torchrun: their devices, and averages over all of them."""

import os
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from hmrcli.evaluation.processes import rank_and_size

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
