"""Clips read as a player shows them, and what is said of those that cannot be read."""

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from hmrcli.errors import BadInput, MissingFile, UsageError
from hmrcli.inference.task import Asked, camera_of
from hmrcli.inference.video import open_images, open_video
from tests.inference.clips import moving, write_sound, write_video

FRAMES = moving(6, size=(320, 180))


def near(a: np.ndarray, b: np.ndarray, tolerance: float = 6.0) -> bool:
    return a.shape == b.shape and float(np.abs(a.astype(int) - b).mean()) < tolerance


def test_frames_come_in_order_with_their_times(tmp_path: Path) -> None:
    clip = open_video(write_video(tmp_path / "a.mp4", FRAMES))
    assert (clip.width, clip.height, round(clip.fps), clip.count) == (320, 180, 25, 6)
    frames = list(clip.frames())
    assert [frame.number for frame in frames] == list(range(6))
    assert np.allclose([frame.time for frame in frames], np.arange(6) / 25)
    assert all(near(frame.pixels, image) for frame, image in zip(frames, FRAMES))
    assert not near(frames[0].pixels, FRAMES[5])
    later = list(clip.frames(start=4))
    assert [frame.number for frame in later] == [4, 5] and later[0].time == frames[4].time


def test_frames_keep_varying_times(tmp_path: Path) -> None:
    times = [0.5, 0.54, 0.7, 1.0, 1.02, 2.0]
    clip = open_video(write_video(tmp_path / "a.mkv", FRAMES, times))
    assert np.allclose([frame.time for frame in clip.frames()], np.array(times) - 0.5, atol=0.002)


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_the_display_matrix_turns_frames(tmp_path: Path, degrees: int) -> None:
    clip = open_video(write_video(tmp_path / "a.mp4", FRAMES[:2], turned=degrees))
    expected = np.rot90(FRAMES[0], degrees // 90)
    assert (clip.height, clip.width) == expected.shape[:2]
    assert near(next(clip.frames()).pixels, expected)


def test_ten_bits_and_other_codecs_are_read(tmp_path: Path) -> None:
    for name, options in {
        "a.mp4": {"pixels": "yuv420p10le"},
        "b.webm": {"codec": "libvpx-vp9"},
        "c.avi": {"codec": "mpeg4"},
        "d.mov": {"pixels": "yuv444p"},
    }.items():
        clip = open_video(write_video(tmp_path / name, FRAMES[:3], **options))
        frames = list(clip.frames())
        assert len(frames) == 3 and near(frames[2].pixels, FRAMES[2], 8), name


def test_pixels_become_square(tmp_path: Path) -> None:
    clip = open_video(write_video(tmp_path / "a.mp4", FRAMES[:1], shape=Fraction(2, 1)))
    assert (clip.width, clip.height) == (640, 180)
    assert near(next(clip.frames()).pixels, cv2.resize(FRAMES[0], (640, 180)))


def test_reduced_frames_are_of_the_asked_size(tmp_path: Path) -> None:
    clip = open_video(write_video(tmp_path / "a.mp4", FRAMES[:1], turned=90))
    assert next(clip.frames(max_side=160)).pixels.shape == (160, 90, 3)


def test_one_frame_is_a_clip(tmp_path: Path) -> None:
    assert len(list(open_video(write_video(tmp_path / "a.mp4", FRAMES[:1])).frames())) == 1


def test_bad_videos_are_named_with_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("no video\n" * 100)
    (tmp_path / "list.mp4").write_text("#EXTM3U\n#EXTINF:1,\nother.ts\n")
    whole = write_video(tmp_path / "whole.mp4", FRAMES).read_bytes()
    (tmp_path / "head.mp4").write_bytes(whole[: len(whole) // 2])
    write_sound(tmp_path / "sound.mp4")
    for name, words in {
        "empty.mp4": "the file is empty",
        "text.mp4": "no video that can be read",
        "list.mp4": "no video that can be read",
        "head.mp4": "no video that can be read",
        "sound.mp4": "sound alone",
    }.items():
        with pytest.raises(BadInput, match=words) as raised:
            open_video(tmp_path / name)
        assert name in str(raised.value) and "\n" not in str(raised.value)
    with pytest.raises(MissingFile):
        open_video(tmp_path / "absent.mp4")
    with pytest.raises(BadInput):
        open_video(tmp_path)


def test_damage_in_the_middle_costs_the_frames_there_alone(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mkv", moving(30, size=(320, 180)), codec="mjpeg", pixels="yuvj420p")
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 9000] = bytes(9000)
    path.write_bytes(content)
    notes: list[str] = []
    frames = list(open_video(path, notes.append).frames())
    assert 15 <= len(frames) < 30 or notes
    assert len(frames) >= 15


def test_images_are_a_clip_of_a_given_rate(tmp_path: Path) -> None:
    paths = [tmp_path / f"{k}.png" for k in range(4)]
    for path, image in zip(paths, FRAMES):
        cv2.imwrite(str(path), image[..., ::-1])
    clip = open_images(paths, 10)
    frames = list(clip.frames())
    assert [frame.time for frame in frames] == [0, 0.1, 0.2, 0.3] and (frames[3].pixels == FRAMES[3]).all()
    notes: list[str] = []
    paths[1].write_bytes(paths[1].read_bytes()[:100])
    assert [f.number for f in open_images(paths, 10, notes.append).frames()] == [0, 2, 3]
    assert len(notes) == 1 and "1.png" in notes[0]
    cv2.imwrite(str(paths[2]), FRAMES[2][:100])
    with pytest.raises(BadInput, match=r"2\.png"):
        open_images(paths, 10)


def test_a_clip_s_camera_is_given_or_its_diagonal(tmp_path: Path) -> None:
    clip = open_video(write_video(tmp_path / "a.mp4", FRAMES[:1]))
    usual, given = (camera_of(clip.camera, Asked((), focal=focal)) for focal in (None, ("px", 500.0)))
    assert (usual.focal_length, usual.source) == (pytest.approx(np.hypot(320, 180)), "diagonal")
    assert (given.focal_length, given.source, given.principal_point) == (500.0, "given", (160, 90))
    with pytest.raises(UsageError, match="--focal"):
        camera_of(clip.camera, Asked((), focal=("px", 5.0)))
