"""Remakes `data/fitting/regressor.safetensors`: reads pictures by the landmark network, and trains on what it says.

    python data/build/regressor.py read open-fitted 0 2250     # rows; parts that were read before are kept
    python data/build/regressor.py read open-fitted 4000 6250
    python data/build/regressor.py footage
    python data/build/regressor.py train

Rows of the open data set are painted anew, labelled with the bodies that were painted. The footage is of people of
Sports2D and Pose2Sim (BSD-3-Clause), at least 10 frames away from what
`benchmarks/frames.yaml` measures, labelled with the bodies that `fit_landmarks` finds. Seeds are fixed; floating
point differs between machines, and with it the weights a little.
"""

import argparse
import os
import tempfile
from collections.abc import Iterator
from math import cos, pi
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import roma
import torch
import yaml
from packages import FOLDER, member
from safetensors.torch import load_file, save_file
from scene_poses import SEEN
from torch import Tensor

from hmrcli.assets.open_sets import OPEN_SETS
from hmrcli.body import BodyModel, load_body
from hmrcli.body.rotations import rotmat_from_pose
from hmrcli.evaluation.metrics import mpjpe, pa_mpjpe
from hmrcli.fitting.fit import fit_landmarks
from hmrcli.fitting.landmarks import attachments
from hmrcli.fitting.points import Attachment, BodyPoints, body_points, world_rotations
from hmrcli.fitting.regressor import (
    Evidence,
    Regressed,
    Regressor,
    both_looks,
    crop_axes,
    evidence,
    mirrored_rotations,
)
from hmrcli.fitting.targets import seen_targets
from hmrcli.inference.photo import Photo
from hmrcli.people import Landmarks, body_landmarks, detect_people
from hmrcli.scenes.labels import render_sample
from hmrcli.scenes.sample import draw_subject
from hmrcli.scenes.splits import SPLITS

TARGET = Path(__file__).resolve().parents[1] / "fitting" / "regressor.safetensors"
PART = 250
"""Rows of a file of the cache."""
HELD_OUT = 12
"""Every so manieth row is not trained on."""
FOOTAGE = [
    ("sports2d", "Sports2D/Demo/demo.mp4"),
    *(("pose2sim", f"Pose2Sim/Demo_SinglePerson/videos/cam0{camera}.mp4") for camera in (1, 2, 3, 4)),
    *(("pose2sim", f"Pose2Sim/Demo_MultiPerson/videos/cam0{camera}.mp4") for camera in (1, 2, 3, 4)),
]
MEASURED = Path(__file__).resolve().parents[2] / "benchmarks" / "frames.yaml"
APART, EVERY = 10, 3
"""Frames between those of the footage and those that are measured, and between one another."""
FOOTAGE_SHARE = 0.15
"""Of the draws."""
STEPS, BATCH, RATE, DECAY, DROPOUT = 2000, 128, 1e-3, 0.02, 0.3
NOISE = 0.01
"""Deviation of what is added to the landmarks: of half a crop, of metres, of probability."""
POINTS, SHAPE = 5.0, 0.02
"""Weights of points (metres) and squared betas beside rotations."""
EXTREMITIES, LITTLE = (10, 11, 22, 23), 0.3
"""Joints of feet and hands, whose turns are hardly seen, and what their rotations count."""
LEAST_SPREAD = 0.03
"""Radians."""


class Examples(NamedTuple):
    """N people as read, twice each, and as they are."""

    features: Tensor
    marks: Tensor
    guess: Tensor
    """See `Evidence`; in two looks each."""
    rotmat: Tensor
    """(N, 2, 24, 3, 3) in crop axes, as it is and mirrored."""
    betas: Tensor
    """(N, 10)"""

    def seen(self) -> Evidence:
        """What the regressor gets."""
        return Evidence(*self[:3])


def examples(found: Landmarks, axes: Tensor, rotmat: Tensor, betas: Tensor) -> Examples:
    """Bodies (N, 24, 3, 3) in the camera's axes beside what was found of them; axes are those of `crop_axes`."""
    in_crop = rotmat.clone()
    in_crop[:, 0] = axes.mT @ rotmat[:, 0]
    return Examples(*evidence(found), torch.stack([in_crop, mirrored_rotations(in_crop)], 1), betas)


