"""Cameras: where they stand and look, by the person's place in a photo and the angle under which it is seen."""

from math import atan, cos, radians, sin, tan
from typing import NamedTuple

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

from hmrcli.render.rasteriser import Camera
from hmrcli.scenes.splits import SIZE, Split

FIELD_OF_VIEW = (20.0, 75.0)
"""Degrees along the longer side of the photo that the picture is cut from: from portrait to wide angle."""
STATURE = 1.7
"""Metres that are meant by `PHOTO_SHARE`."""
PHOTO_SHARE = (0.2, 0.9)
"""Of the photo's longer side that such a person takes, which with the field of view gives the distance."""
NEAREST = 1.2
"""Metres from the camera to the middle of the person."""
OFF_CENTER = 0.75
"""Greatest distance of a person from the photo's middle, as a share of the way to its border."""
ROLL = 4.0
"""Degrees, deviation: photos are held nearly level."""

FILLS = (0.45, 0.88)
"""Share of the picture's side that the person's box takes: COCO's people are no larger when cut with some margin."""
CUT_FILLS = (1.05, 1.8)
"""The same where the border cuts the person."""
JITTER = 0.05
"""Greatest distance of the box from the middle of the picture, as a share of its side."""
LEAST_JOINTS = 10
"""A person has at least so many of the body's 24 joints in the picture."""

_STUDIO_HEIGHT, _STUDIO_DISTANCE, _STUDIO_PITCH = 1.6, 4.8, radians(9)
_STUDIO_REACH = 1.1
"""Metres along both axes of the room within which people move; with the distance, as in Human3.6M's room."""
_ANCHORS, _ANCHOR_WEIGHTS = (12, 0, 3, 4, 5), (0.45, 0.2, 0.15, 0.1, 0.1)
"""Neck, pelvis, spine and knees: what a picture that cuts the person is about, and how often."""


class View(NamedTuple):
    """A camera towards a person."""

    rotation: NDArray[np.float64]
    """(3, 3) from upright axes (x right, y up, z towards the viewer at no pitch) to the camera's."""
    target: NDArray[np.float64]
    """(3,) the middle of the person, camera coordinates, metres."""
    height: float | None
    """Of the camera above the ground, metres, where it is fixed."""
    place: int | None
    """Number of the fixed camera."""


def draw_view(split: Split, random: Generator) -> View:
    """Draws a camera: one of a studio's, or one held somewhere."""
    return _held(split, random) if split.cameras is None else _fixed(split.cameras, random)


def _held(split: Split, random: Generator) -> View:
    half = tan(radians(random.uniform(*FIELD_OF_VIEW)) / 2)
    right, down = random.uniform(-OFF_CENTER, OFF_CENTER, 2) * (half, 0.75 * half)  # photos are 4 : 3
    distance = max(NEAREST, STATURE / (2 * half * random.uniform(*PHOTO_SHARE)))
    least, most, mean, deviation = split.elevation
    elevation = radians(min(max(random.normal(mean, deviation), least), most))
    roll = radians(min(max(random.normal(0, ROLL), -3 * ROLL), 3 * ROLL))
    ray = np.array([right, down, 1.0])
    target = distance * ray / np.sqrt(np.square(ray).sum())
    return View(upright_to_camera(elevation - atan(down), roll), target, None, None)


def _fixed(cameras: int, random: Generator) -> View:
    place = int(random.integers(cameras))
    x, z = random.uniform(-_STUDIO_REACH, _STUDIO_REACH, 2)
    azimuth = (place + 0.5) * 2 * np.pi / cameras
    rotation = upright_to_camera(_STUDIO_PITCH, 0.0) @ turn([0, -azimuth, 0])
    eye = np.array([_STUDIO_DISTANCE * sin(azimuth), _STUDIO_HEIGHT, _STUDIO_DISTANCE * cos(azimuth)])
    return View(rotation, rotation @ (np.array([x, STATURE / 2, z]) - eye), _STUDIO_HEIGHT, place)


def upright_to_camera(pitch: float, roll: float) -> NDArray[np.float64]:
    """Returns the rotation (3, 3) of `View`; pitch is positive for a camera that looks down, radians."""
    return turn([0, 0, roll]) @ turn([pitch, 0, 0]) @ np.diag([1.0, -1.0, -1.0])


def turn(axis_angle: ArrayLike) -> NDArray[np.float64]:
    """(3,) axis-angle, radians, to a rotation matrix (3, 3)."""
    return np.asarray(cv2.Rodrigues(np.asarray(axis_angle, np.float64))[0], np.float64)


def axis_angle(rotation: NDArray[np.float64]) -> NDArray[np.float64]:
    """Inverts `turn`."""
    return np.asarray(cv2.Rodrigues(rotation)[0], np.float64)[:, 0]


def on_unit_plane(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points (..., 3) of camera coordinates to (..., 2) with a focal length of 1 and the principal point at 0."""
    return points[..., :2] / points[..., 2:]


def box_of(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns the box x, y, width, height (4,) around points (N, 2)."""
    low, high = points.min(0), points.max(0)
    return np.concatenate([low, high - low])


def draw_window(split: Split, joints: NDArray[np.float64], random: Generator) -> Camera:
    """Draws the camera of a square picture that is cut from the photo around a person.

    Args:
        split: how often the border cuts the person.
        joints: (54, 3) of the person in camera coordinates, metres.
        random: advanced by seven numbers.
    """
    seen = on_unit_plane(joints)
    box = box_of(seen)
    fill, cut_fill, cut = random.uniform(*FILLS), random.uniform(*CUT_FILLS), random.random()
    anchor = seen[random.choice(_ANCHORS, p=_ANCHOR_WEIGHTS)]
    jitter, cut_jitter = random.uniform(-JITTER, JITTER, 2), random.uniform(-3 * JITTER, 3 * JITTER, 2)
    if cut < split.truncated:
        camera = _cut(box, anchor, cut_fill, cut_jitter)
        if inside(pixels(joints[:24], camera)).sum() >= LEAST_JOINTS:
            return camera
    return _cut(box, box[:2] + box[2:] / 2, fill, jitter)


def _cut(
    box: NDArray[np.float64], center: NDArray[np.float64], fill: float, jitter: NDArray[np.float64]
) -> Camera:
    focal = fill * SIZE / float(box[2:].max())
    x, y = (SIZE * (0.5 + jitter) - focal * center).tolist()
    return Camera(focal, (x, y))


def pixels(points: NDArray[np.float64], camera: Camera) -> NDArray[np.float64]:
    """Points (..., 3) of camera coordinates to (..., 2) pixels."""
    return camera.focal_length * on_unit_plane(points) + camera.principal_point


def inside(points: NDArray[np.float64], size: int = SIZE) -> NDArray[np.bool_]:
    """Tells which of (..., 2) pixels are in the picture."""
    return np.asarray(((points >= 0) & (points < size)).all(-1))
