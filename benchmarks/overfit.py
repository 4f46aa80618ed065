"""Can each algorithm learn at all? Overfits 32 rendered images of the open body and prints PA-MPJPE on them.

    python -m benchmarks.overfit [ALGORITHM ...] [--threads 2] [--device cpu] [--precision bf16]

Beside it stands the mean body of the set in its mean pose, the best answer that does not look at the image. The run
and the evaluation are those of `hmr train` and `hmr eval`, at the recipe's size of crop, with its losses and with
SPIN's fitting in the loop, which half of its images need because their bodies are kept back. What differs from a real
training, because there are few images, few steps and random weights: no augmentation, dropout or masked tokens,
batches of 8, and a backbone that keeps the statistics that all 32 images have before the first step (those of 8
images are too uneven). Three heads do not start as published, since they would take long from there without trained
weights (`write_start`).
"""

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from hmrcli.body import BodyModel, load_body
from hmrcli.body.joints import EVALUATION_14_FROM_H36M
from hmrcli.body.rotations import rotmat_from_pose
from hmrcli.datasets.crop import normalise
from hmrcli.datasets.human_data import write_human_data
from hmrcli.datasets.needed import CHECKPOINTS
from hmrcli.datasets.read import read_annotations
from hmrcli.evaluation import pa_mpjpe
from hmrcli.evaluation.evaluate import Samples, sample_crop
from hmrcli.networks import build_network, chosen_device, save_weights
from hmrcli.networks.weights import backbone_of
from hmrcli.recipe import Recipe
from hmrcli.results.measure import evaluate_network, find_test
from hmrcli.training.checkpoints import read_checkpoint
from hmrcli.training.engine import Precision
from hmrcli.training.run import Progress, Settings, train
from tests.training.world import open_recipe, people

IMAGES = 32
START = "start.safetensors"
KNOWN, FITTED = "people.npz", "half_known.npz"


class Plan(NamedTuple):
    """How an algorithm is trained here."""

    epochs: int
    backbone: float
    """Learning rates; a tenth of them for the last quarter of the epochs."""
    head: float
    batch_size: int = 8


PLANS = {
    "hmr": Plan(epochs=100, backbone=1e-5, head=1e-4),
    "spin": Plan(epochs=100, backbone=1e-5, head=1e-4),
    "graphcmr": Plan(epochs=50, backbone=1e-5, head=3e-4),
    "pare": Plan(epochs=50, backbone=1e-5, head=2e-4),
    "graphormer": Plan(epochs=40, backbone=1e-5, head=1e-4),
}


def recipe_of(algorithm: str, plan: Plan) -> Recipe:
    rates = [f"backbone: {plan.backbone}", f"head: {plan.head}"]
    changes = [
        f"data.mixture={{people: {{annotations: {FITTED if algorithm == 'spin' else KNOWN}}}}}",
        "data.epoch_length=sum",
        "augmentation={channel_noise: 0, flip: 0, scale: 0, rotation: {degrees: 0, probability: 0}, self_mix: null}",
        "evaluation.dataset=people",
        f"evaluation.annotations={KNOWN}",
        f"network.initialisation={{network: {START}}}",
        f"schedule.lr_decay={{epochs: [{plan.epochs * 3 // 4}], factor: 0.1}}",
    ]
    if algorithm == "hmr":
        changes.append(f"adversary.annotations={KNOWN}")
        rates.append("adversary: 1e-4")
    changes.append(f"optimizer.lr={{{', '.join(rates)}}}")
    return open_recipe(f"{algorithm}_l1", *changes, batch_size=plan.batch_size, epochs=plan.epochs)


