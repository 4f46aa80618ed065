"""MPI-INF-3DHP: annot.mat and videos of eight subjects, six test sequences (vcai.mpi-inf.mpg.de/3dhp-dataset)."""

import re
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hmrcli.assets.data_root import ANNOTATIONS
from hmrcli.data.annotation_files import read_annotations
from hmrcli.data.annotations import Annotations
from hmrcli.data.raw.documents import read_hdf5, read_mat
from hmrcli.data.raw.frames import frame_count, take_frames
from hmrcli.data.raw.geometry import box_of_points, square_box
from hmrcli.data.raw.output import Output, joined
from hmrcli.data.raw.raw_set import Archive, Product, RawSet
from hmrcli.data.raw.tree import Tree
from hmrcli.files import damage

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


class Rule(NamedTuple):
    """Choice of frames that become rows, counted over all subjects, sequences and cameras."""

    joints: tuple[int, ...]
    """Frames are kept in which all of these lie in the picture."""
    start: int = 0
    """Frames kept so far."""

    def choose(self, points: NDArray[np.floating]) -> tuple[NDArray[np.int64], "Rule"]:
        """Chooses frames of a camera that become rows, and gives the rule for the next camera.

        Args:
            points: (F, 28, 2) pixels.
        """
        inside = ((points[:, self.joints] >= 0) & (points[:, self.joints] < _SIDE)).all((1, 2))
        kept = np.flatnonzero(inside)
        first = -self.start % _EVERY  # the 1st, 11th, ... of all that are kept
        return kept[first::_EVERY], self._replace(start=self.start + len(kept))


BENCHMARK = Rule(tuple(range(28)))
"""MMHuman3D's rule is to keep frames with all 28 joints in the picture. Some versions of its converter overwrite what
that check found and keep every frame; which one made the published file is unknown."""
SPIN = Rule(_SPIN_JOINTS)


def make_mpi_inf_3dhp(tree: Tree, out: Output) -> None:
    """Writes the training rows as the benchmark's and as SPIN's file have them, and the test rows; takes frames."""
    sequences = [(s, q) for s in range(1, 9) for q in (1, 2) if tree.find(f"S{s}/Seq{q}/annot.mat")]
    if not sequences:
        tree.need("S?/Seq?/annot.mat")
    if len(sequences) < 16:
        out.note(
            f"MPI-INF-3DHP: {len(sequences)} of 16 sequences are there; rows are not those of the published file"
        )
    benchmark, spin = [], []
    rule, spin_rule = BENCHMARK, SPIN
    videos: dict[str, Path] = {}
    for number, (subject, sequence) in enumerate(sequences, 1):
        folder = f"S{subject}/Seq{sequence}"
        path = tree.find(f"{folder}/annot.mat")[0]
        stored = read_mat(path, "annot2", "annot3")
        for camera in _CAMERAS:
            points, joints = _camera(stored, camera, path)
            name = f"{folder}/video_{camera}"
            length = _length(tree, out, name, len(points), videos)
            out.drop("beyond the end of the video", len(points) - length)
            points, joints = points[:length], joints[:length]
            before = rule.start
            chosen, rule = rule.choose(points)
            out.drop("with joints outside of the picture", length - (rule.start - before))
            benchmark.append(_rows(name, chosen, points, joints))
            chosen, spin_rule = spin_rule.choose(points)
            spin.append(_spin_rows(name, chosen, points, joints))
        out.progress("reading annot.mat", number, len(sequences))
    rows, spin_rows = joined(benchmark), _published_spin(tree, out) or joined(spin)
    if out.with_images:
        missing = _take(out, videos, rows, spin_rows)
        rows, spin_rows = _there(out, rows, missing), _there(out, spin_rows, missing)
    out.write("mpi_inf_3dhp_train.npz", rows, tree, rows="every tenth frame with all 28 joints inside")
    out.write(
        _SPIN_FILE,
        spin_rows,
        tree,
        rows="SPIN's"
        if spin_rows.has_smpl.any()
        else "every tenth frame with all 17 joints inside; not SPIN's",
        smpl_labels="SPIN's multi-view fits" if spin_rows.has_smpl.any() else "none",
    )
    _make_test(tree, out)


