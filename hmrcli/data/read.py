"""Reads and converts annotation files of every kind."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from hmrcli.data.annotations import Annotations, joint_set
from hmrcli.data.compact import read_compact, write_compact
from hmrcli.data.foreign import other_kind
from hmrcli.data.human_data import read_human_data, write_human_data
from hmrcli.data.npz import NpzFile
from hmrcli.data.spin_npz import read_spin
from hmrcli.errors import BadInput

COMPACT_SUFFIX = ".safetensors"


def read_annotations(
    path: str | Path, joints: str = "human_data", dataset: str | None = None, cameras: bool = False
) -> Annotations:
    """Annotations from a HumanData or SPIN npz file (the fields tell which) or from a compact file.

    Of the keypoints only the set's joints are kept; those that the file lacks are zeros with confidence 0.
    Nothing that a file names is run.

    Args:
        path: of the file.
        joints: the set of the keypoints, a name in `hmrcli.data.annotations.JOINT_SETS`.
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
    with NpzFile(path) as stored:
        if "image_path" in stored:
            return _with_slashes(read_human_data(stored, joints, dataset, cameras))
        if "imgname" in stored:
            return _with_slashes(read_spin(stored, joints, dataset))
        if kind := other_kind(path):
            raise BadInput(f"{path}: expected an .npz file of annotations, this is {kind}")
        raise BadInput(
            f"{path}: expected a field image_path (HumanData) or imgname (SPIN); "
            f"the file has {', '.join(stored.names) or 'nothing'}"
        )


def _with_slashes(annotations: Annotations) -> Annotations:
    """Paths that were written on Windows, as all systems read them."""
    paths = annotations.image_path
    if not (np.char.find(paths, "\\") >= 0).any():
        return annotations
    return replace(annotations, image_path=np.char.replace(paths, "\\", "/"))


def convert(
    source: str | Path, target: str | Path, joints: str = "human_data", dataset: str | None = None
) -> Annotations:
    """Converts an annotation file of any kind to a compact file (.safetensors) or to HumanData (.npz).

    Args:
        source: file to read.
        target: file to write; its ending chooses the kind.
        joints: the set to keep; all of HumanData's 190 by default, which serve every other set.
        dataset: name of the data set; None for the file's name.

    Returns:
        What was written.

    Raises:
        MissingFile, BadInput, ValueError: as `read_annotations`; BadInput also for another ending.
    """
    target = Path(target)
    if target.suffix not in (COMPACT_SUFFIX, ".npz"):
        raise BadInput(f"{target}: expected a name ending in {COMPACT_SUFFIX} (compact) or .npz (HumanData)")
    annotations = read_annotations(source, joints, dataset, cameras=True)
    if target.suffix == COMPACT_SUFFIX:
        write_compact(target, annotations)
    else:
        write_human_data(target, annotations)
    return annotations
