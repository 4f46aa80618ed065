"""What `open_quick` learns, from an empty folder: minutes, and PA-MPJPE on both test sets beside the mean pose.

    python -m benchmarks.quick [--data-root FOLDER] [--out FOLDER] [--precision bf16] [KEY=VALUE ...]

Pictures that are not in the data root yet are rendered, which counts. The mean pose is the best answer that does not
look at the picture; the network starts from it.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from hmrcli.body import load_body
from hmrcli.body.joints import EVALUATION_14_FROM_H36M
from hmrcli.body.rotations import rotmat_from_6d, rotmat_from_pose
from hmrcli.data.annotation_files import read_annotations
from hmrcli.evaluation import pa_mpjpe
from hmrcli.results.compare import OPEN_TEST, OPEN_WILD
from hmrcli.results.runs import RESULTS_FILE, read_results
from hmrcli.scenes.files import annotation_file
from hmrcli.training.checkpoints import FOLDER, LAST
from hmrcli.training.start import open_mean_parameters


def hmr(*arguments: str) -> None:
    """Runs the command line."""
    print("$ hmr", " ".join(arguments), flush=True)
    subprocess.run([sys.executable, "-m", "hmrcli", *arguments], check=True)


@torch.no_grad()
def mean_pose_error(annotations: Path) -> float:
    """PA-MPJPE in mm of the mean of open-studio's poses and shapes."""
    body, mean = load_body("open"), open_mean_parameters()
    joints = list(EVALUATION_14_FROM_H36M)
    guess = body(rotmat_from_6d(mean.pose.unflatten(1, (24, 6))), mean.shape).vertices
    truth = read_annotations(annotations)
    assert truth.pose is not None and truth.betas is not None
    errors = []
    for pose, betas in zip(torch.from_numpy(truth.pose).split(200), torch.from_numpy(truth.betas).split(200)):
        true = body.h36m_joints(body(rotmat_from_pose(pose), betas).vertices)[:, joints]
        errors.append(pa_mpjpe(body.h36m_joints(guess)[:, joints].expand_as(true), true))
    return 1000 * float(torch.cat(errors).mean())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("changes", nargs="*", metavar="KEY=VALUE", help="of the recipe")
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root, out = options.data_root or Path(folder) / "data", options.out or Path(folder) / "run"
        common = ("--data-root", str(root))
        began = time.monotonic()
        train = ("train", "--recipe", "open_quick", *options.changes, "--out", str(out))
        hmr(*train, "--precision", options.precision, *common)
        minutes = (time.monotonic() - began) / 60
        lines = [f"open_quick, {options.precision}: {minutes:.1f} min; PA-MPJPE in mm"]
        for dataset in (OPEN_TEST, OPEN_WILD):
            last = str(out / FOLDER / LAST)
            hmr("eval", "--checkpoint", last, "--dataset", dataset, "--out", str(out / dataset), *common)
            found = read_results(out / dataset / RESULTS_FILE).scores[0].metrics["pa_mpjpe_mm"]
            mean = mean_pose_error(annotation_file(root, dataset))
            lines.append(
                f"{dataset}: {found.value:.1f} ({found.low:.1f} to {found.high:.1f}), mean pose {mean:.1f}"
            )
        print("\n".join(lines))


if __name__ == "__main__":
    main()
