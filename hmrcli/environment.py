"""Versions, device and threads that a result is made with."""

import ctypes
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from hmrcli.errors import UsageError

if TYPE_CHECKING:
    import torch

PACKAGES = ("numpy", "opencv-python-headless", "torch")


def describe(device: str) -> dict[str, Any]:
    """Describes versions, machine, device of the network and command, for the record of a run."""
    from importlib.metadata import version

    import torch

    name = torch.cuda.get_device_name(device) if device.startswith("cuda") else platform.processor()
    return {
        "python": platform.python_version(),
        "packages": {package: version(package) for package in PACKAGES},
        "platform": platform.platform(),
        "device": device,
        "device_name": name or platform.machine(),
        "threads": torch.get_num_threads(),
        "processes": int(os.environ.get("WORLD_SIZE", "1")),
        "command": [os.path.basename(sys.argv[0]), *sys.argv[1:]],  # noqa: PTH119
    }


def chosen_device(name: "str | torch.device | None" = None) -> "torch.device":
    """Chooses a device by name; without one, CUDA where there is one, else MPS, else the CPU.

    Raises:
        UsageError: this machine has no such device.
    """
    import torch

    gpus = [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    apple = ["mps"] if torch.backends.mps.is_available() else []
    if name is None:
        return torch.device("cuda" if gpus else (apple or ["cpu"])[0])
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError):  # torch without CUDA raises an assertion
        found = ", ".join([*gpus, *apple, "cpu"])
        raise UsageError(f"--device: '{name}' cannot be used here; torch finds {found}") from None
    return torch.device(name)


def threads() -> int:
    """Returns the first number of `OMP_NUM_THREADS` (`4,2`: nested teams), or of the cores, at most 4."""
    first = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return int(first) if first.isdecimal() and int(first) else min(4, os.cpu_count() or 1)


@contextmanager
def one_thread() -> Iterator[None]:
    """Lets torch work in one thread: many small operators gain nothing from two.

    Where other work wants the cores, each of them waits for a thread that has none: twenty times as long.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def frugal_memory() -> None:
    """Lets glibc give back what is freed, for programs whose threads each work on large arrays for a moment.

    By default every thread has a heap of its own, which keeps what the largest picture took. Call it before threads
    start; elsewhere than on glibc it does nothing.
    """
    arena_max, mmap_threshold, trim_threshold = -8, -3, -1  # malloc.h
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(arena_max, 2)
        mallopt(mmap_threshold, 16 << 20)  # a lower one takes a fifth more time: pages are cleared anew
        mallopt(trim_threshold, 32 << 20)  # likewise
