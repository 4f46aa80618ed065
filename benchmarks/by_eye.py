"""Compares recovered bodies with what a human eye sees in a photo, by plain geometry.

Directions are the picture's: x right, y down, z away. Tolerances are wide, as the eye's; a mirrored, swapped or
upright body in place of the right one still fails.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hmrcli.body.joints import SMPL_24
from hmrcli.people.similarity import inside_share, overlap

Array = NDArray[np.floating]

HEAD = 0.15
"""Distance of the head's middle from where it is, as a share of the longer side of a person's box."""
SAME_BOX, SOME_BOX = 0.5, 0.3
"""Overlaps (IoU): of a body with the box of its person; of a body that is meant for a person, but wrong."""
FACING = 60.0
"""Degrees between directions."""
STEP = 0.05
"""Metres by which the ankle of the leg in front is before the other."""
PLACE = 0.1
"""Distance of a joint from its place, as a share of the longer side of the box."""
SEEN = 0.5

DIRECTIONS = {
    **{"right": (1, 0, 0), "left": (-1, 0, 0), "down": (0, 1, 0), "up": (0, -1, 0)},
    **{"away": (0, 0, 1), "towards": (0, 0, -1)},
}
_J = {name: i for i, name in enumerate(SMPL_24.names)}


class Body(NamedTuple):
    """A recovered person."""

    joints: Array
    """(24, 3) metres, camera axes, from any origin."""
    points: Array
    """(24, 2) pixels."""
    visibility: Array
    """(24,) in [0, 1]."""
    head: Array
    """(2,) the middle of the head, pixels; the joint of that name is in the neck."""
    box: Array
    """(4,) around what is said to be visible of the body, within the picture."""


@dataclass(frozen=True)
class Truth:
    """What is right about a person; empty where nothing certain could be told (`photos.yaml`)."""

    box: Sequence[float]
    head: Sequence[float] = ()
    facing: str = ""
    posture: str = ""
    front: str = ""
    seen: str = ""
    unseen: str = ""
    at: dict[str, Sequence[float]] = field(default_factory=dict)


class Pairing(NamedTuple):
    """Which bodies are whose."""

    found: dict[int, int]
    """The body (value) of each person (key) who is where they are."""
    wrong: dict[int, int]
    """Likewise for bodies about where somebody is, of another size, way up or place."""
    invented: list[int]
    """Bodies where nobody is."""


def paired(bodies: Sequence[Body], people: Sequence[Truth], ignored: Sequence[Any] = ()) -> Pairing:
    """Gives every person at most one body: the one whose head is the nearest.

    Bodies mostly in a box of those ignored count for nothing.
    """
    close = []
    for i, person in enumerate(people):
        for k, body in enumerate(bodies):
            shared, apart = overlap(body.box, np.array(person.box, float)), _head_distance(body, person)
            close.append((apart > HEAD or shared < SAME_BOX, apart, -shared, i, k))
    found: dict[int, int] = {}
    wrong: dict[int, int] = {}
    for bad, _, negative, i, k in sorted(close):
        taken = {*found.values(), *wrong.values()}
        if i in found or i in wrong or k in taken:
            continue
        if not bad:
            found[i] = k
        elif -negative >= SOME_BOX:
            wrong[i] = k
    rest = set(range(len(bodies))) - {*found.values(), *wrong.values()}
    aside = {
        k for k in rest if any(inside_share(bodies[k].box, np.array(box, float)) > 0.5 for box in ignored)
    }
    return Pairing(found, wrong, sorted(rest - aside))


def _head_distance(body: Body, person: Truth) -> float:
    if not person.head:
        return 0.0
    return float(np.linalg.norm(body.head - person.head)) / max(person.box[2:])


def judged(body: Body, person: Truth) -> dict[str, list[bool]]:
    """Tells whether a body has right what the eye could tell, by aspect; joint by joint for `visible` and `at`."""
    result: dict[str, list[bool]] = {}
    if person.facing:
        result["facing"] = [_angle(facing(body.joints), direction(person.facing)) <= FACING]
    if person.posture:
        result["posture"] = [person.posture in postures(body.joints)]
    if person.front:
        result["front leg"] = [front_leg(body.joints) == person.front]
    flags = [bool(body.visibility[_J[name]] >= SEEN) for name in joint_names(person.seen)]
    flags += [bool(body.visibility[_J[name]] < SEEN) for name in joint_names(person.unseen)]
    if flags:
        result["visible"] = flags
    if person.at:
        reach = PLACE * max(person.box[2:])
        result["at"] = [
            bool(np.linalg.norm(body.points[_J[name]] - place) <= reach) for name, place in person.at.items()
        ]
    return result


def direction(words: str) -> Array:
    """Returns the unit direction (3,) of one or two words of `DIRECTIONS`."""
    total = np.sum([DIRECTIONS[word] for word in words.split()], axis=0)
    return np.asarray(total / np.linalg.norm(total))


def joint_names(words: str) -> list[str]:
    """Spells out `knees` as both; other words are joints."""
    names = []
    for word in words.split():
        names += [word] if word in _J else [f"{side}_{word.removesuffix('s')}" for side in ("left", "right")]
    return names


def facing(joints: Array) -> Array:
    """Returns the unit direction (3,) in which the chest looks: square to the spine and to what is on the left."""
    left = sum(joints[_J[f"left_{part}"]] - joints[_J[f"right_{part}"]] for part in ("shoulder", "hip"))
    forward = np.cross(left, joints[_J["neck"]] - joints[_J["pelvis"]])
    return np.asarray(forward / max(float(np.linalg.norm(forward)), 1e-9))


def front_leg(joints: Array) -> str:
    """Returns the leg, left or right, whose ankle is farther where the body faces; empty where they are level."""
    forward = facing(joints) * [1, 0, 1]
    ahead = (joints[_J["left_ankle"]] - joints[_J["right_ankle"]]) @ forward
    ahead /= max(float(np.linalg.norm(forward)), 1e-9)
    return "left" if ahead >= STEP else "right" if ahead <= -STEP else ""


def postures(joints: Array) -> set[str]:
    """Returns the postures that a body (24, 3) passes for; between two of them it passes for both.

    They are told by how far the trunk is turned from the picture's upright, how far the hips are bent, and where
    the ankles are from the hips.
    """
    hips, ankles = (
        (joints[_J[f"left_{part}"]] + joints[_J[f"right_{part}"]]) / 2 for part in ("hip", "ankle")
    )
    trunk = joints[_J["neck"]] - joints[_J["pelvis"]]
    down = np.array([0.0, 1.0, 0.0])
    tilt, legs = _angle(trunk, -down), _angle(ankles - hips, down)
    bent = np.mean(
        [_angle(joints[_J[f"{s}_knee"]] - joints[_J[f"{s}_hip"]], -trunk) for s in ("left", "right")]
    )
    passes = {
        "standing": tilt < 40 and legs < 40 and bent < 55,
        "seated": tilt < 60 and bent > 45,
        "bending": 35 < tilt < 130 and bent > 35 and legs < 60,
        "lying": 50 < tilt < 130 and 50 < legs < 130 and bent < 70,
        "upside_down": tilt > 120,
    }
    return {name for name, so in passes.items() if so}


def _angle(a: Array, b: Array) -> float:
    """Returns degrees between two vectors."""
    cosine = a @ b / max(float(np.linalg.norm(a) * np.linalg.norm(b)), 1e-9)
    return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))
