import cv2
import numpy as np
import pytest

from hmrcli.people import LANDMARK_INDEX, Detection, body_landmarks
from hmrcli.people.movenet import turn_back
from hmrcli.people.skeleton import LANDMARK_MIRROR

# Read off the photo by eye.
WOMAN = {
    "nose": (1005, 561),
    "left_shoulder": (1040, 605),
    "left_wrist": (950, 694),
    "left_hip": (1035, 730),
    "right_knee": (976, 817),
    "left_ankle": (1125, 893),
    "right_ankle": (959, 907),
    "right_foot_index": (918, 919),
}


def spread(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.linalg.norm(a - b, axis=-1)


def test_landmarks_are_where_they_are_seen(found):
    assert len(found) == 2
    assert (found.score > 0.9).all()
    for name, place in WOMAN.items():
        index = LANDMARK_INDEX[name]
        assert spread(found.points2d[0, index], np.array(place)) < 15, name
        assert found.visibility[0, index] > 0.5, name


def test_metric_landmarks_are_a_body_around_its_hips_with_the_near_side_near(found):
    body = found.points3d[0]
    hips = [LANDMARK_INDEX["left_hip"], LANDMARK_INDEX["right_hip"]]
    assert body[hips].mean(0) == pytest.approx(np.zeros(3), abs=1e-6)
    assert 1.2 < np.ptp(body[:, 1]) < 1.9
    assert body[LANDMARK_INDEX["nose"], 1] < -0.4
    assert body[LANDMARK_INDEX["left_ankle"], 1] > 0.5
    # She walks to the left of the picture, so her left side is the near one.
    for part in ("shoulder", "hip", "elbow", "wrist"):
        assert body[LANDMARK_INDEX[f"left_{part}"], 2] < body[LANDMARK_INDEX[f"right_{part}"], 2] - 0.1
    # Seen from afar, metres and pixels differ by one scale.
    pixels = found.points2d[0] - found.points2d[0, hips].mean(0)
    scale = (pixels * body[:, :2]).sum() / (body[:, :2] ** 2).sum()
    assert spread(pixels, body[:, :2] * scale).mean() < 25


def test_mask_covers_the_person(photo, found):
    mask = found.image_mask(0, *photo.shape[:2])
    assert mask.shape == photo.shape[:2]
    assert mask.min() >= 0 and mask.max() <= 1
    for name in ("left_shoulder", "left_hip", "right_knee", "nose"):
        x, y = WOMAN[name]
        assert mask[y, x] > 0.5, name
    ys, xs = np.nonzero(mask > 0.5)
    assert (xs.min(), ys.min(), xs.max(), ys.max()) == pytest.approx((912, 522, 1146, 928), abs=15)
    assert 24_000 < len(xs) < 38_000


def test_is_deterministic(photo, detections, found):
    again = body_landmarks(photo, detections)
    assert all(np.array_equal(value, getattr(found, name)) for name, value in vars(again).items())


def test_people_together_and_alone_agree(photo, detections, found):
    for i, detection in enumerate(detections):
        alone = body_landmarks(photo, [detection])
        assert alone.points2d[0] == pytest.approx(found.points2d[i], abs=0.5)
        assert alone.points3d[0] == pytest.approx(found.points3d[i], abs=5e-3)


def test_a_box_gives_the_same_landmarks(photo, found):
    boxes = np.array([[906, 520, 242, 412], [589, 74, 116, 380]])
    from_boxes = body_landmarks(photo, boxes)
    assert from_boxes.source.tolist() == [0, 1]
    assert spread(from_boxes.points2d, found.points2d).mean(1).max() < 6


def test_every_box_gives_a_person_even_where_there_is_none(photo):
    boxes = np.array([[1300, 100, 200, 300], [-900, -900, 50, 50], [906, 520, 242, 412], [0, 0, 0, 0]])
    landmarks = body_landmarks(photo, boxes)
    assert landmarks.source.tolist() == [0, 1, 2, 3]
    assert landmarks.score[2] > 0.9
    assert np.delete(landmarks.score, 2).max() < 0.5
    assert np.isfinite(landmarks.points3d).all()


@pytest.mark.parametrize("person", [0, 1])
def test_a_box_around_one_of_two_who_overlap_gives_that_one(overlapping, person):
    image, *noses = overlapping
    box = np.array([[906 - 700 + 110 * person, 520 - 400, 242, 412]])
    landmarks = body_landmarks(image, box)
    assert landmarks.score[0] > 0.9
    assert spread(landmarks.points2d[0, 0], noses[person]) < 12


def test_a_box_around_someone_behind_a_smaller_person_gives_the_one_behind(photo, found):
    image = photo[470:980, 860:1190].copy()
    front = cv2.resize(photo[520:930, 906:1150], None, fx=0.7, fy=0.7, interpolation=cv2.INTER_AREA)
    image[200 : 200 + len(front), 106 : 106 + front.shape[1]] = front
    landmarks = body_landmarks(image, np.array([[46, 50, 242, 412]]))
    assert landmarks.score[0] > 0.9
    assert spread(landmarks.points2d[0, 0], found.points2d[0, 0] - [860, 470]) < 20


def test_a_box_beside_someone_does_not_give_that_neighbour(photo):
    beside = np.array([[1100, 520, 150, 412], [780, 520, 150, 412]])
    assert body_landmarks(photo, beside).score.tolist() == [0, 0]


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_box_in_a_turned_photo_gives_the_turned_person(photo, found, turns):
    turned = np.ascontiguousarray(np.rot90(photo, turns))
    corners = np.array([[906, 520], [906 + 242, 520 + 412]], float)
    low, high = np.sort(turn_back(corners, 4 - turns, photo.shape[1::-1]), 0)
    landmarks = body_landmarks(turned, np.concatenate([low, high - low])[None])
    assert landmarks.score[0] > 0.9
    back = turn_back(landmarks.points2d[0], turns, turned.shape[1::-1])
    assert spread(back, found.points2d[0]).mean() < 8


def test_a_person_seen_upside_down_as_well_is_one_person(photo, detections, found):
    woman = detections[0]
    x, y, width, height = woman.bbox_xywh
    upside_down = woman.keypoints * [-1, -1, 1] + [2 * x + width, 2 * y + height, 0]
    again = Detection(woman.bbox_xywh, 0.35, upside_down, turns=2)
    assert body_landmarks(photo, [again, woman]).source.tolist() == [1]


def test_scale_does_not_matter(photo, detections, found):
    half = cv2.resize(photo, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    smaller = [Detection(p.bbox_xywh / 2, p.score, p.keypoints * [0.5, 0.5, 1]) for p in detections]
    landmarks = body_landmarks(half, smaller)
    assert spread(landmarks.points2d * 2 + 0.5, found.points2d).mean(1).max() < 6
    assert spread(landmarks.points3d, found.points3d).mean(1).max() < 0.05


def test_mirrored_photo_gives_the_mirrored_body(photo, detections, found):
    width = photo.shape[1]
    mirrored = body_landmarks(
        np.ascontiguousarray(photo[:, ::-1]), np.array([[width - 906 - 242, 520, 242, 412]])
    )
    back = mirrored.points3d[0, list(LANDMARK_MIRROR)] * [-1, 1, 1]
    assert spread(back, found.points3d[0]).mean() < 0.05


def test_a_turned_photo_gives_the_turned_body(photo, found):
    """The crop's turn is undone in the image and in metres."""
    turn = cv2.getRotationMatrix2D((1027, 726), -25, 1)
    turned = body_landmarks(cv2.warpAffine(photo, turn, photo.shape[1::-1]), np.array([[850, 500, 340, 450]]))
    expected = found.points2d[0] @ turn[:, :2].T + turn[:, 2]
    assert spread(turned.points2d[0], expected).mean() < 15
    body = np.concatenate([found.points3d[0, :, :2] @ turn[:, :2].T, found.points3d[0, :, 2:]], 1)
    assert spread(turned.points3d[0], body).mean() < 0.1


def test_landmarks_outside_the_image_are_not_visible(photo, detections):
    cut = np.ascontiguousarray(photo[:800])  # her shins and feet are gone
    landmarks = body_landmarks(cut, detections[:1])
    below = landmarks.points2d[0, :, 1] >= 800
    assert below[LANDMARK_INDEX["left_ankle"]]
    assert not landmarks.visibility[0, below].any()
    assert landmarks.visibility[0, LANDMARK_INDEX["left_shoulder"]] > 0.5


def test_detections_that_show_nobody_or_someone_again_are_left_out(photo, detections):
    nobody = Detection(np.array([1300.0, 100, 200, 300]), 0.9, np.zeros((17, 3)))
    again = Detection(detections[0].bbox_xywh + 4, 0.5, detections[0].keypoints + np.array([4, 4, 0]))
    landmarks = body_landmarks(photo, [detections[0], nobody, again, detections[1]])
    assert landmarks.source.tolist() == [0, 3]


def test_nobody_gives_empty_arrays(photo):
    for people in ([], np.empty((0, 4))):
        landmarks = body_landmarks(photo, people)
        assert len(landmarks) == 0
        assert landmarks.points2d.shape == (0, 33, 2)
        assert landmarks.points3d.shape == (0, 33, 3)
        assert landmarks.crop_to_image.shape == (0, 2, 3)
