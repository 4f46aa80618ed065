"""People in a world with a floor, for a camera that stands still.

The axis y points up, feet stand at y = 0 without sliding, and nobody jumps in depth.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from hmrcli.motion.chain import Chain, linked
from hmrcli.motion.contacts import Flags, Stance, sliding, stance, standing
from hmrcli.motion.floor import Floor, find_floor, upward
from hmrcli.motion.legs import planted
from hmrcli.motion.motion import Motion

Array = NDArray[np.float64]

ACROSS, ALONG = 0.02, 0.15
"""Metres by which a body is off across the ray of sight and along it, a thirtieth of a second long."""
SLIDE, LIFT = 0.001, 0.004
"""Metres by which a standing point moves from one frame to the next, and is off the floor."""
SWAY = 0.5
"""(m/s²)²/Hz: spectral density of accelerations by which bodies are moved."""
GAP = 0.5
"""Seconds; over longer gaps nothing is held."""
STRAY = 0.4
"""Of the points that stand still: if more are not on the floor, there is no one floor."""
MOVED = (
    "the camera moves: places in the world are not to be trusted; --world is for a camera that stands still"
)
_THIRTIETH = 1 / 30


class World(NamedTuple):
    """People in one world: metres, y up, the floor at y = 0, below the first person's first frame its origin."""

    motions: list[Motion]
    """In the world's axes, `up` being `y`."""
    rotation: Array
    """(3, 3) from the camera's axes to the world's."""
    camera_place: Array
    """(3,) of the camera in the world, metres."""
    contacts: list[Flags]
    """Of each motion (F, 4): which of `contacts.POINTS` stand on the floor."""
    sliding_before: float
    """Millimetres that a standing point moves along the floor from one frame to the next, mean; nan if none stands."""
    sliding_after: float
    unevenness: float
    """Millimetres that standing points were off the floor, root mean square; nan if none stands."""
    notes: tuple[str, ...]
    """What the user should know, in whole sentences."""


def to_world(motions: Sequence[Motion], camera_moved: bool = False) -> World:
    """Puts people whom one still camera saw into a world with a floor, and holds their feet where they stand.

    Args:
        motions: in the camera's space, one or more.
        camera_moved: True where the background says so (`CameraWatch`); then a note does, too.

    Raises:
        ValueError: there is none, or one is in a world already.
    """
    if not motions or any(motion.up != "-y" for motion in motions):
        raise ValueError("motions of one camera, in its space, are put into a world")
    stances = [stance(motion) for motion in motions]
    floor, contacts, stray = _ground(motions, stances)
    rotation = _axes(floor.up)
    first = motions[0].transl[0].astype(float)
    # The origin is the place of the floor below the first person.
    origin = first - floor.above(first) * floor.up
    placed, befores, afters = [], [], []
    for motion, one, stands in zip(motions, stances, contacts):
        soles = (one.soles - origin) @ rotation.T
        rays = motion.transl / np.linalg.norm(motion.transl, axis=1, keepdims=True) @ rotation.T
        shift = held_still(soles, stands, motion.times, rays)
        held = _moved(motion, rotation, origin, shift)
        joints = (one.joints - origin) @ rotation.T + shift[:, None]
        legs = planted(held.rotmat.astype(float), joints, soles + shift[:, None], stands, motion.times)
        placed.append(replace(held, rotmat=legs.astype(np.float32)))
        befores.append(sliding(soles, stands))
        afters.append(sliding(stance(placed[-1]).soles, stands))
    before, after = (1000 * _mean(np.concatenate(values)) for values in (befores, afters))
    return World(
        motions=placed,
        rotation=rotation,
        camera_place=-rotation @ origin,
        contacts=contacts,
        sliding_before=before,
        sliding_after=after,
        unevenness=1000 * floor.error,
        notes=(MOVED,) if camera_moved else _notes(floor, stray),
    )


def _ground(motions: Sequence[Motion], stances: Sequence[Stance]) -> tuple[Floor, list[Flags], float]:
    """Finds floor and contacts in turn: what stands still first, then what does so near the floor.

    Returns:
        both, and the share of what stands still that is not near the floor.
    """
    soles, times = [one.soles for one in stances], [motion.times for motion in motions]
    still = contacts = [standing(points, motion) for points, motion in zip(soles, motions)]
    guess = upward(stances, contacts)
    floor = find_floor(soles, contacts, times, guess)
    for _ in range(2):
        contacts = [standing(p, motion, floor.above(p)) for p, motion in zip(soles, motions)]
        floor = find_floor(soles, contacts, times, guess)
    count, near = (sum(int(stands.sum()) for stands in each) for each in (still, contacts))
    return floor, contacts, 1 - near / max(count, 1)


