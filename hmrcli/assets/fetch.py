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
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from hmrcli.assets.archive import extract, extract_tree, is_archive, open_archive, take_member
from hmrcli.assets.reading import open_file
from hmrcli.assets.refusal import NoSpace, Refused
from hmrcli.assets.registry import Asset, Registry, Source
from hmrcli.assets.structure import check_structure
from hmrcli.assets.transfer import Limits, Progress, Transfer, require_space
from hmrcli.errors import BadInput, MissingFile, UsageError

_MEMBER_LIMIT = 8 << 30
_LARGEST_RECORD = 1 << 30


@dataclass(frozen=True)
class Placed:
    """A file in its place, and where it came from."""

    asset: Asset
    path: Path
    source: str


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
    """Fetches a file from the first of its sources that serves a good one.

    Args:
        asset: the file.
        registry: where it is from; gives Drive's address and the licences.
        root: the data root.
        shelf: folder that keeps archives, so that several files of one archive fetch it once.
        limits: patience with the servers.
        progress: called as bytes arrive.
        note: told why a source was passed over.
        options: further options of the command that a message ends with.

    Raises:
        MissingFile: no source serves it, or the disk is full; says what to do next.
    """
    if not asset.sources:
        raise MissingFile(registry.how_to_get(asset, "needs a registration of your own", options))
    target = asset.target(root)
    reasons = []
    with _placing(asset, target, options):
        for source in asset.sources:
            with _staging(target.parent) as stage:
                try:
                    folder = shelf if shelf and source.member else stage
                    served = _retrieve(source, registry.drive, folder, limits, progress)
                    return _settle(
                        asset, served, target, stage, str(source), source.member, _recorded(target)
                    )
                except Refused as error:
                    reasons.append(f"{source}: {error}")
                    note(f"{asset.name}: {reasons[-1]}")
    raise MissingFile(registry.how_to_get(asset, f"could not be fetched ({'; '.join(reasons)})", options))


def place(assets: list[Asset], offered: Path, root: Path, options: str = "") -> list[Placed]:
    """Places what the user fetched by hand: a file, or those of an archive or folder that bear known names.

    Args:
        assets: what the file may be; a single one is taken at its word, whatever the file's name.
        offered: a file, archive or folder.
        root: the data root.
        options: further options of the command that a message ends with.

    Raises:
        BadInput: the file is damaged, is another thing, or nothing in it bears a known name.
        MissingFile: the disk is full.
    """
    if offered.is_dir():
        found = [
            (asset, path)
            for path in sorted(offered.iterdir())
            for asset in assets
            if path.is_file() and asset.fits_name(path.name)
        ]
        if not found:
            raise _nothing_known(assets, offered)
        return [_place_one(asset, path, None, root, options) for asset, path in found]
    open_file(offered).close()  # what is no file is refused before it can block, or go on for ever
    fitting = assets if len(assets) == 1 else [asset for asset in assets if asset.fits_name(offered.name)]
    if fitting and (not is_archive(offered) or fitting[0].unpack):
        return [_place_one(fitting[0], offered, None, root, options)]
    if not is_archive(offered):
        raise _nothing_known(assets, offered)
    try:
        with open_archive(offered) as members:
            names = [
                (asset, str(member.path))
                for member in members
                for asset in assets
                if asset.fits_name(member.path.name)
            ]
    except Refused as error:
        raise BadInput(f"{offered}: {error}") from error
    if not names:
        raise _nothing_known(assets, offered)
    return [_place_one(asset, offered, name, root, options) for asset, name in names]


