"""The open data set in `hmr download`, `hmr train` and `hmr eval`: rendered on this machine instead of fetched."""

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hmrcli.assets.open_sets import OPEN_SETS
from hmrcli.cli.console import bar, note

GROUP = "open"
LICENCE: dict[str, Any] = {
    "name": "CC0-1.0, CC-BY-2.0 and CC-BY-4.0",
    "who": "anyone; LICENSES.md names the authors of photographs in the background",
    "page": "https://creativecommons.org/licenses/by/4.0/",
    "restricted": False,
}
ROW_BYTES, ROW_SECONDS = 11_000, 0.02
"""Of a picture with its labels, on average, and of making one on one core of a server of 2023."""
WORKERS = os.cpu_count() or 1
"""Processes that render."""


def apart(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Splits names into sets of the open benchmark, in its order, and the others."""
    parts = [part for part in OPEN_SETS if GROUP in names or part in names]
    return parts, [name for name in names if name != GROUP and name not in OPEN_SETS]


def describe(part: str, root: Path, rows: int | None = None, state: str | None = None) -> dict[str, Any]:
    """Describes a set as `hmr download --json` does files."""
    from hmrcli.scenes.files import annotation_file, row_count, written_rows
    from hmrcli.scenes.splits import EDITION

    path, count = annotation_file(root, part), row_count(part, rows)
    return {
        "name": part,
        "group": GROUP,
        "about": OPEN_SETS[part].about,
        "state": state or ("found" if written_rows(root, part) >= count else "missing"),
        "path": str(path),
        "size": ROW_BYTES * count,
        "sha256": None,
        "licence": LICENCE,
        "sources": [],
        "page": None,
        "source": f"rendered here, edition {EDITION}",
        "rows": count,
        "seconds": ROW_SECONDS * count / WORKERS,
        "error": None,
    }


def write(part: str, root: Path, rows: int | None, masks: bool = False) -> Path:
    """Renders a set, less what is in place; shows a bar to a person who is watching.

    Raises:
        BadInput: as `write_set`.
    """
    from hmrcli.scenes.dataset import write_set

    with bar(part) as progress:
        return write_set(root, part, rows, workers=WORKERS, masks=masks, progress=progress)


def write_missing(parts: Mapping[str, int | None], root: Path) -> None:
    """Renders what a command is about to read; under torchrun the first process does, and the others wait for it.

    Of each set so many rows are needed; None takes as many as are in place, else all.

    Raises:
        BadInput: as `write_set`.
    """
    from hmrcli.distributed import rank_and_size
    from hmrcli.scenes.files import annotation_file, written_rows

    for part, rows in parts.items():
        while (written := written_rows(root, part)) < (rows or 1):
            if rank_and_size()[0] > 0:
                time.sleep(1)
                continue
            doing = f"extended from {written:,} rows" if written else "rendered first"
            note(f"{part} is {doing}, in {annotation_file(root, part)} and the folder of its images")
            write(part, root, rows)


def wrong(part: str, root: Path) -> str | None:
    """Says what is wrong with the files of a set that is in place; None if nothing is."""
    from hmrcli.data.annotation_files import read_annotations
    from hmrcli.data.images import missing_images
    from hmrcli.errors import BadInput
    from hmrcli.scenes.files import annotation_file, image_folder

    path = annotation_file(root, part)
    try:
        annotations = read_annotations(path, "smpl_54")
    except BadInput as error:
        return str(error).removeprefix(f"{path}: ")
    folder = image_folder(root, part)
    missing = missing_images(folder, annotations.image_path)
    return f"{len(missing)} images are missing, first {folder / missing[0]}" if missing else None
