"""The people of the open data set before anything is painted: who each row is about, and bodies for all rows.

Random numbers of different purposes come from different generators, so that one can be had without the others.
"""

from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from hmrcli.scenes.faults import FITS_WORSE, draw_misfit, fitted_bodies
from hmrcli.scenes.poses import draw_pose
from hmrcli.scenes.splits import SPLITS, Split
from hmrcli.scenes.views import View, axis_angle, draw_view, turn

Purpose = Literal["person", "look", "surroundings", "faults", "fits", "subject", "subject_look", "room"]
_PURPOSES: tuple[Purpose, ...] = get_args(Purpose)

LARGEST_BETA = 2.5
"""Standard deviations of the body's shape: beyond them it was never fitted to anybody."""


class Subject(NamedTuple):
    """The person with the labels and the camera that looks at it."""

    pose: NDArray[np.float32]
    """(72,) axis-angle, radians; the root's in the camera's frame."""
    betas: NDArray[np.float32]
    """(10,)"""
    grounded: bool
    number: int | None
    """Of the studio's persons."""
    view: View


def generator(split: Split, index: int, purpose: Purpose, person: int = 0) -> Generator:
    """Random numbers of one purpose of one row, and of one of the people in it.

    The stream stands last and is never zero, because numpy takes seeds that differ in trailing zeros for equal.
    """
    return np.random.default_rng([index, person, _PURPOSES.index(purpose), split.stream])


def draw_subject(split: Split, index: int) -> Subject:
    """Draws the main person of a row, without what takes time."""
    random = generator(split, index, "person")
    view = draw_view(split, random)
    pose, grounded = draw_posture(split, view, random)
    if split.subjects is None:
        return Subject(pose, draw_betas(random), grounded, None, view)
    number = int(random.integers(split.subjects))
    return Subject(pose, draw_betas(generator(split, number, "subject")), grounded, number, view)


def draw_posture(split: Split, view: View, random: Generator) -> tuple[NDArray[np.float32], bool]:
    """A pose (72,) that faces anywhere, in the camera's frame, and whether it is on the ground."""
    posture = draw_pose(random, split.pool)
    pose = np.array(posture.pose, np.float32)
    heading = turn([0, random.uniform(0, 2 * np.pi), 0])
    pose[:3] = axis_angle(view.rotation @ heading @ turn(pose[:3]))
    return pose, bool(posture.grounded)


def draw_betas(random: Generator) -> NDArray[np.float32]:
    """A shape (10,)."""
    return np.clip(random.standard_normal(10), -LARGEST_BETA, LARGEST_BETA).astype(np.float32)


def true_bodies(split_name: str, rows: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Draws poses (rows, 72) and shapes (rows, 10) of the people of a set's first rows, without painting them."""
    subjects = [draw_subject(SPLITS[split_name], index) for index in range(rows)]
    return np.stack([each.pose for each in subjects]), np.stack([each.betas for each in subjects])


def first_fits(split_name: str, rows: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Makes what SPIN starts from: for each of a part's first rows a body fitted worse than any label is."""
    split = SPLITS[split_name]
    misfits = [draw_misfit(generator(split, index, "fits"), FITS_WORSE) for index in range(rows)]
    return fitted_bodies(*true_bodies(split_name, rows), misfits)