def verify(asset: Asset, root: Path) -> str | None:
    """Checks a present file against its published or recorded hash, and its structure.

    Returns:
        What is wrong with it, None if nothing.
    """
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
    """SHA-256 of a file in place, as published or recorded; None for a folder or a file not placed by us."""
    return asset.sha256 if len(asset.sha256 or "") == 64 else _recorded(path)


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal digits."""
    import pooch

    return pooch.file_hash(str(path), alg="sha256")


def _retrieve(source: Source, drive_base: str, folder: Path, limits: Limits, progress: Progress) -> Path:
    """What a source serves, in `folder`; an archive that is there already is not fetched again."""
    import pooch

    pooch.get_logger().setLevel(logging.WARNING)
    address = source.address(drive_base)
    return Path(
        pooch.retrieve(
            address,
            known_hash=None,  # checked together with the structure in _settle, for files of the user's too
            fname=pooch.utils.unique_file_name(address)[:120],
            path=folder,
            downloader=Transfer(source.drive is not None, limits, progress),
        )
    )


def _settle(
    asset: Asset,
    served: Path,
    target: Path,
    stage: Path,
    source: str,
    member: str | None,
    recorded: str | None,
) -> Placed:
    """Checks a file, takes it out of its archive where it is in one, and moves it to its name."""
    if asset.unpack:
        return _settle_folder(asset, served, target, stage, source)
    if member:
        with open_archive(served) as members:
            served = stage / "member"
            extract(take_member(members, member), served, _MEMBER_LIMIT)
    digest = sha256(served)
    _check_digest(asset, digest, recorded)
    check_structure(served, target.suffix, asset.check)
    if len(asset.sha256 or "") < 64:
        _record(target, {target.name: digest}, stage)
    (stage / "mode").touch()  # the copy was made readable for its owner alone; a data root may be shared
    shutil.copymode(stage / "mode", served)
    served.replace(target)
    return Placed(asset, target, source)


def _settle_folder(asset: Asset, served: Path, target: Path, stage: Path, source: str) -> Placed:
    assert asset.unpack
    _check_digest(asset, sha256(served), None)
    tree, limit = stage / "tree", int(asset.unpack.limit_gb * 1e9)
    with open_archive(served) as members:
        require_space(stage, min(limit, sum(member.size for member in members)))
        digests = extract_tree(members, tree, asset.unpack.take, limit)
    _record(target, {f"{target.name}/{name}": digest for name, digest in digests.items()}, stage)
    try:
        tree.replace(target)
    except OSError:
        if not target.is_dir():  # otherwise another process has unpacked it meanwhile
            raise
    return Placed(asset, target, source)


def _place_one(asset: Asset, offered: Path, member: str | None, root: Path, options: str) -> Placed:
    name = PurePosixPath(member) if member else offered
    target = asset.target(root, name.suffix.lower())
    if asset.unpack and target.exists():
        raise BadInput(f"{target}: is there already; remove it to unpack {offered.name} anew")
    with _placing(asset, target, options), _staging(target.parent) as stage:
        try:
            served = offered
            if not member and not asset.unpack:
                require_space(stage, offered.stat().st_size)
                served = Path(shutil.copyfile(offered, stage / "copy"))
            return _settle(asset, served, target, stage, str(offered), member, None)
        except Refused as error:
            inside = f" ({member})" if member else ""
            raise BadInput(
                f"{offered}{inside}: this is not {asset.name}: {error}. It should be {asset.about}"
            ) from error


def _nothing_known(assets: list[Asset], offered: Path) -> BadInput:
    names = ", ".join(asset.name for asset in assets[:4]) + (", …" if len(assets) > 4 else "")
    return BadInput(
        f"{offered}: neither its name nor its content tells which file it is (looked for {names}). "
        f"Say which: hmr download NAME --from-file {offered}"
    )


@contextmanager
def _placing(asset: Asset, target: Path, options: str) -> Iterator[None]:
    """Makes the target's folder, and says in one line that it cannot be written or that the disk is full."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield
    except NoSpace as error:
        raise MissingFile(_full(asset, str(error), options)) from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise MissingFile(
                _full(asset, f"does not fit: the disk of {target.parent} is full", options)
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST):
            raise UsageError(
                f"{target.parent}: cannot be written; name another folder with --data-root or HMR_DATA"
            ) from error
        raise


def _full(asset: Asset, why: str, options: str) -> str:
    command = f"hmr download {asset.name}{options}"
    return f"{asset.name} {why}. Free some, or name another disk with --data-root, then run: {command}"


@contextmanager
def _staging(folder: Path) -> Iterator[Path]:
    """A folder of this process's own beside the target: same disk, so that a rename moves a file at once."""
    with tempfile.TemporaryDirectory(dir=folder, prefix=".hmr-", ignore_cleanup_errors=True) as stage:
        yield Path(stage)


def _check_digest(asset: Asset, digest: str, recorded: str | None) -> None:
    if asset.sha256:
        _require_digest(digest, asset.sha256, "as published")
    if recorded:
        _require_digest(
            digest, recorded, "recorded when it was first fetched (delete the .sha256 file to accept it)"
        )


def _require_digest(digest: str, expected: str, whose: str) -> None:
    if not digest.startswith(expected):
        raise Refused(f"its SHA-256 is {digest[:16]}…, expected {expected[:16]}… {whose}")


def _record_path(target: Path) -> Path:
    return target.with_name(target.name + ".sha256")


def _record(target: Path, digests: dict[str, str], stage: Path) -> None:
    """Written before the file itself, so that no file is ever there without its record."""
    lines = "".join(f"{digest}  {name}\n" for name, digest in digests.items())
    (stage / "record").write_text(lines, encoding="utf-8", newline="\n")
    (stage / "record").replace(_record_path(target))


def _records(target: Path) -> dict[str, str]:
    """Recorded digests by file name; empty where nothing was recorded."""
    try:
        with open_file(_record_path(target)) as file:
            lines = file.read(_LARGEST_RECORD).decode("utf-8", "replace").splitlines()
    except (MissingFile, BadInput):
        return {}
    return {name: digest for digest, _, name in (line.partition("  ") for line in lines)}


def _recorded(target: Path) -> str | None:
    return _records(target).get(target.name)
