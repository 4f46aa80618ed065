"""Legs that follow their feet: hips and knees are turned so that each standing point stays where it stands."""

from typing import NamedTuple

import numpy as np
import roma
import torch
from numpy.typing import NDArray

from hmrcli.body.joints import PARENTS
from hmrcli.motion.contacts import Flags, runs

Array = NDArray[np.float64]

RAMP = 0.15
"""Seconds before and after a foot stands in which its leg comes to its place and leaves it."""
FARTHEST = 0.08
"""Metres that a foot is moved at most; what would ask for more is left to slide."""
_STRETCHED = 1e-3
"""Metres by which a leg stays shorter than its bones."""


class Leg(NamedTuple):
    """Joints of a leg."""

    hip: int
    knee: int
    ankle: int


LEGS = (Leg(1, 4, 7), Leg(2, 5, 8))
"""Left and right: each has two of the four points of the soles."""


def planted(rotmat: Array, joints: Array, soles: Array, contacts: Flags, times: Array) -> Array:
    """Returns rotations (F, 24, 3, 3) of a body whose standing feet neither slide nor leave the floor.

    Feet keep the direction that they have; their legs are bent and turned (two bones in closed form).

    Args:
        rotmat: (F, 24, 3, 3).
        joints: (F, 24, 3) in a world with y up and the floor at y = 0.
        soles: (F, 4, 3) points of the soles, likewise.
        contacts: (F, 4) which of them stand.
        times: (F,) seconds.
    """
    rotmat = rotmat.copy()
    world = _world_rotations(rotmat)
    for k, leg in enumerate(LEGS):
        own = slice(2 * k, 2 * k + 2)
        stands = np.asarray(contacts[:, own].any(1))
        moves = ramped(_moves(soles[:, own], contacts[:, own]), stands, times)
        thigh, shank = _reached(joints[:, list(leg)], world[:, leg.hip], world[:, leg.knee], moves)
        rotmat[:, leg.hip] = world[:, PARENTS[leg.hip]].transpose(0, 2, 1) @ thigh
        rotmat[:, leg.knee] = thigh.transpose(0, 2, 1) @ shank
        rotmat[:, leg.ankle] = shank.transpose(0, 2, 1) @ world[:, leg.ankle]
    return rotmat


def _world_rotations(rotmat: Array) -> Array:
    world = rotmat.copy()
    for joint in range(1, len(PARENTS)):
        world[:, joint] = world[:, PARENTS[joint]] @ rotmat[:, joint]
    return world


def _moves(points: Array, contacts: Flags) -> Array:
    """Returns by how much (F, 3) to move a foot so that its points (F, 2, 3) stay where they stand, on average."""
    moves, counts = np.zeros((len(points), 3)), np.zeros(len(points))
    for k in range(points.shape[1]):
        for first, last in runs(contacts[:, k]):
            run = slice(first, last + 1)
            anchor = points[run, k].mean(0) * [1, 0, 1]
            moves[run] += anchor - points[run, k]
            counts[run] += 1
    moves /= np.maximum(counts, 1)[:, None]
    length = np.linalg.norm(moves, axis=1, keepdims=True)
    return moves * np.minimum(1, FARTHEST / np.maximum(length, 1e-9))


def ramped(moves: Array, stands: Flags, times: Array) -> Array:
    """Lets moves (F, 3) of a foot that stands (F,) begin and end gently in the frames around."""
    known = np.flatnonzero(stands)
    if not len(known):
        return np.zeros_like(moves)
    at = np.searchsorted(known, np.arange(len(times)))
    before, after = known[np.maximum(at - 1, 0)], known[np.minimum(at, len(known) - 1)]
    nearness = []
    for neighbor in (before, after):
        share = np.clip(1 - np.abs(times - times[neighbor]) / RAMP, 0, 1)
        nearness.append(share**2 * (3 - 2 * share))
    total = np.maximum(sum(nearness), 1)
    mixed = sum((w / total)[:, None] * moves[i] for w, i in zip(nearness, (before, after)))
    return np.where(stands[:, None], moves, mixed)


def _reached(joints: Array, thigh: Array, shank: Array, moves: Array) -> tuple[Array, Array]:
    """Turns thigh and shank (F, 3, 3) so that the ankle of hip, knee and ankle (F, 3, 3) moves by (F, 3)."""
    hip, knee, ankle = joints[:, 0], joints[:, 1], joints[:, 2]
    up, down = hip - knee, ankle - knee
    long, short = (np.linalg.norm(bone, axis=1) for bone in (up, down))
    target = ankle + moves - hip
    longest = np.maximum(long + short - _STRETCHED, np.linalg.norm(ankle - hip, axis=1))
    reach = np.clip(np.linalg.norm(target, axis=1), np.abs(long - short) + _STRETCHED, longest)
    angle = np.arccos(np.clip((up * down).sum(1) / (long * short), -1, 1))
    wanted = np.arccos(np.clip((long**2 + short**2 - reach**2) / (2 * long * short), -1, 1))
    # A knee opens about the subject's right; a leg that is straight does not show it, but the thigh does.
    hinge = np.cross(up, down)
    bent = np.linalg.norm(hinge, axis=1, keepdims=True)
    hinge = np.where(bent > 0.05 * (long * short)[:, None], hinge / np.maximum(bent, 1e-9), -thigh[:, :, 0])
    opened = _turn(hinge * (wanted - angle)[:, None])
    there = knee + (opened @ down[..., None])[..., 0] - hip
    axis = np.cross(there, target)
    size = np.linalg.norm(axis, axis=1, keepdims=True)
    swing = np.arctan2(size[:, 0], (there * target).sum(1))
    turned = _turn(axis / np.maximum(size, 1e-12) * swing[:, None])
    return turned @ thigh, turned @ opened @ shank


def _turn(vectors: Array) -> Array:
    return np.asarray(roma.rotvec_to_rotmat(torch.from_numpy(vectors)).numpy())
