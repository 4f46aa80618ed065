"""Brings files to their place: from their sources, or from a file the user fetched by hand.

A file takes its final name only after its hash and structure were checked: it is made in a folder of its own
beside the target (removed whatever happens, Ctrl-C included) and moved by one rename, so two processes may
fetch the same file at once. Where no full hash is published, that of the first good file is recorded beside
it (`NAME.sha256`, which `sha256sum -c` reads) and holds from then on.
"""

import errno
import logging
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from hmrcli.assets.archive import extract, extract_tree, is_archive, open_archive, take_member
from hmrcli.assets.content_checks import check_structure
from hmrcli.assets.download import Limits, Progress, Transfer, require_space
from hmrcli.assets.registry import Asset, Registry, Source
from hmrcli.errors import BadInput, MissingFile, Refused, UsageError
from hmrcli.files import open_file, sha256

_LARGEST_RECORD = 1 << 30
_FULL = (errno.ENOSPC, errno.EDQUOT)
_NOT_WRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST)


class Placed(NamedTuple):
    """A file in its place, and where it came from."""

    asset: Asset
    path: Path
    source: str


class _Found(NamedTuple):
    """A file that is an asset, or an archive that holds one."""

    asset: Asset
    file: Path
    member: str | None = None
    """Its name, where the file is an archive."""


def fetch(
    asset: Asset,
    registry: Registry,
    root: Path,
    *,
    shelf: Path | None = None,
    limits: Limits = Limits(),  # noqa: B008  (frozen)
    progress: Progress = lambda done, total: None,
    note: Callable[[str], None] = lambda text: None,
    options: str = "",
) -> Placed:
    """Fetches a file of a registry from the first of its sources that serves a good one.

    Args:
        shelf: folder that keeps archives, so that several files of one archive fetch it once.
        note: told why a source was passed over.
        options: further options of the command that a message ends with.

    Raises:
        MissingFile: no source serves it, or the disk is full; says what to do next.
    """
    if not asset.sources:
        raise MissingFile(registry.how_to_get(asset, "needs a registration of your own", options))
    target = asset.target(root)
    reasons = []
    for source in asset.sources:
        with _staging(asset, target, options) as stage:
            try:
                folder = shelf if shelf and source.member else stage
                file = _retrieve(source, registry.drive, folder, limits, progress)
                found = _Found(asset, file, source.member)
                return _settle(found, target, str(source), stage, _recorded(target))
            except Refused as error:
                reasons.append(f"{source}: {error}")
                note(f"{asset.name}: {reasons[-1]}")
    raise MissingFile(registry.how_to_get(asset, f"could not be fetched ({'; '.join(reasons)})", options))


def place(assets: list[Asset], offered: Path, root: Path, options: str = "") -> list[Placed]:
    """Places what the user fetched by hand: a file, or those of an archive or folder that bear known names.

    Args:
        assets: what the file may be; a single one is taken at its word, whatever the file's name.
        options: further options of the command that a message ends with.

    Raises:
        BadInput: the file is damaged, is another thing, or nothing in it bears a known name.
        MissingFile: the disk is full.
    """
    if offered.is_dir():
        paths = [path for path in sorted(offered.iterdir()) if path.is_file()]
        found = [_Found(asset, path) for path in paths for asset in assets if asset.fits_name(path.name)]
    else:
        open_file(offered).close()  # what is no file is refused before it can block, or go on for ever
        found = _in_file(assets, offered)
    if not found:
        names = ", ".join(asset.name for asset in assets[:4]) + (", …" if len(assets) > 4 else "")
        if offered.is_dir():
            why = f"no file in this folder bears the name of {names}; give the file itself"
            raise BadInput(f"{offered}: {why}")
        raise BadInput(
            f"{offered}: neither its name nor its content tells which file it is (looked for {names}). "
            f"Say which: hmr download NAME --from-file {offered}"
        )
    return [_place_one(each, root, options) for each in found]


def _in_file(assets: list[Asset], offered: Path) -> list[_Found]:
    """Finds which asset a file is, or which of its members are some if it is an archive."""
    fitting = assets if len(assets) == 1 else [asset for asset in assets if asset.fits_name(offered.name)]
    if fitting and (not is_archive(offered) or fitting[0].unpack):
        return [_Found(fitting[0], offered)]
    if not is_archive(offered):
        return []
    try:
        with open_archive(offered) as members:
            paths = [member.path for member in members]
    except Refused as error:
        raise BadInput(f"{offered}: {error}") from error
    return [
        _Found(asset, offered, str(path)) for path in paths for asset in assets if asset.fits_name(path.name)
    ]


def verify(asset: Asset, root: Path) -> str | None:
    """Says what is wrong with a file, by its published or recorded hash and its structure; None if nothing."""
    path = asset.present(root)
    if path is None:
        return "missing"
    try:
        if path.is_dir():
            for name, digest in _records(path).items():
                if not (path.parent / name).is_file():
                    raise Refused(f"{name} is missing")
                _require_digest(sha256(path.parent / name), digest, f"{name}, recorded when it was unpacked")
        else:
            _check_digest(asset, sha256(path), _recorded(path))
            check_structure(path, path.suffix, asset.check)
    except Refused as error:
        return str(error)
    return None


def known_sha256(asset: Asset, path: Path) -> str | None:
    """Returns the SHA-256 of a file as published or recorded; None for a folder or a file not placed by us."""
    return asset.sha256 if len(asset.sha256 or "") == 64 else _recorded(path)


