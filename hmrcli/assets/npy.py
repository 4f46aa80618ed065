"""Arrays in npy format and members of zip files, whose headers may claim anything: checked before they are read."""

import io
import math
import zipfile
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hmrcli.files import reason

_LARGEST_HEADER = 10_000
"""Bytes of an npy header, numpy's own limit."""
_CHUNK = 1 << 24
BOMB, _RATIO = 1 << 28, 100
"""Bytes that anything may unpack to, and how many times its size something larger may."""


class Header(NamedTuple):
    """Description of an array by its npy file."""

    shape: tuple[int, ...]
    fortran: bool
    """Columns come first."""
    dtype: np.dtype[Any]


def read_header(stream: IO[bytes], total: int | None = None) -> Header:
    """Reads the header of the array that a stream in npy format goes on with.

    Raises:
        ValueError: it is none, or claims other numbers than fill the stream up to `total` bytes.
    """
    start = stream.read(8)
    width = {1: 2, 2: 4, 3: 4}.get(start[6] if len(start) == 8 else 0)
    if start[:6] != b"\x93NUMPY" or width is None:
        raise ValueError("it does not begin as an npy file does")
    length = stream.read(width)
    size = int.from_bytes(length, "little")
    if size > _LARGEST_HEADER:
        raise ValueError(f"its header has {size} bytes")
    header = io.BytesIO(start + length + stream.read(size))
    np.lib.format.read_magic(header)
    read = np.lib.format.read_array_header_1_0 if start[6] == 1 else np.lib.format.read_array_header_2_0
    try:
        shape, fortran, dtype = read(header)
    except Exception as error:  # what a header that is no literal raises depends on where it breaks
        raise ValueError(f"its header cannot be read ({reason(error)})") from None
    if any(isinstance(n, bool) or n < 0 for n in shape) or math.prod(shape) >= 1 << 60:
        raise ValueError("its header has a length that is impossible")
    if total is not None and not dtype.hasobject:
        require_size(shape, dtype, total - stream.tell())
    return Header(shape, fortran, dtype)


def read_array(stream: IO[bytes], total: int) -> NDArray[Any] | None:
    """Reads the array that a stream of `total` bytes in npy format holds; ValueError if it is no complete one.

    Returns None for an array of objects, whose pickle the stream then goes on with.
    """
    shape, fortran, dtype = read_header(stream, total)
    if dtype.hasobject:
        return None
    array = read_numbers(stream, dtype, shape, "F" if fortran else "C")
    stream.read(1)  # the end of a zip's member is where its checksum is compared
    return array


def read_numbers(
    stream: IO[bytes], dtype: np.dtype[Any], shape: tuple[int, ...], order: Literal["C", "F"]
) -> NDArray[Any]:
    """Reads the numbers of an array, writable and in native order; ValueError where the stream ends earlier."""
    count = math.prod(shape)
    array = read_bytes(stream, count * dtype.itemsize).view(dtype) if count else np.empty(0, dtype)
    return array.astype(dtype.newbyteorder("="), copy=False).reshape(shape, order=order)


def read_bytes(stream: IO[bytes], size: int) -> NDArray[np.uint8]:
    """Reads the next `size` bytes of a stream, writable; ValueError where it ends earlier."""
    content = np.empty(size, np.uint8)
    for begin in range(0, size, _CHUNK):
        part = np.frombuffer(stream.read(min(_CHUNK, size - begin)), np.uint8)
        if len(part) != min(_CHUNK, size - begin):
            raise ValueError("it ends early")
        content[begin : begin + len(part)] = part
    return content


def require_size(shape: tuple[int, ...], dtype: np.dtype[Any], found: int) -> None:
    """Raises ValueError where an array has another number of bytes than its header says."""
    if found != (expected := math.prod(shape) * dtype.itemsize):
        text = f"({', '.join(map(str, shape))})"
        raise ValueError(f"{found} bytes for shape {text} of {dtype.name}, expected {expected}")


def open_zip(path: Path) -> zipfile.ZipFile:
    """Opens a zip file; ValueError where it is none, for whatever reason."""
    try:
        return zipfile.ZipFile(path)
    except Exception as error:  # damaged names, dates and offsets fail in many ways
        raise ValueError(reason(error)) from None


def most_unpacked(size: int) -> int:
    """Returns how many bytes so many may unpack to: nothing huge comes from next to nothing."""
    return max(BOMB, _RATIO * max(1, size))


def require_modest(info: zipfile.ZipInfo) -> None:
    """Raises ValueError for a member that would unpack to something huge from next to nothing."""
    if info.file_size > most_unpacked(info.compress_size):
        raise ValueError(
            f"{info.file_size / 1e9:.1f} GB packed in {info.compress_size / 1e6:.1f} MB; it is not unpacked"
        )
