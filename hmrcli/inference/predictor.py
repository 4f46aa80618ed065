"""A photo in, posed bodies out."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hmrcli.algorithms.predict import load_network
from hmrcli.body import BodyModel, load_body
from hmrcli.body.camera import crop_camera, full_image_translation, project
from hmrcli.body.joints import SMPL_24_NAMES
from hmrcli.data.crop import crop_people, square_around
from hmrcli.environment import chosen_device
from hmrcli.errors import UsageError
from hmrcli.fitting.fit import ITERATIONS, Start, fit_landmarks
from hmrcli.fitting.regressor import regress
from hmrcli.fitting.targets import GUESSED, Targets
from hmrcli.inference.agreement import agreement, in_box, in_picture, joints_visibility
from hmrcli.inference.network import predict
from hmrcli.inference.person import People, Person
from hmrcli.layers import Crops
from hmrcli.people import LANDMARK_INDEX, Landmarks, body_landmarks, detect_people
from hmrcli.recipe import Recipe, load_recipe
from hmrcli.recipe.algorithms import CropShape

SOMEBODY = 0.5
"""Landmark score below which a given box shows nobody."""
CONTRADICTED = 0.05
"""Score below which a fitted body is not given out: what is seen speaks against it."""
ONE_HEAD = 0.08
"""Distance of two heads, as a share of the longer side of the people's boxes, below which they are one."""
LEAST_PIXELS, LEAST_SHARE = 16, 0.1
"""Of a given box within the picture: its longer side, and what of its area."""
SMALL = 256
"""Pixels along the longer side of a picture: in a smaller one, people in the distance cannot be told."""
NEAR = 0.05
"""Metres: nearer points are not seen."""
BBOX_SCALE = 1.25
"""Side of a person's square crop, as a multiple of the longer side of the box (mmhuman3d's inference API)."""

_HEAD = SMPL_24_NAMES.index("head")
_LEGS = [LANDMARK_INDEX[f"{side}_{name}"] for side in ("left", "right") for name in ("knee", "ankle")]

Image = NDArray[np.uint8]
Array = NDArray[np.floating]
Boxes = Sequence[Sequence[float]] | Array
StartFrom = Literal["landmarks", "regressor"]


