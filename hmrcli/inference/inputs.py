"""The inputs of a command line, made into files; and the names of what is written for them."""

import glob
import os
import re
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path

from hmrcli.errors import BadInput
from hmrcli.files import did_you_mean
from hmrcli.inference.formats import IMAGE_SUFFIXES, OTHER_PHOTOS, VIDEO_SUFFIXES

LONGEST_STEM = 230
"""Bytes of a file's name that leave room for `_overlay.png` in the 255 that file systems have."""


def expand_inputs(
    inputs: Iterable[str],
    recursive: bool = False,
    note: Callable[[str], None] = lambda text: None,
    leave_out: Path | None = None,
    refused: Callable[[str, BadInput], None] | None = None,
) -> list[Path]:
    """Finds the files of a command's inputs: files, folders, and patterns the shell left alone.

    A folder gives its images, a pattern the images it matches (`**` also searches the folders below), and where
    there are none, videos; in natural order (frame2 before frame10), hidden files and overlays of this program
    left out. Each file comes once, where it is first named.

    Args:
        inputs: as the user typed them.
        recursive: whether a folder also gives the images of the folders below it.
        note: is told of videos and folders that are not read.
        leave_out: a folder that is not searched on the way, that of the results.
        refused: is told of an input that does not exist, or holds neither image nor video; then the others go on.

    Raises:
        BadInput: there is such an input, and nobody to tell of it.
    """
    found: dict[str, Path] = {}
    for text in inputs:
        try:
            for path in _expand(text, recursive, note, leave_out):
                found.setdefault(os.path.realpath(path), path)  # a circle of links is no error here
        except BadInput as error:
            if refused is None:
                raise
            refused(text, error)
    return list(found.values())


def output_stems(paths: Iterable[Path], out: Path) -> Iterator[Path]:
    """Names folder and stem of each image's files; images of one name get a number, so that none replaces another's.

    Names that differ in nothing but large and small letters are one name to some file systems. Stems too long
    for `_overlay.png` are cut.
    """
    used: set[str] = set()
    for path in paths:
        stem, start, number = path.stem, os.fsencode(path.stem), 2
        if len(start) > LONGEST_STEM:
            stem = start[:LONGEST_STEM].decode(errors="ignore")
        first = stem
        while stem.casefold() in used:
            stem, number = f"{first}-{number}", number + 1
        used.add(stem.casefold())
        yield out / stem


def natural_order(path: Path) -> list[tuple[int, int, str]]:
    """Sorts numbers inside names by value; digits before letters, whatever the case."""
    parts = re.split(r"([0-9]+)", str(path).casefold())
    return [(0, int(part), part) if part.isdecimal() else (1, 0, part) for part in parts if part]


def _expand(text: str, recursive: bool, note: Callable[[str], None], leave_out: Path | None) -> list[Path]:
    if re.match(r"[A-Za-z][\w+.-]+://", text):
        advice = "download the image first (curl -LO ADDRESS), then give the file"
        raise BadInput(f"{text}: is an address; {advice}")
    if not text.strip():
        raise BadInput("an input is empty, expected an image, a folder of images or a pattern")
    path = Path(text).expanduser()
    if path.is_dir():
        return _of_folder(path, text, recursive, note, leave_out)
    if path.exists():
        return [path]
    if not glob.has_magic(text):
        hint = did_you_mean(path) or ", expected an image, a folder of images or a pattern"
        raise BadInput(f"{text}: no such file or folder{hint}")
    matching = [Path(name) for name in glob.iglob(str(path), recursive=True)]  # noqa: PTH207 (absolute ones too)
    found = _images(matching) or _videos(matching)
    if not found:
        raise BadInput(f"{text}: no image and no video matches this pattern")
    return found


def _of_folder(
    folder: Path, text: str, recursive: bool, note: Callable[[str], None], leave_out: Path | None
) -> list[Path]:
    files: list[Path] = []
    below = 0
    results = leave_out and os.path.realpath(leave_out)
    walk = os.walk(folder, onerror=lambda error: note(f"{error}, so it is not searched"))
    for parent, folders, names in walk if recursive else islice(walk, 1000):
        here = Path(parent)
        folders[:] = [f for f in folders if not f.startswith(".") and os.path.realpath(here / f) != results]
        if recursive or here == folder:
            files += [here / name for name in names]
        else:
            below += bool(_images(here / name for name in names))
    images, videos = _images(files), _videos(files)
    folders_below = f"{below} folder{'s' * (below > 1)} below it"
    unread = f"{folders_below} hold images that are not read; --recursive reads them"
    if not (images or videos):
        expected = unread if below else f"expected files ending in {', '.join(IMAGE_SUFFIXES)}"
        raise BadInput(f"{text}: no image and no video in this folder, {expected}")
    if images and videos:
        many = f"{len(videos)} video{'s' * (len(videos) > 1)}"
        note(f"{text}: its {many} are not read, only images; name them: {text}/*.mp4")
    if below:
        note(f"{text}: {unread}")
    return images or videos


def _images(paths: Iterable[Path]) -> list[Path]:
    """Picks the visible images, in natural order; other photos too, if they are there in no other kind."""
    visible = [
        path
        for path in _visible(paths, (*IMAGE_SUFFIXES, *OTHER_PHOTOS))
        if path.is_file() or (path.is_symlink() and not path.exists())  # a dead link is named
    ]
    readable = {path.with_suffix("") for path in visible if path.suffix.lower() in IMAGE_SUFFIXES}
    return [
        path
        for path in visible
        if path.suffix.lower() in IMAGE_SUFFIXES or path.with_suffix("") not in readable
    ]


def _videos(paths: Iterable[Path]) -> list[Path]:
    """Picks the visible videos, in natural order."""
    return [path for path in _visible(paths, VIDEO_SUFFIXES) if path.is_file()]


def _visible(paths: Iterable[Path], suffixes: tuple[str, ...]) -> list[Path]:
    """Picks what is neither hidden nor an overlay of this program, in natural order."""
    kind = [path for path in paths if path.suffix.lower() in suffixes and not path.name.startswith(".")]
    return sorted((path for path in kind if not _is_overlay(path)), key=natural_order)


def _is_overlay(path: Path) -> bool:
    """Tells a picture or video that `hmr infer` made, which lies beside its document."""
    stem = path.name.removesuffix("_overlay.png").removesuffix("_overlay.mp4")
    return stem != path.name and path.with_name(f"{stem}.json").is_file()
