"""Arms of people close to each other: each is somebody's, and nobody has another's."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hmrcli.people.crops import mask_at
from hmrcli.people.movenet import Detection
from hmrcli.people.skeleton import KEYPOINTS, LANDMARK_INDEX

if TYPE_CHECKING:
    from hmrcli.people.landmarks import Landmarks

CONFIDENT = 0.3
"""Detector's confidence in an elbow that is believed."""
AT, ELSEWHERE = 0.1, 0.15
"""Distances of an elbow from the detector's, as shares of the longer side of the box, of looks that agree with it and
that do not."""
SAME = 0.3
"""Distance of elbows and of wrists, in lengths of the forearm, of one forearm that two people are given."""
SEEN = 0.3
"""Least visibility of a forearm."""


class _Arm(NamedTuple):
    """Places of one arm's joints."""

    keypoint: int
    """The elbow among the detector's keypoints; the wrist comes two later."""
    shoulder: int
    elbow: int
    wrist: int
    below: list[int]
    """Landmarks from the elbow to the fingers."""


_ARMS = [
    _Arm(
        KEYPOINTS.index(f"{side}_elbow"),
        LANDMARK_INDEX[f"{side}_shoulder"],
        LANDMARK_INDEX[f"{side}_elbow"],
        LANDMARK_INDEX[f"{side}_wrist"],
        [LANDMARK_INDEX[f"{side}_{part}"] for part in ("elbow", "wrist", "pinky", "index", "thumb")],
    )
    for side in ("left", "right")
]


def with_arms_of(found: "Landmarks", other: "Landmarks", people: Sequence[Detection]) -> "Landmarks":
    """Takes from another look at the same N people those arms whose elbows the detector saw there and not here."""
    better = np.zeros((len(found), len(_ARMS)), bool)
    for i, person in enumerate(people):
        for a, arm in enumerate(_ARMS):
            *place, confidence = person.keypoints[arm.keypoint]
            here, there = (
                np.linalg.norm(look.points2d[i, arm.elbow] - place) / person.bbox_xywh[2:].max()
                for look in (found, other)
            )
            better[i, a] = confidence >= CONFIDENT and here > ELSEWHERE and there < AT
    return with_arms(found, other, better, np.arange(len(found)))


def with_arms(found: "Landmarks", other: "Landmarks", taken: np.ndarray, who: np.ndarray) -> "Landmarks":
    """Takes arms from another look at K of the people, those `taken` (K, 2: left, right); `who` (K,) tells them."""
    fields = ("points2d", "visibility", "presence", "points3d")
    joined = replace(found, **{name: getattr(found, name).copy() for name in fields})
    for k, a in zip(*np.nonzero(taken)):
        arm, i = _ARMS[a], who[k]
        for name in fields:
            getattr(joined, name)[i, arm.below] = getattr(other, name)[k, arm.below]
        joined.points3d[i, arm.below] += found.points3d[i, arm.shoulder] - other.points3d[k, arm.shoulder]
    return joined


def on_neighbours(
    found: "Landmarks", people: Sequence[Detection], masks: np.ndarray, crops: np.ndarray, known: np.ndarray
) -> np.ndarray:
    """Tells (N, 2) which arms were read off somebody else: their own go on behind that person.

    Elbow or wrist lies on a neighbour, and the detector sees neither of them. Masks (M, 256, 256) and crops
    (M, 2, 3) are everyone's, the `source` of those found an index into them, as are the `known`, who are
    certainly there.
    """
    theirs = np.zeros((len(people), len(_ARMS)), bool)
    for i, person in enumerate(people):
        for a, arm in enumerate(_ARMS):
            if person.keypoints[[arm.keypoint, arm.keypoint + 2], 2].max() < CONFIDENT:
                ends = found.points2d[i, [arm.elbow, arm.wrist]]
                others = known[known != found.source[i]]
                theirs[i, a] = any(mask_at(masks[k], crops[k], ends).max() > 0.5 for k in others)
    return theirs


def without_shared_arms(found: "Landmarks", people: Sequence[Detection]) -> "Landmarks":
    """Takes a forearm that two of N people are given for hidden with the one whose elbow the detector doubts more."""
    visibility = found.visibility.copy()
    for i, k in combinations(range(len(found)), 2):
        for a in _ARMS:
            for b in _ARMS:
                if _shared(found, i, a, k, b):
                    mine, theirs = people[i].keypoints[a.keypoint, 2], people[k].keypoints[b.keypoint, 2]
                    loser, arm = (i, a) if mine < theirs else (k, b)
                    visibility[loser, arm.below] = 0
    return replace(found, visibility=visibility)


def _shared(found: "Landmarks", i: int, a: _Arm, k: int, b: _Arm) -> bool:
    mine, theirs = found.points2d[i, [a.elbow, a.wrist]], found.points2d[k, [b.elbow, b.wrist]]
    length = min(np.linalg.norm(np.diff(forearm, axis=0)) for forearm in (mine, theirs))
    seen = min(found.visibility[i, [a.elbow, a.wrist]].min(), found.visibility[k, [b.elbow, b.wrist]].min())
    return bool(seen >= SEEN and np.linalg.norm(mine - theirs, axis=1).max() < SAME * length)
