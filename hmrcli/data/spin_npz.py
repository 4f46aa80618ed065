"""SPIN's npz layout of annotations (Kolotouros et al. 2019), which GraphCMR and others share.

Boxes are squares: the middle in pixels, and the side over 200. 2D joints come as OpenPose's 25 and the 24 of the
data sets, 3D joints as the latter alone.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmrcli.data.annotations import JOINT_SETS, Annotations, joint_set, regroup, shared
from hmrcli.data.checks import (
    check_finite,
    check_image_paths,
    check_keypoints,
    check_length,
    read_flags,
    read_genders,
    refuse_rows,
)
from hmrcli.data.npz import NpzFile
from hmrcli.data.smpl_fields import BETAS_SIZE, POSE_SIZE
from hmrcli.files import whole_file

_COUNTED_BY = "imgname"
_SIDE = 200.0
_OPENPOSE, _PART = JOINT_SETS["smpl_49"][:25], JOINT_SETS["smpl_49"][25:]


def read_spin(stored: NpzFile, joints: str, dataset: str | None = None) -> Annotations:
    """See `hmrcli.data.read.read_annotations`."""
    image_path = stored.text("imgname")
    check_image_paths(image_path, stored.where("imgname"))
    count = len(image_path)
    pose, betas, known = _bodies(stored, count)
    return Annotations(
        dataset=dataset or stored.path.stem,
        joints=joints,
        image_path=image_path,
        bbox_xywh=_boxes(stored, count),
        keypoints2d=_keypoints(stored, {"openpose": _OPENPOSE, "part": _PART}, joints, 3, count),
        keypoints3d=_keypoints(stored, {"S": _PART}, joints, 4, count),
        pose=pose,
        betas=betas,
        has_smpl=known,
        gender=read_genders(stored, count, _COUNTED_BY),
    )


def _boxes(stored: NpzFile, count: int) -> NDArray[np.float32]:
    middle, scale = stored.member("center"), stored.member("scale")
    middle.expect((None, 2))
    scale.expect((None,), (None, 1))
    for member in (middle, scale):
        check_length(member.shape[0], count, member.where, _COUNTED_BY)
    center, side = middle.numbers(), _SIDE * scale.numbers().reshape(-1, 1)
    check_finite(center, middle.where, np.ones(count, bool))
    refuse_rows(~(np.isfinite(side) & (side > 0))[:, 0], scale.where, "a positive number", side / _SIDE)
    return np.concatenate([center - side / 2, side, side], 1)


def _keypoints(
    stored: NpzFile, parts: dict[str, tuple[int, ...]], joints: str, size: int, count: int
) -> NDArray[np.float32] | None:
    wanted = joint_set(joints)
    present = [name for name in parts if name in stored]
    if not present:
        return None
    keypoints = np.zeros((count, len(wanted), size), np.float32)
    for name in present:
        member = stored.member(name)
        member.expect((None, len(parts[name]), size))
        check_length(member.shape[0], count, member.where, _COUNTED_BY)
        columns, positions = shared(parts[name], wanted)
        member.columns(columns, keypoints, positions)
        check_keypoints(keypoints, member.where)
    return keypoints


def _bodies(
    stored: NpzFile, count: int
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]:
    if "pose" not in stored or "shape" not in stored:
        pose, betas = np.zeros((count, POSE_SIZE), np.float32), np.zeros((count, BETAS_SIZE), np.float32)
        return pose, betas, np.zeros(count, bool)
    known = np.ones(count, bool)
    if "has_smpl" in stored:
        known = read_flags(stored.member("has_smpl"), count, _COUNTED_BY)
    return _body(stored, "pose", POSE_SIZE, known), _body(stored, "shape", BETAS_SIZE, known), known


def _body(stored: NpzFile, name: str, size: int, known: NDArray[np.bool_]) -> NDArray[np.float32]:
    member = stored.member(name)
    member.expect((None, size))
    check_length(member.shape[0], len(known), member.where, _COUNTED_BY)
    values = member.numbers()
    check_finite(values, member.where, known)
    return values


def write_spin(path: str | Path, annotations: Annotations) -> None:
    """Writes a file in SPIN's layout: boxes become squares, joints that the layout does not know are lost.

    Args:
        path: of the .npz file.
        annotations: with the keypoints of any set; joints that the layout has and the set lacks become zeros.
    """
    x, y, width, height = annotations.bbox_xywh.astype(np.float64).T
    fields: dict[str, Any] = {
        "imgname": annotations.image_path,
        "center": np.stack([x + width / 2, y + height / 2], 1),
        "scale": np.maximum(width, height) / _SIDE,
        "pose": annotations.pose,
        "shape": annotations.betas,
        "has_smpl": annotations.has_smpl.astype(np.uint8),
        "gender": annotations.gender,
    }
    own = joint_set(annotations.joints)
    if annotations.keypoints2d is not None:
        fields["openpose"] = regroup(annotations.keypoints2d, own, _OPENPOSE)
        fields["part"] = regroup(annotations.keypoints2d, own, _PART)
    if annotations.keypoints3d is not None:
        fields["S"] = regroup(annotations.keypoints3d, own, _PART)
    with whole_file(path) as temporary:
        np.savez_compressed(temporary, **fields)
