"""Images as people save them, read into one form.

Pillow reads them: it tells size, transparency and rotation before anything is decoded, and says quietly what
is wrong. OpenCV reads what Pillow would cut to 8 bits or does not know: colours of 16 bits or floating point.
"""

import stat
import struct
import warnings
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple, Union

import numpy as np
from numpy.typing import NDArray

from hmrcli.camera import Camera
from hmrcli.errors import BadInput, UsageError
from hmrcli.files import did_you_mean
from hmrcli.inference.exif import ORIENTATION, read_exif
from hmrcli.inference.formats import about_raw, advice, is_raw

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_PIXELS = 200_000_000
"""The largest photo read, in pixels: above the largest phone cameras, below what fills a machine's memory."""
MAX_LOST = 0.1
"""Share of a JPEG's rows that may be cut off below."""

# The decoders that may see a user's file. Those that start another program (EPS) are not among them.
_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF", "JPEG2000", "PPM")
_SEVERAL = ("TIFF", "GIF", "WEBP", "PNG", "AVIF")


class Picture(NamedTuple):
    """An image as read."""

    pixels: NDArray[np.uint8]
    """(H, W, 3) RGB."""
    focal_length: float | None
    """In pixels as the camera wrote it into EXIF; None where it did not."""
    notes: tuple[str, ...]
    """Notes on the reading that a person should see."""
    orientation: int = 1
    """EXIF's 1 to 8, by which the pixels were turned."""

    @property
    def camera(self) -> Camera:
        """The camera as far as the file tells: EXIF's focal length, else the diagonal."""
        height, width = self.pixels.shape[:2]
        if self.focal_length is None:
            return Camera.by_diagonal(width, height)
        return Camera.of_focal_length(self.focal_length, width, height, "exif")


AnyImage = Union[str, Path, "Image", NDArray[np.uint8]]
"""A file, Pillow's image, or (H, W, 3) uint8 RGB."""


def read_image(path: str | Path) -> NDArray[np.uint8]:
    """Reads an image as a viewer would show it: (H, W, 3) uint8 RGB; see `read_picture`."""
    return read_picture(path).pixels


def as_picture(image: AnyImage) -> Picture:
    """Reads a file, takes Pillow's image as a viewer would show it, or an array as it is.

    Raises:
        UsageError: it is none of these.
        BadInput: the file cannot be read.
    """
    from PIL import Image

    if isinstance(image, str | Path):
        return read_picture(image)
    if isinstance(image, Image.Image):
        exif = read_exif(image)
        notes = list(exif.notes)
        pixels = _shown(image, exif.orientation, notes)
        return Picture(pixels, exif.focal_length, tuple(notes), exif.orientation)
    what = type(image).__name__
    if isinstance(image, np.ndarray):
        if image.dtype == np.uint8 and image.shape[2:] == (3,) and image.size:
            return Picture(image, None, ())
        what = f"{image.dtype} {image.shape}"
    raise UsageError(f"expected a path, a PIL image or an array (H, W, 3) of uint8 RGB, got {what}")


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
    from PIL import UnidentifiedImageError

    path = Path(path)
    try:
        with warnings.catch_warnings():  # Pillow's, such as those of corrupt EXIF, speak of its own lines
            warnings.simplefilter("ignore")
            return _read(path)
    except MemoryError:
        raise
    except BadInput as error:
        why = str(error)
    except UnidentifiedImageError:
        why = advice(path)
    except Exception as error:  # a decoder meets a damaged file with many kinds
        if isinstance(error, OSError) and error.errno is not None:
            missing = isinstance(error, FileNotFoundError)
            why = f"cannot be read: {_reason(error)}{did_you_mean(path) * missing}"
        else:
            why = f"damaged ({_reason(error)}); get it again, or save it as JPEG"
    raise BadInput(f"{path}: {why}")


def _read(path: Path) -> Picture:
    from PIL import UnidentifiedImageError

    from hmrcli.data.images import has_end, jpeg_damage

    state = path.stat()
    if not stat.S_ISREG(state.st_mode):
        kind = "a folder" if path.is_dir() else "a pipe or a device"
        raise BadInput(f"is {kind}, expected an image file")
    if not state.st_size:
        raise BadInput("the file is empty, expected an image")
    notes: list[str] = []
    damage = None
    with path.open("rb") as file:
        try:
            picture = _open(file)
        except UnidentifiedImageError:
            picture = _odd_tiff(file, path, notes)
        if is_raw(picture, path):
            raise BadInput(about_raw(path))
        _check_size(*picture.size)
        exif = read_exif(picture)
        notes += exif.notes
        if picture.format in _SEVERAL and getattr(picture, "is_animated", False):
            notes.append("holds several pictures, the first is read")
        if picture.format in ("JPEG", "MPO"):
            content = path.read_bytes()
            whole = has_end(content)
            damage = jpeg_damage(content) if whole else None
            picture = picture if whole else _cut_off(content, notes)
        elif picture.format == "PNG":
            damage = _png_damage(path)
        if damage:
            notes.append(f"the file is damaged, so a part of it may be wrong ({damage})")
        picture.load()
        orientation = read_exif(picture).orientation  # Pillow turns a TIFF itself
        dark = picture.mode in ("RGB", "RGBA") and np.max(picture.convert("RGB").getextrema()) < 64
        # Of colours of 16 bits Pillow keeps the upper 8, which hold nothing where the lower ones alone are used.
        if dark and picture.format and (deep := _deep(path, notes)):
            picture, orientation = deep, exif.orientation
    pixels = _shown(picture, orientation, notes)
    if np.ptp(np.percentile(pixels[::4, ::4], (0.1, 99.9))) < 8:
        notes.append("nearly all of it is of one tone, so nobody can be seen")
    named = tuple(f"{path}: {text}" for text in notes)
    return Picture(pixels, exif.focal_length, named, exif.orientation)


