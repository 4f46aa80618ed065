"""Pictures side by side with a line of text above each, for a person to look at."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from hmrcli.files import whole_file

_GAP, _LINE = 8, 26
"""Pixels between pictures, and of the line above each."""
_PAPER, _INK = 255, (24, 28, 36)
_FONT, _SCALE = cv2.FONT_HERSHEY_SIMPLEX, 0.45


class Tile(NamedTuple):
    """A picture (H, W, 3) uint8 RGB, of one size on a sheet, and what stands above it."""

    text: str
    picture: NDArray[np.uint8]


def write_sheet(path: Path, tiles: Sequence[Tile], columns: int) -> None:
    """Writes tiles as a PNG, line by line."""
    height, width = tiles[0].picture.shape[:2]
    lines = -(-len(tiles) // columns)
    size = (_GAP + lines * (_LINE + height + _GAP), _GAP + columns * (width + _GAP), 3)
    sheet = np.full(size, _PAPER, np.uint8)
    for number, (text, picture) in enumerate(tiles):
        top = _GAP + number // columns * (_LINE + height + _GAP) + _LINE
        left = _GAP + number % columns * (width + _GAP)
        sheet[top : top + height, left : left + width] = picture
        long = cv2.getTextSize(text, _FONT, _SCALE, 1)[0][0]
        scale = _SCALE * min(1.0, width / max(long, 1))
        cv2.putText(sheet, text, (left, top - 8), _FONT, scale, _INK, 1, cv2.LINE_AA)
    with whole_file(path) as temporary:
        cv2.imwrite(str(temporary), sheet[..., ::-1])
