"""One recovered person, in the terms of the JSON contract."""

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
        score: confidence in [0, 1].
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


_NUMBERS = (
    *("bbox_xywh", "score", "rotmat", "pose", "betas", "cam", "transl"),
    *("focal_length", "principal_point", "joints3d", "joints2d"),
)


def _rounded(value: Any) -> Any:
    """Plain numbers to a micrometre, a microradian or a millionth of a pixel: beyond that is rounding noise."""
    return None if value is None else np.asarray(value, np.float64).round(6).tolist()
