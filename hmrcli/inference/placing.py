"""Bodies placed in their photo, by whichever way they were recovered, and scored by what is seen there."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from hmrcli.body import BodyModel
from hmrcli.camera import Camera
from hmrcli.camera.camera import NEAR
from hmrcli.data.crop import square_around
from hmrcli.fitting.agreement import agreement, in_box, in_picture, joints_visibility
from hmrcli.inference.person import People, Person
from hmrcli.inference.photo import Array, Seen


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
    around = (camera.undistorted(center), lengths.mean(1))
    middle, length = (torch.from_numpy(np.asarray(value, np.float32)) for value in around)
    return Squares(middle, length, focal.expand(len(boxes)), principal.expand(len(boxes), 2))


class Bodies(NamedTuple):
    """N recovered bodies; see `Person`."""

    vertices: Tensor
    joints3d: Tensor
    cam: Tensor
    transl: Tensor
    rotmat: Tensor | None
    betas: Tensor | None


def people_of(seen: Seen, bodies: Bodies, models: Sequence[BodyModel], method: str) -> People:
    """Places the bodies of the N people seen in a photo, and scores them by what was seen.

    The (N,) models differ in age only.
    """
    photo, landmarks, boxes = seen
    size = photo.pixels.shape[:2]
    points = (bodies.joints3d, bodies.vertices)
    joints, skin = ((some + bodies.transl[:, None]).numpy() for some in points)
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
