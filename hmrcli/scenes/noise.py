"""Fractal value noise in a table: what walls, grass, clouds and leaves are made of.

The lattice values are hashes of their places, so every machine has the same table.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

SIDE = 512
"""Side of the table, which repeats beyond it."""

_COARSEST = 8
_OCTAVES = 6


@lru_cache(maxsize=1)
def fractal() -> NDArray[np.float32]:
    """(SIDE, SIDE) noise spread evenly over 0 to 1, with detail from SIDE / 8 cells down to 2."""
    total = np.zeros((SIDE, SIDE))
    for octave in range(_OCTAVES):
        cells = _COARSEST << octave
        total += _smooth(_lattice(cells, octave), SIDE // cells) * 0.6**octave
    ranks = np.empty(SIDE * SIDE, np.float32)
    ranks[np.argsort(total, axis=None, kind="stable")] = np.linspace(0, 1, SIDE * SIDE, dtype=np.float32)
    return ranks.reshape(SIDE, SIDE)


def _lattice(cells: int, octave: int) -> NDArray[np.float64]:
    """(cells, cells) hashed numbers from 0 to 1."""
    rows, columns = np.meshgrid(np.arange(cells), np.arange(cells), indexing="ij")
    h = (rows * 374761393 + columns * 668265263 + (octave + 1) * 982451653) & 0xFFFFFFFF
    h = ((h ^ (h >> 13)) * 1274126177) & 0xFFFFFFFF
    return ((h ^ (h >> 16)) & 0xFFFFFF) / float(0xFFFFFF)


def _smooth(lattice: NDArray[np.float64], step: int) -> NDArray[np.float64]:
    """The lattice with `step` values per cell, eased between its points, wrapping round."""
    t = np.arange(step) / step
    weight = t * t * (3 - 2 * t)

    def along_rows(values: NDArray[np.float64]) -> NDArray[np.float64]:
        following = np.roll(values, -1, axis=0)
        between = values[:, None] + (following - values)[:, None] * weight[None, :, None]
        return between.reshape(-1, values.shape[1])

    return along_rows(along_rows(lattice).T).T
