"""Bundled ONNX networks, run on the CPU by onnxruntime."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from threading import Lock
from typing import TypeVar

import numpy as np
import onnxruntime

from hmrcli.assets.bundled import bundled
from hmrcli.environment import threads

Item = TypeVar("Item")
Found = TypeVar("Found")

_loading, _counting = Lock(), Lock()
_at_work = 0
"""Images that networks look at in this moment."""


def run(name: str, images: np.ndarray, outputs: tuple[str, ...]) -> list[np.ndarray]:
    """Returns the named outputs of the network `data/people/NAME.onnx` for images (N, ...).

    An image alone gets all threads; several, or those of several callers, one each, which is less work in all (70
    instead of 93 ms of a core for the landmark network). The numbers are the same to the last bit.
    """
    count = threads()
    with _counted(len(images)) as at_work:
        with _loading:
            network = _loaded(name, count if at_work < 2 else 1)
        entry = network.get_inputs()[0].name
        parts = [{entry: np.ascontiguousarray(images[i : i + 1])} for i in range(len(images))]
        if len(parts) == 1:
            return list(network.run(list(outputs), parts[0]))
        if not parts:
            shapes = {one.name: one.shape for one in network.get_outputs()}
            sizes = ([n if isinstance(n, int) else 0 for n in shapes[name]] for name in outputs)
            return [np.empty(size, np.float32) for size in sizes]
        found = _pool(count).map(lambda part: network.run(list(outputs), part), parts)
        return [np.concatenate(values) for values in zip(*found)]


def at_once(look: Callable[[Item], Found], items: Sequence[Item]) -> list[Found]:
    """Calls something that runs networks for each item, a thread each, the first ones first; networks get one, too."""
    count = threads()
    if count == 1 or len(items) < 2:
        return [look(item) for item in items]
    with _counted(len(items)), ThreadPoolExecutor(count) as pool:
        return list(pool.map(look, items))


@contextmanager
def _counted(images: int) -> Iterator[int]:
    """Counts images while they are looked at; yields how many are, of all callers."""
    global _at_work
    with _counting:
        _at_work += images
        now = _at_work
    try:
        yield now
    finally:
        with _counting:
            _at_work -= images


@cache
def _pool(count: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(count)


@cache
def _loaded(name: str, count: int) -> onnxruntime.InferenceSession:
    """Loads a network with a number of threads, once a process.

    `OMP_NUM_THREADS` limits its threads. Waiting threads sleep: spinning, the default, makes a network
    many times slower as soon as another process wants the cores.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = count
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False  # an arena keeps what the largest picture took, for each size
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(
        bundled(f"people/{name}.onnx"), sess_options=options, providers=["CPUExecutionProvider"]
    )
