"""Streams and exit codes: results go to stdout, everything said to a person goes to stderr."""

import io
import json
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from hmrcli.cli.visible import visible
from hmrcli.errors import BadInput, HmrError
from hmrcli.files import advice

if TYPE_CHECKING:
    from hmrcli.cli.log import Log


class _Later:
    """Stands for the console until something is said: to import rich takes longer than many commands."""

    def __getattr__(self, name: str) -> Any:
        return getattr(_console(), name)

    def __enter__(self) -> Any:
        return _console().__enter__()

    def __exit__(self, *raised: Any) -> None:
        _console().__exit__(*raised)


@cache
def _console() -> "Log":
    from hmrcli.cli.log import Log

    return Log(stderr=True, highlight=False)


log = cast("Log", _Later())
"""Speaks to a person: progress, notes, warnings."""
_LONGEST = 4000
"""Characters of a line of an error, which may quote a file."""


def print_json(document: Any) -> None:
    """Writes one JSON document and nothing else to stdout.

    Non-finite numbers are refused, because they are not JSON.
    """
    sys.stdout.write(json.dumps(document, allow_nan=False) + "\n")


def print_line(text: str) -> None:
    """Writes a line of results to stdout, at once; on a terminal it goes above a bar that is being shown."""
    if sys.stdout.isatty() and log.is_terminal:
        log.print(text, soft_wrap=True, markup=False)
    else:
        print(text, flush=True)


@contextmanager
def bar(
    description: str, shown: bool = True, of_bytes: bool = False
) -> Iterator[Callable[[int, int | None], None]]:
    """Shows a bar on stderr to a person who is watching; what it gives is told what is done, and of how many."""
    if not (shown and log.is_terminal):
        yield lambda done, total: None
        return
    from rich import progress as rich

    counts = (rich.DownloadColumn(), rich.TransferSpeedColumn()) if of_bytes else (rich.MofNCompleteColumn(),)
    columns = (rich.TextColumn("{task.description}"), rich.BarColumn(), *counts, rich.TimeRemainingColumn())
    with rich.Progress(*columns, console=log, transient=True, redirect_stdout=False) as progress:
        task = progress.add_task(description, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


@contextmanager
def exit_codes() -> Iterator[None]:
    """Turns errors a user can act on into a line or a list on stderr and the exit code of the contract.

    A full disk, a missing permission and too little memory are among them, with exit code 4 wherever they
    arise. Any other error is a bug, told in one line with exit code 1. `HMR_DEBUG=1` shows the traceback,
    too. Interruption exits with 130. Names that a stream's encoding lacks are written with escapes.
    """
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: PTH123, SIM115 - closed, as by `>&-`
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: PTH123, SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except KeyboardInterrupt:
        log.print("interrupted")
        raise SystemExit(130) from None
    except BrokenPipeError:  # `hmr ... | head` ends quietly
        _silence_stdout()
        raise SystemExit(0) from None
    except Exception as error:
        if isinstance(error, OSError) and error.filename is None:  # of stdout: `hmr ... > /full/disk`
            _silence_stdout()
        complain("error:", known := in_words(error))
        raise SystemExit(known.exit_code) from None


def in_words(error: Exception) -> HmrError:
    """Puts any error in one line, with its exit code; `HMR_DEBUG=1` prints its traceback, too."""
    if os.environ.get("HMR_DEBUG") == "1":
        traceback.print_exception(error)
    if isinstance(error, HmrError):
        return error
    if isinstance(error, OSError) and (text := advice(error)):
        return BadInput(text)
    # By name, so that torch need not be imported; its CPU side raises a plain RuntimeError.
    short = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    if short or (isinstance(error, RuntimeError) and "can't allocate memory" in str(error)):
        return BadInput("memory ran out; close other programs, or give it smaller or fewer inputs at once")
    frame = traceback.extract_tb(error.__traceback__)[-1]
    last = " ".join("".join(traceback.format_exception_only(error)).split())
    where = f"{frame.filename}:{frame.lineno}"
    return HmrError(f"{last} ({where}): a fault of hmr; HMR_DEBUG=1 shows more, please report it")


def _silence_stdout() -> None:
    """Sends nowhere what Python would still flush."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def note(text: str) -> None:
    """Says something worth knowing in one line on stderr."""
    _say("note:", "bold", text)


def complain(word: str, error: HmrError) -> None:
    """Says an error on stderr: a line, and the list below it where there is one."""
    _say(word, "bold red", *error.args)


def _say(word: str, style: str, *lines: object) -> None:
    from rich.text import Text

    # At once: a bar that is being shown takes the place of a line that is begun.
    shown = "\n".join(visible(str(line), one_line=True)[:_LONGEST] for line in lines)
    log.print(Text.assemble((word, style), " ", shown), soft_wrap=True)


class Failures:
    """Inputs that could not be done: each is named on stderr when it happens, and the others go on."""

    def __init__(self) -> None:
        self.errors: list[HmrError] = []
        self.raises = False
        """Set for an input that is alone: its error ends the command."""

    def __call__(self, name: str | Path, error: Exception) -> None:
        """Takes note of an error."""
        known = in_words(error)
        if self.raises:
            raise known from error
        if str(name) not in str(known):
            known = type(known)(f"{name}: {known}")
        complain("skipped:", known)
        self.errors.append(known)
