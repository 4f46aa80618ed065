"""Agreement of the body, the landmarks and the mask of a person, and which joints were seen."""

import cv2
import numpy as np
from numpy.typing import NDArray

from hmrcli.body.joints import SMPL_24
from hmrcli.people import KEYPOINTS, LANDMARK_INDEX, LANDMARKS, Landmarks
from hmrcli.people.blazepose import CROP_SIZE

Array = NDArray[np.floating]

_SEEN_BY = {
    "pelvis": ("hip",),
    "spine1": ("hip",),
    "spine2": ("hip", "shoulder"),
    "spine3": ("shoulder",),
    "neck": ("shoulder", "ear"),
    "head": ("eye", "ear"),
    "collar": ("shoulder",),
    "foot": ("foot_index",),
    "hand": ("index",),
}
"""Landmarks that tell whether a joint is seen, where they have another name than it."""
_LIMBS = KEYPOINTS[5:]
"""Shoulders to ankles."""
_LIMB_JOINTS = [SMPL_24.names.index(name) for name in _LIMBS]
_LIMB_LANDMARKS = [LANDMARK_INDEX[name] for name in _LIMBS]
_HIPS = [SMPL_24.names.index(name) for name in ("pelvis", "left_hip", "right_hip", "spine1")]
_LEGS = [SMPL_24.names.index(f"{side}_{name}") for side in ("left", "right") for name in ("knee", "ankle")]
_WITHIN, _COUNTS = 0.9, 2.5
"""Share of the mask around a knee or ankle within which its visibility counts so many times. The landmark network calls
legs half hidden by the other leg 0.2 to 0.5 visible; what somebody else hides lies outside the mask."""
GRID = 64
"""Side of the crop's mask and of the body's outline when they are compared."""
_FAR = 0.06
"""Distance of joints from landmarks, as a share of the box, that speaks against a body."""
_HALF_RIGHT = 0.55
"""Overlap with the mask that bodies have as often when right as when wrong."""


def joints_visibility(landmarks: Landmarks, joints2d: Array) -> Array:
    """Tells how far SMPL's joints were seen, (N, 24) in [0, 1]: the mean over the landmarks beside them.

    The landmark network is always sure of hips; where it sees no leg, they count as seen within the mask
    alone. Of legs that the other leg half hides it is too unsure. Joints of the bodies are (N, 24, 2); masks
    may be compact (N, S, S), or absent (N, 0, 0).
    """
    beside = np.zeros((len(SMPL_24.names), len(LANDMARKS)))
    for row, joint in zip(beside, SMPL_24.names):
        side, _, part = joint.rpartition("_")
        sides = [side] if side else ["left", "right"]
        names = [f"{s}_{name}" for s in sides for name in _SEEN_BY.get(part, (part,))]
        row[[LANDMARK_INDEX[name] for name in names]] = 1 / len(names)
    seen = landmarks.visibility @ beside.T
    side = landmarks.masks.shape[-1]
    if not side:
        return seen
    cells = _cells(landmarks, joints2d, side)
    legless = seen[:, _LEGS].max(1) < 0.3
    x, y = np.clip(cells + 1, 0, side + 1).transpose(2, 0, 1)
    around = (2 * round(side / GRID * 1.5) + 1,) * 2
    for i, mask in enumerate(landmarks.masks):
        padded = np.pad(mask.astype(np.float32), 1)
        if legless[i]:
            seen[i, _HIPS] *= padded[y[i, _HIPS], x[i, _HIPS]]
        within = cv2.blur(padded, around)[y[i, _LEGS], x[i, _LEGS]] >= _WITHIN
        seen[i, _LEGS] = np.minimum(np.where(within, _COUNTS, 1.0) * seen[i, _LEGS], 1.0)
    return seen


def _cells(landmarks: Landmarks, points: Array, grid: int) -> NDArray[np.integer]:
    """Returns column and row in crops of grid x grid cells for pixels (N, P, 2) of the picture."""
    inverse = np.linalg.inv(landmarks.crop_to_image[:, :, :2]).transpose(0, 2, 1)
    places = (points - landmarks.crop_to_image[:, None, :, 2]) @ inverse
    return np.floor((places + 0.5) * (grid / CROP_SIZE)).clip(-1, grid).astype(int)


