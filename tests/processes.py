"""Several processes that know each other as under torchrun, forked so that none has to import torch again."""

import multiprocessing
import os
import socket
import traceback
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import torch

from hmrcli.distributed import joined


def together(work: Callable[[int], Any], count: int = 2, join: bool = True) -> list[Any]:
    """Runs `work` with each process's number on all processes at once, and gives what each returned.

    Args:
        join: the processes; False for work that does so itself, as commands do.

    Raises:
        AssertionError: one of them failed; has its traceback.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    context = multiprocessing.get_context("fork")
    said = context.SimpleQueue()

    def run(rank: int) -> None:
        where = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": str(count)}
        os.environ.update(where, RANK=str(rank), LOCAL_RANK=str(rank))
        torch.set_num_threads(1)
        try:
            with joined(torch.device("cpu")) if join else nullcontext():
                said.put((rank, work(rank), None))
        except BaseException:
            said.put((rank, None, traceback.format_exc()))

    processes = [context.Process(target=run, args=(rank,)) for rank in range(count)]
    for process in processes:
        process.start()
    made = {}
    for _ in processes:
        rank, value, failure = said.get()
        assert failure is None, failure
        made[rank] = value
    for process in processes:
        process.join()
    return [made[rank] for rank in range(count)]
