"""Numbers of people, written over their heads."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

_SHARE, _LEAST = 0.022, 10
"""Height of figures, as a share of the picture's longer side, and in pixels at least."""
_INK = (24, 28, 36)
_CAP = 22.0
"""Pixels of a capital of OpenCV's plain font at scale 1."""


class Label(NamedTuple):
    """A number, its box in the picture, pixels, and the scale of the font."""

    text: str
    left: int
    top: int
    width: int
    height: int
    scale: float


def place_labels(
    tops: Sequence[Array | None], numbers: Sequence[int], shape: tuple[int, ...]
) -> list[Label | None]:
    """Finds room for numbers above people, within a picture and not over each other as far as there is room.

    Tops are the highest pixel (2,) of each person, None for those who are not seen; `shape` is the picture's.
    """
    import cv2

    height, width = shape[:2]
    figure = max(_SHARE * max(height, width), _LEAST)
    scale, margin = figure / _CAP, round(0.35 * figure)
    labels: list[Label | None] = []
    for top, number in zip(tops, numbers):
        if top is None:
            labels.append(None)
            continue
        (long, _), _ = cv2.getTextSize(str(number), cv2.FONT_HERSHEY_SIMPLEX, scale, _thickness(scale))
        size = (long + 2 * margin, round(figure) + 2 * margin)
        left = round(top[0] - size[0] / 2)
        if top[1] < 1.2 * size[1]:  # no room above: beside the head
            left += size[0] * (1 if left + 2 * size[0] <= width else -1)
        left = int(np.clip(left, 0, max(width - size[0], 0)))
        above = int(np.clip(round(top[1] - 1.2 * size[1]), 0, max(height - size[1], 0)))
        label = Label(str(number), left, above, *size, scale)
        # The nearest free place, above or below.
        steps = sorted(range(-8, 9), key=lambda step: (abs(step), step))
        places = (label._replace(top=above + step * size[1] // 2) for step in steps)
        inside = (place for place in places if 0 <= place.top <= height - size[1])
        free = (place for place in inside if not any(other and _meet(place, other) for other in labels))
        labels.append(next(free, label))
    return labels


def draw_labels(image: Array, labels: Sequence[Label | None], colours: Sequence[Array]) -> None:
    """Draws labels over an image (H, W, 3) uint8, in place, on plates of colours (3,) in [0, 1]."""
    import cv2

    for label, colour in zip(labels, colours):
        if label is None:
            continue
        text, left, top, width, height, scale = label
        plate = image[top : top + height, left : left + width]
        plate[:] = np.rint(255 * colour)
        cv2.rectangle(plate, (0, 0), (plate.shape[1] - 1, plate.shape[0] - 1), _INK, max(round(scale), 1))
        (long, high), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, _thickness(scale))
        at = (round((width - long) / 2), round((height + high) / 2))
        cv2.putText(plate, text, at, cv2.FONT_HERSHEY_SIMPLEX, scale, _INK, _thickness(scale), cv2.LINE_AA)


def _meet(one: Label, other: Label) -> bool:
    return (
        abs(2 * (one.left - other.left) + one.width - other.width) < one.width + other.width
        and abs(2 * (one.top - other.top) + one.height - other.height) < one.height + other.height
    )


def _thickness(scale: float) -> int:
    return max(round(2 * scale), 1)
