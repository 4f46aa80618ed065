"""A motion as a BVH file: centimetres and degrees, y up, one person."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import roma
import torch

from hmrcli.export.axes import steady, turned
from hmrcli.export.skeleton import CHILDREN, DEPTH_FIRST, JOINT_NAMES, Array, Rest, at_rest, tips
from hmrcli.files import write_whole
from hmrcli.motion import Motion

BvhNames = Literal["smpl", "mixamo"]
CENTIMETRES = 100
_POSITIONS = "Xposition Yposition Zposition"
_ROTATIONS = "Zrotation Xrotation Yrotation"
"""Channels of every joint: it turns by Rz Rx Ry."""


def write_bvh(motion: Motion, path: Path, names: BvhNames = "smpl") -> Path:
    """Writes a motion at a constant frame rate, with SMPL's or Mixamo's names of the joints.

    The rest pose is the body's T-pose with no joint turned, so that a joint's channels are SMPL's rotation of it. The
    root's offset is zero and its position that of the pelvis in space.
    """
    placed = turned(steady(motion).motion, "y")
    rest = at_rest(motion.body, motion.betas)
    ends = {joint: CENTIMETRES * tip for joint, tip in tips(motion.body, rest).items()}
    tree = list(_tree(0, 0, JOINT_NAMES[names], rest, ends))
    rows = np.concatenate(
        [
            CENTIMETRES * (rest.joints[0] + placed.transl),
            *(_angles(placed.rotmat[:, joint]) for joint in DEPTH_FIRST),
        ],
        axis=1,
    )
    lines = ["HIERARCHY", *tree, "MOTION", f"Frames: {len(rows)}", f"Frame Time: {1 / motion.fps:.9f}"]
    numbers = io.StringIO()
    np.savetxt(numbers, rows, fmt="%.6f")
    write_whole(path, "\n".join(lines) + "\n" + numbers.getvalue())
    return path


def _tree(
    joint: int, depth: int, names: tuple[str, ...], rest: Rest, ends: dict[int, Array]
) -> Iterator[str]:
    """Writes the lines of a joint and of those below it."""
    outer, inner = "\t" * depth, "\t" * (depth + 1)
    yield f"{outer}{'JOINT' if joint else 'ROOT'} {names[joint]}"
    yield f"{outer}{{"
    yield f"{inner}OFFSET {_numbers(CENTIMETRES * rest.bones[joint])}"
    yield f"{inner}CHANNELS {f'3 {_ROTATIONS}' if joint else f'6 {_POSITIONS} {_ROTATIONS}'}"
    for child in CHILDREN[joint]:
        yield from _tree(child, depth + 1, names, rest, ends)
    if joint in ends:
        yield f"{inner}End Site"
        yield f"{inner}{{"
        yield f"{inner}\tOFFSET {_numbers(ends[joint])}"
        yield f"{inner}}}"
    yield f"{outer}}}"


def _numbers(values: Array) -> str:
    return " ".join(f"{value:.6f}" for value in values)


def _angles(rotmat: Array) -> Array:
    """Returns the angles (F, 3) about z, x and y in degrees, without jumps by a whole turn from frame to frame."""
    angles = roma.rotmat_to_euler("ZXY", torch.from_numpy(rotmat.copy())).numpy()
    return np.degrees(np.unwrap(angles, axis=0))
