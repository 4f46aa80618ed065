"""3DPW: sequenceFiles.zip and imageFiles.zip (https://virtualhumans.mpi-inf.mpg.de/3DPW)."""

from dataclasses import replace
from typing import Any

import numpy as np

from hmrcli.assets.pickles import read_pickle
from hmrcli.data.annotations import Annotations
from hmrcli.data.body_parameters import BodyParameters
from hmrcli.data.raw.output import Output, joined
from hmrcli.data.raw.rows import box_of_points, make_rows, moved, square_box, turned
from hmrcli.data.raw.tree import Archive, Product, RawSet, Tree
from hmrcli.files import damage

_FILES = {"test": "pw3d_test.npz", "train": "pw3d_train.npz", "validation": "pw3d_validation.npz"}
_BOX = 1.2


def make_pw3d(tree: Tree, out: Output) -> None:
    """Writes all frames of each person whose camera is valid; bodies in the camera, with their genders.

    Rows stand in the order of sequence names; the published file has the order of a directory listing.
    """
    files = {split: tree.find(f"sequenceFiles/{split}/*.pkl") for split in _FILES}
    tree.need("sequenceFiles/test/*.pkl")
    total, done = sum(len(found) for found in files.values()), 0
    for split, found in files.items():
        people: list[Annotations] = []
        for path in found:
            sequence = read_pickle(path)
            with damage(f"{path}: not a sequence of 3DPW ({{}}); unpack sequenceFiles.zip again"):
                people += [_person(sequence, person, out) for person in range(len(sequence["poses"]))]
            out.progress("reading sequences", done := done + 1, total)
        if not people:
            out.note(f"3DPW: sequenceFiles/{split} is not there, so {_FILES[split]} was not made")
            continue
        rows = joined(people)
        out.write(_FILES[split], rows, tree)
        if split == "test":
            out.write("spin_pw3d_test.npz", replace(rows, bbox_xywh=square_box(rows.bbox_xywh)), tree)


def _person(sequence: dict[str, Any], person: int, out: Output) -> Annotations:
    """Reads the usable frames of a person of a sequence."""
    pose = np.asarray(sequence["poses"][person])
    points = np.asarray(sequence["poses2d"][person]).transpose(0, 2, 1)  # (N, 18, 3)
    camera = np.asarray(sequence["cam_poses"], np.float64)[: len(pose)]  # world to camera, metres
    valid = np.asarray(sequence["campose_valid"][person]).astype(bool)
    seen = (points[..., 2] > 0).any(1)
    out.drop("without a valid camera", (~valid).sum())
    # The published converter takes the extent of no points at all there, which fails: it met none.
    out.drop("without a visible 2D joint", (valid & ~seen).sum())
    rows = np.flatnonzero(valid & seen)
    # Where the pelvis of the rest pose is, follows from the joints: J0 = joint - trans.
    pelvis = np.asarray(sequence["jointPositions"][person])[rows, :3]
    rest = pelvis - np.asarray(sequence["trans"][person])[rows]
    rotation, shift = camera[rows, :3, :3], camera[rows, :3, 3]
    betas = np.asarray(sequence["betas"][person], np.float32).ravel()[:10]
    return make_rows(
        "pw3d",
        "human_data",
        # Images are numbered by row; img_frame_ids are those of the 60 Hz recording.
        [f"imageFiles/{sequence['sequence']}/image_{row:05d}.jpg" for row in rows],
        box_of_points(points[rows, :, :2], _BOX, points[rows, :, 2] > 0),
        bodies=BodyParameters(
            turned(pose[rows], rotation),
            np.tile(betas, (len(rows), 1)),
            np.ones(len(rows), bool),
            (moved(pelvis, rotation, shift) - rest).astype(np.float32),
        ),
        gender=str(sequence["genders"][person])[:1].lower(),
        intrinsics=np.tile(np.asarray(sequence["cam_intrinsics"]), (len(rows), 1, 1)),
    )


PW3D = RawSet(
    name="pw3d",
    title="3DPW",
    page="https://virtualhumans.mpi-inf.mpg.de/3DPW/",
    archives=(
        Archive("sequenceFiles.zip", "bodies, cameras and 2D joints"),
        Archive("imageFiles.zip", "images", 4.6),
    ),
    tree=("sequenceFiles/test/downtown_arguing_00.pkl", "imageFiles/downtown_arguing_00/image_00000.jpg"),
    products=(
        Product("pw3d_test.npz", "test", 35_515),
        Product("spin_pw3d_test.npz", "test, with the square boxes of SPIN's files", 35_515),
        Product("pw3d_train.npz", "training"),
        Product("pw3d_validation.npz", "validation"),
    ),
    make=make_pw3d,
)
