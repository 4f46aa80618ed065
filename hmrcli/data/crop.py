"""Crops of people, by one affine each and one warp each.

An affine (2, 3) takes pixels of the full image to pixels of the crop. Everything that moves a person within
the crop (place, size, turn, mirror) is composed into it, so that an image is resampled once and its points go
the same way. Conventions are mmhuman3d's, pinned by tests/golden/augment.npz: the middle of a box lands on
the crop's size / 2, bilinear sampling without prefilter, black outside the image.
"""

import cv2
import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from hmrcli.body.camera import CROP_SIZE
from hmrcli.errors import BadInput
from hmrcli.layers.constants import constant
from hmrcli.layers.crops import Crops
from hmrcli.recipe.algorithms import CropShape

IMAGE_MEAN = (123.675, 116.28, 103.53)
IMAGE_STD = (58.395, 57.12, 57.375)
"""Of ImageNet's red, green and blue in grey levels: what every published backbone was trained with."""

Floats = NDArray[np.float64]
Reals = NDArray[np.floating]
"""Numbers in any precision."""


def square_around(bbox_xywh: ArrayLike, scale: float = 1.0) -> tuple[Floats, Floats]:
    """Finds the square around a box's middle, as large as its longer side: center (..., 2) and side (...,), pixels.

    Args:
        bbox_xywh: (..., 4) x, y of the top left corner, width, height, pixels.
        scale: multiplies the side. 1 for annotations, whose boxes were padded when they were made; 1.25 for
            boxes drawn tightly around a person.

    Raises:
        BadInput: a number is not finite, width or height is negative, or both are zero.
    """
    bbox = np.asarray(bbox_xywh, np.float64)
    usable = np.isfinite(bbox).all(-1) & (bbox[..., 2:] >= 0).all(-1) & (bbox[..., 2:].max(-1) > 0)
    if not usable.all():
        wrong = ", ".join(f"{number:g}" for number in bbox[~usable][0])
        raise BadInput(f"bbox_xywh: expected finite x, y, width, height with a positive size, got {wrong}")
    return bbox[..., :2] + bbox[..., 2:] / 2, bbox[..., 2:].max(-1) * scale


def crop_affine(
    center: ArrayLike,
    side: ArrayLike,
    rotation: ArrayLike = 0.0,
    size: int | CropShape = CROP_SIZE,
    mirror: ArrayLike = False,
) -> Floats:
    """Makes affines (..., 2, 3) from full images to crops: p' = size / 2 + width / side * R(-rotation) (p - center).

    The square spans the crop's columns; a crop that is higher than wide shows more above and below.

    Args:
        center: (..., 2) of the square in the image, pixels.
        side: (...,) of the square, pixels, positive.
        rotation: (...,) radians by which the square is turned, from x (right) to y (down); its content turns
            the other way in the crop.
        size: of the crop, pixels; one number for a square.
        mirror: (...,) whether image and square are mirrored (x becomes width - 1 - x) before the square is turned;
            `center` stays that of the unmirrored image.
    """
    shape = _shape(size)
    center = np.asarray(center, np.float64)
    zoom = shape.width / np.asarray(side, np.float64)
    # The mirrored point relative to the mirrored center is -(x - center): the image's width cancels.
    sign = 1.0 - 2.0 * np.asarray(mirror)
    cosine, sine = zoom * np.cos(rotation), zoom * np.sin(rotation)
    affine = np.empty((*np.broadcast(center[..., 0], cosine, sign).shape, 2, 3))
    affine[..., 0, 0], affine[..., 0, 1] = sign * cosine, sine
    affine[..., 1, 0], affine[..., 1, 1] = -sign * sine, cosine
    affine[..., 2] = np.array(shape) / 2 - (affine[..., :2] @ center[..., None])[..., 0]
    return affine


def transform_points(points: Reals, affine: Floats) -> Reals:
    """Moves points (..., N, 2 or more) by affines (..., 2, 3); columns after x, y (a confidence) are kept."""
    moved = points[..., :2] @ affine[..., :2].swapaxes(-1, -2) + affine[..., None, :, 2]
    return np.concatenate([moved.astype(points.dtype), points[..., 2:]], -1)


def crop_image(
    image: NDArray[np.uint8], affine: Floats, size: int | CropShape = CROP_SIZE
) -> NDArray[np.uint8]:
    """Warps an image (H, W, 3) to a crop, by an affine (2, 3) made for the same size."""
    crop = cv2.warpAffine(image, affine, _shape(size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    return np.asarray(crop, np.uint8)


def crop_people(image: NDArray[np.uint8], boxes: ArrayLike, scale: float, shape: CropShape) -> Crops:
    """Cuts N people out of an image (H, W, 3).

    Args:
        boxes: (N, 4) x, y, width, height of each person, pixels.
        scale: of the squares, see `square_around`.
    """
    centers, sides = square_around(boxes, scale)
    affines = crop_affine(centers, sides, size=shape)
    images = np.empty((len(affines), shape.height, shape.width, 3), np.uint8)
    for crop, affine in zip(images, affines):
        crop[:] = crop_image(image, affine, shape)
    photo = torch.tensor([[image.shape[1], image.shape[0]]], dtype=torch.float32)
    return Crops(
        torch.from_numpy(images),
        torch.from_numpy(affines).float(),
        torch.from_numpy(np.concatenate([centers, sides[:, None]], 1)).float(),
        photo.expand(len(affines), 2),
    )


def _shape(size: int | CropShape) -> CropShape:
    return CropShape(size, size) if isinstance(size, int) else size


def normalise(crops: Tensor) -> Tensor:
    """Makes network input (..., 3, H, W) of crops (..., H, W, 3), RGB: each channel less its mean, over its deviation.

    It is float32 and contiguous, and made on the device where crops are: upload bytes, a quarter of the floats.
    """
    pixels = crops.movedim(-1, -3).to(torch.float32, copy=True, memory_format=torch.contiguous_format)
    mean, deviation = (constant(values, crops.device)[:, None, None] for values in (IMAGE_MEAN, IMAGE_STD))
    return pixels.sub_(mean).div_(deviation)
