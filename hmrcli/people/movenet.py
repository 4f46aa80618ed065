"""MoveNet MultiPose: people with 17 keypoints from one look at an image.

The network (CenterNet with MobileNetV2 and a feature pyramid) gives dense heads at a quarter of the input
size. They are decoded as in the published graph, but for any number of people.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from hmrcli.people.runtime import run

STRIDE = 4
HEADS = ("center", "box_size", "box_offset", "keypoint_heatmap", "keypoint_regression", "keypoint_offset")
CONFIDENT = 0.127
"""Keypoints below this do not count in a person's score (constant of the published graph)."""


@dataclass(frozen=True)
class Detection:
    """One person: `bbox_xywh` (4,) and `keypoints` (17, 3: x, y, confidence) in pixels, `score` in [0, 1]."""

    bbox_xywh: np.ndarray
    score: float
    keypoints: np.ndarray


def look(image: np.ndarray, side: int, min_score: float, limit: int = 50) -> list[Detection]:
    """People found with the longer side of the image scaled to `side` pixels.

    Args:
        image: (H, W, 3) uint8 RGB.
        side: a multiple of 32. People of a third to all of it in height are found best.
        min_score: people below are left out.
        limit: most people to decode.
    """
    height, width = image.shape[:2]
    scale = side / max(height, width)
    rows, columns = max(1, round(height * scale)), max(1, round(width * scale))
    canvas = np.zeros((1, _ceil32(rows), _ceil32(columns), 3), np.uint8)
    shrink = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    canvas[0, :rows, :columns] = cv2.resize(image, (columns, rows), interpolation=shrink)
    heads = dict(zip(HEADS, (head[0] for head in run("movenet_multipose", canvas, HEADS))))
    to_pixels = np.array([width / columns, height / rows])
    return [
        _in_pixels(box * STRIDE, score, keypoints * [STRIDE, STRIDE, 1], to_pixels, (width, height))
        for box, score, keypoints in decode(heads, min_score, limit)
    ]


def decode(
    heads: dict[str, np.ndarray], min_score: float, limit: int
) -> list[tuple[np.ndarray, float, np.ndarray]]:
    """Boxes, scores and keypoints from the dense heads, in cells of the heads' grid.

    Args:
        heads: by name, (channels, rows, columns); `center` and `keypoint_heatmap` are logits.
        min_score: people below are left out. The score is the centre's times the mean of confident keypoints.
        limit: most people to return, by centre score.
    Returns:
        For each person the box (4: x0, y0, x1, y1), the score and the keypoints (17, 3: x, y, confidence).
    """
    center = _sigmoid(heads["center"][0])
    heatmap = _sigmoid(heads["keypoint_heatmap"])
    rows, columns = center.shape
    peaks = np.where(center >= cv2.dilate(center, np.ones((5, 5), np.uint8)) - 1e-6, center, 0).ravel()
    best = np.argsort(-peaks, kind="stable")[:limit]
    spread = 0.3 * min(rows, columns)
    grid_y, grid_x = np.mgrid[:rows, :columns]
    people = []
    for y, x in zip(*np.divmod(best[peaks[best] >= min_score], columns)):
        half_y, half_x = np.maximum(heads["box_size"][:, y, x], 0) / 2
        offset_y, offset_x = heads["box_offset"][:, y, x]
        limits = np.array([columns, rows, columns, rows])
        middle = np.array([x + offset_x, y + offset_y] * 2)
        box = np.clip(middle + np.array([-half_x, -half_y, half_x, half_y]), 0, limits)
        regressed = heads["keypoint_regression"][:, y, x].reshape(17, 2) + np.array([y, x])
        distance = (grid_y - regressed[:, 0, None, None]) ** 2 + (grid_x - regressed[:, 1, None, None]) ** 2
        inside = (grid_x >= box[0]) & (grid_x < box[2]) & (grid_y >= box[1]) & (grid_y < box[3])
        likely = (heatmap * np.exp(-distance / spread) * inside).reshape(17, -1)
        cell = likely.argmax(1)
        confidence = likely[np.arange(17), cell]
        offsets = heads["keypoint_offset"].reshape(17, 2, -1)[np.arange(17), :, cell]
        places = np.stack([cell % columns + offsets[:, 1], cell // columns + offsets[:, 0]], 1)
        counted = confidence[confidence > CONFIDENT]
        score = float(center[y, x] * counted.sum() / max(1, len(counted)))
        if score >= min_score:
            people.append((box, score, np.concatenate([places, confidence[:, None]], 1)))
    return people


def _in_pixels(
    box: np.ndarray, score: float, keypoints: np.ndarray, to_pixels: np.ndarray, size: tuple[int, int]
) -> Detection:
    corners = np.clip(box.reshape(2, 2) * to_pixels, 0, size)
    placed = np.concatenate([keypoints[:, :2] * to_pixels, keypoints[:, 2:]], 1)
    return Detection(np.concatenate([corners[0], corners[1] - corners[0]]), score, placed)


def _ceil32(length: int) -> int:
    return -(-length // 32) * 32


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))
