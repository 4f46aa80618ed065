"""Finds people in a photo of any size: several looks at it, merged."""

import numpy as np

from hmrcli.people.blazepose import read_crops
from hmrcli.people.crops import crops_from_boxes, to_image, warp_crops
from hmrcli.people.movenet import Detection, look
from hmrcli.people.similarity import keypoint_similarity, overlap
from hmrcli.people.skeleton import LANDMARK_KEYPOINTS

SIDES = (256, 512, 1024)
"""Longer side of the image at each look: for people who fill it, for those in the middle, for small ones."""


def detect_people(
    image: np.ndarray, max_people: int | None = None, min_score: float = 0.25, sides: tuple[int, ...] = SIDES
) -> list[Detection]:
    """People in an image, best first.

    Args:
        image: (H, W, 3) uint8 RGB.
        max_people: keep the best of them.
        min_score: people below are left out.
        sides: scales to look at, multiples of 32.
    Returns:
        Detections with boxes and 17 keypoints in pixels; empty where there is nobody.
    """
    # Enlarging an image shows nothing new beyond what the network needs to see anything at all.
    useful = [side for side in sides if side <= max(sides[0], 1.5 * max(image.shape[:2]))]
    found = [person for side in useful for person in look(image, side, min_score)]
    found.sort(key=lambda person: -person.score)
    kept: list[Detection] = []
    for person in found:
        if not any(same_person(person, other) for other in kept):
            kept.append(person)
    return (kept or _whole_image(image))[:max_people]


def person_in_box(image: np.ndarray, bbox_xywh: np.ndarray) -> Detection:
    """The person a box (4,) was drawn around, with that box; keypoints of confidence 0 if unrecognised."""
    middle, half = bbox_xywh[:2] + bbox_xywh[2:] / 2, 0.8 * bbox_xywh[2:]
    left, top = np.maximum(np.floor(middle - half), 0).astype(int)
    right, bottom = np.maximum(np.ceil(middle + half), 0).astype(int)
    around = image[top:bottom, left:right]
    inside = bbox_xywh - [left, top, 0, 0]
    people = look(around, SIDES[0], min_score=0.15) if around.size else []
    fitting = [p for p in people if overlap(p.bbox_xywh, inside) > 0.5]
    if not fitting:
        return Detection(bbox_xywh, 0.0, np.zeros((17, 3)))
    person = max(fitting, key=lambda p: overlap(p.bbox_xywh, inside))
    return Detection(bbox_xywh, person.score, person.keypoints + np.array([left, top, 0]))


def _whole_image(image: np.ndarray, min_score: float = 0.95) -> list[Detection]:
    """The person who fills the image, as in a close portrait, where the landmark network is sure of one.

    Of pictures without people the worst, a colour chart, scored 0.79; portraits not found otherwise, 0.98.
    """
    height, width = image.shape[:2]
    crops = crops_from_boxes(np.array([[0, 0, width, height]]))
    reading = read_crops(warp_crops(image, crops))
    if reading.score[0] < min_score:
        return []
    places = to_image(reading.points, crops)[0, LANDMARK_KEYPOINTS]
    inside = ((places >= 0) & (places < [width, height])).all(1)
    confidence = reading.visibility[0, LANDMARK_KEYPOINTS] * inside
    keypoints = np.concatenate([places, confidence[:, None]], 1)
    return [Detection(np.array([0.0, 0.0, width, height]), float(reading.score[0]), keypoints)]


def same_person(a: Detection, b: Detection) -> bool:
    """Whether two detections show one person.

    Either their keypoints all but coincide, or their boxes do and their keypoints roughly; someone who stands
    in front of another shares the box or some keypoints, not both.
    """
    area = float(max(a.bbox_xywh[2:].prod(), b.bbox_xywh[2:].prod()))
    alike = keypoint_similarity(a.keypoints, b.keypoints, area)
    return alike > 0.75 or (alike > 0.3 and overlap(a.bbox_xywh, b.bbox_xywh) > 0.7)
