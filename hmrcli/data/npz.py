"""Reads the arrays of npz files in blocks of rows, so that only what is kept takes memory.

Annotation files hold gigabytes of 190 joints in float64, of which a recipe wants a fraction in float32. Nothing
is unpickled here; objects go through `hmrcli.assets.pickles`.
"""

import math
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any, Self

import numpy as np
from numpy.typing import NDArray

from hmrcli.assets.npy import open_zip, read_header, require_modest, require_size
from hmrcli.assets.pickles import read_npz
from hmrcli.assets.reading import damage, open_file
from hmrcli.assets.registry import load_registry
from hmrcli.data.foreign import other_kind
from hmrcli.errors import BadInput, MissingFile

BLOCK_BYTES = 1 << 22
_LARGEST_TEXT = 1 << 30
"""Bytes of a field of text, which is held in memory."""


@dataclass(frozen=True)
class Member:
    """An array in an npz file: its header, and a way to read it."""

    where: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran: bool
    open_data: Callable[[], IO[bytes]]

    @property
    def numeric(self) -> bool:
        """Whether it holds numbers or truth values."""
        return self.dtype.kind in "biuf"

    def expect(self, *shapes: tuple[int | None, ...]) -> None:
        """Refuses all but numbers in one of these shapes; None stands for any length.

        Raises:
            BadInput: it has another shape or no numbers.
        """
        if not self.numeric:
            raise BadInput(f"{self.where}: expected numbers, the file has {self.dtype.name}")
        if not any(_fits(self.shape, shape) for shape in shapes):
            wanted = " or ".join(_written(shape) for shape in shapes)
            raise BadInput(f"{self.where}: expected shape {wanted}, the file has {_written(self.shape)}")

    def blocks(self) -> Iterator[tuple[slice, NDArray[Any]]]:
        """Rows, a few MiB at a time: which ones, and their values as they are stored.

        Raises:
            BadInput: the array is damaged or ends early.
        """
        damaged = partial(damage, f"{self.where} is damaged ({{}}); obtain the file again")
        with damaged():
            stream = self.open_data()
        with stream:
            if self.fortran and len(self.shape) > 1:  # columns first: rows are known only at the end
                with damaged():
                    whole = _take(stream, self.dtype, math.prod(self.shape))
                yield slice(0, self.shape[0]), whole.reshape(self.shape, order="F")
            else:
                yield from self._row_blocks(stream, damaged)
            with damaged():
                if stream.read(1):  # the end of a member is also where its checksum is compared
                    raise EOFError("more values than its header says")

    def _row_blocks(
        self, stream: IO[bytes], damaged: Callable[[], AbstractContextManager[None]]
    ) -> Iterator[tuple[slice, NDArray[Any]]]:
        numbers_a_row = math.prod(self.shape[1:])
        rows = self.shape[0] if self.shape else 1
        step = max(1, BLOCK_BYTES // max(1, numbers_a_row * self.dtype.itemsize))
        for start in range(0, rows, step):
            stop = min(start + step, rows)
            with damaged():
                values = _take(stream, self.dtype, (stop - start) * numbers_a_row)
            yield slice(start, stop), values.reshape(stop - start, *self.shape[1:])

    def columns(
        self, stored: Sequence[int], out: NDArray[np.float32], positions: Sequence[int] | slice
    ) -> None:
        """Reads some columns (N, stored, ...) into others (N, positions, ...) of `out`."""
        chosen = np.asarray(stored, np.intp)
        for rows, block in self.blocks():
            with np.errstate(
                over="ignore"
            ):  # what float32 cannot hold becomes infinite and is refused as such
                out[rows, positions] = block[:, chosen]

    def numbers(self) -> NDArray[np.float32]:
        """The whole array in float32."""
        out = np.empty(self.shape, np.float32)
        for rows, block in self.blocks():
            with np.errstate(over="ignore"):
                out.reshape(-1, *self.shape[1:])[rows] = block
        return out


class NpzFile:
    """An npz file, open for reading its members one by one; use in a `with` block.

    Raises:
        MissingFile: there is no such file; the message ends with the command that brings it.
        BadInput: it is no complete npz file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = open_file(path)
        except MissingFile:
            raise missing(path) from None
        try:
            self._archive = open_zip(self._file)
        except ValueError as error:
            self._file.close()
            if kind := other_kind(path):
                raise BadInput(f"{path}: expected an .npz file of annotations, this is {kind}") from None
            raise BadInput(f"{path}: not a complete .npz file ({error}); obtain it again") from None
        self._members = {info.filename.removesuffix(".npy"): info for info in self._archive.infolist()}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._archive.close()
        self._file.close()

    def __contains__(self, name: str) -> bool:
        return name in self._members

    @property
    def names(self) -> list[str]:
        """Fields of the file, sorted."""
        return sorted(self._members)

    def where(self, name: str) -> str:
        """File and field, as errors name them."""
        return f"{self.path}: field {name}"

    def member(self, name: str) -> Member:
        """Header of an array.

        Raises:
            BadInput: the file has no such field, or it is damaged.
        """
        if name not in self:
            fields = ", ".join(self.names) or "nothing"
            raise BadInput(f"{self.where(name)} is missing; the file has {fields}")
        info, where = self._members[name], self.where(name)
        with damage(f"{where} is not a complete array: {{}}"):
            with self._archive.open(info) as stream:
                shape, fortran, dtype = read_header(stream)
                start = stream.tell()
            if not dtype.hasobject:  # asked before anything is allocated: a header can claim any size
                require_size(shape, dtype, info.file_size - start)
        return Member(where, shape, dtype, fortran, partial(self._after_header, info))

    def _after_header(self, info: zipfile.ZipInfo) -> IO[bytes]:
        stream = self._archive.open(info)
        read_header(stream)
        return stream

    def data(self, name: str) -> Any:
        """The content of a field that holds objects: containers, text, numbers and arrays.

        Raises:
            BadInput: the field is missing or damaged, or asks for anything that is not data.
        """
        if not self.member(name).dtype.hasobject:
            raise BadInput(
                f"{self.where(name)}: expected containers, the file has an array of numbers or text"
            )
        return read_npz(self.path, (name,))[name]

    def scalar(self, name: str, default: Any) -> Any:
        """A single number, truth value or text; `default` where the file has none."""
        if name not in self:
            return default
        member = self.member(name)
        if member.dtype.hasobject or member.shape != ():
            raise BadInput(f"{member.where}: expected a single value")
        return next(member.blocks())[1].item()

    def text(self, name: str) -> NDArray[np.str_]:
        """Text of each row, (N,).

        Raises:
            BadInput: the field is missing or damaged, or holds anything else.
        """
        member = self.member(name)
        if member.dtype.hasobject:
            return as_text(self.data(name), member.where)
        if member.dtype.kind not in "US" or len(member.shape) != 1:
            raise BadInput(
                f"{member.where}: expected text in shape (N), the file has "
                f"{member.dtype.name} in {_written(member.shape)}"
            )
        if math.prod(member.shape) * member.dtype.itemsize > _LARGEST_TEXT:
            raise BadInput(
                f"{member.where}: expected text, the file has {member.dtype.name}, too long for that"
            )
        with damage(f"{member.where} is damaged ({{}}); obtain the file again"):
            require_modest(self._members[name])
        out = np.empty(member.shape, member.dtype.newbyteorder("="))
        for rows, block in member.blocks():
            out[rows] = block
        return as_text(out, member.where)


def as_text(values: Any, where: str) -> NDArray[np.str_]:
    """A list or array of text as an array (N,).

    Raises:
        BadInput: something in it is not text.
    """
    array = np.asarray(values)
    if array.dtype.kind == "S":
        try:
            return np.char.decode(array, "utf-8")
        except UnicodeDecodeError:
            raise BadInput(f"{where}: expected UTF-8 text") from None
    if array.dtype.kind == "O":
        words = []
        for row, value in enumerate(array.ravel()):
            try:
                words.append(value.decode() if isinstance(value, bytes) else value)
            except UnicodeDecodeError:
                raise BadInput(f"{where}, row {row}: expected UTF-8 text") from None
            if not isinstance(words[-1], str):
                raise BadInput(f"{where}, row {row}: expected text, got {type(value).__name__}")
        array = np.array(words, np.str_).reshape(array.shape)
    if array.dtype.kind != "U" or array.ndim != 1:
        raise BadInput(
            f"{where}: expected text in shape (N), got {array.dtype.name} in {_written(array.shape)}"
        )
    return array


def missing(path: Path) -> MissingFile:
    """What to raise for an absent file: the command that brings it, where the registry knows its name."""
    registry = load_registry()
    asset = registry.by_name.get(path.name)
    if asset is None:
        return MissingFile(f"{path}: no such file; files that can be obtained: hmr download --list")
    if not asset.sources:
        return MissingFile(registry.how_to_get(asset, f"is missing ({path})"))
    return MissingFile(
        f"{path}: no such file. It is {asset.about}. Licence: {registry.terms(asset)}. "
        f"Run: hmr download {asset.name}"
    )


def _take(stream: IO[bytes], dtype: np.dtype[Any], count: int) -> NDArray[Any]:
    data = stream.read(count * dtype.itemsize)
    if len(data) != count * dtype.itemsize:
        raise EOFError("it ends early")
    return np.frombuffer(data, dtype)


def _fits(shape: tuple[int, ...], wanted: tuple[int | None, ...]) -> bool:
    return len(shape) == len(wanted) and all(w in (None, n) for n, w in zip(shape, wanted))


def _written(shape: Sequence[int | None]) -> str:
    return "(" + ", ".join("N" if n is None else str(n) for n in shape) + ")"
