"""People before four calibrated cameras, triangulated: Pose2Sim's demo footage (BSD-3-Clause), 100 frames at 60 Hz.

What the four cameras' 2D landmarks triangulate to agrees with them to about 10 pixels, or 2 cm. The landmarks are those
of the landmark network, but depth comes from the other cameras alone, which no method is shown.
"""

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from itertools import product
from typing import NamedTuple

import numpy as np
from frames import member
from infer import LIMBS
from readings import Reading, landmarks_of, video_frames

from hmrcli.fitting.landmarks import INDICES, NAMES

TRIALS = {"one": "Pose2Sim/Demo_SinglePerson", "two": "Pose2Sim/Demo_MultiPerson"}
"""Folders of the package by how many people move about; in some pictures of `one` somebody stands at the border."""
FPS = 60.0
SEEN = [INDICES[k] for k in LIMBS]
"""The 12 limb landmarks: both sides' shoulder, elbow, wrist, hip, knee, ankle."""
MISS = 15.0
"""Pixels: landmarks that miss the others by more are taken for wrong."""
USABLE, LEAST = 30.0, 3
"""Pixels: a camera whose landmarks miss by more in the median saw somebody else; and cameras that have to agree."""

LENGTHS, LOWEST = (0.25, 0.7), -0.15
"""Metres from shoulder to hip and from hip to knee, and above the floor."""


class View(NamedTuple):
    """A calibrated camera; a point X of the room lies at rotation X + shift in its axes, metres."""

    name: str
    focal_length: float
    principal_point: np.ndarray
    rotation: np.ndarray
    shift: np.ndarray

    def rays(self, pixels: np.ndarray) -> np.ndarray:
        """Brings pixels (..., 2) to focal length 1 and principal point 0; the lens's distortion is below a pixel."""
        return (pixels - self.principal_point) / self.focal_length


class Shown(NamedTuple):
    """A person of an instant who was triangulated."""

    points: np.ndarray
    """(12, 3) metres in the room's axes."""
    misses: np.ndarray
    """(C, 12) pixels between them and each camera's landmarks."""
    who: tuple[int, ...]
    """Index of the person among those that each camera's picture shows."""

    @property
    def apart(self) -> np.ndarray:
        """Returns the median miss of each camera (C,), pixels."""
        return np.asarray(np.median(self.misses, 1))

    @property
    def human(self) -> bool:
        """Tells whether they are above the floor, thighs and flanks as long as those of people."""
        names = [NAMES[k] for k in LIMBS]
        chains = [
            [names.index(f"{s}_{part}") for part in ("shoulder", "hip", "knee")] for s in ("left", "right")
        ]
        lengths = np.linalg.norm(np.diff(self.points[chains], axis=1), axis=2)
        fits = (lengths > LENGTHS[0]) & (lengths < LENGTHS[1])
        return bool(fits.all() and self.points[:, 2].min() > LOWEST)


class Instant(NamedTuple):
    """A frame of all cameras."""

    number: int
    images: list[np.ndarray]
    readings: list[Reading]
    """One a camera."""
    people: list[Shown]


def views(trial: str) -> list[View]:
    """Reads cameras from a Qualisys file: 64ths of pixels, millimetres, and axes y up, z backwards."""
    found = []
    path = f"{TRIALS[trial]}/calibration/Calib.qca.txt"
    for camera in ElementTree.fromstring(member("pose2sim", path)).iter("camera"):
        inner, outer = camera.find("intrinsic"), camera.find("transform")
        assert inner is not None and outer is not None
        rows = [[float(outer.attrib[f"r{i}{j}"]) for j in (1, 2, 3)] for i in (1, 2, 3)]
        rotation = np.diag([1.0, -1.0, -1.0]) @ np.array(rows)
        place = np.array([float(outer.attrib[axis]) for axis in "xyz"]) / 1000
        center = np.array([float(inner.attrib[f"centerPoint{axis}"]) for axis in "UV"]) / 64
        focal = float(inner.attrib["focalLengthU"]) / 64
        found.append(View(camera.attrib["serial"], focal, center, rotation, -rotation @ place))
    return found


def instants(trial: str, every: int) -> Iterator[Instant]:
    """Yields every so manieth frame of a trial with the people in it, as many as the trial is about."""
    cameras = views(trial)
    streams = [
        video_frames("pose2sim", f"{TRIALS[trial]}/videos/{camera.name}.mp4", every) for camera in cameras
    ]
    for shots in zip(*streams):
        images = [image for _, image in shots]
        readings = [landmarks_of(image) for image in images]
        people = matched(cameras, readings, 1 if trial == "one" else 2)
        yield Instant(shots[0][0], images, readings, people)


def matched(cameras: list[View], readings: list[Reading], count: int) -> list[Shown]:
    """Tells who is the same person in all pictures: those whose landmarks agree best, up to a number of people."""
    pixels = [reading.found.points2d[:, SEEN] for reading in readings]
    weights = [reading.found.visibility[:, SEEN] + 0.02 for reading in readings]
    tries = []
    for who in product(*(range(len(reading.found)) for reading in readings)):
        chosen = (np.stack([values[i] for i, values in zip(who, each)]) for each in (pixels, weights))
        tries.append(Shown(*triangulated(cameras, *chosen), who))
    kept: list[Shown] = []
    for shown in sorted(tries, key=lambda shown: float(np.minimum(shown.apart, 4 * USABLE).sum())):
        agree = shown.apart < USABLE
        alone = all(
            (np.equal(shown.who, other.who) & agree & (other.apart < USABLE)).sum() == 0 for other in kept
        )
        if len(kept) < count and alone and agree.sum() >= LEAST and shown.human:
            kept.append(shown)
    return kept


def triangulated(
    cameras: list[View], pixels: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Finds points (J, 3) of the room and how far they are from their rays (C, J), pixels; rays that miss count less.

    Args:
        cameras: C of them.
        pixels: (C, J, 2)
        weights: (C, J)
    """
    matrices = np.stack([np.c_[camera.rotation, camera.shift] for camera in cameras])
    rays = np.stack([camera.rays(seen) for camera, seen in zip(cameras, pixels)])
    trust = weights
    for _ in range(6):
        rows = trust[..., None, None] * (
            rays[..., None] * matrices[:, None, 2:] - matrices[:, None, :2]
        )  # (C, J, 2, 4)
        homogeneous = np.linalg.svd(rows.transpose(1, 0, 2, 3).reshape(rows.shape[1], -1, 4))[2][:, -1]
        points = homogeneous[:, :3] / homogeneous[:, 3:]
        seen = np.einsum("cxy,jy->cjx", matrices[..., :3], points) + matrices[:, None, :, 3]
        focal = np.array([camera.focal_length for camera in cameras])[:, None]
        misses = focal * np.linalg.norm(seen[..., :2] / seen[..., 2:] - rays, axis=-1)
        trust = weights / (1 + (misses / MISS) ** 2)
    return points, misses
