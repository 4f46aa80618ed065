"""Reads pickles as data, without running anything that they name.

Unpickling normally imports and calls what the file asks for. Here every name in the allow-list becomes an
inert record of what was asked (name, arguments, state) and every other name is refused; afterwards the
records that stand for arrays are turned into numpy arrays from their raw bytes. Neither numpy's own
unpickling code nor chumpy nor scipy takes part, so a hostile file can at worst be rejected.
"""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from hmrcli.assets.npy import require_size
from hmrcli.assets.pickle_records import REBUILDERS, Reader, Record, is_record_class
from hmrcli.errors import BadInput
from hmrcli.files import open_file, reason

_PLAIN_DTYPE = re.compile(r"(?:[biufc]\d{1,2}|[SUa]\d{1,6}|\?)$")
_DEEPEST = 64
_ROOM, _ROOM_SHARE = 1 << 26, 16
"""Bytes that the arrays of a pickle may take: these, and so many times its own."""
_ITEMS = 1 << 20
"""Items that nested lists may hold, beside one for each byte of the pickle."""
_LARGEST_MATRIX = 1 << 28
"""Entries of a sparse matrix, were it spread out."""
_LARGEST_PICKLE = 1 << 31
"""Bytes; it is held in memory."""
_Turn = Callable[[Any], Any]
"""Makes plain data of what is inside a record."""


@dataclass(frozen=True)
class SparseMatrix:
    """A sparse matrix as coordinates."""

    shape: tuple[int, int]
    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    values: NDArray[np.float64]

    def toarray(self) -> NDArray[np.float64]:
        """Spreads it out (rows, columns) with zeros elsewhere; entries named twice add up."""
        dense = np.zeros(self.shape)
        np.add.at(dense, (self.rows, self.columns), self.values)
        return dense


class Unwanted(Exception):
    """The file names something outside the allow-list."""


class _DataReader(Reader):
    """Reads pickles of data alone."""

    def find_class(self, module: str, name: str) -> Any:
        """Returns what stands for a class or function; Unwanted where it is none of data."""
        if (full := f"{module}.{name}") not in _READERS:
            raise Unwanted(full)
        return self.record_class(full)

    def persistent_load(self, pid: Any) -> Any:
        """Refuses what lies outside of the pickle."""
        raise Unwanted("a persistent object")


def read_pickle(path: Path) -> Any:
    """Reads a pickle as plain data and numpy arrays.

    chumpy arrays come back as numpy arrays, scipy matrices as `SparseMatrix`.

    Raises:
        MissingFile: there is no such file.
        BadInput: it is truncated or damaged, or names something that is not data.
    """
    with open_file(path) as stream:
        return read_stream(stream, os.fstat(stream.fileno()).st_size, str(path))


def read_stream(stream: IO[bytes], size: int, where: str) -> Any:
    """Reads the pickle that a stream of `size` bytes goes on with, as `read_pickle` does; `where` is for errors."""
    if size > _LARGEST_PICKLE:
        most = f"{_LARGEST_PICKLE / 1e9:.1f}"
        raise BadInput(f"{where} is a pickle of {size / 1e9:.1f} GB; expected at most {most}")
    try:
        content = stream.read()
        return plain(_DataReader(content).load(), len(content))
    except Unwanted as refused:
        why = "which is not data and is never run; use a file from its publisher"
        raise BadInput(f"{where} asks for {refused}, {why}") from None
    except Exception as error:  # a damaged pickle fails anywhere in the unpickler, with any exception
        why = f"{type(error).__name__}: {reason(error)}"
        raise BadInput(f"{where} is not a complete pickle ({why})") from None


def plain(value: Any, size: int) -> Any:
    """Turns records into arrays, at every depth; what is there several times is turned once.

    The pickle's bytes, `size`, limit what the arrays may take.

    Raises:
        ValueError: it is nested too deeply, contains itself, or is damaged.
    """
    done: dict[int, Any] = {}
    weights: dict[int, int] = {}  # items of a container and of those inside it, each as often as it is there
    depth, room, most = 0, _ROOM + _ROOM_SHARE * size, _ITEMS + size

    def turn(item: Any) -> Any:
        nonlocal depth, room
        if is_record_class(item):
            raise ValueError(f"a bare {item.name}")
        if not isinstance(item, Record | dict | list | tuple | set | frozenset):
            return item
        if id(item) in done:
            return done[id(item)]
        depth += 1
        if depth > _DEEPEST:
            raise ValueError("nested too deeply")
        if isinstance(item, Record):
            turned = _READERS.get(item.name, _refuse)(item, turn)
            room -= getattr(turned, "nbytes", 0)
            if room < 0:
                raise ValueError("its arrays take far more room than the file")
        elif isinstance(item, dict):
            turned = {turn(k): turn(v) for k, v in item.items()}
        else:
            turned = type(item)([turn(each) for each in item])
            weights[id(item)] = sum(weights.get(id(each), 1) for each in item)
            if weights[id(item)] > most:
                raise ValueError("it holds the same things too many times over")
        depth -= 1
        done[id(item)] = turned
        return turned

    return turn(value)


def raw_bytes(data: Any) -> bytes:
    """Returns the bytes of an array, which Python 2 wrote as text and Python 3 may write as a call."""
    if isinstance(data, Record) and data.name in _BYTES:
        return _bytes(data)
    if not isinstance(data, str | bytes | bytearray):
        raise ValueError(f"array content of type {type(data).__name__}")
    return data.encode("latin1") if isinstance(data, str) else bytes(data)


