"""Images as people save them, read into one form; and the inputs of a command line, made into files.

Pillow reads them: it tells size, transparency and rotation before anything is decoded, and says quietly what
is wrong. OpenCV reads what Pillow would cut to 8 bits or does not know: colours of 16 bits or floating point.
"""

import glob
import math
import os
import re
import shlex
import stat
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hmrcli.errors import BadInput
from hmrcli.files import did_you_mean

if TYPE_CHECKING:
    from PIL.Image import Image

IMAGE_SUFFIXES = (
    *(".jpg", ".jpeg", ".jfif", ".png", ".webp", ".tif", ".tiff", ".bmp"),
    *(".gif", ".avif", ".jp2", ".ppm", ".pgm", ".pnm"),
)
"""What a folder or a pattern is searched for. A file named by the user is judged by its content alone."""

RAW_SUFFIXES = (".arw", ".cr2", ".cr3", ".dng", ".nef", ".orf", ".pef", ".raf", ".rw2")
OTHER_PHOTOS = (".heic", ".heif", ".hif", ".jxl", ".psd", *RAW_SUFFIXES)
"""Photos that cannot be read: a search finds them too, so that they are named, unless the same is there as an image."""

VIDEO_SUFFIXES = (".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv")

MAX_PIXELS = 200_000_000
"""The largest photo read, in pixels: above the largest phone cameras, below what fills a machine's memory."""

MAX_LOST = 0.1
"""Share of a JPEG's rows that may be cut off below."""

# The decoders that may see a user's file. Those that start another program (EPS) are not among them.
_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF", "JPEG2000", "PPM")

_DAMAGED = "the file is damaged, so a part of it may be wrong ({})"

_ORIENTATION, _DETAILS = 0x0112, 0x8769
# Value of the EXIF orientation tag -> PIL.Image.Transpose that undoes it (EXIF 2.32, section 4.6.4).
_TURNS: dict[int, Any] = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}

FILM_DIAGONAL = math.hypot(36, 24)
"""Millimetres of the film that focal lengths "equivalent on 35 mm" speak of, by their angle along the diagonal."""

LONGEST_STEM = 230
"""Bytes of a file's name that leave room for `_overlay.png` in the 255 that file systems have."""

SENSORS = (1.0, 5 / 4, 4 / 3, 3 / 2, 16 / 9)
"""Proportions of cameras' photos."""

_pillow_limit = threading.Lock()


class Picture(NamedTuple):
    """An image as read.

    Attributes:
        pixels: (H, W, 3) uint8 RGB.
        focal_length: in pixels as the camera wrote it into EXIF; None where it did not.
        notes: what a person should know about the reading.
    """

    pixels: NDArray[np.uint8]
    focal_length: float | None
    notes: tuple[str, ...]


def read_image(path: str | Path) -> NDArray[np.uint8]:
    """Reads an image as a viewer would show it: (H, W, 3) uint8 RGB; see `read_picture`."""
    return read_picture(path).pixels


def read_picture(path: str | Path) -> Picture:
    """Reads an image as a viewer would show it, its focal length, and what is odd about it.

    Rotation from EXIF is applied. Transparency is laid on white. Numbers of more than 8 bits are brought to 8
    by the least number of bits that holds them all, floating point from 0 to 1 or 0 to 255. Grey, palette and
    CMYK images become RGB, without their colour profile. Of an animation or several pages the first is taken.
    A JPEG cut off a little is read as far as it goes.

    Args:
        path: a file of any of `IMAGE_SUFFIXES`, known by its content.

    Raises:
        BadInput: the file is missing, a folder, empty, damaged, not an image, or larger than `MAX_PIXELS`.
    """
    path = Path(path)
    if path.is_dir():
        raise BadInput(f"{path}: is a folder, expected an image file")
    try:
        state = path.stat()
    except OSError as error:
        hint = did_you_mean(path)
        raise BadInput(f"{path}: {_reason(error)}, expected an image file{hint}") from None
    if not stat.S_ISREG(state.st_mode):
        raise BadInput(
            f"{path}: is a pipe or a device, expected an image file; save the picture to one first"
        )
    if state.st_size == 0:
        raise BadInput(f"{path}: the file is empty, expected an image")
    from PIL import UnidentifiedImageError

    try:
        try:
            with warnings.catch_warnings():  # Pillow's, such as those of corrupt EXIF, speak of its own lines
                warnings.simplefilter("ignore")
                return _decode(path)
        except UnidentifiedImageError:
            if picture := _odd_tiff(path):
                return picture
            raise
    except (BadInput, MemoryError):
        raise
    except UnidentifiedImageError:
        raise BadInput(f"{path}: {_advice(path)}") from None
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise BadInput(f"{path}: cannot be read: {_reason(error)}") from None
        # A decoder meets a damaged file with many kinds of error.
        raise BadInput(f"{path}: damaged ({_reason(error)}); get it again, or save it as JPEG") from None


