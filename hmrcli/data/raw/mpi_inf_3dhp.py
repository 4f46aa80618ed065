"""MPI-INF-3DHP: annot.mat and videos of eight subjects, six test sequences (vcai.mpi-inf.mpg.de/3dhp-dataset)."""

import re
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmrcli.assets.data_root import ANNOTATIONS
from hmrcli.data.annotation_files import read_annotations
from hmrcli.data.annotations import Annotations
from hmrcli.data.raw.documents import read_hdf5, read_mat
from hmrcli.data.raw.frames import frame_count, have_frames, take_frames
from hmrcli.data.raw.output import Output, joined
from hmrcli.data.raw.rows import Floats, box_of_points, certain, make_rows, square_box
from hmrcli.data.raw.tree import Archive, Product, RawSet, Tree
from hmrcli.files import damage

_NAME = "mpi_inf_3dhp"
_CAMERAS = (0, 1, 2, 4, 5, 6, 7, 8)
"""That the published converters use; the fourth looks from above."""
_ROOT, _TEST_ROOT = 4, 14
_SIDE = 2048
"""Pixels of the pictures."""
_EVERY = 10
"""Of the kept frames one in so many becomes a row."""
_BOX = 1.2
_SPIN_JOINTS = (4, 18, 19, 20, 23, 24, 25, 3, 5, 6, 7, 9, 10, 11, 14, 15, 16)
_SPIN_SLOTS = (14, 3, 4, 5, 2, 1, 0, 16, 12, 17, 18, 9, 10, 11, 8, 7, 6)
"""The 17 of the 28 joints that SPIN uses, and their places among its 24."""
_SPIN_FILE = "spin_mpi_inf_3dhp_train.npz"


def choose(points: Floats, before: int) -> tuple[NDArray[np.int64], int]:
    """Chooses frames of a camera that become rows: the 1st, 11th, ... of all that are kept, over all cameras.

    MMHuman3D's rule is to keep frames with all 28 joints in the picture. Some versions of its converter overwrite what
    that check found and keep every frame; which one made the published file is unknown.

    Args:
        points: (F, J, 2) pixels; frames are kept in which all of them lie in the picture.
        before: frames of other cameras that were kept.

    Returns:
        The frames, and how many were kept so far.
    """
    kept = np.flatnonzero(((points >= 0) & (points < _SIDE)).all((1, 2)))
    return kept[-before % _EVERY :: _EVERY], before + len(kept)


def make_mpi_inf_3dhp(tree: Tree, out: Output) -> None:
    """Writes the training rows as the benchmark's and as SPIN's file have them, and the test rows; takes frames."""
    folders = [f"S{subject}/Seq{sequence}" for subject in range(1, 9) for sequence in (1, 2)]
    files = {folder: found[0] for folder in folders if (found := tree.find(f"{folder}/annot.mat"))}
    if not files:
        raise tree.missing("no file S1/Seq1/annot.mat to S8/Seq2/annot.mat")
    if len(files) < 16:
        out.note(
            f"MPI-INF-3DHP: {len(files)} of 16 sequences are there; rows are not those of the published file"
        )
    benchmark, spin = [], []
    kept = spin_kept = 0
    videos: dict[str, Path] = {}
    for number, (folder, path) in enumerate(files.items(), 1):
        stored = read_mat(path, "annot2", "annot3")
        for camera in _CAMERAS:
            points, joints = _camera(stored, camera, path)
            name = f"{folder}/video_{camera}"
            length = _length(tree, out, name, len(points), videos)
            out.drop("beyond the end of the video", len(points) - length)
            points, joints = points[:length], _metres(joints[:length], _ROOT)
            before = kept
            chosen, kept = choose(points, before)
            out.drop("with joints outside of the picture", length - (kept - before))
            benchmark.append(_rows(name, chosen, points, joints))
            chosen, spin_kept = choose(points[:, _SPIN_JOINTS], spin_kept)
            spin.append(_spin_rows(name, chosen, points, joints))
        out.progress("reading annot.mat", number, len(files))
    rows, spin_rows = joined(benchmark), _published_spin(tree, out) or joined(spin)
    if out.with_images:
        missing = _take(out, videos, rows, spin_rows)
        why = "whose frame cannot be decoded"
        rows = rows[have_frames(out, rows, missing, why)]
        spin_rows = spin_rows[have_frames(out, spin_rows, missing, why)]
    out.write("mpi_inf_3dhp_train.npz", rows, tree, rows="every tenth frame with all 28 joints inside")
    facts = {"rows": "every tenth frame with all 17 joints inside; not SPIN's", "smpl_labels": "none"}
    if spin_rows.has_smpl.any():
        facts = {"rows": "SPIN's", "smpl_labels": "SPIN's multi-view fits"}
    out.write(_SPIN_FILE, spin_rows, tree, **facts)
    _make_test(tree, out)


def _camera(stored: dict[str, Any], camera: int, path: Path) -> tuple[Floats, Floats]:
    with damage(f"{path}: annot2, annot3 of camera {camera}: {{}}; download it again"):
        points = np.asarray(stored["annot2"][camera, 0], np.float64).reshape(-1, 28, 2)
        joints = np.asarray(stored["annot3"][camera, 0], np.float64).reshape(-1, 28, 3)
        if len(points) != len(joints):
            raise ValueError(f"{len(points)} frames in 2D, {len(joints)} in 3D")
        return points, joints


