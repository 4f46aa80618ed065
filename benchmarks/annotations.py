"""Time and peak memory of reading annotations, against numpy reading and unpickling the whole file.

    python benchmarks/annotations.py [--rows 300000] [--joints smpl_54]

Makes a HumanData file of random people in a temporary folder: all 190 joints in float64, deflated, 49 of them
annotated, as in the published files. Each way of reading runs in a process of its own; what starting Python and
importing takes is measured by an empty run and not subtracted.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from hmrcli.body.joints import HUMAN_DATA_FROM_SMPL_49
from hmrcli.datasets.read import convert, read_annotations

BLOCK = 2000


def make(path: Path, rows: int) -> None:
    """Writes the file block by block; blocks repeat, in other places for every file position."""
    rng = np.random.default_rng(0)
    mask = np.isin(np.arange(190), HUMAN_DATA_FROM_SMPL_49).astype(np.uint8)
    smpl = {
        "body_pose": rng.normal(size=(rows, 23, 3)),
        "global_orient": rng.normal(size=(rows, 3)),
        "betas": rng.normal(size=(rows, 10)),
    }
    whole = {
        "__key_strict__": np.array(False),
        "__data_len__": np.array(rows),
        "__keypoints_compressed__": np.array(False),
        "image_path": np.array(
            [f"S1/images/S1_Walking_1.54138969/S1_Walking_1.{i:09d}.jpg" for i in range(rows)]
        ),
        "bbox_xywh": rng.uniform(1, 500, (rows, 5)),
        "keypoints2d_mask": mask,
        "keypoints3d_mask": mask,
        "smpl": np.array(smpl, dtype=object),
        "meta": np.array({"gender": rng.choice(["m", "f"], rows)}, dtype=object),
        "config": np.array("h36m"),
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, array in whole.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as stream:
                np.lib.format.write_array(stream, array)
        for name, width in (("keypoints2d", 3), ("keypoints3d", 4)):
            block = rng.uniform(0, 500, (BLOCK, 190, width)).round(3) * mask[:, None]
            block[..., -1] = mask
            header = {"descr": "<f8", "fortran_order": False, "shape": (rows, 190, width)}
            with archive.open(f"{name}.npy", "w", force_zip64=True) as stream:
                np.lib.format.write_array_header_1_0(stream, header)
                for start in range(0, rows, BLOCK):
                    stream.write(block[: rows - start].tobytes())


def nothing(path: Path, joints: str) -> int:
    return 0


def unpickle(path: Path, joints: str) -> int:
    with np.load(path, allow_pickle=True) as stored:
        fields = {name: stored[name] for name in stored.files}
    return len(fields["image_path"]) + len(fields["smpl"].item()["betas"]) * 0


def read(path: Path, joints: str) -> int:
    return len(read_annotations(path, joints))


def read_and_visit(path: Path, joints: str) -> int:
    annotations = read_annotations(path, joints)
    for array in annotations.arrays().values():
        array.max() if array.dtype.kind == "f" else np.unique(array[:1000])
    return len(annotations)


def draw(path: Path, joints: str) -> int:
    annotations = read_annotations(path, joints)
    rows = np.random.default_rng(0).integers(0, len(annotations), (200, 256))
    return sum(len(annotations.labels(batch)["pose"]) for batch in rows)


WAYS = {way.__name__: way for way in (nothing, unpickle, read, read_and_visit, draw)}


def child(way: str, path: Path, joints: str) -> None:
    start = time.perf_counter()
    rows = WAYS[way](path, joints)
    seconds = time.perf_counter() - start
    # Peak of this process in KiB on Linux, bytes on macOS.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (
        1 << 20 if sys.platform == "darwin" else 1 << 10
    )
    print(json.dumps({"seconds": seconds, "peak_mib": peak, "rows": rows}))


def measure(way: str, path: Path, joints: str) -> dict[str, float]:
    command = [sys.executable, __file__, "--way", way, "--file", str(path), "--joints", joints]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=300_000)
    parser.add_argument("--joints", default="smpl_54")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        child(options.way, options.file, options.joints)
        return
    with tempfile.TemporaryDirectory() as folder:
        npz, compact = Path(folder) / "h36m_mosh_train.npz", Path(folder) / "h36m.safetensors"
        start = time.perf_counter()
        make(npz, options.rows)
        print(
            f"{options.rows} rows, {npz.stat().st_size / 1e6:.0f} MB deflated, made in {time.perf_counter() - start:.0f} s"
        )
        start = time.perf_counter()
        kept = convert(npz, compact, options.joints)
        seconds = time.perf_counter() - start
        size = sum(array.nbytes for array in kept.arrays().values()) / (1 << 20)
        del kept
        print(
            f"converted to {compact.stat().st_size / 1e6:.0f} MB compact in {seconds:.1f} s; kept arrays {size:.0f} MiB"
        )
        runs = {
            "empty run": ("nothing", npz),
            "numpy.load, everything": ("unpickle", npz),
            f"hmr, {options.joints} of npz": ("read", npz),
            "compact, opened": ("read", compact),
            "compact, every number visited": ("read_and_visit", compact),
            "compact, 200 batches of 256 drawn": ("draw", compact),
        }
        results = {name: measure(*run, options.joints) for name, run in runs.items()}
    against = results["numpy.load, everything"]
    print(f"{'':36}{'seconds':>9}{'peak MiB':>10}{'time':>8}{'memory':>8}   (numpy = 1)")
    for name, result in results.items():
        seconds, peak = result["seconds"], result["peak_mib"]
        ratios = f"{seconds / against['seconds']:8.4f}{peak / against['peak_mib']:8.3f}"
        print(f"{name:36}{seconds:9.3f}{peak:10.0f}{ratios}")


if __name__ == "__main__":
    main()