class Predictor:
    """Recovers the people of images."""

    def __init__(
        self,
        recipe: Recipe | str | Path | None = None,
        checkpoint: Path | str | None = None,
        *,
        body: BodyModel | None = None,
        device: torch.device | str | None = None,
        bbox_scale: float = BBOX_SCALE,
        start: StartFrom = "landmarks",
        refine: bool = True,
    ) -> None:
        """Takes a trained network, or none for the bundled default.

        Args:
            recipe: of the network, or the name of a bundled one.
            checkpoint: its weights, in any layout of `load_weights`.
            body: the body to pose; the open body when not given.
            device: of the network; the fastest there is when not given. Fitting runs on the CPU.
            bbox_scale: side of a network's crop, as a multiple of the box's longer side.
            start: of the default's fit: a guess from the landmarks in closed form, or the bundled regressor
                (`data/fitting/regressor.md`), whose shapes are the open body's: another body starts from its mean.
            refine: whether the default fits; False gives what the regressor says.

        Raises:
            ValueError: only one of recipe and checkpoint is given, or neither regressor nor fit is asked for.
            UsageError: this machine has no such device.
            MissingFile: a file is not there; the message says how to get it.
            BadInput: recipe or checkpoint cannot be used, or do not fit each other.
        """
        if (recipe is None) != (checkpoint is None):
            raise ValueError("a network needs both its recipe and its checkpoint")
        if start == "landmarks" and not refine:
            raise ValueError("without a fit, bodies come from the regressor: give start='regressor'")
        self.start, self.refine = start, refine
        self.body = body or load_body("open")
        self.bbox_scale = bbox_scale
        self.recipe = load_recipe(recipe) if isinstance(recipe, str | Path) else recipe
        self.checkpoint = None if checkpoint is None else Path(checkpoint)
        chosen = chosen_device(device)
        if self.recipe is not None and self.checkpoint is not None:
            self.network, self.report = load_network(self.recipe, self.checkpoint, self.body, chosen)

    @classmethod
    def from_default(
        cls, body: BodyModel | None = None, *, start: StartFrom = "landmarks", refine: bool = True
    ) -> "Predictor":
        """The bundled default: landmarks found by small networks, and a body fitted to them."""
        return cls(body=body, start=start, refine=refine)

    def __call__(
        self,
        image: Image,
        boxes: Boxes | None = None,
        max_people: int | None = None,
        focal_length: float | None = None,
    ) -> People:
        """Recovers the people of one image, the most certain detections first, or in the order of the boxes.

        Args:
            image: (H, W, 3) RGB.
            boxes: x, y, width, height in pixels of each person; found by a detector when not given.
            max_people: keep the best of the detected.
            focal_length: pixels; the image's diagonal when not given.

        Returns:
            one entry per person; none where nobody is found. A network answers every given box. The default gives no
            body for a box that shows nobody, nor one that what is seen speaks against; `notes` names these.

        Raises:
            UsageError: a box is not four numbers, or shows too little of the image.
        """
        return self.many([image], None if boxes is None else [boxes], max_people, [focal_length])[0]

    def many(
        self,
        images: Sequence[Image],
        boxes: Sequence[Boxes] | None = None,
        max_people: int | None = None,
        focal_lengths: Sequence[float | None] | None = None,
    ) -> list[People]:
        """Recovers the people of several images in one batch; otherwise as for one image."""
        given = [None] * len(images) if boxes is None else list(map(checked_boxes, boxes, images))
        focal_lengths = focal_lengths or [None] * len(images)
        if self.recipe is None:
            everyone = self._fit(images, given, max_people, focal_lengths)
        else:
            everyone = self._regress(images, given, max_people, focal_lengths, self.recipe.crop_shape)
        for image, boxed, people in zip(images, given, everyone):
            height, width = image.shape[:2]
            if boxed is None and not people and max(height, width) < SMALL:
                people.notes.append(f"at {width} x {height} pixels, people may be too small to be recognised")
        return everyone

    def _fit(
        self,
        images: Sequence[Image],
        boxes: Sequence[Array | None],
        max_people: int | None,
        focal_lengths: Sequence[float | None],
    ) -> list[People]:
        found: list[tuple[Landmarks, Array]] = []
        people: list[People] = []
        for image, given in zip(images, boxes):
            landmarks, bbox = find_landmarks(image, given, max_people)
            somebody = landmarks.score >= (0 if given is None else SOMEBODY)
            found.append((landmarks[somebody], bbox[somebody]))
            nobody = [f"nobody was recognised in box {_text(box)}" for box in bbox[~somebody]]
            people.append(People(notes=nobody))
        if not any(len(bbox) for _, bbox in found):
            return people
        parts = [
            landmark_targets(*one, image.shape, f) for one, image, f in zip(found, images, focal_lengths)
        ]
        targets = Targets(*(torch.cat(values) for values in zip(*parts)))
        start = self._start([landmarks for landmarks, _ in found], parts)
        fits = fit_landmarks(self.body, targets, iterations=ITERATIONS if self.refine else 0, start=start)
        with torch.inference_mode():
            posed = self.body(fits.rotmat, fits.betas)
        boxes_of_all = np.concatenate([bbox for _, bbox in found])
        centre, side = (
            torch.from_numpy(value).float() for value in square_around(boxes_of_all, self.bbox_scale)
        )
        focal, principal = targets.focal_length.float(), targets.principal_point.float()
        bodies = Bodies(
            posed.vertices,
            posed.joints,
            crop_camera(fits.transl, centre, side, focal, principal),
            fits.transl,
            fits.rotmat,
            fits.betas,
        )
        fitted = self._people(images, found, bodies, focal, principal, "fit" if self.refine else "regression")
        for own, several, given in zip(people, fitted, boxes):
            agreeing = [person for person in several if person.score >= CONTRADICTED]
            own += _without_doubles(agreeing) if given is None else agreeing
            own.notes += [
                f"no body agrees with what is seen in box {_text(person.bbox_xywh)}, which is left out"
                for person in several
                if person.score < CONTRADICTED
            ]
        return people

    def _start(self, landmarks: list[Landmarks], targets: list[Targets]) -> Start | None:
        """Where the fit of all people starts, if not from their landmarks."""
        if self.start == "landmarks":
            return None
        each = [regress(*one) for one in zip(landmarks, targets)]
        rotmat, betas = torch.cat([one.rotmat for one in each]), torch.cat([one.betas for one in each])
        if self.body.name != "open":
            return Start(rotmat, torch.zeros_like(betas), each[0].pose_spread, torch.ones(10))
        return each[0]._replace(rotmat=rotmat, betas=betas)

    def _regress(
        self,
        images: Sequence[Image],
        boxes: Sequence[Array | None],
        max_people: int | None,
        focal_lengths: Sequence[float | None],
        shape: CropShape,
    ) -> list[People]:
        # The landmark network tells false detections and repeats, as for a fit.
        found = [
            find_landmarks(image, None, max_people) if given is None else (None, given)
            for image, given in zip(images, boxes)
        ]
        if not any(len(bbox) for _, bbox in found):
            return [People() for _ in images]
        crops = [crop_people(image, bbox, self.bbox_scale, shape) for image, (_, bbox) in zip(images, found)]
        prediction, joints = predict(self.network, self.body, Crops(*map(torch.cat, zip(*crops))))
        cameras = [
            default_camera(image.shape, len(bbox), f)
            for image, (_, bbox), f in zip(images, found, focal_lengths)
        ]
        focal, principal = (torch.cat(values) for values in zip(*cameras))
        boxes_of_all = np.concatenate([bbox for _, bbox in found])
        centre, side = (
            torch.from_numpy(value).float() for value in square_around(boxes_of_all, self.bbox_scale)
        )
        bodies = Bodies(
            prediction.vertices,
            joints,
            prediction.cam,
            full_image_translation(prediction.cam, centre, side, focal, principal),
            prediction.rotmat,
            prediction.betas,
        )
        return self._people(images, found, bodies, focal, principal, "regression")

    def _people(
        self,
        images: Sequence[Image],
        found: Sequence[tuple[Landmarks | None, Array]],
        bodies: "Bodies",
        focal: Tensor,
        principal: Tensor,
        method: str,
    ) -> list[People]:
        """The people of each image, whose bodies are joined in one batch; without landmarks, they were given boxes."""
        parts = self.body.parts.cpu().numpy()
        everyone: list[People] = []
        end = 0
        for image, (landmarks, boxes) in zip(images, found):
            one = slice(end, end := end + len(boxes))
            own = Bodies._make(None if value is None else value[one] for value in bodies)
            joints, skin = (points + own.transl[:, None] for points in (own.joints3d, own.vertices))
            joints2d, skin2d = (project(points, focal[one], principal[one]) for points in (joints, skin))
            # What is behind the camera lies outside every picture.
            seen_joints = torch.where(joints[..., 2:] > NEAR, joints2d, -1.0).numpy()
            visibility = in_picture(seen_joints, image.shape).astype(float)
            if landmarks is None:
                scores = in_box(boxes, seen_joints, visibility >= 0.5)
            else:
                visibility *= joints_visibility(landmarks, seen_joints)
                seen_skin = torch.where(skin[..., 2:] > NEAR, skin2d, -1.0).numpy()
                scores = agreement(landmarks, boxes, seen_joints, visibility, seen_skin, parts, image.shape)
            everyone.append(
                People(
                    Person(
                        bbox_xywh=boxes[i].astype(np.float32),
                        score=float(scores[i]),
                        method=method,
                        rotmat=None if own.rotmat is None else own.rotmat[i].numpy(),
                        betas=None if own.betas is None else own.betas[i].numpy(),
                        cam=own.cam[i].numpy(),
                        transl=own.transl[i].numpy(),
                        focal_length=float(focal[one][i]),
                        principal_point=principal[one][i].numpy(),
                        vertices=own.vertices[i].numpy(),
                        joints3d=own.joints3d[i].numpy(),
                        joints2d=joints2d[i].numpy(),
                        joints_visibility=visibility[i].astype(np.float32),
                    )
                    for i in range(len(boxes))
                )
            )
        return everyone


