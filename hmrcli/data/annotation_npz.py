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
from hmrcli.data.annotations import Numbers
from hmrcli.data.file_kinds import missing, refuse_other_kinds
from hmrcli.errors import BadInput, MissingFile
from hmrcli.files import damage

Shape = tuple[int | None, ...]
"""In which None stands for a row for each person."""
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
            refuse_other_kinds(path)
            raise
        self.rows, self._counted = 0, ""  # from `paths` on

    def paths(self, name: str) -> NDArray[np.str_]:
        """Reads the images' paths, one a person (N,); from then on other fields must have as many rows."""
        paths, where = self.text(name), self.where(name)
        if not len(paths):
            raise BadInput(f"{where}: expected at least one row")
        if (bad := paths == "").any():
            raise BadInput(f"{where}, row {int(bad.argmax())}: expected a path, got nothing")
        self.rows, self._counted = len(paths), name
        return paths

    def check_rows(self, count: int, where: str) -> None:
        """Refuses a field without a row for each person."""
        if self._counted and count != self.rows:
            raise BadInput(f"{where}: expected {self.rows} rows as in {self._counted}, the file has {count}")

    def numbers(self, name: str, *shapes: Shape) -> Numbers:
        """Reads an array of one of these shapes."""
        out = np.empty(self._expect(name, shapes).shape, np.float32)
        with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite and is refused as such
            for rows, block in self._blocks(name):
                out[rows] = block
        return out

    def columns(self, name: str, shape: Shape, stored: list[int], out: Numbers, positions: list[int]) -> None:
        """Reads columns `stored` of an array of a shape as of `numbers` into others (N, positions, …) of `out`."""
        self._expect(name, (shape,))
        with np.errstate(over="ignore"):
            for rows, block in self._blocks(name):
                out[rows, positions] = block[:, stored]

    def flags(self, name: str, *shapes: Shape) -> NDArray[np.bool_]:
        """Reads truth values (N,), which are stored as 0 and 1 in one of these shapes."""
        values = self.numbers(name, *(shapes or ((None,), (None, 1)))).reshape(-1)
        refuse_rows((values != 0) & (values != 1), self.where(name), "0 or 1", values)
        return values == 1

    def objects(self, name: str) -> Any:
        """Reads a field that holds objects: containers, text, numbers and arrays."""
        if not self.header(name).dtype.hasobject:
            found = "an array of numbers or text"
            raise BadInput(f"{self.where(name)}: expected containers, the file has {found}")
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
        """Reads text of each row, (N,), which may be stored as UTF-8."""
        where, header = self.where(name), self.header(name)
        if not header.dtype.hasobject:
            if header.dtype.kind not in "US" or len(header.shape) != 1:
                found = f"{header.dtype.name} in {_written(header.shape)}"
                raise BadInput(f"{where}: expected text in shape (N), the file has {found}")
            if math.prod(header.shape) * header.dtype.itemsize > _LARGEST_TEXT:
                raise BadInput(f"{where}: expected text, the file has {header.dtype.name}, too long for that")
        array = np.asarray(self[name])
        if array.dtype.kind not in "SUO" or array.ndim != 1:
            found = f"{array.dtype.name} in shape {array.shape}"
            raise BadInput(f"{where}: expected text in shape (N), got {found}")
        if array.dtype.kind == "U":
            return array
        words = []
        for row, value in enumerate(array.tolist()):
            try:
                words.append(value.decode() if isinstance(value, bytes) else value)
            except UnicodeDecodeError:
                raise BadInput(f"{where}, row {row}: expected UTF-8 text") from None
            if not isinstance(words[-1], str):
                raise BadInput(f"{where}, row {row}: expected text, got {type(value).__name__}")
        return np.array(words, np.str_)

    def genders(self) -> NDArray[np.str_]:
        """Reads genders as m, f and n, (N,); n where a file says neither, in whichever way.

        They stand in `meta`, a dictionary of arrays or one for each row, or in a field of their own. Numbers are no
        genders: files do not agree on what they mean.
        """
        for field in ("meta", *_GENDER_FIELDS):
            values = self.get(field)
            if field == "meta":
                values = _genders_of(values, self.rows)
            if values is not None:
                letters = [_letter(value) for value in np.ravel(np.array(values, object))]
                if np.ndim(values) == 0:  # one for all
                    letters *= self.rows
                self.check_rows(len(letters), self.where(field))
                return np.array(letters, "<U1")
        return np.full(self.rows, "n")

    def _expect(self, name: str, shapes: Sequence[Shape]) -> Header:
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
        says = f"{self.where(name)} is damaged ({{}}); obtain the file again"
        with damage(says), self._archive.open(self._members[name]) as stream:
            shape, fortran, dtype = read_header(stream)
            row_bytes = math.prod(shape[1:]) * dtype.itemsize
            step = max(1, BLOCK_BYTES // max(1, row_bytes))
            if fortran:  # columns first: rows are known only at the end
                step = max(1, shape[0])
            for start in range(0, shape[0], step):
                size = min(step, shape[0] - start), *shape[1:]
                values = read_bytes(stream, size[0] * row_bytes).view(dtype)
                yield slice(start, start + step), values.reshape(size, order="F" if fortran else "C")
            stream.read(1)  # the end of a member is where its checksum is compared


def refuse_rows(bad: NDArray[np.bool_], where: str, expected: str, values: NDArray[Any]) -> None:
    """Raises BadInput for the first row that is marked as bad (N,), with what it has of the values (N, ...)."""
    if bad.any():
        row = int(bad.argmax())
        got = ", ".join(f"{value:g}" for value in np.atleast_1d(values[row]).ravel()[:6])
        raise BadInput(f"{where}, row {row}: expected {expected}, got {got}")


def check_keypoints(keypoints: Numbers, where: str) -> None:
    """Raises BadInput for keypoints (N, J, D) that are not finite or have a negative confidence, the last number.

    Coordinates without confidence may be anything; if not finite they become zero, because zero times NaN is NaN.
    """
    confidence, coordinates = keypoints[..., -1], keypoints[..., :-1]
    finite = np.isfinite(coordinates).all(-1)
    for bad, expected, values in (
        (~(np.isfinite(confidence) & (confidence >= 0)), "a confidence of 0 or more", confidence[..., None]),
        (~finite & (confidence > 0), "finite coordinates", keypoints),
    ):
        if bad.any():
            row, joint = np.argwhere(bad)[0]
            got = ", ".join(f"{number:g}" for number in values[row, joint])
            raise BadInput(f"{where}, row {row}, joint {joint}: expected {expected}, got {got}")
    coordinates[~finite] = 0


def check_finite(values: Numbers, where: str, used: NDArray[np.bool_] | None = None) -> None:
    """Raises BadInput for rows (N, ...) that are used (all by default) and not finite; the others become zero."""
    finite = np.isfinite(values).reshape(len(values), -1).all(1)
    used = np.ones(len(values), bool) if used is None else used
    refuse_rows(used & ~finite, where, "finite numbers", values)
    values[~finite] = 0


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


def _fits(shape: tuple[int, ...], wanted: Shape) -> bool:
    return len(shape) == len(wanted) and all(w in (None, n) for n, w in zip(shape, wanted))


def _written(shape: Sequence[int | None]) -> str:
    return "(" + ", ".join("N" if n is None else str(n) for n in shape) + ")"
