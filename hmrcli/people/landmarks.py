"""33 body landmarks of people, in the image and in metres, and their masks."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hmrcli.people.blazepose import Reading, read_crops, read_crops_both_ways
from hmrcli.people.crops import (
    HIPS_BELOW,
    REACH,
    crop_from_keypoints,
    mask_to_image,
    to_image,
    turn_of,
    upright_crops,
    warp_crops,
)
from hmrcli.people.detect import person_in_box
from hmrcli.people.movenet import Detection
from hmrcli.people.similarity import keypoint_similarity
from hmrcli.people.skeleton import LANDMARK_INDEX, LANDMARK_KEYPOINTS, LANDMARKS

_EYES, _SHOULDERS = (
    [LANDMARK_INDEX[f"{side}_{name}"] for side in ("left", "right")] for name in ("eye", "shoulder")
)
_LEGS = [LANDMARK_INDEX[f"{side}_{name}"] for side in ("left", "right") for name in ("knee", "ankle")]
_LEGS_SEEN = 0.1
"""Someone none of whose knees and ankles is more visible shows no legs."""
_NECK = 0.7
"""Length from the shoulders to the eyes, in widths of shoulders seen from the front."""


@dataclass(frozen=True)
class Landmarks:
    """N people.

    Attributes:
        points2d: (N, 33, 2) pixels of the full image.
        visibility: (N, 33) in [0, 1]: in the image and not hidden; 0 outside the image.
        presence: (N, 33) in [0, 1]: inside the crop.
        points3d: (N, 33, 3) metres from the middle of the hips; x right, y down, z forward, of a camera that
            looks at the person. The scale is weak: the network gives everyone about the same height.
        score: (N,) that there is a person, in [0, 1].
        masks: (N, 256, 256) in [0, 1], the person in the crop.
        crop_to_image: (N, 2, 3) crop pixels → image pixels.
        features: (N, 2, 1152) inner features of the network, of the crop and of its mirror image.
        source: (N,) index of the detection or box each person comes from.
    """

    points2d: np.ndarray
    visibility: np.ndarray
    presence: np.ndarray
    points3d: np.ndarray
    score: np.ndarray
    masks: np.ndarray
    crop_to_image: np.ndarray
    features: np.ndarray
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
        people: detections, or boxes (N, 4: x, y, width, height in pixels). Detections that turn out to show
            nobody, or someone found before, are left out; boxes are trusted, and each gives one person.
        min_score: detections with a lower landmark score show nobody.
    """
    trusted = isinstance(people, np.ndarray)
    if isinstance(people, np.ndarray):
        people = [person_in_box(image, box) for box in people.reshape(-1, 4)]
    crops = np.reshape([crop_from_keypoints(p.bbox_xywh, p.keypoints) for p in people], (-1, 2, 3))
    first = read_crops(warp_crops(image, crops))
    follow = first.score >= min_score / 2
    crops[follow] = _next_crops(to_image(first.points[follow], crops[follow]), first.visibility[follow])
    source = np.arange(len(crops)) if trusted else np.flatnonzero(follow)
    second = read_crops_both_ways(warp_crops(image, crops[source]))
    found = _in_image(second, crops[source], source, image.shape[:2])
    return found if trusted else _without_repeats(found[found.score >= min_score])


def _next_crops(points: np.ndarray, visibility: np.ndarray) -> np.ndarray:
    """Crops (N, 2, 3) a quarter wider than the circle around the person (MediaPipe's pose_landmarks_to_roi).

    Legs that nobody sees are squeezed into the crop, hips with them. Then the crop is at least what the whole person
    would need, by eyes and shoulders.

    Args:
        points: (N, 35, 2) landmarks and the two alignment points, pixels.
        visibility: (N, 33) of the landmarks.
    """
    center, top = points[:, len(LANDMARKS)], points[:, len(LANDMARKS) + 1]
    up, radius = top - center, 1.25 * np.linalg.norm(top - center, axis=1)
    eyes, shoulders = points[:, _EYES].mean(1), points[:, _SHOULDERS].mean(1)
    width = np.linalg.norm(np.diff(points[:, _SHOULDERS], axis=1)[:, 0], axis=1)
    neck = np.maximum(np.linalg.norm(eyes - shoulders, axis=1), _NECK * width)
    squeezed = (visibility[:, _LEGS].max(1) < _LEGS_SEEN) & (REACH * neck > 1.1 * radius)
    hips = shoulders - (HIPS_BELOW * neck / np.maximum(np.linalg.norm(up, axis=1), 1e-6))[:, None] * up
    return upright_crops(
        np.where(squeezed[:, None], hips, center), up, np.where(squeezed, REACH * neck, radius)
    )


def _in_image(reading: Reading, crops: np.ndarray, source: np.ndarray, size: tuple[int, ...]) -> Landmarks:
    points = to_image(reading.points[:, : len(LANDMARKS)], crops)
    inside = ((points >= 0) & (points < [size[1], size[0]])).all(-1)
    hips = [LANDMARK_INDEX["left_hip"], LANDMARK_INDEX["right_hip"]]
    world = reading.world - reading.world[:, hips].mean(
        1, keepdims=True
    )  # the network is some millimetres off
    turned = world[..., :2] @ turn_of(crops).transpose(0, 2, 1)
    return Landmarks(
        points2d=points,
        visibility=reading.visibility * inside,
        presence=reading.presence,
        points3d=np.concatenate([turned, world[..., 2:]], 2),
        score=reading.score,
        masks=reading.mask,
        crop_to_image=crops,
        features=reading.features,
        source=source,
    )


def _without_repeats(found: Landmarks) -> Landmarks:
    """Leaves out people who coincide with an earlier one: a crop can slide from one person to the next."""
    marks = np.concatenate([found.points2d, found.visibility[..., None]], 2)[:, LANDMARK_KEYPOINTS]
    areas = np.ptp(found.points2d, axis=1).prod(1)
    kept: list[int] = []
    for i in range(len(found)):
        if not any(keypoint_similarity(marks[i], marks[k], max(areas[i], areas[k])) > 0.6 for k in kept):
            kept.append(i)
    return found[kept]
