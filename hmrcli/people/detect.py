"""Finds people in a photo of any size, however turned: several looks at it, merged."""

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np

from hmrcli.people.blazepose import Reading, read_crops
from hmrcli.people.crops import crops_from_boxes, to_image, warp_crops
from hmrcli.people.movenet import Detection, look
from hmrcli.people.runtime import at_once
from hmrcli.people.similarity import distinct, inside_share, keypoint_similarity, overlap
from hmrcli.people.skeleton import KEYPOINTS, LANDMARK_KEYPOINTS

SURE, SURE_TURNED, DOUBTFUL = 0.25, 0.3, 0.12
"""Scores of people, of people in a turned image, and of what may be people: the landmarks have to tell."""
FAINT, FACES, FACE = 0.05, 3, 0.5
"""Score, looks that agree, and mean confidence of nose and eyes of someone of whom little but the face is in sight."""
NOTABLE = 0.16
"""Score of someone lying, in the quick look, that calls for the others."""
COARSE = ((256, 0.0), (256, 1 / 7), (512, 1 / 16))
"""Looks for people who fill the image, or a quarter of it: the longer side, and the share of a black border."""
QUICK = (320, 1 / 7)
"""The look that tells whether someone lies in the image, or the image itself is turned."""
FINE = ((1024, 683), (2048, 2048))
"""Looks for small people, and the longer side of images that have room for them."""

PORTRAIT, ALIKE = 0.95, 2 / 3
"""Landmark scores of a person who fills the image, in each of three looks, and how alike the looks are: portraits have
0.98 and 0.67 at least; of the landscapes and still lifes that look as alike, none has more than 0.92 in each."""
NECK, SHOULDERS = 1.8, 2.8
"""From the eyes down to the shoulders, and between these, in distances of the eyes."""
_SHOULDERS = [KEYPOINTS.index(f"{side}_shoulder") for side in ("left", "right")]
_FACE = [KEYPOINTS.index(name) for name in ("nose", "left_eye", "right_eye")]
CROWD = 20
"""People in one look: more of them, and smaller ones, are looked for."""


def detect_people(
    image: np.ndarray, max_people: int | None = None, min_score: float = DOUBTFUL
) -> list[Detection]:
    """Finds people in an image (H, W, 3) uint8 RGB and what may be some, best first; `body_landmarks` tells.

    The best `max_people` are kept, and those below `min_score` left out.
    """
    longer = max(image.shape[:2])
    if longer > FINE[-1][0]:  # no look sees more
        size = [max(1, round(FINE[-1][0] * length / longer)) for length in image.shape[1::-1]]
        small = detect_people(cv2.resize(image, size, interpolation=cv2.INTER_AREA), max_people, min_score)
        scale = np.divide(image.shape[1::-1], size)
        return [
            replace(p, bbox_xywh=p.bbox_xywh * np.tile(scale, 2), keypoints=p.keypoints * [*scale, 1])
            for p in small
        ]
    fine = [side for side, least in FINE if longer >= least]
    faint = min(min_score, FAINT)

    def look_each(*ways: tuple[int, int, float]) -> list[list[Detection]]:
        """Looks with sides, quarter turns and borders."""
        return at_once(lambda way: look(image, way[0], faint, *way[1:]), ways)

    coarse = [[(side, turns, border) for side, border in COARSE] for turns in range(4)]
    quick = [(QUICK[0], turns, QUICK[1]) for turns in (1, 2, 3)]
    # The first takes as long as all the others, which go beside it.
    *upright_looks, one, two, three = look_each(*((side, 0, 0.0) for side in fine[:1]), *coarse[0], *quick)
    found = {0: upright_looks, 1: [one], 2: [two], 3: [three]}
    upright = [person for people in found[0] for person in people]
    seen = any(_sure(person) for person in upright)
    for turns in (1, 2, 3):
        notable = [person for person in found[turns][0] if person.score > NOTABLE]
        if not seen or not all(any(_explained(p, other, 1.0) for other in upright) for p in notable):
            found[turns] += look_each(*coarse[turns])
    weight = {
        turns: max(sum(p.score for p in people if _sure(p)) for people in looks)
        for turns, looks in found.items()
    }
    way = max(weight, key=lambda turns: weight[turns])  # the way up of most people
    for turns in [way] if weight[way] else found:
        if turns:
            found[turns] += look_each(*((side, turns, 0.0) for side in fine[:1]))
    crowd = max(sum(_sure(person) for person in people) for people in found[way]) >= CROWD
    fine = [side for side, least in FINE[1:] if longer >= (least / 1.5 if crowd else least)]
    found[way] += look_each(*((side, way, 0.0) for side in fine))
    everyone = [p for looks in found.values() for people in looks for p in people if p.score >= min_score]
    # Nothing vague, lying across the others.
    likely = sorted((p for p in everyone if p.turns == way or _sure(p)), key=lambda p: -p.score)
    kept = distinct(likely, lambda p, other: same_person(p, other) or _explained(p, other, 0.6))
    kept += faces(found[way], kept)
    if not any(_sure(person) for person in kept):
        kept = [*_whole_image(image), *kept]
    return kept[:max_people]


