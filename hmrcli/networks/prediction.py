"""What every network returns, and the two rotation maps that their heads share."""

from typing import NamedTuple

import roma
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


def rotation_from_6d(values: Tensor) -> Tensor:
    """Gram-Schmidt of two columns (Zhou et al. 2019, eq. 11-13).

    Args:
        values: (B, 144); each joint's six numbers are a 3×2 matrix row by row, as the published files have it.

    Returns:
        (B, 24, 3, 3) rotations.
    """
    return roma.special_gramschmidt(values.float().view(-1, 24, 3, 2), epsilon=1e-12)


def rotation_from_matrix(matrices: Tensor) -> Tensor:
    """Orthogonal factor of the polar decomposition, times its determinant (GraphCMR's projection).

    A left-handed factor is negated as a whole, which differs from the nearest rotation but is what published
    weights were trained with. The gradient stays finite where singular values coincide.

    Args:
        matrices: (..., 3, 3).

    Returns:
        (..., 3, 3) rotations.
    """
    orthogonal = roma.procrustes(matrices.float(), force_rotation=False)
    return orthogonal * torch.linalg.det(orthogonal).detach().sign()[..., None, None]
