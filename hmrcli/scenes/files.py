"""Places of the rendered sets below the data root, and how much of them is there."""

from pathlib import Path

from hmrcli.assets.data_root import ANNOTATIONS, IMAGES
from hmrcli.assets.open_sets import OPEN_SETS
from hmrcli.data.annotation_npz import AnnotationNpz
from hmrcli.scenes.splits import EDITION

_ROWS_A_FOLDER = 1000


def annotation_file(root: Path, name: str) -> Path:
    """Returns the path of a set's annotations, which are written last: where they are, everything is."""
    return root / ANNOTATIONS / f"{name}.npz"


def image_folder(root: Path, name: str) -> Path:
    """Returns the folder of a set's images."""
    return root / IMAGES / name


def mask_folder(root: Path, name: str) -> Path:
    """Returns the folder of a set's masks: 1 + SMPL joint of the body part, 0 where the person is not seen."""
    return root / IMAGES / f"{name}-masks"


def image_name(row: int, suffix: str = ".jpg") -> str:
    """Returns the path of a row's image below that folder, or with `.png` of its mask below that of masks."""
    return f"{row // _ROWS_A_FOLDER:03d}/{row:06d}{suffix}"


def row_count(name: str, rows: int | None = None) -> int:
    """Counts the rows of a set, of which fewer may be asked for."""
    own = OPEN_SETS[name].rows
    return own if rows is None else min(rows, own)


def written_rows(root: Path, name: str, masks: bool = False) -> int:
    """Counts the rows of a set that are in place, in this edition; with their masks if those are asked for.

    Raises:
        BadInput: the annotations are damaged.
    """
    path = annotation_file(root, name)
    if not path.is_file():
        return 0
    with AnnotationNpz(path) as stored:
        if stored.scalar("config", "") != edition_name(name):
            return 0
        rows = int(stored.scalar("__data_len__", 0))
    last = [image_folder(root, name) / image_name(rows - 1)]
    last += [mask_folder(root, name) / image_name(rows - 1, ".png")] if masks else []
    return rows if all(file.is_file() for file in last) else 0


def edition_name(name: str) -> str:
    """Returns what the annotations of this edition are called inside."""
    return f"{name}, edition {EDITION}"
