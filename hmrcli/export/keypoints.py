"""Keypoints of motions in the image, as 2D tools have them, and the JSON files of OpenPose and COCO that hold them."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from hmrcli.body import BodyModel
from hmrcli.body.joints import COCO_17, LANDMARKS, OPENPOSE_25, JointSet
from hmrcli.camera.camera import NEAR
from hmrcli.files import whole_file, write_whole
from hmrcli.motion import Motion

OPENPOSE_VERSION = 1.3
COCO_PERSON = 1
"""COCO's category."""
_EMPTY: dict[str, list[float]] = {
    f"{part}_keypoints_{space}": [] for part in ("face", "hand_left", "hand_right") for space in ("2d", "3d")
}
"""What OpenPose's files also have."""

_FRAMES = 64
"""Bodies that are posed at once."""
_WITHOUT_REGRESSOR = 24 + len(LANDMARKS)


class Keypoints(NamedTuple):
    """Points in the image, and how far each was seen."""

    points: NDArray[np.floating]
    """(F, J, 2) pixels from the top left corner."""
    confidence: NDArray[np.floating]
    """(F, J) in [0, 1]; 0 outside of the picture."""


def keypoints_of(motion: Motion, joints: JointSet) -> Keypoints:
    """Projects the joints of a set, all among SMPL's 54, by the motion's camera.

    A joint that SMPL's 24 lack is as visible as the one whose skin it lies on.

    Raises:
        ValueError: the motion is not in its camera's space.
        MissingFile: the body is an SMPL file, and the regressor of further joints is not beside it.
    """
    if motion.up != "-y":
        raise ValueError("keypoints in the image need a motion in the camera's space")
    wanted, parts = list(joints.from_54), []
    for start in range(0, len(motion.frames), _FRAMES):
        rows = slice(start, start + _FRAMES)
        rotmat, transl = (
            torch.from_numpy(np.asarray(values[rows], np.float32))
            for values in (motion.rotmat, motion.transl)
        )
        betas = torch.from_numpy(np.asarray(motion.betas, np.float32)).expand(len(rotmat), -1)
        with torch.inference_mode():
            parts.append(_points(motion.body, rotmat, betas, transl, max(wanted))[:, wanted])
    places = torch.cat(parts)
    points = motion.camera.project(places.numpy())
    size = (motion.camera.width, motion.camera.height)
    inside = (places[..., 2].numpy() > NEAR) & ((points >= 0) & (points < size)).all(-1)
    seen = motion.joints_visibility[:, _nearest_joints(motion.body, max(wanted))[wanted]]
    return Keypoints(points, np.where(inside, seen, 0.0))


def _points(
    body: BodyModel, rotmat: torch.Tensor, betas: torch.Tensor, transl: torch.Tensor, last: int
) -> torch.Tensor:
    """Returns the 54 joints in space, or the 45 that need no regressor if those are all."""
    posed = body(rotmat, betas, transl)
    if last >= _WITHOUT_REGRESSOR:
        return body.smpl_54_joints(posed)
    return torch.cat([posed.joints, posed.vertices[:, body.landmark_vertices]], 1)


def _nearest_joints(body: BodyModel, last: int) -> NDArray[np.int64]:
    """Returns for each of the 54 joints, or of the 45, the one of the 24 that moves the skin where it lies."""
    nearest = torch.cat([torch.arange(24), body.parts[body.landmark_vertices].cpu()])
    if last >= _WITHOUT_REGRESSOR:
        on_skin = body.extra_regressor.abs() @ body.weights
        nearest = torch.cat([nearest, on_skin.argmax(1).cpu()])
    return nearest.numpy()


def write_coco(motions: Sequence[Motion], path: Path, image_id: Callable[[int], int | str]) -> Path:
    """Writes COCO's keypoint results: 17 keypoints and a score for each person and frame, all in one file.

    The motions are in the camera's space; `image_id` gives that of a frame.
    """
    results = []
    for motion in motions:
        keypoints = keypoints_of(motion, COCO_17)
        numbers = np.concatenate([keypoints.points, keypoints.confidence[..., None]], -1).round(4)
        results += [
            {
                "image_id": image_id(int(frame)),
                "category_id": COCO_PERSON,
                "keypoints": numbers[row].ravel().tolist(),
                "score": round(float(motion.scores[row]), 6),
                "track_id": motion.track_id,
            }
            for row, frame in enumerate(motion.frames)
        ]
    write_whole(path, json.dumps(results, allow_nan=False) + "\n")
    return path


def write_openpose(motions: Sequence[Motion], paths: dict[int, Path]) -> list[Path]:
    """Writes OpenPose's BODY_25 keypoints into a file for each of some frames, also for those that show nobody.

    The motions are in the camera's space, `paths` those of the files by the number of the frame. As OpenPose does,
    points that were not seen are 0, 0 with confidence 0.
    """
    tracked = [(motion.track_id, keypoints_of(motion, OPENPOSE_25)) for motion in motions]
    rows = [{int(frame): row for row, frame in enumerate(motion.frames)} for motion in motions]
    for frame, path in paths.items():
        people = [_person(*one, row[frame]) for one, row in zip(tracked, rows) if frame in row]
        with whole_file(path) as temporary:
            document = {"version": OPENPOSE_VERSION, "people": people}
            temporary.write_text(json.dumps(document) + "\n", encoding="utf-8")
    return list(paths.values())


def _person(track_id: int, keypoints: Keypoints, row: int) -> dict[str, Any]:
    points, confidence = keypoints.points[row], keypoints.confidence[row]
    numbers = np.concatenate([points, confidence[:, None]], 1)
    numbers[confidence == 0] = 0
    return {
        "person_id": [track_id],
        "pose_keypoints_2d": numbers.round(4).ravel().tolist(),
        "pose_keypoints_3d": [],
        **_EMPTY,
    }
