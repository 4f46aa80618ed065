"""Crops of a training set, cut once with a margin that its augmentation cannot leave, and read in place of originals.

What is stored of a row is the part of its image that training can see of it, as small as training needs it, in JPEG.
A cache is a folder of parts, each a file of JPEGs and an array that tells where each one lies and what it shows;
`cache.json` says what it was made from and is written last. Without a cache, or with one of other settings, originals
are read: samples are the same up to one more resampling and JPEG (benchmarks/crops.py).
"""

from collections.abc import Callable
from math import atan, cos, radians, sin
from pathlib import Path
from typing import Literal, NamedTuple

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel

from hmrcli.data.annotations import spread
from hmrcli.data.crop import Floats, square_around
from hmrcli.errors import BadInput
from hmrcli.files import read_record
from hmrcli.recipe import Recipe

CROPS, ABOUT_FILE = "crops", "cache.json"
"""Folder below the data root, and what tells that a cache is whole."""
PART_ROWS = 512
QUALITY = 95
"""Of the JPEGs, whose colours have full resolution: next to nothing is lost beside the resampling."""
_SPARE = 2
"""Pixels of the stored crop around what is needed, for interpolation."""
_LOOKED_AT = 256
"""Images whose size and date are compared when a cache is opened; `hmr data crops` compares all."""

INDEX = np.dtype(
    [
        ("start", "<i8"),
        ("bytes", "<i8"),
        ("origin", "<f8", (2,)),
        ("zoom", "<f8"),
        ("photo_size", "<i4", (2,)),
        ("image_bytes", "<i8"),
        ("image_date", "<i8"),
    ]
)
"""Of a row: its JPEG in the file of the part; a photo's point p lies at zoom (p - origin) of it; width and height of
the photo; bytes and time (ns) of the image file that it was cut from."""


class CacheSettings(NamedTuple):
    """Demands of a recipe on a cache."""

    size: int
    """Pixels that the side of a person's square has where the photo has more."""
    across: float
    down: float
    """Share kept to the left and right, and above and below, of the square's middle, in sides of it."""

    @property
    def folder(self) -> str:
        """Names the folder of such a cache."""
        return f"{self.size}-{round(200 * self.across)}x{round(200 * self.down)}"


class About(BaseModel):
    """Sources that a cache was made from."""

    format: Literal["hmr crops 1"] = "hmr crops 1"
    annotations: str
    annotations_bytes: int
    annotations_sha256: str
    rows: int
    size: int
    across: float
    down: float
    quality: int


class StoredCrop(NamedTuple):
    """Entry of a row in a cache."""

    image: NDArray[np.uint8]
    """(H, W, 3) BGR."""
    origin: Floats
    zoom: float
    """As of `INDEX`."""
    photo_size: tuple[int, int]
    """Width and height."""

    def affine(self, affine: Floats) -> Floats:
        """Makes of an affine (2, 3) from the photo one from this picture."""
        shift = affine[:, 2] + affine[:, :2] @ self.origin
        return np.concatenate([affine[:, :2] / self.zoom, shift[:, None]], 1)


def whole_photo(image: NDArray[np.uint8]) -> StoredCrop:
    """Takes a photo (H, W, 3) for a crop that leaves nothing out."""
    return StoredCrop(image, np.zeros(2), 1.0, (image.shape[1], image.shape[0]))


def cache_settings(recipe: Recipe) -> CacheSettings:
    """Tells what the crops of a recipe can reach, whatever its augmentation draws."""
    shape, augmentation = recipe.crop_shape, recipe.augmentation
    turn = 2 * radians(augmentation.rotation.degrees) if augmentation.rotation.probability else 0.0
    reach, half = (1 + augmentation.scale) / 2, shape.height / shape.width

    def extent(along: float, other: float) -> float:
        widest = min(turn, atan(other / along))  # where the corner is farthest out
        return max(along, along * cos(widest) + other * sin(widest)) * reach

    return CacheSettings(shape.width, round(extent(1, half), 4), round(extent(half, 1), 4))


def cache_folder(root: Path, name: str, annotations: Path, settings: CacheSettings) -> Path:
    """Returns the place of a set's cache."""
    return root / CROPS / name / annotations.stem / settings.folder


