"""Perspective projection, and the camera of a crop turned into a place in the full image.

Points are in metres with x right, y down, z forward; image points in pixels from the top left corner.
"""

import torch
from torch import Tensor

CROP_SIZE = 224
CROP_FOCAL_LENGTH = 5000.0


def project(points: Tensor, focal_length: Tensor | float, principal_point: Tensor) -> Tensor:
    """Projects points (..., N, 3) in camera coordinates to pixels (..., N, 2), without distortion.

    The focal length is (...,) or a number, the principal point (..., 2) or (2,), in pixels.
    """
    if isinstance(focal_length, Tensor):
        focal_length = focal_length.to(points)[..., None, None]
    across, depth = points.split([2, 1], dim=-1)
    return focal_length * across / depth + principal_point[..., None, :]


def crop_translation(
    cam: Tensor, crop_size: int = CROP_SIZE, focal_length: float = CROP_FOCAL_LENGTH
) -> Tensor:
    """Computes the translation that a crop's weak-perspective camera stands for (Kolotouros et al., ICCV 2019, 3.1).

    Of `cam` (..., 3) s, tx, ty it is (tx, ty, 2 f / (crop_size s)) in metres, for a principal point in the
    middle of the crop; an object of 2 metres times 1/s fills it.
    """
    s, tx, ty = cam.unbind(-1)
    return torch.stack([tx, ty, 2 * focal_length / (crop_size * s + 1e-9)], dim=-1)


def full_image_translation(
    cam: Tensor,
    bbox_center: Tensor,
    bbox_side: Tensor,
    focal_length: Tensor | float,
    principal_point: Tensor,
) -> Tensor:
    """Computes the translation that places the body in the full image (Li et al., CLIFF, ECCV 2022, eq. 3 and 4).

    Returns (..., 3) metres. The body's size in the image is that of the crop, whatever the focal length.

    Args:
        cam: (..., 3) s, tx, ty predicted in a square crop.
        bbox_center: (..., 2) middle of the crop in the full image, pixels.
        bbox_side: (...,) side of the crop, pixels.
        focal_length: of the full image, pixels, (...,) or a number.
        principal_point: (..., 2) of the full image, pixels.
    """
    s, tx, ty = cam.unbind(-1)
    pixels_per_metre = s * bbox_side / 2 + 1e-9
    focal = torch.as_tensor(focal_length, dtype=cam.dtype, device=cam.device)
    offset = (bbox_center - principal_point) / pixels_per_metre[..., None]
    depth = (focal / pixels_per_metre).expand_as(tx)
    return torch.stack([tx + offset[..., 0], ty + offset[..., 1], depth], dim=-1)


def crop_camera(
    transl: Tensor,
    bbox_center: Tensor,
    bbox_side: Tensor,
    focal_length: Tensor | float,
    principal_point: Tensor,
) -> Tensor:
    """Computes the weak-perspective camera (..., 3) s, tx, ty of a crop for a body placed in the full image.

    The inverse of `full_image_translation`, with the same arguments but `transl` (..., 3) for `cam`.
    """
    focal = torch.as_tensor(focal_length, dtype=transl.dtype, device=transl.device)
    pixels_per_metre = focal / transl[..., 2]
    shift = transl[..., :2] - (bbox_center - principal_point) / pixels_per_metre[..., None]
    return torch.cat([(2 * pixels_per_metre / bbox_side)[..., None], shift], -1)
