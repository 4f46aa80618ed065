"""Can each algorithm learn at all? Overfits 32 rendered images of the open body and prints PA-MPJPE on them.

    python -m benchmarks.overfit [ALGORITHM ...] [--threads 2] [--device cpu] [--precision fp32|bf16]

Beside it stands the mean body of the set in its mean pose, the best answer that does not look at the image. Steps,
losses, adversary and SPIN's fitting in the loop, which half of its images need because their bodies are kept back,
are those of `hmr train`, on the recipe's crops. What differs from a real training, because it has to end within
minutes on a CPU: the backbone keeps its random weights, by which 32 images can be told apart, so that what it sees
in them is computed once (standardised over the images for PARE, whitened for Graphormer); no augmentation, dropout
or masked tokens; rates are set for so few steps, and Graphormer computes in bf16; and three heads start from the mean
of these bodies, Graphormer's weights louder besides, not as published, since they would take long from there without
trained weights. That gradients reach backbones is a test's business.
"""

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from benchmarks.world import open_recipe, people
from hmrcli.algorithms.spin_fits import FitStore
from hmrcli.body import BodyModel
from hmrcli.body.joints import EVALUATION_14_FROM_H36M
from hmrcli.body.rotations import rotmat_from_pose, sixd_from_rotmat
from hmrcli.data.annotations import Annotations
from hmrcli.data.crop import normalise
from hmrcli.data.human_data import write_human_data
from hmrcli.data.mixture import BatchSampler, mixture_of
from hmrcli.data.sets import load_sets
from hmrcli.data.training import Batch, training_batches
from hmrcli.environment import chosen_device
from hmrcli.evaluation import pa_mpjpe
from hmrcli.layers.graph import GraphLinear
from hmrcli.layers.weights import backbone_of
from hmrcli.recipe import Recipe
from hmrcli.training.learner import Learner, Precision
from hmrcli.training.settings import Settings
from hmrcli.training.start import prepare
from hmrcli.training.step import read_losses, train_step

IMAGES = 32
KNOWN, FITTED = "people.npz", "half_known.npz"


class Plan(NamedTuple):
    """How an algorithm is trained here."""

    steps: int
    rate: float
    """Of learning, at first."""
    batch_size: int = IMAGES
    decay: tuple[float, ...] = (0.75,)
    """Shares of the steps after which the rate is multiplied by `factor`."""
    factor: float = 0.1
    precision: Precision = "fp32"


PLANS = {
    "hmr": Plan(steps=300, rate=1.5e-4),
    "spin": Plan(steps=300, rate=1.5e-4),
    "graphcmr": Plan(steps=480, rate=3e-5, batch_size=8),
    "pare": Plan(steps=600, rate=3e-4),
    "graphormer": Plan(
        steps=320, rate=4e-5, batch_size=4, decay=(0.4, 0.6, 0.75, 0.85, 0.95), factor=0.6, precision="bf16"
    ),
}


class Remembered(nn.Module):
    """Stands for a backbone: gives what it saw in the images of a batch."""

    rows: Tensor

    def __init__(self, features: Tensor | tuple[Tensor, ...]) -> None:
        super().__init__()
        self.features = features

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, ...]:
        """What was seen in `rows`; the images themselves are not looked at."""
        if isinstance(self.features, Tensor):
            return self.features[self.rows]
        return tuple(each[self.rows] for each in self.features)


def recipe_of(algorithm: str, plan: Plan) -> Recipe:
    changes = [
        f"data.mixture={{people: {{annotations: {FITTED if algorithm == 'spin' else KNOWN}}}}}",
        "data.epoch_length=sum",
        "augmentation={channel_noise: 0, flip: 0, scale: 0, rotation: {degrees: 0, probability: 0}, self_mix: null}",
        f"schedule.lr_decay={{epochs: {[int(plan.steps * share) for share in plan.decay]}, factor: {plan.factor}}}",
        f"optimizer.lr={plan.rate}",
    ]
    if algorithm == "hmr":
        changes.append(f"adversary.annotations={KNOWN}")
    return open_recipe(f"{algorithm}_l1", *changes, batch_size=plan.batch_size, epochs=plan.steps)


def start(recipe: Recipe, root: Path, device: torch.device, precision: Precision) -> tuple[Learner, Batch]:
    """A learner whose backbone remembers all images, and these."""
    sets = load_sets(recipe, root)
    sampler = BatchSampler(
        mixture_of(recipe.data, {each.name: len(each) for each in sets}), 0, IMAGES, stop=1
    )
    batch = next(iter(training_batches(recipe, sets, sampler))).to(device)
    store = None if recipe.in_the_loop is None else FitStore(sets)
    settings = Settings(root, device=device, precision=precision, open_prior=True)
    learner = prepare(recipe, settings, store=store)
    network, backbone = learner.network, backbone_of(learner.network)
    with torch.no_grad():
        features = backbone.train()(normalise(batch.images).contiguous(memory_format=torch.channels_last))
    features = told_apart(features, recipe.algorithm)
    name = next(name for name, module in network.named_modules() if module is backbone)
    owner, _, attribute = name.rpartition(".")
    setattr(network.get_submodule(owner), attribute, Remembered(features))
    backbone_of(network).rows = torch.arange(IMAGES, device=device)
    if recipe.algorithm == "graphcmr":
        settle_graph(network, batch, learner.body)
    if recipe.algorithm == "pare":
        settle_parts(network, batch)
    if recipe.algorithm == "graphormer":
        settle_tokens(network, batch, learner.body)
    return learner, batch


