import os
import struct
import warnings
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from hmrcli.errors import BadInput
from hmrcli.inference import images
from hmrcli.inference.images import read_image, read_picture

# Three colours in bands, so that channel order, rotation and inversion all show.
BANDS = np.zeros((24, 36, 3), np.uint8)
BANDS[:, :12], BANDS[:, 12:24], BANDS[:, 24:] = (250, 30, 20), (20, 240, 60), (10, 20, 230)
BANDS[:12] = BANDS[:12] // 2
NOISE = np.random.default_rng(0).integers(0, 256, (200, 300, 3), np.uint8)


def saved(folder, name, picture, **options):
    path = folder / name
    picture.save(path, **options)
    return path


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.bmp", "a.ppm", "a.gif", "a.webp", "a.jp2"])
def test_lossless_formats_give_the_pixels_saved(tmp_path, name):
    options = {"lossless": True} if name == "a.webp" else {}
    path = saved(tmp_path, name, Image.fromarray(BANDS), **options)
    image = read_image(path)
    assert image.dtype == np.uint8 and image.flags.c_contiguous and image.flags.writeable
    np.testing.assert_array_equal(image, BANDS)


@pytest.mark.parametrize("name", ["a.jpg", "a.avif"])
def test_lossy_formats_give_nearly_the_pixels_saved(tmp_path, name):
    smooth = cv2.resize(BANDS, (144, 96), interpolation=cv2.INTER_LINEAR)
    image = read_image(saved(tmp_path, name, Image.fromarray(smooth), quality=95))
    assert np.abs(image.astype(int) - smooth).mean() < 4


def test_jpeg_agrees_with_another_decoder(tmp_path):
    path = saved(tmp_path, "a.jpg", Image.fromarray(NOISE), quality=90)
    assert np.abs(read_image(path).astype(int) - cv2.imread(str(path))[..., ::-1]).max() <= 2


