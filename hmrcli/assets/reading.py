"""Opens what comes from elsewhere: plain files only, npy headers, members of zip files, JSON documents.

A damaged or hostile file can make the libraries beneath fail with almost any exception; here each becomes one.
"""

import io
import json
import math
import stat
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from hmrcli.errors import BadInput, HmrError, MissingFile

LARGEST_HEADER = 10_000
"""Bytes of an npy header, numpy's own limit."""
_CHUNK = 1 << 24
_BOMB, _RATIO = 1 << 28, 100
"""Members that unpack to more bytes than the first, and to more times their size than the second, are refused."""
_LARGEST_DOCUMENT = 1 << 24


def open_file(path: Path) -> IO[bytes]:
    """A plain file, open for reading; folders, pipes and devices are refused before they can block.

    Raises:
        MissingFile: there is no such file.
        BadInput: it is something else, or may not be read.
    """
    try:
        kind = stat.S_IFMT(path.stat().st_mode)
        if kind != stat.S_IFREG:
            raise BadInput(f"{path}: is {_KINDS.get(kind, 'no plain file')}, expected a file")
        return path.open("rb")
    except FileNotFoundError:
        raise MissingFile(f"{path}: no such file") from None
    except (OSError, ValueError) as error:  # ValueError: a name with a null character
        raise BadInput(f"{path}: cannot be read: {reason(error)}") from None


_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


@contextmanager
def damage(says: str) -> Iterator[None]:
    """Turns whatever reading a file raises into BadInput: `says`, in which {} stands for the reason."""
    try:
        yield
    except HmrError:
        raise
    except Exception as error:
        raise BadInput(says.replace("{}", reason(error))) from None


def reason(error: Exception) -> str:
    """An exception in one line."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return ((str(error) if not isinstance(error, KeyError) else "") or type(error).__name__).splitlines()[0]


def read_header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether columns come first, and type of the array that a stream in npy format goes on with.

    Raises:
        ValueError: it is no such header.
    """
    start = stream.read(8)
    width = {1: 2, 2: 4, 3: 4}.get(start[6] if len(start) == 8 else 0)
    if start[:6] != b"\x93NUMPY" or width is None:
        raise ValueError("it does not begin as an npy file does")
    length = stream.read(width)
    size = int.from_bytes(length, "little")
    if size > LARGEST_HEADER:
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
    return shape, fortran, dtype


def read_array(stream: IO[bytes], size: int) -> NDArray[Any] | None:
    """The array that a stream in npy format holds; None, at the first of their bytes, if it holds objects.

    Args:
        size: bytes of the whole stream; a header that claims another size is refused before anything is read.

    Raises:
        ValueError: it is no complete array.
    """
    shape, fortran, dtype = read_header(stream)
    if dtype.hasobject:
        return None
    require_size(shape, dtype, size - stream.tell())
    count = math.prod(shape)
    array = read_bytes(stream, count * dtype.itemsize).view(dtype) if count else np.empty(0, dtype)
    return array.astype(dtype.newbyteorder("="), copy=False).reshape(shape, order="F" if fortran else "C")


def read_bytes(stream: IO[bytes], size: int) -> NDArray[np.uint8]:
    """The next `size` bytes of a stream, which must end with them; writable.

    Raises:
        ValueError: it ends earlier.
    """
    content = np.empty(size, np.uint8)
    for begin in range(0, size, _CHUNK):
        part = np.frombuffer(stream.read(min(_CHUNK, size - begin)), np.uint8)
        if len(part) != min(_CHUNK, size - begin):
            raise ValueError("it ends early")
        content[begin : begin + len(part)] = part
    stream.read(1)  # the end of a zip's member is where its checksum is compared
    return content


def require_size(shape: tuple[int, ...], dtype: np.dtype[Any], found: int) -> None:
    """Raises ValueError where an array has another number of bytes than its header says."""
    if found != (expected := math.prod(shape) * dtype.itemsize):
        text = f"({', '.join(map(str, shape))})"
        lead = "it is cut short: " if found < expected else ""
        raise ValueError(f"{lead}{found} bytes for shape {text} of {dtype.name}, expected {expected}")


def open_zip(stream: IO[bytes] | Path) -> zipfile.ZipFile:
    """A zip file; ValueError where it is none, for whatever reason."""
    try:
        return zipfile.ZipFile(stream)
    except Exception as error:  # damaged names, dates and offsets fail in many ways
        raise ValueError(reason(error)) from None


def require_modest(info: zipfile.ZipInfo) -> None:
    """Raises ValueError for a member that would unpack to something huge from next to nothing."""
    if info.file_size > _BOMB and info.file_size > _RATIO * max(1, info.compress_size):
        raise ValueError(
            f"{info.file_size / 1e9:.1f} GB packed in {info.compress_size / 1e6:.1f} MB; it is not unpacked"
        )


def read_document(path: Path) -> dict[str, Any]:
    """A file that holds one JSON object.

    Raises:
        MissingFile: there is no such file.
        BadInput: it holds anything else.
    """
    with open_file(path) as stream:
        text = stream.read(_LARGEST_DOCUMENT + 1)
    try:
        document = json.loads(text) if len(text) <= _LARGEST_DOCUMENT else None
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{path}: is no JSON document ({reason(error)})") from None
    if not isinstance(document, dict):
        raise BadInput(f"{path}: expected one JSON object of modest size")
    return document