def told_apart(features: Tensor | tuple[Tensor, ...], algorithm: str) -> Tensor | tuple[Tensor, ...]:
    """What random weights see differs little between images, what trained ones see much: mean 0 and deviation 1 here.

    PARE's maps are taken at a quarter of their resolution, which makes its head 16 times as fast. Graphormer's images
    are made equally unlike each other.
    """
    if not isinstance(features, Tensor):
        return tuple(whitened(each) for each in features)
    return standardised(nn.functional.avg_pool2d(features, 4)) if algorithm == "pare" else features


def standardised(features: Tensor) -> Tensor:
    return (features - features.mean(0)) / (features.std(0) + 1e-3)


def whitened(features: Tensor) -> Tensor:
    """Keeps the directions in which images differ (N, ...), and makes all of them, one less than images, as long."""
    left, _, right = torch.linalg.svd(standardised(features).flatten(1), full_matrices=False)
    white = left[:, :-1] @ right[:-1]
    return (white / white.std()).view_as(features)


@torch.no_grad()
def settle_graph(network: Any, images: Batch, body: BodyModel) -> None:
    """GraphCMR starts from weights that are nearly zero, deaf to where a vertex is, and with a camera that may be dead.

    Here it starts from the mean mesh of these images, as far as its last layer can tell vertices apart, and from
    their mean rotations; HMR starts from the rest pose by design.
    """
    graph = network.graph_cnn
    for module in network.modules():
        if isinstance(module, GraphLinear):
            nn.init.kaiming_uniform_(module.W, a=5**0.5)
    graph.gc[0].W[:, :3].uniform_(-1, 1)  # as loud as 2048 image features
    graph.gc[0].W[:, 3:] *= 0.1
    nn.init.constant_(graph.camera_fc[2].b, 0.5)
    graph.camera_fc[4].bias.copy_(torch.tensor([0.9, 0.0, 0.0]))
    rotmat = rotmat_from_pose(images.pose)
    mean = body(rotmat, images.betas).vertices.mean(0)[torch.as_tensor(body.levels.down[0])]
    seen: list[Tensor] = []
    watch = graph.shape[4].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    graph(images.images.new_zeros(IMAGES, 3, 1, 1, dtype=torch.float32))
    watch.remove()
    known = torch.cat([seen[0].mean(0), torch.ones_like(seen[0][0, :1])]).T
    solved = torch.linalg.lstsq(known, mean).solution.T
    graph.shape[4].W.copy_(solved[:, :-1])
    graph.shape[4].b.copy_(solved[:, -1])
    last = network.smpl_param_regressor.layers[3]
    last.weight.mul_(0.1)
    last.bias.copy_(torch.cat([rotmat.mean(0).flatten(), images.betas.mean(0)]))


@torch.no_grad()
def settle_parts(network: Any, images: Batch) -> None:
    """PARE starts from rotations and cameras at random; here from the mean rotations of these images."""
    head = network.head
    seen: list[Tensor] = []
    watch = head.pose_mlp.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    head(network.backbone(images.images))
    watch.remove()
    looks = seen[0].mean(0)  # (128, 24)
    sixd = sixd_from_rotmat(rotmat_from_pose(images.pose)).mean(0)  # (24, 6)
    head.pose_mlp.weight[0, ..., 0, 0] = torch.einsum("jo,cj->ocj", sixd, looks / looks.square().sum(0))
    head.cam_mlp.weight.mul_(0.1)
    head.cam_mlp.bias.copy_(torch.tensor([0.9, 0.0, 0.0]))
    head.shape_mlp.weight.mul_(0.1)


