"""Files in SPIN's layout, to read."""

from pathlib import Path

import numpy as np

from hmrcli.body.joints import COMMON_24, OPENPOSE_25, joint_set
from hmrcli.data.annotations import Annotations, regroup

SIDE = 200


def write_spin(path: Path, annotations: Annotations) -> None:
    """Writes an npz file: boxes become squares, joints that the layout does not know are lost."""
    x, y, width, height = annotations.bbox_xywh.astype(np.float64).T
    fields = {
        "imgname": annotations.image_path,
        "center": np.stack([x + width / 2, y + height / 2], 1),
        "scale": np.maximum(width, height) / SIDE,
        "pose": annotations.pose,
        "shape": annotations.betas,
        "has_smpl": annotations.has_smpl.astype(np.uint8),
        "gender": annotations.gender,
    }
    own = joint_set(annotations.joints).human_data
    if annotations.keypoints2d is not None:
        fields["openpose"] = regroup(annotations.keypoints2d, own, OPENPOSE_25.human_data)
        fields["part"] = regroup(annotations.keypoints2d, own, COMMON_24.human_data)
    if annotations.keypoints3d is not None:
        fields["S"] = regroup(annotations.keypoints3d, own, COMMON_24.human_data)
    np.savez_compressed(path, **fields)
