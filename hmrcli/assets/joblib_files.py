"""Reads what joblib writes, as data: pickles, maybe compressed, with the numbers of arrays between instructions."""

import bz2
import copy
import lzma
import math
import pickle
import zlib
from typing import Any, ClassVar

from numpy.typing import NDArray

from hmrcli.assets.npy import most_unpacked, read_numbers
from hmrcli.assets.pickle_records import Reader, Record
from hmrcli.assets.pickles import plain_dtype

_ARRAY = "joblib.numpy_pickle.NumpyArrayWrapper"
_OLD = ("joblib.numpy_pickle_compat.NDArrayWrapper", "joblib.numpy_pickle_compat.ZNDArrayWrapper")


def unpacked(content: bytes) -> bytes:
    """Unpacks the content of a file that joblib compressed, whichever of Python's ways it took; others stay.

    Raises:
        ValueError: it is cut off, or would unpack to something huge from next to nothing.
    """
    start = content[:6]
    unpacker: Any
    if start[:2] == b"\x1f\x8b" or (start[:1] == b"\x78" and int.from_bytes(start[:2]) % 31 == 0):
        unpacker = zlib.decompressobj(zlib.MAX_WBITS | 32)
    elif start[:3] == b"BZh":
        unpacker = bz2.BZ2Decompressor()
    elif start == b"\xfd7zXZ\0" or start[:2] == b"\x5d\0":
        unpacker = lzma.LZMADecompressor()
    else:
        return content
    most = most_unpacked(len(content))
    result = unpacker.decompress(content, most)
    if not unpacker.eof:
        early = len(result) < most
        raise ValueError("it ends early" if early else "it would unpack to far more than it holds")
    return result


class ArrayReader(Reader):
    """A reader of pickles that also takes the arrays that joblib puts between instructions."""

    dispatch: ClassVar = dict(Reader.dispatch)


def _load_build(reader: Any) -> None:
    """Gives a record its state; after that of an array, its numbers follow in the file."""
    Reader.dispatch[pickle.BUILD[0]](reader)
    made = reader.stack[-1]
    if isinstance(made, Record) and made.name in _OLD:
        raise ValueError("joblib before 0.10 wrote it, with arrays in files of their own")
    if isinstance(made, Record) and made.name == _ARRAY:
        reader.stack[-1] = _array(reader, made.state)


ArrayReader.dispatch[pickle.BUILD[0]] = _load_build


def _array(reader: Any, state: dict[str, Any]) -> NDArray[Any] | Any:
    dtype, shape = plain_dtype(state["dtype"]), tuple(state["shape"])
    if dtype.hasobject:  # a pickle of its own, in the same stream
        inner = copy.copy(reader)
        inner.memo = {}
        return inner.load()
    if state.get("numpy_array_alignment_bytes") is not None:
        reader.stream.read(reader.stream.read(1)[0])
    size = math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or size > reader.stream.getbuffer().nbytes - reader.stream.tell():
        raise ValueError("an array is longer than the file")
    return read_numbers(reader.stream, dtype, shape, state["order"])
