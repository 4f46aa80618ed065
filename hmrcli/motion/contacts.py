"""Feet on the floor: points of the soles, and in which frames they stand still."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from hmrcli.body import BodyModel
from hmrcli.body.joints import SMPL_24
from hmrcli.motion.motion import Motion

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

POINTS = ("left_heel", "left_ball", "right_heel", "right_ball")
"""Of the soles."""
SLOW = 0.35
"""Metres a second: slower points of a sole may stand on the floor."""
ALONG_RAY = 0.3
"""Share of the speed along the ray of sight that counts: depth shakes more than the place in the picture."""
LOW = 0.08
"""Metres above or below the floor within which a point may stand on it."""
SHORTEST = 0.08
"""Seconds: whatever stands for less time does not stand."""
SEEN = 0.3
"""Visibility of an ankle below which nothing is known of its foot."""
_BATCH = 64
_SOLE = 0.01
"""Metres above the lowest vertex of a foot in rest that belong to its sole."""


class Stance(NamedTuple):
    """What tells the floor of a person, in the motion's space, metres."""

    soles: Array
    """(F, 4, 3) points of the soles."""
    center: Array
    """(F, 3) middle of the skin, near the center of mass."""
    joints: Array
    """(F, 24, 3)."""


def stance(motion: Motion) -> Stance:
    """Poses a motion."""
    picked = _sole_vertices(motion.body)
    soles, centers, joints = [], [], []
    for start in range(0, len(motion.frames), _BATCH):
        part = slice(start, start + _BATCH)
        rotmat, transl = (torch.from_numpy(values[part]) for values in (motion.rotmat, motion.transl))
        with torch.inference_mode():
            posed = motion.body(rotmat, torch.from_numpy(motion.betas).expand(len(rotmat), -1), transl)
        soles.append(torch.stack([posed.vertices[:, rows].mean(1) for rows in picked], 1))
        centers.append(posed.vertices.mean(1))
        joints.append(posed.joints)
    return Stance(*(torch.cat(values).double().numpy() for values in (soles, centers, joints)))


def _sole_vertices(body: BodyModel) -> list[NDArray[np.int64]]:
    """Finds the vertices of heels and balls by the body at rest: y is up, z to the front."""
    rest, parts = body.v_template.cpu().numpy(), body.parts.cpu().numpy()
    picked = []
    for side in ("left", "right"):
        foot = np.isin(parts, [SMPL_24.names.index(f"{side}_{name}") for name in ("ankle", "foot")])
        back, front = rest[foot, 2].min(), rest[foot, 2].max()
        along = (rest[:, 2] - back) / (front - back)
        for part in (along < 0.35, (along > 0.5) & (along < 0.85)):
            lowest = rest[foot & part, 1].min()
            picked.append(np.flatnonzero(foot & part & (rest[:, 1] < lowest + _SOLE)))
    return picked


def standing(points: Array, motion: Motion, heights: Array | None = None) -> Flags:
    """Tells which points of the soles stand still, (F, 4).

    Args:
        points: (F, 4, 3) in the axes of the camera.
        motion: of their person, for times and what was seen.
        heights: (F, 4) metres above the floor, where it is known.
    """
    if len(points) < 3:
        return np.zeros(points.shape[:2], bool)
    seconds = np.maximum(np.diff(motion.times), 1e-3)  # clips may repeat a time
    velocity = np.gradient(points, np.concatenate([[0], seconds.cumsum()]), axis=0)
    ray = points / np.linalg.norm(points, axis=2, keepdims=True)
    along = (velocity * ray).sum(2, keepdims=True)
    speed = np.linalg.norm(velocity - (1 - ALONG_RAY) * along * ray, axis=2)
    ankles = [SMPL_24.names.index(f"{name.split('_')[0]}_ankle") for name in POINTS]
    still = (speed < SLOW) & (motion.joints_visibility[:, ankles] >= SEEN)
    if heights is not None:
        still &= np.abs(heights) < LOW
    for column in still.T:
        for first, last in runs(column):
            if motion.times[last] - motion.times[first] < SHORTEST:
                column[first : last + 1] = False
    return still


def runs(column: Flags) -> Iterator[tuple[int, int]]:
    """Yields the first and the last frame of each run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], column, [False]]).astype(int)))
    return ((int(first), int(end) - 1) for first, end in zip(edges[::2], edges[1::2]))


def sliding(points: Array, contacts: Flags) -> Array:
    """Returns how far points (F, 4, 3) that stand (F, 4) move along the floor from one frame to the next, (K,) metres.

    In their world, y points up.
    """
    moved = np.diff(points, axis=0)[..., [0, 2]]
    return np.linalg.norm(moved, axis=2)[contacts[1:] & contacts[:-1]]
