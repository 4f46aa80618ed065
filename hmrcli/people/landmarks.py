"""33 body landmarks of people, in the image and in metres, and their masks."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from hmrcli.people.arms import on_neighbours, with_arms, with_arms_of, without_shared_arms
from hmrcli.people.blazepose import Reading, read_crops, read_crops_both_ways
from hmrcli.people.crops import (
    crop_from_keypoints,
    crops_from_boxes,
    mask_in_crop,
    mask_to_image,
    next_crops,
    portrait_crop,
    to_image,
    turn_of,
    warp_crops,
)
from hmrcli.people.detect import SURE, detect_people, landmarks_as_keypoints, people_in_box
from hmrcli.people.movenet import Detection
from hmrcli.people.similarity import distinct, keypoint_similarity, overlap
from hmrcli.people.skeleton import LANDMARK_INDEX, LANDMARK_KEYPOINTS, LANDMARKS


@dataclass(frozen=True)
class Landmarks:
    """N people.

    Attributes:
        points2d: (N, 33, 2) pixels of the full image.
        visibility: (N, 33) in [0, 1]: in the image and not hidden; 0 outside the image.
        presence: (N, 33) in [0, 1]: inside the crop.
        points3d: (N, 33, 3) metres from the middle of the hips; x right, y down, z forward, of a camera that
            looks at the person. The scale is weak: the network gives everyone about the same height.
        score: (N,) that there is a person, in [0, 1].
        masks: (N, 256, 256) in [0, 1], the person in the crop; a `Track` keeps 64 cells along each side.
        crop_to_image: (N, 2, 3) crop pixels → image pixels.
        source: (N,) index of the detection or box each person comes from.
    """

    points2d: np.ndarray
    visibility: np.ndarray
    presence: np.ndarray
    points3d: np.ndarray
    score: np.ndarray
    masks: np.ndarray
    crop_to_image: np.ndarray
    source: np.ndarray

    def __len__(self) -> int:
        return len(self.score)

    def __getitem__(self, keep: np.ndarray | slice | list[int]) -> "Landmarks":
        return Landmarks(**{name: value[keep] for name, value in vars(self).items()})

    def keypoints(self) -> np.ndarray:
        """Takes them at the places of the detector's keypoints, (N, 17, 3: x, y, visibility)."""
        return np.concatenate([self.points2d, self.visibility[..., None]], 2)[:, LANDMARK_KEYPOINTS]

    def image_mask(self, person: int, height: int, width: int) -> np.ndarray:
        """Warps the mask of one person to the full image, (height, width) in [0, 1]."""
        return mask_to_image(self.masks[person], self.crop_to_image[person], height, width)


Reads = Callable[[np.ndarray], Reading]

AGREE = 0.3
"""Likeness of a person's keypoints and landmarks: below, the landmarks are someone else's or nobody's."""
SURELY = 0.5
"""Likewise: people who are known."""
WELL = 0.7
"""Likewise: below, the person is looked for by head and shoulders, too, and with the neighbours hidden."""
CLEAR = 0.11
"""Detector's score times landmark score times likeness: above, a doubtful detection is a person."""
UNDETECTED = 0.95
"""Landmark score of someone in a box whom the detector does not see."""
FILLED = 0.5
"""Least fit of a person to a given box: below, another of the picture may fill it better."""
SAME_MASK = 0.75
"""Overlap of two masks of one person; of two who overlap it is less."""


@dataclass
class _Look:
    """Reading of crops (N, 2, 3), and how much it looks like the people detected, (N,) in [0, 1]."""

    reading: Reading
    crops: np.ndarray
    likeness: np.ndarray

    def take_better(self, who: np.ndarray, other: "_Look") -> np.ndarray:
        """Puts another look at some people in place where it is more like them; returns (K,) where."""
        better = other.likeness > self.likeness[who]
        for values, others in zip(
            (*self.reading, self.crops, self.likeness), (*other.reading, other.crops, other.likeness)
        ):
            values[who[better]] = others[better]
        return better


