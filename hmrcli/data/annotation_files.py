"""Reads annotation files of every kind."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from hmrcli.body.joints import joint_set
from hmrcli.data.annotation_npz import AnnotationNpz
from hmrcli.data.annotations import Annotations
from hmrcli.data.compact import COMPACT_SUFFIX, read_compact
from hmrcli.data.file_kinds import refuse_other_kinds
from hmrcli.data.human_data import read_human_data
from hmrcli.data.spin_npz import read_spin
from hmrcli.errors import BadInput


def read_annotations(
    path: str | Path, joints: str = "human_data", dataset: str | None = None, cameras: bool = False
) -> Annotations:
    """Reads annotations from a HumanData or SPIN npz file (the fields tell which) or from a compact file.

    Of the keypoints only the set's joints are kept; those that the file lacks are zeros with confidence 0.
    Nothing that a file names is run.

    Args:
        joints: the set of the keypoints, a name in `hmrcli.body.joints.JOINT_SETS`.
        dataset: name of the data set, the folder of its images; None for the file's name.
        cameras: read the cameras that some HumanData files list for each row.

    Raises:
        MissingFile: there is no such file; the message ends with the command that brings it.
        BadInput: something in it cannot be used; names field and row.
        ValueError: there is no such set of joints.
    """
    path = Path(path)
    joint_set(joints)
    if path.suffix == COMPACT_SUFFIX:
        read = read_compact(path, joints, dataset)
    else:
        with AnnotationNpz(path) as stored:
            if "image_path" in stored:
                read = read_human_data(stored, joints, dataset or path.stem, cameras)
            elif "imgname" in stored:
                read = read_spin(stored, joints, dataset or path.stem)
            else:
                refuse_other_kinds(path)
                found = ", ".join(sorted(stored)) or "nothing"
                expected = "expected a field image_path (HumanData) or imgname (SPIN)"
                raise BadInput(f"{path}: {expected}; the file has {found}")
    if (np.char.find(read.image_path, "\\") >= 0).any():  # written on Windows
        return replace(read, image_path=np.char.replace(read.image_path, "\\", "/"))
    return read
