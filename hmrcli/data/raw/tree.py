"""Official download of a data set: what is known about it, its files on the disk, and archives still packed."""

import json
import os
import re
import shutil
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

from hmrcli.assets.archive import Member, is_archive, open_archive
from hmrcli.errors import BadInput, MissingFile, Refused
from hmrcli.files import whole_file, write_whole

if TYPE_CHECKING:
    from hmrcli.data.raw.output import Output

Progress = Callable[[str, int, int], None]

_CHUNK = 1 << 22
_ROOM = 1 << 30
"""Bytes of the disk that unpacking and frames leave free."""
_NOTE = ".download"
"""File beside a set's images that says where its download lies, if it is elsewhere."""


class Archive(NamedTuple):
    """A file that the official page offers."""

    pattern: str
    """Glob of its path below the folder of the downloads."""
    about: str
    gigabytes: float | None = None
    """Of the download, where that is known."""


class Product(NamedTuple):
    """An annotation file that is made of a set."""

    file: str
    """Below `preprocessed_datasets/`."""
    about: str
    rows: int | None = None
    """That the published file has, where that is known."""
    images: str = ""
    """Folder of its images below `datasets/`; by default the set's name."""


def training_and_spin(file: str, rows: int | None = None) -> tuple[Product, Product]:
    """Returns a training file and its twin in SPIN's manner."""
    about = "training, as SPIN has it but without OpenPose's joints"
    return Product(file, "training", rows), Product(f"spin_{file}", about, rows)


@dataclass(frozen=True)
class RawSet:
    """A data set as its owners give it out."""

    name: str
    """On the command line, and of its folder below `datasets/`: there the official tree and the images lie."""
    title: str
    products: tuple[Product, ...]
    make: Callable[["Tree", "Output"], None]
    """Writes the products. Raises MissingFile where the tree lacks what it needs."""
    page: str = ""
    archives: tuple[Archive, ...] = ()
    tree: tuple[str, ...] = ()
    """Paths of the unpacked tree, an example of each kind."""
    packages: tuple[str, ...] = ()
    """Modules of the optional extra `raw` that it imports."""
    has_images: bool = True

    def images_of(self, file: str) -> str:
        """Returns the folder of a product's images below `datasets/`."""
        return next((p.images for p in self.products if p.file == file), "") or self.name


def remember_download(images: Path, folder: Path) -> None:
    """Notes beside a set's images where its download lies: for the next time, and for sets that share its images."""
    if folder.resolve() != images.resolve():
        write_whole(images / _NOTE, str(folder.resolve()))


def download_folders(images: Path) -> list[Path]:
    """Lists where the download of a set may lie: with its images, and where it was the last time."""
    note = images / _NOTE
    last = [Path(note.read_text(encoding="utf-8"))] if note.is_file() else []
    return [images, *(folder for folder in last if folder.is_dir())]


