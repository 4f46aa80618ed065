"""Ages of people in a clip: one for each person, by what all of their frames show."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from hmrcli.body import BodyModel
from hmrcli.camera import Camera
from hmrcli.environment import one_thread
from hmrcli.fitting.fit import fit_landmarks
from hmrcli.fitting.motion import track_targets
from hmrcli.fitting.targets import Targets
from hmrcli.inference.children import (
    DOUBT,
    DOUBT_AT,
    SMALL,
    YEARS,
    beside_others,
    gains,
    is_bust,
    standing_feet,
    told,
)
from hmrcli.motion import Track

LOOKS = 8
"""Frames of a person that are looked at, at least, where there are as many; usually fewer than twice as many are."""


class _Looks(NamedTuple):
    """Some frames of a person, fitted with an adult's body."""

    frames: NDArray[np.int64]
    targets: Targets
    cost: torch.Tensor
    """(K,) of the fits."""
    feet: NDArray[np.floating]
    """(K, 3) of `standing_feet`."""
    bust: NDArray[np.bool_]
    """(K,) whether no leg is in sight."""


def ages_of_tracks(body: BodyModel, tracks: Sequence[Track], camera: Camera) -> list[float | None]:
    """Tells the years of each person who is a child, once for all of their frames; None for adults.

    A frame in which somebody is cut or half hidden says little of proportions, so the median of many decides.

    Args:
        body: that is to be posed; only the open body of adults knows children.
        tracks: of the people.
        camera: of all frames.
    """
    if body.name != "open" or body.age is not None:
        return [None] * len(tracks)
    with one_thread():
        everyone = [_looks(body, track, camera) for track in tracks]
        heights = _heights(everyone)
        return [_age(body, looks, height) for looks, height in zip(everyone, heights)]


def _looks(body: BodyModel, track: Track, camera: Camera) -> _Looks:
    chosen = spread(track.frames)
    landmarks = track.landmarks[chosen]
    seen = Track(track.track_id, track.frames[chosen], track.times[chosen], track.boxes[chosen], landmarks)
    targets = track_targets(seen, camera)
    fits = fit_landmarks(body, targets)
    with torch.inference_mode():
        joints = body(fits.rotmat, fits.betas).joints
    feet = standing_feet(joints, fits.transl, landmarks.visibility)
    return _Looks(seen.frames, targets, fits.cost, feet, is_bust(landmarks.visibility))


def spread(frames: NDArray[np.int64]) -> NDArray[np.int64]:
    """Chooses frames (F,) evenly, `LOOKS` or more where there are; gives their indices.

    Their numbers are multiples of a power of two: people seen at the same time are looked at in the same frames.
    """
    step = 1
    while (frames % (2 * step) == 0).sum() >= LOOKS:
        step *= 2
    return np.flatnonzero(frames % step == 0)


def _heights(everyone: Sequence[_Looks]) -> list[float]:
    """Measures people by others beside them in the same frames; nan for who is beside nobody in any."""
    measured: list[list[float]] = [[] for _ in everyone]
    for number in sorted({int(frame) for looks in everyone for frame in looks.frames}):
        here = [(i, int(k)) for i, one in enumerate(everyone) for k in np.flatnonzero(one.frames == number)]
        shares = beside_others(np.array([everyone[i].feet[k] for i, k in here]))
        for (i, _), share in zip(here, shares):
            if np.isfinite(share):
                measured[i].append(float(share))
    return [float(np.median(shares)) if shares else np.nan for shares in measured]


def _age(body: BodyModel, looks: _Looks, height: float) -> float | None:
    doubt = float(np.median(gains(body, looks.targets, looks.cost, (DOUBT_AT,))))
    if doubt <= DOUBT and not height < SMALL:
        return None
    gained = np.median(gains(body, looks.targets, looks.cost, YEARS), axis=0)
    return told(body, gained, height, bool(np.mean(looks.bust) > 0.5))
