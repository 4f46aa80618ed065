"""Reads documents of official trees: JSON, Matlab's version 5, HDF5."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from hmrcli.assets.reading import damage, open_file
from hmrcli.errors import MissingFile


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Words whatever reading an official file raises as one line that names it.

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
