"""Whose an arm is, by made-up landmarks of two people side by side."""

from dataclasses import replace

import numpy as np
import pytest

from hmrcli.people import LANDMARK_INDEX, Detection, Landmarks
from hmrcli.people.arms import on_neighbours, with_arms, with_arms_of, without_shared_arms
from hmrcli.people.crops import mask_at
from hmrcli.people.skeleton import KEYPOINTS

L = LANDMARK_INDEX
HAND = [L[f"left_{part}"] for part in ("elbow", "wrist", "pinky", "index", "thumb")]


def landmarks(points: np.ndarray) -> Landmarks:
    n = len(points)
    return Landmarks(
        points2d=points.astype(float),
        visibility=np.full((n, 33), 0.9),
        presence=np.ones((n, 33)),
        points3d=np.concatenate([points / 200, np.zeros((n, 33, 1))], 2),
        score=np.ones(n),
        masks=np.zeros((n, 8, 8)),
        crop_to_image=np.zeros((n, 2, 3)),
        source=np.arange(n),
    )


def people(*elbows: tuple[float, float, float]) -> list[Detection]:
    """Detections of people 400 pixels tall by x, y and confidence of their left elbows."""
    found = []
    for elbow in elbows:
        keypoints = np.zeros((17, 3))
        keypoints[KEYPOINTS.index("left_elbow")] = elbow
        found.append(Detection(np.array([0.0, 0, 150, 400]), 0.5, keypoints))
    return found


@pytest.fixture
def hanging() -> Landmarks:
    """One person whose left arm hangs."""
    points = np.random.default_rng(0).uniform(0, 400, (1, 33, 2))
    points[0, [L["left_shoulder"], L["left_elbow"], L["left_wrist"]]] = [[150, 100], [160, 180], [165, 260]]
    return landmarks(points)


@pytest.fixture
def pointing(hanging: Landmarks) -> Landmarks:
    """The same person, whose left arm points to the right, a head's breadth higher, and nearer by 10 cm."""
    points = hanging.points2d.copy()
    points[0, HAND] = [[230, 105], [300, 100], [315, 98], [318, 100], [312, 95]]
    points3d = landmarks(points).points3d - [0, 0, 0.1]
    return replace(landmarks(points), points3d=points3d, visibility=np.full((1, 33), 0.6))


def test_the_arm_is_taken_that_the_detector_saw(hanging, pointing):
    joined = with_arms_of(hanging, pointing, people((232, 103, 0.5)))
    assert (joined.points2d[0, HAND] == pointing.points2d[0, HAND]).all()
    assert (joined.visibility[0, HAND] == 0.6).all()
    others = np.setdiff1d(np.arange(33), HAND)
    assert (joined.points2d[0, others] == hanging.points2d[0, others]).all()
    assert (joined.points3d[0, others] == hanging.points3d[0, others]).all()
    # In space the arm hangs on the shoulder of the look that is kept.
    shoulder = L["left_shoulder"]
    expected = pointing.points3d[0, HAND] - pointing.points3d[0, shoulder] + hanging.points3d[0, shoulder]
    assert np.allclose(joined.points3d[0, HAND], expected)


@pytest.mark.parametrize("elbow", [(232, 103, 0.2), (160, 180, 0.9), (10, 390, 0.9)])
def test_an_arm_is_kept_that_the_detector_doubts_agrees_with_or_saw_in_neither(hanging, pointing, elbow):
    joined = with_arms_of(hanging, pointing, people(elbow))
    assert (joined.points2d == hanging.points2d).all() and (joined.visibility == hanging.visibility).all()


def pair(hanging: Landmarks, pointing: Landmarks, shift: float) -> Landmarks:
    """Two people, the second of whom has the first one's forearm, moved by some pixels, for a right one."""
    points = np.concatenate([pointing.points2d, hanging.points2d + [600, 0]])
    forearm = points[0, [L["left_elbow"], L["left_wrist"]]] + [0, shift]
    points[1, [L["right_elbow"], L["right_wrist"]]] = forearm
    return landmarks(points)


def test_a_forearm_of_two_people_stays_with_the_one_whose_elbow_the_detector_saw(hanging, pointing):
    both = pair(hanging, pointing, 5)
    right = [L[f"right_{part}"] for part in ("elbow", "wrist", "pinky", "index", "thumb")]
    told = without_shared_arms(both, people((230, 105, 0.4), (0, 0, 0.0)))
    assert (told.visibility[1, right] == 0).all() and (told.visibility[0] == both.visibility[0]).all()
    keypoints = people((230, 105, 0.4), (0, 0, 0.0))
    keypoints[1].keypoints[KEYPOINTS.index("right_elbow")] = [230, 110, 0.8]
    told = without_shared_arms(both, keypoints)
    assert (told.visibility[0, HAND] == 0).all() and (told.visibility[1] == both.visibility[1]).all()


def test_arms_that_only_cross_or_are_unseen_are_both_kept(hanging, pointing):
    detected = people((230, 105, 0.4), (0, 0, 0.0))
    apart = pair(hanging, pointing, 40)
    assert (without_shared_arms(apart, detected).visibility == apart.visibility).all()
    unseen = pair(hanging, pointing, 5)
    unseen.visibility[1, L["right_wrist"]] = 0.1
    assert (without_shared_arms(unseen, detected).visibility == unseen.visibility).all()


def test_an_arm_on_a_neighbour_that_the_detector_does_not_see_is_the_neighbour_s(hanging, pointing):
    two = landmarks(np.concatenate([hanging.points2d, np.full((1, 33, 2), 380.0)]))
    masks, crops = np.zeros((2, 256, 256)), np.stack([np.eye(2, 3)] * 2)
    masks[1, 240:, 100:] = (
        1  # the neighbour is where the wrist at (165, 260) would be, were crops not shifted
    )
    crops[1, 1, 2] = 15
    known = np.arange(2)

    def theirs(elbow: float, seen: np.ndarray = masks, certain: np.ndarray = known) -> list[list[bool]]:
        return on_neighbours(two, people((160, 180, elbow), (0, 0, 0)), seen, crops, certain).tolist()

    assert theirs(0.1)[0][0]
    assert not theirs(0.5)[0][0]  # the detector sees it there
    assert not theirs(0.1, certain=known[:1])[0][0]
    assert not theirs(0.1, 0 * masks)[0][0]
    own = np.zeros_like(masks)
    own[0] = 1
    assert not theirs(0.1, own)[0][0]
    joined = with_arms(two, pointing, np.array([[True, False]]), np.array([0]))
    assert (joined.points2d[0, HAND] == pointing.points2d[0, HAND]).all()
    assert (joined.visibility[0, HAND] == 0.6).all() and (joined.points2d[1] == two.points2d[1]).all()


def test_masks_are_read_where_their_crop_lies():
    mask = np.zeros((256, 256))
    mask[10:20, 30:40] = 1
    crop = np.array([[2.0, 0, 100], [0, 2, 50]])  # twice as large, from (100, 50)
    assert mask_at(mask, crop, np.array([[170.0, 80], [155, 80], [170, 95], [-9, 80]])).tolist() == [
        1,
        0,
        0,
        0,
    ]
