"""Times `hmr data make` on official trees that are made up at full size, and takes its peak memory.

    python benchmarks/data.py FOLDER [--sequences 600] [--read 20]

Human3.6M: 600 sequences of 2,500 poses with masks of 1000 by 1000 pixels and MoSh labels, 300,000 rows. All are links
to one sequence, so that reading any costs the same: `--read` of them are read, and the time for all is named as an
estimate (`--read 600` measures it, a quarter of an hour). Choosing, joining and writing is measured for all rows.
MPI-INF-3DHP: 16 annot.mat of the set's own lengths, 1.2 GB. Videos: a hundred frames of each set, from which the time
for all is estimated.
"""

import argparse
import os
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import cv2
import h5py
import numpy as np
from cdflib.cdfwrite import CDF
from scipy.io import savemat

from hmrcli.data.raw import human36m
from hmrcli.data.raw.frames import take_frames
from hmrcli.data.raw.human36m import HUMAN36M, TRAIN, make_human36m, read_recording
from hmrcli.data.raw.human36m_cameras import CAMERAS
from hmrcli.data.raw.mpi_inf_3dhp import MPI_INF_3DHP, make_mpi_inf_3dhp
from hmrcli.data.raw.output import Output
from hmrcli.data.raw.tree import Tree

POSES = 2500
LENGTHS = (
    6416,
    12430,
    6502,
    6081,
    12488,
    12283,
    6171,
    6675,
    12820,
    12312,
    6188,
    6145,
    6239,
    6320,
    6468,
    6054,
)
"""Frames of MPI-INF-3DHP's sequences."""
H36M_FRAMES, H36M_IMAGES = 2_100_000, 422_000
MI_FRAMES, MI_IMAGES = 1_052_736, 105_274 + 96_507
"""Frames to decode, and to write: rows of the benchmark's and of SPIN's file."""


