"""Human3.6M: positions, masks and videos of seven subjects (vision.imar.ro/human3.6m)."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hmrcli.data.annotations import Annotations
from hmrcli.data.raw.documents import reading
from hmrcli.data.raw.frames import have_frames, take_frames
from hmrcli.data.raw.human36m_cameras import Recording, View, read_views
from hmrcli.data.raw.human36m_labels import find_labels
from hmrcli.data.raw.output import Arrays, Output, joined
from hmrcli.data.raw.rows import box_of_corners, certain, make_rows
from hmrcli.data.raw.tree import Archive, Product, RawSet, Tree

TRAIN, TEST = (1, 5, 6, 7, 8), (9, 11)
_EVERY = 5
"""Of the frames, at 50 a second, one in so many is used, from the first on."""
_JOINTS = (11, 6, 7, 8, 1, 2, 3, 12, 24, 14, 15, 17, 18, 19, 25, 26, 27)
"""Of the 32 joints the 17 of Human3.6M, in their order."""
_MASKS = ("ground_truth_bs", "ground_truth_bb")
"""Masks of the person: of its outline, or of its box. MMHuman3D's code reads the first; which one the published file
was made of is not known. Both are shrunk by `_BOX`."""
_BOX = 0.9
_P2_CAMERA = 60457274
_NO_FRAME = "whose frame is beyond the end of the video or cannot be decoded"


def make_human36m(tree: Tree, out: Output) -> None:
    """Writes training rows with and, if there are body labels, without them, and both protocols' test rows."""
    recordings = [each for subject in (*TRAIN, *TEST) for each in _recordings(tree, out, subject)]
    if not recordings:
        tree.need("S?/MyPoseFeatures/D2_Positions/*.cdf")
        raise tree.missing("no sequence with D3_Positions_mono and MySegmentsMat beside its D2_Positions")
    if out.with_images:
        _require_pictures(tree, out, recordings)
    views = read_views(tree)
    labels = find_labels(tree, out, views)
    if not views:
        out.note("Human3.6M: neither metadata.xml nor a camera.json is there; rows have no cameras")
    files = [(each.points, each.joints, each.mask) for each in recordings]
    parts = list(out.run("reading positions and masks", read_recording, files))
    missing: set[Path] = set()
    if out.with_images:
        wanted = {
            each.video: {int(frame): out.images / each.image(frame) for frame in part["frames"]}
            for each, part in zip(recordings, parts)
            if each.video is not None
        }
        missing = take_frames(out, wanted)
    boxes = f"{recordings[0].mask.parent.name} x {_BOX}"
    train, mosh, test = [], [], []
    for number, (each, part) in enumerate(zip(recordings, parts), 1):
        rows = _rows(each, part, views.get((each.subject, each.camera)))
        there = have_frames(out, rows, missing, _NO_FRAME)
        rows = rows[there]
        if each.subject in TEST:
            test.append((each, rows))
            continue
        train.append(rows)
        body = labels.of(each, part["frames"][there], part["joints"][there]) if labels else None
        if body is not None:
            labelled = replace(
                rows, pose=body.pose, betas=body.betas, transl=body.transl, has_smpl=np.ones(len(rows), bool)
            )
            mosh.append(labelled[body.has_smpl])
        out.progress("joining labels", number, len(recordings))
    if train:
        out.write("h36m_train.npz", joined(train), boxes=boxes)
    for protocol in (1, 2):
        chosen = [rows for each, rows in test if protocol == 1 or each.camera == _P2_CAMERA]
        if chosen:
            out.write(f"h36m_valid_protocol{protocol}.npz", joined(chosen), boxes=boxes)
    if labels is None and train:
        raise tree.missing(
            "no body labels, so h36m_mosh_train.npz was not made (the others were); put one of these there: MoSh's "
            "h36m_mosh/S1/*_cam0_aligned.pkl, NeuralAnnot's Human36M_subject1_SMPL_NeuralAnnot.json, I2L-MeshNet's "
            "Human36M_subject1_smpl_param.json"
        )
    if labels is not None and train:
        rows = joined(mosh) if mosh else train[0][:0]
        out.write("h36m_mosh_train.npz", rows, boxes=boxes, smpl_labels=labels.name)


def _recordings(tree: Tree, out: Output, subject: int) -> list[Recording]:
    """Lists those of a subject, by the names of their files."""
    features = f"S{subject}/MyPoseFeatures"
    mono = {path.stem: path for path in tree.find(f"{features}/D3*Positions*mono/*.cdf")}
    masks = tree.find(*(f"S{subject}/MySegmentsMat/{name}/*.mat" for name in _MASKS))
    mask = {path.stem: path for path in masks}
    videos = {path.stem: path for path in tree.find(f"S{subject}/Videos/*.mp4")}
    recordings = []
    for path in tree.find(f"{features}/D2*Positions/*.cdf"):
        if path.stem.startswith("_ALL"):
            continue
        needed = {"D3_Positions_mono": mono, "MySegmentsMat": mask}
        if lacking := [name for name, found in needed.items() if path.stem not in found]:
            out.note(f"Human3.6M: S{subject} {path.stem} has no {' and no '.join(lacking)}: left out")
            out.drop("sequences without 3D positions or mask")
            continue
        sequence, _, camera = path.stem.rpartition(".")
        files = path, mono[path.stem], mask[path.stem], videos.get(path.stem)
        recordings.append(Recording(subject, sequence, int(camera), *files))
    return sorted(recordings, key=lambda each: each.points.name)


