"""Children: told by their proportions, or by their height beside somebody whose feet are on the same line.

In a clip, each person has one age, by what all of their frames show.
"""

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hmrcli.body import BodyModel
from hmrcli.body.ages import of_age
from hmrcli.camera import Camera
from hmrcli.environment import one_thread
from hmrcli.fitting.fit import Fit, fit_landmarks
from hmrcli.fitting.motion import track_targets
from hmrcli.fitting.targets import Targets
from hmrcli.motion import Track, by_frame
from hmrcli.people import LANDMARK_INDEX

YEARS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14)
DOUBT_AT, DOUBT = 5, 1.0
"""Whoever fits the body of this many years better by this much is compared with all ages."""
EVIDENT = 5.0
"""Gain of a child's body over an adult's, in units of the fit's objective, that shows a child. Of 87 people in real
frames none has more than 4.8; where landmarks fit no body well, gains count less (`WELL_FITTED`)."""
EVIDENT_BUST = 6.7
"""Likewise of somebody no leg of whom is in sight: in portraits heads come near the camera, as if they were large."""
WELL_FITTED = 20.0
QUICK = 8
"""Iterations after which an age's objective is known to a tenth; after 4, a baby's was still 22 above."""

ONE_LINE = 0.15
"""Feet are on one line of the picture if their rays fall by as much, up to this share."""
SMALL = 0.8
"""Height beside an adult below which somebody is a child."""
SIZE_SPREAD = 0.08
"""Deviation of the logarithm of that height, by the fit's distance and by how tall adults are."""
AGAINST = -3.0
"""Gain below which proportions speak against a child, whatever its height."""
LOOKS = 8
"""Frames of a person that are looked at, at least, where there are as many; usually fewer than twice as many are."""

_ANKLES, _HIPS, _NECK = [7, 8], [1, 2], 12
_LEGS = [LANDMARK_INDEX[f"{side}_{name}"] for side in ("left", "right") for name in ("knee", "ankle")]
_SEEN = [
    LANDMARK_INDEX[f"{side}_{name}"] for side in ("left", "right") for name in ("ankle", "hip", "shoulder")
]


def ages(
    body: BodyModel,
    targets: Targets,
    fits: Fit,
    joints: Tensor,
    visibility: NDArray[np.floating],
    counts: Sequence[int],
) -> dict[int, float]:
    """Tells children among N people of several photos.

    Args:
        body: the open body of adults, which was fitted to the targets.
        joints: (N, 24, 3) of these fits, from the body's origin, metres.
        visibility: (N, 33) of the landmarks.
        counts: how many of the N each photo shows.

    Returns:
        the years of those who are children, by their index.
    """
    suspected = gains(body, targets, fits.cost, (DOUBT_AT,))[:, 0] > DOUBT
    soles = np.split(standing_feet(joints, fits.transl, visibility), np.cumsum(counts)[:-1])
    heights = np.concatenate([beside_others(of_photo) for of_photo in soles])
    some = np.flatnonzero(suspected | (heights < SMALL))
    if not len(some):
        return {}
    gained = gains(body, Targets(*(value[some] for value in targets)), fits.cost[some], YEARS)
    busts = is_bust(visibility)
    years = {i: told(body, gain, heights[i], busts[i]) for i, gain in zip(some.tolist(), gained)}
    return {i: age for i, age in years.items() if age is not None}


def told(body: BodyModel, gain: NDArray[np.floating], height: float, bust: bool = False) -> float | None:
    """Tells the years of a child by what bodies of `YEARS` gain (len(YEARS),), and by its height beside others.

    None for an adult. A height of nan is unknown. Of a `bust`, no leg is in sight.
    """
    if gain.max() >= (EVIDENT_BUST if bust else EVIDENT):
        return float(YEARS[gain.argmax()])
    if height < SMALL:
        sizes = np.array([child(body, years).size for years in YEARS])
        likely = gain - 0.5 * (np.log(height / sizes) / SIZE_SPREAD) ** 2
        if gain[likely.argmax()] > AGAINST:
            return float(YEARS[likely.argmax()])
    return None


def is_bust(visibility: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Tells (N,) by the visibility (N, 33) of landmarks of whom neither knee nor ankle is in sight."""
    return np.asarray((visibility[:, _LEGS] < 0.5).all(1))


def gains(body: BodyModel, targets: Targets, cost: Tensor, years: Sequence[float]) -> NDArray[np.float64]:
    """Computes by how much bodies of some ages fit N people better than an adult's of known cost, (N, len(years))."""
    bodies = [child(body, age) for age in years for _ in cost]
    of_all = Targets(*(value.repeat(len(years), *[1] * (value.ndim - 1)) for value in targets))
    others = fit_landmarks(bodies, of_all, iterations=QUICK).cost
    gained = cost[:, None] - others.unflatten(0, (len(years), -1)).T
    return (gained * (WELL_FITTED / cost.clamp(min=WELL_FITTED))[:, None]).double().numpy()


@cache
def child(body: BodyModel, years: float) -> BodyModel:
    """Makes the body of a child once."""
    return of_age(body, years)


def standing_feet(joints: Tensor, transl: Tensor, visibility: NDArray[np.floating]) -> NDArray[np.floating]:
    """Returns the lowest points of N people in camera space (N, 3), metres.

    Those of who does not stand upright with feet, hips and shoulders in sight, by joints and landmarks, are nan.
    """
    places = joints.numpy()
    up = places[:, _NECK] - places[:, _ANKLES].mean(1)
    trunk = places[:, _NECK] - places[:, _HIPS].mean(1)
    upright = (-up[:, 1] > 3 * np.abs(up[:, 0])) & (-trunk[:, 1] > 2 * np.abs(trunk[:, 0]))
    straight = np.linalg.norm(up, axis=1) > 2 * np.linalg.norm(trunk, axis=1)
    stands = upright & straight & (visibility[:, _SEEN] > 0.5).all(1)
    feet = (joints + transl[:, None])[:, _ANKLES].amax(1).numpy()
    return np.where(stands[:, None], feet, np.nan)


def beside_others(feet: NDArray[np.floating]) -> NDArray[np.float64]:
    """Measures people by the tallest whose feet are on the same line of the picture.

    These stand as far away, however high the camera is and wherever it looks, if they stand on one level floor.

    Args:
        feet: (N, 3) lowest points in camera space, metres, where each would be as an adult; nan for who does not stand.

    Returns:
        (N,) heights as a share of the tallest one's; nan for people beside nobody.
    """
    fall, depth = feet[:, 1] / feet[:, 2], feet[:, 2]
    with np.errstate(invalid="ignore"):
        same_line = np.abs(fall[:, None] - fall) < ONE_LINE * np.minimum(fall[:, None], fall)
    share = np.where(same_line, depth / depth[:, None], 1.0).min(1, initial=1.0)
    return np.where(same_line.sum(1) > 1, share, np.nan)


class _Looks(NamedTuple):
    """Some frames of a person, fitted with an adult's body."""

    frames: NDArray[np.int64]
    targets: Targets
    cost: Tensor
    """(K,) of the fits."""
    feet: NDArray[np.floating]
    """(K, 3) of `standing_feet`."""
    bust: NDArray[np.bool_]
    """(K,) whether no leg is in sight."""


def ages_of_tracks(body: BodyModel, tracks: Sequence[Track], camera: Camera) -> list[float | None]:
    """Tells the years of each person who is a child, once for all of their frames; None for adults.

    A frame in which somebody is cut or half hidden says little of proportions, so the median of many decides. Only the
    open body of adults knows children.
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
    for here in by_frame(looks.frames for looks in everyone).values():
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
