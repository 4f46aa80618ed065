"""Scene of a row of the open data set: a function of its part of the set and its number, and of nothing else."""

from dataclasses import replace
from functools import cache

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from hmrcli.body import BodyModel, load_body
from hmrcli.scenes.backdrops import Backdrop, draw_backdrop
from hmrcli.scenes.looks import Look, draw_look
from hmrcli.scenes.occluders import Occluder, draw_occluder, hidden_by
from hmrcli.scenes.posing import pose_people
from hmrcli.scenes.scene import Ground, Lens, Light, Person, Scene
from hmrcli.scenes.splits import SIZE, SPLITS, Split
from hmrcli.scenes.subjects import Subject, draw_betas, draw_posture, draw_subject, generator
from hmrcli.scenes.views import View, box_of, draw_window, inside, on_unit_plane, pixels

IN_THE_AIR = (0.05, 0.4)
"""Metres between the ground and people who do not stand on it."""
CLOSE_ENOUGH, LEAST_DEPTH = (0.45, 2.8), 0.6
"""Metres between people along the ground, and of everything from the camera."""
APART = 0.1
"""Metres between the surfaces of two people, at every 8th vertex; these lie closer together than that."""
LEAST_SEEN = 8
"""Things before a person leave at least so many of the body's 24 joints in sight, where the picture has as many."""
_ATTEMPTS = 10

Vertices = NDArray[np.float64]


def draw_scene(split_name: str, index: int) -> Scene:
    """Draws a row's picture.

    Args:
        split_name: of a part of the data set.
        index: of the row, from 0.
    """
    split = SPLITS[split_name]
    subject, random = draw_subject(split, index), generator(split, index, "surroundings")
    view = subject.view
    others = [
        (draw_posture(split, view, random)[0], draw_betas(random), random.uniform(size=(_ATTEMPTS, 2)))
        for _ in range(random.choice(len(split.others), p=split.others))
    ]
    pose = np.stack([subject.pose, *(other[0] for other in others)])
    betas = np.stack([subject.betas, *(other[1] for other in others)])
    vertices, joints = posed(pose, betas)
    ground, first = _set_down(subject, vertices[0], joints[0], random)
    camera = draw_window(split, joints[0] + first, random)
    transl = [first, *_places(split, view, ground, vertices, joints, first, [other[2] for other in others])]
    people = tuple(
        Person(pose[i], betas[i], place.astype(np.float32), _look(split, index, i, subject.number, betas[i]))
        for i, place in enumerate(transl)
        if place is not None
    )
    in_room = random if view.place is None else generator(split, view.place, "room")
    dim = in_room.uniform(*split.dim)
    light = draw_light(dim, view.rotation, in_room)
    backdrop = _dimmed(draw_backdrop(in_room, split.pool, ground), dim)
    return Scene(
        size=SIZE,
        camera=camera,
        people=people,
        light=light,
        ground=ground,
        backdrop=backdrop,
        occluders=_occluders(split, pixels(joints[0] + first, camera), random),
        lens=_lens(split, random),
        seed=int(random.integers(2**31)),
    )


@cache
def open_body() -> BodyModel:
    """Loads the body that all pictures show, on the CPU."""
    return load_body("open")


def posed(pose: NDArray[np.float32], betas: NDArray[np.float32]) -> tuple[Vertices, Vertices]:
    """Vertices (N, V, 3) and SMPL's 54 joints (N, 54, 3) of bodies without translation, metres.

    Args:
        pose: (N, 72) axis-angle, radians.
        betas: (N, 10)
    """
    vertices, joints = pose_people(pose, betas, np.zeros((len(pose), 3), np.float32), open_body())
    every = [smpl_54_joints(*body) for body in zip(vertices, joints)]
    return vertices.astype(np.float64), np.stack(every).astype(np.float64)


def smpl_54_joints(vertices: NDArray[np.float32], joints: NDArray[np.float32]) -> NDArray[np.float32]:
    """SMPL's 54 joints (54, 3) of a body's vertices (V, 3) and 24 joints (24, 3)."""
    landmarks, used, weights = _beyond_24()
    return np.concatenate([joints, vertices[landmarks], weights @ vertices[used]])


@cache
def _beyond_24() -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """Vertices that are joints, vertices (N,) that further joints lie between, and their weights (9, N)."""
    body = open_body()
    regressor = body.extra_regressor.numpy()
    used = np.flatnonzero(regressor.any(0))
    return body.landmark_vertices.numpy(), used, np.ascontiguousarray(regressor[:, used])


def _look(split: Split, index: int, person: int, subject: int | None, betas: NDArray[np.float32]) -> Look:
    if subject is not None and person == 0:
        return draw_look(generator(split, subject, "subject_look"), betas)
    return draw_look(generator(split, index, "look", person), betas)


def _set_down(
    subject: Subject, vertices: Vertices, joints: Vertices, random: Generator
) -> tuple[Ground | None, NDArray[np.float64]]:
    """Finds the ground and the main person's translation; no ground where the camera would be below it."""
    view = subject.view
    up = view.rotation @ (0, 1, 0)
    gap = random.uniform(*IN_THE_AIR)
    gap = 0.0 if subject.grounded else gap
    transl = view.target - (joints.min(0) + joints.max(0)) / 2
    nearest = (vertices[:, 2] + transl[2]).min()
    transl = transl + view.target / view.target[2] * max(0.0, LEAST_DEPTH - nearest)
    lowest = float((vertices @ up).min() + up @ transl) - gap
    if view.height is not None:
        transl, lowest = transl + up * (-view.height - lowest), -view.height
    if lowest > -0.1:
        return None, transl
    x, y, z = up.tolist()
    return Ground((x, y, z), lowest), transl


