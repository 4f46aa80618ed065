"""Several processes under torchrun: which this one is, what all of them share, and which one says what ended them.

torch is imported by what needs it, so that errors which need none come early.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from hmrcli.errors import HmrError

if TYPE_CHECKING:
    import torch

Value = TypeVar("Value")

PATIENCE = 20.0
"""Seconds in which torchrun ends the processes that leave an error to another one to say."""


class Elsewhere(HmrError):
    """The work ended with what another process says."""


def rank_and_size() -> tuple[int, int]:
    """Gives this process's number and how many there are; (0, 1) without torchrun."""
    return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))


@contextmanager
def joined(device: "torch.device") -> Iterator[None]:
    """Joins the processes that torchrun started, for as long as the block runs.

    Tensors on a GPU travel by nccl; those on the CPU, and objects, by gloo.
    """
    if rank_and_size()[1] == 1:
        yield
        return
    import torch.distributed as dist

    dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo")
    try:
        yield
    finally:
        dist.destroy_process_group()


def local_device(device: "torch.device") -> "torch.device":
    """Picks the device of this process: each on a machine has a GPU of its own."""
    if device.type != "cuda" or rank_and_size()[1] == 1:
        return device
    import torch

    own = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    torch.cuda.set_device(own)
    return own


def on_device(values: "torch.Tensor", device: "torch.device") -> "torch.Tensor":
    """Brings a tensor of the CPU to a device; a GPU fetches it when it gets there, and nobody waits."""
    if device.type == "cuda":
        values = values.pin_memory()
    return values.to(device, non_blocking=True)


def gathered(part: Value) -> list[Value] | None:
    """Gathers the parts of all processes, in their order, for the first process; None for the others."""
    rank, size = rank_and_size()
    if size == 1:
        return [part]
    import torch.distributed as dist

    parts: list[Any] | None = [None] * size if rank == 0 else None
    dist.gather_object(part, parts)
    return parts


def averaged(values: "torch.Tensor") -> "torch.Tensor":
    """Averages a tensor over all processes, in place."""
    size = rank_and_size()[1]
    if size > 1:
        import torch.distributed as dist

        dist.all_reduce(values)
        values /= size
    return values


def from_first(value: Value) -> Value:
    """Gives all processes an object of the first."""
    if rank_and_size()[1] == 1:
        return value
    import torch.distributed as dist

    box = [value]
    dist.broadcast_object_list(box, src=0)
    return box[0]


def anywhere(value: bool) -> bool:
    """Tells whether it is so on any process; on the CPU, so that no GPU is waited for."""
    if rank_and_size()[1] == 1:
        return value
    import torch
    import torch.distributed as dist

    box = torch.tensor(float(value))
    dist.all_reduce(box, dist.ReduceOp.MAX)
    return box.item() > 0


def made_everywhere(work: Callable[[], Value]) -> Value:
    """Gives what this process made, where all processes could make theirs.

    Raises:
        Exception: what `work` raised here; `Elsewhere` where it was on other processes alone.
    """
    made, failure = None, None
    try:
        made = work()
    except Exception as error:  # the others wait for this one
        failure = error
    if anywhere(failure is not None):
        raise failure or Elsewhere
    return made  # type: ignore[return-value]


def done_by_first(work: Callable[[], Value]) -> Value:
    """Gives all processes what the first made.

    Raises:
        HmrError: the first raised it; the others raise `Elsewhere`.
    """
    made, error = None, None
    if rank_and_size()[0] == 0:
        try:
            made = work()
        except HmrError as raised:
            error = raised
    made, failed = from_first((made, error is not None))
    if failed:
        raise error or Elsewhere
    return made  # type: ignore[return-value]


@contextmanager
def met_alike() -> Iterator[None]:
    """Lets one process on each machine say an error that all of them meet.

    torchrun ends all processes when one does: the others wait for that, so that they do not silence the one that
    speaks. What it does not meet is said after `PATIENCE`.
    """
    try:
        yield
    except HmrError:
        if os.environ.get("LOCAL_RANK", "0") != "0":
            time.sleep(PATIENCE)
        raise


@contextmanager
def said_once() -> Iterator[None]:
    """Ends a process in silence where another one says why, and where the first says that all were interrupted."""
    try:
        yield
    except Elsewhere:
        time.sleep(PATIENCE)
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        if os.environ.get("RANK", "0") != "0":
            raise SystemExit(130) from None
        raise