def agreement(
    landmarks: Landmarks,
    boxes: Array,
    joints2d: Array,
    visibility: Array,
    skin: Array,
    parts: NDArray[np.integer],
    size: tuple[int, ...],
) -> Array:
    """Scores N bodies of a picture by what was seen of them, (N,) in [0, 1].

    The product of four signs: that a person was seen; how near visible limb joints are to their landmarks, relative to
    the box; how far the body's visible parts and the mask overlap; and that the body lies in the box. Of 75 bodies
    that look right, nine in ten have more than 0.8; of 30 that look wrong, as many less than 0.6. Where masks are
    absent, (N, 0, 0), they and the skin do not count.

    Args:
        boxes: (N, 4) x, y, width, height, pixels.
        joints2d: (N, 24, 2) projected.
        visibility: (N, 24) of the joints.
        skin: (N, P, 2) projected points of the skin, near enough to each other to fill the outline.
        parts: (P,) the joint that moves each of them.
        size: height and width of the picture.
    """
    weight = visibility[:, _LIMB_JOINTS] + 1e-6
    apart = np.linalg.norm(joints2d[:, _LIMB_JOINTS] - landmarks.points2d[:, _LIMB_LANDMARKS], axis=2)
    distance = (weight * apart).sum(1) / weight.sum(1) / boxes[:, 2:].max(1)
    visible = visibility >= 0.5
    near = np.exp(-((distance / _FAR) ** 2))
    score = landmarks.score * near * in_box(boxes, joints2d, visible)
    if not landmarks.masks.shape[-1]:
        return score
    cells = np.where(in_picture(skin, size)[..., None], _cells(landmarks, skin, GRID), -1)
    overlap = np.array([_mask_overlap(*one) for one in zip(landmarks.masks, cells, visible[:, parts])])
    return score / (1 + np.exp((_HALF_RIGHT - overlap) / 0.05))


def in_picture(points: Array, size: tuple[int, ...]) -> NDArray[np.bool_]:
    """Tells which pixels (..., 2) lie in a picture of a given height and width."""
    x, y = points[..., 0], points[..., 1]
    return (x >= 0) & (x < size[1]) & (y >= 0) & (y < size[0])


def in_box(boxes: Array, joints2d: Array, visible: NDArray[np.bool_]) -> Array:
    """Tells how far visible joints (N, 24) lie in boxes (N, 4): 1 where half of the area around them does."""
    shares = np.zeros(len(boxes))
    for i in np.flatnonzero(visible.sum(1) >= 2):
        low, high = joints2d[i, visible[i]].min(0), joints2d[i, visible[i]].max(0)
        corner, extent = boxes[i, :2], boxes[i, 2:]
        shared = np.prod(np.maximum(np.minimum(high, corner + extent) - np.maximum(low, corner), 0))
        shares[i] = shared / max(np.prod(high - low), 1e-6)
    return (2 * shares).clip(0, 1)


def _mask_overlap(mask: Array, cells: NDArray[np.integer], visible: NDArray[np.bool_]) -> float:
    """Returns the overlap (IoU) of the visible skin with the mask (S, S), where no unseen skin lies over it.

    Cells (P, 2) are column and row of the skin's points, `visible` (P,) or not, in a grid over the mask;
    others do not count.
    """
    within = ((cells >= 0) & (cells < GRID)).all(1)
    drawn = np.zeros((2, GRID, GRID), np.uint8)
    for sheet, chosen in zip(drawn, (within & visible, within & ~visible)):
        sheet[cells[chosen, 1], cells[chosen, 0]] = 1
        cv2.morphologyEx(sheet, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8), dst=sheet)
    seen, hidden = drawn > 0
    person = cv2.resize(mask, (GRID, GRID), interpolation=cv2.INTER_AREA) > 0.5
    return float((seen & person).sum() / max((seen | (person & ~hidden)).sum(), 1))