def _require_pictures(tree: Tree, out: Output, recordings: Sequence[Recording]) -> None:
    """Raises MissingFile where sequences have neither a video nor frames."""
    lacking = [
        each for each in recordings if each.video is None and not (out.images / each.image(0)).parent.is_dir()
    ]
    if lacking:
        subjects = sorted({f"Videos_S{each.subject}.tgz" for each in lacking})
        raise tree.missing(
            f"no video of {len(lacking)} sequences, first {lacking[0].name} ({', '.join(subjects)})"
        )


def read_recording(points: Path, joints: Path, mask: Path) -> Arrays:
    """Reads every fifth frame of a sequence that has a mask.

    Args:
        points: cdf of pixels.
        joints: cdf of millimetres in the camera.
        mask: mat file, version 7.3.

    Returns:
        frames (n,) from 0, boxes (n, 4), points (n, 17, 2), joints (n, 17, 3).
    """
    flat, spatial = _positions(points, 2), _positions(joints, 3)
    frames = np.arange(0, min(len(flat), len(spatial)), _EVERY)
    corners = _mask_corners(mask, frames)
    seen = corners[:, 2] > 0
    kept = frames[seen]
    return {
        "frames": kept,
        "boxes": box_of_corners(corners[seen, :2], corners[seen, 2:], _BOX),
        "points": flat[kept].astype(np.float32),
        "joints": spatial[kept].astype(np.float32),
        "drop without a mask of the person": np.array((~seen).sum()),
    }


def _positions(path: Path, size: int) -> NDArray[np.float64]:
    with reading(path):
        from cdflib import CDF

        values = np.asarray(CDF(str(path)).varget("Pose"))
        return values.reshape(-1, 32, size)[:, _JOINTS]


def _mask_corners(path: Path, frames: NDArray[np.int64]) -> NDArray[np.float64]:
    """Finds two corners (n, 4) of the masks of some frames: x and y of the first, then behind the last; else zeros."""
    corners = np.zeros((len(frames), 4))
    with reading(path):
        import h5py

        with h5py.File(path, "r") as stored:
            masks = stored["Masks"][()].ravel()
            for row, frame in enumerate(frames[frames < len(masks)]):
                # Matlab's columns are stored first: axis 0 is x.
                inside = stored[masks[frame]][()] == 1
                x, y = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
                if len(x):
                    corners[row] = x[0], y[0], x[-1] + 1, y[-1] + 1
    return corners


def _rows(recording: Recording, part: Arrays, view: View | None) -> Annotations:
    metres = (part["joints"] - part["joints"][:, :1]) / np.float32(1000)
    names = [recording.image(frame) for frame in part["frames"]]
    cameras = None if view is None else np.tile(view.intrinsics, (len(names), 1, 1))
    points, joints = certain(part["points"]), certain(metres)
    return make_rows("h36m", "h36m", names, part["boxes"], points, joints, intrinsics=cameras)


HUMAN36M = RawSet(
    name="h36m",
    title="Human3.6M",
    page="http://vision.imar.ro/human3.6m",
    archives=(
        Archive("Poses_D2_Positions_S*.tgz", "2D positions, one file for each subject"),
        Archive("Poses_D3_Positions_mono_S*.tgz", "3D positions in the camera"),
        Archive("Segments_mat_gt_b?_S*.tgz", "masks, for boxes"),
        Archive("Videos_S*.tgz", "videos"),
    ),
    tree=(
        "S1/MyPoseFeatures/D2_Positions/Directions 1.54138969.cdf",
        "S1/MyPoseFeatures/D3_Positions_mono/Directions 1.54138969.cdf",
        "S1/MySegmentsMat/ground_truth_bb/Directions 1.54138969.mat",
        "S1/Videos/Directions 1.54138969.mp4",
        "metadata.xml",
        "h36m_mosh/S1/Directions 1_cam0_aligned.pkl or Human36M_subject1_SMPL_NeuralAnnot.json",
    ),
    products=(
        Product("h36m_mosh_train.npz", "training, with body labels"),
        Product("h36m_train.npz", "training, without body labels"),
        Product("h36m_valid_protocol1.npz", "test, all cameras", 110_233),
        Product("h36m_valid_protocol2.npz", "test, one camera", 27_558),
    ),
    make=make_human36m,
    packages=("cdflib", "h5py"),
)