# How a camera that writes this tag saw the scene (EXIF 2.32, section 4.6.4: where row 0 and column 0 lie).
UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a),
}


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.tif"])
def test_rotation_from_exif_is_applied_once(tmp_path, name, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if name == "a.webp" else {}
    path = saved(tmp_path, name, Image.fromarray(BANDS), exif=exif.tobytes(), **options)
    image, expected = read_image(path), UPRIGHT[orientation](BANDS)
    assert image.shape == expected.shape
    assert np.abs(image.astype(int) - expected).mean() < (8 if name == "a.jpg" else 1e-9)
    if name == "a.jpg":
        np.testing.assert_allclose(image.astype(int), cv2.imread(str(path))[..., ::-1], atol=3)


def test_unreadable_exif_does_not_hide_the_picture(tmp_path):
    path = saved(tmp_path, "a.png", Image.fromarray(BANDS), exif=b"Exif\x00\x00not a header at all")
    np.testing.assert_array_equal(read_image(path), BANDS)


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
@pytest.mark.parametrize("channels", [1, 3])
def test_16_bits_are_scaled_not_clipped(tmp_path, name, channels):
    ramp = np.linspace(0, 65535, 24 * 36).astype(np.uint16).reshape(24, 36)
    ramp = ramp if channels == 1 else np.stack([ramp, ramp[::-1], ramp[:, ::-1]], axis=2)
    path = tmp_path / name
    assert cv2.imwrite(str(path), ramp if channels == 1 else ramp[..., ::-1])
    expected = np.repeat(ramp[..., None], 3, axis=2) if channels == 1 else ramp
    np.testing.assert_allclose(read_image(path).astype(float), expected / 257.0, atol=1)


@pytest.mark.parametrize(
    ("name", "kind", "scale", "bits"),
    [
        ("grey.png", np.uint16, 16, 12),
        ("grey.tif", np.uint16, 4, 10),
        ("grey.png", np.uint16, 1, 8),
        ("grey.tif", np.int32, 1, 8),
        ("colour.png", np.uint16, 16, 12),
        ("colour.tif", np.uint16, 64, 14),
        ("colour.png", np.uint16, 1, 8),
        ("grey.tif", np.float32, 1 / 255, None),
        ("grey.tif", np.float32, 1, None),
        ("colour.tif", np.float32, 1 / 255, None),
    ],
)
def test_numbers_that_use_a_part_of_their_bits_are_not_read_as_black(tmp_path, name, kind, scale, bits):
    """Cameras and converters store 10, 12 or 8 bits in files of 16 or 32."""
    values = NOISE if name.startswith("colour") else NOISE[..., 0]
    assert cv2.imwrite(
        str(tmp_path / name), (values[..., ::-1] if values.ndim == 3 else values) * np.array(scale, kind)
    )
    picture = read_picture(tmp_path / name)
    expected = values if values.ndim == 3 else np.repeat(values[..., None], 3, axis=2)
    np.testing.assert_allclose(picture.pixels.astype(int), expected, atol=1)
    assert len(picture.notes) == (bits is not None) and all(f"{bits} bits" in note for note in picture.notes)


def test_numbers_without_a_known_range_are_refused(tmp_path):
    values = np.linspace(-1, 1, 100, dtype=np.float32).reshape(10, 10)
    for array in (values, np.full_like(values, np.nan)):
        path = saved(tmp_path, "a.tif", Image.fromarray(array))
        with pytest.raises(BadInput, match=r"a\.tif: .*expected 0 to 1"):
            read_image(path)


@pytest.mark.parametrize(("cut", "zeros"), [(2, 0), (40, 0), (40, 40), (40, 100_000)])
@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_without_its_last_bytes_is_read_with_a_note(tmp_path, cut, zeros, progressive):
    smooth = cv2.GaussianBlur(cv2.resize(NOISE, (600, 400)), (31, 31), 0)
    path = saved(tmp_path, "a.jpg", Image.fromarray(smooth), progressive=progressive)
    whole = read_image(path).astype(int)
    path.write_bytes(path.read_bytes()[:-cut] + bytes(zeros))
    picture = read_picture(path)
    assert np.abs(picture.pixels - whole)[:380].max() < 40
    assert len(picture.notes) == 1 and "cut short" in picture.notes[0] and "a.jpg" in picture.notes[0]


@pytest.mark.parametrize("name", ["a.jpg", "a.png"])
def test_a_file_that_is_garbled_inside_is_said_to_be_damaged(tmp_path, name, capfd):
    path = saved(tmp_path, name, Image.fromarray(np.repeat(np.repeat(NOISE, 4, 0), 4, 1)))
    assert read_picture(path).notes == ()
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    if name == "a.jpg":
        content[middle : middle + 3000] = bytes(3000)
    else:
        content[-20] ^= 1  # a checksum
    path.write_bytes(content)
    assert "damaged" in read_picture(path).notes[0] and not capfd.readouterr().err


def test_what_follows_the_end_of_a_jpeg_is_no_matter(tmp_path):
    """Phones append a film or a second picture, in which any bytes occur."""
    path = saved(tmp_path, "a.jpg", Image.fromarray(NOISE))
    path.write_bytes(path.read_bytes() + b"ftypmp42\xff\xda" + bytes(1000))
    assert read_picture(path).notes == ()


def test_zeros_in_place_of_half_a_jpeg_are_no_picture(tmp_path):
    path = saved(tmp_path, "a.jpg", Image.fromarray(NOISE))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2] + bytes(len(content) // 2))
    with pytest.raises(BadInput, match=r"only the upper 4.%"):
        read_image(path)


def exif_photo(folder, size=(300, 200), **tags):
    exif = Image.Exif()
    details = exif.get_ifd(0x8769)
    numbers = {
        "film": 0xA405,
        "length": 0x920A,
        "resolution": 0xA20E,
        "unit": 0xA210,
        "wide": 0xA002,
        "high": 0xA003,
    }
    details.update({numbers[name]: value for name, value in tags.items() if name != "turn"})
    exif[0x0112] = tags.get("turn", 1)
    return saved(folder, "a.jpg", Image.fromarray(NOISE).resize(size), exif=exif.tobytes())


DIAGONAL = np.hypot(300, 200)


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({"film": 28}, 28 / 43.2666 * DIAGONAL),
        ({"film": 28, "turn": 6}, 28 / 43.2666 * DIAGONAL),
        ({"film": 28, "wide": 3000, "high": 2000}, 28 / 43.2666 * DIAGONAL),
        # 50 mm on a sensor 36 mm wide, of 6000 pixels: 50/36 of the width.
        ({"length": 50, "resolution": 6000 / 3.6, "unit": 3, "wide": 6000, "high": 4000}, 50 / 36 * 300),
        ({"film": 28, "resolution": 1600.0}, 28 / 43.2666 * DIAGONAL),
        ({"film": 28, "resolution": 1600.0, "size": (300, 280)}, None),  # cut out of another picture
        ({"film": 200, "size": (300, 280)}, 200 / 43.2666 * np.hypot(300, 280)),  # at least
        ({"film": 28, "wide": 2000, "high": 2000}, None),
        ({"film": 85, "wide": 2000, "high": 2000}, 85 / 43.2666 * DIAGONAL),
        ({"film": 0}, None),
        ({"film": 65535}, None),
        ({"length": 50}, None),
    ],
)
def test_the_focal_length_is_the_camera_s(tmp_path, tags, expected):
    found = read_picture(exif_photo(tmp_path, **tags)).focal_length
    assert found is None if expected is None else found == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(
    ("size", "expected", "said"),
    [
        ((600, 400), 28 / 43.2666 * np.hypot(600, 400), None),  # as written
        ((300, 200), 28 / 43.2666 * np.hypot(300, 200), None),  # resized
        ((600, 338), 28 / 43.2666 * np.hypot(600, 400), "cut from 600x400"),  # to 16:9, in place
        ((338, 400), 28 / 43.2666 * np.hypot(600, 400), "cut from 600x400"),
        ((300, 280), None, "give it by --focal"),
        ((700, 400), None, "give it by --focal"),  # made wider
    ],
)
def test_a_picture_that_was_cut_has_the_lens_of_the_whole_one_or_none(tmp_path, size, expected, said):
    picture = read_picture(exif_photo(tmp_path, size, film=28, wide=600, high=400))
    found = picture.focal_length
    assert found is None if expected is None else found == pytest.approx(expected, rel=1e-4)
    assert picture.notes == () if said is None else said in picture.notes[0]
    assert picture.camera.source == ("diagonal" if expected is None else "exif")
    assert picture.camera.principal_point == (size[0] / 2, size[1] / 2)


