"""Training samples: one decode and one warp each, labels that follow the pixels, batches for the device.

What a recipe leaves to chance is drawn from (seed, epoch, position) alone, so a sample is the same whichever process
makes it.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from hmrcli.body.camera import CROP_SIZE
from hmrcli.body.joints import JOINT_SETS
from hmrcli.data.augmentation import (
    SampleAugmentation,
    augment_crop,
    augment_joints2d,
    augment_joints3d,
    augment_pose,
    augmented_affine,
    draw_augmentation,
    flip_pose,
    rotate_pose,
)
from hmrcli.data.crop import Reals, crop_image, square_around
from hmrcli.data.mixture import BatchSampler, Draw, generator
from hmrcli.data.sets import ImageSet
from hmrcli.data.unreadable_rows import Unreadable, UnreadableRow
from hmrcli.data.workers import start_worker
from hmrcli.errors import BadInput
from hmrcli.layers.crops import Crops
from hmrcli.recipe import Recipe
from hmrcli.recipe.algorithms import CropShape
from hmrcli.recipe.schema import Augmentation

_ATTEMPTS = 10
"""Rows of a set that are drawn before it counts as unreadable altogether."""


class Batch(NamedTuple):
    """B samples of a step."""

    images: Tensor
    """(B, height, width, 3) crops, RGB, uint8; this and the next three are what a network gets."""
    affine: Tensor
    """(B, 2, 3)"""
    box: Tensor
    """(B, 3)"""
    photo_size: Tensor
    """(B, 2)"""
    keypoints2d: Tensor
    """(B, J, 3) pixels of a crop of 224, whatever the size of the picture, and confidence."""
    keypoints3d: Tensor
    """(B, J, 4) metres and confidence."""
    pose: Tensor
    """(B, 72) axis-angle, radians."""
    betas: Tensor
    """(B, 10)"""
    has_keypoints2d: Tensor
    """(B,) bool"""
    has_keypoints3d: Tensor
    """(B,) bool"""
    has_smpl: Tensor
    """(B,) bool: whether pose and betas are known."""
    dataset: Tensor
    """(B,) int64: number of the set."""
    row: Tensor
    """(B,) int64: row in the set."""
    epoch: Tensor
    """(B,) int64: of the draw."""
    position: Tensor
    """(B,) int64: of the draw, in its epoch."""
    flip: Tensor
    """(B,) bool: whether the image was mirrored."""
    rotation: Tensor
    """(B,) radians by which the square was turned, after mirroring."""

    @property
    def crops(self) -> Crops:
        """Returns what the network gets."""
        return Crops(self.images, self.affine, self.box, self.photo_size)

    def to(self, device: torch.device | str) -> "Batch":
        """Returns the same on a device: pictures, numbers and whole numbers travel as one block each.

        From pinned memory, in the background.
        """
        if torch.device(device).type == "cpu":
            return self
        blocks: dict[torch.dtype, list[str]] = {}
        for name, values in self._asdict().items():  # flags travel as numbers
            kind = torch.float32 if values.dtype == torch.bool else values.dtype
            blocks.setdefault(kind, []).append(name)
        moved: dict[str, Tensor] = {}
        for kind, names in blocks.items():
            fields = [getattr(self, name) for name in names]
            rows = [field.flatten(1) if field.dim() > 1 else field[:, None] for field in fields]
            block = rows[0] if len(rows) == 1 else torch.cat([row.to(kind) for row in rows], 1)
            pinned = block.pin_memory() if torch.device(device).type == "cuda" else block
            parts = pinned.to(device, non_blocking=True).split([row.shape[1] for row in rows], 1)
            moved |= {n: part.view(f.shape).to(f.dtype) for n, part, f in zip(names, parts, fields)}
        return Batch(**moved)


class Made(NamedTuple):
    """A sample, or a batch of them."""

    sample: Any
    unreadable: list[UnreadableRow]
    """Rows that were drawn first."""


class TrainingSet(Dataset[Made | BadInput]):
    """Samples of several sets, by `Draw`; labels are in the frame of a square crop of 224, whatever its shape is."""

    def __init__(
        self, sets: Sequence[ImageSet], settings: Augmentation, joints: str, seed: int, shape: CropShape
    ) -> None:
        self.sets, self.settings, self.flip = sets, settings, JOINT_SETS[joints].flip
        self.seed, self.shape = seed, shape

    def augmentation(self, draw: Draw) -> SampleAugmentation:
        """Draws what happens to a sample."""
        mix = self.settings.self_mix
        mixes = mix is not None and self.sets[draw.dataset].name in mix.datasets
        numbers = generator("augmentation", self.seed, draw.epoch, draw.position)
        return draw_augmentation(numbers, self.settings, mixes, self.shape.width)

    def sample(self, draw: Draw) -> dict[str, Any]:
        """Makes a sample: the fields of `Batch` without their first axis.

        Raises:
            BadInput: the image cannot be read.
        """
        augmentation = self.augmentation(draw)
        stored, box, labels = self.sets[draw.dataset].read(draw.row)
        center, side = square_around(box)  # the box as stored, its padding is in the annotations
        affine = augmented_affine(augmentation, center, float(side), self.shape)
        crop = crop_image(stored.image, stored.affine(affine), self.shape)
        labelled = augmented_affine(augmentation, center, float(side), CROP_SIZE)
        width, height = stored.photo_size
        x = width - 1 - center[0] if augmentation.flip else center[0]
        return {
            **labels,
            "images": augment_crop(np.asarray(cv2.cvtColor(crop, cv2.COLOR_BGR2RGB), np.uint8), augmentation),
            "affine": affine.astype(np.float32),
            "box": np.array([x, center[1], side * augmentation.scale], np.float32),
            "photo_size": np.array([width, height], np.float32),
            "keypoints2d": augment_joints2d(labels["keypoints2d"], augmentation, labelled, self.flip),
            "keypoints3d": augment_joints3d(labels["keypoints3d"], augmentation, self.flip),
            "pose": augment_pose(labels["pose"], augmentation) if labels["has_smpl"] else labels["pose"],
            **{name: np.int64(number) for name, number in draw._asdict().items()},
            "flip": np.bool_(augmentation.flip),
            "rotation": np.float32(augmentation.rotation),
        }

    def __getitem__(self, draw: Draw) -> Made | BadInput:
        """Returns the sample of a draw; in place of a row that cannot be read, of another row of its set.

        Which one is drawn depends on the draw alone, and no other draw changes.
        """
        unreadable: list[UnreadableRow] = []
        again: Generator | None = None
        while True:
            try:
                return Made(self.sample(draw), unreadable)
            except BadInput as error:  # raised in a worker, it would reach the user as a traceback
                unreadable.append(UnreadableRow(draw.dataset, draw.row, str(error)))
                if len(unreadable) == _ATTEMPTS:
                    return error
            again = again or generator("replacement", self.seed, draw.epoch, draw.position)
            draw = draw._replace(row=int(again.integers(len(self.sets[draw.dataset]))))


def collate(samples: Sequence[Made | BadInput]) -> Made | BadInput:
    """Makes samples a `Batch`; or says what is wrong with the first that could not be made."""
    good = []
    for sample in samples:
        if isinstance(sample, BadInput):
            return sample
        good.append(sample)
    arrays = (np.stack([made.sample[name] for made in good]) for name in Batch._fields)
    return Made(Batch(*map(torch.from_numpy, arrays)), [row for made in good for row in made.unreadable])


def training_batches(
    recipe: Recipe,
    sets: Sequence[ImageSet],
    sampler: BatchSampler,
    workers: int = 0,
    pin_memory: bool = False,
    unreadable: Unreadable | None = None,
) -> Iterator[Batch]:
    """Yields the batches of a sampler, made ahead by workers; no random state outside of this function is touched.

    Args:
        sets: what the sampler's mixture is of.
        workers: processes that make samples; 0 makes them here.
        pin_memory: for copies to a GPU in the background.
        unreadable: lists rows whose image cannot be read; others of their sets are drawn instead.

    Raises:
        BadInput: without `unreadable`, an image cannot be read; with it, too many; the message names one.
    """
    loader = DataLoader(
        TrainingSet(sets, recipe.augmentation, recipe.data.joints, sampler.seed, recipe.crop_shape),
        batch_sampler=sampler,
        num_workers=workers,
        collate_fn=collate,
        worker_init_fn=start_worker,
        pin_memory=pin_memory,
        generator=torch.Generator(),  # the loader's own draws must not move the generator of dropout
    )
    for made in loader:
        if isinstance(made, BadInput):
            raise made
        if made.unreadable:
            if unreadable is None:
                raise BadInput(made.unreadable[0].reason)
            unreadable.add(made.unreadable)
        yield made.sample


def pose_into_crop(pose: Reals, flip: NDArray[np.bool_], rotation: Reals) -> Reals:
    """Moves poses (B, 72) of the full images, such as stored fits, into augmented crops."""
    return rotate_pose(np.where(flip[:, None], flip_pose(pose), pose), rotation)


def pose_from_crop(pose: Reals, flip: NDArray[np.bool_], rotation: Reals) -> Reals:
    """Undoes `pose_into_crop`: turns back, then mirrors back. So fits in crops are stored."""
    turned = rotate_pose(pose, -np.asarray(rotation))
    return np.where(flip[:, None], flip_pose(turned), turned)