def _retrieve(source: Source, drive_base: str, folder: Path, limits: Limits, progress: Progress) -> Path:
    """Fetches what a source serves into `folder`; an archive that is there already is not fetched again."""
    import pooch

    pooch.get_logger().setLevel(logging.WARNING)
    address = source.address(drive_base)
    name = pooch.utils.unique_file_name(address)[:120]
    transfer = Transfer(source.drive is not None, limits, progress)
    # Its hash is checked together with the structure in _settle, for files of the user's too.
    return Path(pooch.retrieve(address, known_hash=None, fname=name, path=folder, downloader=transfer))


def _settle(found: _Found, target: Path, source: str, stage: Path, recorded: str | None) -> Placed:
    """Checks a file, takes it out of its archive where it is in one, and moves it to its name."""
    asset, file, member = found
    if asset.unpack:
        return _settle_folder(found, target, source, stage)
    if member:
        with open_archive(file) as members:
            file = stage / "member"
            extract(take_member(members, member), file)
    digest = sha256(file)
    _check_digest(asset, digest, recorded)
    check_structure(file, target.suffix, asset.check)
    if len(asset.sha256 or "") < 64:
        _record(target, {target.name: digest}, stage)
    (stage / "mode").touch()  # the copy was made readable for its owner alone; a data root may be shared
    shutil.copymode(stage / "mode", file)
    file.replace(target)
    return Placed(asset, target, source)


def _settle_folder(found: _Found, target: Path, source: str, stage: Path) -> Placed:
    unpack, tree = found.asset.unpack, stage / "tree"
    assert unpack
    _check_digest(found.asset, sha256(found.file), None)
    limit = int(unpack.limit_gb * 1e9)
    with open_archive(found.file) as members:
        require_space(stage, min(limit, sum(member.size for member in members)))
        digests = extract_tree(members, tree, unpack.take, limit)
    _record(target, {f"{target.name}/{name}": digest for name, digest in digests.items()}, stage)
    try:
        tree.replace(target)
    except OSError:
        if not target.is_dir():  # otherwise another process has unpacked it meanwhile
            raise
    return Placed(found.asset, target, source)


def _place_one(found: _Found, root: Path, options: str) -> Placed:
    asset, offered, member = found
    target = asset.target(root, PurePosixPath(member or offered.name).suffix.lower())
    if asset.unpack and target.exists():
        raise BadInput(f"{target}: is there already; remove it to unpack {offered.name} anew")
    with _staging(asset, target, options) as stage:
        try:
            if not member and not asset.unpack:
                require_space(stage, offered.stat().st_size)
                found = _Found(asset, Path(shutil.copyfile(offered, stage / "copy")))
            return _settle(found, target, str(offered), stage, None)
        except Refused as error:
            where = f"{offered} ({member})" if member else offered
            why = f"this is not {asset.name}: {error}. It should be {asset.about}"
            raise BadInput(f"{where}: {why}") from error


@contextmanager
def _staging(asset: Asset, target: Path, options: str) -> Iterator[Path]:
    """Makes a folder of this process's own beside the target: same disk, so that a rename moves a file at once.

    Raises:
        MissingFile: the disk is full.
        UsageError: the folder cannot be written in.
    """
    folder = target.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".hmr-", ignore_cleanup_errors=True) as stage:
            yield Path(stage)
    except OSError as error:
        if error.errno in _FULL:
            needs = str(error.strerror).startswith("needs ")  # told by `require_space`
            why = error.strerror if needs else f"does not fit: the disk of {folder} is full"
            step = f"name another disk with --data-root, then run: hmr download {asset.name}{options}"
            raise MissingFile(f"{asset.name} {why}. Free some, or {step}") from error
        if error.errno in _NOT_WRITABLE:
            advice = "name another folder with --data-root or HMR_DATA"
            raise UsageError(f"{folder}: cannot be written; {advice}") from error
        raise


def _check_digest(asset: Asset, digest: str, recorded: str | None) -> None:
    if asset.sha256:
        _require_digest(digest, asset.sha256, "as published")
    if recorded:
        whose = "recorded when it was first fetched (delete the .sha256 file to accept it)"
        _require_digest(digest, recorded, whose)


def _require_digest(digest: str, expected: str, whose: str) -> None:
    if not digest.startswith(expected):
        raise Refused(f"its SHA-256 is {digest[:16]}…, expected {expected[:16]}… {whose}")


def _record_path(target: Path) -> Path:
    return target.with_name(target.name + ".sha256")


def _record(target: Path, digests: dict[str, str], stage: Path) -> None:
    """Writes the record before the file itself, so that no file is ever there without it."""
    lines = "".join(f"{digest}  {name}\n" for name, digest in digests.items())
    (stage / "record").write_text(lines, encoding="utf-8", newline="\n")
    (stage / "record").replace(_record_path(target))


def _records(target: Path) -> dict[str, str]:
    """Reads recorded digests by file name; empty where nothing was recorded."""
    try:
        with open_file(_record_path(target)) as file:
            lines = file.read(_LARGEST_RECORD).decode("utf-8", "replace").splitlines()
    except (MissingFile, BadInput):
        return {}
    return {name: digest for digest, _, name in (line.partition("  ") for line in lines)}


def _recorded(target: Path) -> str | None:
    return _records(target).get(target.name)
