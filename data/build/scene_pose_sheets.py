"""Draws the poses of `data/scenes/poses.npz` and of its pools, to look at, and measures how diverse the pools are.

python data/build/scene_pose_sheets.py FOLDER [--draws 1000] [--meshes 50] [SECTION or POOL ...]
"""

import argparse
from pathlib import Path
from typing import Any

import cv2
import numba
import numpy as np
import torch
from numpy.typing import NDArray

from hmrcli.assets.bundled import bundled
from hmrcli.body import load_body
from hmrcli.body.joints import EVALUATION_14_FROM_H36M
from hmrcli.body.rotations import rotmat_from_pose
from hmrcli.evaluation import pa_mpjpe
from hmrcli.render.rasteriser import Camera, paint
from hmrcli.render.shading import shade, vertex_normals
from hmrcli.scenes.poses import POOLS, candidates, collides, draw_pose, read_bank

Array = NDArray[Any]
BODY = load_body("open")
COLUMNS, CELL = 8, 200
DEEP = 0.015
"""Metres below the skin at which a point of a sound body lies inside it once."""


def meshes(pose: Array, chunk: int = 50) -> Array:
    """(N, V, 3) of the mean body in poses (N, 72)."""
    with torch.no_grad():
        return np.concatenate(
            [
                BODY(rotmat_from_pose(torch.from_numpy(part)), torch.zeros(len(part), 10)).vertices.numpy()
                for part in np.array_split(pose, -(-len(pose) // chunk))
            ]
        )


def sheet(pose: Array, names: list[str]) -> Array:
    """Each pose (N, 72) from three quarters and from the side, a little from above."""
    faces = BODY.faces.numpy()
    rows = -(-len(pose) // COLUMNS)
    picture = np.full((rows * CELL, COLUMNS * CELL * 2, 3), 245, np.uint8)
    for index, vertices in enumerate(meshes(pose)):
        row, column = divmod(index, COLUMNS)
        middle = (vertices.min(0) + vertices.max(0)) / 2
        for view in range(2):
            heading = np.radians((-25, -100)[view])
            turn = np.array(
                [[np.cos(heading), 0, np.sin(heading)], [0, 1, 0], [-np.sin(heading), 0, np.cos(heading)]]
            )
            tilt = np.radians(12)
            nod = np.array([[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]])
            placed = (vertices - middle) @ turn.T @ nod.T * (1, -1, -1) + (0, 0, 12)
            centre = ((column * 2 + view + 0.5) * CELL, (row + 0.5) * CELL)
            paint(
                picture,
                placed,
                faces,
                shade(placed, faces, np.array([0.58, 0.73, 0.89])),
                Camera(12 * CELL / 2.3, centre),
                1.0,
                2,
            )
        text = f"{index} {names[index]}"
        cv2.putText(
            picture,
            text,
            (column * 2 * CELL + 4, row * CELL + 12),
            cv2.FONT_HERSHEY_SIMPLEX,
            0.4,
            (0, 0, 0),
            1,
        )
    return picture


def mean_pose_error(pose: Array) -> float:
    """PA-MPJPE of the mean pose in mm, on the 14 joints of evaluation, all bodies the mean body."""
    joints = []
    for part in (pose, pose.mean(0, keepdims=True)):
        vertices = torch.from_numpy(meshes(part))
        joints.append(1000 * BODY.h36m_joints(vertices)[:, list(EVALUATION_14_FROM_H36M)])
    return float(pa_mpjpe(joints[1].expand_as(joints[0]), joints[0]).mean())


@numba.njit(cache=True)
def windings(points: Array, corners: Array) -> Array:
    """How often each point (P, 3) lies inside closed triangles (F, 3, 3) (Jacobson et al. 2013, eq. 5 and 6)."""
    out = np.zeros(len(points))
    for p in range(len(points)):
        px, py, pz = points[p]
        total = 0.0
        for f in range(len(corners)):
            ax, ay, az = corners[f, 0, 0] - px, corners[f, 0, 1] - py, corners[f, 0, 2] - pz
            bx, by, bz = corners[f, 1, 0] - px, corners[f, 1, 1] - py, corners[f, 1, 2] - pz
            cx, cy, cz = corners[f, 2, 0] - px, corners[f, 2, 1] - py, corners[f, 2, 2] - pz
            a, b, c = (
                np.sqrt(ax * ax + ay * ay + az * az),
                np.sqrt(bx * bx + by * by + bz * bz),
                np.sqrt(cx * cx + cy * cy + cz * cz),
            )
            volume = ax * (by * cz - bz * cy) + ay * (bz * cx - bx * cz) + az * (bx * cy - by * cx)
            rest = a * b * c + (ax * bx + ay * by + az * bz) * c
            rest += (bx * cx + by * cy + bz * cz) * a + (cx * ax + cy * ay + cz * az) * b
            total += np.arctan2(volume, rest)
        out[p] = total / (2 * np.pi)
    return out


def doubled(vertices: Array) -> float:
    """Share of the skin (every 16th vertex) below which the body (V, 3) lies within itself, its mesh a coarse one."""
    beneath = (vertices - DEEP * vertex_normals(vertices, BODY.faces.numpy()))[::16]
    with np.load(bundled("body/open_body.npz")) as stored:
        faces = stored["level1_faces"].astype(np.int64)
    corners = vertices[BODY.levels.down[0]].astype(np.float64)[faces]
    return float((windings(beneath, corners) > 1.5).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("only", nargs="*")
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--meshes", type=int, default=50)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    bank = read_bank()
    for section in np.unique(bank.section):
        if options.only and f"bank:{section}" not in options.only:
            continue
        rows = np.flatnonzero(bank.section == section)
        hit = [collides(bank.spheres, pose) for pose in bank.pose[rows]]
        names = [("!! " if h else "") + bank.names[row] for row, h in zip(rows, hit)]
        for first in range(0, len(rows), 40):
            part = rows[first : first + 40]
            image = sheet(bank.pose[part].reshape(-1, 72), names[first : first + 40])
            cv2.imwrite(str(options.folder / f"bank_{section}_{first}.png"), image[..., ::-1])
    for pool in POOLS:
        if options.only and pool not in options.only:
            continue
        random = np.random.default_rng(7)
        pose = np.array([draw_pose(random, pool).pose for _ in range(options.draws)])
        cv2.imwrite(str(options.folder / f"pool_{pool}.png"), sheet(pose[:48], [""] * 48)[..., ::-1])
        hits = np.array(
            [[collides(bank.spheres, c) for c in candidates(random, pool)[0]] for _ in range(options.draws)]
        )
        double = np.array([doubled(v) for v in meshes(pose[: options.meshes])])
        print(
            f"{pool}: PA-MPJPE of the mean pose {mean_pose_error(pose):.1f} mm; candidates refused "
            f"{hits.mean():.1%}, draws that fall back {hits.all(1).mean():.2%}; more than 1 % and 3 % of the skin "
            f"within the body in {(double > 0.01).mean():.1%} and {(double > 0.03).mean():.1%} of {len(double)} meshes"
        )


if __name__ == "__main__":
    main()
