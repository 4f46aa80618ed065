"""Square crops, turned so that the person stands upright, as the landmark network expects them.

A crop is its affine (2, 3), which takes crop pixels to image pixels: turn, uniform scale, shift.
"""

import cv2
import numpy as np

from hmrcli.people.blazepose import CROP_SIZE
from hmrcli.people.skeleton import KEYPOINTS, LANDMARK_INDEX, LANDMARKS

_EYES, _SHOULDERS, _HIPS = (
    [KEYPOINTS.index(f"{side}_{name}") for side in ("left", "right")] for name in ("eye", "shoulder", "hip")
)
_LEGS = [KEYPOINTS.index(f"{side}_{name}") for side in ("left", "right") for name in ("knee", "ankle")]

# In lengths from the shoulders to the eyes: the hips' distance from the shoulders, and half the side of a crop
# that holds the whole person.
HIPS_BELOW, REACH = 2.3, 5.2
_CONFIDENT = 0.2
"""Of keypoints that are used."""
HIPS_SEEN = 0.37
"""A portrait ends above them: their mean confidence is lower."""

_EYE_MARKS, _SHOULDER_MARKS = (
    [LANDMARK_INDEX[f"{side}_{name}"] for side in ("left", "right")] for name in ("eye", "shoulder")
)
_LEG_MARKS = [LANDMARK_INDEX[f"{side}_{name}"] for side in ("left", "right") for name in ("knee", "ankle")]
_LEGS_SEEN = 0.1
"""Someone none of whose knees and ankles is more visible shows no legs."""
_NECK = 0.7
"""Length from the shoulders to the eyes, in widths of shoulders seen from the front."""


