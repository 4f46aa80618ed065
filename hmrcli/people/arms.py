"""Arms of people close to each other: each is somebody's, and nobody has another's."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

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
    """The elbow among the detector's keypoints."""
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
    points, space = found.points2d.copy(), found.points3d.copy()
    visibility, presence = found.visibility.copy(), found.presence.copy()
    for i, person in enumerate(people):
        for arm in _ARMS:
            *place, confidence = person.keypoints[arm.keypoint]
            apart, better = (
                np.linalg.norm(look.points2d[i, arm.elbow] - place) / person.bbox_xywh[2:].max()
                for look in (found, other)
            )
            if confidence >= CONFIDENT and apart > ELSEWHERE and better < AT:
                points[i, arm.below] = other.points2d[i, arm.below]
                visibility[i, arm.below] = other.visibility[i, arm.below]
                presence[i, arm.below] = other.presence[i, arm.below]
                shift = found.points3d[i, arm.shoulder] - other.points3d[i, arm.shoulder]
                space[i, arm.below] = other.points3d[i, arm.below] + shift
    return replace(found, points2d=points, points3d=space, visibility=visibility, presence=presence)


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
