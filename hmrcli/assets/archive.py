"""Zip and tar archives, read member by member: plain files only, below the target, never beyond a limit."""

import errno
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from hmrcli.assets.npy import require_modest
from hmrcli.errors import HmrError, Refused
from hmrcli.files import reason, sha256

_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
_CHUNK = 1 << 20
_MOST_MEMBERS = 5_000_000
_OF_DAMAGE = (None, errno.EINVAL)
"""Errors of the system that an archive causes, which seeks to nowhere at most; others are the disk's."""


class Member(NamedTuple):
    """One plain file of an archive; its reader gives no more bytes than `size`."""

    path: PurePosixPath
    size: int
    open: Callable[[], IO[bytes] | None]


def is_archive(path: Path) -> bool:
    """Tells by a file's name whether it is an archive (npz and pth files are zip files inside, but not meant)."""
    return path.name.lower().endswith(_SUFFIXES)


@contextmanager
def open_archive(path: Path) -> Iterator[list[Member]]:
    """Lists the plain files of a zip or tar archive; links, devices and the finder's own files are left aside.

    Raises:
        Refused: not an archive, a damaged one, or one with a member that points out of it.
    """
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                yield _checked(_zip_members(archive))
        elif tarfile.is_tarfile(path):
            with tarfile.open(path) as archive:
                yield _checked(_tar_members(archive))
        else:
            raise Refused("it is neither a zip nor a tar archive")
    except (Refused, HmrError):
        raise
    except Exception as error:  # tarfile, zipfile and what they unpack with fail in many ways
        if isinstance(error, OSError) and error.errno not in _OF_DAMAGE:
            raise
        raise Refused(f"the archive is damaged ({reason(error)})") from error


def _zip_members(archive: zipfile.ZipFile) -> Iterator[tuple[str, Member | None]]:
    for info in archive.infolist():
        if not info.filename:
            raise Refused("the archive is damaged (a member has no name)")
        plain = not info.is_dir() and stat.S_IFMT(info.external_attr >> 16) in (0, stat.S_IFREG)
        path = PurePosixPath(info.filename.replace("\\", "/"))
        member = Member(path, info.file_size, partial(_open_zip, archive, info))
        yield info.filename, member if plain else None


def _open_zip(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> IO[bytes]:
    require_modest(info)
    return archive.open(info)


def _tar_members(archive: tarfile.TarFile) -> Iterator[tuple[str, Member | None]]:
    for info in archive:
        if info.size < 0:
            raise Refused(f"the archive is damaged ({info.name!r} has a negative length)")
        path = PurePosixPath(info.name.replace("\\", "/"))
        member = Member(path, info.size, partial(archive.extractfile, info))
        yield info.name, member if info.isreg() else None


def _checked(found: Iterator[tuple[str, Member | None]]) -> list[Member]:
    """Collects members, after a look at the names of all that the archive lists."""
    members: list[Member] = []
    for name, member in found:
        path = PurePosixPath(name.replace("\\", "/"))
        if len(members) >= _MOST_MEMBERS:
            raise Refused(f"the archive lists more than {_MOST_MEMBERS} files")
        if path.is_absolute() or ".." in path.parts or ":" in name or "\0" in name:
            raise Refused(f"the archive's member {name!r} points out of it")
        if member and "__MACOSX" not in path.parts and not path.name.startswith("._"):
            members.append(member)
    return members


def _fits(member: Member, pattern: str) -> bool:
    return PurePosixPath(str(member.path).lower()).match(pattern.lower())


def take_member(members: list[Member], pattern: str) -> Member:
    """Finds the member of that very path, or the one whose path ends as `pattern` says (a glob, any case).

    Raises:
        Refused: there is none, or several.
    """
    found = [member for member in members if str(member.path) == pattern]
    found = found or [member for member in members if _fits(member, pattern)]
    if len(found) != 1:
        raise Refused(f"the archive holds {len(found)} plain files named {pattern}, expected one")
    return found[0]


def extract(member: Member, target: Path) -> None:
    """Writes a member to `target`."""
    target.parent.mkdir(parents=True, exist_ok=True)
    source = member.open()
    assert source is not None  # a plain file has content
    with source, target.open("wb") as file:
        shutil.copyfileobj(source, file, _CHUNK)


def extract_tree(members: list[Member], folder: Path, take: tuple[str, ...], limit: int) -> dict[str, str]:
    """Writes the members that fit a pattern below `folder`, without the leading folder they all share.

    Returns:
        SHA-256 of each file by its path below `folder`.

    Raises:
        Refused: no member fits, or they are larger than `limit` bytes together.
    """
    chosen = [member for member in members if any(_fits(member, pattern) for pattern in take)]
    if not chosen:
        raise Refused(f"the archive holds no {' or '.join(take)}")
    if sum(member.size for member in chosen) > limit:
        raise Refused(f"the archive unpacks to more than its limit of {limit} bytes")
    tops = {member.path.parts[0] if len(member.path.parts) > 1 else "" for member in chosen}
    skip = 1 if len(tops) == 1 and "" not in tops else 0
    digests = {}
    for member in chosen:
        relative = PurePosixPath(*member.path.parts[skip:])
        try:
            extract(member, folder / relative)
            digests[str(relative)] = sha256(folder / relative)
        except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
            raise Refused(f"the archive names {relative} both as a file and as a folder") from error
    return digests
