"""Parts that both ways to recover people share: the photo asked about, its camera, and who is seen in it."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hmrcli.body import BodyModel
from hmrcli.camera import Camera
from hmrcli.camera.camera import NEAR
from hmrcli.data.crop import square_around
from hmrcli.errors import UsageError
from hmrcli.fitting.agreement import agreement, in_box, in_picture, joints_visibility
from hmrcli.inference.person import People, Person
from hmrcli.people import Landmarks, body_landmarks, detect_people

LEAST_PIXELS, LEAST_SHARE = 16, 0.1
"""Of a given box within the picture: its longer side, and what of its area."""
Image = NDArray[np.uint8]
Array = NDArray[np.floating]
Boxes = Sequence[Sequence[float]] | Array


class Photo(NamedTuple):
    """An image whose people are asked for."""

    pixels: Image
    """(H, W, 3) RGB."""
    boxes: Array | None = None
    """(N, 4) x, y, width, height of people; None to find them."""
    seen_by: Camera | None = None
    """None for a camera of which nothing is known."""

    @property
    def camera(self) -> Camera:
        """The camera of the image."""
        height, width = self.pixels.shape[:2]
        return self.seen_by or Camera.by_diagonal(width, height)


class Squares(NamedTuple):
    """Square crops of N people, as the pinhole of their camera has them: what `body.camera` turns to places."""

    center: Tensor
    """(N, 2) pixels."""
    side: Tensor
    """(N,) pixels."""
    focal_length: Tensor
    """(N,) pixels."""
    principal_point: Tensor
    """(N, 2) pixels."""


def squares(boxes: Array, scale: float, camera: Camera) -> Squares:
    """Returns the squares around boxes (N, 4), their longer side times `scale`."""
    center, side = square_around(boxes, scale)
    reach = side[:, None, None] / 2 * np.array([[-1, 0], [1, 0], [0, -1], [0, 1]])
    ends = camera.undistorted(center[:, None] + reach)
    lengths = np.linalg.norm(ends[:, [1, 3]] - ends[:, [0, 2]], axis=2)
    focal, principal = torch.tensor([camera.focal_length]), torch.tensor([camera.principal_point])
    middle, length = (
        torch.from_numpy(np.asarray(value, np.float32))
        for value in (camera.undistorted(center), lengths.mean(1))
    )
    return Squares(middle, length, focal.expand(len(boxes)), principal.expand(len(boxes), 2))


class Bodies(NamedTuple):
    """N recovered bodies; see `Person`."""

    vertices: Tensor
    joints3d: Tensor
    cam: Tensor
    transl: Tensor
    rotmat: Tensor | None
    betas: Tensor | None


def checked_boxes(boxes: Boxes, width: int, height: int) -> Array:
    """Checks boxes (N, 4) of people in an image of `width` x `height` pixels.

    A box may reach beyond the picture, as that of somebody who is cut by its edge does.

    Raises:
        UsageError: a box is not four numbers, or shows too little of the picture or too few pixels.
    """
    given = np.asarray(boxes, float).reshape(-1, 4) if np.size(boxes) % 4 == 0 else np.full((1, 4), np.nan)
    size = np.array([width, height])
    for box in given:
        within = np.minimum(box[:2] + box[2:], size) - np.maximum(box[:2], 0)
        if not (np.isfinite(box).all() and (box[2:] > 0).all()):
            wrong = "is not four numbers x,y,w,h in pixels with a width and a height above 0"
        elif (within <= 0).any():
            wrong = "lies outside it: give x,y,w,h in pixels from the top left corner"
        elif within.max() < LEAST_PIXELS or within.min() < LEAST_PIXELS / 4:
            wrong = f"shows {within[0]:g} x {within[1]:g} pixels of it, too few for a person"
        elif within.prod() < LEAST_SHARE * box[2:].prod():
            wrong = f"lies outside it by more than {1 - LEAST_SHARE:.0%}"
        else:
            continue
        raise UsageError(f"box {box_text(box)} in a picture of {size[0]} x {size[1]} pixels {wrong}")
    return given


def box_text(box: Array) -> str:
    """Writes a box as a user would."""
    return ",".join(f"{value:.6g}" for value in box)


def find_landmarks(image: Image, boxes: Array | None, max_people: int | None) -> tuple[Landmarks, Array]:
    """Finds landmarks of N people and their boxes (N, 4), which are given or found by a detector."""
    if boxes is not None:
        return body_landmarks(image, boxes), boxes
    detections = detect_people(image)
    landmarks = body_landmarks(image, detections)[:max_people]
    return landmarks, np.reshape([d.bbox_xywh for d in detections], (-1, 4))[landmarks.source]


def people_of(
    photo: Photo,
    landmarks: Landmarks | None,
    boxes: Array,
    bodies: Bodies,
    models: Sequence[BodyModel],
    method: str,
) -> People:
    """Places the bodies of the people in boxes (N, 4) in a photo, and scores them by what was seen.

    There are no landmarks where boxes were given to a network, which needs none. The (N,) models differ in age only.
    """
    size = photo.pixels.shape[:2]
    joints, skin = (
        (points + bodies.transl[:, None]).numpy() for points in (bodies.joints3d, bodies.vertices)
    )
    joints2d, skin2d = (photo.camera.project(points) for points in (joints, skin))
    # What is behind the camera lies outside every picture.
    seen_joints = np.where(joints[..., 2:] > NEAR, joints2d, -1.0)
    visibility = in_picture(seen_joints, size).astype(float)
    if landmarks is None:
        scores = in_box(boxes, seen_joints, visibility >= 0.5)
    else:
        visibility *= joints_visibility(landmarks, seen_joints)
        seen_skin = np.where(skin[..., 2:] > NEAR, skin2d, -1.0)
        parts = models[0].parts.cpu().numpy()
        scores = agreement(landmarks, boxes, seen_joints, visibility, seen_skin, parts, size)
    values = {name: value.numpy() for name, value in bodies._asdict().items() if value is not None}
    return People(
        Person(
            bbox_xywh=boxes[i].astype(np.float32),
            score=float(scores[i]),
            method=method,
            camera=photo.camera,
            joints2d=joints2d[i].astype(np.float32),
            joints_visibility=visibility[i].astype(np.float32),
            body=models[i],
            image=photo.pixels,
            **({"rotmat": None, "betas": None} | {name: value[i] for name, value in values.items()}),
        )
        for i in range(len(boxes))
    )
