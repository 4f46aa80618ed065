"""Training: samples per second of a core against plain OpenCV, memory of workers, and speed of whole steps.

    python benchmarks/training.py [--samples 20000] [--workers 2] [--rounds 5] [--steps N] [--batch-size N]

Makes 1920 x 1080 JPEGs in a temporary folder, smooth synthetic pictures and the bundled photo, with HMR's labels
and augmentation. The plain loop decodes each file, warps one crop and normalises it, in OpenCV and numpy. Both run
on one thread, in turns; without augmentation both must give the same numbers. Memory is what a worker holds for
itself alone (Linux: Private_* of smaps_rollup), read while it works.

Steps are those of `hmr train`, with ResNet-50 (HMR), HRNet-W32 (PARE) and HRNet-W48 (Graphormer) on the open body:
the share of their time spent waiting for samples, and images per second beside those of forward and backward pass
alone, losses included, on one batch that stays on the device. On CUDA in bf16; without it on the CPU, in batches too
small to tell more than that the measurement works.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.world import open_recipe
from hmrcli.algorithms import build_network
from hmrcli.algorithms.targets import count_labels
from hmrcli.assets.bundled import bundled
from hmrcli.body import load_body
from hmrcli.body.joints import joint_set
from hmrcli.data.annotations import Annotations
from hmrcli.data.crop import IMAGE_MEAN, IMAGE_STD, normalise
from hmrcli.data.mixture import BatchSampler, Mixture
from hmrcli.data.sets import Bodies, ImageSet
from hmrcli.data.training import Batch, TrainingSet, training_batches
from hmrcli.recipe import Recipe, load_recipe
from hmrcli.training.learner import Learner, Precision, make_learner
from hmrcli.training.losses import total
from hmrcli.training.step import LABELS, train_step

WIDTH, HEIGHT, IMAGES, BATCH = 1920, 1080, 24, 64
NETWORKS = {"ResNet-50": "hmr_l1", "HRNet-W32": "pare_l1", "HRNet-W48": "graphormer_l1"}
"""Recipes on the three backbones."""


def make_images(folder: Path) -> None:
    """Half pictures of smooth waves, half the photo at different brightness."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:HEIGHT, :WIDTH] / 100.0
    photo = cv2.resize(np.asarray(cv2.imread(str(bundled("photos/walk.jpg")))), (WIDTH, HEIGHT))
    for i in range(IMAGES):
        waves = [np.sin(a * x + b * y + c) for a, b, c in rng.uniform(-4, 4, (3, 3))]
        image = 127 + 100 * np.stack(waves, -1) if i % 2 else photo * rng.uniform(0.6, 1)
        cv2.imwrite(str(folder / f"{i}.jpg"), image.astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 90])


def make_set(folder: Path, joint_set_name: str = "smpl_54") -> ImageSet:
    """Made-up labels of the pictures; people 300 to 900 pixels high."""
    rng = np.random.default_rng(0)
    side = rng.uniform(300, 900, IMAGES)
    corner = rng.uniform(0, 1, (IMAGES, 2)) * np.stack([WIDTH - side, HEIGHT - side], 1)
    joints = len(joint_set(joint_set_name))
    annotations = Annotations(
        dataset="h36m",
        joints=joint_set_name,
        image_path=np.array([f"{i}.jpg" for i in range(IMAGES)]),
        bbox_xywh=np.column_stack([corner, side, side]).astype(np.float32),
        keypoints2d=rng.uniform(0, 1000, (IMAGES, joints, 3)).astype(np.float32),
        keypoints3d=rng.normal(size=(IMAGES, joints, 4)).astype(np.float32),
        pose=rng.normal(size=(IMAGES, 72)).astype(np.float32),
        betas=rng.normal(size=(IMAGES, 10)).astype(np.float32),
        has_smpl=np.ones(IMAGES, bool),
        gender=np.full(IMAGES, "n"),
    )
    return ImageSet("h36m", annotations, folder)


