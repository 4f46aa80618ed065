"""Images of data sets: which are there, and how one is decoded."""

import os
import re
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from hmrcli.errors import BadInput

_ASKED_FOR = 64
"""Absent names that are looked up one by one before the others are believed to be absent, too."""

_START, _SCAN, _END = b"\xff\xd8", b"\xff\xda", b"\xff\xd9"
"""Markers of JPEG."""
_OF_DECODERS = re.compile(
    rb"^(?:Corrupt JPEG|Premature end of JPEG|Warning: unknown JFIF|Unknown Adobe|Inconsistent progression|"
    rb"Invalid SOS|libpng |\[ *(?:WARN|ERROR|INFO)\b).*\n+",
    re.MULTILINE,
)
_DAMAGE = re.compile(rb"^(?:Corrupt JPEG|Premature end of JPEG|libpng error|\[ *ERROR\b).*", re.MULTILINE)
_BETWEEN = re.compile(rb"Corrupt JPEG data: (\d+) extraneous bytes before marker 0x(..)")
_captures: dict[int, IO[bytes]] = {}


def missing_images(folder: Path, names: NDArray[np.str_]) -> list[str]:
    """Lists images, of names (N,) below a folder, that are not there, each once.

    Folders are listed, for asking for each file takes minutes.
    """
    listed: dict[str, set[str]] = {}
    absent = []
    for name in dict.fromkeys(names.tolist()):
        where, _, file = name.rpartition("/")
        if where not in listed:
            listed[where] = set()
            with suppress(OSError), os.scandir(folder / where) as entries:
                listed[where] = {entry.name for entry in entries}
        if file not in listed[where]:
            absent.append(name)
    # A file system may take other cases or accents for the same, and names may hold backslashes.
    if not any(_as_unpacked(folder / name).is_file() for name in absent[:_ASKED_FOR]):
        return absent
    return [name for name in absent if not _as_unpacked(folder / name).is_file()]


def read_bgr(path: Path) -> NDArray[np.uint8]:
    """Decodes an image (H, W, 3) of a data set, in OpenCV's order of channels.

    Raises:
        BadInput: it is missing, damaged, or cannot be decoded.
    """
    try:
        content = _content(path)
        image, said = _decode(content) if content.size else (None, b"")
    except (OSError, cv2.error) as error:
        reason = error.strerror if isinstance(error, OSError) else "not an image"
        raise BadInput(f"{path}: {reason}, expected an image of the data set; unpack it again") from None
    if image is None:
        expected = "expected one of the data set"
        raise BadInput(f"{path}: not an image that can be read, {expected}; unpack it again")
    if damage := _damage(content, said):
        raise BadInput(f"{path}: a damaged image ({damage}); unpack it again")
    return np.asarray(image, np.uint8)


def _content(path: Path) -> NDArray[np.uint8]:
    try:
        return np.fromfile(path, np.uint8)
    except FileNotFoundError:
        return np.fromfile(_as_unpacked(path), np.uint8)


def _as_unpacked(path: Path) -> Path:
    """Returns the path or, where an archive from Windows left names with backslashes, the file that it means."""
    if not path.is_file():
        for folder in path.parents:
            other = folder / "\\".join(path.relative_to(folder).parts)
            if other.is_file():
                return other
    return path


def jpeg_damage(content: bytes) -> str | None:
    """Says what is wrong with a JPEG that has an end, in the words of its decoder; None for a right one."""
    values = np.frombuffer(content, np.uint8)
    image, said = _decode(values, cv2.IMREAD_REDUCED_COLOR_8)
    return _damage(values, said) if image is not None and _DAMAGE.search(said) else None


def has_end(content: bytes) -> bool:
    """Tells whether the end marker of a JPEG follows its pixels; behind it, phones append films of any bytes."""
    at = 2
    while content[at : at + 1] == _END[:1] and content[at : at + 2] != _SCAN:  # EXIF may hold a small JPEG
        at += 2 + int.from_bytes(content[at + 2 : at + 4], "big")
    return content.find(_END, at) >= 0


def _decode(content: NDArray[np.uint8], flags: int = cv2.IMREAD_COLOR) -> tuple[NDArray[Any] | None, bytes]:
    """Decodes an image; returns also what its decoder printed to stderr, the only way in which damage is told."""
    try:
        capture, stderr = _capture(), os.dup(2)
    except OSError:  # there is no stderr, or no folder for temporary files
        return cv2.imdecode(content, flags), b""
    try:
        os.dup2(capture, 2)
        image = cv2.imdecode(content, flags)
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
    if not (size := os.fstat(capture).st_size):
        return image, b""
    os.lseek(capture, 0, os.SEEK_SET)
    said = os.read(capture, size)
    os.ftruncate(capture, 0)
    os.lseek(capture, 0, os.SEEK_SET)
    if others := _OF_DECODERS.sub(b"", said):  # another thread's
        os.write(2, others)
    return image, said


def _capture() -> int:
    """Opens a file of this process, for what is printed while it decodes."""
    process = os.getpid()
    if process not in _captures:
        _captures[process] = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - open for good
    return _captures[process].fileno()


def _damage(content: NDArray[np.uint8], said: bytes) -> str | None:
    """Says what is wrong with a file that was decoded."""
    found = _DAMAGE.search(said)
    if found is None and (content[:2].tobytes() != _START or content[-2:].tobytes() == _END):
        return None
    whole = content.tobytes()
    if found is None:  # zeros in place of the rest are decoded without a word
        return None if has_end(whole) else "its end is missing"
    end = whole.rfind(_END)
    if between := _BETWEEN.match(found[0]):
        count, marker = int(between[1]), int(between[2], 16)
        padding = marker == _END[1] and len(set(whole[max(0, end - count) : end])) == 1
        if padding or 0xE0 <= marker <= 0xEF or marker in (0xC0, 0xDB, 0xDD, 0xFE):  # ahead of the pixels
            return None
    return "its decoder met an error" if found[0].startswith(b"[") else found[0].decode("ascii", "replace")
