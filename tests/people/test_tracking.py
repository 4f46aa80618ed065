"""People followed through frames whose content, and so everyone's place, is known."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from hmrcli.people import Landmarks, tracking
from hmrcli.people.association import same_place
from hmrcli.people.sightings import boxes_around, compact
from hmrcli.people.skeleton import LANDMARK_MIRROR
from hmrcli.people.tracking import Tracker

SIZE = (640, 360)
"""Width and height of frames."""
NOSE = 0


def panned(photo: np.ndarray, k: int, step: float = 6.0) -> np.ndarray:
    """Gives a view of the photo, `k` steps of pixels further right."""
    return cv2.warpAffine(photo, np.float32([[0.36, 0, -step * k], [0, 0.36, 0]]), SIZE)


@pytest.fixture(scope="module")
def walker(photo, found) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The woman cut out, (300, 200, 3), her mask (300, 200, 1), and her nose in it."""
    x, y, w, h = boxes_around(found[[0]], photo.shape[:2])[0]
    scale = 260 / h
    move = np.float32([[scale, 0, 100 - scale * (x + w / 2)], [0, scale, 20 - scale * y]])
    mask = cv2.warpAffine(found.image_mask(0, *photo.shape[:2]), move, (200, 300))
    return cv2.warpAffine(photo, move, (200, 300)), mask[..., None], move @ [*found.points2d[0, NOSE], 1]


def scene(walker, places: dict[str, int]) -> np.ndarray:
    """Puts the woman, as she is or in other colours and mirrored, at places along a plain wall, the last in front."""
    picture, mask, _ = walker
    frame = np.full((SIZE[1], SIZE[0], 3), (150, 155, 160), np.float32)
    frame[300:] = (90, 85, 80)
    for who, left in places.items():
        person, shape = (picture, mask) if who == "plain" else (picture[:, ::-1, [2, 0, 1]], mask[:, ::-1])
        view = frame[40:340, left : left + 200]
        view[:] = view * (1 - shape) + person * shape
    return frame.astype(np.uint8)


def noses(tracker: Tracker) -> list[dict[int, np.ndarray]]:
    return [{one.frame: one.landmarks.points2d[0, NOSE] for one in seen} for seen in tracker.found()]


def test_people_are_followed_where_the_picture_goes(photo, found) -> None:
    tracker = Tracker()
    for k in range(10):
        tracker.see(panned(photo, k), k, k / 25)
    paths = noses(tracker)
    assert len(paths) == 2 and all(list(path) == list(range(10)) for path in paths)
    for path in paths:  # the photo's own landmarks, brought to the last frame
        truth = 0.36 * found.points2d[:, NOSE] - [6 * 9, 0]
        assert np.linalg.norm(truth - path[9], axis=1).min() < 5
        assert np.allclose(path[9] - path[0], [-54, 0], atol=5)


def test_a_second_opinion_of_depth_is_asked_for_on_every_other_frame(photo, monkeypatch) -> None:
    asked: list[int] = []
    other_depth = tracking.other_depth
    monkeypatch.setattr(tracking, "other_depth", lambda *crops: asked.append(1) or other_depth(*crops))
    depths = []
    for every in (1, 2):
        monkeypatch.setattr(tracking, "DEPTH_EVERY", every)
        tracker = Tracker()
        for k in range(6):
            tracker.see(panned(photo, k, 2), k, k / 25)
        depths.append([[one.landmarks.points3d[0, :, 2] for one in seen] for seen in tracker.found()])
    assert len(asked) == 2 * 5 + 3 + 3  # the first frame is the detector's
    always, half = np.array(depths)
    assert np.abs(always - half).max() < 0.03
    assert np.abs(always - half).mean() < 0.003 < np.abs(always[:, 1:] - always[:, :1]).max()


