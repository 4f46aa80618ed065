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
MOST = 1000
"""People in one look."""


@dataclass(frozen=True)
class Detection:
    """One person: `bbox_xywh` (4,) and `keypoints` (17, 3: x, y, confidence) in pixels, `score` in [0, 1].

    `turns` is by how many quarter turns, counter-clockwise, the image was turned when the person was seen; `behind`
    says that little but the face is in sight, as others stand before the body.
    """

    bbox_xywh: np.ndarray
    score: float
    keypoints: np.ndarray
    turns: int = 0
    behind: bool = False


def look(
    image: np.ndarray, side: int, min_score: float, turns: int = 0, border: float = 0.0
) -> list[Detection]:
    """Finds people with the longer side of the image scaled to `side` pixels.

    Args:
        image: (H, W, 3) uint8 RGB.
        side: a multiple of 32. People of a third to all of it in height are found best.
        min_score: people below are left out.
        turns: quarter turns of the image, counter-clockwise; the network knows upright people.
        border: black on each side, as a share of `side`: shows those who are cut by the edge.
    """
    turned = np.rot90(image, turns)
    height, width = turned.shape[:2]
    edge = round(border * side)
    scale = (side - 2 * edge) / max(height, width)
    rows, columns = max(1, round(height * scale)), max(1, round(width * scale))
    canvas = np.zeros((1, _ceil32(rows + 2 * edge), _ceil32(columns + 2 * edge), 3), np.uint8)
    shrink = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    small = cv2.resize(np.ascontiguousarray(turned), (columns, rows), interpolation=shrink)
    canvas[0, edge : edge + rows, edge : edge + columns] = small
    heads = dict(zip(HEADS, (head[0] for head in run("movenet_multipose", canvas, HEADS))))
    to_pixels = np.array([width / columns, height / rows])
    people = []
    for box, score, keypoints in decode(heads, min_score, MOST):
        places = np.concatenate([box.reshape(2, 2), keypoints[:, :2]])
        places = turn_back((places * STRIDE - edge) * to_pixels, turns, (width, height))
        corners = np.clip(np.sort(places[:2], 0), 0, image.shape[1::-1])
        if (corners[1] > corners[0]).all():
            bbox = np.concatenate([corners[0], corners[1] - corners[0]])
            people.append(Detection(bbox, score, np.concatenate([places[2:], keypoints[:, 2:]], 1), turns))
    return people


def turn_back(places: np.ndarray, turns: int, size: tuple[int, int]) -> np.ndarray:
    """Turns places (N, 2) of an image of a size (width, height) after quarter turns back."""
    for _ in range(turns):
        places, size = np.stack([size[1] - places[:, 1], places[:, 0]], 1), size[::-1]
    return places


def decode(
    heads: dict[str, np.ndarray], min_score: float, limit: int
) -> list[tuple[np.ndarray, float, np.ndarray]]:
    """Boxes, scores and keypoints from the dense heads, in cells of the heads' grid.

    Args:
        heads: by name, (channels, rows, columns); `center` and `keypoint_heatmap` are logits.
        min_score: people below are left out. The score is the center's times the mean of confident keypoints.
        limit: most people to return, by center score.
    Returns:
        For each person the box (4: x0, y0, x1, y1), the score and the keypoints (17, 3: x, y, confidence).
    """
    center = _sigmoid(heads["center"][0])
    heatmap = _sigmoid(heads["keypoint_heatmap"])
    rows, columns = center.shape
    peaks = np.where(center >= cv2.dilate(center, np.ones((5, 5), np.uint8)) - 1e-6, center, 0).ravel()
    best = np.argsort(-peaks, kind="stable")[:limit]
    spread = 0.3 * min(rows, columns)
    people = []
    for y, x in zip(*np.divmod(best[peaks[best] >= min_score], columns)):
        half_y, half_x = np.maximum(heads["box_size"][:, y, x], 0) / 2
        offset_y, offset_x = heads["box_offset"][:, y, x]
        limits = np.array([columns, rows, columns, rows])
        middle = np.array([x + offset_x, y + offset_y] * 2)
        box = np.clip(middle + np.array([-half_x, -half_y, half_x, half_y]), 0, limits)
        left, top, right, bottom = np.ceil(box).astype(int)
        if left >= right or top >= bottom:
            continue
        grid_y, grid_x = np.mgrid[top:bottom, left:right]
        regressed = heads["keypoint_regression"][:, y, x].reshape(17, 2) + np.array([y, x])
        distance = (grid_y - regressed[:, 0, None, None]) ** 2 + (grid_x - regressed[:, 1, None, None]) ** 2
        likely = heatmap[:, top:bottom, left:right] * np.exp(-distance / spread)
        row, column = np.divmod(likely.reshape(17, -1).argmax(1), right - left)
        confidence = likely[np.arange(17), row, column]
        row, column = row + top, column + left
        offsets = heads["keypoint_offset"].reshape(17, 2, rows, columns)[np.arange(17), :, row, column]
        places = np.stack([column + offsets[:, 1], row + offsets[:, 0]], 1)
        counted = confidence[confidence > CONFIDENT]
        score = float(center[y, x] * counted.sum() / max(1, len(counted)))
        if score >= min_score:
            people.append((box, score, np.concatenate([places, confidence[:, None]], 1)))
    return people


def _ceil32(length: int) -> int:
    return -(-length // 32) * 32


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))
