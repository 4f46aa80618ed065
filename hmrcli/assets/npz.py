"""Reads npz and npy files as data: arrays by their headers, and objects in them as `pickles` reads them."""

import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Self

import numpy as np

from hmrcli.assets.npy import Header, open_zip, read_array, read_header, require_modest
from hmrcli.assets.pickles import read_stream
from hmrcli.errors import BadInput
from hmrcli.files import damage, open_file


def read_npz(path: Path, names: Collection[str] | None = None) -> Mapping[str, Any]:
    """Reads the arrays of an npz file; those of objects as `read_pickle` reads.

    Args:
        names: read these alone (all must be there); otherwise each is read when it is asked for.

    Raises:
        MissingFile: there is no such file.
        BadInput: it is damaged, lacks a name, or an array names something that is not data.
    """
    stored = NpzFile(path)
    if names is None:
        return stored
    with stored:
        for name in names:
            stored.require(name)
        return {name: stored[name] for name in names}


def read_npy(path: Path) -> Any:
    """Reads the array of an npy file, under the rules of `read_npz`."""
    with open_file(path) as stream:
        return _read_member(stream, os.fstat(stream.fileno()).st_size, str(path))


class NpzFile(Mapping[str, Any]):
    """An npz file whose arrays are read when they are asked for; what nobody asks for costs nothing.

    Raises:
        MissingFile: there is no such file.
        BadInput: it is no complete npz file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        open_file(path).close()  # a plain file
        with damage(f"{path}: not a complete .npz file ({{}}); obtain it again"):
            self._archive = open_zip(path)  # open as long as this lives: there may be thousands of arrays
        self._members = {info.filename.removesuffix(".npy"): info for info in self._archive.infolist()}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._archive.close()

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)

    def __contains__(self, name: object) -> bool:
        return name in self._members

    def __getitem__(self, name: str) -> Any:
        info, where = self._members[name], self.where(name)
        with damage(f"{where} is damaged ({{}}); obtain the file again"):
            require_modest(info)
            with self._archive.open(info) as stream:
                return _read_member(stream, info.file_size, where)

    def where(self, name: str) -> str:
        """Names file and field, as errors do."""
        return f"{self.path}: field {name}"

    def require(self, name: str) -> None:
        """Raises BadInput where the file has no such array."""
        if name not in self:
            fields = ", ".join(sorted(self)) or "nothing"
            raise BadInput(f"{self.where(name)} is missing; the file has {fields}")

    def header(self, name: str) -> Header:
        """Reads the header of an array; its length is compared with the file's before anything is allocated.

        Raises:
            BadInput: the file has no such field, or it is damaged.
        """
        self.require(name)
        info = self._members[name]
        with damage(f"{self.where(name)} is not a complete array: {{}}"), self._archive.open(info) as stream:
            return read_header(stream, info.file_size)

    def first_damage(self) -> str | None:
        """Returns the name of the first array that does not match its checksum; None if all do."""
        for info in self._members.values():
            require_modest(info)
        return self._archive.testzip()


def _read_member(stream: IO[bytes], size: int, where: str) -> Any:
    with damage(f"{where} is not a complete array: {{}}"):
        array = read_array(stream, size)
        if array is not None:
            return array[()] if array.shape == () else array
    content = read_stream(stream, size, where)
    if not isinstance(content, np.ndarray):
        raise BadInput(f"{where} is not a complete array: a pickle of another kind")
    return content.item() if content.shape == () else content
