import cv2
import numpy as np
import pytest

from hmrcli.assets.bundled import bundled
from hmrcli.people import LANDMARK_INDEX, Detection, body_landmarks, detect_people
from hmrcli.people.detect import DOUBTFUL, SURE, faces, people_in_box, same_person
from hmrcli.people.movenet import turn_back
from hmrcli.people.similarity import overlap

WOMAN = np.array([906, 520, 242, 412])  # drawn by eye
MAN = np.array([589, 74, 116, 380])


def test_finds_the_woman_and_the_man_on_the_roof(detections):
    assert len(detections) == 2
    assert overlap(detections[0].bbox_xywh, WOMAN) > 0.8
    assert overlap(detections[1].bbox_xywh, MAN) > 0.8
    assert 1 > detections[0].score >= detections[1].score > 0.25


def test_keypoints_are_inside_the_box(detections):
    for person in detections:
        x, y, width, height = person.bbox_xywh
        seen = person.keypoints[person.keypoints[:, 2] > 0.3, :2]
        assert len(seen) > 10
        assert (seen > [x - 15, y - 15]).all()
        assert (seen < [x + width + 15, y + height + 15]).all()


def test_is_deterministic(photo, detections):
    again = detect_people(photo)
    assert [p.score for p in again] == [p.score for p in detections]
    assert all(np.array_equal(a.keypoints, b.keypoints) for a, b in zip(again, detections))


def test_max_people_keeps_the_best(photo, detections):
    (best,) = detect_people(photo, max_people=1)
    assert np.array_equal(best.bbox_xywh, detections[0].bbox_xywh)


@pytest.mark.parametrize("image", ["black", "noise", "photo without people", "a line"])
def test_nobody(image, photo):
    images = {
        "black": np.zeros((480, 640, 3), np.uint8),
        "noise": np.random.default_rng(0).integers(0, 256, (480, 640, 3)).astype(np.uint8),
        "photo without people": np.ascontiguousarray(photo[:, 1160:]),
        "a line": np.zeros((2, 900, 3), np.uint8),
    }
    assert len(body_landmarks(images[image], detect_people(images[image]))) == 0


@pytest.mark.parametrize("scale", [0.4, 0.7, 1.5])
def test_finds_the_same_people_at_other_scales(photo, detections, scale):
    scaled = detect_people(cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))
    assert len(scaled) == 2
    for a in detections:
        assert max(overlap(a.bbox_xywh, b.bbox_xywh / scale) for b in scaled) > 0.85


def test_two_copies_side_by_side_are_two_people(photo):
    woman = photo[470:980, 860:1190]
    people = detect_people(np.concatenate([woman, woman], 1))
    assert len(people) == 2
    left, right = sorted(people, key=lambda p: p.bbox_xywh[0])
    assert right.bbox_xywh[0] - left.bbox_xywh[0] == pytest.approx(330, abs=10)


