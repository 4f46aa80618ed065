"""Zip and tar archives, read member by member: plain files only, below the target, never beyond a limit."""

import errno
import hashlib
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

from hmrcli.assets.npy import require_modest
from hmrcli.assets.reading import reason
from hmrcli.assets.refusal import NoSpace, Refused
from hmrcli.errors import HmrError

_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
_CHUNK = 1 << 20
_MOST_MEMBERS = 5_000_000
_Entry = tuple[str, bool, int, Callable[[], IO[bytes]]]


@dataclass(frozen=True)
class Member:
    """One plain file of an archive."""

    path: PurePosixPath
    size: int
    open: Callable[[], IO[bytes]]


def is_archive(path: Path) -> bool:
    """Whether a file's name says archive (npz and pth files are zip files inside, but not meant)."""
    return path.name.lower().endswith(_SUFFIXES)


@contextmanager
def open_archive(path: Path) -> Iterator[list[Member]]:
    """The plain files of a zip or tar archive; links, devices and the finder's own files are left aside.

    Raises:
        Refused: not an archive, a damaged one, or one with a member that points out of it.
    """
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                yield _members(_zip_members(archive))
        elif tarfile.is_tarfile(path):
            with tarfile.open(path) as archive:
                yield _members(_tar_members(archive))
        else:
            raise Refused("it is neither a zip nor a tar archive")
    except (Refused, NoSpace, HmrError):
        raise
    except OSError as error:
        if error.errno not in (
            None,
            errno.EINVAL,
        ):  # of the disk; a damaged archive seeks to nowhere, at most
            raise
        raise Refused(f"the archive is damaged ({error})") from error
    except Exception as error:  # tarfile, zipfile and what they unpack with fail in many ways
        raise Refused(f"the archive is damaged ({reason(error)})") from error


def _zip_members(archive: zipfile.ZipFile) -> Iterator[_Entry]:
    for info in archive.infolist():
        if not info.filename:
            raise Refused("the archive is damaged (a member has no name)")
        kind = stat.S_IFMT(info.external_attr >> 16)
        plain = not info.is_dir() and kind in (0, stat.S_IFREG)
        yield info.filename, plain, info.file_size, partial(_open_zip, archive, info)


def _open_zip(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> IO[bytes]:
    require_modest(info)
    return archive.open(info)


def _tar_members(archive: tarfile.TarFile) -> Iterator[_Entry]:
    for info in archive:
        if info.size < 0:
            raise Refused(f"the archive is damaged ({info.name!r} has a negative length)")
        yield info.name, info.isreg(), info.size, partial(_open_tar, archive, info)


def _open_tar(archive: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    file = archive.extractfile(info)
    assert file is not None  # only plain files are asked for
    return file


def _members(entries: Iterator[_Entry]) -> list[Member]:
    members: list[Member] = []
    for name, plain, size, opener in entries:
        path = PurePosixPath(name.replace("\\", "/"))
        if len(members) >= _MOST_MEMBERS:
            raise Refused(f"the archive lists more than {_MOST_MEMBERS} files")
        if path.is_absolute() or ".." in path.parts or ":" in name or "\0" in name:
            raise Refused(f"the archive's member {name!r} points out of it")
        if plain and "__MACOSX" not in path.parts and not path.name.startswith("._"):
            members.append(Member(path, size, opener))
    return members


def take_member(members: list[Member], pattern: str) -> Member:
    """The member of that very path, or the one whose path ends as `pattern` says (a glob, any case).

    Raises:
        Refused: there is none, or several.
    """
    found = [member for member in members if str(member.path) == pattern] or [
        member for member in members if PurePosixPath(str(member.path).lower()).match(pattern.lower())
    ]
    if len(found) != 1:
        raise Refused(f"the archive holds {len(found)} plain files named {pattern}, expected one")
    return found[0]


def extract(member: Member, target: Path, limit: int) -> tuple[str, int]:
    """Writes a member to `target`.

    Returns:
        SHA-256 and size in bytes.

    Raises:
        Refused: more than `limit` bytes come out.
    """
    digest, size = hashlib.sha256(), 0
    target.parent.mkdir(parents=True, exist_ok=True)
    with member.open() as source, target.open("wb") as file:
        while chunk := source.read(_CHUNK):
            size += len(chunk)
            if size > limit:
                raise Refused(f"the archive unpacks to more than its limit of {limit} bytes left")
            digest.update(chunk)
            file.write(chunk)
    return digest.hexdigest(), size


def extract_tree(members: list[Member], folder: Path, take: tuple[str, ...], limit: int) -> dict[str, str]:
    """Writes the members that fit a pattern below `folder`, without the leading folder they all share.

    Returns:
        SHA-256 of each file by its path below `folder`.

    Raises:
        Refused: no member fits, or more than `limit` bytes come out.
    """
    chosen = [m for m in members if any(PurePosixPath(str(m.path).lower()).match(p.lower()) for p in take)]
    if not chosen:
        raise Refused(f"the archive holds no {' or '.join(take)}")
    tops = {member.path.parts[0] if len(member.path.parts) > 1 else "" for member in chosen}
    skip = 1 if len(tops) == 1 and "" not in tops else 0
    digests = {}
    for member in chosen:
        relative = PurePosixPath(*member.path.parts[skip:])
        try:
            digest, size = extract(member, folder / relative, limit)
        except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
            raise Refused(f"the archive names {relative} both as a file and as a folder") from error
        limit -= size
        digests[str(relative)] = digest
    return digests
