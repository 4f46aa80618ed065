"""The open data set in `hmr download`: rendered on this machine instead of fetched."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hmrcli.cli.console import bar
from hmrcli.scenes.splits import EDITION, ROW_BYTES, ROW_SECONDS, SPLITS, row_count

GROUP = "open"
LICENCE: dict[str, Any] = {
    "name": "CC0-1.0, CC-BY-2.0 and CC-BY-4.0",
    "who": "anyone; LICENSES.md names the authors of photographs in the background",
    "page": "https://creativecommons.org/licenses/by/4.0/",
    "restricted": False,
}


def apart(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Parts of the open data set that names stand for, in order, and the other names."""
    parts = [part for part in SPLITS if GROUP in names or part in names]
    return parts, [name for name in names if name != GROUP and name not in SPLITS]


def describe(
    part: str, root: Path, rows: int | None = None, state: str | None = None, error: str | None = None
) -> dict[str, Any]:
    """A part as `hmr download --json` tells of files."""
    from hmrcli.data.open_files import annotation_file, is_written

    path = annotation_file(root, part)
    return {
        "name": part,
        "group": GROUP,
        "about": SPLITS[part].about,
        "state": state or ("found" if is_written(root, part, rows) else "missing"),
        "path": str(path),
        "size": size(part, rows),
        "sha256": None,
        "licence": LICENCE,
        "sources": [],
        "page": None,
        "source": f"rendered here, edition {EDITION}",
        "rows": row_count(part, rows),
        "seconds": seconds(part, rows),
        "error": error,
    }


def size(part: str, rows: int | None = None) -> int:
    """Bytes that a part takes, about."""
    return ROW_BYTES * row_count(part, rows)


def seconds(part: str, rows: int | None = None) -> float:
    """How long a part takes on this machine, about."""
    return ROW_SECONDS * row_count(part, rows) / workers()


def source(part: str, rows: int | None = None) -> str:
    """Where a part comes from, in a few words."""
    minutes = seconds(part, rows) / 60
    return f"rendered here, {row_count(part, rows):,} pictures in about {max(1, round(minutes))} min"


def terms() -> str:
    """The licence in a sentence part."""
    return f"{LICENCE['name']}: {LICENCE['who']}"


def workers() -> int:
    """Processes that render."""
    return os.cpu_count() or 1


def write(part: str, root: Path, rows: int | None, masks: bool) -> Path:
    """Renders a part; shows a bar to a person who is watching.

    Raises:
        BadInput: as `rendered.write_open_set`.
    """
    from hmrcli.data.rendered import write_open_set

    with bar(part) as progress:
        return write_open_set(root, part, rows, workers=workers(), masks=masks, progress=progress)


def wrong(part: str, root: Path) -> str | None:
    """What is wrong with the files of a part that is in place; None if nothing is."""
    from hmrcli.data.annotation_files import read_annotations
    from hmrcli.data.images import missing_images
    from hmrcli.data.open_files import annotation_file, image_folder
    from hmrcli.errors import BadInput

    try:
        annotations = read_annotations(annotation_file(root, part), "smpl_54")
    except BadInput as error:
        return str(error)
    folder = image_folder(root, part)
    missing = missing_images(folder, annotations.image_path)
    return f"{len(missing)} images are missing, first {folder / missing[0]}" if missing else None
