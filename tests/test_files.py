"""Files that cannot be written, and names that are nearly right."""

import errno
import os
import sys
import threading
from pathlib import Path

import pytest

from hmrcli.errors import BadInput, HmrError, UsageError
from hmrcli.files import advice, alone_in, did_you_mean, whole_file, writable_folder


def test_a_writable_folder_is_made_and_left_empty(tmp_path: Path) -> None:
    folder = writable_folder(tmp_path / "a" / "b")
    assert folder.is_dir() and not list(folder.iterdir())


@pytest.mark.parametrize("name", ["file", "file/below", "n" * 300, "dangling"])
def test_a_folder_that_cannot_be_made_is_refused_in_one_line(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere" / "else")
    with pytest.raises(UsageError) as caught:
        writable_folder(tmp_path / name)
    message = str(caught.value)
    assert message.startswith("--out: ") and name in message and "\n" not in message
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize(
    ("number", "kind", "word"),
    [
        (errno.EACCES, UsageError, "permission"),
        (errno.EROFS, UsageError, "read-only"),
        (errno.ENOSPC, BadInput, "space"),
    ],
)
def test_the_reason_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[HmrError], word: str
) -> None:
    def refuse(*args: object, **options: object) -> None:
        raise OSError(number, os.strerror(number), str(tmp_path))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(kind, match=word):
        writable_folder(tmp_path / "x")


def test_a_name_as_long_as_the_file_system_takes_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 251 + ".txt")
    with whole_file(path) as temporary:
        temporary.write_text("whole")
    assert path.read_text() == "whole" and list(tmp_path.iterdir()) == [path]


def test_a_failed_write_speaks_of_the_file_and_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_text("earlier")
    with pytest.raises(OSError) as caught, whole_file(path) as temporary:
        temporary.write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")  # as a write does: it names no file
    assert str(path) in str(advice(caught.value))
    assert path.read_text() == "earlier" and list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
@pytest.mark.parametrize("name", ["link", "link/below"])
def test_a_link_to_nowhere_is_called_one(tmp_path: Path, name: str) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    with pytest.raises(UsageError, match=r"link is a link to .*gone, which is not there"):
        writable_folder(tmp_path / name)


def test_one_at_a_time_writes_to_a_folder(tmp_path: Path) -> None:
    order: list[str] = []

    def second() -> None:
        with alone_in(tmp_path):
            order.append("second")

    with alone_in(tmp_path):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join(0.2)
        order.append("first")
    thread.join()
    assert order == ["first", "second"] and not list(tmp_path.iterdir())


def test_a_name_much_like_an_absent_one_is_proposed(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "walk.jpg").touch()
    assert (
        did_you_mean(tmp_path / "photos" / "wlak.jpg")
        == f"; did you mean {tmp_path / 'photos' / 'walk.jpg'}?"
    )
    assert "photos?" in did_you_mean(tmp_path / "fotos" / "walk.jpg")
    assert did_you_mean(tmp_path / "photos" / "zebra.png") == ""
    assert "walk.jpg?" in did_you_mean(tmp_path / "photos" / "WALK.JPG")
    assert did_you_mean(tmp_path / "photos" / "x.jpg") == "" == did_you_mean(tmp_path / "photos")