def body_landmarks(
    image: np.ndarray, people: Sequence[Detection] | np.ndarray, min_score: float = 0.5
) -> Landmarks:
    """Finds landmarks of people, in two passes: the second crop follows the landmarks of the first.

    Args:
        image: (H, W, 3) uint8 RGB.
        people: detections, or boxes (N, 4: x, y, width, height in pixels). Detections that turn out to show
            nobody, or someone found before, are left out; boxes are trusted, and each gives one person, with
            score 0 where nobody was recognised in it.
        min_score: detections with a lower landmark score show nobody.
    """
    if isinstance(people, np.ndarray):
        return _in_boxes(image, people.reshape(-1, 4), min_score)

    def look(reads: Reads, who: np.ndarray, crops: np.ndarray, hide: np.ndarray | bool) -> _Look:
        """Reads crops; where `hide`, all others are hidden who are known."""
        views = warp_crops(image, crops)
        for view, crop, i, alone in zip(views, crops, who, np.broadcast_to(hide, len(who))):
            for k in known if alone else ():
                if k != i:
                    view[mask_in_crop(masks[k], around[k], crop) > 0.5] = 0
        reading = reads(views)
        return _Look(reading, crops, _likeness([people[int(i)] for i in who], reading, crops))

    everyone, certain = np.arange(len(people)), np.array([p.score for p in people])
    known, alone = everyone[:0], np.zeros(len(people), bool)
    crops = np.reshape([crop_from_keypoints(p.bbox_xywh, p.keypoints, p.turns) for p in people], (-1, 2, 3))
    first = look(read_crops, everyone, crops, False)
    masks, around = first.reading.mask.copy(), crops.copy()
    quality = certain * first.reading.score * first.likeness
    sure = (first.likeness >= SURELY) & ((quality >= CLEAR) | (certain >= SURE))
    behind = np.array([p.behind for p in people], bool)  # and do not hide who is before them
    known = np.flatnonzero(sure & ~behind)
    unlike = np.flatnonzero(first.likeness < WELL)
    portraits = np.reshape([portrait_crop(people[int(i)].keypoints) for i in unlike], (-1, 2, 3))
    for tried, without in ((crops[unlike], True), (portraits, True), (portraits, False)):
        if not without or len(known):
            alone[unlike[first.take_better(unlike, look(read_crops, unlike, tried, without))]] = without

    source = np.flatnonzero((first.reading.score >= min_score / 2) & (first.likeness >= AGREE))
    points, seen = first.reading.points[source], first.reading.visibility[source]
    following = next_crops(to_image(points, first.crops[source]), seen)
    second = look(read_crops_both_ways, source, following.copy(), alone[source])
    for tried, hide in ((first.crops[source], alone[source]), (following, True), (first.crops[source], True)):
        strayed = np.flatnonzero(second.likeness < 0.75 * first.likeness[source])
        if len(strayed):
            hidden = np.broadcast_to(hide, len(source))[strayed]
            second.take_better(strayed, look(read_crops_both_ways, source[strayed], tried[strayed], hidden))
    found = in_image(second.reading, second.crops, source, image.shape[:2])
    before = Reading(*(values[source] for values in first.reading))
    detected = [people[int(i)] for i in source]
    found = with_arms_of(found, in_image(before, first.crops[source], source, image.shape[:2]), detected)
    masks[source], around[source] = second.reading.mask, second.crops
    theirs = on_neighbours(found, detected, masks, around, known)
    if len(some := np.flatnonzero(theirs.any(1))):
        bare = look(read_crops_both_ways, source[some], first.crops[source[some]], True)
        theirs &= np.isin(np.arange(len(source)), some[bare.likeness >= SURELY])[:, None]
        other = in_image(bare.reading, bare.crops, some, image.shape[:2])
        found = with_arms(found, other, theirs[some], some)
    quality = certain[source] * found.score * second.likeness
    certain = (certain[source] >= SURE) | (quality >= CLEAR)
    kept = (found.score >= min_score) & (second.likeness >= AGREE) & certain
    found = _without_repeats(found[kept], quality[kept])
    return without_shared_arms(found, [people[i] for i in found.source])


def _likeness(people: Sequence[Detection], reading: Reading, crops: np.ndarray) -> np.ndarray:
    """Compares what was read with the people detected, (N,) in [0, 1]."""
    pairs = zip(people, landmarks_as_keypoints(reading, crops))
    return np.array([keypoint_similarity(p.keypoints, mark, p.bbox_xywh[2:].prod()) for p, mark in pairs])


def _in_boxes(image: np.ndarray, boxes: np.ndarray, min_score: float) -> Landmarks:
    """Finds landmarks of the person in each box (N, 4)."""
    each = [_in_box(image, box, min_score) for box in boxes]
    none = body_landmarks(image, [], min_score)
    joined = {name: np.concatenate([getattr(one, name) for one in [none, *each]]) for name in vars(none)}
    filled = [_fit(one, box) if one.score[0] > 0 else 0.0 for one, box in zip(each, boxes)]
    unsure = [i for i, fit in enumerate(filled) if fit < FILLED]
    people = detect_people(image) if unsure else []
    found = body_landmarks(image, people, min_score)
    for i in unsure:  # behind someone, perhaps: known with all the others
        fits = [_fit(found[[k]], boxes[i]) for k in range(len(found))]
        if not filled[i]:
            shared = [overlap(people[k].bbox_xywh, boxes[i]) for k in found.source]
            fits = [fit * (fit > 0.5) for fit in shared]
        if max(fits, default=0.0) > filled[i]:
            for name, values in joined.items():
                values[i] = getattr(found, name)[int(np.argmax(fits))]
    return replace(Landmarks(**joined), source=np.arange(len(boxes)))


