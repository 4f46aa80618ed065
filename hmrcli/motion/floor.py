"""The floor that people stand on, and which way is up, in the space of a camera that stands still."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hmrcli.motion.contacts import Flags, Stance

Array = NDArray[np.float64]

LEVEL = np.array([0.0, -1.0, 0.0])
"""Up, for a camera that is held level."""
LEVEL_SHARE = 0.15
"""Weight of a level camera beside that of people's balance."""
LEAN = 0.08
"""Radians by which the guess is off."""
DEVIATION, OUTLIER = 0.03, 0.1
"""Metres by which points that stand are off the floor, and beyond which they do not stand on it."""
ONE_LOOK = 0.3
"""Seconds for which a standing point says the same."""
_ROUNDS = 10


class Floor(NamedTuple):
    """A plane in the space of a camera: up · point = height."""

    up: Array
    """(3,) of length 1."""
    height: float
    """Metres."""
    error: float
    """Metres that points on it are off, root mean square; nan where nothing stood."""

    def above(self, points: Array) -> Array:
        """Returns metres above the floor of points (..., 3)."""
        return points @ self.up - self.height


def upward(stances: Sequence[Stance], contacts: Sequence[Flags]) -> Array:
    """Guesses which way is up, (3,): people balance above their feet, and a camera is rather held level.

    For each person, contacts (F, 4) tell which points of the soles stand.
    """
    balances = []
    for one, stands in zip(stances, contacts):
        some = stands.any(1)
        share = stands[some] / stands[some].sum(1, keepdims=True)
        balance = one.center[some] - (share[..., None] * one.soles[some]).sum(1)
        balances.append(balance / np.linalg.norm(balance, axis=1, keepdims=True))
    every = np.concatenate(balances)
    total = LEVEL_SHARE * LEVEL + (every.mean(0) if len(every) else 0)
    return np.asarray(total / np.linalg.norm(total))


def find_floor(
    points: Sequence[Array], contacts: Sequence[Flags], times: Sequence[Array], guess: Array
) -> Floor:
    """Lays a plane through what stands: of points (F, 4, 3) of each person's soles those of contacts (F, 4).

    Times (F,) are in seconds; the guess (3,) is of what is up.
    """
    standing = np.concatenate([p[c] for p, c in zip(points, contacts)])
    if not len(standing):
        lowest = np.quantile(np.concatenate([p.reshape(-1, 3) for p in points]) @ guess, 0.02)
        return Floor(guess, float(lowest), float("nan"))
    looks = [
        np.repeat(np.gradient(t) if len(t) > 1 else [ONE_LOOK], 4).reshape(-1, 4)[c]
        for t, c in zip(times, contacts)
    ]
    trust = np.minimum(np.concatenate(looks) / ONE_LOOK, 1) / DEVIATION**2
    across = np.linalg.svd(guess[None])[2][1:]  # two axes across up
    up, height = guess, float(np.median(standing @ guess))
    prior = np.diag([1 / LEAN**2, 1 / LEAN**2, 0.0])
    for _ in range(_ROUNDS):
        off = standing @ up - height
        weight = trust / (1 + (off / OUTLIER) ** 2) ** 2
        rows = np.concatenate([standing @ across.T, -np.ones((len(standing), 1))], 1)
        right = -rows.T @ (weight * (standing @ guess))
        lean_x, lean_y, height = np.linalg.solve(rows.T @ (weight[:, None] * rows) + prior, right)
        up = guess + lean_x * across[0] + lean_y * across[1]
        length = float(np.linalg.norm(up))
        up, height = up / length, float(height) / length
    near = np.abs(standing @ up - height)
    error = np.sqrt((near[near < 3 * OUTLIER] ** 2).mean()) if (near < 3 * OUTLIER).any() else near.mean()
    return Floor(up, height, float(error))
