"""Handles what ends a run early: a wish to stop, errors of any kind in words, samples whose loss is not finite."""

import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from hmrcli.data.sets import ImageSet
from hmrcli.distributed import Elsewhere, rank_and_size
from hmrcli.errors import BadInput, HmrError
from hmrcli.files import advice
from hmrcli.training.step import NotFinite

_SAME_WISH = 2.0
"""Seconds."""
# What torch says in such cases, of any kind of error.
_NO_MEMORY = (
    *("can't allocate memory", "out of memory", "not enough memory", "Insufficient memory", "bad_alloc"),
    *("Cannot allocate memory", "ALLOC_FAILED"),
)
_NOT_WRITTEN = ("PytorchStreamWriter", "unexpected pos", "SafetensorError", "No space left", "File too large")
_PARTED = ("Connection closed", "Connection reset", "gloo", "NCCL", "Broken pipe")


@contextmanager
def stop_signals() -> Iterator[Callable[[], bool]]:
    """Lets the step in hand finish on the first SIGINT or SIGTERM; a later one is obeyed at once.

    torchrun passes on what the terminal has sent already, so that one within seconds is the same wish.
    """
    came: float | None = None
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def note(number: int, frame: Any) -> None:
        nonlocal came
        now = time.monotonic()
        came = came or now
        if now - came > _SAME_WISH:
            for each, handler in before.items():
                signal.signal(each, handler)
            signal.raise_signal(number)

    try:
        for number in before:
            signal.signal(number, note)
        yield lambda: came is not None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def ignore_signals() -> None:
    """Lets nothing cut short what is left to do; `stop_signals` ends it."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def explained(error: Exception) -> HmrError:
    """Says in one line what ended a run, and what can be done about it; `HmrError` itself stands for a bug."""
    text = str(error).strip()
    last = text.splitlines()[-1] if text else ""
    if isinstance(error, HmrError):
        return error
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)) or any(words in text for words in _NO_MEMORY):
        return BadInput(
            "memory ran out; take a larger --accumulate, a smaller schedule.batch_size, or fewer --workers"
        )
    if "DataLoader worker (pid" in text or isinstance(error, (EOFError, ConnectionError)):
        return BadInput(
            "a process that makes samples was killed, as the system does where memory runs out; try fewer --workers"
        )
    if isinstance(error, OSError):
        what = f"{os.fsdecode(error.filename)}: {error.strerror}" if error.filename else last
        return BadInput(advice(error) or f"{what}; make room on the disk, or see that it can be used")
    if any(words in f"{type(error).__name__} {text}" for words in _NOT_WRITTEN):
        return BadInput(f"a checkpoint cannot be written ({last}); make room on the disk")
    if rank_and_size()[1] > 1 and any(words in text for words in _PARTED):
        return HmrError("another process of this training ended; if it says nothing itself, it was killed")
    return HmrError(f"{type(error).__name__}: {last}; this looks like a bug, HMR_DEBUG=1 shows where it is")


def not_finite(error: NotFinite, run: Path, sets: Sequence[ImageSet]) -> HmrError:
    """Saves this process's samples of a step whose loss is not finite; the first process says so."""
    rank, processes = rank_and_size()
    step = error.step + 1
    path = run / "not_finite" / f"step-{step}-process-{rank}.pt"
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = [micro_batch._asdict() for micro_batch in error.micro_batches]
    torch.save({"terms": error.terms, "samples": samples}, path)
    if rank > 0:
        return Elsewhere()
    named = [
        f"{sets[number].image(row)} (row {row})"
        for micro_batch in error.micro_batches
        for number, row in zip(micro_batch.dataset.tolist(), micro_batch.row.tolist())
    ]
    shown = ", ".join(named[:3]) + (f" and {len(named) - 3} more" if len(named) > 3 else "")
    others = f", those of the other processes beside {path.name}" if processes > 1 else ""
    return BadInput(
        f"step {step}: not finite: {', '.join(error.terms)}; samples: {shown}. They are saved in "
        f"{path}{others}. Look at these samples, or take a lower optimizer.lr in another run"
    )