def _in_box(image: np.ndarray, box: np.ndarray, min_score: float) -> Landmarks:
    """Finds landmarks of the person in a box (4,).

    Nothing outside the box is shown at first; then the crop may show more, as long as it stays on this person.
    """
    low = np.clip(np.floor(box[:2] - 0.1 * box[2:].max()), 0, None).astype(int)
    high = np.clip(np.ceil(box[:2] + box[2:] + 0.1 * box[2:].max()), 0, None).astype(int)
    alone = np.ascontiguousarray(image[low[1] : high[1], low[0] : high[0]])
    alone = alone if alone.size else image[:1, :1]
    shift = np.array([[0, 0, low[0]], [0, 0, low[1]]])
    people = people_in_box(image, box)

    def read(
        reads: Reads, crops: np.ndarray, only: bool, people: list[Detection]
    ) -> tuple[Reading, Landmarks, np.ndarray]:
        """Reads crops with or without what is around the box; (N,) fits are 0 for others than these people."""
        reading = reads(warp_crops(alone, crops - shift) if only else warp_crops(image, crops))
        found = in_image(reading, crops, np.zeros(len(crops), int), image.shape[:2])
        detected = np.array([p.score > 0 for p in people])
        alike = _likeness(people, reading, crops) >= np.where(detected & (not only), AGREE, SURELY)
        certain = found.score >= np.where(detected, min_score, UNDETECTED)
        return reading, found, alike * certain * np.array([_fit(found[[i]], box) for i in range(len(crops))])

    if people:
        crops = np.stack([crop_from_keypoints(box, p.keypoints, p.turns) for p in people])
    else:  # what is read has to be the same with and without the surroundings
        crops = crops_from_boxes(box[None])
        people = [Detection(box, 0.0, landmarks_as_keypoints(read_crops(warp_crops(image, crops)), crops)[0])]
    reading, found, fit = read(read_crops, crops, True, people)
    best = int((found.score * (0.01 + fit)).argmax())
    crop, person, tries = crops[[best]], [people[best]], [(crops[[best]], True)]
    if found.score[best] >= min_score / 2:
        crop = next_crops(to_image(reading.points[[best]], crop), reading.visibility[[best]])
        tries = [(crop, False), (crop, True), *tries]
    for tried, only in tries:
        _, found, fit = read(read_crops_both_ways, tried, only, person)
        if fit[0] > 0:
            return found
    return replace(found, score=np.zeros(1, np.float32))


def _fit(person: Landmarks, box: np.ndarray) -> float:
    """Scores how well a person fills a box, in [0, 1]; 0 where it is someone who is mostly outside the box."""
    low, high = box[:2] - 0.1 * box[2:], box[:2] + 1.1 * box[2:]
    seen = person.points2d[person.visibility > 0.5]
    if len(seen) < 3:
        return 0.0
    rows, columns = np.nonzero(person.masks[0] > 0.5)
    mask = to_image(np.stack([columns, rows], 1)[None], person.crop_to_image)[0]
    held = [((places >= low) & (places <= high)).all(1).mean() for places in (seen, mask) if len(places)]
    filled = overlap(np.concatenate([seen.min(0), np.ptp(seen, axis=0)]), box)
    return float(min(held) * (0.1 + 0.9 * filled)) if held[0] >= 0.7 and min(held) >= 0.5 else 0.0


def in_image(reading: Reading, crops: np.ndarray, source: np.ndarray, size: tuple[int, ...]) -> Landmarks:
    """Brings what was read in crops (N, 2, 3) to an image of a size (height, width); `source` is kept as given."""
    points = to_image(reading.points[:, : len(LANDMARKS)], crops)
    inside = ((points >= 0) & (points < [size[1], size[0]])).all(-1)
    hips = [LANDMARK_INDEX["left_hip"], LANDMARK_INDEX["right_hip"]]
    world = reading.world - reading.world[:, hips].mean(1, keepdims=True)  # some millimetres off
    turned = world[..., :2] @ turn_of(crops).transpose(0, 2, 1)
    return Landmarks(
        points2d=points,
        visibility=reading.visibility * inside,
        presence=reading.presence,
        points3d=np.concatenate([turned, world[..., 2:]], 2),
        score=reading.score,
        masks=reading.mask,
        crop_to_image=crops,
        source=source,
    )


def _without_repeats(found: Landmarks, quality: np.ndarray) -> Landmarks:
    """Leaves out people whose landmarks, or whose masks, coincide with those of someone of higher quality (N,)."""
    marks, low, extent = found.keypoints(), found.points2d.min(1), np.ptp(found.points2d, axis=1)
    boxes, areas = np.concatenate([low, extent], 1), extent.prod(1)

    def same(i: int, k: int) -> bool:
        alike = keypoint_similarity(marks[i], marks[k], max(areas[i], areas[k])) > 0.6
        return alike or (overlap(boxes[i], boxes[k]) > 0.3 and _mask_overlap(found, i, k) > SAME_MASK)

    return found[sorted(distinct(np.argsort(-quality, kind="stable").tolist(), same))]


def _mask_overlap(found: Landmarks, i: int, k: int) -> float:
    """Returns intersection over union of the masks of two people, in the crop of the first."""
    a = found.masks[i] > 0.5
    b = mask_in_crop(found.masks[k], found.crop_to_image[k], found.crop_to_image[i]) > 0.5
    return float((a & b).sum() / max((a | b).sum(), 1))
