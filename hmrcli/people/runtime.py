"""Bundled ONNX networks, run on the CPU by onnxruntime."""

import os
from functools import cache
from threading import Lock

import numpy as np
import onnxruntime

from hmrcli.assets.bundled import bundled
from hmrcli.environment import threads

_loading = Lock()


def session(name: str) -> onnxruntime.InferenceSession:
    """Gives the network `data/people/NAME.onnx`, loaded once a process, for any number of threads."""
    with _loading:
        return _loaded(name)


@cache
def _loaded(name: str) -> onnxruntime.InferenceSession:
    """Loads a network.

    `OMP_NUM_THREADS` limits its threads. Waiting threads sleep: spinning, the default, makes a network
    many times slower as soon as another process wants the cores.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads(min(4, os.cpu_count() or 1))
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False  # an arena keeps what the largest picture took, for each size
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(
        bundled(f"people/{name}.onnx"), sess_options=options, providers=["CPUExecutionProvider"]
    )


def run(name: str, images: np.ndarray, outputs: tuple[str, ...]) -> list[np.ndarray]:
    """Returns the named outputs of a network with one input."""
    network = session(name)
    return network.run(list(outputs), {network.get_inputs()[0].name: np.ascontiguousarray(images)})