def test_what_is_odd_about_a_picture_is_said(tmp_path):
    flat = saved(tmp_path, "flat.png", Image.new("RGB", (90, 60), (7, 7, 7)))
    assert "one tone" in read_picture(flat).notes[0]
    pages = saved(
        tmp_path, "p.tif", Image.fromarray(NOISE), save_all=True, append_images=[Image.fromarray(NOISE)]
    )
    assert "several" in read_picture(pages).notes[0]
    assert read_picture(saved(tmp_path, "a.png", Image.fromarray(NOISE))).notes == ()


@pytest.mark.parametrize("mode", ["L", "1", "LA"])
def test_grey_becomes_rgb(tmp_path, mode):
    picture = Image.fromarray(BANDS).convert(mode)
    expected = np.repeat(np.asarray(picture.convert("L"))[..., None], 3, axis=2)
    np.testing.assert_array_equal(read_image(saved(tmp_path, "a.png", picture)), expected)


@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.tif"])
def test_transparency_is_laid_on_white(tmp_path, name):
    alpha = np.full(BANDS.shape[:2], 255, np.uint8)
    alpha[:, :12], alpha[:, 12:24] = 0, 128
    picture = Image.fromarray(np.dstack([BANDS, alpha]))
    image = read_image(saved(tmp_path, name, picture, **({"lossless": True} if name == "a.webp" else {})))
    share = alpha[..., None] / 255
    np.testing.assert_allclose(image, BANDS * share + 255 * (1 - share), atol=1)


