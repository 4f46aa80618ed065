"""BlazePose GHUM: what the landmark network says about crops of people.

Bazarevsky et al., BlazePose, 2020; Grishchenko et al., BlazePose GHUM Holistic, 2022. The steps after the
network follow MediaPipe's pose_landmark graph.
"""

from typing import NamedTuple

import numpy as np

from hmrcli.people.runtime import run
from hmrcli.people.skeleton import KEYPOINTS, LANDMARK_INDEX, LANDMARK_MIRROR, LANDMARKS

OUTPUTS = ("landmarks", "presence", "mask", "world", "heatmaps")
CROP_SIZE = 256
CELL = 4
"""Crop pixels per heatmap cell."""
_REACH, _CONFIDENT = 3, 0.5
"""Cells to each side of a landmark that count; where none of them is as high, it stays in place."""
_LIMBS = [LANDMARK_INDEX[name] for name in KEYPOINTS[5:]]


class Reading(NamedTuple):
    """Output of the network for N crops.

    Attributes:
        points: (N, 35, 2) crop pixels: 33 landmarks, the middle of the hips, and a point up along the spine,
            as far from it as the circle around the whole person.
        visibility: (N, 33) in [0, 1].
        presence: (N, 33) in [0, 1].
        world: (N, 33, 3) metres from the middle of the hips, in crop axes: x right, y down, z forward; depth is the
            mean of two networks'.
        score: (N,) that the crop shows a person, in [0, 1].
        mask: (N, 256, 256) in [0, 1].
    """

    points: np.ndarray
    visibility: np.ndarray
    presence: np.ndarray
    world: np.ndarray
    score: np.ndarray
    mask: np.ndarray


def read_crops(crops: np.ndarray) -> Reading:
    """Runs the networks on crops (N, 256, 256, 3) uint8 RGB of upright people; N may be 0."""
    reading = read_once(crops)
    reading.world[..., 2] = (reading.world[..., 2] + other_depth(crops)) / 2
    return reading


def read_once(crops: np.ndarray) -> Reading:
    """Runs the heavy network alone on crops (N, 256, 256, 3) uint8 RGB: depth is its own."""
    marks, score, mask, world, heatmaps = run("blazepose_heavy", crops, OUTPUTS)
    body = len(LANDMARKS)
    # The network counts from the corner of the crop, OpenCV from the middle of its first pixel.
    points = refine(marks[..., :2], heatmaps)[:, : body + 2].astype(float) - 0.5
    visibility, presence = sigmoid(marks[:, :body, 3]), sigmoid(marks[:, :body, 4])
    return Reading(points, visibility, presence, world[:, :body], score, sigmoid(mask))


def other_depth(crops: np.ndarray) -> np.ndarray:
    """Asks the light network about depth alone, (N, 33) metres as in `Reading.world`.

    A fifth of the work, and it errs differently (docs/accuracy.md, "Two opinions of depth").
    """
    (world,) = run("blazepose_lite", crops, ("world",))
    return world[:, : len(LANDMARKS), 2]


def read_crops_both_ways(crops: np.ndarray) -> Reading:
    """Reads crops and their mirror images, joined.

    The mean of both. Where they disagree by more than a sixteenth of the crop, mostly because left is taken
    for right, the look that sees more of the person counts alone. On calibrated footage the mean brought the
    metric landmarks 6 % closer to a four-camera triangulation.
    """
    plain, mirrored = read_crops(crops), read_crops(crops[:, :, ::-1])
    body = list(LANDMARK_MIRROR)
    back = Reading(
        points=mirrored.points[:, [*body, *range(len(body), len(body) + 2)]] * [-1, 1] + [CROP_SIZE - 1, 0],
        visibility=mirrored.visibility[:, body],
        presence=mirrored.presence[:, body],
        world=mirrored.world[:, body] * np.array([-1, 1, 1], np.float32),
        score=mirrored.score,
        mask=mirrored.mask[:, :, ::-1],
    )
    apart = np.linalg.norm(plain.points - back.points, axis=2)[:, _LIMBS].max(1, initial=0)
    plainer = plain.visibility.sum(1) >= back.visibility.sum(1)
    share = np.where(apart < CROP_SIZE / 16, 0.5, plainer).astype(np.float32)
    return Reading(*((share * a.T + (1 - share) * b.T).T for a, b in zip(plain, back)))


def refine(points: np.ndarray, heatmaps: np.ndarray) -> np.ndarray:
    """Moves points to the center of mass of their heatmap around them, where that is confident.

    MediaPipe's RefineLandmarksFromHeatmap. On calibrated footage it took the median distance between a
    landmark and its four-camera triangulation from 15 to 12 pixels. Points are (N, K, 2) crop pixels,
    heatmaps (N, K, 64, 64) logits.
    """
    n, k, size, _ = heatmaps.shape
    cell = np.floor(points / CELL).astype(int)
    inside = ((cell >= 0) & (cell < size)).all(-1)
    around = np.arange(-_REACH, _REACH + 1)
    columns, rows = np.clip(cell, 0, size - 1).transpose(2, 0, 1)[..., None] + around
    border = ((0, 0), (0, 0), (_REACH, _REACH), (_REACH, _REACH))
    padded = np.pad(heatmaps, border, constant_values=-np.inf)
    person, landmark = np.arange(n)[:, None, None, None], np.arange(k)[:, None, None]
    window = sigmoid(padded[person, landmark, rows[..., None] + _REACH, columns[..., None, :] + _REACH])
    mass = np.maximum(window.sum((2, 3)), 1e-9)
    across, down = (window.sum(2) * columns).sum(-1), (window.sum(3) * rows).sum(-1)
    center = np.stack([across, down], -1) / mass[..., None]
    sure = inside & (window.max((2, 3)) >= _CONFIDENT)
    return np.where(sure[..., None], center * CELL, points)


def sigmoid(x: np.ndarray) -> np.ndarray:
    """Computes the logistic function, without overflow."""
    return 0.5 * (1 + np.tanh(0.5 * x))