def _notes(floor: Floor, stray: float) -> tuple[str, ...]:
    if np.isnan(floor.error):
        return ("no foot was seen to stand: the floor is a guess, at the lowest foot",)
    if stray > STRAY:
        cause = "the camera moved, or the ground is not level; places in the world are not to be trusted"
        return (f"{stray:.0%} of what stood still is not on one floor: {cause}",)
    return ()


def _axes(up: Array) -> Array:
    """Returns the rotation (3, 3) from the camera's axes to x right, y up and z towards the camera."""
    right = np.array([1.0, 0, 0]) - up[0] * up
    right /= np.linalg.norm(right)
    return np.stack([right, up, np.cross(right, up)])


def _mean(values: Array) -> float:
    return float(values.mean()) if len(values) else float("nan")


def held_still(soles: Array, contacts: Flags, times: Array, rays: Array) -> Array:
    """Returns by how much to move a body in each frame (F, 3), so that standing feet stay on the floor in their place.

    Least squares over all frames: standing points neither slide nor leave the floor, no point sinks into it, the
    body stays where the picture shows it, rather than how far away, and what moves it does so smoothly.

    Args:
        soles: (F, 4, 3) points, y up, the floor at y = 0.
        contacts: (F, 4) which of them stand.
        times: (F,) seconds.
        rays: (F, 3) from the camera to the body, of length 1.
    """
    count = len(soles)
    if count < 3:
        lowest = np.where(contacts, soles[..., 1], np.inf).min(1)
        return np.where(contacts.any(1), -lowest, 0)[:, None] * np.array([0, 1.0, 0])
    seconds = np.maximum(np.diff(times), 1e-3)
    sunk = np.zeros_like(contacts)
    for _ in range(3):
        chain = _holding(soles, contacts, sunk, seconds, rays)
        shift = chain.step().numpy()
        sinks = sunk | (~contacts & (soles[..., 1] + shift[:, None, 1] < -LIFT))
        if (sinks == sunk).all():
            break
        sunk = sinks
    return shift


def _holding(soles: Array, contacts: Flags, sunk: Flags, seconds: Array, rays: Array) -> Chain:
    """Returns the least squares problem of `held_still` around no movement at all."""
    count, eye, level = len(soles), np.eye(3), np.diag([1.0, 0, 1.0])
    share = np.gradient(np.concatenate([[0], seconds.cumsum()])) / _THIRTIETH
    depth = rays[:, :, None] * rays[:, None]
    own = (share[:, None, None]) * ((eye - depth) / ACROSS**2 + depth / ALONG**2)
    gradient = np.zeros((count, 3))
    on_floor = contacts | sunk
    own[:, 1, 1] += on_floor.sum(1) / LIFT**2
    gradient[:, 1] += (on_floor * soles[..., 1]).sum(1) / LIFT**2

    both = contacts[1:] & contacts[:-1] & (seconds <= GAP)[:, None]
    pull = np.einsum("fk,fkx->fx", both, np.diff(soles, axis=0)) @ level / SLIDE**2
    tie = both.sum(1)[:, None, None] * level / SLIDE**2
    gradient[1:] += pull
    gradient[:-1] -= pull
    own[1:] += tie
    own[:-1] += tie

    smooth = _swaying(count, torch.from_numpy(seconds))
    return smooth._replace(
        gradient=smooth.gradient + torch.from_numpy(gradient),
        own=smooth.own + torch.from_numpy(own),
        next=smooth.next - torch.from_numpy(tie),
    )


def _swaying(count: int, seconds: torch.Tensor) -> Chain:
    """Returns ½ ∫ |acceleration|² / SWAY dt of a movement that is nothing as yet."""
    eye = torch.eye(3, dtype=torch.float64)
    rate = (1 / seconds)[:, None, None] * eye
    parts = rate[:-1], -rate[1:] - rate[:-1], rate[1:]
    bridged = (seconds[1:] <= GAP) & (seconds[:-1] <= GAP)
    weight = bridged / ((seconds[1:] + seconds[:-1]) / 2 * SWAY)
    return linked(parts, torch.zeros(count - 2, 3, dtype=torch.float64), weight[:, None].expand(-1, 3))


def _moved(motion: Motion, rotation: Array, origin: Array, shift: Array) -> Motion:
    """Turns a motion into the world. A body turns about its root joint, which is not at the model's origin."""
    with torch.inference_mode():
        rest = motion.body(torch.eye(3).expand(1, 24, 3, 3), torch.from_numpy(motion.betas)[None])
    root = rest.joints[0, 0].double().numpy()
    rotmat = motion.rotmat.copy()
    rotmat[:, 0] = rotation @ rotmat[:, 0]
    transl = (motion.transl + root - origin) @ rotation.T - root + shift
    return replace(motion, rotmat=rotmat, transl=transl.astype(np.float32), up="y")