def checked_boxes(boxes: Boxes, image: Image) -> Array:
    """Boxes (N, 4) of people in an image (H, W, 3).

    A box may reach beyond the picture, as that of somebody who is cut by its edge does.

    Raises:
        UsageError: a box is not four numbers, or shows too little of the picture or too few pixels.
    """
    given = np.asarray(boxes, float).reshape(-1, 4) if np.size(boxes) % 4 == 0 else np.full((1, 4), np.nan)
    size = np.array(image.shape[1::-1])
    for box in given:
        named = f"box {_text(box)} in a picture of {size[0]} x {size[1]} pixels"
        if not (np.isfinite(box).all() and (box[2:] > 0).all()):
            raise UsageError(
                f"{named} is not four numbers x,y,w,h in pixels with a width and a height above 0"
            )
        within = np.minimum(box[:2] + box[2:], size) - np.maximum(box[:2], 0)
        if (within <= 0).any():
            raise UsageError(f"{named} lies outside it: give x,y,w,h in pixels from the top left corner")
        if within.max() < LEAST_PIXELS or within.min() < LEAST_PIXELS / 4:
            shown = f"{within[0]:g} x {within[1]:g} pixels"
            raise UsageError(f"{named} shows {shown} of it, too few for a person")
        if within.prod() < LEAST_SHARE * box[2:].prod():
            raise UsageError(f"{named} lies outside it by more than {1 - LEAST_SHARE:.0%}")
    return given


