"""Streams and exit codes: results go to stdout, everything said to a person goes to stderr."""

import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console

from hmrcli.errors import HmrError

log = Console(stderr=True, highlight=False)
"""For a person: progress, notes, warnings."""


def print_json(document: Any, *, indent: int | None = 2) -> None:
    """Writes one JSON document and nothing else to stdout.

    Non-finite numbers are refused, because they are not JSON.
    """
    sys.stdout.write(json.dumps(document, indent=indent, allow_nan=False) + "\n")


@contextmanager
def exit_codes() -> Iterator[None]:
    """Turns errors a user can act on into one line on stderr and the exit code of the contract.

    `HMR_DEBUG=1` shows the traceback instead. Interruption exits with 130.
    """
    if hasattr(signal, "SIGPIPE"):  # `hmr ... | head` ends quietly, as other tools do
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        yield
    except HmrError as error:
        if os.environ.get("HMR_DEBUG") == "1":
            raise
        log.print(f"[bold red]error:[/] {_escape(str(error))}", soft_wrap=True)
        raise SystemExit(error.exit_code) from None
    except KeyboardInterrupt:
        log.print("interrupted")
        raise SystemExit(130) from None


def _escape(text: str) -> str:
    from rich.markup import escape

    return escape(text)
