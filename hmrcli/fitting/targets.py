"""Targets of the fit: landmarks of people seen by a camera."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hmrcli.camera import Camera
from hmrcli.fitting.landmarks import INDICES, NAMES, TRUST
from hmrcli.fitting.priors import pose_prior
from hmrcli.people import LANDMARK_INDEX, Landmarks

SHOULDERS, HIPS, LEGS = (
    [k for k, name in enumerate(NAMES) if name.endswith(ends)]
    for ends in (("shoulder",), ("hip",), ("knee", "ankle"))
)
_SEEN_LEGS = [LANDMARK_INDEX[NAMES[k]] for k in LEGS]
_HIPS_ALONE = 0.15
"""The landmark network is always sure of hips; with hidden legs it squeezes them into what is seen."""
GUESSED = 0.01
"""Confidence of landmarks that nobody sees: enough to tell a seated leg from a standing one, too little to fit to."""
UNLIFTED = 0.1
"""Metres by which the landmark network's own depth is held to be off; of those landmarks that are not lifted."""


class Targets(NamedTuple):
    """Landmarks of a batch of people, in the order of `hmrcli.people`."""

    points2d: Tensor
    """(B, 33, 2) pixels of the full image."""
    points3d: Tensor
    """(B, 33, 3) metres in axes of a camera that looks at the person; origin and scale are not trusted."""
    confidence: Tensor
    """(B, 33) in [0, 1]; the landmarks of a hidden leg with `GUESSED` say whether it stands or sits, those with 0
    nothing."""
    extent: Tensor
    """(B,) pixels: side of the person's box, the unit of 2D errors."""
    focal_length: Tensor
    """(B,) pixels."""
    principal_point: Tensor
    """(B, 2) pixels."""
    deviation3d: Tensor
    """(B, 33) metres by which a coordinate of `points3d` is off."""
    angles: Tensor
    """(B, 23, 3) radians: the likely axis-angles of the joints below the root."""
    angle_spread: Tensor
    """(B, 23, 3) radians: their deviation."""


def seen_targets(landmarks: Landmarks, boxes: NDArray[np.floating], camera: Camera) -> Targets:
    """Takes what landmarks of N people in boxes (N, 4: x, y, width, height in pixels) say as what to fit to.

    Bodies are fitted under the pinhole of the camera, of the picture or of all N frames, so the lens's
    distortion is taken out of the landmarks.
    """
    count = len(landmarks)
    # Where the landmark network is least sure it invents rather than sees.
    confidence = ((landmarks.visibility - 0.1) / 0.4).clip(0, 1)
    guessed = GUESSED * (landmarks.presence[:, _SEEN_LEGS] >= 0.5)
    confidence[:, _SEEN_LEGS] = np.maximum(confidence[:, _SEEN_LEGS], guessed)
    return Targets(
        points2d=torch.from_numpy(camera.undistorted(landmarks.points2d)),
        points3d=torch.from_numpy(landmarks.points3d),
        confidence=torch.from_numpy(confidence),
        extent=torch.from_numpy(boxes[:, 2:].max(1)),
        focal_length=torch.tensor([camera.focal_length]).expand(count),
        principal_point=torch.tensor([camera.principal_point]).expand(count, 2),
        deviation3d=torch.full(landmarks.visibility.shape, UNLIFTED),
        **usual_angles(count),
    )


def usual_angles(count: int) -> dict[str, Tensor]:
    """Returns the prior's `angles` and `angle_spread`, of so many people of whom nothing is known."""
    prior = pose_prior()
    usual, spread = (value.expand(count, -1, -1) for value in (prior.usual, prior.spread))
    return {"angles": usual, "angle_spread": spread}


def fitted_targets(targets: Targets) -> Targets:
    """Picks the landmarks that the body has a place for, in float64, 3D ones in the axes of the photo's camera."""
    targets = Targets(*(value.double() for value in targets))
    points3d = (view_rotation(targets)[:, None] @ targets.points3d[:, INDICES, :, None])[..., 0]
    confidence = targets.confidence[:, INDICES] * torch.tensor(TRUST).to(points3d)
    confidence[:, HIPS] *= (1 - legs_hidden(confidence)).clamp(min=_HIPS_ALONE)[:, None]
    return targets._replace(
        points2d=targets.points2d[:, INDICES],
        points3d=points3d,
        deviation3d=targets.deviation3d[:, INDICES],
        confidence=confidence,
    )


def legs_hidden(confidence: Tensor) -> Tensor:
    """Returns (B,) in [0, 1], by the confidence (B, N) of fitted landmarks: 1 where no knee or ankle is seen."""
    return 1 - confidence[:, LEGS].amax(1)


def view_rotation(targets: Targets) -> Tensor:
    """Returns the rotation (B, 3, 3) from a camera that looks at the person to the photo's camera.

    The landmark network sees a crop, as if the person stood in the middle of the picture.
    """
    seen = targets.confidence[..., None]
    center = (seen * targets.points2d).sum(1) / seen.sum(1).clamp(min=1e-6)
    slope = (center - targets.principal_point) / targets.focal_length[:, None]
    ray = torch.cat([slope, torch.ones_like(slope[:, :1])], 1)
    forward = torch.nn.functional.normalize(ray, dim=1)
    down = torch.tensor([0.0, 1.0, 0.0]).to(ray).expand_as(ray)
    right = torch.nn.functional.normalize(torch.linalg.cross(down, forward), dim=1)
    return torch.stack([right, torch.linalg.cross(forward, right), forward], -1)
