"""Reads documents of official trees: JSON, Matlab's version 5, HDF5."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from hmrcli.errors import MissingFile
from hmrcli.files import damage, open_file

_CHUNK = 1 << 24
"""Characters that are read at a time."""


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turns whatever reading an official file raises into one line that names it.

    Raises:
        MissingFile: it is not there.
        BadInput: it is damaged, or of another kind.
    """
    try:
        open_file(path).close()
    except MissingFile:
        raise MissingFile(f"{path} is not there; docs/datasets.md shows the tree that is expected") from None
    with damage(f"{path}: cannot be read ({{}}); expected the official file, unpack it again"):
        yield


def read_json(path: Path) -> Any:
    """Reads a JSON document of any size; errors are those of `reading`."""
    with reading(path), path.open("rb") as stream:
        return json.load(stream)


def json_items(path: Path, field: str | None = None) -> Iterator[Any]:
    """Reads a large JSON document an item at a time; errors are those of `reading`.

    Args:
        path: of the document, a dictionary.
        field: gives the items of the list of that name; by default the names and values of the dictionary.
    """
    decoder, more, started = json.JSONDecoder(), True, False
    begin = re.compile(r"\{" if field is None else rf'"{re.escape(field)}"\s*:\s*\[')
    end = "}" if field is None else "]"
    key, between = re.compile(r'"([^"\\]*)"\s*:\s*'), re.compile(r"[\s,]*")
    with reading(path), path.open(encoding="utf-8") as stream:
        text, at = "", 0
        while more:
            chunk = stream.read(_CHUNK)
            text, at, more = text[at:] + chunk, 0, bool(chunk)
            if not started:
                if not (found := begin.search(text)):
                    at = max(0, len(text) - 100)
                    continue
                started, at = True, found.end()
            try:
                while True:
                    at = between.match(text, at).end()  # type: ignore[union-attr]
                    if text.startswith(end, at):
                        return
                    name = key.match(text, at) if field is None else None
                    if field is None and name is None:
                        raise ValueError("it is no dictionary of names")
                    value, after = decoder.raw_decode(text, name.end() if name else at)
                    if after == len(text) and more:  # a number may go on
                        raise ValueError("it ends early")
                    at = after
                    yield (name[1], value) if name else value
            except ValueError:
                if not more:
                    raise
        raise ValueError(f"it has no complete {field or 'dictionary'}")


def read_mat(path: Path, *names: str) -> dict[str, Any]:
    """Reads variables of a Matlab file of version 5; errors are those of `reading`, also where one is not there."""
    with reading(path):
        from scipy.io import loadmat

        stored = loadmat(path, variable_names=names, struct_as_record=False)
        return {name: stored[name] for name in names}


def read_hdf5(path: Path, *names: str) -> dict[str, Any]:
    """Reads arrays of an HDF5 file; errors are those of `reading`, also where one is not there."""
    with reading(path):
        import h5py

        with h5py.File(path, "r") as stored:
            return {name: np.asarray(stored[name][()]) for name in names}
