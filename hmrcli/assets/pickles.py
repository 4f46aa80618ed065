"""Reads pickles and npz files as data, without running anything that they name.

Unpickling normally imports and calls what the file asks for. Here every name in the allow-list becomes an
inert record of what was asked (name, arguments, state) and every other name is refused; afterwards the
records that stand for arrays are turned into numpy arrays from their raw bytes. Neither numpy's own
unpickling code nor chumpy nor scipy takes part, so a hostile file can at worst be rejected.
"""

import pickle
import re
import zipfile
import zlib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from hmrcli.errors import BadInput, MissingFile

_ARRAY = "numpy array"
_BUFFER = "numpy buffer"
_SCALAR = "numpy scalar"
_DTYPE = "numpy dtype"
_NDARRAY = "numpy ndarray"
_SPARSE = "sparse matrix"
_BYTES = "bytes"
_OBJECT = "object"
_REBUILD = "rebuild object"
_SET = "set"
_CHUMPY = "chumpy array"
_SELECT = "chumpy selection"

# What a file may name, and what the record stands for. Names differ with the versions that wrote the file.
_ALLOWED = {
    **{f"numpy.{core}.multiarray._reconstruct": _ARRAY for core in ("core", "_core")},
    **{f"numpy.{core}.multiarray.scalar": _SCALAR for core in ("core", "_core")},
    **{f"numpy.{core}.numeric._frombuffer": _BUFFER for core in ("core", "_core")},
    "numpy.ndarray": _NDARRAY,
    "numpy.dtype": _DTYPE,
    "_codecs.encode": _BYTES,
    **{f"{module}.bytes": _BYTES for module in ("__builtin__", "builtins")},
    **{
        f"scipy.sparse.{module}.{kind}_matrix": _SPARSE
        for kind in ("csc", "csr")
        for module in (kind, f"_{kind}")
    },
    **{f"{module}._reconstructor": _REBUILD for module in ("copy_reg", "copyreg")},
    **{f"{module}.object": _OBJECT for module in ("__builtin__", "builtins")},
    **{f"{module}.set": _SET for module in ("__builtin__", "builtins")},
    "chumpy.ch.Ch": _CHUMPY,
    "chumpy.Ch": _CHUMPY,
    "chumpy.reordering.Select": _SELECT,
}
_PLAIN_DTYPE = re.compile(r"(?:[biufc]\d{1,2}|[SUa]\d{1,6}|\?)$")
_DEEPEST = 64


@dataclass(frozen=True)
class SparseMatrix:
    """A sparse matrix as coordinates; `toarray()` spreads it out."""

    shape: tuple[int, int]
    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    values: NDArray[np.float64]

    def toarray(self) -> NDArray[np.float64]:
        """(rows, columns) with zeros elsewhere; entries named twice add up."""
        dense = np.zeros(self.shape)
        np.add.at(dense, (self.rows, self.columns), self.values)
        return dense


class _Record:
    """What a pickle asked for, and nothing more."""

    kind = _OBJECT

    def __new__(cls, *args: Any, **_: Any) -> "_Record":
        record = super().__new__(cls)
        if cls.kind == _REBUILD:  # copyreg's way to say "an object of this class"
            record = args[0]() if args and _is_record_class(args[0]) else record
        record.args, record.state = args, None
        return record

    def __init__(self, *args: Any, **_: Any) -> None:
        self.args: tuple[Any, ...]
        self.state: Any

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def __hash__(self) -> int:
        return id(self)


def _is_record_class(thing: Any) -> bool:
    return isinstance(thing, type) and issubclass(thing, _Record)


class _Reader(pickle.Unpickler):
    """Every class it hands out is made for this file alone, so that a file cannot tamper with another's."""

    def __init__(self, stream: IO[bytes]) -> None:
        super().__init__(stream, encoding="latin1")
        self._classes: dict[str, type[_Record]] = {}

    def find_class(self, module: str, name: str) -> Any:
        kind = _ALLOWED.get(f"{module}.{name}")
        if kind is None:
            raise _Refused(f"{module}.{name}")
        return self._classes.setdefault(kind, type("Record", (_Record,), {"kind": kind}))

    def persistent_load(self, pid: Any) -> Any:
        raise _Refused("a persistent object")


