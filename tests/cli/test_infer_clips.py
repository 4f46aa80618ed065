"""`hmr infer` on videos, series of images and a camera, through the command line."""

import json
from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import trimesh

from hmrcli.inference import webcam
from tests.cli.test_infer import PHOTO, Done, body_file
from tests.inference.clips import moving, write_sound, write_video
from tests.inference.test_predictor import checkpoint_of


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("video") / "pan.mp4", moving(4))


@pytest.fixture(scope="module")
def done(video: Path) -> Iterator[tuple[Done, Path]]:
    out = video.parent / "out"
    yield Done([str(video), "--out", str(out), "--save", "overlay,json,npz", "--smooth", "none"]), out


def test_a_video_gives_its_files_and_says_so(done: tuple[Done, Path]) -> None:
    result, out = done
    assert result.code == 0
    assert "2 people in 4 frames" in result.stdout and "frames a second" in result.stdout
    assert {path.name for path in out.iterdir()} == {
        "pan.json", "pan.jsonl", "pan_1.npz", "pan_2.npz", "pan_overlay.mp4",
    }  # fmt: skip
    document = json.loads((out / "pan.json").read_text())
    (entry,) = document["videos"]
    assert (entry["frames"], entry["width"], entry["height"]) == (4, 640, 360)
    assert [person["track_id"] for person in entry["people"]] == [1, 2]
    assert len(document["joint_names"]) == 24 and document["body_model"]["name"] == "open"


def test_what_is_done_is_skipped_and_printed_again(done: tuple[Done, Path], video: Path) -> None:
    _, out = done
    before = (out / "pan_overlay.mp4").stat().st_mtime_ns
    options = ["--out", str(out), "--save", "overlay,json,npz", "--smooth", "none", "--resume", "--json"]
    again = Done([str(video), *options])
    assert again.code == 0 and "was done before" in again.stderr
    assert again.stdout == (out / "pan.jsonl").read_text()
    assert (out / "pan_overlay.mp4").stat().st_mtime_ns == before


def test_an_interrupted_video_exits_with_130_and_goes_on(
    video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hmrcli.people.tracking import Tracker

    see = Tracker.see

    def see_two(self: Tracker, image: np.ndarray, frame: int, time: float) -> list:
        if frame == 2:
            raise KeyboardInterrupt
        return see(self, image, frame, time)

    options = [str(video), "--out", str(tmp_path), "--save", "json"]
    monkeypatch.setattr(Tracker, "see", see_two)
    stopped = Done(options)
    assert stopped.code == 130 and "--resume goes on" in stopped.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["pan_state.npz"]
    monkeypatch.setattr(Tracker, "see", see)
    assert Done([*options, "--resume"]).code == 0
    assert {path.name for path in tmp_path.iterdir()} == {"pan.json", "pan.jsonl"}
    lines = (tmp_path / "pan.jsonl").read_text().splitlines()
    assert [json.loads(line)["frame"] for line in lines] == [0, 1, 2, 3]


def test_images_of_a_folder_are_a_clip_with_fps(tmp_path: Path) -> None:
    folder = tmp_path / "shots"
    folder.mkdir()
    for k, image in enumerate(moving(3)):
        cv2.imwrite(str(folder / f"{k}.png"), image[..., ::-1])
    result = Done([str(folder), "--fps", "5", "--out", str(tmp_path / "o"), "--save", "json", "--json"])
    assert result.code == 0
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line["time"] for line in lines] == [0.0, 0.2, 0.4]
    assert {path.name for path in (tmp_path / "o").iterdir()} == {"shots.json", "shots.jsonl"}


def test_a_video_of_nobody_has_lines_without_people(tmp_path: Path) -> None:
    frames = [np.full((180, 320, 3), (90, 140, 200), np.uint8)] * 2
    result = Done(
        [str(write_video(tmp_path / "sky.mp4", frames)), "--out", str(tmp_path), "--save", "overlay,json"]
    )
    assert result.code == 0 and "nobody in 2 frames" in result.stdout
    lines = (tmp_path / "sky.jsonl").read_text().splitlines()
    assert [json.loads(line)["people"] for line in lines] == [[], []]


def test_one_frame_is_a_clip(tmp_path: Path) -> None:
    path = write_video(tmp_path / "one.mp4", moving(1))
    result = Done([str(path), "--out", str(tmp_path), "--save", "overlay,json"])
    assert result.code == 0 and "2 people in 1 frames" in result.stdout
    with av.open(str(tmp_path / "one_overlay.mp4")) as container:
        assert len(list(container.decode(video=0))) == 1