def faces(looks: Sequence[Sequence[Detection]], known: Sequence[Detection]) -> list[Detection]:
    """Finds people whose face several looks see at one place, each of them faintly, as others stand before the body.

    Their scores are those of all looks together, and doubtful: the landmarks have to tell. The looks hold
    faint people, too; the faces of those known are not looked for.
    """
    clear = [[p for p in people if p.keypoints[_FACE, 2].mean() >= FACE] for people in looks]
    found: list[Detection] = []
    for person in sorted((p for people in clear for p in people), key=lambda p: -p.score):
        if any(_same_face(person, other) for other in [*known, *found]):
            continue
        scores = [max((p.score for p in people if _same_face(p, person)), default=0.0) for people in clear]
        if np.count_nonzero(scores) >= FACES and sum(scores) >= DOUBTFUL:
            found.append(_by_face(replace(person, score=min(sum(scores), SURE - 0.01))))
    return found


def _by_face(person: Detection) -> Detection:
    """Puts the shoulders of somebody where the face says, and gives up the rest of the body, which is out of sight."""
    keypoints = person.keypoints.copy()
    nose, left, right = keypoints[_FACE, :2]
    across = left - right
    down = np.array([-across[1], across[0]])
    down *= np.sign(down @ (nose - (left + right) / 2)) or 1.0
    for joint, side in zip(_SHOULDERS, (0.5, -0.5)):
        keypoints[joint] = [*(left + right) / 2 + NECK * down + side * SHOULDERS * across, 0.2]
    keypoints[max(_SHOULDERS) + 1 :, 2] = 0
    return replace(person, keypoints=keypoints, behind=True)


def _same_face(a: Detection, b: Detection) -> bool:
    """Tells whether two faces are nearer to each other than half the distance of the second one's eyes."""
    one, other = a.keypoints[_FACE, :2], b.keypoints[_FACE, :2]
    return bool(np.linalg.norm(one - other, axis=1).mean() < np.linalg.norm(other[1] - other[2]) / 2)


def _sure(person: Detection) -> bool:
    return person.score >= (SURE_TURNED if person.turns else SURE)


def _explained(person: Detection, other: Detection, ratio: float) -> bool:
    """Tells a person who is mostly inside one who stands another way up and is surer."""
    surer = person.turns != other.turns and person.score <= ratio * other.score
    return surer and inside_share(person.bbox_xywh, other.bbox_xywh) > 0.6


def people_in_box(image: np.ndarray, bbox_xywh: np.ndarray) -> list[Detection]:
    """Finds who a box (4,) may have been drawn around, best first, with that box; none if unrecognised."""
    middle, half = bbox_xywh[:2] + bbox_xywh[2:] / 2, 0.8 * bbox_xywh[2:]
    left, top = np.maximum(np.floor(middle - half), 0).astype(int)
    right, bottom = np.maximum(np.ceil(middle + half), 0).astype(int)
    around = image[top:bottom, left:right]
    inside = bbox_xywh - [left, top, 0, 0]
    fitting: list[tuple[float, Detection]] = []
    ways = range(4 if around.size else 0)
    for turns, people in enumerate(at_once(lambda way: look(around, COARSE[0][0], DOUBTFUL, way), ways)):
        for person in people:
            fit = overlap(person.bbox_xywh, inside)
            if fit > 0.5 or inside_share(person.bbox_xywh, inside) > 0.8:  # the box may be wide
                places = person.keypoints + np.array([left, top, 0])
                fitting.append((person.score * fit, Detection(bbox_xywh, person.score, places, turns)))
    fitting.sort(key=lambda one: -one[0])
    return distinct([person for rank, person in fitting if rank > 0.5 * fitting[0][0]], same_person)


def _whole_image(image: np.ndarray) -> list[Detection]:
    """Finds the person who fills the image, as in a close portrait, where the landmark network is sure of one.

    A flower or a landscape may score 1.00; but not in a wider crop and in the mirror, too, and there the landmarks
    come to lie elsewhere.
    """
    height, width = image.shape[:2]
    box = np.array([0.0, 0.0, width, height])
    crops = crops_from_boxes(np.stack([box, box * 1.5 - np.array([width, height, 0, 0]) / 4]))
    views = warp_crops(image, crops)
    reading = read_crops(np.concatenate([views, views[:1, :, ::-1]]))
    near, wide = landmarks_as_keypoints(Reading(*(values[:2] for values in reading)), crops)
    if reading.score.min() < PORTRAIT or keypoint_similarity(near, wide, width * height) < ALIKE:
        return []
    near[:, 2] *= ((near[:, :2] >= 0) & (near[:, :2] < [width, height])).all(1)
    return [Detection(box, float(reading.score[0]), near)]


def landmarks_as_keypoints(reading: Reading, crops: np.ndarray) -> np.ndarray:
    """Takes the landmarks read in crops (N, 2, 3) at the places of the detector's keypoints, (N, 17, 3)."""
    points = to_image(reading.points[:, LANDMARK_KEYPOINTS], crops)
    return np.concatenate([points, reading.visibility[:, LANDMARK_KEYPOINTS, None]], 2)


def same_person(a: Detection, b: Detection) -> bool:
    """Tells whether two detections show one person.

    Their keypoints all but coincide, or do roughly and their boxes too; someone who stands in front of another
    shares the box or some keypoints, not both, and a part of a person is no match for the whole.
    """
    shared = overlap(a.bbox_xywh, b.bbox_xywh)
    if shared <= 0.3:
        return False
    alike = keypoint_similarity(a.keypoints, b.keypoints, max(a.bbox_xywh[2:].prod(), b.bbox_xywh[2:].prod()))
    return alike > 0.75 or (alike > 0.3 and shared > 0.7)