class _Refused(Exception):
    """The file names something outside the allow-list."""


def read_pickle(path: Path) -> Any:
    """The content of a pickle, as plain data and numpy arrays.

    chumpy arrays come back as numpy arrays, scipy matrices as `SparseMatrix`.

    Raises:
        MissingFile: there is no such file.
        BadInput: it is truncated or damaged, or names something that is not data.
    """
    with _open(path) as stream:
        return _load(stream, str(path))


def read_npz(path: Path, names: Collection[str] | None = None) -> dict[str, Any]:
    """The arrays of an npz file; object arrays inside it are read as `read_pickle` reads.

    Args:
        names: read these alone (all must be there); otherwise all.

    Raises:
        MissingFile: there is no such file.
        BadInput: it is damaged, lacks a name, or an array names something that is not data.
    """
    with _open(path) as stream:
        try:
            archive = zipfile.ZipFile(stream)
            stored = {member.removesuffix(".npy"): member for member in archive.namelist()}
        except zipfile.BadZipFile:
            raise BadInput(f"{path}: not a complete .npz file; obtain it again") from None
        if missing := sorted(set(names or ()) - set(stored)):
            raise BadInput(f"{path}: field {missing[0]} is missing; the file has {', '.join(sorted(stored))}")
        return {name: _member(archive, stored[name], f"{path}: field {name}") for name in names or stored}


def read_npy(path: Path) -> Any:
    """The array of an npy file, under the rules of `read_npz`."""
    with _open(path) as stream:
        return _array_file(stream, str(path))


def _open(path: Path) -> IO[bytes]:
    try:
        return path.open("rb")
    except FileNotFoundError:
        raise MissingFile(f"{path}: no such file") from None
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror}") from None


def _member(archive: zipfile.ZipFile, member: str, where: str) -> Any:
    try:
        with archive.open(member) as stream:
            return _array_file(stream, where)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError) as error:
        raise BadInput(f"{where} is damaged ({error}); obtain the file again") from None


def _array_file(stream: IO[bytes], where: str) -> Any:
    formats = np.lib.format
    try:
        version = formats.read_magic(stream)
        read_header = formats.read_array_header_1_0 if version == (1, 0) else formats.read_array_header_2_0
        shape, fortran, dtype = read_header(stream)
        if not dtype.hasobject:
            count = int(np.prod(shape, dtype=np.int64))
            return _from_bytes(stream.read(count * dtype.itemsize), dtype, shape, fortran)
    except (ValueError, SyntaxError, TypeError) as error:
        raise BadInput(f"{where} is not a complete array: {error}") from None
    content = np.asarray(_load(stream, where), dtype=object)
    return content.item() if shape == () else content


def _load(stream: IO[bytes], where: str) -> Any:
    try:
        return _plain(_Reader(stream).load(), 0)
    except _Refused as refused:
        raise BadInput(
            f"{where} asks for {refused}, which is not data and is never run; use a file from its publisher"
        ) from None
    except BadInput:
        raise
    except Exception as error:  # a damaged pickle fails anywhere in the unpickler, with any exception
        raise BadInput(f"{where} is not a complete pickle ({type(error).__name__}: {error})") from None