@torch.no_grad()
def settle_tokens(network: Any, images: Batch, body: BodyModel) -> None:
    """Graphormer starts where tokens know both image and place; from BERT's weights, all would see the image alike.

    Its linear maps keep loudness, its feed-forward nets multiply it, where image and place meet; its last transformer
    starts as a linear map, to the mean mesh of these images as far as that can tell it. Its maps to finer meshes start
    as the body's own.
    """
    for level, layer in ((2, network.upsampling), (1, network.upsampling2)):
        layer.weight.copy_(body.levels.up_matrix(level).to_dense())
        layer.bias.zero_()
    network.cam_param_fc3.bias.copy_(torch.tensor([0.9, 0.0, 0.0]))
    gains = {"attention": 0.6, "intermediate": 2.0, "output": 3.0}
    for name, module in network.trans_encoder.named_modules():
        if isinstance(module, nn.Linear):
            gain = next((gain for part, gain in gains.items() if part in name), 1.0)
            module.weight.normal_(std=gain / module.in_features**0.5)
    first, last = network.trans_encoder[0], network.trans_encoder[2]
    for linear in (first.bert.img_embedding, first.residual):
        linear.weight[:, :3].normal_(std=3.0)
        linear.weight[:, 3:] *= 2
    vertices = body(rotmat_from_pose(images.pose), images.betas).vertices
    joints = body.h36m_joints(vertices)
    down = [torch.as_tensor(each) for each in body.levels.down[:2]]
    tokens = torch.cat([joints[:, list(EVALUATION_14_FROM_H36M)], vertices[:, down[0]][:, down[1]]], dim=1)
    mean = (tokens - joints[:, :1]).mean(0)
    seen: list[Tensor] = []
    watch = last.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    network.eval()(images.images)
    watch.remove()
    known = torch.cat([seen[0], torch.ones_like(seen[0][..., :1])], dim=2)[:, : len(mean)]
    square = torch.einsum("ntc,ntd->cd", known, known)
    square.diagonal().add_(1e-4 * square.diagonal().mean())  # keeps weights small
    solved = torch.linalg.solve(square, torch.einsum("ntc,td->cd", known, mean)).T
    last.residual.weight.copy_(solved[:, :-1])
    last.residual.bias.copy_(solved[:, -1])
    last.cls_head.weight.zero_()


def without_noise(network: nn.Module, recipe: Recipe) -> None:
    """Stands for the engine's `set_training`."""
    network.eval()
    for module in network.modules():
        if isinstance(module, _BatchNorm):
            module.train()


@torch.no_grad()
def error(vertices: Tensor, truth: Tensor, body: BodyModel) -> float:
    """Mean PA-MPJPE in mm of meshes (N or 1, V, 3) in metres."""
    ours, theirs = (
        1000 * body.h36m_joints(each)[:, list(EVALUATION_14_FROM_H36M)] for each in (vertices, truth)
    )
    return float(pa_mpjpe(ours.expand_as(theirs), theirs).mean())


def overfit(algorithm: str, plan: Plan, root: Path, known: Annotations, device: torch.device) -> str:
    """Trains and evaluates; a line with PA-MPJPE in mm of each mesh, and of the mean pose."""
    learner, images = start(recipe_of(algorithm, plan), root, device, plan.precision)
    body, backbone = learner.body, backbone_of(learner.network)
    random, began = np.random.default_rng(0), time.monotonic()
    for step in range(plan.steps):
        place = step * plan.batch_size % IMAGES
        if place == 0:
            order = torch.from_numpy(random.permutation(IMAGES)).to(device)
        backbone.rows = order[place : place + plan.batch_size]
        batch = Batch(*(each[backbone.rows] for each in images))
        losses = next(read_losses([train_step(learner, [batch], step, epoch=step)]))
        if step % 20 == 19:
            seconds = time.monotonic() - began
            print(f"  {seconds:4.0f} s, step {step + 1}: loss {losses['total']:.3f}", flush=True)
    minutes = (time.monotonic() - began) / 60
    backbone.rows = torch.arange(IMAGES, device=device)
    with torch.no_grad():
        prediction = learner.network.eval()(normalise(images.images))
        rows = images.row.cpu().numpy()
        pose, betas = (torch.from_numpy(each[rows]).to(device) for each in (known.pose, known.betas))
        truth = body(rotmat_from_pose(pose), betas).vertices
        mean = body(rotmat_from_pose(pose.mean(0, keepdim=True)), betas.mean(0, keepdim=True)).vertices
    meshes = {"": prediction.vertices}
    if algorithm == "graphcmr":
        assert prediction.mesh_levels is not None
        meshes = {" (parametric)": prediction.vertices, " (free)": prediction.mesh_levels[-1]}
    found = ", ".join(f"{error(each, truth, body):.1f} mm{name}" for name, each in meshes.items())
    return (
        f"{algorithm}: PA-MPJPE {found}; mean pose {error(mean, truth, body):.1f} mm; {plan.steps} steps of "
        f"{plan.batch_size} images in {minutes:.1f} min"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("algorithms", nargs="*", default=list(PLANS), metavar="ALGORITHM")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, help="by default, the plan's; 20 show that all of it runs")
    parser.add_argument("--device")
    parser.add_argument("--precision", choices=("fp32", "bf16"), help="by default, the plan's")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    device = chosen_device(options.device)
    lines = []
    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch("hmrcli.training.step.set_training", without_noise),
    ):
        root = Path(folder)
        annotations, images = root / "preprocessed_datasets", root / "datasets" / "people"
        known = people(images, "people", IMAGES)
        write_human_data(annotations / KNOWN, known)
        write_human_data(annotations / FITTED, replace(known, has_smpl=np.arange(IMAGES) % 2 == 0))
        for algorithm in options.algorithms:
            plan = PLANS[algorithm]
            plan = plan._replace(
                steps=options.steps or plan.steps, precision=options.precision or plan.precision
            )
            lines.append(overfit(algorithm, plan, root, known, device))
            print(lines[-1], flush=True)
    print("\n".join(lines))


if __name__ == "__main__":
    main()
