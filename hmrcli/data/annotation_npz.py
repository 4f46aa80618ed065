"""Reads npz files of annotations field by field, in blocks of rows, so that only what is kept takes memory.

They hold gigabytes of 190 joints in float64, of which a recipe wants a fraction in float32.
"""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmrcli.assets.npy import Header, read_bytes, read_header
from hmrcli.assets.npz import NpzFile
from hmrcli.assets.registry import absent, load_registry
from hmrcli.data.file_kinds import other_kind
from hmrcli.data.value_checks import as_text, refuse_rows
from hmrcli.errors import BadInput, MissingFile
from hmrcli.files import damage

BLOCK_BYTES = 1 << 22
_LARGEST_TEXT = 1 << 30
"""Bytes of a field of text, which is held in memory."""
_GENDERS = {"m": "m", "male": "m", "f": "f", "female": "f"}
_GENDER_FIELDS = ("gender", "genders")


class AnnotationNpz(NpzFile):
    """An npz file of annotations; use in a `with` block. Every method raises BadInput for a field that is bad.

    Raises:
        MissingFile: there is no such file; the message ends with the command that brings it.
        BadInput: it is no complete npz file; says what it is.
    """

    def __init__(self, path: Path) -> None:
        try:
            super().__init__(path)
        except MissingFile:
            raise missing(path) from None
        except BadInput:
            if kind := other_kind(path):
                raise BadInput(f"{path}: expected an .npz file of annotations, this is {kind}") from None
            raise
        self._counted: tuple[int, str] | None = None

    def paths(self, name: str) -> NDArray[np.str_]:
        """Reads the images' paths, one a person (N,); from then on other fields must have as many rows."""
        paths, where = self.text(name), self.where(name)
        if not len(paths):
            raise BadInput(f"{where}: expected at least one row")
        if (bad := paths == "").any():
            raise BadInput(f"{where}, row {int(bad.argmax())}: expected a path, got nothing")
        self._counted = len(paths), name
        return paths

    def check_rows(self, count: int, where: str) -> None:
        """Refuses a field without a row for each person."""
        if self._counted is not None and count != self._counted[0]:
            raise BadInput(
                f"{where}: expected {self._counted[0]} rows as in {self._counted[1]}, the file has {count}"
            )

    def numbers(self, name: str, *shapes: tuple[int | None, ...]) -> NDArray[np.float32]:
        """Reads an array of one of these shapes, in which None stands for a row for each person."""
        out = np.empty(self._expect(name, shapes).shape, np.float32)
        for rows, block in self._blocks(name):
            with np.errstate(
                over="ignore"
            ):  # what float32 cannot hold becomes infinite and is refused as such
                out[rows] = block
        return out

    def columns(
        self,
        name: str,
        shape: tuple[int | None, ...],
        stored: Sequence[int],
        out: NDArray[np.float32],
        positions: Sequence[int] | slice,
    ) -> None:
        """Reads columns `stored` of an array of a shape as of `numbers` into others (N, positions, …) of `out`."""
        self._expect(name, (shape,))
        chosen = np.asarray(stored, np.intp)
        for rows, block in self._blocks(name):
            with np.errstate(over="ignore"):
                out[rows, positions] = block[:, chosen]

    def flags(self, name: str, *shapes: tuple[int | None, ...]) -> NDArray[np.bool_]:
        """Reads truth values (N,), which are stored as 0 and 1 in one of these shapes."""
        values = self.numbers(name, *(shapes or ((None,), (None, 1)))).reshape(-1)
        refuse_rows((values != 0) & (values != 1), self.where(name), "0 or 1", values)
        return values == 1

    def objects(self, name: str) -> Any:
        """Reads a field that holds objects: containers, text, numbers and arrays."""
        if not self.header(name).dtype.hasobject:
            raise BadInput(
                f"{self.where(name)}: expected containers, the file has an array of numbers or text"
            )
        return self[name]

    def scalar(self, name: str, default: Any) -> Any:
        """Reads a single number, truth value or text; `default` where the file has none."""
        if name not in self:
            return default
        header = self.header(name)
        if header.dtype.hasobject or header.shape != ():
            raise BadInput(f"{self.where(name)}: expected a single value")
        return self[name].item()

    def text(self, name: str) -> NDArray[np.str_]:
        """Reads text of each row, (N,)."""
        where, header = self.where(name), self.header(name)
        if not header.dtype.hasobject:
            if header.dtype.kind not in "US" or len(header.shape) != 1:
                found = f"{header.dtype.name} in {_written(header.shape)}"
                raise BadInput(f"{where}: expected text in shape (N), the file has {found}")
            if math.prod(header.shape) * header.dtype.itemsize > _LARGEST_TEXT:
                raise BadInput(f"{where}: expected text, the file has {header.dtype.name}, too long for that")
        return as_text(self[name], where)

    def genders(self, count: int) -> NDArray[np.str_]:
        """Reads genders as m, f and n, (N,); n where a file says neither, in whichever way.

        They stand in `meta`, a dictionary of arrays or one for each row, or in a field of their own. Numbers are no
        genders: files do not agree on what they mean.
        """
        for field in ("meta", *_GENDER_FIELDS):
            if field not in self:
                continue
            values = self[field]
            if field == "meta":
                values = _genders_of(values, count)
            if values is not None:
                letters = [_letter(value) for value in np.ravel(np.array(values, object))]
                if np.ndim(values) == 0:  # one for all
                    letters *= count
                self.check_rows(len(letters), self.where(field))
                return np.array(letters, "<U1")
        return np.full(count, "n")

    def _expect(self, name: str, shapes: Sequence[tuple[int | None, ...]]) -> Header:
        """Refuses all but numbers in one of the shapes."""
        header, where = self.header(name), self.where(name)
        if header.dtype.kind not in "biuf":
            raise BadInput(f"{where}: expected numbers, the file has {header.dtype.name}")
        fitting = [shape for shape in shapes if _fits(header.shape, shape)]
        if not fitting:
            wanted = " or ".join(map(_written, shapes))
            raise BadInput(f"{where}: expected shape {wanted}, the file has {_written(header.shape)}")
        if fitting[0][0] is None:
            self.check_rows(header.shape[0], where)
        return header

    def _blocks(self, name: str) -> Iterator[tuple[slice, NDArray[Any]]]:
        """Gives rows a few MiB at a time: which ones, and their values as they are stored."""
        info = self._members[name]
        with (
            damage(f"{self.where(name)} is damaged ({{}}); obtain the file again"),
            self._archive.open(info) as stream,
        ):
            shape, fortran, dtype = read_header(stream)
            if fortran and len(shape) > 1:  # columns first: rows are known only at the end
                whole = read_bytes(stream, math.prod(shape) * dtype.itemsize)
                yield slice(0, shape[0]), whole.view(dtype).reshape(shape, order="F")
            else:
                row_bytes = math.prod(shape[1:]) * dtype.itemsize
                step = max(1, BLOCK_BYTES // max(1, row_bytes))
                for start in range(0, shape[0], step):
                    stop = min(start + step, shape[0])
                    values = read_bytes(stream, (stop - start) * row_bytes).view(dtype)
                    yield slice(start, stop), values.reshape(stop - start, *shape[1:])
            stream.read(1)  # the end of a member is where its checksum is compared


def missing(path: Path) -> MissingFile:
    """Makes the error for an absent file: the command that brings it, where the registry knows its name."""
    if path.name in load_registry().by_name:
        return absent(path.name, path)
    return MissingFile(f"{path}: no such file; files that can be obtained: hmr download --list")


def _genders_of(meta: Any, count: int) -> Any:
    """Returns what a dictionary, or the dictionaries of the rows, say of gender; None where they say nothing."""
    if isinstance(meta, list | tuple | np.ndarray):
        rows = list(meta) if np.ndim(meta) else []
        if len(rows) == 1 != count:  # one dictionary of arrays
            return _genders_of(rows[0], count)
        found = [_genders_of(row, count) if isinstance(row, dict) else None for row in rows]
        return None if all(value is None for value in found) else found
    if not isinstance(meta, dict):
        return None
    return next((meta[name] for name in _GENDER_FIELDS if meta.get(name) is not None), None)


def _letter(value: Any) -> str:
    while isinstance(value, list | tuple | np.ndarray) and np.size(value) == 1:
        value = np.ravel(np.array(value, object))[0]
    word = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    return _GENDERS.get(word.strip().lower(), "n") if isinstance(word, str) else "n"


def _fits(shape: tuple[int, ...], wanted: tuple[int | None, ...]) -> bool:
    return len(shape) == len(wanted) and all(w in (None, n) for n, w in zip(shape, wanted))


def _written(shape: Sequence[int | None]) -> str:
    return "(" + ", ".join("N" if n is None else str(n) for n in shape) + ")"