def _plain(value: Any, depth: int) -> Any:
    """Turns records into arrays, down to the leaves."""
    if depth > _DEEPEST:
        raise ValueError("nested too deeply")
    if isinstance(value, _Record):
        return _INTERPRETERS[value.kind](value, depth + 1)
    if _is_record_class(value):
        raise ValueError(f"a bare {value.kind}")
    if isinstance(value, dict):
        return {_plain(k, depth + 1): _plain(v, depth + 1) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return type(value)(_plain(item, depth + 1) for item in value)
    return value


def _raw(data: Any) -> bytes:
    """The bytes of an array, which Python 2 wrote as text and Python 3 may write as a call."""
    if isinstance(data, _Record) and data.kind == _BYTES:
        return _bytes(data)
    if not isinstance(data, str | bytes | bytearray):
        raise ValueError(f"array content of type {type(data).__name__}")
    return data.encode("latin1") if isinstance(data, str) else bytes(data)


def _dtype(record: Any) -> np.dtype[Any]:
    if not isinstance(record, _Record) or record.kind != _DTYPE or not isinstance(record.args[0], str):
        raise ValueError("an array without a data type")
    code = record.args[0]
    if code in ("O", "O8", "O4"):
        return np.dtype(object)
    if not _PLAIN_DTYPE.match(code):
        raise ValueError(f"data type {code!r} is not plain numbers or text")
    order = record.state[1] if record.state is not None else "="
    return np.dtype((order if order in "<>" else "=") + code.replace("a", "S"))


def _from_bytes(data: bytes, dtype: np.dtype[Any], shape: tuple[int, ...], fortran: bool) -> NDArray[Any]:
    expected = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    if len(data) != expected or min(shape, default=0) < 0:
        raise ValueError(f"{len(data)} bytes for shape {shape} of {dtype}, expected {expected}")
    array = np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C")
    return array.astype(dtype.newbyteorder("="))  # a copy of our own, writable and in native order


def _array(record: _Record, depth: int) -> NDArray[Any]:
    _, shape, dtype_record, fortran, data = record.state
    dtype = _dtype(dtype_record)
    if not dtype.hasobject:
        return _from_bytes(_raw(data), dtype, tuple(shape), bool(fortran))
    items = np.empty(len(data), object)
    items[:] = [_plain(item, depth) for item in data]
    return items.reshape(shape, order="F" if fortran else "C")


def _buffer(record: _Record, depth: int) -> NDArray[Any]:
    data, dtype_record, shape, order = record.args
    return _from_bytes(_raw(data), _dtype(dtype_record), tuple(shape), order == "F")


def _scalar(record: _Record, depth: int) -> Any:
    return _from_bytes(_raw(record.args[1]), _dtype(record.args[0]), (), False)[()]


def _sparse(record: _Record, depth: int) -> SparseMatrix:
    state = _plain(record.state, depth)
    rows, columns = (int(n) for n in state["_shape" if "_shape" in state else "shape"])
    by_row = state.get("format") == "csr"
    pointers, inner = np.asarray(state["indptr"], np.int64), np.asarray(state["indices"], np.int64)
    values = np.asarray(state["data"], np.float64)
    outer_size, inner_size = (rows, columns) if by_row else (columns, rows)
    counts = np.diff(pointers)
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


def _chumpy(record: _Record, depth: int) -> NDArray[Any]:
    return np.asarray(_plain(record.state["x"], depth))


def _select(record: _Record, depth: int) -> NDArray[Any]:
    source = np.asarray(_plain(record.state["a"], depth)).ravel()
    chosen = source[np.asarray(_plain(record.state["idxs"], depth)).ravel()]
    shape = record.state.get("preferred_shape")
    return chosen.reshape(_plain(shape, depth)) if shape is not None else chosen


def _bytes(record: _Record, depth: int = 0) -> bytes:
    if record.args and record.args[1:] not in (("latin1",), ("latin-1",)):
        raise ValueError("bytes that are not in latin-1")
    return _raw(record.args[0]) if record.args else b""


def _set(record: _Record, depth: int) -> set[Any]:
    return set(_plain(record.args[0], depth)) if record.args else set()


def _refuse(record: _Record, depth: int) -> Any:
    raise ValueError(f"a bare {record.kind}")


_INTERPRETERS = {
    _ARRAY: _array,
    _BUFFER: _buffer,
    _SCALAR: _scalar,
    _SPARSE: _sparse,
    _CHUMPY: _chumpy,
    _SELECT: _select,
    _BYTES: _bytes,
    _SET: _set,
    _DTYPE: lambda record, depth: _dtype(record),
    _NDARRAY: _refuse,
    _OBJECT: _refuse,
    _REBUILD: _refuse,
}
