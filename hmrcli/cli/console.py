"""Streams and exit codes: results go to stdout, everything said to a person goes to stderr."""

import json
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from hmrcli.cli.visible import Log, visible
from hmrcli.errors import HmrError

Item = TypeVar("Item")

log = Log(stderr=True, highlight=False)
"""For a person: progress, notes, warnings."""
_LONGEST = 4000
"""Characters of an error, which may quote a file."""


def print_json(document: Any) -> None:
    """Writes one JSON document and nothing else to stdout.

    Non-finite numbers are refused, because they are not JSON.
    """
    sys.stdout.write(json.dumps(document, allow_nan=False) + "\n")


def progress(items: Iterable[Item], description: str, total: int) -> Iterator[Item]:
    """Passes items on, with a bar for a person who is watching; a single item needs none."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=log, disable=total < 2 or not log.is_terminal, transient=True) as bar:
        yield from bar.track(items, total, description=description)


@contextmanager
def exit_codes() -> Iterator[None]:
    """Turns errors a user can act on into one line on stderr and the exit code of the contract.

    `HMR_DEBUG=1` shows the traceback instead. Interruption exits with 130.
    """
    try:
        yield
    except HmrError as error:
        if os.environ.get("HMR_DEBUG") == "1":
            raise
        complain("error:", error)
        raise SystemExit(error.exit_code) from None
    except KeyboardInterrupt:
        log.print("interrupted")
        raise SystemExit(130) from None
    except BrokenPipeError:  # `hmr ... | head` ends quietly; what Python would still flush goes nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(0) from None


def note(text: str) -> None:
    """Says something worth knowing in one line on stderr."""
    log.print("note:", style="bold", end=" ")
    log.print(visible(text, one_line=True), soft_wrap=True, markup=False)


def complain(word: str, error: HmrError) -> None:
    """Says an error in one line on stderr."""
    log.print(word, style="bold red", end=" ")
    log.print(visible(str(error), one_line=True)[:_LONGEST], soft_wrap=True, markup=False)