def test_palettes_with_and_without_transparency(tmp_path):
    picture = Image.fromarray(BANDS).convert("P", palette=Image.Palette.ADAPTIVE)
    np.testing.assert_array_equal(read_image(saved(tmp_path, "a.png", picture)), BANDS)
    index = np.asarray(picture)
    hidden = int(index[20, 3])
    image = read_image(saved(tmp_path, "b.png", picture, transparency=hidden))
    np.testing.assert_array_equal(image, np.where((index == hidden)[..., None], 255, BANDS))


@pytest.mark.parametrize("name", ["a.jpg", "a.tif"])
def test_cmyk_is_not_inverted(tmp_path, name):
    """Pillow and Adobe write CMYK JPEGs inverted and say so in a marker; OpenCV is the witness."""
    path = saved(
        tmp_path, name, Image.fromarray(BANDS).convert("CMYK"), **({"quality": 95} if name == "a.jpg" else {})
    )
    assert (b"Adobe" in path.read_bytes()) == (name == "a.jpg")
    image = read_image(path).astype(int)
    assert np.abs(image - BANDS).mean() < 6
    assert np.abs(image - cv2.imread(str(path))[..., ::-1]).mean() < 2


@pytest.mark.parametrize("name", ["a.gif", "a.tif", "a.webp", "a.png"])
def test_of_several_pictures_the_first_is_taken(tmp_path, name):
    options = {"lossless": True} if name == "a.webp" else {}
    others = [Image.fromarray(255 - BANDS)]
    path = saved(tmp_path, name, Image.fromarray(BANDS), save_all=True, append_images=others, **options)
    np.testing.assert_array_equal(read_image(path), BANDS)


def test_of_a_stereo_photo_the_main_picture_is_taken(tmp_path):
    """Phones write a depth map or a second view behind the photo (MPO)."""
    others = [Image.fromarray(255 - BANDS)]
    path = saved(tmp_path, "a.jpg", Image.fromarray(BANDS), format="MPO", save_all=True, append_images=others)
    assert np.abs(read_image(path).astype(int) - BANDS).mean() < 8


def test_content_decides_not_the_suffix_and_any_name_will_do(tmp_path):
    path = tmp_path / "ひと 👤 ä.data"
    Image.fromarray(BANDS).save(path, format="PNG")
    np.testing.assert_array_equal(read_image(path), BANDS)
    np.testing.assert_array_equal(read_image(str(path)), BANDS)


