"""HumanData, MMHuman3D's npz layout of annotations, in which the benchmark's files come.

Keypoints stand in an order of 190. Files marked as compressed hold only the joints that their mask names.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmrcli.body.joints import HUMAN_DATA_SIZE
from hmrcli.data.annotations import Annotations, joint_set, regroup, shared
from hmrcli.data.checks import (
    check_boxes,
    check_finite,
    check_image_paths,
    check_keypoints,
    check_length,
    read_flags,
    read_genders,
)
from hmrcli.data.npz import NpzFile
from hmrcli.data.smpl_fields import BETAS_SIZE, POSE_SIZE, smpl_arrays
from hmrcli.errors import BadInput
from hmrcli.files import whole_file

_COUNTED_BY = "image_path"
_INTRINSICS = ("intrinsic", "in_mat")  # names of a camera's matrix in newer and older files


def read_human_data(
    stored: NpzFile, joints: str, dataset: str | None = None, cameras: bool = False
) -> Annotations:
    """See `hmrcli.data.read.read_annotations`."""
    image_path = stored.text("image_path")
    check_image_paths(image_path, stored.where("image_path"))
    count = len(image_path)
    for name in ("__data_len__", "__temporal_len__"):
        if (claimed := stored.scalar(name, -1)) not in (-1, count):
            raise BadInput(
                f"{stored.where(name)}: expected {count} as rows in {_COUNTED_BY}, the file has {claimed}"
            )
    pose, betas, transl, has_smpl = _bodies(stored, count)
    return Annotations(
        dataset=dataset or stored.path.stem,
        joints=joints,
        image_path=image_path,
        bbox_xywh=_boxes(stored, count),
        keypoints2d=_keypoints(stored, "keypoints2d", joints, 3, count),
        keypoints3d=_keypoints(stored, "keypoints3d", joints, 4, count),
        pose=pose,
        betas=betas,
        has_smpl=has_smpl,
        gender=read_genders(stored, count, _COUNTED_BY),
        transl=transl,
        intrinsics=_intrinsics(stored, count) if cameras else None,
    )


def _boxes(stored: NpzFile, count: int) -> NDArray[np.float32]:
    member = stored.member("bbox_xywh")
    member.expect((None, 4), (None, 5))  # the fifth is a score
    check_length(member.shape[0], count, member.where, _COUNTED_BY)
    boxes = np.empty((count, 4), np.float32)
    member.columns(range(4), boxes, slice(None))
    check_boxes(boxes, member.where)
    return boxes


def _keypoints(stored: NpzFile, name: str, joints: str, size: int, count: int) -> NDArray[np.float32] | None:
    if name not in stored:
        return None
    convention = stored.scalar(f"{name}_convention", "human_data")
    if convention != "human_data":
        raise BadInput(f"{stored.where(name)}_convention: expected human_data, the file has {convention}")
    member = stored.member(name)
    compressed = bool(stored.scalar("__keypoints_compressed__", False))
    present = _mask(stored, f"{name}_mask", needed=compressed)
    member.expect((None, len(present) if compressed else HUMAN_DATA_SIZE, size))
    check_length(member.shape[0], count, member.where, _COUNTED_BY)
    columns, positions = shared(present, joint_set(joints))
    keypoints = np.zeros((count, len(joint_set(joints)), size), np.float32)
    member.columns(columns if compressed else [present[i] for i in columns], keypoints, positions)
    check_keypoints(keypoints, member.where)
    return keypoints


def _mask(stored: NpzFile, name: str, needed: bool) -> list[int]:
    """Joints that a file holds, among the 190."""
    if name not in stored and not needed:
        return list(range(HUMAN_DATA_SIZE))
    member = stored.member(name)
    member.expect((HUMAN_DATA_SIZE,))
    return np.flatnonzero(read_flags(member, HUMAN_DATA_SIZE, "the joints")).tolist()


def _bodies(
    stored: NpzFile, count: int
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32] | None, NDArray[np.bool_]]:
    smpl = stored.data("smpl") if "smpl" in stored else None
    if smpl is None:
        pose, betas = np.zeros((count, POSE_SIZE), np.float32), np.zeros((count, BETAS_SIZE), np.float32)
        return pose, betas, None, np.zeros(count, bool)
    where = stored.where("smpl")
    pose, betas, transl = smpl_arrays(smpl, where)
    check_length(len(pose), count, where, _COUNTED_BY)
    known = np.ones(count, bool)
    if "has_smpl" in stored:
        known = read_flags(stored.member("has_smpl"), count, _COUNTED_BY)
    check_finite(pose, f"{where}.body_pose", known)
    check_finite(betas, f"{where}.betas", known)
    if transl is not None:
        check_finite(transl, f"{where}.transl", known)
    return pose, betas, transl, known


def _intrinsics(stored: NpzFile, count: int) -> NDArray[np.float32] | None:
    """Cameras of the rows; None where the file lists its cameras in another way than by row."""
    if "cam_param" not in stored:
        return None
    cameras, where = stored.data("cam_param"), stored.where("cam_param")
    if isinstance(cameras, dict):
        return None
    check_length(len(cameras), count, where, _COUNTED_BY)
    matrices = np.empty((count, 3, 3), np.float32)
    for row, camera in enumerate(cameras):
        matrices[row] = _matrix(camera, f"{where}, row {row}")
    return matrices


def _matrix(camera: Any, where: str) -> NDArray[np.float64]:
    found: Iterable[Any] = ()
    if isinstance(camera, dict):
        found = (camera[name] for name in _INTRINSICS if name in camera)
    for value in found:
        try:
            matrix = np.asarray(value, np.float64)
        except (TypeError, ValueError):
            break
        if matrix.shape in ((3, 3), (4, 4)) and np.isfinite(matrix).all():
            return matrix[:3, :3]
    raise BadInput(f"{where}: expected a camera with a finite 3×3 or 4×4 matrix {' or '.join(_INTRINSICS)}")


def write_human_data(
    path: str | Path,
    annotations: Annotations,
    compressed: bool = True,
    misc: dict[str, Any] | None = None,
) -> None:
    """Writes a HumanData file, which MMHuman3D reads too; numbers are float32.

    Args:
        path: of the .npz file.
        annotations: with the keypoints of any set; joints outside it are left out of the mask.
        compressed: store only the joints of the set; otherwise all 190, zeros where there are none.
        misc: further facts about the file, by name.
    """
    fields: dict[str, Any] = {
        "__key_strict__": False,
        "__data_len__": len(annotations),
        "__keypoints_compressed__": compressed,
        "image_path": annotations.image_path,
        "bbox_xywh": np.column_stack([annotations.bbox_xywh, np.ones(len(annotations), np.float32)]),
        "smpl": _containers(_smpl_dict(annotations)),
        "has_smpl": annotations.has_smpl.astype(np.uint8),
        "meta": _containers({"gender": annotations.gender}),
        "config": annotations.dataset,
    }
    own = joint_set(annotations.joints)
    kept = sorted(set(own))
    for name in ("keypoints2d", "keypoints3d"):
        keypoints = getattr(annotations, name)
        if keypoints is not None:
            fields[name] = regroup(keypoints, own, kept if compressed else range(HUMAN_DATA_SIZE))
            fields[f"{name}_mask"] = np.isin(np.arange(HUMAN_DATA_SIZE), kept).astype(np.uint8)
            fields[f"{name}_convention"] = "human_data"
    if annotations.intrinsics is not None:
        # Rows of one camera share its record: a set has a few cameras and hundreds of thousands of rows.
        matrices, camera = np.unique(annotations.intrinsics, axis=0, return_inverse=True)
        records = [{"intrinsic": matrix.tolist()} for matrix in matrices]
        fields["cam_param"] = _containers([records[i] for i in camera.ravel()])
    if misc is not None:
        fields["misc"] = _containers(misc)
    with whole_file(path) as temporary:
        np.savez_compressed(temporary, **fields)


def _smpl_dict(annotations: Annotations) -> dict[str, NDArray[np.float32]]:
    smpl = {
        "body_pose": annotations.pose[:, 3:].reshape(-1, 23, 3),
        "global_orient": annotations.pose[:, :3],
        "betas": annotations.betas,
    }
    if annotations.transl is not None:
        smpl["transl"] = annotations.transl
    return {name: np.array(values) for name, values in smpl.items()}


def _containers(value: dict[str, Any] | list[Any]) -> NDArray[Any]:
    """An object array, as numpy stores a dictionary or a list of them."""
    if isinstance(value, dict):
        return np.array(value, dtype=object)
    array = np.empty(len(value), object)
    array[:] = value
    return array