def test_bad_videos_end_with_code_4_and_name_the_file(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.avi").write_text("no video")
    write_sound(tmp_path / "sound.mp4")
    for name in ("empty.mp4", "text.avi", "sound.mp4"):
        result = Done([str(tmp_path / name), "--out", str(tmp_path / "o")])
        assert result.code == 4 and name in result.stderr and result.stdout == ""
    folder = Done([str(tmp_path), "--out", str(tmp_path / "o")])
    assert folder.code == 4 and "3 of 3 inputs" in folder.stderr, folder.stderr
    assert all(name in folder.stderr for name in ("empty.mp4", "text.avi", "sound.mp4"))
    cv2.imwrite(str(tmp_path / "sky.png"), np.full((64, 64, 3), 200, np.uint8))
    inputs = [str(tmp_path / "empty.mp4"), str(tmp_path / "sky.png")]
    both = Done([*inputs, "--out", str(tmp_path / "o"), "--save", "json"])
    assert both.code == 4 and "empty.mp4" in both.stderr and (tmp_path / "o" / "sky.json").exists()


def test_what_cannot_be_asked_of_clips_is_said_before_work(video: Path, tmp_path: Path) -> None:
    out = ["--out", str(tmp_path)]
    for options, word in (
        ([str(video), "--bbox", "1,2,3,4"], "few for a person"),
        ([str(video), "--bbox", "500,10,100,100"], "nobody was recognised in box 500,10,100,100"),
        ([str(video), str(PHOTO), "--bbox", "1,2,300,400"], "--bbox"),
        (["--camera", "0", "--bbox", "1,2,300,400"], "--bbox"),
        ([str(video), str(PHOTO), "--json"], "--json"),
        ([str(video), "--fps", "25"], "--fps"),
        ([str(PHOTO), "--fps", "-1"], "--fps"),
        ([str(PHOTO), "--world"], "--world"),
        ([str(video), "--mesh-format", "obj"], "--mesh-format"),
        ([str(video), "--focal", "1"], "--focal"),
        ([], "--camera"),
        ([str(video), "--camera", "0"], "--camera"),
    ):
        result = Done([*options, *out])
        assert result.code == 2 and word in result.stderr, options
    assert list(tmp_path.iterdir()) == []


def test_who_is_boxed_in_the_first_frame_is_followed_alone(
    done: tuple[Done, Path], video: Path, tmp_path: Path
) -> None:
    first = json.loads((done[1] / "pan.jsonl").read_text().splitlines()[0])["people"]
    other = max(first, key=lambda person: person["track_id"])["bbox_xywh"]
    box = ["--bbox", ",".join(f"{value:.0f}" for value in other)]
    result = Done([str(video), "--out", str(tmp_path), "--save", "json", "--json", *box])
    assert result.code == 0
    people = [json.loads(line)["people"] for line in result.stdout.splitlines()]
    assert [len(one) for one in people] == [1, 1, 1, 1]
    assert np.allclose(people[0][0]["bbox_xywh"], other, atol=15)


def test_a_network_regresses_a_clip(video: Path, tmp_path: Path) -> None:
    checkpoint = checkpoint_of("hmr_l1", tmp_path)
    options = [
        "--recipe",
        "hmr_l1",
        "--checkpoint",
        str(checkpoint),
        "--body-model",
        "open",
        "--device",
        "cpu",
    ]
    result = Done([str(video), *options, "--out", str(tmp_path), "--save", "overlay,json,amass", "--json"])
    assert result.code == 0
    people = [json.loads(line)["people"] for line in result.stdout.splitlines()]
    assert [[person["method"] for person in frame] for frame in people] == [["regression"] * 2] * 4
    assert json.loads((tmp_path / "pan.json").read_text())["checkpoint"]["path"] == str(checkpoint)
    assert (tmp_path / "pan_overlay.mp4").stat().st_size > 10_000


def test_a_clip_gives_what_other_tools_read(video: Path, tmp_path: Path) -> None:
    saves = "mesh,amass,bvh,openpose,coco,json"
    result = Done([str(video), "--out", str(tmp_path), "--save", saves, "--world", "--max-people", "1"])
    assert result.code == 0
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {
        "pan.json", "pan.jsonl", "pan_1.glb", "pan_1_amass.npz", "pan_1.bvh", "pan_openpose", "pan_coco.json",
    }  # fmt: skip
    assert len(list((tmp_path / "pan_openpose").iterdir())) == 4
    (entry,) = json.loads((tmp_path / "pan.json").read_text())["videos"]
    assert set(entry["people"][0]["files"]) == {"mesh", "amass", "bvh"}
    assert set(entry["files"]) == {"openpose", "coco", "json"}
    rotation = np.array(entry["world"]["rotation"])
    assert np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-5)
    scene = trimesh.load(tmp_path / "pan_1.glb")
    assert len(scene.geometry) == 1
    assert "Frames: 4" in (tmp_path / "pan_1.bvh").read_text()


class FakeCamera:
    """Gives frames as OpenCV's capture does, then Ctrl-C."""

    def __init__(self, frames: list[np.ndarray]) -> None:
        self.frames, self.released = frames, False

    def isOpened(self) -> bool:
        return bool(self.frames)

    def read(self) -> tuple[bool, np.ndarray | None]:
        if not self.frames:
            raise KeyboardInterrupt
        return True, self.frames.pop(0)[..., ::-1]

    def release(self) -> None:
        self.released = True


def test_a_camera_is_recorded_until_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    camera = FakeCamera(moving(3))
    monkeypatch.setattr(webcam, "device", lambda number: camera)
    result = Done(["--camera", "1", "--out", str(tmp_path), "--save", "overlay,json"])
    assert result.code == 0 and camera.released and "Ctrl-C ends it" in result.stderr
    assert {path.name for path in tmp_path.iterdir()} == {
        "camera1.mp4", "camera1.json", "camera1.jsonl", "camera1_overlay.mp4",
    }  # fmt: skip
    lines = [json.loads(line) for line in (tmp_path / "camera1.jsonl").read_text().splitlines()]
    assert len(lines) == 3 and all(len(line["people"]) == 2 for line in lines)
    monkeypatch.setattr(webcam, "device", lambda number: FakeCamera([]))
    absent = Done(["--camera", "7", "--out", str(tmp_path)])
    assert absent.code == 4 and "--camera: 7" in absent.stderr


def test_what_files_need_is_looked_for_before_a_camera_records(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webcam, "device", lambda number: FakeCamera(moving(1)))
    out = tmp_path / "out"
    lacking = Done(
        ["--camera", "0", "--body-model", body_file(tmp_path), "--save", "coco", "--out", str(out)]
    )
    assert lacking.code == 3 and "J_regressor_extra.npy" in lacking.stderr
    assert not list(out.glob("*.mp4"))
