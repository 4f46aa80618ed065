"""A clip's way from frames to files: interrupted and gone on, numbers that agree, and a video that plays."""

import json
from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch

from hmrcli.body import load_body
from hmrcli.inference.clip import Recovered, camera_moved, see_clip, tracks_of, usual_rate
from hmrcli.inference.clip_files import ClipTask, done_before, save_clip
from hmrcli.inference.clip_state import read_state, write_state
from hmrcli.inference.interruption import interrupted_between
from hmrcli.inference.predictor import Predictor
from hmrcli.inference.video import Clip, open_video
from hmrcli.motion import Track
from tests.inference.clips import moving, write_video
from tests.inference.test_predictor import checkpoint_of

pytestmark = pytest.mark.usefixtures("narrow_backbones")

COUNT = 10


def quiet(stage: str, done: int, total: int | None) -> None:
    pass


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Clip:
    return open_video(write_video(tmp_path_factory.mktemp("clip") / "pan.mp4", moving(COUNT)))


@pytest.fixture(scope="module")
def tracks(clip: Clip) -> list[Track]:
    return tracks_of(see_clip(clip, None, quiet))


@pytest.fixture(scope="module")
def saved(
    clip: Clip, tracks: list[Track], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict, Recovered]:
    predictor, camera = Predictor(body=load_body("open")), clip.camera
    motions = predictor.method.motions(clip, tracks, camera, "light", quiet)
    numbers = list(range(COUNT))
    recovered = Recovered(motions, [k / 25 for k in numbers], numbers)
    target = tmp_path_factory.mktemp("out") / "pan"
    task = ClipTask(clip, camera, target, {"overlay", "json", "npz"}, {"a": 1})
    entry = save_clip(task, recovered, predictor, quiet)
    assert done_before(task, predictor) == entry
    assert done_before(task._replace(saves={"bvh", "json"}), predictor) is None
    assert done_before(task._replace(settings={"a": 2}), predictor) is None
    return target, entry, recovered


def test_a_network_says_of_a_clip_what_it_says_of_its_frames(
    clip: Clip, tracks: list[Track], tmp_path: Path
) -> None:
    predictor = Predictor("hmr_l1", checkpoint_of("hmr_l1", tmp_path), device="cpu")
    motions = predictor.method.motions(clip, tracks, clip.camera, "none", quiet)
    frames = {frame.number: frame.pixels for frame in clip.frames()}
    for track, motion in zip(tracks, motions):
        for k in (0, -1):
            box, pixels = track.boxes[k], frames[int(track.frames[k])]
            (person,) = predictor(pixels, [box], camera=clip.camera)
            assert motion.rotmat[k] == pytest.approx(person.rotmat, abs=1e-4)
            assert motion.transl[k] == pytest.approx(person.transl, abs=1e-3)
    assert not np.allclose(motions[0].rotmat, motions[1].rotmat, atol=1e-3)


def test_a_clip_that_pans_has_a_camera_that_moves(clip: Clip, tracks: list[Track], tmp_path: Path) -> None:
    assert camera_moved(clip, tracks)
    still = open_video(write_video(tmp_path / "still.mp4", moving(COUNT, step=0)))
    assert not camera_moved(still, tracks)


def stop_at(count: int) -> Callable[[str, int, int | None], None]:
    def progress(stage: str, done: int, total: int | None) -> None:
        if done == count:
            raise KeyboardInterrupt

    return progress


def test_an_interrupted_clip_goes_on_as_if_it_had_not_been(
    clip: Clip, tracks: list[Track], tmp_path: Path
) -> None:
    state, settings = tmp_path / "state.npz", {"source": "a"}
    with pytest.raises(KeyboardInterrupt):
        see_clip(clip, None, stop_at(6), state, settings)
    told: list[int] = []
    seen = see_clip(clip, None, lambda stage, done, total: told.append(done), state, settings, resume=True)
    assert told == [7, 8, 9, 10]
    resumed = tracks_of(seen)
    assert len(resumed) == len(tracks) == 2
    for one, other in zip(resumed, tracks):
        assert (one.frames == other.frames).all() and np.allclose(one.boxes, other.boxes)
        assert np.allclose(one.landmarks.points2d, other.landmarks.points2d)
        assert np.allclose(one.landmarks.points3d, other.landmarks.points3d)


def test_a_state_of_other_settings_or_damaged_is_not_gone_on_from(clip: Clip, tmp_path: Path) -> None:
    state = tmp_path / "state.npz"
    with pytest.raises(KeyboardInterrupt):
        see_clip(clip, None, stop_at(1), state, {"source": "a"})
    assert read_state(state, {"source": "a"}, None) is not None
    assert read_state(state, {"source": "b"}, None) is None
    assert read_state(tmp_path / "absent.npz", {}, None) is None
    state.write_bytes(state.read_bytes()[:500])
    assert read_state(state, {"source": "a"}, None) is None


def test_a_state_without_anybody_is_kept(tmp_path: Path) -> None:
    from hmrcli.inference.clip_state import Seen
    from hmrcli.people.tracking import Tracker

    write_state(tmp_path / "s.npz", Seen(Tracker(), [0.0], [0]), {})
    seen = read_state(tmp_path / "s.npz", {}, None)
    assert seen is not None and seen.tracker.everyone == [] and seen.tracker.looked == -np.inf


def test_interruptions_wait_for_the_end_of_a_frame() -> None:
    import os
    import signal

    before = signal.getsignal(signal.SIGINT)
    with interrupted_between() as check:
        check()
        os.kill(os.getpid(), signal.SIGINT)
        done = True  # not interrupted here
        with pytest.raises(KeyboardInterrupt):
            check()
    assert done and signal.getsignal(signal.SIGINT) is before


