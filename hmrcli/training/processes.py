"""Training on several processes under torchrun: who this process is, and averages over all of them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

Value = TypeVar("Value")


def rank_and_size() -> tuple[int, int]:
    """This process's number and how many there are; (0, 1) without torchrun."""
    return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))


@contextmanager
def joined(device: torch.device) -> Iterator[None]:
    """Joins the processes that torchrun started, for as long as the block runs.

    Tensors on a GPU travel by nccl; those on the CPU, and objects, by gloo.
    """
    if rank_and_size()[1] == 1:
        yield
        return
    dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo")
    try:
        yield
    finally:
        dist.destroy_process_group()


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
