"""Where body landmarks (`hmrcli.people`) lie on a body in SMPL's format."""

import json

from hmrcli.assets.bundled import bundled
from hmrcli.fitting.points import Attachment
from hmrcli.people.skeleton import LANDMARK_INDEX

# The joint (SMPL's order) or vertex (SMPL's landmark ids) nearest to a landmark, and how far the landmark is
# believed. Inner and outer corners of the eyes, and the mouth, have no place of their own on the body.
_MIDDLE_AND_LEFT = {
    "nose": (Attachment(vertex=332), 0.5),
    "left_eye": (Attachment(vertex=2800), 0.3),
    "left_ear": (Attachment(vertex=583), 0.5),
    "left_shoulder": (Attachment(joint=16), 1.0),
    "left_elbow": (Attachment(joint=18), 1.0),
    "left_wrist": (Attachment(joint=20), 1.0),
    "left_pinky": (Attachment(joint=22), 0.3),
    "left_index": (Attachment(joint=22), 0.3),
    "left_thumb": (Attachment(vertex=2746), 0.1),
    "left_hip": (Attachment(joint=1), 1.0),
    "left_knee": (Attachment(joint=4), 1.0),
    "left_ankle": (Attachment(joint=7), 1.0),
    "left_heel": (Attachment(vertex=3387), 0.6),
    "left_foot_index": (Attachment(vertex=3216), 0.6),
}
_RIGHT_VERTEX = {583: 4071, 2746: 6191, 2800: 6260, 3216: 6617, 3387: 6787}


def _right(place: Attachment) -> Attachment:
    x, y, z = place.offset
    if place.vertex is not None:
        return Attachment(vertex=_RIGHT_VERTEX[place.vertex], offset=(-x, y, z))
    assert place.joint is not None
    return Attachment(joint=place.joint + 1, offset=(-x, y, z))


def _both_sides(left: dict[str, Attachment]) -> list[Attachment]:
    right = {name.replace("left", "right"): _right(place) for name, place in left.items() if name != "nose"}
    return list((left | right).values())


_OFFSETS = json.loads(bundled("fitting/landmark_offsets.json").read_text())

NAMES = (*_MIDDLE_AND_LEFT, *(name.replace("left", "right") for name in _MIDDLE_AND_LEFT if name != "nose"))
"""Landmarks that are fitted."""
INDICES = [LANDMARK_INDEX[name] for name in NAMES]
"""Their indices among the 33."""
TRUST = [_MIDDLE_AND_LEFT[name.replace("right", "left")][1] for name in NAMES]
"""Factors in [0, 1] on their confidence."""
ANCHORS = _both_sides({name: place for name, (place, _) in _MIDDLE_AND_LEFT.items()})
"""The joints and vertices they lie near."""
ATTACHMENTS = _both_sides(
    {name: place._replace(offset=tuple(_OFFSETS[name])) for name, (place, _) in _MIDDLE_AND_LEFT.items()}
)
"""Where they lie: offsets from there, in metres in the rest pose (`data/build/landmark_offsets.py`)."""
