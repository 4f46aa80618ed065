"""Compares the sides of 2D keypoints with what the bundled landmark network sees in pictures."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hmrcli.body.joints import COCO_17
from hmrcli.data.annotations import Annotations
from hmrcli.data.images import read_bgr
from hmrcli.data.label_agreement import Problem
from hmrcli.errors import BadInput
from hmrcli.people.blazepose import read_crops
from hmrcli.people.crops import crop_from_keypoints, to_image, warp_crops
from hmrcli.people.skeleton import LANDMARK_KEYPOINTS

Progress = Callable[[str, int, int], None]
"""Is told what is done, how much of it, and of how much."""
_FEWEST = 6
"""Joints, or pictures, that say something."""
_SURE = 0.8
"""Score of the network from which on its crop shows a person."""
_LIMBS = slice(5, 17)
_OTHER_SIDE = [joint - 5 for joint in COCO_17.flip[_LIMBS]]
"""Shoulders to ankles among COCO's 17, and where each one's counterpart is among these."""


def exchanged_sides(
    rows: Annotations, numbers: NDArray[np.int64], folder: Path, progress: Progress
) -> Iterator[Problem]:
    """Looks once at each row's crop, which its own keypoints tell, for limbs that are seen on the other side.

    Says so where most pictures show them there, and nothing where they do not, or too few tell.

    Args:
        rows: a few of a set (N).
        numbers: theirs in the set (N,).
        folder: of the images.
    """
    if rows.keypoints2d is None or len(rows) < _FEWEST:
        return
    points = rows.select("coco_17", strict=False).keypoints2d
    assert points is not None
    kept, away = [], []
    for row, number in enumerate(numbers):
        progress("looking at pictures", row, len(numbers))
        known = points[row, _LIMBS, 2] > 0
        known &= known[_OTHER_SIDE]
        if known.sum() < _FEWEST:
            continue
        try:
            image = np.ascontiguousarray(read_bgr(folder / str(rows.image_path[row]))[..., ::-1])
        except BadInput:  # said elsewhere
            continue
        crop = crop_from_keypoints(rows.bbox_xywh[row].astype(np.float64), points[row])[None]
        found = read_crops(warp_crops(image, crop))
        if found.score[0] < _SURE:
            continue
        seen = to_image(found.points[:, list(LANDMARK_KEYPOINTS)], crop)[0, _LIMBS]
        stated = points[row, _LIMBS, :2]
        kept.append(int(number))
        away.append(
            [np.linalg.norm(seen - those, axis=1)[known].mean() for those in (stated, stated[_OTHER_SIDE])]
        )
    right, other = np.array(away).reshape(-1, 2).T
    wrong = other < 0.7 * right
    # Seen from behind, people are at times taken wrong.
    if wrong.sum() >= _FEWEST and wrong.sum() > 2 * (right < 0.7 * other).sum():
        text = (
            f"left and right look exchanged: in {wrong.sum()} of {len(kept)} pictures the bundled network sees "
            "the limbs on the other side; expected the person's own left and right"
        )
        yield Problem("keypoints2d", kept[int(wrong.argmax())], text)