class Tree:
    """Files below some folders, by the ends of their paths. What is in an earlier folder hides a later one's."""

    def __init__(self, raw_set: RawSet, *folders: Path) -> None:
        self.raw_set = raw_set
        self.folders = tuple(dict.fromkeys(folders))

    @cached_property
    def _files(self) -> dict[str, Path]:
        """Lists paths of all files by what they are below their folder, sorted."""
        found: dict[str, Path] = {}
        for folder in reversed(self.folders):
            for where, folders, names in os.walk(folder, followlinks=True):
                folders[:] = [name for name in folders if not name.startswith(".")]
                prefix = Path(where).relative_to(folder).as_posix()
                for name in names:
                    found[name if prefix == "." else f"{prefix}/{name}"] = Path(where, name)
        return dict(sorted(found.items()))

    @cached_property
    def _by_name(self) -> dict[str, list[str]]:
        names = defaultdict(list)
        for path in self._files:
            names[path.rpartition("/")[2]].append(path)
        return names

    def find(self, *patterns: str) -> list[Path]:
        """Lists files whose path ends as the first pattern says that any fits, in the order of their paths.

        Args:
            patterns: globs for any case, in which `*` and `?` stand for characters of one name.
        """
        for pattern in patterns:
            glob = re.escape(pattern).replace(r"\*", "[^/]*").replace(r"\?", "[^/]")
            wanted = re.compile(rf"(?:.*/)?{glob}", re.IGNORECASE)
            if found := [file for path, file in self._files.items() if wanted.fullmatch(path)]:
                return found
        return []

    def need(self, *patterns: str) -> list[Path]:
        """Lists files as `find` does.

        Raises:
            MissingFile: there are none; names the archives, the page and the next command.
        """
        if found := self.find(*patterns):
            return found
        raise self.missing(f"no file {' or '.join(patterns)}")

    def missing(self, what: str) -> MissingFile:
        """Makes an error about what the tree lacks, with the way to get it."""
        own = self.raw_set
        archives = ", ".join(archive.pattern for archive in own.archives)
        return MissingFile(
            f"{own.title}: {self.folders[0]} has {what}. Get {archives} at {own.page}, put them there, packed or "
            f"unpacked (for example {own.tree[0]}), then run: hmr data make {own.name} --raw {self.folders[0]}"
        )

    def at(self, path: str) -> Path | None:
        """Finds the file of a path below a folder, or else the only one whose path ends in it, its first folder left
        out if need be."""
        for folder in self.folders:
            if (folder / path).is_file():
                return folder / path
        parts = PurePosixPath(path).parts
        for end in ("/".join(parts), "/".join(parts[1:])):
            found = [p for p in self._by_name.get(parts[-1], ()) if end and f"/{p}".endswith(f"/{end}")]
            if len(found) == 1:
                return self._files[found[0]]
        return None

    def unpack(self, target: Path, progress: Progress) -> None:
        """Unpacks the archives of the set to `target`, which is one of the folders, each once.

        Members that are there with their size are left alone, so that it goes on where it stopped. An archive in a
        subfolder is unpacked to the same subfolder.

        Args:
            progress: is told the archive, bytes done and bytes in all.

        Raises:
            BadInput: an archive is damaged or unsafe, or the disk is too small.
        """
        for folder, wanted in product(self.folders, self.raw_set.archives):
            for archive in filter(is_archive, sorted(folder.glob(wanted.pattern))):
                below = archive.relative_to(folder)
                mark = target / ".unpacked" / f"{below.as_posix().replace('/', '_')}.json"
                state = [archive.stat().st_size, archive.stat().st_mtime_ns]
                if not archive.is_file() or (mark.is_file() and json.loads(mark.read_text()) == state):
                    continue
                try:
                    with open_archive(archive) as members:
                        _extract(archive, members, target / below.parent, progress)
                except Refused as error:
                    raise BadInput(
                        f"{archive}: {error}; download it again from {self.raw_set.page}"
                    ) from None
                write_whole(mark, json.dumps(state))
                self.__dict__.pop("_files", None)
                self.__dict__.pop("_by_name", None)


def require_space(folder: Path, needed: int, what: str) -> None:
    """Raises BadInput where the disk of a folder cannot take so many bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if needed + _ROOM > free:
        raise BadInput(
            f"{folder}: {what} needs {needed / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free; free some, or name "
            "another place with --data-root"
        )


def _extract(archive: Path, members: list[Member], target: Path, progress: Progress) -> None:
    todo = [m for m in members if not _there(target / m.path, m.size)]
    total = sum(member.size for member in members)
    require_space(target, sum(member.size for member in todo), f"unpacking {archive}")
    done = total - sum(member.size for member in todo)
    for member in todo:
        source = member.open()
        if source is None:  # no plain file after all
            continue
        with whole_file(target / member.path) as temporary, source, temporary.open("wb") as file:
            while chunk := source.read(_CHUNK):
                file.write(chunk)
                done += len(chunk)
                progress(f"unpacking {archive.name}", done, total)


def _there(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size
