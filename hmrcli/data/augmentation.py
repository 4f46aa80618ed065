"""Random changes of training samples: mirror, size, turn, colour, and patches mixed into the image.

Drawing and applying are apart. The order is mmhuman3d's: mirror the full image, then scale and turn the square, then
crop, all in one warp.
"""

from dataclasses import dataclass
from math import pi, radians, sqrt

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

from hmrcli.body.camera import CROP_SIZE
from hmrcli.body.joints import SMPL_24
from hmrcli.data.crop import Floats, Reals, crop_affine, transform_points
from hmrcli.recipe.algorithms import CropShape
from hmrcli.recipe.schema import Augmentation, SelfMix


@dataclass(frozen=True)
class Patch:
    """A part of a crop to blend into another place of the same crop; tops and lefts in pixels."""

    height: int
    width: int
    target: tuple[int, int]
    source: tuple[int, int]
    share: float
    """Of the source in the blend."""


@dataclass(frozen=True)
class SampleAugmentation:
    """Changes to one sample; without arguments, none."""

    gains: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """Factor of each channel."""
    flip: bool = False
    scale: float = 1.0
    """Factor of the square's side: above 1 the person gets smaller."""
    rotation: float = 0.0
    """Radians by which the square is turned; the person turns the other way."""
    patch: Patch | None = None


def draw_augmentation(
    generator: Generator, settings: Augmentation, mixes: bool = True, size: int = CROP_SIZE
) -> SampleAugmentation:
    """Draws one sample's augmentation.

    The patch is drawn last. All before is drawn whether or not it is used, so that changing one setting leaves the
    other draws of the same generator as they were.

    Args:
        mixes: the sample is of a set whose crops are mixed.
        size: side of the crop, pixels, in which the patch lies.
    """
    noise, mix = settings.channel_noise, settings.self_mix if mixes else None
    red, green, blue = (float(gain) for gain in generator.uniform(1 - noise, 1 + noise, 3))
    flipped = generator.random() < settings.flip
    factor = 1 + settings.scale * min(max(generator.standard_normal(), -1.0), 1.0)
    turn = radians(settings.rotation.degrees) * min(max(generator.standard_normal(), -2.0), 2.0)
    turned = generator.random() < settings.rotation.probability
    generator.random()  # of no use any more: without it, runs that have begun would go on with other draws
    mixed = mix is not None and generator.random() < mix.probability
    return SampleAugmentation(
        gains=(red, green, blue),
        flip=flipped,
        scale=factor,
        rotation=turn if turned else 0.0,
        patch=draw_patch(generator, mix, size) if mixed and mix else None,
    )


def draw_patch(generator: Generator, settings: SelfMix, size: int = CROP_SIZE) -> Patch | None:
    """Draws a patch of a square crop as the benchmark's MixingErasing of type "self" does, all of it uniformly.

    Area and aspect are drawn anew until the patch is smaller than the crop both ways; None if none is in so many
    attempts.
    """
    for _ in range(settings.attempts):
        pixels = generator.uniform(*settings.area) * size * size
        ratio = generator.uniform(*settings.aspect)
        height, width = round(sqrt(pixels * ratio)), round(sqrt(pixels / ratio))
        if height < size and width < size:
            top, left, source_top, source_left = (
                int(generator.integers(0, size - length, endpoint=True))
                for length in (height, width, height, width)
            )
            target, source = (top, left), (source_top, source_left)
            return Patch(height, width, target, source, float(generator.uniform(*settings.blend)))
    return None


def self_mix(crop: NDArray[np.uint8], patch: Patch) -> NDArray[np.uint8]:
    """Blends one part of a crop (H, W, 3) over another; fractions of grey levels are dropped."""
    target, source = (
        (slice(top, top + patch.height), slice(left, left + patch.width))
        for top, left in (patch.target, patch.source)
    )
    mixed = crop.copy()
    mixed[target] = ((1 - patch.share) * crop[target] + patch.share * crop[source]).astype(np.uint8)
    return mixed


def scale_channels(image: NDArray[np.uint8], gains: ArrayLike) -> NDArray[np.uint8]:
    """Multiplies each channel of an image (H, W, 3) by its gain, rounded and saturated."""
    levels = np.arange(256)[:, None] * np.asarray(gains, np.float64)
    table = np.rint(levels).clip(0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(image, table[None]), np.uint8)


def augmented_affine(
    augmentation: SampleAugmentation, center: ArrayLike, side: float, size: int | CropShape = CROP_SIZE
) -> Floats:
    """Makes the affine (2, 3) that mirrors, scales, turns and crops; arguments as of `crop.crop_affine`."""
    return crop_affine(center, side * augmentation.scale, augmentation.rotation, size, augmentation.flip)


