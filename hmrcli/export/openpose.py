"""People of one frame as OpenPose's JSON: BODY_25 keypoints in the image."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hmrcli.body.joints import OPENPOSE_25
from hmrcli.export.keypoints import Keypoints, keypoints_of
from hmrcli.files import whole_file
from hmrcli.motion import Motion

VERSION = 1.3
_EMPTY: dict[str, list[float]] = {
    f"{part}_keypoints_{space}": [] for part in ("face", "hand_left", "hand_right") for space in ("2d", "3d")
}


class _Tracked(NamedTuple):
    track_id: int
    rows: dict[int, int]
    """Of frames."""
    keypoints: Keypoints


def write_openpose(motions: Sequence[Motion], paths: dict[int, Path]) -> list[Path]:
    """Writes a file for each of some frames, also for those that show nobody.

    As OpenPose does, points that were not seen are 0, 0 with confidence 0.

    Args:
        motions: in the camera's space.
        paths: of the files, by the number of the frame.
    """
    tracked = [
        _Tracked(
            motion.track_id,
            {int(frame): row for row, frame in enumerate(motion.frames)},
            keypoints_of(motion, OPENPOSE_25),
        )
        for motion in motions
    ]
    for frame, path in paths.items():
        people = [_person(one, one.rows[frame]) for one in tracked if frame in one.rows]
        with whole_file(path) as temporary:
            temporary.write_text(json.dumps({"version": VERSION, "people": people}) + "\n", encoding="utf-8")
    return list(paths.values())


def _person(one: _Tracked, row: int) -> dict[str, Any]:
    points, confidence = one.keypoints.points[row], one.keypoints.confidence[row]
    numbers = np.concatenate([points, confidence[:, None]], 1)
    numbers[confidence == 0] = 0
    return {
        "person_id": [one.track_id],
        "pose_keypoints_2d": numbers.round(4).ravel().tolist(),
        "pose_keypoints_3d": [],
        **_EMPTY,
    }