def upright_crops(center: np.ndarray, up: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """Returns the affines (N, 2, 3), crop pixels → image pixels, of square crops around people.

    Args:
        center: (N, 2) the middle of each crop, pixels.
        up: (N, 2) direction in the image that points up in the crop; any length but zero.
        radius: (N,) half the side of each crop, pixels; at least 1 is used.
    """
    down = -up / np.linalg.norm(up, axis=1, keepdims=True)
    right = np.stack([down[:, 1], -down[:, 0]], 1)
    linear = np.stack([right, down], 2) * (2 * np.maximum(radius, 1) / CROP_SIZE)[:, None, None]
    middle = np.full(2, (CROP_SIZE - 1) / 2)
    return np.concatenate([linear, (center - linear @ middle)[:, :, None]], 2)


def crops_from_boxes(bbox_xywh: np.ndarray, turns: np.ndarray | int = 0) -> np.ndarray:
    """Returns crops around boxes (N, 4), with a margin of a tenth of the longer side all around.

    They are turned like an image by `turns` (N,) quarter turns, counter-clockwise.
    """
    bbox_xywh = np.asarray(bbox_xywh, float)
    center = bbox_xywh[:, :2] + bbox_xywh[:, 2:] / 2
    up = np.array([[0.0, -1.0], [1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])[np.broadcast_to(turns, len(center))]
    return upright_crops(center, up, 0.6 * bbox_xywh[:, 2:].max(1))


def crop_from_keypoints(bbox_xywh: np.ndarray, keypoints: np.ndarray, turns: int = 0) -> np.ndarray:
    """Returns the crop (2, 3) around the hips that holds all confident keypoints, turned along the spine.

    Half-body portraits get the crop the whole person would have, by the distance from the eyes to the
    shoulders: the network takes what fills its crop for a whole person. Where that is unknown too, it is the
    crop of the box, turned by quarter turns. Keypoints are (17, 3) x, y, confidence.
    """
    seen = keypoints[:, 2] >= _CONFIDENT
    hips_seen = keypoints[_HIPS, 2].mean() >= HIPS_SEEN
    eyes, shoulders, hips = (
        keypoints[[i for i in pair if seen[i]], :2].mean(0) if seen[pair].any() else np.full(2, np.nan)
        for pair in (_EYES, _SHOULDERS, _HIPS)
    )
    portrait = seen[_SHOULDERS].all() and not hips_seen and not seen[_LEGS].any()
    if portrait and np.linalg.norm(eyes - shoulders) >= 1:
        return _whole_by_neck(shoulders, eyes - shoulders)
    if np.linalg.norm(shoulders - hips) >= 1:
        reach = np.linalg.norm(keypoints[seen, :2] - hips, axis=1).max()
        # Keypoints end at eyes and ankles: a quarter more holds the crown and the feet.
        return upright_crops(hips[None], (shoulders - hips)[None], np.array([1.25 * reach]))[0]
    return crops_from_boxes(bbox_xywh[None], turns)[0]


def portrait_crop(keypoints: np.ndarray) -> np.ndarray:
    """Returns the crop (2, 3) that the whole person would have, by keypoints (17, 3) of eyes and shoulders alone.

    Where others stand in front, nothing else may be in sight, and a box around it makes the network take a bust for
    a whole person, or the neighbour for this one.
    """
    eyes, shoulders = (keypoints[pair, :2].mean(0) for pair in (_EYES, _SHOULDERS))
    up = eyes - shoulders
    neck = max(float(np.linalg.norm(up)), 1.0)
    width = float(np.linalg.norm(np.diff(keypoints[_SHOULDERS, :2], axis=0)))
    longer = up * (max(neck, _NECK * width) / neck) if up.any() else np.array([0.0, -1.0])
    return _whole_by_neck(shoulders, longer)


def _whole_by_neck(shoulders: np.ndarray, neck: np.ndarray) -> np.ndarray:
    """Returns the crop (2, 3) of a person by the place between the shoulders and the way from there to the eyes."""
    radius = REACH * np.linalg.norm(neck)
    return upright_crops((shoulders - HIPS_BELOW * neck)[None], neck[None], np.array([radius]))[0]


def next_crops(points: np.ndarray, visibility: np.ndarray) -> np.ndarray:
    """Returns crops (N, 2, 3) a quarter wider than the circle around the person (MediaPipe's pose_landmarks_to_roi).

    Points (N, 35, 2) are landmarks, of a visibility (N, 33), and the two alignment points, in pixels. Legs
    that nobody sees are squeezed into the crop, hips with them. Then the crop is at least what the whole
    person would need, by eyes and shoulders.
    """
    center, top = points[:, len(LANDMARKS)], points[:, len(LANDMARKS) + 1]
    up, radius = top - center, 1.25 * np.linalg.norm(top - center, axis=1)
    eyes, shoulders = points[:, _EYE_MARKS].mean(1), points[:, _SHOULDER_MARKS].mean(1)
    width = np.linalg.norm(np.diff(points[:, _SHOULDER_MARKS], axis=1)[:, 0], axis=1)
    neck = np.maximum(np.linalg.norm(eyes - shoulders, axis=1), _NECK * width)
    squeezed = (visibility[:, _LEG_MARKS].max(1) < _LEGS_SEEN) & (REACH * neck > 1.1 * radius)
    hips = shoulders - (HIPS_BELOW * neck / np.maximum(np.linalg.norm(up, axis=1), 1e-6))[:, None] * up
    return upright_crops(
        np.where(squeezed[:, None], hips, center), up, np.where(squeezed, REACH * neck, radius)
    )


def warp_crops(image: np.ndarray, crop_to_image: np.ndarray) -> np.ndarray:
    """Warps each crop once, black outside the image: (N, 256, 256, 3) uint8."""
    crops = np.empty((len(crop_to_image), CROP_SIZE, CROP_SIZE, 3), np.uint8)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    for crop, affine in zip(crops, crop_to_image):
        cv2.warpAffine(image, affine, (CROP_SIZE, CROP_SIZE), dst=crop, flags=flags)
    return crops


def to_image(points: np.ndarray, crop_to_image: np.ndarray) -> np.ndarray:
    """Brings points (N, K, 2) of crops (N, 2, 3) to the image."""
    return points @ crop_to_image[:, :, :2].transpose(0, 2, 1) + crop_to_image[:, None, :, 2]


def turn_of(crop_to_image: np.ndarray) -> np.ndarray:
    """Returns rotations (N, 2, 2) from crop axes to image axes."""
    linear = crop_to_image[:, :, :2]
    return linear / np.sqrt(np.linalg.det(linear))[:, None, None]


def mask_to_image(mask: np.ndarray, crop_to_image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Warps a crop's mask (256, 256) to the full image (height, width), 0 outside the crop."""
    return cv2.warpAffine(mask, crop_to_image, (width, height), flags=cv2.INTER_LINEAR)


def mask_in_crop(mask: np.ndarray, crop_to_image: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Warps a crop's mask (256, 256) to another crop (2, 3), 0 outside the mask's own."""
    own = np.linalg.inv(np.vstack([crop_to_image, [0, 0, 1]])) @ np.vstack([other, [0, 0, 1]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(mask, own[:2], (CROP_SIZE, CROP_SIZE), flags=flags)


def mask_at(mask: np.ndarray, crop_to_image: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Samples a crop's mask (256, 256) at pixels (K, 2) of the image, 0 outside the crop."""
    places = (points - crop_to_image[:, 2]) @ np.linalg.inv(crop_to_image[:, :2]).T
    x, y = np.clip(np.rint(places).astype(int) + 1, 0, CROP_SIZE + 1).T
    return np.pad(mask, 1)[y, x]