def _open(file: IO[bytes], formats: tuple[str, ...] = _FORMATS) -> "Image":
    """Opens an image as `Image.open` does, but for Pillow's limit, which is others': ours is `MAX_PIXELS`."""
    from PIL import Image, UnidentifiedImageError

    Image.init()
    head = file.read(16)
    for opened, accepts in (Image.OPEN[name] for name in formats):
        file.seek(0)
        if accepts is None or accepts(head) is True:
            with suppress(SyntaxError, IndexError, TypeError, struct.error):  # what decoders say: not mine
                return opened(file, "")
    raise UnidentifiedImageError


def _check_size(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        megapixels = f"{width * height / 1e6:.0f} megapixels, expected at most {MAX_PIXELS // 10**6}"
        raise BadInput(f"{width}x{height} is {megapixels}; reduce it first")


def _png_damage(path: Path) -> str | None:
    """Says what is wrong with a PNG by its checksums, of which Pillow takes no notice while it decodes."""
    try:
        with path.open("rb") as file:
            _open(file, ("PNG",)).verify()
    except (OSError, SyntaxError) as error:
        return _reason(error)
    return None


def _cut_off(content: bytes, notes: list[str]) -> "Image":
    """Reads a JPEG without its last bytes, as far as it goes.

    Rows that depend on what is put in place of the absent bytes are those that are lost.
    """
    content = content.rstrip(b"\0")
    pictures = [_open(BytesIO(content + more + b"\xff\xd9")) for more in (b"", b"\x55" * 100_000)]
    first, second = (np.asarray(picture.convert("RGB"), np.int16) for picture in pictures)
    differing = np.flatnonzero((np.abs(first - second) > 24).any((1, 2)))
    lost = len(first) - differing[0] if len(differing) else 0
    if lost > max(16, MAX_LOST * len(first)):
        raise BadInput(f"cut short, only the upper {1 - lost / len(first):.0%} can be read; get it again")
    end = f"the lowest {lost} of its {len(first)} rows are lost" if lost else "all of it could be read"
    notes.append(f"the file is cut short; {end}")
    return pictures[0]


def _deep(path: Path, notes: list[str]) -> "Image | None":
    """Reads an image of more than 8 bits a colour, by another decoder; None where it is none, or has the usual 8."""
    import cv2
    from PIL import Image

    values = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    if values is None or values.dtype == np.uint8:
        return None
    if values.ndim == 2:
        return Image.fromarray(_eight_bits(values, notes))
    alpha = np.asarray(values[..., 3:] // 256, np.uint8)
    return Image.fromarray(np.concatenate([_eight_bits(values[..., 2::-1], notes), alpha], axis=2))


def _odd_tiff(file: IO[bytes], path: Path, notes: list[str]) -> "Image":
    """Reads a TIFF whose numbers Pillow does not know, such as colours of floating point."""
    from PIL import UnidentifiedImageError
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

    file.seek(0)
    head = file.read(8)
    if head[:4] in (b"II*\0", b"MM\0*"):
        tags = ImageFileDirectory_v2(head)
        file.seek(tags.next)
        tags.load(file)
        _check_size(tags.get(256, 0), tags.get(257, 0))
        if image := _deep(path, notes):
            return image.convert("RGB")
    raise UnidentifiedImageError


def _eight_bits(values: NDArray[Any], notes: list[str]) -> NDArray[np.uint8]:
    """Brings numbers of any range to 0 to 255."""
    low, high = float(values.min()), float(values.max())
    if not 0 <= low <= high < 2**32:
        raise BadInput(f"pixels from {low:g} to {high:g}, expected 0 to 1, 255 or 65535")
    if values.dtype.kind == "f" and high < 256:
        return np.asarray(np.rint(values * (255 if high <= 1 else 1)), np.uint8)
    bits = next(bits for bits in (8, 10, 12, 14, 16, 24, 32) if high < 2**bits)
    if bits != 16:
        notes.append(f"its values reach {high:.0f}, so they are taken for numbers of {bits} bits")
    return np.asarray(values.astype(np.int64) >> (bits - 8), np.uint8)


def _shown(picture: "Image", orientation: int, notes: list[str]) -> NDArray[np.uint8]:
    """Returns the pixels (H, W, 3) that a viewer shows."""
    from PIL import Image, ImageOps

    if picture.mode[0] in "IF":  # one channel of more than 8 bits
        picture = Image.fromarray(_eight_bits(np.asarray(picture), notes))
    if picture.has_transparency_data:
        colours = picture.convert("RGBA")
        picture = Image.new("RGB", colours.size, "white")
        picture.paste(colours, mask=colours.getchannel("A"))
    plain = Image.fromarray(np.asarray(picture.convert("RGB")))  # without other EXIF, which may be unreadable
    plain.getexif()[ORIENTATION] = orientation
    ImageOps.exif_transpose(plain, in_place=True)
    return np.array(plain, np.uint8, order="C")


def _reason(error: Exception) -> str:
    """Returns one line about an error, without the file's name."""
    text = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
    return text.splitlines()[0].strip().rstrip(".").lower()