def _length(tree: Tree, out: Output, name: str, annotated: int, videos: dict[str, Path]) -> int:
    """Counts frames of a camera that have labels and a picture; its video is put into `videos`."""
    folder, _, video = name.rpartition("/")
    if found := tree.find(f"{folder}/imageSequence/{video}.avi"):
        videos[name] = found[0]
        return min(annotated, frame_count(found[0]))
    if not out.with_images:
        return annotated
    numbers = [int(path.stem) for path in (out.images / name).glob("*.jpg") if path.stem.isdecimal()]
    if not numbers:
        raise tree.missing(f"neither {name}'s video ({folder}/imageSequence/{video}.avi) nor its frames")
    return min(annotated, max(numbers))


def _images(name: str, frames: NDArray[np.int64]) -> list[str]:
    return [f"{name}/{frame + 1:06d}.jpg" for frame in frames]


def _rows(name: str, chosen: NDArray[np.int64], points: Floats, joints: Floats) -> Annotations:
    points, joints = points[chosen], joints[chosen]
    boxes = box_of_points(points, _BOX)
    return make_rows(_NAME, "mpi_inf_3dhp_28", _images(name, chosen), boxes, certain(points), certain(joints))


def _spin_rows(name: str, chosen: NDArray[np.int64], points: Floats, joints: Floats) -> Annotations:
    points, joints = points[chosen][:, _SPIN_JOINTS], joints[chosen][:, _SPIN_JOINTS]
    keypoints2d, keypoints3d = np.zeros((len(chosen), 49, 3)), np.zeros((len(chosen), 49, 4))
    slots = [25 + slot for slot in _SPIN_SLOTS]  # after OpenPose's 25, which only SPIN's own file has
    keypoints2d[:, slots], keypoints3d[:, slots] = certain(points), certain(joints)
    boxes = square_box(box_of_points(points, _BOX))
    return make_rows(_NAME, "smpl_49", _images(name, chosen), boxes, keypoints2d, keypoints3d)


def _metres(joints: Floats, root: int) -> Floats:
    return (joints - joints[:, root : root + 1]) / 1000


def _published_spin(tree: Tree, out: Output) -> Annotations | None:
    """Reads SPIN's own rows, with its fits, where its file is at hand; images have the benchmark's names."""
    path = out.root / ANNOTATIONS / "spin" / "mpi_inf_3dhp_train.npz"
    found = tree.find("mpi_inf_3dhp_train.npz") or ([path] if path.is_file() else [])
    if not found:
        out.note(
            "MPI-INF-3DHP: SPIN's mpi_inf_3dhp_train.npz (hmr download spin_annotations) is not there: its file is "
            "made by its rule, without its fits, OpenPose's joints and its order of rows, which cannot be made again"
        )
        return None
    rows = read_annotations(found[0], "smpl_49", _NAME)
    names = [re.sub(r"imageFrames/|frame_", "", str(name)) for name in rows.image_path]
    return replace(rows, image_path=np.array(names, np.str_))


def _take(out: Output, videos: dict[str, Path], *parts: Annotations) -> set[Path]:
    wanted: dict[Path, dict[int, Path]] = defaultdict(dict)
    for image in sorted({str(name) for part in parts for name in part.image_path}):
        name, _, file = image.rpartition("/")
        if name in videos:
            wanted[videos[name]][int(file.removesuffix(".jpg")) - 1] = out.images / image
    return take_frames(out, wanted)


def _make_test(tree: Tree, out: Output) -> None:
    files = tree.find("TS?/annot_data.mat")
    if not files:
        out.note("MPI-INF-3DHP: no TS1/annot_data.mat, so mpi_inf_3dhp_test.npz was not made")
        return
    parts = []
    for path in files:
        stored = read_hdf5(path, "annot2", "univ_annot3", "valid_frame")
        valid = np.ravel(stored["valid_frame"]) != 0
        out.drop("of the test set marked as not valid", (~valid).sum())
        rows = np.flatnonzero(valid)
        with damage(f"{path}: annot2, univ_annot3: {{}}; download it again"):
            points = stored["annot2"].reshape(-1, 17, 2)[rows]
            joints = stored["univ_annot3"].reshape(-1, 17, 3)[rows]
        folder = f"mpi_inf_3dhp_test_set/{path.parent.name}/imageSequence"
        names = [f"{folder}/img_{row + 1:06d}.jpg" for row in rows]
        boxes, joints = box_of_points(points, _BOX), _metres(joints, _TEST_ROOT)
        parts.append(make_rows(_NAME, "mpi_inf_3dhp_17", names, boxes, certain(points), certain(joints)))
    out.write("mpi_inf_3dhp_test.npz", joined(parts), tree)


MPI_INF_3DHP = RawSet(
    name=_NAME,
    title="MPI-INF-3DHP",
    page="https://vcai.mpi-inf.mpg.de/3dhp-dataset/",
    archives=(
        Archive(
            "S?/Seq?/imageSequence/vnect_cameras.zip", "videos of eight cameras, by the set's own script", 25
        ),
        Archive("mpi_inf_3dhp_test_set.zip", "test images and labels, by the set's own script", 7),
    ),
    tree=(
        "S1/Seq1/annot.mat",
        "S1/Seq1/imageSequence/video_0.avi",
        "mpi_inf_3dhp_test_set/TS1/annot_data.mat",
        "mpi_inf_3dhp_test_set/TS1/imageSequence/img_000001.jpg",
    ),
    products=(
        Product("mpi_inf_3dhp_train.npz", "training"),
        Product(_SPIN_FILE, "training, as SPIN's rows have it", 96_507),
        Product("mpi_inf_3dhp_test.npz", "test", 2_929),
    ),
    make=make_mpi_inf_3dhp,
    packages=("scipy", "h5py"),
)
