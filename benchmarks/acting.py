"""People who move: key poses of the bank in time, and a root that goes where the feet push it.

Poses are joined by straight lines in axis-angle, which stay within the ranges of joints, and a Gaussian in time rounds
the corners. The lowest point of the body is on the floor, and what of the feet is lowest stays where it is: walking,
turning and kicking then need no path. While nothing touches the floor, the body flies a parabola.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hmrcli.scenes.poses import mirrored, read_bank
from hmrcli.scenes.posing import pose_people
from hmrcli.scenes.sample import open_body
from hmrcli.scenes.views import axis_angle, turn

Array = NDArray[np.float64]

RATE = 120
"""Samples a second of what is made here; frames are some of them."""
ROUNDED, CARRIED = 0.035, 0.08
"""Seconds, deviations of Gaussians: over the pose, and over the way along the floor, which mass evens out."""
ROLLING = 0.005
"""Metres above the lowest point of the feet at which another one bears a third of the weight."""
GRAVITY = 9.81
_SOLES = [7, 8, 10, 11]
"""Joints above the places that a foot stands on: heels and balls."""

Key = tuple[float, str]
"""Second, and name of a pose of the bank (`~` before it stands for its mirror image), or a gait and its tenth."""


class Gait(NamedTuple):
    """Legs over a cycle that begins as the left heel strikes: degrees at each tenth of it, the right half later.

    Written by hand after the curves that gait laboratories publish (Winter, *Biomechanics and Motor Control of Human
    Movement*, 2009).
    """

    hip: tuple[float, ...]
    """Flexion."""
    knee: tuple[float, ...]
    """Flexion."""
    ankle: tuple[float, ...]
    """Plantar flexion."""
    upper: str
    """Pose of the bank whose trunk and arms are those at the left heel's strike."""


GAITS = {
    "walk": Gait(
        (28, 25, 15, 4, -6, -11, -4, 14, 27, 31), (5, 16, 17, 10, 6, 12, 36, 60, 54, 25),
        (0, 5, -3, -8, -11, -6, 16, 8, 0, -2), "stride_long",
    ),
    "run": Gait(
        (40, 35, 22, 5, -8, 0, 20, 42, 52, 48), (18, 38, 42, 28, 18, 40, 75, 95, 80, 42),
        (-5, -18, -22, -5, 20, 12, 0, -5, -5, -5), "jog",
    ),
}  # fmt: skip


class Actor(NamedTuple):
    """Somebody's part in a clip."""

    place: tuple[float, float]
    """Where they start: metres to the right of the scene's middle as the camera sees it, and towards the camera."""
    headings: tuple[tuple[float, float], ...]
    """Second, and degrees from facing the camera to facing right."""
    keys: tuple[Key, ...]
    flights: tuple[tuple[float, float], ...] = ()
    """Seconds from and to which nothing touches the floor."""


class Act(NamedTuple):
    """Motion of F frames in upright axes: x right, y up, z towards the viewer, the floor at y = 0."""

    pose: NDArray[np.float32]
    """(F, 72) axis-angle, radians."""
    pelvis: Array
    """(F, 3) metres."""


def steps(gait: str, cycle: float, until: float) -> tuple[Key, ...]:
    """Returns keys of a gait, two steps of which take a cycle (seconds)."""
    return tuple((i * cycle / 10, f"{gait} {i % 10}") for i in range(int(10 * until / cycle) + 2))


