"""Opens what comes from elsewhere: plain files only, and documents in JSON.

A damaged or hostile file can make the libraries beneath fail with almost any exception; here each becomes one.
"""

import json
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Any

from hmrcli.errors import BadInput, HmrError, MissingFile

_LONGEST = 300
"""Letters of a reason."""
_LARGEST_DOCUMENT = 1 << 24


def open_file(path: Path) -> BufferedReader:
    """A plain file, open for reading; folders, pipes and devices are refused before they can block.

    Raises:
        MissingFile: there is no such file.
        BadInput: it is something else, or may not be read.
    """
    try:
        kind = stat.S_IFMT(path.stat().st_mode)
        if kind != stat.S_IFREG:
            raise BadInput(f"{path}: is {_KINDS.get(kind, 'no plain file')}, expected a file")
        return path.open("rb")
    except FileNotFoundError:
        raise MissingFile(f"{path}: no such file") from None
    except (OSError, ValueError) as error:  # ValueError: a name with a null character
        raise BadInput(f"{path}: cannot be read: {reason(error)}") from None


_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


@contextmanager
def damage(says: str) -> Iterator[None]:
    """Turns whatever reading a file raises into BadInput: `says`, in which {} stands for the reason."""
    try:
        yield
    except HmrError:
        raise
    except Exception as error:
        raise BadInput(says.replace("{}", reason(error))) from None


def reason(error: Exception) -> str:
    """An exception in one line."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    text = "" if isinstance(error, KeyError) else str(error)[:_LONGEST]
    return (text.splitlines() or [type(error).__name__])[0] or type(error).__name__


def read_document(path: Path) -> dict[str, Any]:
    """A file that holds one JSON object.

    Raises:
        MissingFile: there is no such file.
        BadInput: it holds anything else.
    """
    with open_file(path) as stream:
        text = stream.read(_LARGEST_DOCUMENT + 1)
    try:
        document = json.loads(text) if len(text) <= _LARGEST_DOCUMENT else None
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{path}: is no JSON document ({reason(error)})") from None
    if not isinstance(document, dict):
        raise BadInput(f"{path}: expected one JSON object of modest size")
    return document
