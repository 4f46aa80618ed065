"""Output of every network."""

from typing import NamedTuple

import torch
from torch import Tensor


class Prediction(NamedTuple):
    """Output of a network for a batch of B crops; fields that a network lacks are None. Lengths in metres."""

    cam: Tensor
    """(B, 3) weak-perspective camera (s, tx, ty) of the crop."""
    vertices: Tensor
    """(B, V, 3) the posed body before translation; from `rotmat` and `betas` where the network has them."""
    rotmat: Tensor | None = None
    """(B, 24, 3, 3) rotation of each joint in its parent's frame, the root's in the camera's."""
    betas: Tensor | None = None
    """(B, 10) shape."""
    mesh_levels: tuple[Tensor, ...] | None = None
    """Meshes predicted vertex by vertex, coarse to fine, each (B, V_level, 3); the last one has V vertices.

    GraphCMR: two levels, and the last differs from `vertices`, its parametric mesh. Graphormer: three levels,
    and the last is `vertices`.
    """
    joints3d: Tensor | None = None
    """(B, 14, 3) Graphormer's joint tokens, in the order of the 14 evaluation joints."""
    part_maps: Tensor | None = None
    """(B, 25, H, W) PARE's part scores before the softmax: background, then the 24 joints."""
    joints: Tensor | None = None
    """(B, 24, 3) joints of the kinematic tree, posed by `rotmat` and `betas` as `vertices` are."""

    def float(self) -> "Prediction":
        """Returns all fields in float32."""
        levels = self.mesh_levels and tuple(level.float() for level in self.mesh_levels)
        fields = {name: value.float() for name, value in self._asdict().items() if isinstance(value, Tensor)}
        return self._replace(**fields, mesh_levels=levels)


def full_precision(x: Tensor) -> torch.autocast:
    """Switches mixed precision off for what follows on the device of `x`; pass `x.float()` in.

    Coordinates and rotations need more than bfloat16's three digits, and what makes them costs little.
    """
    return torch.autocast(x.device.type, enabled=False)
