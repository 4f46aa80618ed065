"""Children in clips: one age for each person, by all of their frames."""

from collections.abc import Callable

import numpy as np
import pytest

from hmrcli.body import load_body
from hmrcli.inference.children import LOOKS, ages_of_tracks, spread
from hmrcli.inference.clip import see_clip, tracks_of
from hmrcli.inference.predictor import Predictor
from hmrcli.inference.video import Clip, open_video
from hmrcli.motion import Motion, Track
from tests.inference.clips import beside_a_child, write_video

COUNT = 6


def quiet(stage: str, done: int, total: int | None) -> None:
    pass


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Clip:
    return open_video(write_video(tmp_path_factory.mktemp("kid") / "kid.mp4", beside_a_child(COUNT)))


@pytest.fixture(scope="module")
def tracks(clip: Clip) -> list[Track]:
    return tracks_of(see_clip(clip, None, quiet))


def only(track: Track, keep: slice) -> Track:
    values = (track.frames, track.times, track.boxes, track.landmarks)
    return Track(track.track_id, *(value[keep] for value in values))


def test_someone_small_beside_an_adult_is_a_child_in_every_frame(clip: Clip, tracks: list[Track]) -> None:
    found = Predictor().method.motions(clip, tracks, clip.camera, "light", quiet)
    woman, child = sorted(found, key=_left)
    assert woman.body.age is None and child.body.age is not None and 4 <= child.body.age <= 10
    assert len(child.frames) == COUNT and (child.scores > 0.8).all()
    near = np.abs(child.transl[:, 2] / woman.transl[:, 2] - 1)  # not an adult twice as far away
    assert near.max() < 0.2


def _left(motion: Motion) -> float:
    return float(motion.bbox_xywh[0, 0])


def test_frames_in_which_a_child_is_beside_nobody_do_not_count(clip: Clip, tracks: list[Track]) -> None:
    woman, child = sorted(tracks, key=lambda track: float(track.boxes[0, 0]))
    met = ages_of_tracks(load_body("open"), [only(woman, slice(4, None)), child], clip.camera)
    assert met[0] is None and met[1] is not None
    assert ages_of_tracks(load_body("open"), [child], clip.camera) == [None]


def test_a_frame_that_looks_like_a_child_makes_none(
    clip: Clip, tracks: list[Track], monkeypatch: pytest.MonkeyPatch
) -> None:
    woman = min(tracks, key=lambda track: float(track.boxes[0, 0]))

    def gained(frames: int) -> Callable[..., np.ndarray]:
        return lambda body, targets, cost, years: (
            np.where(np.arange(COUNT) < frames, 9.0, -1.0)[:, None] * (np.ones(len(years)))
        )

    monkeypatch.setattr("hmrcli.inference.children.gains", gained(COUNT // 2 - 1))
    assert ages_of_tracks(load_body("open"), [woman], clip.camera) == [None]
    monkeypatch.setattr("hmrcli.inference.children.gains", gained(COUNT // 2 + 1))
    assert ages_of_tracks(load_body("open"), [woman], clip.camera) != [None]


def test_people_seen_at_the_same_time_are_looked_at_in_the_same_frames() -> None:
    long, short = np.arange(7, 900), np.arange(300, 340)
    looked, others = set(long[spread(long)]), set(short[spread(short)])
    assert LOOKS <= len(looked) <= 2 * LOOKS and LOOKS <= len(others) <= 2 * LOOKS
    assert {frame for frame in looked if 300 <= frame < 340} <= others
    assert len(spread(np.arange(3))) == 3
