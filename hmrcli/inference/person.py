"""One recovered person, in the terms of the JSON contract."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import roma
import torch
from numpy.typing import NDArray

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Person:
    """A body placed in the full image; camera x right, y down, z forward.

    Attributes:
        bbox_xywh: (4,) pixels.
        score: in [0, 1], how well body, landmarks and mask agree (`inference.agreement`); for a network's body in a
            given box, of which no landmarks are read, whether it lies in the box.
        method: how it was found: `regression` by a network, `fit` to landmarks.
        rotmat: (24, 3, 3) joint rotations in their parent's frame, the root's in the camera's; None where a network
            gives a mesh without parameters.
        betas: (10,) shape; None likewise.
        cam: (3,) weak-perspective camera (s, tx, ty) in the person's square crop: x = s (X + tx) in [-1, 1].
        transl: (3,) metres; `vertices + transl` lie in camera space.
        focal_length: pixels.
        principal_point: (2,) pixels.
        vertices: (V, 3) metres.
        joints3d: (24, 3) metres, with the same origin as `vertices`.
        joints2d: (24, 2) pixels.
        joints_visibility: (24,) in [0, 1], how far each joint was seen: 0 outside the picture, low where something
            hides it. For a network's body in a given box: whether it lies in the picture.
    """

    bbox_xywh: Array
    score: float
    method: str
    rotmat: Array | None
    betas: Array | None
    cam: Array
    transl: Array
    focal_length: float
    principal_point: Array
    vertices: Array
    joints3d: Array
    joints2d: Array
    joints_visibility: Array

    @property
    def pose(self) -> Array | None:
        """(72,) axis-angle of the 24 joints, radians; None without `rotmat`."""
        if self.rotmat is None:
            return None
        return roma.rotmat_to_rotvec(torch.from_numpy(self.rotmat)).flatten().numpy()

    def arrays(self) -> dict[str, Array]:
        """What the `npz` file holds, by the names of the contract."""
        values = {name: getattr(self, name) for name in (*_NUMBERS, "vertices")}
        return {name: np.asarray(value, np.float32) for name, value in values.items() if value is not None}

    def as_json(self) -> dict[str, Any]:
        """The person in the contract's JSON, without its files."""
        numbers = {name: _rounded(getattr(self, name)) for name in _NUMBERS}
        return {"bbox_xywh": numbers["bbox_xywh"], "score": numbers["score"], "method": self.method} | numbers


class People(list[Person]):
    """The people of one image; `notes` are sentences about those of whom there is no body."""

    def __init__(self, people: Iterable[Person] = (), notes: Sequence[str] = ()) -> None:
        super().__init__(people)
        self.notes = list(notes)


def camera_pitch(people: Sequence[Person]) -> float:
    """How far the camera looks down, in radians, by the people who stand: the median of what they lean towards it.

    0 where nobody is seen to stand upright in the picture, with straight knees and hips.
    """
    leans = []
    for person in people:
        ankles, knees, hips, neck = (
            person.joints3d[list(joints)].mean(0) for joints in ((7, 8), (4, 5), (1, 2), (12,))
        )
        body = neck - ankles
        bones = [_unit(part) for part in (knees - ankles, hips - knees, neck - hips)]
        straight = min(bones[0] @ bones[1], bones[1] @ bones[2]) > 0.85
        if straight and person.joints_visibility[[7, 8]].max() >= 0.5 and -body[1] > abs(body[0]):
            leans.append(float(np.arctan2(-body[2], -body[1])))
    return float(np.median(leans)) if leans else 0.0


def _unit(vector: Array) -> Array:
    return vector / max(float(np.linalg.norm(vector)), 1e-9)


_NUMBERS = (
    *("bbox_xywh", "score", "rotmat", "pose", "betas", "cam", "transl"),
    *("focal_length", "principal_point", "joints3d", "joints2d", "joints_visibility"),
)


def _rounded(value: Any) -> Any:
    """Plain numbers to a micrometre, a microradian or a millionth of a pixel: beyond that is rounding noise."""
    return None if value is None else np.asarray(value, np.float64).round(6).tolist()
