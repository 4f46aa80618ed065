"""The first training crops with their labels drawn on them, for a person to look at before the first step."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from hmrcli.body.camera import CROP_SIZE
from hmrcli.body.joints import JOINT_SETS
from hmrcli.body.model import BodyModel
from hmrcli.body.rotations import rotmat_from_pose
from hmrcli.data.training import Batch
from hmrcli.evaluation.pictures import with_mesh
from hmrcli.render.rasteriser import Camera
from hmrcli.render.sheet import Tile, write_sheet

MOST = 16
"""Samples on the sheet."""

_ONE_SIDE, _OTHER_SIDE, _MIDDLE = (255, 140, 0), (0, 170, 255), (255, 255, 255)
_FAR = 1e5
"""Pixels: from so far away, a body looks the same whatever its depth."""


def crop_sheet(path: Path, batch: Batch, names: Sequence[str], joints: str, body: BodyModel) -> None:
    """Writes the crops of a batch on the CPU, each with its 2D joints and, beside it, its body if that is known.

    Joints that come in a pair have the colour of their side; the body is placed where its joints lie closest to
    the 2D joints.
    """
    device, faces, camera = body.v_template.device, body.faces.cpu().numpy(), Camera(_FAR, (0.0, 0.0))
    with torch.no_grad():
        output = body(rotmat_from_pose(batch.pose.to(device)), batch.betas.to(device))
        points = body.smpl_54_joints(output)[:, list(JOINT_SETS[joints].from_54)].cpu().double().numpy()
        vertices = output.vertices.cpu().double().numpy()
    tiles = []
    for i in range(min(MOST, len(batch.images))):
        crop, keypoints = _as_labelled(batch.images[i].numpy()), batch.keypoints2d[i].numpy()
        labelled, beside = _with_joints(crop, keypoints, joints), crop
        seen = keypoints[:, 2] > 0
        if batch.has_smpl[i] and seen.sum() >= 2:
            placed = _placed(vertices[i], points[i, seen, :2], keypoints[seen, :2].astype(np.float64))
            beside = with_mesh(crop, placed + (0, 0, _FAR), faces, camera)
        text = f"{names[int(batch.dataset[i])]}, row {int(batch.row[i])}"
        tiles.append(Tile(text, np.concatenate([labelled, beside], 1)))
    write_sheet(path, tiles, columns=min(4, len(tiles)))


def _as_labelled(crop: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Brings a crop to the frame of its labels: the square in its middle."""
    high, wide = crop.shape[:2]
    top = (high - wide) // 2
    square = crop[top : top + wide]
    return np.asarray(cv2.resize(square, (CROP_SIZE, CROP_SIZE), interpolation=cv2.INTER_AREA), np.uint8)


def _with_joints(crop: NDArray[np.uint8], keypoints: NDArray[np.float32], joints: str) -> NDArray[np.uint8]:
    drawn = crop.copy()
    for joint, (x, y, confidence) in enumerate(keypoints):
        if confidence > 0 and max(abs(x), abs(y)) < 1e4:
            other = JOINT_SETS[joints].flip[joint]
            colour = _MIDDLE if other == joint else _ONE_SIDE if joint < other else _OTHER_SIDE
            place = (round(float(x)), round(float(y)))
            cv2.circle(drawn, place, 3, (0, 0, 0), -1, cv2.LINE_AA)
            cv2.circle(drawn, place, 2, colour, -1, cv2.LINE_AA)
    return drawn


def _placed(
    vertices: NDArray[np.float64], points: NDArray[np.float64], target: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Vertices scaled and moved as takes points (J, 2) closest to their targets (J, 2), in the least squares."""
    center, goal = points.mean(0), target.mean(0)
    spread = np.square(points - center).sum()
    scale = ((points - center) * (target - goal)).sum() / max(spread, 1e-9)
    moved = (vertices - (*center, vertices[:, 2].mean())) * scale
    return moved + (*goal, 0)
