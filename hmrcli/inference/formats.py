"""Formats of pictures by name, and of other files by content, with how an image is made of them."""

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

IMAGE_SUFFIXES = (
    *(".jpg", ".jpeg", ".jfif", ".png", ".webp", ".tif", ".tiff", ".bmp"),
    *(".gif", ".avif", ".jp2", ".ppm", ".pgm", ".pnm"),
)
"""Suffixes that a folder or a pattern is searched for. A file named by the user is judged by its content alone."""
RAW_SUFFIXES = (".arw", ".cr2", ".cr3", ".dng", ".nef", ".orf", ".pef", ".raf", ".rw2")
OTHER_PHOTOS = (".heic", ".heif", ".hif", ".jxl", ".psd", *RAW_SUFFIXES)
"""Photos that cannot be read: a search finds them too, so that they are named, unless the same is there as an image."""
VIDEO_SUFFIXES = (".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv")

_VIDEO = "a video, expected an image; `hmr infer {0}` reads it"
_RAW = "a camera's raw photo, which is not read; develop it first: darktable-cli {0} {0}.jpg"
_MAKE = "which is not read; make an image of it first:"
_VIDEO_START = rb"....ftyp(isom|iso\d|mp4|M4V|qt  |avc1|3gp)|\x1aE\xdf\xa3|RIFF....AVI |\0\0\x01[\xb3\xba]"
_HEIC_START = rb"....ftyp(heic|heix|heim|heis|hevc|hevx|mif1|msf1)"
_OTHERS = (
    (_HEIC_START, f"a HEIC photo, {_MAKE} heif-convert {{0}} {{0}}.jpg"),
    (rb"\xff\x0a|\0\0\0\x0cJXL ", f"a JPEG XL image, {_MAKE} djxl {{0}} {{0}}.png"),
    (rb"8BPS", f"a Photoshop document, {_MAKE} magick {{0}}[0] {{0}}.png"),
    (rb"%PDF", f"not an image but a PDF document, {_MAKE} pdftoppm -png {{0}} page"),
    (rb"%!PS", f"not an image but a PostScript drawing, {_MAKE} magick {{0}} {{0}}.png"),
    (rb"\s*(<\?xml.*)?<svg", f"not an image but an SVG drawing, {_MAKE} magick {{0}} {{0}}.png"),
    (
        rb"\s*(<\?xml.*|<!--.*)?<(!doctype )?html",
        "not an image but a web page, which came instead of it; download it again",
    ),
    (rb"PK\x03\x04|Rar!|7z\xbc\xaf|\x1f\x8b", "not an image but an archive; unpack it and give the folder"),
    (rb"version https://git-lfs", "not an image but a pointer of Git LFS; run: git lfs pull"),
    (_VIDEO_START, _VIDEO),
    (rb"....ftypcrx|FUJIFILMCCD-RAW|II(RO|U\0)", _RAW),
)
"""Beginnings of files that no decoder knows, and messages on them; {0} is the file, {1} a folder named after it."""


def advice(path: Path) -> str:
    """Says what a file is that is no picture, and what makes one of it."""
    with path.open("rb") as file:
        head = file.read(1024)
    texts = [text for start, text in _OTHERS if re.match(start, head, re.DOTALL | re.IGNORECASE)]
    by_suffix = ((VIDEO_SUFFIXES, _VIDEO), (RAW_SUFFIXES, _RAW))
    texts += [text for suffixes, text in by_suffix if path.suffix.lower() in suffixes]
    if texts:
        return _about(path, texts[0])
    return f"not an image that can be read; expected a whole file of one of the kinds {', '.join(IMAGE_SUFFIXES)}"


def is_video(path: Path) -> bool:
    """Tells a video by its name, or by how it begins."""
    if path.suffix.lower() in VIDEO_SUFFIXES:
        return True
    try:
        with path.open("rb") as file:
            return re.match(_VIDEO_START, file.read(16), re.DOTALL) is not None
    except OSError:
        return False


def about_raw(path: Path) -> str:
    """Says how a raw photo becomes an image."""
    return _about(path, _RAW)


def _about(path: Path, text: str) -> str:
    return text.format(shlex.quote(str(path)), shlex.quote(f"{path.stem}_frames"))


def is_raw(picture: "Image", path: Path) -> bool:
    """Tells a camera's raw photo, a TIFF whose first picture is a small preview."""
    if picture.format != "TIFF":
        return False
    tags = getattr(picture, "tag_v2", {})
    preview = tags.get(254) == 1 and 330 in tags  # a reduced picture, and where the others are
    return path.suffix.lower() in RAW_SUFFIXES or 50706 in tags or preview