@pytest.mark.parametrize(
    "name", ["a.jpg", "a.png", "a.webp", "a.tif", "a.bmp", "a.gif", "a.jp2", "a.avif", "a.ppm"]
)
@pytest.mark.parametrize("kept", [0.02, 0.5, 0.95])
def test_files_cut_short_are_refused_by_name(tmp_path, name, kept, capfd):
    path = saved(tmp_path, name, Image.fromarray(NOISE))
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(BadInput) as caught:
        read_image(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and "\n" not in message
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("name", "content", "word"),
    [
        ("empty.jpg", b"", "empty"),
        ("page.png", b"<html>404 not found</html>", "not an image"),
        ("photo.heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
        ("heic.jpg", b"\0\0\0\x1cftypmif1\0\0\0\0mif1heic", "HEIC photo.*heif-convert"),
        ("film.jpg", b"\0\0\0\x14ftypqt  \0\0\0\0qt  ", "a video.*hmr infer"),
        ("raw.jpg", b"\0\0\0\x18ftypcrx \0\0\0\1crx isom", "raw photo"),
        ("a.nef", b"not known to anybody", "raw photo"),
        ("a.jpg", b"\xff\x0a" + bytes(30), "JPEG XL"),
        ("a.png", b"%PDF-1.7\n", "PDF"),
        ("a.png", b"8BPS\0\1", "Photoshop"),
        ("a.png", b'<?xml version="1.0"?>\n<svg width="9">', "SVG"),
        ("page.jpg", b"\n<!DOCTYPE html>\n<html>", "not an image but a web page"),
        ("a.jpg", b"PK\x03\x04" + bytes(30), "archive"),
        ("a.jpg", b"version https://git-lfs.github.com/spec/v1\noid sha256:1", "git lfs pull"),
        ("clip.MP4", b"\0\0\0\x18ftypisom\0\0\0\0isommp42", "a video.*hmr infer"),
        (
            "drawing.eps",
            b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n",
            "not an image",
        ),
    ],
)
def test_other_files_are_refused_with_the_reason(tmp_path, name, content, word):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(BadInput, match=word) as caught:
        read_image(path)
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)


def test_folders_missing_and_locked_files_are_refused(tmp_path):
    with pytest.raises(BadInput, match="folder"):
        read_image(tmp_path)
    with pytest.raises(BadInput, match="no such file"):
        read_image(tmp_path / "none.jpg")
    if os.name == "posix":
        loop = tmp_path / "loop.jpg"
        loop.symlink_to(loop)
        with pytest.raises(BadInput, match=r"loop\.jpg"):
            read_image(loop)


def test_a_file_that_may_not_be_read_is_not_called_damaged(tmp_path, monkeypatch):
    path = saved(tmp_path, "a.png", Image.fromarray(BANDS))

    def locked(self, mode):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "open", locked)
    with pytest.raises(BadInput, match=r"a\.png: cannot be read: permission denied$"):
        read_image(path)


def test_a_raw_photo_is_not_its_small_preview(tmp_path):
    """Cameras' raw photos are TIFF files whose first picture is a thumbnail."""
    for name, tags in (("a.tif", {50706: b"\1\4\0\0"}), ("a.dng", {})):
        path = saved(tmp_path, name, Image.fromarray(BANDS), format="TIFF", tiffinfo=tags)
        with pytest.raises(BadInput, match="raw photo"):
            read_image(path)


def claiming_png(width, height):
    """A PNG of a few bytes that says it is large."""

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b""))
        + chunk(b"IEND", b"")
    )


def test_a_decompression_bomb_is_refused_before_it_is_decoded(tmp_path):
    path = tmp_path / "bomb.png"
    path.write_bytes(claiming_png(60000, 60000))
    with pytest.raises(BadInput, match="60000x60000 is 3600 megapixels, expected at most 200"):
        read_image(path)


def test_large_photos_pass_without_a_warning_and_the_limit_of_others_stays(tmp_path, monkeypatch):
    path = saved(tmp_path, "a.png", Image.fromarray(NOISE))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(read_image(path), NOISE)
    assert Image.MAX_IMAGE_PIXELS == 100
    monkeypatch.setattr(images, "MAX_PIXELS", 59_999)
    with pytest.raises(BadInput, match="300x200"):
        read_image(path)
    assert Image.MAX_IMAGE_PIXELS == 100


@pytest.mark.filterwarnings("ignore:Corrupt EXIF", "ignore:Truncated File")
@given(
    st.binary(max_size=300),
    st.sampled_from([b"", b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"II*\0", b"BM", b"RIFF"]),
)
def test_no_bytes_whatever_end_in_another_error(tmp_path_factory, content, magic):
    path = tmp_path_factory.getbasetemp() / "fuzz.jpg"
    path.write_bytes(magic + content)
    try:
        image = read_image(path)
    except BadInput:
        return
    assert image.ndim == 3 and image.dtype == np.uint8
