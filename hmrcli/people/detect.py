"""Finds people in a photo of any size: several looks at it, merged."""

import numpy as np

from hmrcli.people.movenet import Detection, look
from hmrcli.people.similarity import keypoint_similarity, overlap

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
    return kept[:max_people]


def same_person(a: Detection, b: Detection) -> bool:
    """Whether two detections show one person.

    Either their keypoints all but coincide, or their boxes do and their keypoints roughly; someone who stands
    in front of another shares the box or some keypoints, not both.
    """
    area = float(max(a.bbox_xywh[2:].prod(), b.bbox_xywh[2:].prod()))
    alike = keypoint_similarity(a.keypoints, b.keypoints, area)
    return alike > 0.75 or (alike > 0.3 and overlap(a.bbox_xywh, b.bbox_xywh) > 0.7)
