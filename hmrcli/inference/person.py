"""One recovered person, in the terms of the JSON contract."""

from dataclasses import dataclass
from typing import Any, Literal

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
        rotmat: (24, 3, 3) joint rotations in their parent's frame, the root's in the camera's.
        betas: (10,) shape.
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
    method: Literal["regression", "fit"]
    rotmat: Array
    betas: Array
    cam: Array
    transl: Array
    focal_length: float
    principal_point: Array
    vertices: Array
    joints3d: Array
    joints2d: Array

    @property
    def pose(self) -> Array:
        """(72,) axis-angle of the 24 joints, radians."""
        return roma.rotmat_to_rotvec(torch.from_numpy(self.rotmat)).flatten().numpy()

    def arrays(self) -> dict[str, Array]:
        """What the `npz` file holds, by the names of the contract."""
        names = ["bbox_xywh", "rotmat", "betas", "cam", "transl", "principal_point", "vertices", "joints3d", "joints2d"]
        return {name: getattr(self, name) for name in names} | {
            "pose": self.pose,
            "score": np.float32(self.score),
            "focal_length": np.float32(self.focal_length),
        }

    def as_json(self) -> dict[str, Any]:
        """The person in the contract's JSON, without its files."""
        values = {name: _rounded(value) for name, value in self.arrays().items() if name != "vertices"}
        order = ["bbox_xywh", "score", "rotmat", "pose", "betas", "cam", "transl", "focal_length", "principal_point", "joints3d", "joints2d"]
        document = {name: values[name] for name in order}
        return {"bbox_xywh": document.pop("bbox_xywh"), "score": document.pop("score"), "method": self.method, **document}


def _rounded(value: Any) -> Any:
    """Plain numbers to a micrometre, a microradian or a millionth of a pixel: beyond that is rounding noise."""
    return np.asarray(value, np.float64).round(6).tolist()
