"""Which images are there, and which of them can be believed."""

import io
from pathlib import Path

import cv2
import numpy as np
import pytest

from hmrcli.data.images import missing_images, read_bgr
from hmrcli.errors import BadInput

PHOTO = Path(__file__).parents[2] / "data" / "photos" / "walk.jpg"


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    return cv2.resize(cv2.imread(str(PHOTO)), (320, 180))


def encoded(picture: np.ndarray, *options: int, suffix: str = ".jpg") -> bytes:
    return cv2.imencode(suffix, picture, list(options))[1].tobytes()


def test_missing_images_are_named_once_in_the_order_of_the_rows(tmp_path):
    for name in ("a/1.jpg", "a/2.jpg", "a/b/3.jpg", "c\\4.jpg", "top.jpg"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    there = [
        "a/1.jpg",
        "a/2.jpg",
        "a/b/3.jpg",
        "c/4.jpg",
        "top.jpg",
        "a/b/../1.jpg",
        str(tmp_path / "a/2.jpg"),
    ]
    gone = ["a/3.jpg", "nowhere/1.jpg", "a/b/1.jpg"]
    names = np.array([*gone[:1], *there, *gone, *there])
    assert missing_images(tmp_path, names) == gone
    assert missing_images(tmp_path, np.array(there)) == []
    assert missing_images(tmp_path / "no folder", np.array(["x.jpg"] * 3)) == ["x.jpg"]


def test_files_that_an_archive_from_windows_left_are_read(tmp_path, picture):
    (tmp_path / "walk\\one\\1.png").write_bytes(encoded(picture, suffix=".png"))
    assert np.array_equal(read_bgr(tmp_path / "walk" / "one" / "1.png"), picture)


KINDS = {
    "plain": (),
    "progressive": (cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
    "with restarts": (cv2.IMWRITE_JPEG_RST_INTERVAL, 4),
}


def turned_bits(content: bytes) -> bytes:
    middle = len(content) // 2
    return (
        content[:middle]
        + bytes(byte ^ 0x5A for byte in content[middle : middle + 40])
        + content[middle + 40 :]
    )


DAMAGE = {
    "garbled": turned_bits,
    "cut": lambda content: content[: len(content) // 2],
    "ends in zeros": lambda content: content[: len(content) // 2] + bytes(len(content) // 2),
    "has a hole": lambda content: (
        content[: len(content) // 3] + bytes(4000) + content[len(content) // 3 + 4000 :]
    ),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_jpeg_is_named_and_nothing_else_is_printed(tmp_path, picture, capfd, kind, damage):
    path = tmp_path / "torn.jpg"
    path.write_bytes(DAMAGE[damage](encoded(picture, *KINDS[kind])))
    with pytest.raises(BadInput, match=r"torn\.jpg: (a damaged image|not an image)") as caught:
        read_bgr(path)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("kind", KINDS)
def test_a_jpeg_that_only_has_more_than_its_pixels_is_read(tmp_path, picture, kind):
    content = encoded(picture, *KINDS[kind])
    whole = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    path = tmp_path / "whole.jpg"
    film = b"ftypmp42\xff\xda" + b"\0" * 300
    for more in (b"", b"\0" * 300, content, film):  # nothing, padding, a second picture, a phone's film
        path.write_bytes(content + more)
        assert np.array_equal(read_bgr(path), whole)
    path.write_bytes(content[:-2] + b"\0" * 30 + content[-2:])
    assert np.array_equal(read_bgr(path), whole)


def test_what_is_printed_while_decoding_is_not_lost(tmp_path, picture, capfd, monkeypatch):
    path = tmp_path / "whole.png"
    path.write_bytes(encoded(picture, suffix=".png"))
    decode = cv2.imdecode

    def talking(*given):
        io.FileIO(2, "w", closefd=False).write(b"another thread\nlibpng warning: iCCP\n")
        return decode(*given)

    monkeypatch.setattr(cv2, "imdecode", talking)
    assert np.array_equal(read_bgr(path), picture)
    assert capfd.readouterr().err == "another thread\n"