def augment_crop(crop: NDArray[np.uint8], augmentation: SampleAugmentation) -> NDArray[np.uint8]:
    """Applies colour and patch of an augmentation to a crop (size, size, 3) made with its `augmented_affine`.

    The benchmark scales the channels of the full image. On the crop it costs a tenth, and the values are the
    same to a grey level except at edges between saturated and other pixels.
    """
    if augmentation.gains != (1.0, 1.0, 1.0):
        crop = scale_channels(crop, augmentation.gains)
    return self_mix(crop, augmentation.patch) if augmentation.patch else crop


def augment_joints2d(
    joints2d: Reals, augmentation: SampleAugmentation, affine: Floats, order: tuple[int, ...]
) -> Reals:
    """Moves 2D joints (N, 2 or more), pixels, into an augmented crop; columns after x, y (a confidence) are kept.

    Args:
        affine: (2, 3) from `augmented_affine`, which already mirrors.
        order: the joint set's mirror permutation, from `hmrcli.body.joints`.
    """
    return transform_points(joints2d[list(order)] if augmentation.flip else joints2d, affine)


def augment_joints3d(joints3d: Reals, augmentation: SampleAugmentation, order: tuple[int, ...]) -> Reals:
    """Mirrors and turns 3D joints (N, 3 or more) as an augmented crop is; arguments as of `flip_joints3d`."""
    flipped = flip_joints3d(joints3d, order) if augmentation.flip else joints3d
    return rotate_joints3d(flipped, augmentation.rotation)


def augment_pose(pose: Reals, augmentation: SampleAugmentation) -> Reals:
    """Mirrors and turns SMPL's pose (72,) as a crop is; `rotate_pose` by -rotation, then `flip_pose` undo it."""
    return rotate_pose(flip_pose(pose) if augmentation.flip else pose, augmentation.rotation)


def flip_joints3d(joints3d: Reals, order: tuple[int, ...]) -> Reals:
    """Mirrors 3D joints (..., N, 3 or more): left and right change places and x changes sign.

    Args:
        joints3d: in camera axes, relative to a point on the person; columns after x, y, z are kept.
        order: the joint set's mirror permutation, from `hmrcli.body.joints`.
    """
    flipped = joints3d[..., list(order), :]
    flipped[..., 0] *= -1
    return flipped


def flip_pose(pose: Reals) -> Reals:
    """Mirrors SMPL's pose (..., 72): left and right change places, y and z of each rotation change sign."""
    joints = pose.reshape(*pose.shape[:-1], 24, 3)[..., list(SMPL_24.flip), :]
    return (joints * np.array([1, -1, -1], pose.dtype)).reshape(pose.shape)


def rotate_joints3d(joints3d: Reals, rotation: ArrayLike) -> Reals:
    """Turns 3D joints (..., N, 3 or more), in camera axes, as the person turns in a crop: by R(-rotation) about z.

    Args:
        rotation: (...,) of the crop, radians.
    """
    cosine, sine = np.cos(rotation)[..., None], np.sin(rotation)[..., None]
    x, y = joints3d[..., 0], joints3d[..., 1]
    turned = joints3d.copy()
    turned[..., 0], turned[..., 1] = cosine * x + sine * y, cosine * y - sine * x
    return turned


def rotate_pose(pose: Reals, rotation: ArrayLike) -> Reals:
    """Turns the global orientation of SMPL's pose (..., 72) as the person turns in a crop.

    Args:
        pose: axis-angle, radians; only the first joint changes, to an angle in [0, pi].
        rotation: (...,) of the crop, radians; the person turns by R(-rotation) about z.
    """
    half = -np.asarray(rotation, np.float64)[..., None] / 2
    orient = pose[..., :3].astype(np.float64)
    angle = np.linalg.norm(orient, axis=-1, keepdims=True)
    # Product of the unit quaternions (0, 0, sin, cos) of the turn and (vector, scalar) of the orientation;
    # numpy's sinc(t) is sin(pi t) / (pi t).
    vector, scalar = orient * np.sinc(angle / (2 * pi)) / 2, np.cos(angle / 2)
    x, y, z = np.split(vector, 3, axis=-1)
    cosine, sine = np.cos(half), np.sin(half)
    vector = np.concatenate([cosine * x - sine * y, cosine * y + sine * x, cosine * z + sine * scalar], -1)
    scalar = cosine * scalar - sine * z
    vector, scalar = np.where(scalar < 0, -vector, vector), np.abs(scalar)
    length = np.linalg.norm(vector, axis=-1, keepdims=True)
    turned = vector * (2 * np.arctan2(length, scalar) / np.maximum(length, 1e-12))
    return np.concatenate([turned.astype(pose.dtype), pose[..., 3:]], -1)
