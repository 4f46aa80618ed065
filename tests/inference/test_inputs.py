"""What users name on the command line, made into image files."""

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hmrcli.errors import BadInput
from hmrcli.inference.inputs import expand_inputs, natural_order, output_stems


def touch(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def names(paths, folder):
    return [path.relative_to(folder).as_posix() for path in paths]


def test_a_folder_gives_its_images_in_natural_order(tmp_path):
    touch(
        tmp_path,
        "frame10.jpg",
        "frame2.PNG",
        "Frame1.jpg",
        "notes.txt",
        "clip.mp4",
        "._frame2.PNG",
        "deep/a.jpg",
    )
    assert names(expand_inputs([str(tmp_path)]), tmp_path) == ["Frame1.jpg", "frame2.PNG", "frame10.jpg"]


def test_photos_that_cannot_be_read_are_not_passed_over_in_silence(tmp_path):
    touch(tmp_path, "a.HEIC", "b.jpg", "b.heic", "c.dng", "clip.mp4")
    notes = []
    assert names(expand_inputs([str(tmp_path)], note=notes.append), tmp_path) == ["a.HEIC", "b.jpg", "c.dng"]
    assert len(notes) == 1 and "1 video" in notes[0]
    assert names(expand_inputs([f"{tmp_path}/*.HEIC"]), tmp_path) == ["a.HEIC"]


def test_folders_below_a_folder_are_read_or_said_not_to_be(tmp_path):
    touch(tmp_path, "a.jpg", "x/b.jpg", "x/y/c.jpg", "z/notes.txt", ".git/d.jpg", "out/e.jpg", "only/f/g.jpg")
    notes = []
    assert names(expand_inputs([str(tmp_path)], note=notes.append), tmp_path) == ["a.jpg"]
    assert len(notes) == 1 and "4 folders" in notes[0] and "--recursive" in notes[0]
    found = expand_inputs([str(tmp_path)], recursive=True, note=notes.append, leave_out=tmp_path / "out")
    assert names(found, tmp_path) == ["a.jpg", "only/f/g.jpg", "x/b.jpg", "x/y/c.jpg"] and len(notes) == 1
    with pytest.raises(BadInput, match=r"no image and no video in this folder, 1 folder below.*--recursive"):
        expand_inputs([str(tmp_path / "only")])


def test_overlays_of_an_earlier_run_are_no_inputs(tmp_path):
    touch(tmp_path, "a.jpg", "a_overlay.png", "a.json", "b_overlay.png")
    assert names(expand_inputs([str(tmp_path)]), tmp_path) == ["a.jpg", "b_overlay.png"]


def test_patterns_match_images_and_two_stars_go_deeper(tmp_path):
    touch(tmp_path, "b/2.jpg", "b/10.jpg", "a/1.jpg", "a/1.txt", "0.jpg", ".hidden/3.jpg")
    assert names(expand_inputs([f"{tmp_path}/*/*"]), tmp_path) == ["a/1.jpg", "b/2.jpg", "b/10.jpg"]
    assert names(expand_inputs([f"{tmp_path}/**/*.jpg"]), tmp_path) == [
        "0.jpg",
        "a/1.jpg",
        "b/2.jpg",
        "b/10.jpg",
    ]


def test_a_file_is_taken_as_named_once_and_in_order(tmp_path, monkeypatch):
    touch(tmp_path, "z.jpg", "a.jpg", "x[1].jpg", "odd.data")
    monkeypatch.chdir(tmp_path)
    given_names = ["z.jpg", "x[1].jpg", "odd.data", "./z.jpg", str(tmp_path / "z.jpg"), "*.jpg"]
    assert expand_inputs(given_names) == [Path(name) for name in ("z.jpg", "x[1].jpg", "odd.data", "a.jpg")]


@pytest.mark.skipif(sys.platform == "win32", reason="the home folder has another variable there")
def test_home_is_known_in_quoted_inputs(tmp_path, monkeypatch):
    touch(tmp_path, "me.jpg")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert expand_inputs(["~/me.jpg"]) == expand_inputs(["~/*.jpg"]) == [tmp_path / "me.jpg"]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("none.jpg", "no such file"),
        (" ", "is empty"),
        ("fien.jpg", "did you mean fine.jpg"),
        ("https://example.org/a.jpg", "download"),
        ("none/*.jpg", "no image and no video matches"),
        ("*.txt", "no image and no video matches"),
        ("texts", "no image and no video in this folder"),
    ],
)
def test_inputs_without_an_image_are_refused_by_name(tmp_path, monkeypatch, text, word):
    touch(tmp_path, "texts/a.txt", "a.txt", "fine.jpg")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInput, match=word) as caught:
        expand_inputs(["fine.jpg", text])
    assert str(caught.value).startswith(f"{text}: " if text.strip() else "an input")


@given(st.lists(st.tuples(st.sampled_from(["a", "B", "frame_", ""]), st.integers(0, 10**6)), unique=True))
def test_natural_order_is_by_number(entries):
    paths = [Path(f"{word}{number}.jpg") for word, number in entries]
    ordered = sorted(paths, key=natural_order)
    expected = sorted(entries, key=lambda entry: (entry[0] != "", entry[0].lower(), entry[1]))
    assert ordered == [Path(f"{word}{number}.jpg") for word, number in expected]


def test_output_names_keep_names_apart_and_within_what_file_systems_take():
    long = Path("文" * 80 + ".jpg")
    paths = [Path("a/x.jpg"), Path("b/x.png"), Path("c/X.jpg"), Path("x-2.jpg"), long]
    found = [target.name for target in output_stems(paths, Path("out"))]
    assert found[:4] == ["x", "x-2", "X-3", "x-2-2"]
    assert long.stem.startswith(found[4]) and len(f"{found[4]}_overlay.png".encode()) <= 255


def test_videos_are_named_or_matched_and_overlays_are_none(tmp_path, monkeypatch) -> None:
    touch(tmp_path, "clip.mov", "v/b10.mp4", "v/b9.webm", "v/b9_overlay.mp4", "v/b9.json", "v/.c.mp4")
    monkeypatch.chdir(tmp_path)
    assert expand_inputs(["clip.mov"]) == [Path("clip.mov")]
    assert expand_inputs(["v/*"]) == [Path("v/b9.webm"), Path("v/b10.mp4")]
