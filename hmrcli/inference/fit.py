"""Bodies fitted to landmarks that bundled networks find."""

from collections.abc import Sequence
from itertools import islice

import numpy as np
import torch

from hmrcli.body import BodyModel
from hmrcli.body.camera import crop_camera
from hmrcli.body.joints import SMPL_24
from hmrcli.body.model import BodyOutput
from hmrcli.environment import one_thread
from hmrcli.fitting.fit import Fit, fit_landmarks
from hmrcli.fitting.lifting import lift
from hmrcli.fitting.motion import Smooth, fit_track
from hmrcli.fitting.targets import Targets, seen_targets
from hmrcli.inference.children import ages, ages_of_tracks, child
from hmrcli.inference.person import People, Person
from hmrcli.inference.photo import Array, Photo, Seen, box_text
from hmrcli.inference.placing import Bodies, people_of, squares
from hmrcli.inference.video import Clip, Progress
from hmrcli.motion import Camera, Motion, Track
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
    """Fits bodies to the landmarks that bundled networks find; a `Method` of `inference.predictor`."""

    def __init__(self, body: BodyModel, bbox_scale: float = BBOX_SCALE) -> None:
        """Takes the body to pose, and the scale of the crop whose weak-perspective camera is given."""
        self.body, self.bbox_scale = body, bbox_scale

    def people(self, seen: Sequence[Seen]) -> list[People]:
        """Gives the people of each photo; all of them are fitted together, and each as if alone."""
        known = [_recognised(one) for one in seen]
        some = [one for one, _ in known if len(one.boxes)]
        found = iter(self._recovered(some) if some else [])
        return [
            self._agreeing(one, notes, *next(found)) if len(one.boxes) else People(notes=notes)
            for one, notes in known
        ]

    def require_rotations(self) -> None:
        """Does nothing: bodies that are fitted have them."""

    def motions(
        self, clip: Clip, tracks: Sequence[Track], camera: Camera, smooth: Smooth, progress: Progress
    ) -> list[Motion]:
        """Fits the motion of each person, with a child's body where all that was seen of them shows a child."""
        total, done, motions = sum(len(track.frames) for track in tracks), 0, []
        for track, years in zip(tracks, ages_of_tracks(self.body, tracks, camera)):
            length, own = len(track.frames), self.body if years is None else child(self.body, years)

            def tell(share: float, before: int = done, length: int = length) -> None:
                progress("motion", before + round(share * length), total)

            motions.append(fit_track(own, track, camera, smooth, tell))
            done += length
        return motions

    @staticmethod
    def _agreeing(seen: Seen, notes: list[str], bodies: Bodies, models: Sequence[BodyModel]) -> People:
        """Takes those of the recovered people with whom what is seen agrees."""
        everyone = people_of(seen, bodies, models, "fit")
        agreeing = [person for person in everyone if person.score >= CONTRADICTED]
        left_out = [
            f"no body agrees with what is seen in box {box_text(person.bbox_xywh)}, which is left out"
            for person in everyone
            if person.score < CONTRADICTED
        ]
        kept = _without_doubles(agreeing) if seen.photo.boxes is None else agreeing
        return People(kept, [*notes, *left_out])

    def _recovered(self, known: Sequence[Seen]) -> list[tuple[Bodies, list[BodyModel]]]:
        """Fits adults, and children where these are told by what was found, for each photo."""
        counts = [len(one.boxes) for one in known]
        found = [_landmarks(one) for one in known]
        each = [landmark_targets(marks, one.boxes, one.photo) for marks, one in zip(found, known)]
        targets = Targets(*map(torch.cat, zip(*each)))
        with one_thread():
            fits = fit_landmarks(self.body, targets)
        # Bodies in float32 are posed photo by photo: in larger products the last digit may be another.
        parts = [Fit(*part) for part in zip(*(value.split(counts) for value in fits))]
        posed = [self._posed(self.body, part) for part in parts]
        vertices, joints = (torch.cat([getattr(one, name) for one in posed]) for name in BodyOutput._fields)
        models = [self.body] * len(vertices)
        if self.body.name == "open":  # licensed bodies know no children
            visibility = np.concatenate([marks.visibility for marks in found])
            with one_thread():
                children = ages(self.body, targets, fits, joints, visibility, counts)
            for i, years in children.items():
                models[i] = child(self.body, years)
                with one_thread():
                    fit = fit_landmarks(models[i], Targets(*(value[[i]] for value in targets)))
                fits = Fit(*(torch.cat([all_[:i], one, all_[i + 1 :]]) for all_, one in zip(fits, fit)))
                vertices[[i]], joints[[i]] = self._posed(models[i], fit)
        around = [squares(one.boxes, self.bbox_scale, one.photo.camera) for one in known]
        cam = crop_camera(fits.transl, *map(torch.cat, zip(*around)))
        of_all = [vertices, joints, cam, fits.transl, fits.rotmat, fits.betas]
        of_each = zip(*(value.split(counts) for value in of_all))
        rest = iter(models)
        return [(Bodies(*part), list(islice(rest, count))) for part, count in zip(of_each, counts)]

    @staticmethod
    def _posed(body: BodyModel, fits: Fit) -> BodyOutput:
        with torch.no_grad():
            return body(fits.rotmat, fits.betas)


def _recognised(seen: Seen) -> tuple[Seen, list[str]]:
    """Leaves out given boxes in which nobody was recognised, and says which."""
    photo, boxes, landmarks = seen.photo, seen.boxes, _landmarks(seen)
    if photo.boxes is None:
        return seen, []
    somebody = landmarks.score >= SOMEBODY
    notes = [f"nobody was recognised in box {box_text(box)}" for box in boxes[~somebody]]
    return Seen(photo, landmarks[somebody], boxes[somebody]), notes


def _landmarks(seen: Seen) -> Landmarks:
    assert seen.landmarks is not None, "a fit needs landmarks"
    return seen.landmarks


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