def plain_dtype(record: Any) -> np.dtype[Any]:
    """Returns the data type that a record stands for: numbers, text or objects; ValueError for others."""
    if not isinstance(record, Record) or record.name != "numpy.dtype" or not isinstance(record.args[0], str):
        raise ValueError("an array without a data type")
    code = record.args[0]
    if code in ("O", "O8", "O4"):
        return np.dtype(object)
    if not _PLAIN_DTYPE.match(code):
        raise ValueError(f"data type {code!r} is not plain numbers or text")
    order = record.state[1] if record.state is not None else "="
    return np.dtype((order if order in "<>" else "=") + code.replace("a", "S"))


def _from_bytes(data: bytes, dtype: np.dtype[Any], shape: tuple[int, ...], fortran: bool) -> NDArray[Any]:
    if min(shape, default=0) < 0:
        raise ValueError("an array of negative length")
    require_size(shape, dtype, len(data))
    array = np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C")
    return array.astype(dtype.newbyteorder("="))  # a copy of our own, writable and in native order


def _array(record: Record, turn: _Turn) -> NDArray[Any]:
    _, shape, dtype_record, fortran, data = record.state
    dtype = plain_dtype(dtype_record)
    if not dtype.hasobject:
        return _from_bytes(raw_bytes(data), dtype, tuple(shape), bool(fortran))
    items = np.empty(len(data), object)
    items[:] = [turn(item) for item in data]
    return items.reshape(shape, order="F" if fortran else "C")


def _buffer(record: Record, turn: _Turn) -> NDArray[Any]:
    data, dtype_record, shape, order = record.args
    return _from_bytes(raw_bytes(data), plain_dtype(dtype_record), tuple(shape), order == "F")


def _scalar(record: Record, turn: _Turn) -> Any:
    return _from_bytes(raw_bytes(record.args[1]), plain_dtype(record.args[0]), (), False)[()]


def _sparse(record: Record, turn: _Turn) -> SparseMatrix:
    state = turn(record.state)
    rows, columns = (int(n) for n in state["_shape" if "_shape" in state else "shape"])
    by_row = state.get("format") == "csr"
    pointers, inner = np.asarray(state["indptr"], np.int64), np.asarray(state["indices"], np.int64)
    values = np.asarray(state["data"], np.float64)
    outer_size, inner_size = (rows, columns) if by_row else (columns, rows)
    counts = np.diff(pointers)
    if rows * columns > _LARGEST_MATRIX:
        raise ValueError(f"a sparse matrix of {rows} by {columns}")
    if len(pointers) != outer_size + 1 or pointers[0] != 0 or (counts < 0).any():
        raise ValueError("a sparse matrix with wrong pointers")
    if not len(inner) == len(values) == pointers[-1] or (
        len(inner) and not 0 <= inner.min() <= inner.max() < inner_size
    ):
        raise ValueError("a sparse matrix with wrong indices")
    outer = np.repeat(np.arange(outer_size), counts)
    if by_row:
        return SparseMatrix((rows, columns), outer, inner, values)
    return SparseMatrix((rows, columns), inner, outer, values)


def _chumpy(record: Record, turn: _Turn) -> NDArray[Any]:
    value = turn(record.state["x"])
    if isinstance(value, list | tuple | dict):
        raise ValueError("a chumpy array without an array")
    return np.asarray(value)


def _select(record: Record, turn: _Turn) -> NDArray[Any]:
    source = np.asarray(turn(record.state["a"])).ravel()
    chosen = source[np.asarray(turn(record.state["idxs"])).ravel()]
    shape = record.state.get("preferred_shape")
    return chosen.reshape(turn(shape)) if shape is not None else chosen


def _bytes(record: Record, _: _Turn | None = None) -> bytes:
    if record.args and record.args[1:] not in (("latin1",), ("latin-1",)):
        raise ValueError("bytes that are not in latin-1")
    return raw_bytes(record.args[0]) if record.args else b""


def _set(record: Record, turn: _Turn) -> set[Any]:
    return set(turn(record.args[0])) if record.args else set()


def _refuse(record: Record, turn: _Turn) -> Any:
    raise ValueError(f"a bare {record.name}")


_BYTES = ("_codecs.encode", "__builtin__.bytes", "builtins.bytes")
_MATRICES = [f"scipy.sparse.{_}{kind}.{kind}_matrix" for kind in ("csc", "csr") for _ in ("", "_")]
_READERS: dict[str, Callable[[Record, _Turn], Any]] = {
    **{f"numpy.{core}.multiarray._reconstruct": _array for core in ("core", "_core")},
    **{f"numpy.{core}.multiarray.scalar": _scalar for core in ("core", "_core")},
    **{f"numpy.{core}.numeric._frombuffer": _buffer for core in ("core", "_core")},
    "numpy.dtype": lambda record, turn: plain_dtype(record),
    **dict.fromkeys(_BYTES, _bytes),
    **dict.fromkeys(_MATRICES, _sparse),
    **dict.fromkeys(("__builtin__.set", "builtins.set"), _set),
    **dict.fromkeys(("__builtin__.object", "builtins.object", "numpy.ndarray", *REBUILDERS), _refuse),
    **dict.fromkeys(("chumpy.ch.Ch", "chumpy.Ch"), _chumpy),
    "chumpy.reordering.Select": _select,
}
"""Readers that turn what a file may name into plain data. Names differ with the versions that wrote the file."""