def expand_inputs(
    inputs: list[str],
    recursive: bool = False,
    note: Callable[[str], None] = lambda text: None,
    leave_out: Path | None = None,
) -> list[Path]:
    """Files for the inputs of a command: files, folders, and patterns the shell left alone.

    A folder gives its images, a pattern the images it matches (`**` also searches the folders below); both in
    natural order (frame2 before frame10), hidden files and overlays of this program left out. Each file comes
    once, where it is first named.

    Args:
        inputs: as the user typed them.
        recursive: whether a folder also gives the images of the folders below it.
        note: is told of videos and folders that are not read.
        leave_out: a folder that is not searched on the way, that of the results.

    Raises:
        BadInput: an input does not exist, holds no image, or is a video.
    """
    found: dict[str, Path] = {}
    for text in inputs:
        for path in _expand(text, recursive, note, leave_out):
            found.setdefault(os.path.realpath(path), path)  # a circle of links is no error here
    return list(found.values())


def targets(paths: Iterable[Path], out: Path) -> Iterator[Path]:
    """Folder and stem of each image's files; images of one name get a number, so that none replaces another's.

    Names that differ in nothing but large and small letters are one name to some file systems. Stems too long
    for `_overlay.png` are cut.
    """
    used: set[str] = set()
    for path in paths:
        start = path.stem
        if len(os.fsencode(start)) > LONGEST_STEM:
            start = os.fsencode(start)[:LONGEST_STEM].decode(errors="ignore")
        stem, number = start, 2
        while stem.casefold() in used:
            stem, number = f"{start}-{number}", number + 1
        used.add(stem.casefold())
        yield out / stem


def _expand(text: str, recursive: bool, note: Callable[[str], None], leave_out: Path | None) -> list[Path]:
    if re.match(r"[A-Za-z][\w+.-]+://", text):
        raise BadInput(
            f"{text}: is an address; download the image first (curl -LO ADDRESS), then give the file"
        )
    if not text.strip():
        raise BadInput("an input is empty, expected an image, a folder of images or a pattern")
    path = Path(text).expanduser()
    if path.is_dir():
        return _images_of_folder(path, text, recursive, note, leave_out)
    if path.exists():
        if path.suffix.lower() in VIDEO_SUFFIXES:
            raise BadInput(f"{text}: {_about_video(path)}")
        return [path]
    if not glob.has_magic(text):
        hint = did_you_mean(path) or ", expected an image, a folder of images or a pattern"
        raise BadInput(f"{text}: no such file or folder{hint}")
    matches = glob.iglob(str(path), recursive=True)  # noqa: PTH207 (absolute ones too)
    images = _images(Path(match) for match in matches)
    if not images:
        raise BadInput(f"{text}: no image matches this pattern")
    return images


def _images_of_folder(
    folder: Path, text: str, recursive: bool, note: Callable[[str], None], leave_out: Path | None
) -> list[Path]:
    files: list[Path] = []
    below = 0
    results = leave_out and os.path.realpath(leave_out)
    walk = os.walk(
        folder, onerror=lambda error: note(f"{getattr(error, 'filename', folder)}: {_reason(error)}")
    )
    for parent, folders, names in walk if recursive else islice(walk, 1000):
        here = Path(parent)
        folders[:] = [f for f in folders if not f.startswith(".") and os.path.realpath(here / f) != results]
        if recursive or here == folder:
            files += [here / name for name in names]
        else:
            below += bool(_images(here / name for name in names))
    images = _images(files)
    videos = sum(f.suffix.lower() in VIDEO_SUFFIXES and not f.name.startswith(".") for f in files)
    unread = (
        f"{below} folder{'s' * (below > 1)} below it hold images that are not read; --recursive reads them"
    )
    if not images:
        expected = unread if below else f"expected files ending in {', '.join(IMAGE_SUFFIXES)}"
        raise BadInput(f"{text}: no image in this folder, {expected}")
    if videos:
        note(f"{text}: its {videos} video{'s' * (videos > 1)} are not read, only images")
    if below:
        note(f"{text}: {unread}")
    return images


