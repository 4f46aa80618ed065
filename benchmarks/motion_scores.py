"""Recovered motion beside the true one: who is who, and what is off."""

from typing import NamedTuple

import numpy as np
import torch
from shots import FRAME_RATE, Kind, Shot, projected

from hmrcli.evaluation.alignment import align_similarity

FAST, STILL = 1.5, 0.004
"""Metres a second above which a peak counts, and metres a frame below which a foot stands still."""
ASTRAY = 0.3
"""Distance from the truth's points in the picture, as a share of their extent, beyond which it is somebody else."""


class Found(NamedTuple):
    """Recovered bodies of one frame: N of them."""

    points: np.ndarray
    """(N, J, 3) metres in camera axes."""
    track_ids: tuple[int, ...]
    """Zeros where nobody was followed."""


Result = list[Found]
"""Of each frame."""


class Matched(NamedTuple):
    """What was recovered of one person of the truth."""

    points: np.ndarray
    """(F, J, 3), NaN where nobody was."""
    track_ids: np.ndarray
    """(F,), 0 likewise."""


def matched(shot: Shot, result: Result) -> list[Matched]:
    """Tells who of those found is who of the truth, frame by frame, by where they are in the picture."""
    people = [Matched(np.full(truth.shape, np.nan), np.zeros(len(truth), int)) for truth in shot.people]
    for frame, found in enumerate(result):
        places = projected(found.points, shot.camera)
        pairs = []
        for k, truth in enumerate(shot.places):
            extent = float(np.ptp(truth[frame], axis=0).max())
            for i, place in enumerate(places):
                pairs.append((float(np.linalg.norm(place - truth[frame], axis=1).mean()) / extent, k, i))
        taken: set[tuple[str, int]] = set()
        for apart, k, i in sorted(pairs):
            if apart < ASTRAY and not taken & {("truth", k), ("found", i)}:
                taken |= {("truth", k), ("found", i)}
                people[k].points[frame] = found.points[i]
                people[k].track_ids[frame] = found.track_ids[i]
    return people


def measures(kind: Kind, truth: np.ndarray, found: Matched) -> dict[str, list[float]]:
    """Returns what is counted of one person, by name: a value for each frame, peak or foot."""
    seen = np.isfinite(found.points[:, 0, 0])
    result: dict[str, list[float]] = {"missed": (100.0 * ~seen).tolist()}
    ids = found.track_ids[found.track_ids > 0]
    result["switches"] = [float((np.diff(ids) != 0).sum())] if len(ids) else []
    if not seen.any():
        return result
    true, own = (torch.from_numpy(points[seen]) for points in (truth, found.points))
    result["pa_mpjpe"] = (1000 * (align_similarity(own, true) - true).norm(dim=-1).mean(1)).tolist()
    ours, theirs = found.points - kind.root(found.points), truth - kind.root(truth)
    result["mpjpe"] = _known(1000 * np.linalg.norm(ours - theirs, axis=2).mean(1))
    bends = np.diff(ours, 2, axis=0) - np.diff(theirs, 2, axis=0)
    result["acceleration"] = _known(1000 * np.linalg.norm(bends, axis=2).mean(1))
    moved = np.diff(kind.root(found.points), 2, axis=0) - np.diff(kind.root(truth), 2, axis=0)
    result["root acceleration"] = _known(1000 * np.linalg.norm(moved, axis=2).mean(1))
    ends = kind.find("wrist", "ankle")
    speed, own_speed = (
        np.linalg.norm(np.gradient(p[:, ends], axis=0), axis=2) * FRAME_RATE for p in (theirs, ours)
    )
    result["peak"] = []
    for k in range(len(ends)):
        at = int(speed[:, k].argmax())
        around = own_speed[max(0, at - 2) : at + 3, k]
        if speed[at, k] > FAST and np.isfinite(around).any():
            result["peak"].append(float(np.nanmax(around) / speed[at, k]))
    feet = kind.find("ankle")
    steps, own_steps = (np.linalg.norm(np.diff(p[:, feet], axis=0), axis=2) for p in (truth, found.points))
    result["sliding"] = _known(1000 * own_steps[steps < STILL])
    return result


def _known(values: np.ndarray) -> list[float]:
    return values[np.isfinite(values)].tolist()
