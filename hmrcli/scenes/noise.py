"""Fractal value noise in a table: what walls, floors and leaves are made of."""

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
        total += _smooth(np.random.default_rng(octave).random((cells, cells)), SIDE // cells) * 0.6**octave
    ranks = np.empty(SIDE * SIDE, np.float32)
    ranks[np.argsort(total, axis=None, kind="stable")] = np.linspace(0, 1, SIDE * SIDE, dtype=np.float32)
    return ranks.reshape(SIDE, SIDE)


def _smooth(lattice: NDArray[np.float64], step: int) -> NDArray[np.float64]:
    """Spreads the lattice to `step` values per cell, eased between its points, wrapping round."""
    cell, t = np.divmod(np.arange(len(lattice) * step), step)
    weight, following = (t / step) ** 2 * (3 - 2 * t / step), (cell + 1) % len(lattice)
    rows = lattice[cell] + (lattice[following] - lattice[cell]) * weight[:, None]
    return np.asarray(rows[:, cell] + (rows[:, following] - rows[:, cell]) * weight)
