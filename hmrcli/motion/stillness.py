"""Whether a camera stands still, by sparse optical flow of what is behind the people."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Array = NDArray[np.floating]

WIDTH = 320
"""Pixels of the pictures that are compared."""
POINTS, LEAST_POINTS = 120, 12
"""Corners that are followed at most; with fewer nothing can be told."""
MOVED = 0.005
"""Share of the picture's width by which the background lies elsewhere when a camera has moved."""
SHARE = 0.1
"""Of the pictures in which the background lies elsewhere: above, the camera moves."""
MARGIN = 0.15
"""Share of the people's boxes that is left out around them: limbs and shadows."""
_BACK = 0.7
"""Pixels by which a corner misses itself when followed there and back; corners that miss more are lost."""


class CameraWatch:
    """Compares pictures of a clip with its first one; people and what they cover do not count.

    Attributes:
        compared: pictures in which enough of the background was found again, or all of it was gone.
        displaced: those of them in which it lies elsewhere.
    """

    def __init__(self) -> None:
        self.compared = self.displaced = 0
        self._first: NDArray[Any] | None = None
        self._corners: NDArray[Any] = np.empty((0, 1, 2), np.float32)

    def see(self, image: Image, boxes: Array) -> None:
        """Looks at a picture (H, W, 3) RGB with people in boxes (N, 4: x, y, width, height). Some a second will do."""
        scale = WIDTH / image.shape[1]
        size = (WIDTH, max(round(image.shape[0] * scale), 8))
        gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        gray = np.asarray(cv2.resize(gray, size, interpolation=cv2.INTER_AREA))
        free = _background(gray.shape, np.asarray(boxes, float).reshape(-1, 4) * scale)
        if self._first is None or self._first.shape != gray.shape:
            found = cv2.goodFeaturesToTrack(gray, POINTS, 0.02, 6, mask=free)
            if found is not None and len(found) >= LEAST_POINTS:
                self._first, self._corners = gray, found
            return
        corners = self._corners
        there, found, _ = cv2.calcOpticalFlowPyrLK(self._first, gray, corners, np.empty_like(corners))
        back, again, _ = cv2.calcOpticalFlowPyrLK(gray, self._first, there, np.empty_like(corners))
        known = (np.asarray(found) & np.asarray(again)).astype(bool)[:, 0]
        known &= np.linalg.norm(back - corners, axis=2)[:, 0] < _BACK
        columns, rows = np.round(there[:, 0]).astype(int).T
        inside = (columns >= 0) & (columns < size[0]) & (rows >= 0) & (rows < size[1])
        covered = np.zeros(len(corners), bool)
        covered[inside] = free[rows[inside], columns[inside]] == 0
        known &= inside & ~covered
        if known.sum() >= LEAST_POINTS:
            moved = np.median(np.linalg.norm((there - corners)[known, 0], axis=1))
            self.compared += 1
            self.displaced += bool(moved > MOVED * WIDTH)
        elif (~covered).sum() >= 2 * LEAST_POINTS:  # nothing of it is left in sight
            self.compared += 1
            self.displaced += 1

    @property
    def moves(self) -> bool:
        """Tells a camera that moves; without a background that can be followed, it is taken to stand still."""
        return self.displaced > SHARE * self.compared


def _background(size: tuple[int, ...], boxes: Array) -> Image:
    """Returns a picture that is 0 where people are, in boxes (N, 4), and 255 elsewhere."""
    free = np.full(size, 255, np.uint8)
    for x, y, width, height in boxes:
        wide = MARGIN * max(width, height)
        left, top = (max(int(low - wide), 0) for low in (x, y))
        free[top : max(int(y + height + wide), 0), left : max(int(x + width + wide), 0)] = 0
    return free
