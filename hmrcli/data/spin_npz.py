"""SPIN's npz layout of annotations (Kolotouros et al. 2019), which GraphCMR and others share.

Boxes are squares: the middle in pixels, and the side over 200. 2D joints come as OpenPose's 25 and the 24 of the
data sets, 3D joints as the latter alone.
"""

import numpy as np

from hmrcli.body.joints import COMMON_24, OPENPOSE_25, JointSet, joint_set
from hmrcli.data.annotation_npz import AnnotationNpz, check_finite, check_keypoints, refuse_rows
from hmrcli.data.annotations import BETAS_SIZE, POSE_SIZE, Annotations, Numbers, shared
from hmrcli.data.body_parameters import BodyParameters, unknown_bodies

_SIDE = 200.0


def read_spin(stored: AnnotationNpz, joints: str, dataset: str) -> Annotations:
    """Reads an open file; see `hmrcli.data.annotation_files.read_annotations`."""
    image_path = stored.paths("imgname")
    bodies = _bodies(stored)
    return Annotations(
        dataset=dataset,
        joints=joints,
        image_path=image_path,
        bbox_xywh=_boxes(stored),
        keypoints2d=_keypoints(stored, {"openpose": OPENPOSE_25, "part": COMMON_24}, joints, 3),
        keypoints3d=_keypoints(stored, {"S": COMMON_24}, joints, 4),
        **bodies._asdict(),
        gender=stored.genders(),
    )


def _boxes(stored: AnnotationNpz) -> Numbers:
    center, scale = stored.numbers("center", (None, 2)), stored.numbers("scale", (None,), (None, 1))
    side = _SIDE * scale.reshape(-1, 1)
    check_finite(center, stored.where("center"))
    bad = ~(np.isfinite(side) & (side > 0))[:, 0]
    refuse_rows(bad, stored.where("scale"), "a positive number", side / _SIDE)
    return np.concatenate([center - side / 2, side, side], 1)


def _keypoints(stored: AnnotationNpz, parts: dict[str, JointSet], joints: str, size: int) -> Numbers | None:
    wanted = joint_set(joints).human_data
    present = [name for name in parts if name in stored]
    keypoints = np.zeros((stored.rows, len(wanted), size), np.float32)
    for name in present:
        columns, positions = shared(parts[name].human_data, wanted)
        stored.columns(name, (None, len(parts[name]), size), columns, keypoints, positions)
        check_keypoints(keypoints, stored.where(name))
    return keypoints if present else None


def _bodies(stored: AnnotationNpz) -> BodyParameters:
    if "pose" not in stored or "shape" not in stored:
        return unknown_bodies(stored.rows)
    known = stored.flags("has_smpl") if "has_smpl" in stored else np.ones(stored.rows, bool)
    pose, betas = stored.numbers("pose", (None, POSE_SIZE)), stored.numbers("shape", (None, BETAS_SIZE))
    check_finite(pose, stored.where("pose"), known)
    check_finite(betas, stored.where("shape"), known)
    return BodyParameters(pose, betas, known)
