"""A photo in, posed bodies out."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import torch

from hmrcli.body import BodyModel, load_body
from hmrcli.camera import Camera
from hmrcli.environment import chosen_device
from hmrcli.errors import UsageError
from hmrcli.fitting.motion import Smooth
from hmrcli.inference.fit import BBOX_SCALE, FitPredictor
from hmrcli.inference.images import AnyImage, Picture, as_picture
from hmrcli.inference.person import People
from hmrcli.inference.photo import Boxes, Photo, Seen, checked_boxes, see
from hmrcli.inference.video import Clip, Progress
from hmrcli.motion import Motion, Track

if TYPE_CHECKING:
    from hmrcli.recipe import Recipe

SMALL = 256
"""Pixels along the longer side of a picture: in a smaller one, people in the distance cannot be told."""


class Method(Protocol):
    """A way to recover people: `FitPredictor`, or `NetworkPredictor`."""

    bbox_scale: float
    """Of the square crops whose weak-perspective cameras are given."""

    def people(self, seen: Sequence[Seen]) -> list[People]:
        """Gives the people of each photo, of those who are seen in it."""

    def require_rotations(self) -> None:
        """Raises UsageError where bodies have no joint rotations, of which motions are made."""

    def motions(
        self, clip: Clip, tracks: Sequence[Track], camera: Camera, smooth: Smooth, progress: Progress
    ) -> list[Motion]:
        """Gives the motion of each person who was followed through a clip, under the camera of all frames.

        The clip may be read once more; `smooth` is how much of a motion is taken for noise, and `progress` is told how
        much is done, in frames of all people.
        """


class Predictor:
    """Recovers the people of images.

    Attributes:
        body: the body that is posed.
        recipe: of the trained network; None for the bundled default.
        checkpoint: its weights; None likewise.
        method: `FitPredictor` or `NetworkPredictor`, which does the work.
    """

    def __init__(
        self,
        recipe: "Recipe | str | Path | None" = None,
        checkpoint: Path | str | None = None,
        *,
        body: BodyModel | None = None,
        device: torch.device | str | None = None,
        bbox_scale: float = BBOX_SCALE,
    ) -> None:
        """Takes a trained network, or none for the bundled default.

        Args:
            recipe: of the network, or the name of a bundled one.
            checkpoint: its weights, in any layout of `load_weights`.
            body: the body to pose; the open body when not given.
            device: of the network; the fastest there is when not given. Fitting runs on the CPU.
            bbox_scale: side of a network's crop, as a multiple of the box's longer side.

        Raises:
            ValueError: only one of recipe and checkpoint is given.
            UsageError: this machine has no such device.
            MissingFile: a file is not there; the message says how to get it.
            BadInput: recipe or checkpoint cannot be used, or do not fit each other.
        """
        if (recipe is None) != (checkpoint is None):
            raise ValueError("a network needs both its recipe and its checkpoint")
        self.body = body or load_body("open")
        self.recipe: Recipe | None = None
        self.checkpoint = None if checkpoint is None else Path(checkpoint)
        chosen = chosen_device(device)
        self.method: Method
        if recipe is None or self.checkpoint is None:
            self.method = FitPredictor(self.body, bbox_scale)
        else:  # a fit needs none of it
            from hmrcli.inference.network import NetworkPredictor
            from hmrcli.recipe import load_recipe

            self.recipe = load_recipe(recipe) if isinstance(recipe, str | Path) else recipe
            self.method = NetworkPredictor(self.recipe, self.checkpoint, self.body, chosen, bbox_scale)

    @classmethod
    def from_default(cls, body: BodyModel | None = None) -> "Predictor":
        """Takes the bundled default: landmarks found by small networks, and a body fitted to them."""
        return cls(body=body)

    def __call__(
        self,
        image: AnyImage,
        boxes: Boxes | None = None,
        max_people: int | None = None,
        focal_length: float | None = None,
        camera: Camera | None = None,
    ) -> People:
        """Recovers the people of one image, the most certain detections first, or in the order of the boxes.

        Args:
            image: a file, a PIL image, or (H, W, 3) uint8 RGB.
            boxes: x, y, width, height in pixels of each person; found by a detector when not given.
            max_people: keep the best of the detected.
            focal_length: pixels; what EXIF says when not given, else the image's diagonal.
            camera: of the image, instead of a focal length alone (`hmrcli.camera`); resized to the image.

        Returns:
            one entry per person; none where nobody is found. A network answers every given box. The default gives no
            body for a box that shows nobody, nor one that what is seen speaks against; `notes` names these.

        Raises:
            UsageError: a box is not four numbers, or shows too little; or the camera is that of other images.
            BadInput: the image cannot be read.
        """
        if focal_length is not None and camera is not None:
            raise ValueError("a camera has its focal length: give one of both")
        picture = as_picture(image)
        if focal_length or camera:
            camera = _given_camera(picture, focal_length, camera)
        return self.many([picture], None if boxes is None else [boxes], max_people, [camera])[0]

    def many(
        self,
        images: Sequence[AnyImage | Picture],
        boxes: Sequence[Boxes] | None = None,
        max_people: int | None = None,
        cameras: Sequence[Camera | None] | None = None,
    ) -> list[People]:
        """Recovers the people of several images in one batch; otherwise as for one. Cameras have their images' size."""
        pictures = [image if isinstance(image, Picture) else as_picture(image) for image in images]
        photos = [
            Photo(
                picture.pixels,
                None if boxes is None else checked_boxes(boxes[i], *picture.pixels.shape[1::-1]),
                (cameras[i] if cameras else None) or picture.camera,
            )
            for i, picture in enumerate(pictures)
        ]
        everyone = self.recover([see(photo, max_people, self.recipe is not None) for photo in photos])
        for picture, people in zip(pictures, everyone):
            people.notes[:0] = picture.notes
        return everyone

    def recover(self, seen: Sequence[Seen]) -> list[People]:
        """Recovers the people who are seen in several photos, in one batch (`inference.photo.see`)."""
        everyone = self.method.people(seen)
        for (photo, _, _), people in zip(seen, everyone):
            height, width = photo.pixels.shape[:2]
            if photo.boxes is None and not people and max(height, width) < SMALL:
                people.notes.append(f"at {width} x {height} pixels, people may be too small to be recognised")
        return everyone


def _given_camera(picture: Picture, focal_length: float | None, camera: Camera | None) -> Camera:
    """Returns the camera of a picture that a caller gives, by itself or its focal length."""
    height, width = picture.pixels.shape[:2]
    if focal_length:
        return Camera.of_focal_length(focal_length, width, height)
    assert camera is not None
    if not camera.suits(width, height):
        its = f"{camera.width}x{camera.height}"
        raise UsageError(f"the camera is that of {its}, the image has {width}x{height}")
    return camera.resized(width, height)