def _images(paths: Iterable[Path]) -> list[Path]:
    """The visible image files among these, in natural order; other photos too, if they are there in no other kind."""
    visible = [
        p
        for p in paths
        if p.suffix.lower() in (*IMAGE_SUFFIXES, *OTHER_PHOTOS)
        and not p.name.startswith(".")
        and (p.is_file() or (p.is_symlink() and not p.exists()))  # a dead link is named
        and not _is_overlay(p)
    ]
    readable = {p.with_suffix("") for p in visible if p.suffix.lower() in IMAGE_SUFFIXES}
    return sorted(
        (p for p in visible if p.suffix.lower() in IMAGE_SUFFIXES or p.with_suffix("") not in readable),
        key=_natural,
    )


def _is_overlay(path: Path) -> bool:
    """Whether a file is a picture that `hmr infer` made, which lies beside its document."""
    stem = path.name.removesuffix("_overlay.png")
    return stem != path.name and path.with_name(f"{stem}.json").is_file()


def _natural(path: Path) -> list[tuple[int, int, str]]:
    """Sorts numbers inside names by value; digits before letters, whatever the case."""
    parts = re.split(r"([0-9]+)", str(path).casefold())
    return [(0, int(part), part) if part.isdecimal() else (1, 0, part) for part in parts if part]


def _decode(path: Path) -> Picture:
    from PIL import Image

    from hmrcli.data.images import jpeg_damage

    notes: list[str] = []
    with path.open("rb") as file:
        with _own_limit():
            picture: Image.Image = Image.open(file, formats=_FORMATS)
        if _is_raw(picture, path):
            raise BadInput(f"{path}: {_about_raw(path)}")
        width, height = picture.size
        if width * height > MAX_PIXELS:
            raise BadInput(
                f"{path}: {width}x{height} is {width * height / 1e6:.0f} megapixels, "
                f"expected at most {MAX_PIXELS // 10**6}; reduce it first"
            )
        stored_turn, focal_length = _exif(picture)
        if picture.format in ("TIFF", "GIF", "WEBP", "PNG", "AVIF") and getattr(
            picture, "is_animated", False
        ):
            notes.append("holds several pictures, the first is read")
        if picture.format in ("JPEG", "MPO"):
            if not _has_end(content := path.read_bytes()):
                picture = _cut_off(content, path, notes)
            elif damage := jpeg_damage(content):
                notes.append(_DAMAGED.format(damage))
        if picture.format == "PNG" and (damage := _png_damage(path)):
            notes.append(_DAMAGED.format(damage))
        picture.load()
        turn, _ = _exif(picture)  # Pillow turns a TIFF itself
        dark = picture.mode in ("RGB", "RGBA") and np.max(picture.convert("RGB").getextrema()) < 64
        # Of colours of 16 bits Pillow keeps the upper 8, which hold nothing where the lower ones alone are used.
        if dark and (deep := _deep(path, notes)) is not None:
            picture, turn = deep, stored_turn
    picture = _rgb(picture, path, notes)
    pixels = np.array(picture.transpose(turn) if turn is not None else picture, np.uint8, order="C")
    if np.ptp(np.percentile(pixels[::4, ::4], (0.1, 99.9))) < 8:
        notes.append("nearly all of it is of one tone, so nobody can be seen")
    return Picture(pixels, focal_length, tuple(f"{path}: {text}" for text in notes))


def _png_damage(path: Path) -> str | None:
    """What is wrong with a PNG by its checksums, of which Pillow takes no notice while it decodes."""
    from PIL import Image

    try:
        with path.open("rb") as file, _own_limit():
            Image.open(file, formats=("PNG",)).verify()
    except (OSError, SyntaxError) as error:
        return _reason(error)
    return None


def _exif(picture: "Image") -> tuple[Any, float | None]:
    """The turn that EXIF asks for, and the focal length in pixels; unreadable EXIF has none of them."""
    try:
        exif = picture.getexif()
        return _TURNS.get(exif.get(_ORIENTATION, 1)), _focal_length(exif.get_ifd(_DETAILS), *picture.size)
    except Exception:  # as many kinds as decoders have
        return None, None


