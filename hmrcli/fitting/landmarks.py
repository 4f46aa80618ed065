"""Places of body landmarks (`hmrcli.people`) on a body in SMPL's format."""

import json
from collections.abc import Mapping, Sequence
from functools import cache

from hmrcli.assets.bundled import bundled
from hmrcli.body.joints import LANDMARKS, SMPL_24
from hmrcli.fitting.points import Attachment
from hmrcli.people.skeleton import LANDMARK_INDEX

_MIDDLE_AND_LEFT = {
    **{"nose": 0.5, "left_eye": 0.3, "left_ear": 0.5},
    **{"left_shoulder": 1.0, "left_elbow": 1.0, "left_wrist": 1.0},
    **{"left_pinky": 0.3, "left_index": 0.3, "left_thumb": 0.1},
    **{"left_hip": 1.0, "left_knee": 1.0, "left_ankle": 1.0, "left_heel": 0.6, "left_foot_index": 0.6},
}
"""How far landmarks are believed. Corners of the eyes, and the mouth, have no place on the body."""
_NEAREST = {"pinky": "hand", "index": "hand", "foot_index": "bigtoe"}
"""SMPL's joint or landmark vertex that a landmark lies near, where it has another name."""

NAMES = (*_MIDDLE_AND_LEFT, *(name.replace("left", "right") for name in _MIDDLE_AND_LEFT if name != "nose"))
"""Landmarks that are fitted."""
INDICES = [LANDMARK_INDEX[name] for name in NAMES]
"""Their indices among the 33."""
TRUST = [_MIDDLE_AND_LEFT[name.replace("right", "left")] for name in NAMES]
"""Factors in [0, 1] on their confidence."""


def anchors(offsets: Mapping[str, Sequence[float]] | None = None) -> list[Attachment]:
    """Attaches the fitted landmarks to the joints and vertices they lie near.

    Offsets from there are (3,) metres in the rest pose, of the middle and the left side; 0 when not given.
    """
    found = []
    for name in NAMES:
        side, _, part = name.partition("_")
        x, y, z = offsets[name.replace("right", "left")] if offsets else (0.0, 0.0, 0.0)
        offset = (-x if side == "right" else x, y, z)
        place = f"{side}_{_NEAREST[part]}" if part in _NEAREST else name
        if place in SMPL_24.names:
            found.append(Attachment(joint=SMPL_24.names.index(place), offset=offset))
        else:
            found.append(Attachment(vertex=LANDMARKS[place], offset=offset))
    return found


@cache
def attachments(size: float = 1.0) -> list[Attachment]:
    """Attaches the fitted landmarks to where they lie (`data/build/landmark_offsets.py`) on a body of a size."""
    offsets = json.loads(bundled("fitting/landmark_offsets.json").read_text())
    return anchors({name: [size * value for value in offset] for name, offset in offsets.items()})
