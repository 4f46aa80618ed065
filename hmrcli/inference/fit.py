"""Bodies fitted to landmarks that bundled networks find."""

from collections.abc import Sequence

import numpy as np
import torch

from hmrcli.body import BodyModel
from hmrcli.body.camera import crop_camera
from hmrcli.body.joints import SMPL_24
from hmrcli.body.model import BodyOutput
from hmrcli.fitting.fit import Fit, fit_landmarks
from hmrcli.fitting.lifting import lift
from hmrcli.fitting.targets import Targets, seen_targets
from hmrcli.inference.children import ages, child
from hmrcli.inference.person import People, Person
from hmrcli.inference.photo import Array, Bodies, Photo, box_text, find_landmarks, people_of, squares
from hmrcli.people import Landmarks

SOMEBODY = 0.5
"""Landmark score below which a given box shows nobody."""
CONTRADICTED = 0.05
"""Score below which a fitted body is not given out: what is seen speaks against it."""
ONE_HEAD = 0.08
"""Distance of two heads, as a share of the longer side of the people's boxes, below which they are one."""
BBOX_SCALE = 1.25
"""Side of a person's square crop, as a multiple of the longer side of the box (mmhuman3d's inference API)."""

_HEAD = SMPL_24.names.index("head")


class FitPredictor:
    """Fits bodies to the landmarks that bundled networks find."""

    def __init__(self, body: BodyModel, bbox_scale: float = BBOX_SCALE) -> None:
        """Takes the body to pose, and the scale of the crop whose weak-perspective camera is given."""
        self.body, self.bbox_scale = body, bbox_scale

    def people(self, photos: Sequence[Photo], max_people: int | None) -> list[People]:
        """Gives the people of each photo; a fit gains nothing from company."""
        return [self._of_photo(photo, max_people) for photo in photos]

    def _of_photo(self, photo: Photo, max_people: int | None) -> People:
        landmarks, boxes = find_landmarks(photo.pixels, photo.boxes, max_people)
        somebody = landmarks.score >= (0 if photo.boxes is None else SOMEBODY)
        notes = [f"nobody was recognised in box {box_text(box)}" for box in boxes[~somebody]]
        landmarks, boxes = landmarks[somebody], boxes[somebody]
        if not len(boxes):
            return People(notes=notes)
        bodies, models = self._bodies(photo, landmarks, boxes)
        everyone = people_of(photo, landmarks, boxes, bodies, models, "fit")
        agreeing = [person for person in everyone if person.score >= CONTRADICTED]
        notes += [
            f"no body agrees with what is seen in box {box_text(person.bbox_xywh)}, which is left out"
            for person in everyone
            if person.score < CONTRADICTED
        ]
        return People(_without_doubles(agreeing) if photo.boxes is None else agreeing, notes)

    def _bodies(self, photo: Photo, landmarks: Landmarks, boxes: Array) -> tuple[Bodies, list[BodyModel]]:
        """Fits adults, and children where these are told by what was found."""
        targets = landmark_targets(landmarks, boxes, photo)
        fits = fit_landmarks(self.body, targets)
        vertices, joints = self._posed(self.body, fits)
        models = [self.body] * len(boxes)
        if self.body.name == "open":  # licensed bodies know no children
            for i, years in ages(self.body, targets, fits, joints, landmarks.visibility).items():
                models[i] = child(self.body, years)
                fit = fit_landmarks(models[i], Targets(*(value[[i]] for value in targets)))
                fits = Fit(*(torch.cat([all_[:i], one, all_[i + 1 :]]) for all_, one in zip(fits, fit)))
                vertices[[i]], joints[[i]] = self._posed(models[i], fit)
        cam = crop_camera(fits.transl, *squares(boxes, self.bbox_scale, photo.camera))
        return Bodies(vertices, joints, cam, fits.transl, fits.rotmat, fits.betas), models

    @staticmethod
    def _posed(body: BodyModel, fits: Fit) -> BodyOutput:
        with torch.no_grad():
            return body(fits.rotmat, fits.betas)


def landmark_targets(landmarks: Landmarks, boxes: Array, photo: Photo) -> Targets:
    """Takes what landmarks say as what to fit to, for the people of a photo in boxes (N, 4); depth is lifted."""
    return lift(seen_targets(landmarks, boxes, photo.camera))


def _without_doubles(people: Sequence[Person]) -> list[Person]:
    """Leaves out bodies whose head is where a better one's is: one person, taken for two of different size."""
    kept: list[Person] = []
    for person in sorted(people, key=lambda person: -person.score):
        apart = [np.linalg.norm((person.joints2d - other.joints2d)[_HEAD]) for other in kept]
        sides = [max(*person.bbox_xywh[2:], *other.bbox_xywh[2:]) for other in kept]
        if all(distance > ONE_HEAD * side for distance, side in zip(apart, sides)):
            kept.append(person)
    return [person for person in people if person in kept]