def write_start(recipe: Recipe, crops: Tensor, path: Path) -> None:
    """Random weights, with the statistics of these images."""
    torch.manual_seed(recipe.seed)
    body = load_body("open")
    network = build_network(recipe, body)
    if recipe.algorithm == "graphcmr":
        lift_camera(network)
    if recipe.algorithm == "pare":
        shrink_rotations(network)
    if recipe.algorithm == "graphormer":
        interpolate(network, body)
    for module in network.modules():
        if isinstance(module, _BatchNorm):
            module.momentum = None  # the plain mean of all that it sees
    with torch.no_grad():
        network(normalise(crops))
    path.parent.mkdir(parents=True, exist_ok=True)
    save_weights(network, path, {})


def lift_camera(network: nn.Module) -> None:
    """The published start of GraphCMR's camera can leave all its rectified units at zero, where none learns."""
    rectified, last = network.graph_cnn.camera_fc[2], network.graph_cnn.camera_fc[4]
    nn.init.constant_(rectified.b, 0.5)
    last.bias.data.copy_(torch.tensor([0.9, 0.0, 0.0]))


def shrink_rotations(network: nn.Module) -> None:
    """PARE starts from vectors ten times as long as those of a rotation, which turn slowly, and a camera at random."""
    network.head.pose_mlp.weight.data.mul_(0.1)
    network.head.cam_mlp.bias.data.copy_(torch.tensor([0.9, 0.0, 0.0]))


def interpolate(network: nn.Module, body: BodyModel) -> None:
    """Graphormer's two maps to finer meshes start as the body's own, whose learning takes longest."""
    for level, layer in ((2, network.upsampling), (1, network.upsampling2)):
        layer.weight.data.copy_(body.levels.up_matrix(level).to_dense())
        layer.bias.data.zero_()


def without_noise(network: nn.Module, recipe: Recipe) -> None:
    """Stands for the engine's `set_training`."""
    network.eval()
    inside = set(backbone_of(network).modules())
    for module in network.modules():
        if isinstance(module, _BatchNorm) and module not in inside:
            module.train()


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


def overfit(algorithm: str, root: Path, crops: Tensor, device: str | None, precision: Precision) -> str:
    """Trains and evaluates; a line with PA-MPJPE in mm of each mesh."""
    plan = PLANS[algorithm]
    recipe, out = recipe_of(algorithm, plan), root / algorithm
    write_start(recipe, crops, root / CHECKPOINTS / START)

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
            precision=precision,
            open_prior=True,
            save_every=plan.epochs * IMAGES,
            watch=watch,
        ),
    )
    minutes = (time.monotonic() - began) / 60
    model = read_checkpoint(out).model
    done = evaluate_network(recipe, model, find_test(recipe, root), root, out, device=device, workers=0)
    assert done is not None
    errors = ", ".join(
        f"{score.metrics['pa_mpjpe_mm'].value:.1f} mm{f' ({score.surface})' if score.surface else ''}"
        for score in done[0].scores
    )
    steps = plan.epochs * IMAGES // plan.batch_size
    return f"PA-MPJPE {errors}; {steps} steps of {plan.batch_size} images in {minutes:.1f} min"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("algorithms", nargs="*", default=list(PLANS), metavar="ALGORITHM")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="bf16")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    lines = []
    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch("hmrcli.training.engine.set_training", without_noise),
    ):
        root = Path(folder)
        annotations, images = root / "preprocessed_datasets", root / "datasets" / "people"
        known = people(images, "people", IMAGES)
        write_human_data(annotations / KNOWN, known)
        write_human_data(annotations / FITTED, replace(known, has_smpl=np.arange(IMAGES) % 2 == 0))
        samples = Samples(known, images, 224)
        crops = torch.stack([torch.from_numpy(sample_crop(samples, row)) for row in range(IMAGES)])
        baseline = mean_pose_error(annotations / KNOWN)
        for algorithm in options.algorithms:
            print(f"{algorithm}:", flush=True)
            line = overfit(algorithm, root, crops, options.device, options.precision)
            lines.append(f"{algorithm}: {line}; mean pose {baseline:.1f} mm")
            print(lines[-1], flush=True)
    print("\n".join(lines))


if __name__ == "__main__":
    main()
