"""Rows of a set that labels people in single pictures, as its reader collects them."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from hmrcli.body.joints import joint_set
from hmrcli.data.annotations import Annotations
from hmrcli.data.body_parameters import BETAS_SIZE, POSE_SIZE


class Rows:
    """Rows without 3D keypoints, in the order in which they are added."""

    def __init__(self, dataset: str, joints: str) -> None:
        """Starts with none.

        Args:
            dataset: folder of the images.
            joints: set of the keypoints.
        """
        self.dataset, self.joints = dataset, joints
        self._rows: list[tuple[Any, ...]] = []

    def add(
        self,
        path: str,
        bbox_xywh: ArrayLike,
        keypoints2d: ArrayLike,
        pose: ArrayLike | None = None,
        betas: ArrayLike | None = None,
    ) -> None:
        """Adds a person; with pose and betas where a body is known."""
        unknown = np.zeros(POSE_SIZE), np.zeros(BETAS_SIZE)
        body = unknown if pose is None or betas is None else (np.ravel(pose), np.ravel(betas)[:BETAS_SIZE])
        self._rows.append((path, bbox_xywh, keypoints2d, *body, pose is not None))

    def annotations(self) -> Annotations:
        """Returns what was added."""
        path, boxes, points, pose, betas, known = zip(*self._rows) if self._rows else [()] * 6
        count = len(path)

        def numbers(values: Any, *shape: int) -> Any:
            return np.array(values, np.float32).reshape(count, *shape)

        return Annotations(
            dataset=self.dataset,
            joints=self.joints,
            image_path=np.array(path, np.str_),
            bbox_xywh=numbers(boxes, 4),
            keypoints2d=numbers(points, len(joint_set(self.joints)), 3),
            keypoints3d=None,
            pose=numbers(pose, POSE_SIZE),
            betas=numbers(betas, BETAS_SIZE),
            has_smpl=np.array(known, bool),
            gender=np.full(count, "n"),
        )
