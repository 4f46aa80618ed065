"""Processes that make samples or files: how they start, and work that is done in several."""

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from itertools import starmap
from typing import Any, TypeVar

import cv2

Value = TypeVar("Value")


def start_worker(worker: int = 0) -> None:
    """Workers are processes: threads inside them would get in each other's way, and signals are for their parent."""
    cv2.setNumThreads(0)
    os.environ["OMP_NUM_THREADS"] = "1"  # for torch, where it is not here yet
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def in_processes(
    work: Callable[..., Value], jobs: Sequence[tuple[Any, ...]], workers: int
) -> Iterator[Value]:
    """Calls a function of a module with the arguments of each job, in several processes where `workers` are.

    Results come as they are made, in any order; what a call raises is raised here, and the other jobs are dropped.
    """
    if workers == 1 or len(jobs) < 2:
        yield from starmap(work, jobs)
        return
    # Spawned, for forks of a process with threads may hang; Ctrl-C is for the first process alone.
    spawned = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(jobs)), spawned, initializer=start_worker) as pool:
        futures = [pool.submit(work, *job) for job in jobs]
        try:
            for future in as_completed(futures):
                yield future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
