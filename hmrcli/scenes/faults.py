"""Faults of real data sets' labels, with stated sizes: bodies fitted to keypoints, and keypoints by hand."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray

from hmrcli.body.joints import COCO_17, COCO_DEVIATIONS, PARENTS
from hmrcli.body.rotations import pose_from_rotmat, rotmat_from_axis_angle, rotmat_from_pose

IN_DEPTH, IN_PLANE = np.radians(11.0), np.radians(4.0)
"""Deviation of a part's turn about each axis of the image, and about the line of sight. Keypoints hold a fitted body
in the image plane and leave it free in depth, where a body fitted as by EFT (Joo et al. 2021) is mostly wrong."""
ENDS = 1.5
"""Factor for wrists, hands, ankles, feet and head, which few keypoints hold."""
FOLLOWS = 0.5
"""Correlation of a part's turn with that of the part it hangs on: a limb leans as a whole."""
SEVERITY = (0.5, 1.5)
"""Factor on all turns of a sample: some fits are good, some are bad."""
SHAPE_KEPT, SHAPE_NOISE = 0.5, 0.4
"""Fits without 3D shrink shapes towards the mean, and what is left is uncertain, in standard deviations."""
FITS_WORSE = 1.6
"""The same for the fits that SPIN starts from (SMPLify's), which training then betters."""

ANNOTATION = 0.01
"""Deviation of fitted sets' keypoints along each axis, as a share of the box's longer side: a pixel or two."""
SWAPPED = 0.03
"""Probability that the sides of arms, legs or both are exchanged, as annotators do for people seen from behind."""

_END_JOINTS = (7, 8, 10, 11, 15, 20, 21, 22, 23)
_ARMS, _LEGS = range(5, 11), range(11, 17)


class Misfit(NamedTuple):
    """Faults of a fit."""

    turns: NDArray[np.float64]
    """(24, 3) of each part as a whole, axis-angle in the camera's frame, radians."""
    betas: NDArray[np.float64]
    """(10,) error of the shape beside its shrinking."""


def draw_misfit(random: Generator, worse: float = 1.0) -> Misfit:
    """Draws what is wrong with a fit; `worse` is a factor on all of it."""
    scale = np.tile([IN_DEPTH, IN_DEPTH, IN_PLANE], (24, 1)) * worse * random.uniform(*SEVERITY)
    scale[list(_END_JOINTS)] *= ENDS
    turns = random.standard_normal((24, 3))
    for joint, parent in enumerate(PARENTS):
        if parent >= 0:
            turns[joint] = FOLLOWS * turns[parent] + np.sqrt(1 - FOLLOWS**2) * turns[joint]
    return Misfit(turns * scale, worse * SHAPE_NOISE * random.standard_normal(10))


def fitted_bodies(
    pose: NDArray[np.float32], betas: NDArray[np.float32], misfits: Sequence[Misfit]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Bodies as fits to the keypoints of their images would have them.

    Args:
        pose: (N, 72) axis-angle, radians, the root's in the camera's frame.
        betas: (N, 10)
        misfits: N.

    Returns:
        pose (N, 72) and betas (N, 10).
    """
    own = rotmat_from_pose(torch.from_numpy(pose).double()).numpy()
    turns = rotmat_from_axis_angle(torch.from_numpy(np.stack([fit.turns for fit in misfits]))).numpy()
    whole = own.copy()
    for joint, parent in enumerate(PARENTS):
        if parent >= 0:
            whole[:, joint] = whole[:, parent] @ own[:, joint]
    turned = turns @ whole
    fitted = turned.copy()
    parents = list(PARENTS[1:])
    fitted[:, 1:] = turned[:, parents].swapaxes(-1, -2) @ turned[:, 1:]
    shape = SHAPE_KEPT * betas + np.stack([fit.betas for fit in misfits])
    return pose_from_rotmat(torch.from_numpy(fitted)).float().numpy(), shape.astype(np.float32)


def measured_keypoints(
    keypoints2d: NDArray[np.float32], side: float, random: Generator
) -> NDArray[np.float32]:
    """Keypoints (54, 3) with the small noise of careful annotation; `side` of the person's box in pixels."""
    noisy = keypoints2d.copy()
    noisy[:, :2] += ANNOTATION * side * random.standard_normal((54, 2))
    return noisy


def annotated_keypoints(
    keypoints2d: NDArray[np.float32], area: float, random: Generator
) -> NDArray[np.float32]:
    """COCO's 17 of the 54 keypoints (54, 3), as its annotators place them; the others have no confidence.

    Args:
        keypoints2d: pixels and confidence.
        area: of the person that is seen, square pixels.
        random: of this sample's faults.
    """
    columns = list(COCO_17.from_54)
    points = keypoints2d[columns]
    # Published for distances in the plane; half of the variance along each axis.
    deviation = np.array(COCO_DEVIATIONS)[:, None] * np.sqrt(area / 2)
    points[:, :2] += deviation * random.standard_normal((17, 2))
    swaps, which = random.random() < SWAPPED, random.integers(3)
    if swaps:
        chosen = [*(_ARMS if which != 1 else ()), *(_LEGS if which != 0 else ())]
        points[chosen] = points[[COCO_17.flip[joint] for joint in chosen]]
    noisy = np.zeros_like(keypoints2d)
    noisy[columns] = points
    return noisy
