"""Where the files of the open data set lie below the data root."""

from pathlib import Path

from hmrcli.assets.data_root import ANNOTATIONS, FITS, IMAGES
from hmrcli.data.annotation_npz import AnnotationNpz
from hmrcli.scenes.splits import EDITION, row_count

ROWS_A_FOLDER = 1000


def image_name(row: int) -> str:
    """Where a row's image is below the folder of its set."""
    return f"{row // ROWS_A_FOLDER:03d}/{row:06d}.jpg"


def mask_name(row: int) -> str:
    """Where a row's mask of body parts is below the folder of masks."""
    return f"{row // ROWS_A_FOLDER:03d}/{row:06d}.png"


def image_folder(root: Path, split_name: str) -> Path:
    """Folder of a part's images."""
    return root / IMAGES / split_name


def unfinished_folder(images: Path) -> Path:
    """What is kept below a part's images until all of it is written; of this edition alone."""
    return images / f".unfinished-{EDITION}"


def mask_folder(root: Path, split_name: str) -> Path:
    """Folder of a part's masks: 1 + SMPL joint of the body part, 0 where the person is not seen."""
    return root / IMAGES / f"{split_name}-masks"


def annotation_file(root: Path, split_name: str) -> Path:
    """A part's annotations, which are written last: where they are, everything is."""
    return root / ANNOTATIONS / f"{split_name}.npz"


def fits_file(root: Path, split_name: str) -> Path:
    """What SPIN starts from."""
    return root / FITS / f"{split_name}_fits.npy"


def is_written(root: Path, split_name: str, rows: int | None = None, masks: bool = False) -> bool:
    """Whether a part is in place, with at least so many rows (by default all) and, if asked for, its masks."""
    path, count = annotation_file(root, split_name), row_count(split_name, rows)
    if not path.is_file() or (masks and not (mask_folder(root, split_name) / mask_name(count - 1)).is_file()):
        return False
    with AnnotationNpz(path) as stored:
        return int(stored.scalar("__data_len__", 0)) >= count
