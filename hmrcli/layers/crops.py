"""Input of every network: pictures of people, and where in their photos they come from."""

from typing import NamedTuple

import torch
from torch import Tensor


class Crops(NamedTuple):
    """B crops; a photo that was mirrored for training is meant as it is after that."""

    images: Tensor
    """(B, 3, H, W) normalised RGB; (B, H, W, 3) RGB, uint8, until `hmrcli.algorithms.predict` makes that of it."""
    affine: Tensor
    """(B, 2, 3) pixels of the photo to pixels of the crop, with the crop's rotation."""
    box: Tensor
    """(B, 3) center x and y of the square around the person and its side, pixels of the photo.

    The side spans the crop's columns.
    """
    photo_size: Tensor
    """(B, 2) width and height of the photo, pixels."""

    def to(self, device: torch.device | str) -> "Crops":
        """Returns the same on a device; pinned memory is copied in the background."""
        return Crops(*(values.to(device, non_blocking=True) for values in self))


def pixels(crops: Tensor | Crops) -> Tensor:
    """Returns the pictures (B, 3, H, W) alone."""
    return crops.images if isinstance(crops, Crops) else crops


def whole_photos(images: Tensor) -> Crops:
    """Takes pictures (B, 3, H, W) of which nothing is known for photos that show one person each."""
    height, width = images.shape[-2:]
    batch, ones = len(images), images.new_ones(len(images), 1)
    box = ones * images.new_tensor([width / 2, height / 2, width])
    affine = torch.eye(2, 3, dtype=images.dtype, device=images.device).expand(batch, 2, 3)
    return Crops(images, affine, box, ones * images.new_tensor([width, height]))
