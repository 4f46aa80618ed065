"""Several processes under torchrun: who this one is, and what the first gathers from all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
import torch.distributed as dist

Part = TypeVar("Part")


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


def gathered(part: Part) -> list[Part] | None:
    """The parts of all processes, in their order, for the first process; None for the others."""
    rank, size = rank_and_size()
    if size == 1:
        return [part]
    parts: list[Any] | None = [None] * size if rank == 0 else None
    dist.gather_object(part, parts)
    return parts
