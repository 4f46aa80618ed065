"""Images as people save them, read into one form; and the inputs of a command line, made into files.

Pillow reads them: it tells size, transparency and rotation before anything is decoded, and says quietly what
is wrong.
"""

import glob
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hmrcli.errors import BadInput

if TYPE_CHECKING:
    from PIL.Image import Image

IMAGE_SUFFIXES = (
    *(".jpg", ".jpeg", ".jfif", ".png", ".webp", ".tif", ".tiff", ".bmp"),
    *(".gif", ".avif", ".jp2", ".ppm", ".pgm", ".pnm"),
)
"""What a folder or a pattern is searched for. A file named by the user is judged by its content alone."""

VIDEO_SUFFIXES = (".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv")

MAX_PIXELS = 200_000_000
"""The largest photo read, in pixels: above the largest phone cameras, below what fills a machine's memory."""

# The decoders that may see a user's file. Those that start another program (EPS) are not among them.
_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF", "JPEG2000", "PPM")

_ORIENTATION = 0x0112
# Value of the EXIF orientation tag -> PIL.Image.Transpose that undoes it (EXIF 2.32, section 4.6.4).
_TURNS: dict[int, Any] = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}

_pillow_limit = threading.Lock()


def read_image(path: str | Path) -> NDArray[np.uint8]:
    """Reads an image as a viewer would show it.

    Rotation from EXIF is applied. Transparency is laid on white. 16-bit images keep their upper 8 bits. Grey,
    palette and CMYK images become RGB, without their colour profile. Of an animation or several pages the
    first is taken.

    Args:
        path: a file of any of `IMAGE_SUFFIXES`, known by its content.

    Returns:
        (H, W, 3) uint8 RGB of the full image.

    Raises:
        BadInput: the file is missing, a folder, empty, damaged, not an image, or larger than `MAX_PIXELS`.
    """
    path = Path(path)
    if path.is_dir():
        raise BadInput(f"{path}: is a folder, expected an image file")
    try:
        empty = path.stat().st_size == 0
    except OSError as error:
        raise BadInput(f"{path}: {_reason(error)}, expected an image file") from None
    if empty:
        raise BadInput(f"{path}: the file is empty, expected an image")
    if path.suffix.lower() in VIDEO_SUFFIXES:
        raise BadInput(_about_video(path))
    from PIL import UnidentifiedImageError

    try:
        return _decode(path)
    except (BadInput, MemoryError):
        raise
    except UnidentifiedImageError:
        raise BadInput(f"{path}: not an image that can be read; {_advice(path)}") from None
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise BadInput(f"{path}: cannot be read: {_reason(error)}") from None
        # A decoder meets a damaged file with many kinds of error.
        raise BadInput(f"{path}: damaged ({_reason(error)}); get it again, or save it as JPEG") from None


def expand_inputs(inputs: list[str]) -> list[Path]:
    """Files for the inputs of a command: files, folders, and patterns the shell left alone.

    A folder gives its images, a pattern the images it matches (`**` also searches the folders below); both in
    natural order (frame2 before frame10), hidden files left out. Each file comes once, where it is first
    named.

    Raises:
        BadInput: an input does not exist, holds no image, or is a video.
    """
    found: dict[Path, Path] = {}
    for text in inputs:
        for path in _expand(text):
            found.setdefault(path.resolve(), path)
    return list(found.values())


def _expand(text: str) -> list[Path]:
    path = Path(text).expanduser()
    if path.is_dir():
        images = _images(path.iterdir())
        if not images:
            raise BadInput(
                f"{text}: no image in this folder, expected files ending in {', '.join(IMAGE_SUFFIXES)}"
            )
        return images
    if path.exists():
        if path.suffix.lower() in VIDEO_SUFFIXES:
            raise BadInput(_about_video(path))
        return [path]
    if not glob.has_magic(text):
        raise BadInput(f"{text}: no such file or folder, expected an image, a folder of images or a pattern")
    matches = glob.iglob(str(path), recursive=True)  # noqa: PTH207 (absolute ones too)
    images = _images(Path(match) for match in matches)
    if not images:
        raise BadInput(f"{text}: no image matches this pattern")
    return images


def _images(paths: Iterator[Path]) -> list[Path]:
    """The visible image files among these, in natural order."""
    kept = [
        p for p in paths if p.suffix.lower() in IMAGE_SUFFIXES and not p.name.startswith(".") and p.is_file()
    ]
    return sorted(kept, key=_natural)


def _natural(path: Path) -> list[tuple[int, int, str]]:
    """Sorts numbers inside names by value; digits before letters, whatever the case."""
    parts = re.split(r"([0-9]+)", str(path).casefold())
    return [(0, int(part), part) if part.isdecimal() else (1, 0, part) for part in parts if part]


def _decode(path: Path) -> NDArray[np.uint8]:
    from PIL import Image

    with path.open("rb") as file:
        with _own_limit():
            picture: Image.Image = Image.open(file, formats=_FORMATS)
        width, height = picture.size
        if width * height > MAX_PIXELS:
            raise BadInput(
                f"{path}: {width}x{height} is {width * height / 1e6:.0f} megapixels, "
                f"expected at most {MAX_PIXELS // 10**6}; reduce it first"
            )
        picture.load()
    return np.array(_rgb(_upright(picture), path), np.uint8, order="C")


def _upright(picture: "Image") -> "Image":
    """Applies the rotation that EXIF asks for; unreadable EXIF asks for none, the picture itself is whole."""
    try:
        orientation = picture.getexif().get(_ORIENTATION)
    except Exception:  # as many kinds as decoders have
        return picture
    return picture.transpose(_TURNS[orientation]) if orientation in _TURNS else picture


def _rgb(picture: "Image", path: Path) -> "Image":
    from PIL import Image

    if picture.mode[0] in "IF":  # one channel of more than 8 bits
        values = np.asarray(picture)
        if picture.mode == "F" or values.min() < 0 or values.max() > 0xFFFF:
            raise BadInput(f"{path}: pixels of 32 bits or floating point, expected 8 or 16 bits a channel")
        picture = Image.fromarray((values.astype(np.uint16) >> 8).astype(np.uint8))
    if picture.has_transparency_data:
        colours = picture.convert("RGBA")
        picture = Image.new("RGB", colours.size, "white")
        picture.paste(colours, mask=colours.getchannel("A"))
    return picture.convert("RGB")


@contextmanager
def _own_limit() -> Iterator[None]:
    """Lifts Pillow's own limit (it warns at 89 megapixels and refuses twice that) while a header is read."""
    from PIL import Image

    with _pillow_limit:
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before


def _about_video(path: Path) -> str:
    frames = path.stem + "_frames"
    return (
        f"{path}: videos are not read, expected images; write its frames first, then give the folder: "
        f"mkdir {frames} && ffmpeg -i {path} {frames}/%06d.jpg"
    )


def _advice(path: Path) -> str:
    if path.suffix.lower() in (".heic", ".heif"):
        return "HEIC photos are not supported: save it as JPEG first"
    return f"expected a whole file of one of the kinds {', '.join(IMAGE_SUFFIXES)}"


def _reason(error: Exception) -> str:
    """One line about an error, without the file's name."""
    text = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
    return text.splitlines()[0].strip().rstrip(".").lower()
