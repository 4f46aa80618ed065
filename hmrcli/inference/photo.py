"""The photo that is asked about, and who is seen in it; none of it needs torch, whose import takes longer."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hmrcli.camera import Camera
from hmrcli.errors import UsageError
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


class Seen(NamedTuple):
    """A photo and the N people who are seen in it."""

    photo: Photo
    landmarks: Landmarks | None
    """None where boxes are given to a network, which needs no landmarks."""
    boxes: Array
    """(N, 4) x, y, width, height in pixels."""


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


def see(photo: Photo, max_people: int | None = None, boxes_suffice: bool = False) -> Seen:
    """Finds the people of a photo, in any thread.

    Args:
        photo: with boxes, or without for a detector to find people.
        max_people: keep the best of the detected.
        boxes_suffice: True to take given boxes as they are, for a network.
    """
    if boxes_suffice and photo.boxes is not None:
        return Seen(photo, None, photo.boxes)
    return Seen(photo, *find_landmarks(photo.pixels, photo.boxes, max_people))
