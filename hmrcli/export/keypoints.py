"""Keypoints of a motion in the image, as the joint sets of 2D tools have them."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from hmrcli.body import BodyModel
from hmrcli.body.joints import LANDMARKS, JointSet
from hmrcli.camera.camera import NEAR
from hmrcli.motion import Motion

_FRAMES = 64
"""Bodies that are posed at once."""
_WITHOUT_REGRESSOR = 24 + len(LANDMARKS)


class Keypoints(NamedTuple):
    """Points in the image, and how far each was seen."""

    points: NDArray[np.floating]
    """(F, J, 2) pixels from the top left corner."""
    confidence: NDArray[np.floating]
    """(F, J) in [0, 1]; 0 outside of the picture."""


def keypoints_of(motion: Motion, joints: JointSet) -> Keypoints:
    """Projects the joints of a set, all among SMPL's 54, by the motion's camera.

    A joint that SMPL's 24 lack is as visible as the one whose skin it lies on.

    Raises:
        ValueError: the motion is not in its camera's space.
        MissingFile: the body is an SMPL file, and the regressor of further joints is not beside it.
    """
    if motion.up != "-y":
        raise ValueError("keypoints in the image need a motion in the camera's space")
    wanted, parts = list(joints.from_54), []
    for start in range(0, len(motion.frames), _FRAMES):
        rows = slice(start, start + _FRAMES)
        rotmat, transl = (
            torch.from_numpy(np.asarray(values[rows], np.float32))
            for values in (motion.rotmat, motion.transl)
        )
        betas = torch.from_numpy(np.asarray(motion.betas, np.float32)).expand(len(rotmat), -1)
        with torch.inference_mode():
            parts.append(_points(motion.body, rotmat, betas, transl, max(wanted))[:, wanted])
    places = torch.cat(parts)
    camera = motion.camera
    points = camera.project(places.numpy())
    size = (camera.width, camera.height)
    inside = (places[..., 2].numpy() > NEAR) & ((points >= 0) & (points < size)).all(-1)
    seen = motion.joints_visibility[:, _nearest_joints(motion.body, max(wanted))[wanted]]
    return Keypoints(points, np.where(inside, seen, 0.0))


def _points(
    body: BodyModel, rotmat: torch.Tensor, betas: torch.Tensor, transl: torch.Tensor, last: int
) -> torch.Tensor:
    """Returns the 54 joints in space, or the 45 that need no regressor if those are all."""
    posed = body(rotmat, betas, transl)
    if last >= _WITHOUT_REGRESSOR:
        return body.smpl_54_joints(posed)
    return torch.cat([posed.joints, posed.vertices[:, body.landmark_vertices]], 1)


def _nearest_joints(body: BodyModel, last: int) -> NDArray[np.int64]:
    """Returns for each of the 54 joints, or of the 45, the one of the 24 that moves the skin where it lies."""
    nearest = torch.cat([torch.arange(24), body.parts[body.landmark_vertices].cpu()])
    if last >= _WITHOUT_REGRESSOR:
        on_skin = body.extra_regressor.abs() @ body.weights
        nearest = torch.cat([nearest, on_skin.argmax(1).cpu()])
    return nearest.numpy()