def _focal_length(exif: dict[int, Any], width: int, height: int) -> float | None:
    """Pixels, from the equivalent on 35 mm film, or from the focal length and the resolution of the sensor.

    None where EXIF speaks of a picture of other proportions, from which this one was cut; or of a sensor, and the
    proportions are those of none.
    """
    full = [float(exif.get(tag) or 0) for tag in (0xA002, 0xA003)]  # pixels that the camera wrote
    proportions = max(width, height) / min(width, height)
    known = [max(full) / min(full)] if min(full) > 0 else SENSORS if 0xA20E in exif else [proportions]
    if not any(0.98 < proportions / one < 1.02 for one in known):
        return None
    equivalent = float(exif.get(0xA405) or 0)
    unit = {2: 25.4, 3: 10.0, 4: 1.0}.get(exif.get(0xA210, 2))  # millimetres
    if not equivalent and unit and min(full) > 0:
        on_sensor = float(exif.get(0x920A) or 0) * float(exif.get(0xA20E) or 0) / unit
        equivalent = on_sensor / math.hypot(*full) * FILM_DIAGONAL
    return focal_of_film(equivalent, width, height) if 5 <= equivalent <= 3000 else None


def focal_of_film(millimetres: float, width: int, height: int) -> float:
    """Focal length in pixels, of the equivalent on 35 mm film."""
    return millimetres / FILM_DIAGONAL * math.hypot(width, height)


def _has_end(content: bytes) -> bool:
    """Whether the end marker of a JPEG is there; downloads that were broken off may have zeros instead."""
    at = 2
    while (
        content[at : at + 1] == b"\xff" and content[at + 1 : at + 2] != b"\xda"
    ):  # EXIF may hold a small JPEG
        at += 2 + int.from_bytes(content[at + 2 : at + 4], "big")
    return content.find(b"\xff\xd9", at) >= 0


def _cut_off(content: bytes, path: Path, notes: list[str]) -> "Image":
    """A JPEG without its last bytes, as far as it goes.

    Rows that depend on what is put in place of the absent bytes are those that are lost.
    """
    from PIL import Image

    content = content.rstrip(b"\0")
    pictures = [Image.open(BytesIO(content + more + b"\xff\xd9")) for more in (b"", b"\x55" * 100_000)]
    first, second = (np.asarray(picture.convert("RGB"), np.int16) for picture in pictures)
    differing = np.flatnonzero((np.abs(first - second) > 24).any((1, 2)))
    lost = len(first) - differing[0] if len(differing) else 0
    if lost > max(16, MAX_LOST * len(first)):
        kept = 1 - lost / len(first)
        raise BadInput(f"{path}: cut short, only the upper {kept:.0%} can be read; get it again")
    end = f"the lowest {lost} of its {len(first)} rows are lost" if lost else "all of it could be read"
    notes.append(f"the file is cut short; {end}")
    return pictures[0]


