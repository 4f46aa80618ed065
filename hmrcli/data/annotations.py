"""Annotations of people in images, in one form for all the files they come in."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmrcli.body.joints import joint_set

POSE_SIZE, BETAS_SIZE = 72, 10
Numbers = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Annotations:
    """Annotations of N people, one in each row; arrays may be mapped from a file and then are read-only.

    Slices, index arrays and masks in brackets choose rows.
    """

    dataset: str
    """Folder of the images."""
    joints: str
    """The set of the keypoints, a name in `JOINT_SETS`."""
    image_path: NDArray[np.str_]
    """(N,) below the folder of the images."""
    bbox_xywh: Numbers
    """(N, 4) top left corner and size, pixels."""
    keypoints2d: Numbers | None
    """(N, J, 3) pixels and confidence; None where the file has none."""
    keypoints3d: Numbers | None
    """(N, J, 4) metres and confidence; None where the file has none."""
    pose: Numbers
    """(N, 72) axis-angle, radians, the root's in the camera's frame; zeros where unknown."""
    betas: Numbers
    """(N, 10); zeros where unknown."""
    has_smpl: NDArray[np.bool_]
    """(N,) whether pose and betas are known."""
    gender: NDArray[np.str_]
    """(N,) m, f or n; of the body model that pose and betas are for."""
    transl: Numbers | None = None
    """(N, 3) of the body, metres."""
    intrinsics: Numbers | None = None
    """(N, 3, 3) of the camera, pixels."""

    def __len__(self) -> int:
        return len(self.image_path)

    def __getitem__(self, rows: slice | NDArray[Any] | Sequence[int]) -> "Annotations":
        chosen = rows if isinstance(rows, slice) else np.atleast_1d(rows)
        return replace(self, **{name: array[chosen] for name, array in self.arrays().items()})

    def arrays(self) -> dict[str, Any]:
        """Returns the fields that have a row for each person, without those that are None."""
        return {name: value for name, value in vars(self).items() if isinstance(value, np.ndarray)}

    def select(self, joints: str, strict: bool = True) -> "Annotations":
        """Returns the same people with the keypoints of another set.

        Args:
            strict: all of its joints must be in this one; otherwise those that are not are zeros.

        Raises:
            ValueError: the set is unknown, or this one lacks joints of it.
        """
        if joints == self.joints:
            return self
        own, wanted = joint_set(self.joints).human_data, joint_set(joints).human_data
        if strict and (lacking := set(wanted) - set(own)):
            what = f"{self.joints} lacks {len(lacking)} joints of {joints}"
            raise ValueError(f"{what}; read the file as {joints}")
        return replace(
            self,
            joints=joints,
            keypoints2d=None if self.keypoints2d is None else regroup(self.keypoints2d, own, wanted),
            keypoints3d=None if self.keypoints3d is None else regroup(self.keypoints3d, own, wanted),
        )

    def labels(self, rows: slice | NDArray[Any] | Sequence[int]) -> dict[str, NDArray[Any]]:
        """Returns what training uses of some rows (B): kinds of labels that the file lacks are zeros with flag 0.

        Returns:
            keypoints2d (B, J, 3) pixels, keypoints3d (B, J, 4) metres, pose (B, 72) radians, betas (B, 10), and
            has_keypoints2d, has_keypoints3d, has_smpl (B,) bool.
        """
        part = self[rows]
        shape = (len(part), len(joint_set(self.joints)))
        keypoints2d, keypoints3d = part.keypoints2d, part.keypoints3d
        return {
            "keypoints2d": np.zeros((*shape, 3), np.float32) if keypoints2d is None else keypoints2d,
            "keypoints3d": np.zeros((*shape, 4), np.float32) if keypoints3d is None else keypoints3d,
            "pose": part.pose,
            "betas": part.betas,
            "has_keypoints2d": np.full(len(part), keypoints2d is not None),
            "has_keypoints3d": np.full(len(part), keypoints3d is not None),
            "has_smpl": part.has_smpl,
        }


def spread(count: int, most: int) -> NDArray[np.int64]:
    """Picks at most so many of the first `count` numbers, spread evenly: rows that stand for all."""
    return np.unique(np.linspace(0, count - 1, most).astype(int))


def shared(stored: Sequence[int], wanted: Sequence[int]) -> tuple[list[int], list[int]]:
    """Returns the columns of the joints that two sets have in common: in the stored set, and in the wanted one."""
    column = {joint: i for i, joint in enumerate(stored)}
    pairs = [(column[joint], i) for i, joint in enumerate(wanted) if joint in column]
    return [a for a, _ in pairs], [b for _, b in pairs]


def regroup(keypoints: Numbers, stored: Sequence[int], wanted: Sequence[int]) -> Numbers:
    """Puts keypoints (N, stored, D) in another set (N, wanted, D); joints that were not stored are zeros."""
    columns, positions = shared(stored, wanted)
    out = np.zeros((len(keypoints), len(wanted), keypoints.shape[-1]), np.float32)
    out[:, positions] = keypoints[:, columns]
    return out
