"""Rows of people as the readers of the sets make them: boxes of points, bodies in the camera, and what is unknown."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hmrcli.body.joints import joint_set
from hmrcli.data.annotations import Annotations
from hmrcli.data.body_parameters import BETAS_SIZE, POSE_SIZE, BodyParameters, unknown_bodies

if TYPE_CHECKING:
    import torch

Floats = NDArray[np.floating]


def make_rows(
    dataset: str,
    joints: str,
    image_path: ArrayLike,
    bbox_xywh: ArrayLike,
    keypoints2d: ArrayLike | None = None,
    keypoints3d: ArrayLike | None = None,
    bodies: BodyParameters | None = None,
    gender: str = "n",
    intrinsics: ArrayLike | None = None,
) -> Annotations:
    """Makes rows of arrays or lists, all of one gender; by default nothing is known of their bodies."""
    paths = np.array(image_path, np.str_)
    size = len(joint_set(joints))

    def numbers(values: Any, *shape: int) -> Any:
        return None if values is None else np.asarray(values, np.float32).reshape(len(paths), *shape)

    bodies = bodies or unknown_bodies(len(paths))
    return Annotations(
        dataset=dataset,
        joints=joints,
        image_path=paths,
        bbox_xywh=numbers(bbox_xywh, 4),
        keypoints2d=numbers(keypoints2d, size, 3),
        keypoints3d=numbers(keypoints3d, size, 4),
        pose=numbers(bodies.pose, POSE_SIZE),
        betas=numbers(bodies.betas, BETAS_SIZE),
        has_smpl=np.array(bodies.has_smpl, bool),
        gender=np.full(len(paths), gender),
        transl=numbers(bodies.transl, 3),
        intrinsics=numbers(intrinsics, 3, 3),
    )


def certain(points: Floats) -> Floats:
    """Adds the confidence 1 to points (..., D)."""
    return np.concatenate([points, np.ones_like(points[..., :1])], -1)


def rows_of_people(dataset: str, joints: str, people: Sequence[tuple[Any, ...]]) -> Annotations:
    """Makes rows of path, box, 2D keypoints and, if bodies are known, pose and shape of each person."""
    columns: Any = zip(*people) if people else [()] * 3
    paths, boxes, points, *body = columns
    bodies = BodyParameters(body[0], body[1], np.ones(len(paths), bool)) if body else None
    return make_rows(dataset, joints, paths, boxes, points, bodies=bodies)


def box_of_points(
    points: Floats, factor: float, used: NDArray[np.bool_] | None = None
) -> NDArray[np.float32]:
    """Puts tight boxes around points, enlarged about their centers and not clipped.

    Args:
        points: (N, K, 2) pixels.
        factor: of both sides.
        used: (N, K) points that count, at least one a row; by default all.

    Returns:
        (N, 4) top left corner and size.
    """
    if used is None:
        used = np.ones(points.shape[:2], bool)
    low = np.where(used[..., None], points, np.inf).min(1)
    high = np.where(used[..., None], points, -np.inf).max(1)
    return box_of_corners(low, high, factor)


def box_of_corners(low: Floats, high: Floats, factor: float) -> NDArray[np.float32]:
    """Makes boxes (N, 4), top left corner and size, of corners (N, 2), enlarged about their centers."""
    size = factor * (high - low)
    return np.concatenate([(low + high - size) / 2, size], 1).astype(np.float32)


def box_of_scale(center: Floats, scale: Floats) -> NDArray[np.float32]:
    """Puts squares (N, 4) around centers (N, 2) whose sides are 200 times a scale (N,)."""
    side = 200.0 * np.asarray(scale, np.float64)[:, None]
    return np.concatenate([center - side / 2, side, side], 1).astype(np.float32)


def square_box(bbox_xywh: Floats) -> NDArray[np.float32]:
    """Makes squares about the centers of boxes (N, 4) with their longer sides, as SPIN's files have them."""
    middle = bbox_xywh[:, :2] + bbox_xywh[:, 2:] / 2
    side = bbox_xywh[:, 2:].max(1, keepdims=True)
    return np.concatenate([middle - side / 2, side, side], 1).astype(np.float32)


def turned(pose: Floats, rotation: Floats) -> NDArray[np.float32]:
    """Turns the roots of poses (N, 72) by rotations (N, 3, 3) or (3, 3) from the left: world to camera."""
    import torch  # here, for the state of all sets is listed without it

    from hmrcli.body.rotations import axis_angle_from_rotmat

    out = np.array(pose, np.float32)
    turn = torch.as_tensor(np.asarray(rotation, np.float64))
    out[:, :3] = axis_angle_from_rotmat(turn @ root_rotations(pose)).numpy()
    return out


def root_rotations(pose: Floats) -> "torch.Tensor":
    """Returns rotations (N, 3, 3) of the roots of poses (N, 72)."""
    import torch

    from hmrcli.body.rotations import rotmat_from_axis_angle

    return rotmat_from_axis_angle(torch.as_tensor(np.asarray(pose[:, :3], np.float64)))


def moved(points: Floats, rotation: Floats, shift: Floats) -> Floats:
    """Moves points (N, 3) to the camera: R p + t, for one camera or one each row."""
    return (rotation @ points[..., None])[..., 0] + shift