def perform(actor: Actor, betas: NDArray[np.float32], seconds: float, fps: int) -> Act:
    """Returns the motion of a body of a shape (10,)."""
    times = np.arange(round(seconds * RATE)) / RATE
    pose = _smoothed(_between(times, actor.keys))
    headings = np.array(actor.headings)
    heading = _smoothed(np.interp(times, *headings.T)[:, None])[:, 0]
    for row, degrees in zip(pose, heading):
        row[:3] = axis_angle(turn([0, np.radians(degrees), 0]) @ turn(row[:3]))
    shapes = np.repeat(betas[None], len(pose), 0)
    vertices, joints = pose_people(pose.astype(np.float32), shapes, np.zeros((len(pose), 3)), open_body())
    aloft = [(times >= start) & (times <= end) for start, end in actor.flights]
    soles = joints[:, _SOLES].astype(np.float64)
    soles[..., 1] -= _sole_heights(betas)
    moved = _ridden(soles, aloft)
    moved = _smoothed(moved, CARRIED) + [actor.place[0], 0, actor.place[1]]
    height = _height(-vertices[..., 1].min(1).astype(np.float64), times, aloft)
    moved[:, 1] = _smoothed(height[:, None], ROUNDED / 2)[:, 0]
    pelvis = joints[:, 0] + moved
    kept = slice(None, None, RATE // fps)
    return Act(pose[kept].astype(np.float32), pelvis[kept])


def _between(times: Array, keys: tuple[Key, ...]) -> Array:
    """Poses (T, 72) on straight lines between keys."""
    columns = np.reshape([_posture(name) for _, name in keys], (len(keys), 72)).T
    return np.stack([np.interp(times, [second for second, _ in keys], column) for column in columns], 1)


def _posture(name: str) -> Array:
    """Pose (24, 3) of a key."""
    gait, _, tenth = name.partition(" ")
    if not tenth:
        bank = read_bank()
        pose = bank.pose[bank.names.index(name.removeprefix("~"))].astype(np.float64)
        return np.asarray(mirrored(pose) if name[0] == "~" else pose)
    hip, knee, ankle, upper = GAITS[gait]
    left = 0.5 + 0.5 * np.cos(int(tenth) / 10 * 2 * np.pi)
    pose = left * _posture(upper) + (1 - left) * _posture(f"~{upper}")
    for side, start in enumerate((int(tenth), int(tenth) + 5)):
        at = start % 10
        for joint, degrees in ((1, -hip[at]), (4, knee[at]), (7, ankle[at])):
            pose[joint + side] = np.radians([degrees, 0, 0])
    return pose


def _smoothed(values: Array, deviation: float = ROUNDED) -> Array:
    """Convolves (T, D) with a Gaussian along time; what lies before the start and after the end goes straight on."""
    reach = int(4 * deviation * RATE)
    weights = np.exp(-0.5 * np.square(np.arange(-reach, reach + 1) / (deviation * RATE)))
    padded = np.pad(values, ((reach, reach), (0, 0)), mode="reflect", reflect_type="odd")
    return np.stack([np.convolve(c, weights / weights.sum(), "valid") for c in padded.T], 1)


def _sole_heights(betas: NDArray[np.float32]) -> Array:
    """Heights (4,) of `_SOLES` above the floor of somebody who stands straight."""
    vertices, joints = pose_people(np.zeros((1, 72)), betas[None], np.zeros((1, 3)), open_body())
    return np.asarray(joints[0, _SOLES, 1] - vertices[0, :, 1].min(), np.float64)


def _ridden(soles: Array, aloft: list[NDArray[np.bool_]]) -> Array:
    """Translations (T, 3) along the floor that keep still what of the soles (T, 4, 3) bears weight."""
    bearing = np.exp(-(soles[..., 1] - soles[..., 1].min(1, keepdims=True)) / ROLLING)
    bearing /= bearing.sum(1, keepdims=True)
    pushed = -np.einsum("ts,tsc->tc", (bearing[1:] + bearing[:-1]) / 2, np.diff(soles, axis=0))
    for flying in aloft:  # at the speed of the take-off
        start = int(np.flatnonzero(flying)[0])
        pushed[flying[1:]] = pushed[max(0, start - RATE // 20) : start].mean(0)
    return np.cumsum(np.concatenate([np.zeros((1, 3)), pushed]), 0)


def _height(standing: Array, times: Array, aloft: list[NDArray[np.bool_]]) -> Array:
    """Translations (T,) upwards: standing, or in flight."""
    height = standing.copy()
    for flying in aloft:
        start, end = times[flying][[0, -1]]
        line = np.interp(times[flying], [start, end], standing[flying][[0, -1]])
        height[flying] = line + GRAVITY / 2 * (times[flying] - start) * (end - times[flying])
    return np.maximum(height, standing)