def test_more_than_six_people(photo):
    woman = cv2.resize(photo[470:980, 860:1190], None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    assert len(detect_people(np.tile(woman, (2, 5, 1)))) == 10


def test_a_portrait_the_detector_misses_is_found_whole(photo, detections):
    half = np.ascontiguousarray(photo[490:760, 890:1160])
    people = detect_people(half, min_score=0.9)  # no detection scores that much
    assert len(people) == 1
    assert np.array_equal(people[0].bbox_xywh, [0, 0, 270, 270])
    nose = detections[0].keypoints[0, :2] - [890, 490]
    assert people[0].keypoints[0, :2] == pytest.approx(nose, abs=12)


def test_a_box_gives_the_person_in_it(photo, detections):
    (person,) = people_in_box(photo, WOMAN)
    assert np.array_equal(person.bbox_xywh, WOMAN)
    assert same_person(person, detections[0])
    assert not same_person(person, detections[1])


@pytest.mark.parametrize(
    "box", [(1300, 100, 200, 300), (-500, -500, 100, 100), (5000, 5000, 50, 50), (0, 0, 0, 0)]
)
def test_nobody_is_in_a_box_without_a_person(photo, box):
    assert people_in_box(photo, np.array(box, float)) == []


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_turned_photo_has_the_same_people(photo, found, turns):
    """Quarter turns, as of a phone held sideways: everybody's landmarks turn with the photo."""
    turned = np.ascontiguousarray(np.rot90(photo, turns))
    people = body_landmarks(turned, detect_people(turned))
    assert len(people) == 2
    back = [turn_back(points, turns, turned.shape[1::-1]) for points in people.points2d]
    assert np.abs(back - found.points2d).mean((1, 2)).max() < 8


def test_someone_upside_down_beside_someone_upright(photo, found):
    woman = photo[470:980, 860:1190]
    both = np.concatenate([woman, woman[::-1, ::-1]], 1)
    people = body_landmarks(both, detect_people(both))
    noses = people.points2d[np.argsort(people.points2d[:, 0, 0]), 0]
    nose = found.points2d[0, 0] - [860, 470]
    assert noses == pytest.approx(np.stack([nose, [660 - nose[0], 510 - nose[1]]]), abs=10)


def test_a_small_person_in_a_large_picture(photo, found):
    large = np.full((2600, 3900, 3), (120, 140, 110), np.uint8)
    large[1200:1455, 2500:2665] = cv2.resize(
        photo[470:980, 860:1190], (165, 255), interpolation=cv2.INTER_AREA
    )
    people = body_landmarks(large, detect_people(large))
    assert len(people) == 1
    expected = (found.points2d[0] - [860, 470]) / 2 + [2500, 1200]
    assert np.abs(people.points2d[0] - expected).mean() < 8


def test_a_crowd_is_not_cut(photo):
    woman = cv2.resize(photo[500:950, 880:1170], (58, 90), interpolation=cv2.INTER_AREA)
    assert len(detect_people(np.tile(woman, (8, 15, 1)))) > 100


@pytest.mark.parametrize(
    ("name", "turns"), [("dahlia", 0), ("autumn", 1), ("hotel", 3), ("pagoda", 1), ("shed", 2)]
)
def test_a_flower_or_a_landscape_that_fills_the_image_is_nobody(name, turns):
    image = cv2.imread(str(bundled(f"scenes/backdrops/{name}.jpg")))[:, :, ::-1]
    scale = min(1, 1024 / max(image.shape[:2]))
    image = np.rot90(cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), turns)
    image = np.ascontiguousarray(image)
    assert len(body_landmarks(image, detect_people(image))) == 0


def test_two_people_who_overlap_are_both_found(overlapping):
    image, behind, before = overlapping
    people = body_landmarks(image, detect_people(image))
    assert len(people) == 2
    for nose in (behind, before):
        assert np.linalg.norm(people.points2d[:, 0] - nose, axis=1).min() < 10


def test_someone_cut_by_the_edge(photo):
    cut = np.ascontiguousarray(photo[470:980, 1010:])  # her back half
    people = body_landmarks(cut, detect_people(cut))
    assert len(people) == 1
    assert people.points2d[0, LANDMARK_INDEX["left_hip"]] == pytest.approx([25, 260], abs=15)


def face(place: tuple[float, float], score: float, clear: float = 0.7) -> Detection:
    """Someone whose eyes are 40 pixels apart, with the rest of the body in doubt."""
    keypoints = np.zeros((17, 3))
    keypoints[:3] = [[20, 15, clear], [40, 0, clear], [0, 0, clear]]
    keypoints[:, :2] += place
    return Detection(np.array([*place, 100.0, 200.0]), score, keypoints)


def test_a_face_that_several_looks_see_is_somebody_of_whom_the_landmarks_have_to_tell():
    looks = [[face((100 + k, 50), 0.08), face((400, 60), 0.3)] for k in range(3)]
    known = [face((402, 61), 0.3)]
    (found,) = faces(looks, known)
    assert DOUBTFUL < found.score < SURE
    assert np.allclose(found.keypoints[:3, :2] - found.keypoints[2, :2], [[20, 15], [40, 0], [0, 0]])
    left, right = found.keypoints[5:7]
    assert left[1] == right[1] > 100 and left[0] > 140 and right[0] < 100  # below the face, wider than it
    assert not found.keypoints[7:, 2].any()
    assert faces(looks[:2], known) == []
    assert faces([[face((100, 50 + 60 * k), 0.08)] for k in range(3)], known) == []
    assert faces([[face((100, 50), 0.08, clear=0.3)]] * 3, known) == []
    assert faces([[face((100, 50), 0.03)]] * 3, known) == []
