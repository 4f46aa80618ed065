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

from hmrcli.body.joints import SMPL_49
from hmrcli.data.annotation_files import read_annotations
from hmrcli.data.compact import COMPACT_SUFFIX, write_compact

BLOCK = 2000


def make(path: Path, rows: int, packed: bool = False) -> None:
    """Writes a HumanData file of random people whose keypoints repeat from block to block.

    Args:
        packed: marked as compressed, which is to say with 49 joints instead of 190, in float32, and not deflated.
    """
    rng = np.random.default_rng(0)
    mask = np.isin(np.arange(190), SMPL_49.human_data).astype(np.uint8)
    number = np.float32 if packed else np.float64
    smpl = {
        "body_pose": rng.normal(size=(rows, 23, 3)).astype(number),
        "global_orient": rng.normal(size=(rows, 3)).astype(number),
        "betas": rng.normal(size=(rows, 10)).astype(number),
    }
    whole = {
        "__key_strict__": np.array(False),
        "__data_len__": np.array(rows),
        "__keypoints_compressed__": np.array(packed),
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
    method = zipfile.ZIP_STORED if packed else zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(path, "w", method, compresslevel=1) as archive:
        for name, array in whole.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as stream:
                np.lib.format.write_array(stream, array)
        for name, width in (("keypoints2d", 3), ("keypoints3d", 4)):
            block = rng.uniform(0, 500, (BLOCK, 190, width)).round(3) * mask[:, None]
            block[..., -1] = mask
            if packed:
                block = block[:, mask > 0].astype(number)
            shape = (rows, *block.shape[1:])
            header = {"descr": block.dtype.str, "fortran_order": False, "shape": shape}
            with archive.open(f"{name}.npy", "w", force_zip64=True) as stream:
                np.lib.format.write_array_header_1_0(stream, header)
                for start in range(0, rows, BLOCK):
                    stream.write(block[: rows - start].tobytes())


def nothing(options: argparse.Namespace) -> int:
    return 0


def make_file(options: argparse.Namespace) -> int:
    make(options.file, options.rows)
    return options.file.stat().st_size


def convert_file(options: argparse.Namespace) -> int:
    kept = read_annotations(options.file, options.joints)
    write_compact(options.file.with_suffix(COMPACT_SUFFIX), kept)
    return sum(array.nbytes for array in kept.arrays().values())


def unpickle(options: argparse.Namespace) -> int:
    with np.load(options.file, allow_pickle=True) as stored:
        fields = {name: stored[name] for name in stored.files}
    return len(fields["smpl"].item()["betas"])


def read(options: argparse.Namespace) -> int:
    return len(read_annotations(options.file, options.joints))


def visit(options: argparse.Namespace) -> int:
    annotations = read_annotations(options.file, options.joints)
    for array in annotations.arrays().values():
        (np.char.str_len(array) if array.dtype.kind == "U" else array).max()
    return len(annotations)


def draw(options: argparse.Namespace) -> int:
    annotations = read_annotations(options.file, options.joints)
    rows = np.random.default_rng(0).integers(0, len(annotations), (200, 256))
    return sum(len(annotations.labels(batch)["pose"]) for batch in rows)


WAYS = {way.__name__: way for way in (nothing, make_file, convert_file, unpickle, read, visit, draw)}


def run(options: argparse.Namespace) -> None:
    start = time.perf_counter()
    value = WAYS[options.way](options)
    seconds = time.perf_counter() - start
    # Of this process: KiB on Linux, bytes on macOS.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (
        1 << 20 if sys.platform == "darwin" else 1 << 10
    )
    print(json.dumps({"seconds": seconds, "peak": peak, "value": value}))


def measure(way: str, file: Path, options: argparse.Namespace) -> dict[str, float]:
    """A child's peak starts at its parent's size, so the parent does nothing but this."""
    arguments = ["--way", way, "--file", str(file), "--joints", options.joints, "--rows", str(options.rows)]
    done = subprocess.run([sys.executable, __file__, *arguments], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=300_000)
    parser.add_argument("--joints", default="smpl_54")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        run(options)
        return
    with tempfile.TemporaryDirectory() as folder:
        npz = Path(folder) / "h36m.npz"
        compact = npz.with_suffix(COMPACT_SUFFIX)
        made = measure("make_file", npz, options)
        print(f"{options.rows} rows in {made['value'] / 1e6:.0f} MB, made in {made['seconds']:.0f} s")
        results = {
            "empty run": measure("nothing", npz, options),
            "numpy.load, everything": measure("unpickle", npz, options),
            f"npz, {options.joints} read": measure("read", npz, options),
            "npz converted to compact": (converted := measure("convert_file", npz, options)),
            "compact, opened": measure("read", compact, options),
            "compact, every number visited": measure("visit", compact, options),
            "compact, 200 batches of 256 drawn": measure("draw", compact, options),
        }
        print(
            f"kept arrays {converted['value'] / 2**20:.0f} MiB, compact {compact.stat().st_size / 1e6:.0f} MB"
        )
    against = results["numpy.load, everything"]
    print(f"{'':36}{'seconds':>9}{'peak MiB':>10}{'time':>9}{'memory':>8}   numpy = 1")
    for name, result in results.items():
        seconds, peak = result["seconds"], result["peak"]
        ratios = f"{seconds / against['seconds']:9.4f}{peak / against['peak']:8.3f}"
        print(f"{name:36}{seconds:9.3f}{peak:10.0f}{ratios}")


if __name__ == "__main__":
    main()
