"""A photo in, posed bodies out."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hmrcli.body import BodyModel, load_body
from hmrcli.body.camera import crop_camera, full_image_translation, project
from hmrcli.datasets.crop import square_around
from hmrcli.fitting.fit import ITERATIONS, Start, fit_landmarks
from hmrcli.fitting.regressor import regress
from hmrcli.fitting.targets import Targets
from hmrcli.inference.network import crop_people, predict
from hmrcli.inference.person import Person
from hmrcli.networks import chosen_device, load_network
from hmrcli.people import Landmarks, body_landmarks, detect_people
from hmrcli.recipe import Recipe, load_recipe

BBOX_SCALE = 1.25
"""Side of a person's square crop, as a multiple of the longer side of the box (mmhuman3d's inference API)."""

Image = NDArray[np.uint8]
Boxes = Sequence[Sequence[float]] | NDArray[np.floating]
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
        self, image: Image, boxes: Boxes | None = None, max_people: int | None = None
    ) -> list[Person]:
        """Recovers the people of one image, the most certain first.

        Args:
            image: (H, W, 3) RGB.
            boxes: x, y, width, height in pixels of each person; found by a detector when not given.
            max_people: keep the best of the detected.

        Returns:
            one entry per person; none where nobody is found. A box given by the caller is always answered.
        """
        return self.many([image], None if boxes is None else [boxes], max_people)[0]

    def many(
        self, images: Sequence[Image], boxes: Sequence[Boxes] | None = None, max_people: int | None = None
    ) -> list[list[Person]]:
        """Recovers the people of several images in one batch; otherwise as for one image."""
        if self.recipe is None:
            return self._fit(images, boxes, max_people)
        return self._regress(images, boxes, max_people, self.recipe.data.image_size)

    def _fit(
        self, images: Sequence[Image], boxes: Sequence[Boxes] | None, max_people: int | None
    ) -> list[list[Person]]:
        found = [
            find_landmarks(image, None if boxes is None else boxes[i], max_people)
            for i, image in enumerate(images)
        ]
        counts = [len(landmarks) for landmarks, _ in found]
        if not sum(counts):
            return [[] for _ in images]
        parts = [landmark_targets(*one, image.shape) for one, image in zip(found, images)]
        targets = Targets(*(torch.cat(values) for values in zip(*parts)))
        start = self._start([landmarks for landmarks, _ in found], parts)
        fits = fit_landmarks(self.body, targets, iterations=ITERATIONS if self.refine else 0, start=start)
        with torch.inference_mode():
            posed = self.body(fits.rotmat, fits.betas)
        bbox = np.concatenate([one[1] for one in found])
        centre, side = (torch.from_numpy(value).float() for value in square_around(bbox, self.bbox_scale))
        focal, principal = targets.focal_length.float(), targets.principal_point.float()
        bodies = Bodies(
            posed.vertices,
            posed.joints,
            crop_camera(fits.transl, centre, side, focal, principal),
            fits.transl,
            fits.rotmat,
            fits.betas,
        )
        scores = np.concatenate([landmarks.score for landmarks, _ in found])
        method = "fit" if self.refine else "regression"
        return _split(_people(bodies, bbox, scores, focal, principal, method), counts)

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
        self, images: Sequence[Image], boxes: Sequence[Boxes] | None, max_people: int | None, size: int
    ) -> list[list[Person]]:
        found: list[tuple[NDArray[np.floating], NDArray[np.floating]]] = []
        for i, image in enumerate(images):
            if boxes is None:
                # The landmark network tells false detections and repeats, as for a fit.
                landmarks, bbox = find_landmarks(image, None, max_people)
                found.append((bbox, landmarks.score))
            else:
                bbox = np.reshape(np.asarray(boxes[i], float), (-1, 4))
                found.append((bbox, np.ones(len(bbox))))
        counts = [len(bbox) for bbox, _ in found]
        if not sum(counts):
            return [[] for _ in images]
        crops = [crop_people(image, bbox, self.bbox_scale, size) for image, (bbox, _) in zip(images, found)]
        prediction, joints = predict(self.network, self.body, np.concatenate(crops))
        cameras = [default_camera(image.shape, count) for image, count in zip(images, counts)]
        focal, principal = (torch.cat(values) for values in zip(*cameras))
        bbox = np.concatenate([one[0] for one in found])
        centre, side = (torch.from_numpy(value).float() for value in square_around(bbox, self.bbox_scale))
        bodies = Bodies(
            prediction.vertices,
            joints,
            prediction.cam,
            full_image_translation(prediction.cam, centre, side, focal, principal),
            prediction.rotmat,
            prediction.betas,
        )
        scores = np.concatenate([one[1] for one in found])
        return _split(_people(bodies, bbox, scores, focal, principal, "regression"), counts)


def default_camera(shape: tuple[int, ...], count: int) -> tuple[Tensor, Tensor]:
    """Focal length (N,) and principal point (N, 2) of an image without calibration, pixels.

    The focal length is the image's diagonal, a usual lens (53 degrees along the diagonal).
    """
    height, width = shape[:2]
    focal = torch.full((count,), float(np.hypot(height, width)))
    return focal, torch.tensor([[width / 2, height / 2]]).expand(count, 2)


def find_landmarks(
    image: Image, boxes: Boxes | None, max_people: int | None
) -> tuple[Landmarks, NDArray[np.floating]]:
    """Landmarks of N people and their boxes (N, 4)."""
    if boxes is not None:
        given = np.reshape(np.asarray(boxes, float), (-1, 4))
        return body_landmarks(image, given), given
    detections = detect_people(image)
    landmarks = body_landmarks(image, detections)[:max_people]
    return landmarks, np.reshape([d.bbox_xywh for d in detections], (-1, 4))[landmarks.source]


def landmark_targets(landmarks: Landmarks, boxes: NDArray[np.floating], shape: tuple[int, ...]) -> Targets:
    """What to fit to, for the people of an image of a given shape."""
    focal, principal = default_camera(shape, len(landmarks))
    # Where the landmark network is least sure it invents rather than sees.
    confidence = ((landmarks.visibility - 0.1) / 0.4).clip(0, 1)
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


def _people(
    bodies: Bodies,
    boxes: NDArray[np.floating],
    scores: NDArray[np.floating],
    focal: Tensor,
    principal: Tensor,
    method: str,
) -> list[Person]:
    joints2d = project(bodies.joints3d + bodies.transl[:, None], focal, principal)
    return [
        Person(
            bbox_xywh=boxes[i].astype(np.float32),
            score=float(scores[i]),
            method=method,
            rotmat=None if bodies.rotmat is None else bodies.rotmat[i].numpy(),
            betas=None if bodies.betas is None else bodies.betas[i].numpy(),
            cam=bodies.cam[i].numpy(),
            transl=bodies.transl[i].numpy(),
            focal_length=float(focal[i]),
            principal_point=principal[i].numpy(),
            vertices=bodies.vertices[i].numpy(),
            joints3d=bodies.joints3d[i].numpy(),
            joints2d=joints2d[i].numpy(),
        )
        for i in range(len(boxes))
    ]


def _split(people: list[Person], counts: Sequence[int]) -> list[list[Person]]:
    """The people of each image."""
    ends = np.cumsum(counts)
    return [people[end - count : end] for end, count in zip(ends, counts)]