def read(split: str, index: int) -> Examples:
    """A row of the open data set; of nobody where the landmark network sees nobody."""
    sample, truth = render_sample(split, index), draw_subject(SPLITS[split], index)
    image = np.asarray(cv2.imdecode(np.frombuffer(sample.jpeg, np.uint8), cv2.IMREAD_COLOR))[..., ::-1]
    boxes = sample.bbox_xywh[None].astype(float)
    found = body_landmarks(np.ascontiguousarray(image), boxes)
    focal, principal = (
        torch.tensor([sample.intrinsics[0, 0]]),
        torch.from_numpy(sample.intrinsics[None, :2, 2]),
    )
    camera = seen_targets(found, boxes, Photo(image).camera)._replace(
        focal_length=focal, principal_point=principal
    )
    rotmat, betas = rotmat_from_pose(torch.from_numpy(truth.pose[None])), torch.from_numpy(truth.betas[None])
    whole = examples(found, crop_axes(found, camera), rotmat, betas)
    return Examples(*(value[found.score > 0.5] for value in whole))


def footage() -> Iterator[Examples]:
    """People of videos whose limbs are seen, with the bodies that are fitted to them."""
    body = load_body("open")
    measured = yaml.safe_load(MEASURED.read_text())
    for package, path in FOOTAGE:
        away_from = np.array([entry["frame"] for entry in measured if entry["member"] == path])
        with tempfile.TemporaryDirectory() as folder:
            video = Path(folder) / "video.mp4"
            video.write_bytes(member(package, path))
            capture, number = cv2.VideoCapture(str(video)), 0
            while (frame := capture.read())[0]:
                if number % EVERY == 0 and np.abs(away_from - number).min() >= APART:
                    yield fitted(body, np.ascontiguousarray(frame[1][..., ::-1]))
                number += 1
            capture.release()


def fitted(body: BodyModel, image: np.ndarray) -> Examples:
    detections = detect_people(image)
    found = body_landmarks(image, detections)
    found = found[np.flatnonzero((found.visibility[:, SEEN] > 0.5).all(1))]
    boxes = np.reshape([d.bbox_xywh for d in detections], (-1, 4))[found.source]
    targets = seen_targets(found, boxes, Photo(image).camera)
    if not len(found):
        return examples(found, torch.zeros(0, 3, 3), torch.zeros(0, 24, 3, 3), torch.zeros(0, 10))
    fit = fit_landmarks(body, targets)
    return examples(found, crop_axes(found, targets), fit.rotmat, fit.betas)


def together(parts: list[Examples]) -> Examples:
    return Examples(*(torch.cat(values).float() for values in zip(*parts)))