def plain(images: ImageSet, row: int) -> NDArray[np.float32]:
    """What anyone would write."""
    x, y, width, height = images.annotations.bbox_xywh[row].astype(float)
    side = max(width, height)
    zoom = 224 / side
    affine = np.array([[zoom, 0, 112 - zoom * (x + width / 2)], [0, zoom, 112 - zoom * (y + height / 2)]])
    image = np.asarray(cv2.imread(str(images.image(row))))
    crop = cv2.warpAffine(image, affine, (224, 224), flags=cv2.INTER_LINEAR)
    rgb = cv2.cvtColor(crop, cv2.COLOR_BGR2RGB).astype(np.float32)
    mean, deviation = (np.array(values, np.float32) for values in (IMAGE_MEAN, IMAGE_STD))
    return ((rgb - mean) / deviation).transpose(2, 0, 1)


def rate(make: Callable[[int], object], count: int) -> float:
    start = time.perf_counter()
    for i in range(count):
        make(i)
    return count / (time.perf_counter() - start)


def own_memory(process: int) -> float:
    """MiB that a process holds for itself alone."""
    lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) / 1024


def measure_rates(images: ImageSet, rounds: int) -> None:
    recipe = load_recipe("hmr_l1_coco_aug")
    keys = ("channel_noise=0", "flip=0", "scale=0", "rotation.probability=0", "self_mix=null")
    still = load_recipe("hmr_l1_coco_aug", [f"augmentation.{key}" for key in keys])
    draws = [batch[0] for batch in BatchSampler(Mixture((IMAGES,), None, IMAGES), 0, 1, stop=IMAGES)]
    augmented, unchanged = (
        TrainingSet([images], chosen.augmentation, "smpl_54", 0, chosen.crop_shape)
        for chosen in (recipe, still)
    )
    difference = max(
        float(
            np.abs(
                normalise(torch.from_numpy(unchanged.sample(draw)["images"])).numpy()
                - plain(images, draw.row)
            ).max()
        )
        for draw in draws
    )
    print(f"largest difference from the plain loop without augmentation: {difference:g}")
    ways: dict[str, Callable[[int], object]] = {
        "decode alone": lambda i: cv2.imread(str(images.image(draws[i].row))),
        "plain loop: decode, crop, normalise": lambda i: plain(images, draws[i].row),
        "pipeline without augmentation, all labels": lambda i: unchanged.sample(draws[i]),
        "pipeline with augmentation, all labels": lambda i: augmented.sample(draws[i]),
    }
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, make in ways.items():
            rates[name].append(rate(make, IMAGES))
    base = np.array(rates["plain loop: decode, crop, normalise"])
    print(f"{'samples per second of a core':44}{'median':>8}{'plain = 1':>11}")
    for name, found in rates.items():
        print(f"{name:44}{np.median(found):8.1f}{np.median(np.array(found) / base):11.3f}")


