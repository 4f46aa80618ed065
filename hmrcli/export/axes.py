"""Motions turned into the axes of a file, and put on a steady clock."""

from dataclasses import replace
from typing import Literal, NamedTuple

import numpy as np
import roma
import torch
from numpy.typing import NDArray

from hmrcli.export.skeleton import at_rest
from hmrcli.motion import Motion

Array = NDArray[np.floating]

_TO_Y_UP = {"-y": np.diag([1.0, -1.0, -1.0]), "y": np.eye(3)}
"""Rotation of a motion's axes, by what points up in them, to x right, y up, z towards the viewer."""
_Y_TO_Z_UP = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
"""To x right, y away from the viewer, z up."""
STEADY = 0.01
"""Of a frame: clocks that differ by less are one."""


def rotation_to(up: Literal["y", "z"], motion: Motion) -> Array:
    """Returns the rotation (3, 3) from a motion's axes to those of a file whose `up` axis points up."""
    if motion.up not in _TO_Y_UP:
        raise ValueError(f"a motion with {motion.up} up, expected {' or '.join(_TO_Y_UP)}")
    turn = _TO_Y_UP[motion.up]
    return _Y_TO_Z_UP @ turn if up == "z" else turn


def turned(motion: Motion, up: Literal["y", "z"]) -> Motion:
    """Returns the motion in the axes of a file.

    The body turns about its root joint, which lies off the origin: `transl` takes up the difference.
    """
    turn, root = rotation_to(up, motion), at_rest(motion.body, motion.betas).joints[0]
    rotmat = motion.rotmat.astype(float)
    rotmat[:, 0] = turn @ rotmat[:, 0]
    return replace(motion, rotmat=rotmat, transl=(motion.transl + root) @ turn.T - root, up=up)


class Steady(NamedTuple):
    """A motion whose frames follow each other at one rate, none absent."""

    motion: Motion
    observed: NDArray[np.bool_]
    """(F,) True where somebody was seen in that frame; the rest lies between those before and after."""


def steady(motion: Motion) -> Steady:
    """Puts a motion on a clock of `fps` frames a second, from its first frame to its last.

    Rotations are interpolated along the shorter arc, places along a line. A motion that keeps that clock stays as it
    is.
    """
    start, count = motion.times[0], round((motion.times[-1] - motion.times[0]) * motion.fps) + 1
    times = start + np.arange(count) / motion.fps
    if count == len(motion.times) and np.abs(times - motion.times).max() * motion.fps < STEADY:
        return Steady(motion, np.ones(count, bool))
    after = np.searchsorted(motion.times, times).clip(1, len(motion.times) - 1)
    before = after - 1
    span = motion.times[after] - motion.times[before]
    share = ((times - motion.times[before]) / span).clip(0, 1)
    nearest = np.where(share < 0.5, before, after)

    def between(values: Array) -> Array:
        weight = share.reshape(-1, *[1] * (values.ndim - 1))
        return values[before] * (1 - weight) + values[after] * weight

    first, second = (torch.from_numpy(motion.rotmat[index].astype(float)) for index in (before, after))
    arc = roma.rotmat_to_rotvec(first.mT @ second) * torch.from_numpy(share)[:, None, None]
    observed = np.abs(motion.times[nearest] - times) * motion.fps <= 0.5
    return Steady(
        replace(
            motion,
            frames=motion.frames[0] + np.arange(count),
            times=times,
            rotmat=(first @ roma.rotvec_to_rotmat(arc)).numpy(),
            transl=between(motion.transl),
            bbox_xywh=between(motion.bbox_xywh),
            scores=between(motion.scores),
            joints_visibility=between(motion.joints_visibility),
        ),
        observed,
    )
