"""People as COCO's keypoint results: 17 keypoints and a score for each person and image."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from hmrcli.body.joints import COCO_17
from hmrcli.export.keypoints import keypoints_of
from hmrcli.files import whole_file
from hmrcli.motion import Motion

PERSON = 1
"""COCO's category."""


def write_coco(motions: Sequence[Motion], path: Path, image_id: Callable[[int], int | str]) -> Path:
    """Writes one file for all people and frames.

    Args:
        motions: in the camera's space.
        path: ends in .json.
        image_id: gives that of a frame.
    """
    results = []
    for motion in motions:
        keypoints = keypoints_of(motion, COCO_17)
        numbers = np.concatenate([keypoints.points, keypoints.confidence[..., None]], -1).round(4)
        results += [
            {
                "image_id": image_id(int(frame)),
                "category_id": PERSON,
                "keypoints": numbers[row].ravel().tolist(),
                "score": round(float(motion.scores[row]), 6),
                "track_id": motion.track_id,
            }
            for row, frame in enumerate(motion.frames)
        ]
    with whole_file(path) as temporary:
        temporary.write_text(json.dumps(results, allow_nan=False) + "\n", encoding="utf-8")
    return path
