"""Poses of the open data set: mixtures of key poses within the ranges of human joints.

The bank (`data/build/scene_poses.py`) holds poses written by hand and poses seen in footage, each in one section. A
draw takes legs, torso and either arm from one or several entries of its pool's sections, or from between two of them,
turns joints a little, and keeps the first of a few candidates whose limbs do not pass through the body.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hmrcli.assets.bundled import bundled
from hmrcli.body.joints import SMPL_24

Array = NDArray[Any]


class Mixture(NamedTuple):
    """Rule by which a pool goes beyond its bank."""

    sections: tuple[str, ...]
    """Of the bank; training and tests share none."""
    mixing: float
    """Share of torsos and arms that come from another entry than the legs."""
    between: float
    """Share of parts that lie between two entries."""
    turning: float
    """Greatest deviation of a joint, in that of the prior; each candidate has its own, evenly from 0."""


POOLS = {
    "studio": Mixture(("studio",), mixing=0.15, between=0.5, turning=0.3),
    "train": Mixture(("studio", "train", "footage"), mixing=0.35, between=0.5, turning=0.7),
    "test": Mixture(("test",), mixing=0.35, between=0.5, turning=0.7),
    "wild": Mixture(("wild",), mixing=0.25, between=0.3, turning=0.9),
}

CANDIDATES = 6
"""Made at once, for that costs little more than one."""

UPRIGHT = 0.5
"""Radians between two roots beyond which nothing lies between them: nobody stands halfway to lying."""

PART = np.array([0, 0, 0, 1, 0, 0, 1, 0, 0, 1, 0, 0, 1, 2, 3, 1, 2, 3, 2, 3, 2, 3, 2, 3])
"""Of each joint: legs with the root, torso, left arm, right arm."""

_TOGETHER = np.array([0, 1, 2, 3, 4, 5, 3, 7, 8, 3, 10, 11, 12, 13, 14, 12, 16, 17, 18, 19, 20, 21, 22, 23])
"""The joint whose chance each joint shares: a back bends as one, and so does a neck."""

_MIRROR = np.array([1, -1, -1], np.float32)


@dataclass(frozen=True)
class Posture:
    """Posture of a body."""

    pose: NDArray[np.float32]
    """(72,) axis-angle, radians; the root's from an upright frame: y up, the front towards +z."""
    grounded: bool
    """True where the lowest point touches the floor."""


class Spheres(NamedTuple):
    """The mean body as spheres that move with its joints (S)."""

    bones: Array
    """(24, 3) from each joint's parent to it at rest, metres."""
    joint: Array
    """(S,)"""
    center: Array
    """(S, 3) from the joint at rest."""
    squared_gap: Array
    """(S, S) least squared distance of centers; 0 for neighbours, which always touch."""


class Bank(NamedTuple):
    """Contents of the file."""

    names: tuple[str, ...]
    section: Array
    """(N,) str"""
    pose: Array
    """(N, 24, 3) float32"""
    floating: Array
    """(N,) bool"""
    least: Array
    """(24, 3) ranges of the joints; infinite for the root."""
    greatest: Array
    spread: Array
    """(24, 3) how far joints usually turn; for the root how far a posture leans."""
    spheres: Spheres


@cache
def read_bank() -> Bank:
    """Reads the bundled bank."""
    with np.load(bundled("scenes/poses.npz")) as stored:
        spheres = Spheres(*(stored[name] for name in ("bones", "joint", "centre", "squared_gap")))
        names = tuple(stored["names"].tolist())
        fields = ("section", "pose", "floating", "least", "greatest", "spread")
        return Bank(names=names, spheres=spheres, **{name: stored[name] for name in fields})


@cache
def _members(pool: str) -> tuple[Array, Array]:
    """(2M, 24, 3) entries of a pool and then their mirror images, (2M,) whether they float."""
    bank = read_bank()
    of_pool = np.isin(bank.section, POOLS[pool].sections)
    pose, floating = bank.pose[of_pool], bank.floating[of_pool]
    return np.concatenate([pose, mirrored(pose)]), np.concatenate([floating, floating])


def mirrored(pose: Array) -> Array:
    """Poses (..., 24, 3) as a mirror shows them."""
    return pose[..., list(SMPL_24.flip), :] * _MIRROR


def draw_pose(random: np.random.Generator, pool: str) -> Posture:
    """A posture of a pool, one of `POOLS`.

    Where every candidate passes through itself, an entry of the bank stands in, and no entry does.
    """
    spheres = read_bank().spheres
    for pose, floating in zip(*candidates(random, pool), strict=True):
        if not collides(spheres, pose):
            return Posture(pose.reshape(72), not floating)
    members, floats = _members(pool)
    entry = random.integers(len(members))
    return Posture(members[entry].reshape(72).copy(), not floats[entry])


def candidates(random: np.random.Generator, pool: str) -> tuple[Array, Array]:
    """(C, 24, 3) float32 poses within the ranges of the joints, and (C,) whether they float.

    Axis-angle vectors are blended as they are: their ranges are boxes, so what lies between two poses within them
    lies within them too.
    """
    bank, mixture, (members, floats) = read_bank(), POOLS[pool], _members(pool)
    entries = random.integers(len(members), size=(CANDIDATES, 2, 4))
    own = random.random((CANDIDATES, 2, 3)) < mixture.mixing
    entries[..., 1:] = np.where(own, entries[..., 1:], entries[..., :1])
    share = random.random((CANDIDATES, 4)) * (random.random((CANDIDATES, 4)) < mixture.between)
    turning = mixture.turning * random.random((CANDIDATES, 1, 1))
    turns = random.standard_normal((CANDIDATES, 24, 3), np.float32)[:, _TOGETHER]

    leans = np.linalg.norm(members[entries[:, 0, 0], 0] - members[entries[:, 1, 0], 0], axis=1)
    share[leans > UPRIGHT, 0] = 0

    joint = np.arange(24)
    first, second = members[entries[:, 0][:, PART], joint], members[entries[:, 1][:, PART], joint]
    pose = first + share[:, PART, None] * (second - first) + turning * bank.spread * turns
    nearest = entries[np.arange(CANDIDATES), (share[:, 0] > 0.5).astype(int), 0]
    return np.clip(pose, bank.least, bank.greatest).astype(np.float32), floats[nearest]


def sphere_places(spheres: Spheres, pose: Array) -> Array:
    """Finds the centers (S, 3) of a body's spheres in a pose (24, 3), its root at the origin."""
    from hmrcli.scenes.posing_kernels import chain

    local, turns, places = np.empty((24, 3, 3)), np.zeros((24, 3, 3)), np.zeros((24, 3))
    chain(pose, spheres.bones, local, turns, places)
    return np.asarray(places[spheres.joint] + np.einsum("sab,sb->sa", turns[spheres.joint], spheres.center))


def collides(spheres: Spheres, pose: Array) -> bool:
    """Tells whether a limb of the mean body in a pose (24, 3) passes through another part."""
    at = sphere_places(spheres, pose)
    return bool((np.square(at[:, None] - at).sum(-1) < spheres.squared_gap).any())
