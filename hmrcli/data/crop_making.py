"""Makes a cache of crops: in parts, by several processes; what is there already and still right is kept."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hmrcli.data.crop_cache import (
    ABOUT_FILE,
    INDEX,
    PART_ROWS,
    QUALITY,
    About,
    CacheSettings,
    cut,
    cut_from,
    encode,
    image_state,
    part_files,
    read_index,
)
from hmrcli.data.images import read_bgr
from hmrcli.data.sets import ImageSet
from hmrcli.data.workers import in_processes
from hmrcli.errors import BadInput
from hmrcli.files import alone_in, sha256, whole_file, write_whole

_PLANNED = "making.json"
"""Says what a cache that is not whole yet is made from."""


class Made(NamedTuple):
    """What became of a cache."""

    rows: int
    cut: int
    """Rows that were not there, or of images that have changed."""
    bytes: int


@dataclass(frozen=True)
class _Part:
    """Rows of a set that become one part."""

    folder: Path
    number: int
    images: tuple[Path, ...]
    boxes: NDArray[np.float32]
    settings: CacheSettings


def make_cache(
    images: ImageSet,
    annotations: Path,
    settings: CacheSettings,
    folder: Path,
    workers: int = 1,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Made:
    """Makes the cache of a set, or brings one up to date; a run that was stopped goes on where it was.

    Args:
        annotations: the file that the set's rows are of.
        progress: is told rows done, and of how many.

    Raises:
        BadInput: an image cannot be read; the message names it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with alone_in(folder):
        for unfinished in folder.glob(f".{'[0-9a-f]' * 32}*"):  # of a process that was killed
            unfinished.unlink()
        rows = len(images)
        about = About(
            annotations=annotations.name,
            annotations_bytes=annotations.stat().st_size,
            annotations_sha256=sha256(annotations),
            rows=rows,
            **settings._asdict(),
            quality=QUALITY,
        ).model_dump_json(indent=1)
        begun = next((path for name in (ABOUT_FILE, _PLANNED) if (path := folder / name).is_file()), None)
        if begun is None or begun.read_text(encoding="utf-8") != about:
            for path in folder.iterdir():  # of other rows
                path.unlink()
        todo = [part for part in _parts(images, settings, folder) if not _is_right(part)]
        if todo:
            (folder / ABOUT_FILE).unlink(missing_ok=True)
            write_whole(folder / _PLANNED, about)
        fresh = sum(len(part.images) for part in todo)
        done = rows - fresh
        progress(done, rows)
        for count in in_processes(_cut_part, [(part,) for part in todo], workers):
            done += count
            progress(done, rows)
        write_whole(folder / ABOUT_FILE, about)
        (folder / _PLANNED).unlink(missing_ok=True)
        return Made(rows, fresh, sum(path.stat().st_size for path in folder.iterdir()))


def _parts(images: ImageSet, settings: CacheSettings, folder: Path) -> list[_Part]:
    return [
        _Part(
            folder,
            number,
            tuple(images.image(row) for row in range(first, min(first + PART_ROWS, len(images)))),
            np.array(images.annotations.bbox_xywh[first : first + PART_ROWS]),
            settings,
        )
        for number, first in enumerate(range(0, len(images), PART_ROWS))
    ]


def _is_right(part: _Part) -> bool:
    """Tells whether a part is there and of the images that are there now."""
    content = part_files(part.folder, part.number)[0]
    try:
        index = read_index(part.folder, part.number)
    except BadInput:
        return False
    there = image_state(content)
    if len(index) != len(part.images) or there is None or there[0] != index["bytes"].sum():
        return False
    states = {path: image_state(path) for path in set(part.images)}
    return all(states[path] == cut_from(entry) for path, entry in zip(part.images, index))


def _cut_part(part: _Part) -> int:
    """Writes a part, its index last, and tells how many rows it has; an image of several rows is decoded once."""
    content, index_file = part_files(part.folder, part.number)
    index_file.unlink(missing_ok=True)
    index = np.zeros(len(part.images), INDEX)
    rows_of: dict[Path, list[int]] = {}
    for row, path in enumerate(part.images):
        rows_of.setdefault(path, []).append(row)
    with whole_file(content) as temporary, temporary.open("wb") as file:
        for path, rows in rows_of.items():
            state, photo = image_state(path) or (0, 0), read_bgr(path)
            for row in rows:
                crop = cut(photo, part.boxes[row], part.settings)
                jpeg = encode(crop)
                index[row] = (file.tell(), len(jpeg), crop.origin, crop.zoom, crop.photo_size, *state)
                file.write(jpeg)
    with whole_file(index_file) as temporary, temporary.open("wb") as file:
        np.save(file, index)
    return len(index)