def _camera(
    stored: dict[str, Any], camera: int, path: Path
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
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
    numbers = [
        int(m[1]) for p in (out.images / name).glob("*.jpg") if (m := re.fullmatch(r"(\d+)\.jpg", p.name))
    ]
    if not numbers:
        raise tree.missing(f"neither {name}'s video ({folder}/imageSequence/{video}.avi) nor its frames")
    return min(annotated, max(numbers))


def _image(name: str, frame: int) -> str:
    return f"{name}/{frame + 1:06d}.jpg"


def _rows(
    name: str, chosen: NDArray[np.int64], points: NDArray[np.float64], joints: NDArray[np.float64]
) -> Annotations:
    ones = np.ones((len(chosen), 28, 1))
    return _without_body(
        np.array([_image(name, frame) for frame in chosen], np.str_),
        "mpi_inf_3dhp_28",
        box_of_points(points[chosen], _BOX),
        np.concatenate([points[chosen], ones], 2),
        np.concatenate([_metres(joints[chosen], _ROOT), ones], 2),
    )


def _spin_rows(
    name: str, chosen: NDArray[np.int64], points: NDArray[np.float64], joints: NDArray[np.float64]
) -> Annotations:
    own = points[chosen][:, _SPIN_JOINTS]
    keypoints2d, keypoints3d = np.zeros((len(chosen), 49, 3)), np.zeros((len(chosen), 49, 4))
    slots = [25 + slot for slot in _SPIN_SLOTS]  # after OpenPose's 25, which only SPIN's own file has
    keypoints2d[:, slots, :2], keypoints2d[:, slots, 2] = own, 1
    keypoints3d[:, slots, :3] = _metres(joints[chosen], _ROOT)[:, _SPIN_JOINTS]
    keypoints3d[:, slots, 3] = 1
    paths = np.array([_image(name, frame) for frame in chosen], np.str_)
    return _without_body(paths, "smpl_49", square_box(box_of_points(own, _BOX)), keypoints2d, keypoints3d)


def _without_body(
    paths: NDArray[np.str_],
    joints: str,
    boxes: NDArray[np.float32],
    keypoints2d: NDArray[np.float64],
    keypoints3d: NDArray[np.float64],
) -> Annotations:
    count = len(paths)
    return Annotations(
        dataset="mpi_inf_3dhp",
        joints=joints,
        image_path=paths,
        bbox_xywh=boxes,
        keypoints2d=keypoints2d.astype(np.float32),
        keypoints3d=keypoints3d.astype(np.float32),
        pose=np.zeros((count, 72), np.float32),
        betas=np.zeros((count, 10), np.float32),
        has_smpl=np.zeros(count, bool),
        gender=np.full(count, "n"),
    )


def _metres(joints: NDArray[np.float64], root: int) -> NDArray[np.float64]:
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
    rows = read_annotations(found[0], "smpl_49", "mpi_inf_3dhp")
    names = [re.sub(r"imageFrames/|frame_", "", str(name)) for name in rows.image_path]
    return replace(rows, image_path=np.array(names, np.str_))


def _take(out: Output, videos: dict[str, Path], *parts: Annotations) -> set[Path]:
    wanted: dict[Path, dict[int, Path]] = defaultdict(dict)
    for image in sorted({str(name) for part in parts for name in part.image_path}):
        name, _, file = image.rpartition("/")
        if name in videos:
            wanted[videos[name]][int(file.removesuffix(".jpg")) - 1] = out.images / image
    return take_frames(out, wanted)


def _there(out: Output, rows: Annotations, missing: set[Path]) -> Annotations:
    if not missing:
        return rows
    there = np.array([out.images / name not in missing for name in rows.image_path], bool)
    out.drop("whose frame cannot be decoded", (~there).sum())
    return rows[there]


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
        ones = np.ones((len(rows), 17, 1))
        folder = f"mpi_inf_3dhp_test_set/{path.parent.name}/imageSequence"
        parts.append(
            _without_body(
                np.array([f"{folder}/img_{row + 1:06d}.jpg" for row in rows], np.str_),
                "mpi_inf_3dhp_17",
                box_of_points(points, _BOX),
                np.concatenate([points, ones], 2),
                np.concatenate([_metres(joints, _TEST_ROOT), ones], 2),
            )
        )
    out.write("mpi_inf_3dhp_test.npz", joined(parts), tree)


MPI_INF_3DHP = RawSet(
    name="mpi_inf_3dhp",
    title="MPI-INF-3DHP",
    page="https://vcai.mpi-inf.mpg.de/3dhp-dataset/",
    licence="mpi-inf-3dhp",
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
