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
        return _with_slashes(read_compact(path, joints, dataset))
    with AnnotationNpz(path) as stored:
        if "image_path" in stored:
            return _with_slashes(read_human_data(stored, joints, dataset, cameras))
        if "imgname" in stored:
            return _with_slashes(read_spin(stored, joints, dataset))
        refuse_other_kinds(path)
        expected, found = "a field image_path (HumanData) or imgname (SPIN)", ", ".join(sorted(stored))
        raise BadInput(f"{path}: expected {expected}; the file has {found or 'nothing'}")


def _with_slashes(annotations: Annotations) -> Annotations:
    """Turns paths that were written on Windows into such as all systems read."""
    paths = annotations.image_path
    if not (np.char.find(paths, "\\") >= 0).any():
        return annotations
    return replace(annotations, image_path=np.char.replace(paths, "\\", "/"))
