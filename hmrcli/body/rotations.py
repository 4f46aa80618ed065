"""Rotations in the forms that networks, body models and fits use."""

import roma
import torch
from torch import Tensor
from torch.nn.functional import normalize


def rotmat_from_6d(numbers: Tensor) -> Tensor:
    """Finds rotations (..., 3, 3) with first columns nearest to two given (Zhou et al., CVPR 2019, eq. 15).

    The six numbers (..., 6) are a (3, 2) matrix row by row: its columns are the two vectors, so they lie
    interleaved (a1x, a2x, a1y, a2y, a1z, a2z).
    """
    first, second = numbers.unflatten(-1, (3, 2)).unbind(-1)
    # The third axis stands upright on both; the second one's part along the first drops out by itself.
    normal = torch.linalg.cross(first, second)
    x, z = normalize(torch.stack([first, normal]), dim=-1, eps=1e-24).unbind()
    return torch.stack([x, torch.linalg.cross(z, x), z], dim=-1)


def sixd_from_rotmat(rotmat: Tensor) -> Tensor:
    """Inverts `rotmat_from_6d`: (..., 3, 3) to (..., 6), the first two columns interleaved."""
    return rotmat[..., :2].flatten(-2)


def rotmat_from_axis_angle(axis_angle: Tensor) -> Tensor:
    """Turns axis-angle (..., 3) in radians into rotation matrices (..., 3, 3), by the formula of Rodrigues.

    The angle is the norm of the vector plus 1e-8, as in SMPL's own code and in HMR (Kanazawa et al., CVPR
    2018): differentiable at rest.
    """
    identity = torch.eye(3, dtype=axis_angle.dtype, device=axis_angle.device).expand(*axis_angle.shape, 3)
    angle = (axis_angle + 1e-8).norm(dim=-1, keepdim=True)[..., None]
    axis, cosine = axis_angle[..., None, :] / angle, angle.cos()
    across = torch.linalg.cross(identity, axis)  # the matrix of x -> axis × x
    return cosine * identity + angle.sin() * across + (1 - cosine) * axis * axis.mT


def axis_angle_from_rotmat(rotmat: Tensor) -> Tensor:
    """Turns rotation matrices (..., 3, 3) into axis-angle (..., 3) in radians, angles in [0, pi]."""
    return roma.rotmat_to_rotvec(rotmat)


def rotmat_from_pose(pose: Tensor) -> Tensor:
    """Turns SMPL's pose vector (..., 72) into (..., 24, 3, 3)."""
    return rotmat_from_axis_angle(pose.unflatten(-1, (24, 3)))


def pose_from_rotmat(rotmat: Tensor) -> Tensor:
    """Turns (..., 24, 3, 3) into SMPL's pose vector (..., 72) in radians."""
    return axis_angle_from_rotmat(rotmat).flatten(-2)
