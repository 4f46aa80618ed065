"""Places of body landmarks (`hmrcli.people`) on a body in SMPL's format."""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import NamedTuple

from hmrcli.assets.bundled import bundled
from hmrcli.fitting.points import Attachment
from hmrcli.people.skeleton import LANDMARK_INDEX


class _Place(NamedTuple):
    """The joint (SMPL's order) or vertex (SMPL's landmark ids) nearest to a landmark, and how far it is believed."""

    trust: float
    joint: int | None = None
    """Of the left side; the right one follows it."""
    vertices: tuple[int, int] | None = None
    """Of the left and the right side."""


# Inner and outer corners of the eyes, and the mouth, have no place of their own on the body.
_MIDDLE_AND_LEFT = {
    "nose": _Place(0.5, vertices=(332, 332)),
    "left_eye": _Place(0.3, vertices=(2800, 6260)),
    "left_ear": _Place(0.5, vertices=(583, 4071)),
    "left_shoulder": _Place(1.0, joint=16),
    "left_elbow": _Place(1.0, joint=18),
    "left_wrist": _Place(1.0, joint=20),
    "left_pinky": _Place(0.3, joint=22),
    "left_index": _Place(0.3, joint=22),
    "left_thumb": _Place(0.1, vertices=(2746, 6191)),
    "left_hip": _Place(1.0, joint=1),
    "left_knee": _Place(1.0, joint=4),
    "left_ankle": _Place(1.0, joint=7),
    "left_heel": _Place(0.6, vertices=(3387, 6787)),
    "left_foot_index": _Place(0.6, vertices=(3216, 6617)),
}

NAMES = (*_MIDDLE_AND_LEFT, *(name.replace("left", "right") for name in _MIDDLE_AND_LEFT if name != "nose"))
"""Landmarks that are fitted."""
INDICES = [LANDMARK_INDEX[name] for name in NAMES]
"""Their indices among the 33."""
TRUST = [_MIDDLE_AND_LEFT[name.replace("right", "left")].trust for name in NAMES]
"""Factors in [0, 1] on their confidence."""


def anchors(offsets: Mapping[str, Sequence[float]] | None = None) -> list[Attachment]:
    """Attaches the fitted landmarks to the joints and vertices they lie near.

    Args:
        offsets: from there, (3,) metres in the rest pose, of the middle and the left side; 0 when not given.
    """
    found = []
    for name in NAMES:
        left, right = name.replace("right", "left"), name.startswith("right")
        place = _MIDDLE_AND_LEFT[left]
        x, y, z = offsets[left] if offsets else (0.0, 0.0, 0.0)
        joint = None if place.joint is None else place.joint + right
        vertex = None if place.vertices is None else place.vertices[right]
        found.append(Attachment(joint, vertex, offset=(-x if right else x, y, z)))
    return found


@cache
def attachments(size: float = 1.0) -> list[Attachment]:
    """Attaches the fitted landmarks to where they lie (`data/build/landmark_offsets.py`) on a body of a size."""
    offsets = json.loads(bundled("fitting/landmark_offsets.json").read_text())
    return anchors({name: [size * value for value in offset] for name, offset in offsets.items()})
