"""Bodies of annotation files in their pictures, and how far from the labels there they lie."""

from collections.abc import Mapping
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from hmrcli.body import BodyModel
from hmrcli.body.rotations import rotmat_from_pose
from hmrcli.data.annotations import Annotations, spread
from hmrcli.data.crop import Floats, square_around

_ROWS, _FEWEST = 256, 6
"""That are projected, and joints that a row needs for it."""


class Projection(NamedTuple):
    """Distances of bodies that are projected into their pictures from the labels there."""

    camera: Literal["file", "fitted"]
    """The file's own, or one that is placed for each row as is best for it."""
    target: Literal["keypoints2d", "bbox_xywh"]
    """Labels compared with: joints, or the middle of the box where a file has no joints."""
    body: str
    rows: int
    median_pixels: float
    median_share: float
    """Of the box's longer side."""
    worst_share: float
    worst_row: int


def compare(rows: Annotations, bodies: Mapping[str, BodyModel]) -> Projection | None:
    """Compares bodies with 2D keypoints, or with boxes where the file has a camera and no keypoints.

    Keypoints of other sets than SMPL's 54 joints are not compared. None where there is nothing to compare.

    Args:
        bodies: by gender; `n` at least.

    Raises:
        MissingFile: a regressor of joints is not there.
    """
    has_camera = rows.transl is not None and rows.intrinsics is not None
    keypoints = rows.keypoints2d if rows.joints == "smpl_54" else None
    known = rows.has_smpl
    if keypoints is not None:
        known = known & ((keypoints[..., 2] > 0).sum(1) >= _FEWEST)
    chosen = np.flatnonzero(known)
    if not (has_camera or keypoints is not None) or not len(chosen):
        return None
    chosen = chosen[spread(len(chosen), _ROWS)]
    part = rows[chosen]
    joints = body_joints(part, bodies)
    center, side = square_around(part.bbox_xywh)
    if part.transl is not None and part.intrinsics is not None:
        pixels = projected(joints + part.transl[:, None], part.intrinsics)
    if keypoints is None:
        away = np.linalg.norm((pixels.min(1) + pixels.max(1)) / 2 - center, axis=1)
    else:
        points, weight = keypoints[chosen, :, :2].astype(np.float64), keypoints[chosen, :, 2] > 0
        if not has_camera:
            pixels = fitted(joints, points, weight)
        away = (np.linalg.norm(pixels - points, axis=2) * weight).sum(1) / weight.sum(1)
    away = np.nan_to_num(away, nan=1e6, posinf=1e6)
    share = away / side
    worst = int(share.argmax())
    return Projection(
        camera="file" if has_camera else "fitted",
        target="bbox_xywh" if keypoints is None else "keypoints2d",
        body="/".join(sorted({body.name for body in bodies.values()})),
        rows=len(chosen),
        median_pixels=float(np.median(away)),
        median_share=float(np.median(share)),
        worst_share=float(share[worst]),
        worst_row=int(chosen[worst]),
    )


def body_joints(rows: Annotations, bodies: Mapping[str, BodyModel]) -> Floats:
    """Returns joints (N, 54, 3) of bodies at their origin, each of its gender where that body is at hand."""
    joints = np.empty((len(rows), 54, 3))
    kinds = np.array([gender if gender in bodies else "n" for gender in rows.gender])
    for kind in np.unique(kinds):
        body = bodies[kind]
        for some in np.array_split(np.flatnonzero(kinds == kind), 1 + (kinds == kind).sum() // 64):
            rotmat = rotmat_from_pose(torch.from_numpy(np.array(rows.pose[some])))
            with torch.no_grad():
                output = body(rotmat, torch.from_numpy(np.array(rows.betas[some])))
                joints[some] = body.smpl_54_joints(output).numpy()
    return joints


def projected(points: Floats, matrices: NDArray[np.float32]) -> Floats:
    """Returns pixels (N, J, 2) of points (N, J, 3) in the camera, by its matrices (N, 3, 3)."""
    turned = points @ matrices.astype(np.float64).mT
    with np.errstate(divide="ignore", invalid="ignore"):
        return turned[..., :2] / turned[..., 2:]


def fitted(joints: Floats, points: Floats, weight: NDArray[np.bool_]) -> Floats:
    """Moves and enlarges joints (N, J, 3), seen from far away, to lie nearest to points: pixels (N, J, 2)."""
    w = weight[..., None] / weight.sum(1)[:, None, None]
    flat = joints[..., :2]
    flat, away = flat - (flat * w).sum(1, keepdims=True), points - (points * w).sum(1, keepdims=True)
    scale = (flat * away * w).sum((1, 2)) / np.maximum((flat * flat * w).sum((1, 2)), 1e-12)
    return scale[:, None, None] * flat + (points * w).sum(1, keepdims=True)
