"""Which of the processes under torchrun says what ended them; without torch, so that errors come early."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from hmrcli.errors import HmrError

PATIENCE = 20.0
"""Seconds in which torchrun ends the processes that leave an error to another one to say."""


class Elsewhere(HmrError):
    """The training ended with what another process says."""


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