def _without_doubles(people: Sequence[Person]) -> list[Person]:
    """Leaves out bodies whose head is where a better one's is: one person, taken for two of different size."""
    kept: list[Person] = []
    for person in sorted(people, key=lambda person: -person.score):
        apart = [np.linalg.norm((person.joints2d - other.joints2d)[_HEAD]) for other in kept]
        sides = [max(*person.bbox_xywh[2:], *other.bbox_xywh[2:]) for other in kept]
        if all(distance > ONE_HEAD * side for distance, side in zip(apart, sides)):
            kept.append(person)
    return [person for person in people if any(person is one for one in kept)]


def _text(box: Array) -> str:
    return ",".join(f"{value:.6g}" for value in box)


def default_camera(
    shape: tuple[int, ...], count: int, focal_length: float | None = None
) -> tuple[Tensor, Tensor]:
    """Focal length (N,) and principal point (N, 2) of an image without calibration, pixels.

    A focal length that is not known is the image's diagonal, a usual lens (53 degrees along the diagonal).
    """
    height, width = shape[:2]
    focal = torch.full((count,), focal_length or float(np.hypot(height, width)))
    return focal, torch.tensor([[width / 2, height / 2]]).expand(count, 2)


def find_landmarks(image: Image, boxes: Array | None, max_people: int | None) -> tuple[Landmarks, Array]:
    """Landmarks of N people and their boxes (N, 4), which are given or found by a detector."""
    if boxes is not None:
        return body_landmarks(image, boxes), boxes
    detections = detect_people(image)
    landmarks = body_landmarks(image, detections)[:max_people]
    return landmarks, np.reshape([d.bbox_xywh for d in detections], (-1, 4))[landmarks.source]


def landmark_targets(
    landmarks: Landmarks, boxes: Array, shape: tuple[int, ...], focal_length: float | None = None
) -> Targets:
    """What to fit to, for the people of an image of a given shape."""
    focal, principal = default_camera(shape, len(landmarks), focal_length)
    # Where the landmark network is least sure it invents rather than sees.
    confidence = ((landmarks.visibility - 0.1) / 0.4).clip(0, 1)
    guessed = GUESSED * (landmarks.presence[:, _LEGS] >= 0.5)
    confidence[:, _LEGS] = np.maximum(confidence[:, _LEGS], guessed)
    return Targets(
        points2d=torch.from_numpy(landmarks.points2d),
        points3d=torch.from_numpy(landmarks.points3d),
        confidence=torch.from_numpy(confidence),
        extent=torch.from_numpy(boxes[:, 2:].max(1)),
        focal_length=focal,
        principal_point=principal,
    )


class Bodies(NamedTuple):
    """N recovered bodies; see `Person`."""

    vertices: Tensor
    joints3d: Tensor
    cam: Tensor
    transl: Tensor
    rotmat: Tensor | None
    betas: Tensor | None