def cut(image: NDArray[np.uint8], bbox_xywh: ArrayLike, settings: CacheSettings) -> StoredCrop:
    """Cuts out of a photo (H, W, 3) what a cache keeps of a person.

    Pixels are those of the photo where the person is no larger than training needs; else fewer, each sampled as a
    training crop samples them, so that both show the same.
    """
    center, side = square_around(bbox_xywh)
    zoom = min(1.0, settings.size / float(side))
    reach = np.array([settings.across, settings.down]) * side + _SPARE / zoom
    height, width = image.shape[:2]
    first = np.clip(np.floor(center - reach), 0, [width - 1, height - 1]).astype(int)
    last = np.clip(np.ceil(center + reach) + 1, first + 1, [width, height]).astype(int)
    part = image[first[1] : last[1], first[0] : last[0]]
    if zoom < 1:
        high, wide = np.ceil(np.array(part.shape[:2]) * zoom).astype(int).tolist()
        matrix = np.array([[zoom, 0, 0], [0, zoom, 0]])
        smaller = cv2.warpAffine(part, matrix, (wide, high), borderMode=cv2.BORDER_REPLICATE)
        part = np.asarray(smaller, np.uint8)
    return StoredCrop(part, first.astype(np.float64), zoom, (width, height))


def encode(crop: StoredCrop) -> bytes:
    """Makes a JPEG of what `cut` gave."""
    colours = (cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444)
    options = [cv2.IMWRITE_JPEG_QUALITY, QUALITY, *colours]
    return bytes(cv2.imencode(".jpg", crop.image, options)[1])


def part_files(folder: Path, part: int) -> tuple[Path, Path]:
    """Names the JPEGs of a part, and their index."""
    return folder / f"{part:05}.jpegs", folder / f"{part:05}.npy"


class CropCache:
    """A whole cache, opened for reading; processes may share it."""

    def __init__(self, folder: Path, rows: int) -> None:
        """Reads the index."""
        self.folder = folder
        self.index = np.concatenate([read_index(folder, part) for part in range(-(-rows // PART_ROWS))])
        if (found := len(self.index)) != rows:
            raise BadInput(f"{folder}: expected {rows} rows, the parts have {found}; {_remove(folder)}")

    def read(self, row: int) -> StoredCrop:
        """Reads a row; BadInput where it cannot be read."""
        entry = self.index[row]
        path, _ = part_files(self.folder, row // PART_ROWS)
        try:
            with path.open("rb", buffering=0) as file:
                file.seek(int(entry["start"]))
                content = file.read(int(entry["bytes"]))
        except OSError as error:
            raise BadInput(f"{path}: {error.strerror}; {_remove(self.folder)}") from None
        whole = len(content) == entry["bytes"] and content[-2:] == b"\xff\xd9"
        image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR) if whole else None
        if image is None:
            raise BadInput(f"{path}: the crop of row {row} is damaged; {_remove(self.folder)}")
        width, height = entry["photo_size"].tolist()
        return StoredCrop(np.asarray(image, np.uint8), entry["origin"], float(entry["zoom"]), (width, height))


def read_index(folder: Path, part: int) -> NDArray[np.void]:
    """Reads the index of a part; BadInput where it is not there, or damaged."""
    path = part_files(folder, part)[1]
    try:
        index = np.load(path, allow_pickle=False)
        if index.dtype != INDEX or index.ndim != 1:
            raise ValueError("other fields")
    except (OSError, ValueError, EOFError) as error:
        raise BadInput(f"{path}: no index of crops ({error}); {_remove(folder)}") from None
    return np.asarray(index)


def open_cache(folder: Path, annotations: Path, rows: int, image: Callable[[int], Path]) -> CropCache | None:
    """Opens the cache of a set; None where there is none, or none that is whole.

    Args:
        annotations: the file whose first rows it has to be of.
        image: gives the image file of a row; some are looked at.

    Raises:
        BadInput: it is of other annotations or images than those that are there now, or damaged.
    """
    if not (folder / ABOUT_FILE).is_file():
        return None
    about = read_record(folder / ABOUT_FILE, About, _remove(folder))
    if about.annotations_bytes != annotations.stat().st_size or rows > about.rows:
        raise BadInput(f"{folder}: crops of other rows than {annotations} has now; {_make_again(folder)}")
    cache = CropCache(folder, about.rows)
    for row in spread(rows, min(rows, _LOOKED_AT)).tolist():
        if image_state(image(row)) != cut_from(cache.index[row]):
            found = f"crops of another {image(row)} than is there now"
            raise BadInput(f"{folder}: {found}; {_make_again(folder)}")
    return cache


def cut_from(entry: np.void) -> tuple[int, int]:
    """Returns the `image_state` of the image that a row of an index was cut from."""
    return int(entry["image_bytes"]), int(entry["image_date"])


def image_state(path: Path) -> tuple[int, int] | None:
    """Returns bytes and time (ns) of an image file; None where it is not there."""
    try:
        state = path.stat()
    except OSError:
        return None
    return state.st_size, state.st_mtime_ns


def _remove(folder: Path) -> str:
    return f"remove {folder}, or make it again with hmr data crops"


def _make_again(folder: Path) -> str:
    return f"hmr data crops makes again what changed, or remove {folder} to train on the originals"
