"""Remakes `data/fitting/landmark_offsets.json`: where the landmark network sees each landmark on the body.

What annotators call a hip is not SMPL's hip joint. The open body is rendered in poses by the table of pose_prior.py,
seen from all sides, in plain clothes on blurred colours; the landmark network looks at the renders; and for each
landmark the offset from its joint or vertex that explains its answers best is kept, the same on both sides.

    python data/build/landmark_offsets.py [number of renders]
"""

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import roma
import torch
from pose_prior import table_radians

from hmrcli.body import BodyModel, load_body
from hmrcli.fitting.landmarks import INDICES, NAMES, anchors
from hmrcli.fitting.points import BodyState, body_points, pose_points, world_rotations
from hmrcli.fitting.priors import both_sides
from hmrcli.people import body_landmarks
from hmrcli.render.rasteriser import Camera, paint
from hmrcli.render.shading import shade

TARGET = Path(__file__).parents[1] / "fitting" / "landmark_offsets.json"
SIZE, FOCAL = 512, 900.0
UPPER, LOWER = [3, 6, 9, 13, 14, 16, 17], [0, 1, 2, 4, 5]  # SMPL parts under a shirt, under trousers
SEEN, OUTLIER = 0.6, 0.02  # visibility; metres


def random_state(generator: torch.Generator) -> BodyState:
    prior = both_sides(table_radians())
    angles = prior.usual + 0.6 * prior.spread * torch.randn(23, 3, generator=generator, dtype=torch.float64)
    angles = torch.minimum(torch.maximum(angles, prior.least), prior.greatest)
    turn, tilt = torch.rand(1, generator=generator).item(), torch.randn(1, generator=generator).item()
    views = torch.tensor([[0.25 * tilt, 0, 0], [np.pi, 0, 0], [0, 2 * np.pi * turn, 0]], dtype=torch.float64)
    tilted, upright, turned = roma.rotvec_to_rotmat(views)
    root = tilted @ upright @ turned  # the half turn takes y up to y down
    rotmat = torch.cat([root[None], roma.rotvec_to_rotmat(angles)])
    betas = 0.7 * torch.randn(1, 10, generator=generator, dtype=torch.float64)
    return BodyState(rotmat[None], betas, torch.tensor([[0.0, 0.1, 4.2]], dtype=torch.float64))


def render(body: BodyModel, state: BodyState, random: np.random.Generator) -> np.ndarray:
    vertices = body(state.rotmat.float(), state.betas.float(), state.transl.float()).vertices[0].numpy()
    part = body.weights.argmax(1).numpy()
    rest = body.v_template.numpy()
    colours = np.tile(np.array([0.8, 0.6, 0.5]) * random.uniform(0.5, 1.1), (len(vertices), 1))
    colours[np.isin(part, UPPER)], colours[np.isin(part, LOWER)] = random.uniform(0.05, 0.9, (2, 3))
    head = part == 15
    hair = head & ((rest[:, 1] > rest[head, 1].max() - 0.07) | (rest[:, 2] < rest[head, 2].mean() - 0.02))
    colours[hair] = random.uniform(0.05, 0.3) * np.array([1.0, 0.8, 0.6])
    backdrop = cv2.resize(random.uniform(0.2, 0.8, (5, 5, 3)), (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
    image = (backdrop.clip(0, 1) * 255).astype(np.uint8)
    faces = body.faces.numpy()
    paint(image, vertices, faces, shade(vertices, faces, colours), Camera(FOCAL, (SIZE / 2, SIZE / 2)))
    return image


def offsets(body: BodyModel, count: int) -> dict[str, list[float]]:
    model = body_points(body, anchors())
    joint = model.weights.argmax(1)
    generator, random = torch.Generator().manual_seed(0), np.random.default_rng(0)
    slopes: dict[str, list[np.ndarray]] = {name: [] for name in NAMES}
    shifts: dict[str, list[np.ndarray]] = {name: [] for name in NAMES}
    for _ in range(count):
        state = random_state(generator)
        points = pose_points(model, state).points[0].numpy()
        pixels = FOCAL * points[:, :2] / points[:, 2:] + SIZE / 2
        low, high = pixels.min(0), pixels.max(0)
        seen = body_landmarks(render(body, state, random), np.append(low, high - low)[None], min_score=0.8)
        if not len(seen):
            continue
        frames = world_rotations(model.parents, state.rotmat)[0].numpy()
        for k, (name, index) in enumerate(zip(NAMES, INDICES)):
            if seen.visibility[0, index] > SEEN:  # in metres across the ray, linear in the offset
                slopes[name].append(frames[joint[k], :2])
                shifts[name].append((seen.points2d[0, index] - pixels[k]) * points[k, 2] / FOCAL)
    found = {}
    for name in NAMES:
        if not name.startswith("right"):
            mirror = name.replace("left", "right")
            # The right side's answers, mirrored, speak of the left; the middle's own mirror keeps it in the middle.
            flip = np.array([-1.0, 1.0, 1.0])
            slope = np.concatenate([*slopes[name], *(s * flip for s in slopes[mirror])])
            shift = np.concatenate([*shifts[name], *shifts[mirror]])
            offset = robust_solution(slope, shift)
            error = np.median(np.abs(slope @ offset - shift))
            before = np.median(np.abs(shift))
            print(
                f"{name:16} {len(shift) // 2:4} seen, median distance {before:.4f} -> {error:.4f} m, {offset.round(3)}"
            )
            found[name] = [round(float(value), 4) for value in offset]
    return found


def robust_solution(slope: np.ndarray, shift: np.ndarray) -> np.ndarray:
    weight = np.ones(len(shift))
    for _ in range(20):
        solution = np.linalg.lstsq(slope * weight[:, None], shift * weight, rcond=None)[0]
        weight = 1 / (1 + ((slope @ solution - shift) / OUTLIER) ** 2)
    return solution


if __name__ == "__main__":
    found = offsets(load_body("open"), int(sys.argv[1]) if len(sys.argv) > 1 else 300)
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_text(json.dumps(found, indent=1) + "\n")