def test_ids_stay_through_a_crossing(walker) -> None:
    tracker, nose = Tracker(), walker[2]
    lefts = [{"other": 20 + 16 * k, "plain": 420 - 16 * k} for k in range(26)]
    for k, places in enumerate(lefts):
        tracker.see(scene(walker, places), k, k / 25)
    paths = noses(tracker)
    own = {
        "plain": lambda left: nose + [left, 40],
        "other": lambda left: [199 - nose[0] + left, nose[1] + 40],
    }
    long = [path for path in paths if {0, 25} <= set(path)]
    assert len(paths) == len(long) == 2
    ends = []
    for path in long:
        who = [min(own, key=lambda w: np.linalg.norm(own[w](lefts[k][w]) - path[k])) for k in (0, 25)]
        assert who[0] == who[1]
        assert np.linalg.norm(own[who[1]](lefts[25][who[1]]) - path[25]) < 15
        ends.append(who[1])
    assert sorted(ends) == ["other", "plain"]


def test_somebody_hidden_for_a_while_is_the_same_afterwards(walker) -> None:
    tracker = Tracker()
    for k in range(24):
        frame = scene(walker, {"plain": 60 + 8 * k})
        if 8 <= k < 14:
            frame[:, 110:330] = 120
        tracker.see(frame, k, k / 25)
    (path,) = noses(tracker)
    assert {0, 5, 20, 23} <= set(path) and not {10, 11} & set(path)


def test_another_view_shows_other_people(photo, walker) -> None:
    tracker = Tracker()
    for k in range(8):
        tracker.see(panned(photo, 0) if k < 4 else 255 - scene(walker, {"plain": 200})[:, ::-1], k, k / 2)
    assert all(max(path) < 4 or min(path) >= 4 for path in noses(tracker))


def test_a_flash_changes_nobody(photo) -> None:
    tracker = Tracker()
    for k in range(4):
        light = 90 if k == 2 else 0
        tracker.see(np.clip(panned(photo, k).astype(int) + light, 0, 255).astype(np.uint8), k, k / 25)
    assert [max(path) for path in noses(tracker)] == [3, 3]


def test_who_left_is_not_seen_any_more(walker) -> None:
    tracker = Tracker()
    for k in range(16):
        tracker.see(scene(walker, {"plain": 200} if k < 6 else {}), k, k / 10)
    (path,) = noses(tracker)
    assert max(path) == 5


def test_no_more_people_than_asked_are_followed(photo) -> None:
    tracker = Tracker(max_people=1)
    for k in range(3):
        tracker.see(panned(photo, k), k, k / 25)
    assert len(tracker.found()) == 1


def test_compact_landmarks_keep_the_mask_s_shape(found: Landmarks, photo) -> None:
    small = compact(found)
    assert small.masks.shape[1:] == (64, 64) and set(np.unique(small.masks)) <= {0, 1}
    for fine, coarse in zip(found.masks, small.masks):
        grown = np.kron(coarse, np.ones((4, 4)))
        assert ((fine > 0.5) & (grown > 0)).sum() > 0.9 * ((fine > 0.5) | (grown > 0)).sum()
    assert np.allclose(boxes_around(small, photo.shape), boxes_around(found, photo.shape), atol=8)


def test_somebody_read_once_from_the_front_and_once_from_behind_is_no_second_person(found) -> None:
    frontal = np.random.default_rng(0).uniform(0, 10, (33, 2)) + [[0, 6 * k] for k in range(33)]
    frontal[:, 0] += 80 * (np.arange(33) % 2)  # left landmarks have odd numbers
    from_behind = frontal[list(LANDMARK_MIRROR)] + 2
    pair = replace(found[[0, 0]], points2d=np.stack([frontal, from_behind]))
    assert not same_place(pair, 0, 1)
    assert same_place(pair, 0, 1, either_way=True)
    apart = replace(pair, points2d=np.stack([frontal, from_behind + [40, 0]]))
    assert not same_place(apart, 0, 1, either_way=True)
