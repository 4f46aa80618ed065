"""Can each algorithm learn at all? Overfits 32 rendered images of the open body and prints PA-MPJPE on them.

    python -m benchmarks.overfit [ALGORITHM ...] [--steps 120] [--device cpu]

Beside it stands the mean body of the set in its mean pose, the best answer that does not look at the image. Weights
start at random, augmentation is off, statistics of the batch are on where the algorithm has them.
"""

import argparse
import tempfile
import time
from pathlib import Path

import torch

from hmrcli.body import load_body
from hmrcli.body.joints import EVALUATION_14_FROM_H36M
from hmrcli.body.rotations import rotmat_from_pose
from hmrcli.datasets.human_data import write_human_data
from hmrcli.datasets.read import read_annotations
from hmrcli.evaluation import pa_mpjpe
from hmrcli.networks import chosen_device
from hmrcli.recipe import Recipe
from hmrcli.results.measure import evaluate_network, find_test
from hmrcli.training.checkpoints import read_checkpoint
from hmrcli.training.run import Progress, Settings, train
from tests.training.world import open_recipe, people

IMAGES = 32
ALGORITHMS = ("hmr", "spin", "graphcmr", "pare", "graphormer")
RATES = {"hmr": 1e-4, "spin": 1e-4, "graphcmr": 3e-4, "pare": 1e-4, "graphormer": 1e-4}
"""Without weights to start from, and for so few steps, those of the recipes are too small or too large."""


def recipe_of(algorithm: str, batch_size: int) -> Recipe:
    changes = [
        "data.mixture={people: {annotations: people.npz, share: 1.0}}",
        f"data.epoch_length={IMAGES}",
        "augmentation={channel_noise: 0, flip: 0, scale: 0, rotation: {degrees: 0, probability: 0}, self_mix: null}",
        "evaluation.dataset=people",
        "evaluation.annotations=people.npz",
        f"optimizer.lr={RATES[algorithm]}",
    ]
    if algorithm == "hmr":
        changes.append("adversary.annotations=people.npz")
    return open_recipe(f"{algorithm}_l1", *changes, batch_size=batch_size, epochs=10_000)


def mean_pose_error(path: Path) -> float:
    """PA-MPJPE in mm of the set's mean parameters."""
    known, body = read_annotations(path, "evaluation_14"), load_body("open")
    pose, betas = torch.from_numpy(known.pose.copy()), torch.from_numpy(known.betas.copy())
    means = pose.mean(0, keepdim=True), betas.mean(0, keepdim=True)
    joints = []
    for each_pose, each_betas in ((pose, betas), means):
        vertices = body(rotmat_from_pose(each_pose), each_betas).vertices
        joints.append(1000 * body.h36m_joints(vertices)[:, list(EVALUATION_14_FROM_H36M)])
    return float(pa_mpjpe(joints[1].expand_as(joints[0]), joints[0]).mean())


def overfit(algorithm: str, root: Path, steps: int, batch_size: int, device: str | None) -> float:
    """PA-MPJPE in mm after so many steps."""
    recipe, out = recipe_of(algorithm, batch_size), root / algorithm

    def watch(progress: Progress) -> None:
        if progress.step % 20 == 0:
            seconds = time.monotonic() - began
            print(
                f"  {seconds:4.0f} s, step {progress.step}: loss {progress.losses['total']:.3f}", flush=True
            )

    began = time.monotonic()
    train(
        recipe,
        Settings(
            root,
            out,
            device=chosen_device(device),
            workers=1,
            open_prior=True,
            max_steps=steps,
            save_every=steps,
            watch=watch,
        ),
    )
    model = read_checkpoint(out).model
    done = evaluate_network(recipe, model, find_test(recipe, root), root, out, device=device, workers=0)
    assert done is not None
    return done[0].scores[0].metrics["pa_mpjpe_mm"].value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("algorithms", nargs="*", default=list(ALGORITHMS))
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--device")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        path = root / "preprocessed_datasets" / "people.npz"
        write_human_data(path, people(root / "datasets" / "people", "people", IMAGES))
        baseline = mean_pose_error(path)
        for algorithm in options.algorithms:
            print(f"{algorithm}:", flush=True)
            error = overfit(algorithm, root, options.steps, options.batch_size, options.device)
            print(f"{algorithm}: PA-MPJPE {error:.1f} mm, mean pose {baseline:.1f} mm")


if __name__ == "__main__":
    main()