def human36m_tree(folder: Path, sequences: int) -> None:
    random = np.random.default_rng(0)
    seed = folder / "seed"
    seed.mkdir(parents=True, exist_ok=True)
    pose = random.normal(size=(POSES, 32, 3)) * 300 + (0, 0, 5000)
    pose[:, 6] = pose[:, 11] + (150, 0, 0)
    pose[:, 1] = pose[:, 11] - (150, 0, 0)
    pose[:, 24] = pose[:, 11] - (0, 500, 0)
    for name, values in (("flat", pose[..., :2]), ("spatial", pose)):
        file = CDF(str(seed / f"{name}.cdf"), {"Majority": "row_major"}, delete=True)
        size = values.shape[1] * values.shape[2]
        kind = {
            "Variable": "Pose",
            "Data_Type": 45,
            "Num_Elements": 1,
            "Rec_Vary": True,
            "Dim_Sizes": [POSES, size],
        }
        file.write_var(kind, var_data=values.reshape(1, POSES, size))
        file.close()
    with h5py.File(seed / "mask.mat", "w") as file:
        references = file.create_dataset("Masks", (POSES, 1), h5py.ref_dtype)
        for number in range(POSES):
            mask = np.zeros((1000, 1000), np.uint8)
            x, y = random.integers(100, 600, 2)
            mask[x : x + 200, y : y + 350] = 1
            data = file.create_dataset(f"#refs#/{number}", data=mask, compression="gzip", compression_opts=3)
            references[number, 0] = data.ref
    labels = {"new_poses": random.normal(size=(POSES // 5, 72)) * 0.1, "betas": np.zeros(10)}
    import pickle

    labels["new_poses"][:, :3] = 0  # upside down in the camera, as MoSh's are before they are turned
    (seed / "mosh.pkl").write_bytes(pickle.dumps(labels, 2))
    for number in range(sequences):
        subject, rest = TRAIN[number % 5], number // 5
        camera, name = CAMERAS[rest % 4], f"Walking {rest // 4 + 1}"
        own = folder / f"S{subject}"
        link(seed / "flat.cdf", own / "MyPoseFeatures/D2_Positions" / f"{name}.{camera}.cdf")
        link(seed / "spatial.cdf", own / "MyPoseFeatures/D3_Positions_mono" / f"{name}.{camera}.cdf")
        link(seed / "mask.mat", own / "MySegmentsMat/ground_truth_bs" / f"{name}.{camera}.mat")
        link(seed / "mosh.pkl", folder / "h36m_mosh" / f"S{subject}" / f"{name}_cam{rest % 4}_aligned.pkl")


def link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.exists():
        os.link(source, target)


def mpi_tree(folder: Path) -> int:
    """Returns the bytes of all mat files."""
    random, size = np.random.default_rng(0), 0
    for number, frames in enumerate(LENGTHS):
        flat, spatial = np.empty((14, 1), object), np.empty((14, 1), object)
        for camera in range(14):
            count = 0 if camera in (3, 9, 10, 11, 12, 13) else frames
            flat[camera, 0] = random.uniform(200, 1800, (count, 56))
            spatial[camera, 0] = random.normal(size=(count, 84)) * 500
        path = folder / f"S{number // 2 + 1}" / f"Seq{number % 2 + 1}" / "annot.mat"
        path.parent.mkdir(parents=True, exist_ok=True)
        savemat(path, {"annot2": flat, "annot3": spatial})
        size += path.stat().st_size
    return size


def video(path: Path, side: int, frames: int, kind: str) -> None:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*kind), 25, (side, side))
    random = np.random.default_rng(0)
    picture = cv2.GaussianBlur(random.integers(0, 256, (side, side, 3), np.uint8), (0, 0), 2)
    for number in range(frames):
        writer.write(np.roll(picture, 5 * number, 1))
    writer.release()


def cpu() -> float:
    """Seconds of this process and those that it waited for."""
    own, others = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + others.ru_utime + others.ru_stime


@contextmanager
def timed(what: str) -> Iterator[None]:
    wall, before = time.perf_counter(), cpu()
    yield
    peaks = [
        resource.getrusage(who).ru_maxrss / 1e6 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    ]
    print(
        f"{what}: {time.perf_counter() - wall:,.0f} s, {cpu() - before:,.0f} s of CPU, peak {peaks[0]:.2f} GB, of a "
        f"worker {peaks[1]:.2f} GB",
        flush=True,
    )


def measure_mpi_inf_3dhp(folder: Path, root: Path, workers: int) -> None:
    size = mpi_tree(folder)
    out = Output(MPI_INF_3DHP, root, workers, with_images=False)
    with timed(f"MPI-INF-3DHP, {size / 1e9:.2f} GB of mat files"):
        make_mpi_inf_3dhp(Tree(MPI_INF_3DHP, folder, out.images), out)
    print({made.file: made.rows for made in out.made}, flush=True)


def measure_frames(folder: Path, root: Path, workers: int) -> None:
    for name, side, kind, raw_set, decoded, written in (
        ("v.mp4", 1000, "mp4v", HUMAN36M, H36M_FRAMES, H36M_IMAGES),
        ("v.avi", 2048, "MJPG", MPI_INF_3DHP, MI_FRAMES, MI_IMAGES),
    ):
        path, every, frames = folder / name, 5, 100
        video(path, side, frames, kind)
        out = Output(raw_set, root, 1)
        for share, label in ((every, "every fifth"), (frames, "the first alone")):
            wanted = {n: out.images / f"{label}" / f"{n:06d}.jpg" for n in range(0, frames, share)}
            if share == frames:
                wanted[frames - 1] = out.images / label / "last.jpg"
            start = time.process_time()
            take_frames(out, {path: wanted})
            seconds = time.process_time() - start
            if share == every:
                many, count = seconds, len(wanted)
        write = max(0.0, (many - seconds) / (count - 2))
        decode = max(0.0, seconds - 2 * write) / frames
        jpegs = [p.stat().st_size for p in (out.images / "every fifth").glob("*.jpg")]
        print(
            f"{raw_set.title}: {1000 * decode:.1f} ms of CPU to decode a frame, {1000 * write:.1f} to write one, "
            f"{np.mean(jpegs) / 1e6:.2f} MB; all, estimated: "
            f"{(decoded * decode + written * write) / 3600 / workers:.1f} h with {workers} threads, "
            f"{written * np.mean(jpegs) / 1e9:.0f} GB",
            flush=True,
        )


def measure_human36m(folder: Path, root: Path, sequences: int, read: int) -> None:
    """Measures reading on a few sequences, and the rest on all of them, with what was read last in place of each."""
    human36m_tree(folder, sequences)
    tree = Tree(HUMAN36M, folder)
    files = [tree.find(f"{place}/*.cdf") for place in ("D2_Positions", "D3_Positions_mono")]
    files.append(tree.find("ground_truth_bs/*.mat"))
    chosen, before = list(zip(*files))[:read], cpu()
    for paths in chosen:
        part = read_recording(*paths)
    each = (cpu() - before) / len(chosen)
    print(
        f"Human3.6M, reading {len(chosen)} of {sequences} sequences: {each:.2f} s of CPU each; all, estimated: "
        f"{each * sequences:,.0f} s",
        flush=True,
    )
    out = Output(HUMAN36M, root, with_images=False)
    with (
        timed(f"Human3.6M, choosing, joining and writing {sequences * POSES // 5:,} rows"),
        mock.patch.object(human36m, "read_recording", lambda *paths: dict(part)),
    ):
        make_human36m(tree, out)
    print({made.file: made.rows for made in out.made}, dict(out.dropped), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sequences", type=int, default=600)
    parser.add_argument("--read", type=int, default=20)
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    root = args.folder / "root"
    measure_mpi_inf_3dhp(args.folder / "mpi_inf_3dhp", root, args.workers)
    measure_frames(args.folder, root, args.workers)
    measure_human36m(args.folder / "h36m", root, args.sequences, args.read)


if __name__ == "__main__":
    main()
