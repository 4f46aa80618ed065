"""Rows of an annotation file while a reader collects them, and those that cannot be used, by reason."""

from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from hmrcli.data.annotations import Annotations, joint_set
from hmrcli.data.smpl_fields import BETAS_SIZE, POSE_SIZE
from hmrcli.errors import BadInput


class Made(NamedTuple):
    """What a reader made of an official tree."""

    annotations: Annotations
    dropped: dict[str, int]
    """Rows that cannot be used, by reason."""
    sources: dict[str, str]
    """What the labels were made from, where it may differ."""


class Rows:
    """Rows of a set without 3D keypoints, in the order in which they are added."""

    def __init__(self, dataset: str, joints: str) -> None:
        """Starts with none.

        Args:
            dataset: folder of the images.
            joints: set of the keypoints.
        """
        self.dataset, self.joints = dataset, joints
        self.dropped: Counter[str] = Counter()
        self.sources: dict[str, str] = {}
        self._columns: dict[str, list[Any]] = {
            name: [] for name in ("path", "box", "points", "pose", "betas")
        }

    def add(
        self,
        path: str,
        box_xywh: ArrayLike,
        keypoints: ArrayLike,
        pose: ArrayLike | None = None,
        betas: ArrayLike | None = None,
    ) -> None:
        """Adds a person; pose (72) and betas (10) where a body is known."""
        for column, value in zip(self._columns.values(), (path, box_xywh, keypoints, pose, betas)):
            column.append(value)

    def made(self, where: Path) -> Made:
        """Returns what was collected.

        Args:
            where: what was read, for errors.

        Raises:
            BadInput: nothing was.
        """
        count = len(self._columns["path"])
        if not count:
            why = (
                ", ".join(f"{number} {reason}" for reason, number in self.dropped.items())
                or "it lists nobody"
            )
            raise BadInput(f"{where}: no row can be used ({why}); see that it is the official file")
        known = np.array([pose is not None for pose in self._columns["pose"]])
        pose, betas = np.zeros((count, POSE_SIZE), np.float32), np.zeros((count, BETAS_SIZE), np.float32)
        for row in np.flatnonzero(known):
            pose[row] = np.ravel(self._columns["pose"][row])
            betas[row] = np.ravel(self._columns["betas"][row])[:BETAS_SIZE]
        annotations = Annotations(
            dataset=self.dataset,
            joints=self.joints,
            image_path=np.array(self._columns["path"]),
            bbox_xywh=np.array(self._columns["box"], np.float32),
            keypoints2d=np.array(self._columns["points"], np.float32).reshape(
                count, len(joint_set(self.joints)), 3
            ),
            keypoints3d=None,
            pose=pose,
            betas=betas,
            has_smpl=known,
            gender=np.full(count, "n"),
        )
        return Made(annotations, dict(self.dropped), self.sources)


def padded_box(low: ArrayLike, high: ArrayLike, factor: float) -> NDArray[np.float64]:
    """Returns x, y, width, height (4,) of the box from `low` to `high`, scaled about its middle and not clipped."""
    low, high = np.asarray(low, np.float64), np.asarray(high, np.float64)
    size = (high - low) * factor
    return np.concatenate([(low + high - size) / 2, size])


def square_box(center: ArrayLike, scale: float) -> NDArray[np.float64]:
    """Returns x, y, width, height (4,) of the square around `center` whose side is 200 times `scale`."""
    side = 200.0 * scale
    return np.concatenate([np.asarray(center, np.float64) - side / 2, [side, side]])


def image_size(path: Path) -> tuple[int, int]:
    """Returns width and height of an image as its header states them.

    Raises:
        BadInput: it is missing or no image.
    """
    try:
        with Image.open(path) as image:
            return image.size
    except (OSError, ValueError, Image.DecompressionBombError):
        why = "is no image" if path.is_file() else "is missing"
        raise BadInput(f"{path}: {why}, expected a picture of the set; unpack its archive again") from None