def measure_workers(images: ImageSet, samples: int, workers: int) -> None:
    recipe = load_recipe("hmr_l1_coco_aug")
    steps = samples // BATCH
    sampler = BatchSampler(Mixture((IMAGES,), None, IMAGES), 0, BATCH, stop=steps)
    batches = training_batches(recipe, [images], sampler, workers)
    memory = {}
    start = time.perf_counter()
    for step, _ in enumerate(batches, 1):
        if step == max(1, steps // 20):
            begin, after = time.perf_counter(), step
        if step in {max(1, steps // 20), steps // 4, steps // 2, steps - 1} and workers:
            memory[step * BATCH] = [own_memory(child) for child in children()]
    done = time.perf_counter()
    speed = (steps - after) * BATCH / (done - begin)
    print(
        f"{samples} samples by {workers} workers in {done - start:.0f} s: {speed:.1f} a second, "
        f"{speed / max(1, min(workers, os.cpu_count() or 1)):.1f} for each core used"
    )
    for count, sizes in memory.items():
        print(f"  after {count:6} samples, MiB of each worker: {', '.join(f'{size:.1f}' for size in sizes)}")


def measure_steps(folder: Path, workers: int, steps: int | None, batch_size: int | None) -> None:
    """Whole steps against forward and backward pass alone, in one process and on one device."""
    cuda = torch.cuda.is_available()
    device = torch.device("cuda" if cuda else "cpu")
    count, size = steps or (60 if cuda else 3), batch_size or (64 if cuda else 4)
    place = torch.cuda.get_device_name() if cuda else f"the CPU, {torch.get_num_threads()} threads"
    print(f"steps of {size} images on {place}, {'bf16' if cuda else 'fp32'}, {workers} workers")
    print(f"{'':12}{'images/s':>10}{'waiting':>10}{'resident':>10}{'share':>8}")
    for name, recipe_name in NETWORKS.items():
        recipe = open_recipe(recipe_name, batch_size=size)
        learner, images = learner_of(recipe, device), make_set(folder, recipe.data.joints)
        warm = max(1, count // 6)
        sampler = BatchSampler(Mixture((IMAGES,), None, IMAGES), 0, size, stop=warm + count)
        batches = training_batches(recipe, [images], sampler, workers, pin_memory=cuda)
        waited, batch = 0.0, None
        for step in range(warm + count):
            if step == warm:
                start, waited = time.perf_counter(), 0.0
            asked = time.perf_counter()
            batch = next(batches)
            waited += time.perf_counter() - asked
            train_step(learner, [batch], step, 0)
        seconds = time.perf_counter() - start
        assert batch is not None
        alone = resident_seconds(learner, batch.to(device), warm, count)
        print(
            f"{name:12}{count * size / seconds:10.1f}{waited / seconds:10.1%}{count * size / alone:10.1f}"
            f"{alone / seconds:8.1%}",
            flush=True,
        )


def learner_of(recipe: Recipe, device: torch.device) -> Learner:
    """Random weights, and random examples for HMR's adversary."""
    rng = np.random.default_rng(0)
    real = Bodies(*(rng.normal(scale=0.2, size=(99, size)).astype(np.float32) for size in (72, 10)))
    body = load_body("open").to(device)
    precision: Precision = "bf16" if device.type == "cuda" else "fp32"
    return make_learner(recipe, build_network(recipe, body), body, device, real, precision=precision)


def resident_seconds(learner: Learner, batch: Batch, warm: int, count: int) -> float:
    """Time of so many forward and backward passes on a batch that lies on the device."""
    images = normalise(batch.images).contiguous(memory_format=torch.channels_last)
    labels = {name: getattr(batch, name) for name in LABELS}
    for step in range(warm + count):
        if step == warm:
            wait_for(learner.device)
            start = time.perf_counter()
        with torch.autocast(learner.device.type, torch.bfloat16, enabled=learner.precision == "bf16"):
            prediction = learner.network(images)
        losses = learner.losses(prediction, labels, batch.crops, count_labels(labels))
        learner.network.zero_grad(set_to_none=True)
        total(losses).backward()
    wait_for(learner.device)
    return time.perf_counter() - start


def wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def children() -> list[int]:
    own = Path(f"/proc/self/task/{os.getpid()}/children")
    return [int(child) for child in own.read_text().split()] if own.exists() else []


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--samples", type=int, default=20_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--steps", type=int, help="measured steps of each network; by default 60, 3 on the CPU"
    )
    parser.add_argument("--batch-size", type=int, help="of these steps; by default 64, 4 on the CPU")
    options = parser.parse_args()
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        make_images(Path(folder))
        images = make_set(Path(folder))
        measure_rates(images, options.rounds)
        measure_workers(images, options.samples, options.workers)
        torch.set_num_threads(os.cpu_count() or 1)
        measure_steps(Path(folder), options.workers, options.steps, options.batch_size)


if __name__ == "__main__":
    main()
