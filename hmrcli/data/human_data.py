"""HumanData, MMHuman3D's npz layout of annotations, in which the benchmark's files come.

Keypoints stand in an order of 190. Files marked as compressed hold only the joints that their mask names.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmrcli.body.joints import HUMAN_DATA_SIZE, joint_set
from hmrcli.data.annotation_npz import AnnotationNpz, check_finite, check_keypoints, refuse_rows
from hmrcli.data.annotations import Annotations, Numbers, regroup, shared
from hmrcli.data.body_parameters import BodyParameters, smpl_arrays, unknown_bodies
from hmrcli.errors import BadInput
from hmrcli.files import whole_file

_INTRINSICS = ("intrinsic", "in_mat")  # names of a camera's matrix in newer and older files


def read_human_data(stored: AnnotationNpz, joints: str, dataset: str, cameras: bool) -> Annotations:
    """Reads an open file; see `hmrcli.data.annotation_files.read_annotations`."""
    image_path = stored.paths("image_path")
    for name in ("__data_len__", "__temporal_len__"):
        if (claimed := stored.scalar(name, -1)) not in (-1, stored.rows):
            expected = f"expected {stored.rows} as rows in image_path"
            raise BadInput(f"{stored.where(name)}: {expected}, the file has {claimed}")
    bodies = _bodies(stored)
    return Annotations(
        dataset=dataset,
        joints=joints,
        image_path=image_path,
        bbox_xywh=_boxes(stored),
        keypoints2d=_keypoints(stored, "keypoints2d", joints, 3),
        keypoints3d=_keypoints(stored, "keypoints3d", joints, 4),
        **bodies._asdict(),
        gender=stored.genders(),
        intrinsics=_intrinsics(stored) if cameras else None,
    )


def _boxes(stored: AnnotationNpz) -> Numbers:
    boxes = stored.numbers("bbox_xywh", (None, 4), (None, 5))[:, :4]  # the fifth is a score
    size = boxes[:, 2:]
    bad = ~(np.isfinite(boxes).all(1) & (size >= 0).all(1) & (size.max(1, initial=0) > 0))
    refuse_rows(bad, stored.where("bbox_xywh"), "finite x, y, width, height with a positive size", boxes)
    return np.ascontiguousarray(boxes)


def _keypoints(stored: AnnotationNpz, name: str, joints: str, size: int) -> Numbers | None:
    if name not in stored:
        return None
    convention = stored.scalar(f"{name}_convention", "human_data")
    if convention != "human_data":
        raise BadInput(f"{stored.where(name)}_convention: expected human_data, the file has {convention}")
    compressed = bool(stored.scalar("__keypoints_compressed__", False))
    present = list(range(HUMAN_DATA_SIZE))
    if compressed or f"{name}_mask" in stored:
        present = np.flatnonzero(stored.flags(f"{name}_mask", (HUMAN_DATA_SIZE,))).tolist()
    wanted = joint_set(joints).human_data
    columns, positions = shared(present, wanted)
    if not compressed:
        columns = [present[column] for column in columns]
    keypoints = np.zeros((stored.rows, len(wanted), size), np.float32)
    shape = (None, len(present) if compressed else HUMAN_DATA_SIZE, size)
    stored.columns(name, shape, columns, keypoints, positions)
    check_keypoints(keypoints, stored.where(name))
    return keypoints


def _bodies(stored: AnnotationNpz) -> BodyParameters:
    smpl = stored.objects("smpl") if "smpl" in stored else None
    if smpl is None:
        return unknown_bodies(stored.rows)
    where = stored.where("smpl")
    bodies = smpl_arrays(smpl, where)
    stored.check_rows(len(bodies.pose), where)
    known = stored.flags("has_smpl") if "has_smpl" in stored else np.ones(stored.rows, bool)
    for name, values in (("body_pose", bodies.pose), ("betas", bodies.betas), ("transl", bodies.transl)):
        if values is not None:
            check_finite(values, f"{where}.{name}", known)
    return bodies._replace(has_smpl=known)


def _intrinsics(stored: AnnotationNpz) -> Numbers | None:
    """Reads cameras of the rows; None where the file lists its cameras in another way than by row."""
    if "cam_param" not in stored:
        return None
    cameras, where = stored.objects("cam_param"), stored.where("cam_param")
    if isinstance(cameras, dict):
        return None
    stored.check_rows(len(cameras), where)
    matrices = [_matrix(camera, f"{where}, row {row}") for row, camera in enumerate(cameras)]
    return np.array(matrices, np.float32)


def _matrix(camera: Any, where: str) -> NDArray[np.float64]:
    named = camera if isinstance(camera, dict) else {}
    for value in (named[name] for name in _INTRINSICS if name in named):
        try:
            matrix = np.asarray(value, np.float64)
        except (TypeError, ValueError):
            break
        if matrix.shape in ((3, 3), (4, 4)) and np.isfinite(matrix).all():
            return matrix[:3, :3]
    raise BadInput(f"{where}: expected a camera with a finite 3×3 or 4×4 matrix {' or '.join(_INTRINSICS)}")


def write_human_data(
    path: str | Path, annotations: Annotations, compressed: bool = True, misc: dict[str, Any] | None = None
) -> None:
    """Writes a HumanData file, which MMHuman3D reads too; numbers are float32.

    Args:
        annotations: with the keypoints of any set; joints outside it are left out of the mask.
        compressed: store only the joints of the set; otherwise all 190, zeros where there are none.
        misc: further facts about the file, by name.
    """
    smpl = {
        "body_pose": np.array(annotations.pose[:, 3:]).reshape(-1, 23, 3),
        "global_orient": np.array(annotations.pose[:, :3]),
        "betas": np.array(annotations.betas),
    }
    if annotations.transl is not None:
        smpl["transl"] = np.array(annotations.transl)
    fields: dict[str, Any] = {
        "__key_strict__": False,
        "__data_len__": len(annotations),
        "__keypoints_compressed__": compressed,
        "image_path": annotations.image_path,
        "bbox_xywh": np.column_stack([annotations.bbox_xywh, np.ones(len(annotations), np.float32)]),
        "smpl": np.array(smpl, object),
        "has_smpl": annotations.has_smpl.astype(np.uint8),
        "meta": np.array({"gender": annotations.gender}, object),
        "config": annotations.dataset,
    }
    own = joint_set(annotations.joints).human_data
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
        fields["cam_param"] = np.array([records[i] for i in camera.ravel()], object)
    if misc is not None:
        fields["misc"] = np.array(misc, object)
    with whole_file(path) as temporary:
        np.savez_compressed(temporary, **fields)


def facts_of(path: Path) -> dict[str, Any]:
    """Reads what an annotation file says of how it was made, by name; nothing for files of others.

    Raises:
        BadInput: it is not a complete npz file.
    """
    with AnnotationNpz(path) as stored:
        facts = stored["misc"] if "misc" in stored and stored.header("misc").dtype.hasobject else {}
    return facts if isinstance(facts, dict) else {}