def test_each_frame_has_a_line_of_the_contract(saved: tuple[Path, dict, Recovered]) -> None:
    target, entry, _ = saved
    lines = [json.loads(line) for line in Path(f"{target}.jsonl").read_text().splitlines()]
    assert [line["frame"] for line in lines] == list(range(COUNT)) and entry["frames"] == COUNT
    assert np.allclose([line["time"] for line in lines], np.arange(COUNT) / 25)
    for line in lines:
        assert (line["width"], line["height"]) == (640, 360)
        assert sorted(person["track_id"] for person in line["people"]) == [1, 2]
        for person in line["people"]:
            shapes = {name: np.shape(person[name]) for name in ("rotmat", "pose", "betas", "cam", "transl")}
            assert shapes == {
                "rotmat": (24, 3, 3),
                "pose": (72,),
                "betas": (10,),
                "cam": (3,),
                "transl": (3,),
            }
            placed = np.array(person["joints3d"]) + person["transl"]
            projected = person["focal_length"] * placed[:, :2] / placed[:, 2:] + person["principal_point"]
            assert np.allclose(projected, person["joints2d"], atol=0.01)
            assert person["focal_source"] == "diagonal" and len(person["joints_visibility"]) == 24


def test_bodies_move_with_the_picture(saved: tuple[Path, dict, Recovered]) -> None:
    lines = [json.loads(line) for line in Path(f"{saved[0]}.jsonl").read_text().splitlines()]
    for number in (1, 2):
        hips = [
            np.mean([p["joints2d"][1], p["joints2d"][2]], 0)
            for line in lines
            for p in line["people"]
            if p["track_id"] == number
        ]
        assert np.allclose(hips[-1] - hips[0], [-5 * (COUNT - 1), 0], atol=6)


def test_arrays_of_a_person_are_those_of_the_lines(saved: tuple[Path, dict, Recovered]) -> None:
    target, entry, _ = saved
    lines = [json.loads(line) for line in Path(f"{target}.jsonl").read_text().splitlines()]
    body = load_body("open")
    for person in entry["people"]:
        with np.load(person["files"]["npz"], allow_pickle=False) as arrays:
            assert arrays["track_id"] == person["track_id"] and (arrays["frames"] == np.arange(COUNT)).all()
            for k, line in enumerate(lines):
                (same,) = [p for p in line["people"] if p["track_id"] == person["track_id"]]
                for name in ("rotmat", "pose", "transl", "joints3d", "joints2d", "cam"):
                    assert np.allclose(arrays[name][k], same[name], atol=2e-4), name
                assert np.allclose(arrays["betas"], same["betas"], atol=1e-5)
            posed = body(
                torch.from_numpy(arrays["rotmat"]), torch.from_numpy(arrays["betas"]).expand(COUNT, -1)
            )
            assert np.allclose(posed.joints, arrays["joints3d"], atol=1e-4)


def test_the_overlay_plays_everywhere_and_shows_the_bodies(
    saved: tuple[Path, dict, Recovered], clip: Clip
) -> None:
    _, entry, recovered = saved
    with av.open(entry["files"]["overlay"]) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264" and stream.codec_context.pix_fmt == "yuv420p"
        drawn = [(frame.time, frame.to_ndarray(format="rgb24")) for frame in container.decode(stream)]
    head = Path(entry["files"]["overlay"]).read_bytes()[:4096]
    assert b"moov" in head  # plays before all of it is there
    assert np.allclose([time for time, _ in drawn], recovered.times, atol=0.002)
    height, width = drawn[0][1].shape[:2]
    assert height == 360 and width > 640
    for (_, picture), frame in zip(drawn, clip.frames()):
        changed = np.abs(picture[:, :640].astype(int) - frame.pixels).max(2) > 50
        for motion in recovered.motions:
            x, y, w, h = motion.bbox_xywh[frame.number].astype(int)
            inside = changed[y : y + h, x : x + w].mean()
            assert inside > 0.15
        boxes = np.zeros_like(changed)
        for motion in recovered.motions:
            x, y, w, h = motion.bbox_xywh[frame.number].astype(int)
            boxes[max(y - 40, 0) : y + h + 10, max(x - 10, 0) : x + w + 10] = True
        assert changed[~boxes].mean() < 0.01


def test_the_usual_rate_follows_the_times_of_frames() -> None:
    assert usual_rate([0, 0.1, 0.2, 0.4], 30) == pytest.approx(7.5)
    assert usual_rate([0.0], 30) == 30 and usual_rate([], 24) == 24


def test_no_video_is_left_where_drawing_fails(tmp_path: Path) -> None:
    from hmrcli.render.movie import movie

    with pytest.raises(ZeroDivisionError), movie(tmp_path / "a.mp4", 25) as add:
        add(np.zeros((64, 64, 3), np.uint8), 0.0)
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []
    with movie(tmp_path / "a.mp4", 29.97) as add:
        for k in range(3):
            add(np.full((65, 63, 3), 80 * k, np.uint8), k / 29.97)
    capture = cv2.VideoCapture(str(tmp_path / "a.mp4"))  # another reader than the writer
    assert capture.get(cv2.CAP_PROP_FRAME_WIDTH) == 62 and capture.get(cv2.CAP_PROP_FRAME_HEIGHT) == 64
    assert [capture.read()[0] for _ in range(4)] == [True, True, True, False]
