"""The floor on which the people of a photo stand."""

from collections.abc import Sequence

import numpy as np

from hmrcli.inference.person import Person, lean
from hmrcli.render.scene_file import Floor

_FEET = (7, 8, 10, 11)
_LEAN, _HEIGHT = 0.1, 0.1
"""Deviations: radians by which people who stand lean, metres by which their soles miss one plane."""
_ELSEWHERE = 2.0
"""Deviations beyond which somebody stands on something else."""
_REACH = 0.4
"""Radians about the people's lean that are tried for the camera's pitch."""


def floor_of(people: Sequence[Person]) -> Floor | None:
    """Estimates the floor from those who are seen to stand: upright on it, with their soles in one plane.

    Several people tell the camera's pitch by their leans and by what brings their soles to one height; one alone by
    the lean. None where nobody is seen to stand.
    """
    standing = [(person, angle) for person in people if (angle := lean(person)) is not None]
    if not standing:
        return None
    leans = np.array([angle for _, angle in standing])
    pitches = np.median(leans) + np.linspace(-_REACH, _REACH, 161)
    down = np.stack([np.zeros_like(pitches), np.cos(pitches), np.sin(pitches)])
    feet = [person.placed[np.isin(person.body.parts.cpu().numpy(), _FEET)] for person, _ in standing]
    soles = np.stack([(points @ down).max(0) for points in feet])  # (people, pitches)
    # Of each one's height.
    apart = np.square((soles[:, None] - soles) / _HEIGHT).clip(max=_ELSEWHERE**2).sum(1)
    cost = apart + np.square((leans[:, None] - pitches) / _LEAN).sum(0)
    # Of two who stand at different heights, the lower one stands on the floor.
    _, below, best = min(
        (round(float(cost[i, j]), 6), -float(soles[i, j]), j)
        for i in range(len(soles))
        for j in range(len(pitches))
    )
    return Floor(float(pitches[best]), -below)
