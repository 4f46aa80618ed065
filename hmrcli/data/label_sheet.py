"""Draws rows of an annotation file with their labels, for a person to look at."""

from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from hmrcli.body import load_body
from hmrcli.body.joints import PARENTS, SMPL_54
from hmrcli.data.annotations import Annotations
from hmrcli.data.crop import Floats, crop_affine, crop_image, square_around
from hmrcli.data.images import read_bgr
from hmrcli.data.projection import body_joints, fitted
from hmrcli.errors import BadInput
from hmrcli.files import whole_file

TILE, COLUMNS, AROUND = 320, 4, 1.4
"""Pixels of a tile's side, tiles in a line, and how much of the picture around a box is shown."""
_LEFT, _RIGHT, _MIDDLE = (80, 80, 255), (255, 160, 40), (80, 220, 80)
_BOX, _BONE = (255, 255, 255), (0, 220, 255)
_LEGEND = "left red, right blue, middle green; box white; SMPL skeleton yellow"


def draw_sheet(path: Path, rows: Annotations, numbers: NDArray[np.int64], folder: Path) -> None:
    """Writes a PNG with a tile for each row: the picture around the box, the box, 2D keypoints, SMPL's skeleton.

    The skeleton is enlarged and moved to lie as near to the keypoints, or else the box, as can be: it shows pose
    and sides, not the camera.

    Args:
        numbers: of the rows, in their file.
    """
    tiles = [_tile(rows, row, int(number), folder) for row, number in enumerate(numbers)]
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % COLUMNS)
    lines = [np.concatenate(tiles[i : i + COLUMNS], 1) for i in range(0, len(tiles), COLUMNS)]
    foot = np.zeros((28, TILE * COLUMNS, 3), np.uint8)
    legend, font = f"{rows.dataset}: {_LEGEND}", cv2.FONT_HERSHEY_SIMPLEX
    cv2.putText(foot, legend, (8, 19), font, 0.5, _BOX, 1, cv2.LINE_AA)
    with whole_file(path) as temporary:
        cv2.imwrite(str(temporary), np.concatenate([*lines, foot]))


def _tile(rows: Annotations, row: int, number: int, folder: Path) -> NDArray[np.uint8]:
    affine = crop_affine(*square_around(rows.bbox_xywh[row], AROUND), size=TILE)
    tile = np.zeros((TILE, TILE, 3), np.uint8)
    with suppress(BadInput):  # said elsewhere
        tile = crop_image(read_bgr(folder / str(rows.image_path[row])), affine, TILE)
    x, y, width, height = rows.bbox_xywh[row].astype(np.float64)
    _line(tile, affine, [(x, y), (x + width, y), (x + width, y + height), (x, y + height), (x, y)], _BOX)
    points = np.zeros((0, 3)) if rows.keypoints2d is None else rows.keypoints2d[row].astype(np.float64)
    if rows.has_smpl[row]:
        skeleton = _skeleton(rows, row, points)
        for joint, parent in enumerate(PARENTS):
            if parent >= 0:
                _line(tile, affine, skeleton[[joint, parent]], _BONE)
    for joint in np.flatnonzero(points[:, 2] > 0).tolist():
        place = np.clip(affine @ [*points[joint, :2], 1], -9999, 9999)
        cv2.circle(tile, [round(v) for v in place.tolist()], 4, _colour(rows.joints, joint), -1, cv2.LINE_AA)
    cv2.putText(tile, f"row {number}", (6, 18), cv2.FONT_HERSHEY_SIMPLEX, 0.55, (0, 0, 0), 3, cv2.LINE_AA)
    cv2.putText(tile, f"row {number}", (6, 18), cv2.FONT_HERSHEY_SIMPLEX, 0.55, _BOX, 1, cv2.LINE_AA)
    return tile


def _line(tile: NDArray[np.uint8], affine: Floats, points: object, colour: tuple[int, ...]) -> None:
    places = np.asarray(points, np.float64) @ affine[:, :2].T + affine[:, 2]
    places = np.clip(np.nan_to_num(places), -9999, 9999).round().astype(np.int32)
    cv2.polylines(tile, [places.reshape(-1, 1, 2)], False, colour, 2, cv2.LINE_AA)


def _skeleton(rows: Annotations, row: int, points: Floats) -> Floats:
    """(24, 2) pixels of SMPL's joints."""
    joints = body_joints(rows[[row]], {"n": load_body("open")})
    if rows.joints == "smpl_54" and (points[:, 2] > 0).sum() >= 4:
        return fitted(joints, points[None, :, :2], points[None, :, 2] > 0)[0, :24]
    flat = joints[0, :24, :2]
    low, high = flat.min(0), flat.max(0)
    x, y, width, height = rows.bbox_xywh[row].astype(np.float64)
    scale = 0.8 * max(width, height) / (high - low).max()
    return scale * (flat - (low + high) / 2) + (x + width / 2, y + height / 2)


def _colour(joints: str, joint: int) -> tuple[int, ...]:
    name = SMPL_54.names[joint] if joints == "smpl_54" else ""
    return _LEFT if name.startswith("left") else _RIGHT if name.startswith("right") else _MIDDLE
