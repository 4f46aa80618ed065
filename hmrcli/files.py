"""Files: opened with care where they come from elsewhere, written whole or not at all, and what ails bad ones.

A damaged or hostile file can make the libraries beneath fail with almost any exception; here each becomes one.
"""

import difflib
import errno
import hashlib
import os
import stat
import sys
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader
from itertools import islice
from pathlib import Path, PurePath
from tempfile import NamedTemporaryFile, gettempdir
from typing import TYPE_CHECKING, Any, TypeVar

from hmrcli.errors import BadInput, HmrError, MissingFile, UsageError

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError

Model = TypeVar("Model", bound="BaseModel")

_LONGEST_REASON = 300
_LARGEST_RECORD = 1 << 24
"""Bytes of JSON."""
_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}

_ADVICE = {
    "ENOSPC": "no space left on the disk; free some, or name another place",
    "EDQUOT": "the quota of disk space is used up; free some, or name another place",
    "EFBIG": "the file is too large for its file system; name another place",
    "EROFS": "the file system is read-only; name another place",
    "EACCES": "permission denied; change its permissions, or name another place",
    "EPERM": "operation not permitted; change its permissions, or name another place",
    "ENAMETOOLONG": "the name is too long for the file system; use a shorter one",
    "ENOTDIR": "a file stands where a folder is expected; name another place",
    "EEXIST": "a file stands where a folder is expected; name another place",
    "EISDIR": "a folder stands where a file is expected; name another place",
    "ELOOP": "its links lead in a circle; correct them, or name another place",
    "EMFILE": "too many files are open; raise the limit with `ulimit -n 4096`",
    "ENFILE": "too many files are open on this machine; close some programs",
    "EIO": "the disk reports an error; check it, or name another place",
}
_BY_NUMBER = {getattr(errno, name): text for name, text in _ADVICE.items() if hasattr(errno, name)}


def open_file(path: Path) -> BufferedReader:
    """Opens a plain file for reading; folders, pipes and devices are refused before they can block.

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


def read_record(path: Path, model: type[Model], advice: str) -> Model:
    """Reads a JSON file that holds a record; `advice` ends errors with the next command.

    Raises:
        MissingFile: there is no such file.
        BadInput: it holds anything else; names the field.
    """
    from pydantic import ValidationError

    with open_file(path) as stream:
        text = stream.read(_LARGEST_RECORD + 1)
    if len(text) > _LARGEST_RECORD:
        raise BadInput(f"{path}: is too large to be what it is named; {advice}")
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        raise BadInput(f"{path}: {wrong_field(error)}; {advice}") from error


def wrong_field(error: "ValidationError") -> str:
    """Says which field is the first wrong one, and what was expected of it."""
    first = error.errors(include_url=False, include_input=False)[0]
    field = ".".join(map(str, first["loc"]))
    message = "is missing" if first["type"] == "missing" else first["msg"]
    message = message.replace("Input should be", "expected").replace("Value error, ", "")
    message = message.replace("Invalid JSON:", "is no JSON:")
    return f"`{field}`: {message}" if field else message


def plain_yaml(text: str | bytes) -> Any:
    """Reads YAML that is data alone, by libyaml where it is there, which is ten times as fast."""
    import yaml

    return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def sha256(path: Path) -> str:
    """Returns the SHA-256 of a file in hexadecimal digits; OSError where it cannot be read."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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
    """Puts an exception in one line."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    text = (f"it has no {error}" if isinstance(error, KeyError) else str(error))[:_LONGEST_REASON]
    return (text.splitlines() or [type(error).__name__])[0] or type(error).__name__


def advice(error: OSError) -> str | None:
    """Says what a user can do about an error of the file system; None for those that are no user's doing."""
    text = _BY_NUMBER.get(error.errno or 0)
    return text and f"{error.filename}: {text}" if error.filename else text


def near(word: str, known: Iterable[str], most: int = 1) -> str:
    """Returns `; did you mean X?` where a known word, or some, are much like this one, else nothing."""
    alike = difflib.get_close_matches(word, list(known), n=most)
    return f"; did you mean {', '.join(alike)}?" if alike else ""


def did_you_mean(path: str | Path) -> str:
    """Returns `; did you mean X?` where a name much like the absent one is in its folder, else nothing."""
    path = Path(path)
    try:
        names = {entry.name.casefold(): entry.name for entry in islice(os.scandir(path.parent), 10_000)}
    except OSError:
        return did_you_mean(path.parent) if path.parent.name else ""
    wanted = path.name.casefold()
    for name in difflib.get_close_matches(wanted, names, n=3):
        alike = difflib.SequenceMatcher(None, PurePath(name).stem, PurePath(wanted).stem).ratio()
        if alike >= 0.6 and names[name] != path.name:  # an equal suffix alone is not near
            return f"; did you mean {path.with_name(names[name])}?"
    return ""


def writable_folder(path: Path, option: str = "--out") -> Path:
    """Makes a folder and tries to write in it, before the work whose results go there.

    Raises:
        UsageError: it cannot be made or written in; says why in one line.
        BadInput: the disk is full.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=path, prefix=".") as trial:
            trial.write(bytes(4096))
            trial.flush()
    except OSError as error:
        full = error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))
        kind: type[HmrError] = BadInput if full else UsageError
        why = _BY_NUMBER.get(error.errno or 0, f"{error.strerror}; name another folder")
        stands = Path(error.filename or path)
        if error.errno == errno.EEXIST and stands.is_symlink():
            why = f"{stands} is a link to {stands.readlink()}, which is not there; make that folder first"
        raise kind(f"{option}: cannot write in {path}: {why}") from None
    return path


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """Gives a temporary name beside `path` to write to; it takes the final name only when the block ends well.

    The folder is made. Whatever had the name before is replaced in one move; a block that fails leaves it alone
    and no temporary file behind. The suffix stays, for writers that go by it.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{uuid.uuid4().hex}{path.suffix}")
    try:
        yield temporary
        temporary.replace(path)
    except OSError as error:
        if error.errno and error.filename in (None, str(temporary)):  # a write that fails names no file
            error.filename, error.filename2 = str(path), None
        raise
    finally:
        temporary.unlink(missing_ok=True)


def write_whole(path: str | Path, text: str) -> None:
    """Writes a text file, in UTF-8 with the line ends of Unix everywhere, that is whole or absent."""
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Waits until no other process is in such a block for the same folder, which exists.

    The system gives the lock back when a process dies. Without effect on network drives that know no locks.
    """
    if sys.platform == "win32":  # where folders cannot be locked: a file of one's name does for each
        import msvcrt

        name = hashlib.sha256(os.fsencode(os.path.realpath(folder).casefold())).hexdigest()
        handle = os.open(Path(gettempdir()) / f"hmr-{name}.lock", os.O_RDWR | os.O_CREAT)
        while True:
            try:
                msvcrt.locking(handle, msvcrt.LK_LOCK, 1)
                break
            except OSError as error:
                if error.errno != errno.EDEADLK:  # it gives up after ten seconds
                    raise
    else:
        import fcntl

        handle = os.open(folder, os.O_RDONLY)
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        yield
    finally:
        if sys.platform == "win32":
            msvcrt.locking(handle, msvcrt.LK_UNLCK, 1)
        os.close(handle)
