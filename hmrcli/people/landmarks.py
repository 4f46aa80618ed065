"""BlazePose GHUM: 33 body landmarks in the image and in metres, and the person's mask.

Bazarevsky et al., BlazePose, 2020; Grishchenko et al., BlazePose GHUM Holistic, 2022.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hmrcli.people.crops import (
    CROP_SIZE,
    crop_from_keypoints,
    crops_from_boxes,
    mask_to_image,
    to_image,
    turn_of,
    upright_crops,
    warp_crops,
)
from hmrcli.people.movenet import Detection
from hmrcli.people.runtime import run
from hmrcli.people.skeleton import LANDMARKS

NETWORK = "blazepose_heavy"
OUTPUTS = ("landmarks", "presence", "mask", "world")
BATCH = 8
CONFIDENT_KEYPOINT = 0.2


@dataclass(frozen=True)
class Landmarks:
    """N people.

    Attributes:
        points2d: (N, 33, 2) pixels of the full image.
        visibility: (N, 33) in [0, 1]: in the image and not hidden; 0 outside the image.
        presence: (N, 33) in [0, 1]: inside the crop.
        points3d: (N, 33, 3) metres from the middle of the hips; x right, y down, z forward. Scale is weak: the network
            gives everyone about the same height.
        score: (N,) that there is a person in the crop, in [0, 1].
        masks: (N, 256, 256) in [0, 1], the person in the crop.
        crop_to_image: (N, 2, 3) crop pixels → image pixels.
        source: (N,) index of the detection or box each person comes from.
    """

    points2d: np.ndarray
    visibility: np.ndarray
    presence: np.ndarray
    points3d: np.ndarray
    score: np.ndarray
    masks: np.ndarray
    crop_to_image: np.ndarray
    source: np.ndarray

    def __len__(self) -> int:
        return len(self.score)

    def __getitem__(self, keep: np.ndarray | slice | list[int]) -> "Landmarks":
        return Landmarks(**{name: value[keep] for name, value in vars(self).items()})

    def image_mask(self, person: int, height: int, width: int) -> np.ndarray:
        """The mask of one person in the full image, (height, width) in [0, 1]."""
        return mask_to_image(self.masks[person], self.crop_to_image[person], height, width)


def body_landmarks(
    image: np.ndarray, people: Sequence[Detection] | np.ndarray, min_score: float = 0.5
) -> Landmarks:
    """Landmarks of people, in two passes: the second crop follows the landmarks of the first.

    Args:
        image: (H, W, 3) uint8 RGB.
        people: detections, or boxes (N, 4: x, y, width, height in pixels).
        min_score: people whose presence is lower are left out; 0 keeps all.
    """
    if isinstance(people, np.ndarray):
        crops = crops_from_boxes(people.reshape(-1, 4))
    else:
        crops = np.array(
            [crop_from_keypoints(p.bbox_xywh, p.keypoints, CONFIDENT_KEYPOINT) for p in people]
        ).reshape(-1, 2, 3)
    first, alignment = _landmarks_in(image, crops, np.arange(len(crops)))
    first, alignment = first[first.score >= min_score / 2], alignment[first.score >= min_score / 2]
    second, _ = _landmarks_in(image, aligned_crops(alignment), first.source)
    return second[second.score >= min_score]


def aligned_crops(alignment: np.ndarray) -> np.ndarray:
    """Crops (N, 2, 3) from the network's two alignment points (N, 2, 2).

    They are the middle of the hips and a point up along the spine, as far as the circle around the whole person;
    a quarter is added (MediaPipe's pose_landmarks_to_roi).
    """
    up = alignment[:, 1] - alignment[:, 0]
    return upright_crops(alignment[:, 0], up, 1.25 * np.linalg.norm(up, axis=1))


def _landmarks_in(image: np.ndarray, crops: np.ndarray, source: np.ndarray) -> tuple[Landmarks, np.ndarray]:
    """Landmarks in given crops, and the alignment points (N, 2, 2) in image pixels."""
    height, width = image.shape[:2]
    batches = [
        run(NETWORK, warp_crops(image, crops[start : start + BATCH]), OUTPUTS)
        for start in range(0, len(crops), BATCH)
    ]
    shapes = ((0, 39, 5), (0,), (0, CROP_SIZE, CROP_SIZE), (0, 39, 3))
    marks, score, masks, world = (
        np.concatenate(parts) for parts in (zip(*batches) if batches else ((np.empty(s),) for s in shapes))
    )
    points2d = to_image(marks[:, :, :2].astype(float), crops)
    body = slice(len(LANDMARKS))
    inside = ((points2d >= 0) & (points2d < [width, height])).all(-1)
    turned = world[:, body, :2] @ turn_of(crops).transpose(0, 2, 1)
    landmarks = Landmarks(
        points2d=points2d[:, body],
        visibility=(_sigmoid(marks[..., 3]) * inside)[:, body],
        presence=_sigmoid(marks[:, body, 4]),
        points3d=np.concatenate([turned, world[:, body, 2:]], 2),
        score=score,
        masks=_sigmoid(masks),
        crop_to_image=crops,
        source=source,
    )
    return landmarks, points2d[:, len(LANDMARKS) : len(LANDMARKS) + 2]


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 0.5 * (1 + np.tanh(0.5 * x))