def keep(path: Path, found: Examples) -> None:
    """Writes a file of the cache; half a file never has the name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}")
    save_file({name: value.half().contiguous() for name, value in found._asdict().items()}, part)
    part.replace(path)


def read_rows(cache: Path, split: str, first: int, last: int) -> None:
    for start in range(first, last, PART):
        path = cache / f"{split}_{start:06}.safetensors"
        if not path.exists():
            keep(path, together([read(split, index) for index in range(start, min(start + PART, last))]))
            print(path.name, flush=True)


def points_of(model: BodyPoints, rotmat: Tensor, betas: Tensor) -> Tensor:
    """(N, P, 3) points of posed bodies about the pelvis: `pose_points` without its derivatives."""
    world = world_rotations(model.parents, rotmat)
    joints = model.joints + torch.einsum("jck,bk->bjc", model.joint_dirs, betas)
    parents = list(model.parents[1:])
    bones = joints[:, 1:] - joints[:, parents]
    posed = torch.einsum("ja,bax->bjx", model.subtree[1:].T, (world[:, parents] @ bones[..., None])[..., 0])
    shifts = posed - (world @ joints[..., None])[..., 0]
    carried = model.carried + torch.einsum("njck,bk->bnjc", model.carried_dirs, betas)
    points = torch.einsum("bjxy,bnjy->bnx", world, carried)
    return points + torch.einsum("nj,bjx->bnx", model.weights, shifts)


def compared_points(body: BodyModel) -> BodyPoints:
    """The 24 joints, the landmarks and some of the skin."""
    joints = [Attachment(joint=joint) for joint in range(24)]
    skin = [Attachment(vertex=vertex) for vertex in range(0, body.num_vertices, 200)]
    return body_points(body, [*joints, *attachments(), *skin], torch.float32)


def loss(model: BodyPoints, found: Regressed, rotmat: Tensor, betas: Tensor) -> Tensor:
    counts = torch.ones(24)
    counts[list(EXTREMITIES)] = LITTLE
    turns = (counts * (found.rotmat - rotmat).abs().mean((2, 3))).mean()
    points = points_of(model, *found) - points_of(model, rotmat, betas)
    return turns + POINTS * points.norm(dim=-1).mean() + SHAPE * (found.betas - betas).square().mean()


def train(pictures: Examples, filmed: Examples, held_out: Examples) -> Regressor:
    torch.manual_seed(0)
    model, network = compared_points(load_body("open")), Regressor(DROPOUT)
    optimiser = torch.optim.AdamW(network.parameters(), RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: min(1, (step + 1) / 100) * (1 + cos(pi * step / STEPS)) / 2
    )
    for step in range(STEPS):
        looks = together(
            [draw(pictures, BATCH - round(FOOTAGE_SHARE * BATCH)), draw(filmed, round(FOOTAGE_SHARE * BATCH))]
        )
        marks = looks.marks + NOISE * torch.randn_like(looks.marks)
        value = loss(model, network.train()(looks.seen()._replace(marks=marks)), looks.rotmat, looks.betas)
        optimiser.zero_grad()
        value.backward()
        optimiser.step()
        schedule.step()
        if (step + 1) % (STEPS // 10) == 0:
            network.eval()
            print(step + 1, f"loss {value.item():.3f},", score(model, network, held_out), flush=True)
    return network


def draw(among: Examples, count: int) -> Examples:
    """Single looks at random people."""
    row, look = torch.randint(len(among.betas), (count,)), torch.randint(2, (count,))
    features, marks, guess, rotmat = (value[row, look] for value in among[:4])
    return Examples(features, marks, guess, rotmat, among.betas[row])


def measure_spread(network: Regressor, held_out: Examples) -> None:
    """Stores how far the network is off, by the middle of its errors: few of them are far larger."""
    with torch.inference_mode():
        found = both_looks(network, held_out.seen())
    pose, truth = (roma.rotmat_to_rotvec(r[:, 1:]) for r in (found.rotmat, held_out.rotmat[:, 0]))
    network.pose_spread.copy_(deviation(pose - truth).clamp(min=LEAST_SPREAD))
    network.shape_spread.copy_(deviation(found.betas - held_out.betas))


def deviation(errors: Tensor) -> Tensor:
    """The normal distribution's, by the median of absolute errors (N, ...)."""
    return 1.4826 * errors.abs().median(0).values


def score(model: BodyPoints, network: Regressor, held_out: Examples) -> str:
    with torch.inference_mode():
        found = both_looks(network, held_out.seen())
        ours = 1000 * points_of(model, *found)
        theirs = 1000 * points_of(model, held_out.rotmat[:, 0], held_out.betas)
    joints = ours[:, :24], theirs[:, :24]
    skin = (ours - theirs).norm(dim=-1)[:, 24 + len(attachments()) :].mean()
    return f"PA-MPJPE {pa_mpjpe(*joints).mean():.1f}, MPJPE {mpjpe(*joints).mean():.1f}, skin {skin:.1f} mm"


def cached(cache: Path, pattern: str) -> Examples:
    return together([Examples(**load_file(path)) for path in sorted(cache.glob(pattern))])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cache", type=Path, default=FOLDER / "regressor")
    stages = parser.add_subparsers(dest="stage", required=True)
    rows = stages.add_parser("read")
    rows.add_argument("split", choices=[name for name, part in OPEN_SETS.items() if part.training])
    rows.add_argument("first", type=int)
    rows.add_argument("last", type=int)
    stages.add_parser("footage")
    stages.add_parser("train")
    arguments = parser.parse_args()
    if arguments.stage == "read":
        read_rows(arguments.cache, arguments.split, arguments.first, arguments.last)
    elif arguments.stage == "footage":
        keep(arguments.cache / "footage.safetensors", together(list(footage())))
    else:
        read, filmed = cached(arguments.cache, "open-*"), cached(arguments.cache, "footage*")
        last = torch.arange(len(read.betas)) % HELD_OUT == 0
        pictures, held_out = (Examples(*(value[rows] for value in read)) for rows in (~last, last))
        print(
            f"{len(pictures.betas)} people of pictures, {len(filmed.betas)} of footage, {len(held_out.betas)} held out"
        )
        network = train(pictures, filmed, held_out)
        measure_spread(network, held_out)
        weights = {name: value.half() for name, value in network.state_dict().items()}
        part = TARGET.with_suffix(".part")
        save_file(weights, part)
        part.chmod(0o644)
        part.replace(TARGET)


if __name__ == "__main__":
    main()
