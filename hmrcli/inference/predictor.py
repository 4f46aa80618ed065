"""A photo in, posed bodies out."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from hmrcli.body import BodyModel, load_body
from hmrcli.body.camera import crop_camera, project
from hmrcli.fitting.fit import Fit, fit_landmarks
from hmrcli.fitting.targets import Targets
from hmrcli.inference.person import Person
from hmrcli.people import Landmarks, body_landmarks, detect_people

BBOX_SCALE = 1.25
"""Side of a person's square crop, as a multiple of the longer side of the box (mmhuman3d's inference API)."""


class Predictor:
    """Recovers the people of an image."""

    def __init__(self, body: BodyModel) -> None:
        """Takes the body to pose."""
        self.body = body

    @classmethod
    def from_default(cls, body: BodyModel | None = None) -> "Predictor":
        """The bundled default: landmarks found by small networks, and a body fitted to them.

        Args:
            body: any body model in SMPL's format; the open body when not given.
        """
        return cls(body or load_body("open"))

    def __call__(
        self,
        image: NDArray[np.uint8],
        boxes: Sequence[Sequence[float]] | None = None,
        max_people: int | None = None,
    ) -> list[Person]:
        """Recovers people, the most certain first.

        Args:
            image: (H, W, 3) RGB.
            boxes: x, y, width, height in pixels of each person; found by a detector when not given.
            max_people: keep the best of the detected.

        Returns:
            one entry per person; none where nobody is found. A box given by the caller is always answered.
        """
        if boxes is None:
            detections = detect_people(image, max_people)
            landmarks = body_landmarks(image, detections)
            found = np.array([d.bbox_xywh for d in detections]).reshape(-1, 4)[landmarks.source]
        else:
            found = np.array(boxes, float).reshape(-1, 4)
            landmarks = body_landmarks(image, found, min_score=0.0)
        if not len(landmarks):
            return []
        targets = landmark_targets(landmarks, found, image.shape)
        return people_of_fits(self.body, fit_landmarks(self.body, targets), targets, found, landmarks.score)


def landmark_targets(landmarks: Landmarks, boxes: NDArray[np.floating], shape: tuple[int, ...]) -> Targets:
    """What to fit to, for people of an image of a given shape.

    Without a calibration the focal length is the image's diagonal, a usual lens (about 53 degrees across it).
    """
    height, width = shape[:2]
    count = len(landmarks)
    # Where the landmark network is least sure it invents rather than sees.
    confidence = ((landmarks.visibility - 0.1) / 0.4).clip(0, 1)
    return Targets(
        points2d=torch.from_numpy(landmarks.points2d),
        points3d=torch.from_numpy(landmarks.points3d),
        confidence=torch.from_numpy(confidence),
        extent=torch.from_numpy(boxes[:, 2:].max(1)),
        focal_length=torch.full((count,), float(np.hypot(height, width))),
        principal_point=torch.tensor([[width / 2, height / 2]]).expand(count, 2),
    )


def people_of_fits(
    body: BodyModel, fits: Fit, targets: Targets, boxes: NDArray[np.floating], scores: NDArray[np.floating]
) -> list[Person]:
    """Poses the body by its fits and places it in the image."""
    with torch.inference_mode():
        posed = body(fits.rotmat, fits.betas)
    focal, centre = targets.focal_length.float(), targets.principal_point.float()
    joints2d = project(posed.joints + fits.transl[:, None], focal, centre)
    corner, size = torch.from_numpy(boxes).float().split(2, 1)
    side = BBOX_SCALE * size.amax(1)
    cam = crop_camera(fits.transl, corner + size / 2, side, focal, centre)
    return [
        Person(
            bbox_xywh=boxes[i].astype(np.float32),
            score=float(scores[i]),
            method="fit",
            rotmat=fits.rotmat[i].numpy(),
            betas=fits.betas[i].numpy(),
            cam=cam[i].numpy(),
            transl=fits.transl[i].numpy(),
            focal_length=float(focal[i]),
            principal_point=centre[i].numpy(),
            vertices=posed.vertices[i].numpy(),
            joints3d=posed.joints[i].numpy(),
            joints2d=joints2d[i].numpy(),
        )
        for i in range(len(boxes))
    ]