def _places(
    split: Split,
    view: View,
    ground: Ground | None,
    vertices: Vertices,
    joints: Vertices,
    first: NDArray[np.float64],
    tries: list[NDArray[np.float64]],
) -> list[NDArray[np.float64] | None]:
    """Translations of the further people, on the ground of the first; None for those who find no room.

    They touch nobody and hide at most `split.covered` of the first one's joints.
    """
    up = view.rotation @ (0, 1, 0)
    floor = ground.offset if ground is not None else float((vertices[0] @ up).min() + up @ first)
    middle, seen = spread(vertices[0])[2] + first, on_unit_plane(joints[0] + first)
    placed = [vertices[0] + first]
    found: list[NDArray[np.float64] | None] = []
    near, far = CLOSE_ENOUGH
    for body, numbers in zip(vertices[1:], tries):
        found.append(None)
        (low, _, mean), lowest = spread(body), float((body @ up).min())
        for distance, angle in zip(near + (far - near) * numbers[:, 0], 2 * np.pi * numbers[:, 1]):
            aside = view.rotation @ (distance * np.cos(angle), 0, distance * np.sin(angle))
            transl = middle + aside - mean
            transl = transl + up * (floor - float(lowest + up @ transl))
            if low[2] + transl[2] < LEAST_DEPTH:
                continue
            there = body + transl
            if any(touching(there, other) for other in placed):
                continue
            if mean[2] + transl[2] < middle[2]:
                left_top, right_bottom, _ = spread(on_unit_plane(there))
                if ((seen > left_top) & (seen < right_bottom)).all(1).mean() > split.covered:
                    continue
            found[-1] = transl
            placed.append(there)
            break
    return found


def touching(one: Vertices, other: Vertices) -> bool:
    """Tells whether two meshes (V, 3) come closer than `APART`, or are one in the other; by every 8th vertex."""
    (low, high, _), (other_low, other_high, _) = spread(one), spread(other)
    if (high + APART < other_low).any() or (other_high + APART < low).any():
        return False
    low, high = np.maximum(low, other_low) - APART, np.minimum(high, other_high) + APART
    near = [each[::8][((each[::8] > low) & (each[::8] < high)).all(1)] for each in (one, other)]
    return bool((np.square(near[0][:, None] - near[1]).sum(-1) < APART**2).any())


def spread(points: Vertices) -> Vertices:
    """Finds least, greatest and mean coordinates (3, D) of points (N, D)."""
    columns = np.ascontiguousarray(points.T)  # much faster than along the first axis
    return np.stack([columns.min(1), columns.max(1), columns.mean(1)])


def draw_light(dim: float, rotation: NDArray[np.float64], random: Generator) -> Light:
    """Draws sun or lamp; `dim` is a factor on it, and the rotation (3, 3) that of the camera's `View`."""
    elevation, azimuth = np.radians(random.uniform(15, 80)), random.uniform(0, 2 * np.pi)
    upright = (
        np.cos(elevation) * np.sin(azimuth),
        np.sin(elevation),
        np.cos(elevation) * np.cos(azimuth),
    )
    x, y, z = (rotation @ upright).tolist()
    warmth, tint = random.uniform(-0.2, 0.2), random.uniform(-0.08, 0.08)
    key = dim * random.uniform(0.5, 1.3) * np.array([1 + warmth, 1 + tint / 2, 1 - warmth])
    # What comes from everywhere is the sky's where the key is the sun's: cold where that is warm.
    ambient = dim * random.uniform(0.25, 0.7) * np.array([1 - warmth / 2, 1 + tint, 1 + warmth / 2])
    return Light((x, y, z), tuple(key.tolist()), tuple(ambient.tolist()), float(random.beta(0.8, 0.8)))


def _dimmed(backdrop: Backdrop, dim: float) -> Backdrop:
    """Puts a backdrop in less light; `dim` is a factor on linear light, the backdrop's gain one on grey levels."""
    return replace(backdrop, gain=tuple(min(1.0, dim) ** (1 / 2.2) * gain for gain in backdrop.gain))


def _occluders(split: Split, joints2d: NDArray[np.float64], random: Generator) -> tuple[Occluder, ...]:
    """Things before the person, less those that would leave too little of it to see."""
    count = random.choice(len(split.occluders), p=split.occluders)
    box = box_of(np.clip(joints2d, 0, SIZE))
    left = joints2d[:24][inside(joints2d[:24])].astype(int)
    kept: list[Occluder] = []
    for occluder in [draw_occluder(random, box, SIZE) for _ in range(count)]:
        seen = left[~hidden_by(occluder, left, SIZE)]
        if len(seen) >= LEAST_SEEN:
            left = seen
            kept.append(occluder)
    return tuple(kept)


def _lens(split: Split, random: Generator) -> Lens:
    share, longest = split.motion
    moved, length, angle = random.random(), longest * random.random(), random.uniform(0, np.pi)
    length = length if moved < share else 0.0
    low, high = split.quality
    return Lens(
        motion=(float(length * np.cos(angle)), float(length * np.sin(angle))),
        defocus=float(max(0.0, random.normal(0.2, 0.4))),
        noise=float(random.uniform(*split.noise)),
        jpeg_quality=int(random.integers(low, high, endpoint=True)),
    )