def _deep(path: Path, notes: list[str]) -> "Image | None":
    """An image of more than 8 bits a colour, by another decoder; None where it is none, or has the usual 8."""
    import cv2
    from PIL import Image

    values = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    if values is None or values.dtype == np.uint8:
        return None
    if values.ndim == 2:
        return Image.fromarray(_eight_bits(values, path, notes))
    alpha = np.asarray(values[..., 3:] // 256, np.uint8)
    return Image.fromarray(np.concatenate([_eight_bits(values[..., 2::-1], path, notes), alpha], axis=2))


def _odd_tiff(path: Path) -> Picture | None:
    """A TIFF whose numbers Pillow does not know, such as colours of floating point; None for other files."""
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

    with path.open("rb") as file:
        head = file.read(8)
        if head[:4] not in (b"II*\0", b"MM\0*"):
            return None
        tags = ImageFileDirectory_v2(head)
        file.seek(tags.next)
        tags.load(file)
    notes: list[str] = []
    if tags.get(256, 0) * tags.get(257, 0) > MAX_PIXELS or (image := _deep(path, notes)) is None:
        return None
    return Picture(
        np.array(image.convert("RGB"), np.uint8, order="C"), None, tuple(f"{path}: {n}" for n in notes)
    )


def _eight_bits(values: NDArray[Any], path: Path, notes: list[str]) -> NDArray[np.uint8]:
    """Numbers of any range as 0 to 255."""
    low, high = float(values.min()), float(values.max())
    if not 0 <= low <= high < 2**32:
        raise BadInput(f"{path}: pixels from {low:g} to {high:g}, expected 0 to 1, 255 or 65535")
    if values.dtype.kind == "f" and high < 256:
        return np.asarray(np.rint(values * (255 if high <= 1 else 1)), np.uint8)
    bits = next(bits for bits in (8, 10, 12, 14, 16, 24, 32) if high < 2**bits)
    if bits != 16:
        notes.append(f"its values reach {high:.0f}, so they are taken for numbers of {bits} bits")
    return np.asarray(values.astype(np.int64) >> (bits - 8), np.uint8)


def _rgb(picture: "Image", path: Path, notes: list[str]) -> "Image":
    from PIL import Image

    if picture.mode[0] in "IF":  # one channel of more than 8 bits
        picture = Image.fromarray(_eight_bits(np.asarray(picture), path, notes))
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
    name, frames = shlex.quote(str(path)), shlex.quote(f"{path.stem}_frames")
    return (
        "videos are not read, expected images; write its frames first, then give the folder: "
        f"mkdir {frames} && ffmpeg -i {name} {frames}/%06d.jpg"
    )


_KINDS = (
    (rb"....ftyp(heic|heix|heim|heis|hevc|hevx|mif1|msf1)", "a HEIC photo", "heif-convert {0} {0}.jpg"),
    (rb"\xff\x0a|\0\0\0\x0cJXL ", "a JPEG XL image", "djxl {0} {0}.png"),
    (rb"8BPS", "a Photoshop document", "magick {0}[0] {0}.png"),
    (rb"%PDF", "not an image but a PDF document", "pdftoppm -png {0} page"),
    (rb"%!PS", "not an image but a PostScript drawing", "magick {0} {0}.png"),
    (rb"\s*(<\?xml.*)?<svg", "not an image but an SVG drawing", "magick {0} {0}.png"),
)
"""How other kinds begin, what they are called, and what makes an image of them."""

_OTHERS = (
    (rb"\s*(<\?xml.*|<!--.*)?<(!doctype )?html", "a web page, which came instead of it; download it again"),
    (rb"PK\x03\x04|Rar!|7z\xbc\xaf|\x1f\x8b", "an archive; unpack it and give the folder"),
    (rb"version https://git-lfs", "a pointer of Git LFS; run: git lfs pull"),
)
_VIDEO = rb"....ftyp(isom|iso\d|mp4|M4V|qt  |avc1|3gp)|\x1aE\xdf\xa3|RIFF....AVI |\0\0\x01[\xb3\xba]"
_RAW = rb"....ftypcrx|FUJIFILMCCD-RAW|II(RO|U\0)"


def _advice(path: Path) -> str:
    """What a file is that no decoder knows, and what makes an image of it."""
    with path.open("rb") as file:
        head = file.read(1024)

    def begins(start: bytes) -> bool:
        return re.match(start, head, re.DOTALL | re.IGNORECASE) is not None

    for start, kind, command in _KINDS:
        if begins(start):
            return f"{kind}, which is not read; make an image of it first: {command.format(shlex.quote(str(path)))}"
    for start, text in _OTHERS:
        if begins(start):
            return f"not an image but {text}"
    if begins(_VIDEO) or path.suffix.lower() in VIDEO_SUFFIXES:
        return _about_video(path)
    if begins(_RAW) or path.suffix.lower() in RAW_SUFFIXES:
        return _about_raw(path)
    return f"not an image that can be read; expected a whole file of one of the kinds {', '.join(IMAGE_SUFFIXES)}"


def _about_raw(path: Path) -> str:
    name = shlex.quote(str(path))
    return f"a camera's raw photo, which is not read; develop it first: darktable-cli {name} {name}.jpg"


def _is_raw(picture: "Image", path: Path) -> bool:
    """Whether a TIFF is a camera's raw photo, whose first picture is a small preview."""
    if picture.format != "TIFF":
        return False
    tags = getattr(picture, "tag_v2", {})
    preview = tags.get(254) == 1 and 330 in tags  # a reduced picture, and where the others are
    return path.suffix.lower() in RAW_SUFFIXES or 50706 in tags or preview


def _reason(error: Exception) -> str:
    """One line about an error, without the file's name."""
    text = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
    return text.splitlines()[0].strip().rstrip(".").lower()
