"""A data root for a recipe on the open body: rendered people in the published formats."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import torch

from hmrcli.body import BodyModel, load_body
from hmrcli.body.rotations import rotmat_from_pose
from hmrcli.data.annotations import BETAS_SIZE, POSE_SIZE, Annotations
from hmrcli.data.human_data import write_human_data
from hmrcli.recipe import Recipe, load_recipe
from hmrcli.render.rasteriser import Camera, paint
from hmrcli.render.shading import shade

WIDTH, HEIGHT, FOCAL = 160, 200, 1000.0
UPRIGHT = (np.pi, 0.0, 0.0)
SMALL = ("network.backbone=resnet18", "data.image_size=128")
"""What makes HMR, SPIN and PARE train in a fraction of the time."""


def open_recipe(name: str, *overrides: str, batch_size: int = 4, epochs: int = 1) -> Recipe:
    """A bundled recipe with the open body, from random weights."""
    return load_recipe(name, open_overrides(name, batch_size, epochs) + list(overrides))


def open_overrides(name: str, batch_size: int = 4, epochs: int = 1) -> list[str]:
    """What makes a bundled recipe train on the open body."""
    recipe = load_recipe(name)
    changes = {
        "body_model": "open",
        "evaluation.protocol": "open",
        "network.initialisation": "null",
        "schedule.batch_size": batch_size,
        "schedule.epochs": epochs,
    }
    if recipe.network.mean_parameters:
        changes["network.mean_parameters"] = "null"
    if recipe.schedule.lr_decay:
        changes["schedule.lr_decay"] = "null"
    return [f"{key}={value}" for key, value in changes.items()]


@cache
def _body() -> BodyModel:
    return load_body("open")


def people(folder: Path, dataset: str, rows: int, seed: int = 0) -> Annotations:
    """Renders people in poses about the upright rest pose, one image a row, with every kind of label."""
    random = np.random.default_rng(seed)
    body = _body()
    pose = 0.2 * random.normal(size=(rows, POSE_SIZE)).astype(np.float32)
    pose[:, :3] = UPRIGHT
    betas = random.normal(size=(rows, BETAS_SIZE)).astype(np.float32)
    with torch.no_grad():
        output = body(rotmat_from_pose(torch.from_numpy(pose)), torch.from_numpy(betas))
        joints = body.smpl_54_joints(output).numpy()
    middle = joints[:, :1] - [0, 0, 13.0]
    placed = joints - middle
    pixels = FOCAL * placed[..., :2] / placed[..., 2:] + (WIDTH / 2, HEIGHT / 2)
    folder.mkdir(parents=True, exist_ok=True)
    camera, faces = Camera(FOCAL, (WIDTH / 2, HEIGHT / 2)), body.faces.numpy()
    for row in range(rows):
        image = np.full((HEIGHT, WIDTH, 3), random.integers(60, 200, 3), np.uint8)
        vertices = output.vertices[row].numpy() - middle[row]
        colours = np.full(vertices.shape, random.uniform(0.3, 0.9, 3))
        paint(image, vertices, faces, shade(vertices, faces, colours), camera)
        cv2.imwrite(str(folder / f"{row:03}.png"), image[..., ::-1])
    low, high = pixels.min(1), pixels.max(1)
    size = 1.2 * (high - low).max(1, keepdims=True)
    ones = np.ones((rows, joints.shape[1], 1))
    return Annotations(
        dataset=dataset,
        joints="smpl_54",
        image_path=np.array([f"{row:03}.png" for row in range(rows)]),
        bbox_xywh=np.concatenate([(low + high - size) / 2, size, size], 1).astype(np.float32),
        keypoints2d=np.concatenate([pixels, ones], 2).astype(np.float32),
        keypoints3d=np.concatenate([joints, ones], 2).astype(np.float32),
        pose=pose,
        betas=betas,
        has_smpl=np.ones(rows, bool),
        gender=np.full(rows, "n"),
    )


def write_world(root: Path, recipe: Recipe, rows: int = 8) -> None:
    """All files that the recipe needs, in its formats; sets share their people."""
    annotations = root / "preprocessed_datasets"
    annotations.mkdir(parents=True, exist_ok=True)
    wanted = [(name, dataset.annotations) for name, dataset in recipe.data.mixture.items()]
    wanted.append((recipe.evaluation.dataset, recipe.evaluation.annotations))
    for number, (name, file) in enumerate(wanted):
        made = people(root / "datasets" / name, name, rows, seed=number)
        known = made.has_smpl.copy()
        if name not in ("h36m", recipe.evaluation.dataset):
            known[1::2] = False  # in the wild, a body is not always known
        write_human_data(annotations / file, replace(made, has_smpl=known))
        if name in recipe.data.mixture and (fits := recipe.data.mixture[name].fits):
            (root / "static_fits").mkdir(exist_ok=True)
            np.save(root / "static_fits" / fits, np.concatenate([made.pose, made.betas], 1))
    if recipe.adversary is not None:
        write_human_data(annotations / recipe.adversary.annotations, made)
