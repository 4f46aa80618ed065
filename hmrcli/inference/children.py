"""Children: told by their proportions, or because grown-ups of their size would not stand on the others' floor."""

import math
from collections.abc import Sequence
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hmrcli.body import BodyModel
from hmrcli.body.ages import of_age
from hmrcli.fitting.fit import Fit, fit_landmarks
from hmrcli.fitting.targets import Targets
from hmrcli.people import LANDMARK_INDEX

YEARS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14)
DOUBT_AT, DOUBT = 5, 1.0
"""Whoever fits the body of this many years better by this much is compared with all ages."""
EVIDENT = 5.0
"""Gain of a child's body over an adult's, in units of the fit's objective, that shows a child. Of 120 adults in real
frames none has more than 4; where landmarks fit no body well, gains count less (`WELL_FITTED`)."""
WELL_FITTED = 20.0
QUICK = 4
"""Iterations after which an age's objective is known to a tenth."""

ADULT_SPREAD, CHILD_SPREAD = 0.08, 0.06
"""Deviation of the logarithm of people's height, and of the fit's distance with it."""
CHILDREN, ELSEWHERE = 0.02, 0.01
"""Share of people who are children, and of those who stand on something else than the others."""
PITCHES = np.radians(np.arange(-30, 41, 2))
PITCH_SPREAD = math.radians(8)
HEIGHTS = np.geomspace(0.4, 4.0, 60)
USUAL_HEIGHT, HEIGHT_SPREAD = 1.5, 0.35
"""Metres from floor to camera: usual, and the deviation of its logarithm."""

_ANKLES, _HIPS, _NECK = [7, 8], [1, 2], 12
_SEEN = [
    LANDMARK_INDEX[f"{side}_{name}"] for side in ("left", "right") for name in ("ankle", "hip", "shoulder")
]


def ages(
    body: BodyModel, targets: Targets, fits: Fit, joints: Tensor, visibility: NDArray[np.floating]
) -> dict[int, float]:
    """Tells children among N people.

    Args:
        body: the open body of adults.
        targets: what the people were fitted to.
        fits: of the adult body.
        joints: (N, 24, 3) of these fits, from the body's origin, metres.
        visibility: (N, 33) of the landmarks.

    Returns:
        the years of those who are children, by their index.
    """
    suspected = gains(body, targets, fits.cost, (DOUBT_AT,))[:, 0] > DOUBT
    standing = np.flatnonzero(stands(joints.numpy(), visibility))
    feet = (joints + fits.transl[:, None])[standing][:, _ANKLES].amax(1).numpy()
    floor = FloorView(feet) if len(feet) > 1 else None
    if floor is not None and floor.strange():
        suspected[standing] = True
    some = np.flatnonzero(suspected)
    if not len(some):
        return {}
    gained = np.zeros((len(suspected), len(YEARS)))
    gained[some] = gains(body, Targets(*(value[some] for value in targets)), fits.cost[some], YEARS)
    found: dict[int, float] = {}
    if floor is not None:
        sizes = np.array([child(body, years).size for years in YEARS])
        choices = zip(standing.tolist(), floor.explained(sizes, gained[standing]))
        found = {i: float(YEARS[choice]) for i, choice in choices if choice is not None}
    evident = {int(i): float(YEARS[gained[i].argmax()]) for i in some if gained[i].max() >= EVIDENT}
    return found | evident


def gains(body: BodyModel, targets: Targets, cost: Tensor, years: Sequence[float]) -> NDArray[np.float64]:
    """Computes by how much bodies of some ages fit N people better than an adult's of known cost, (N, len(years))."""
    others = [fit_landmarks(child(body, age), targets, iterations=QUICK).cost for age in years]
    gained = cost[:, None] - torch.stack(others, 1)
    return (gained * (WELL_FITTED / cost.clamp(min=WELL_FITTED))[:, None]).double().numpy()


@cache
def child(body: BodyModel, years: float) -> BodyModel:
    """Makes the body of a child once."""
    return of_age(body, years)


def stands(joints: NDArray[np.floating], visibility: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Tells (N,) who stands upright with feet, hips and shoulders in sight, by joints and landmarks."""
    up = joints[:, _NECK] - joints[:, _ANKLES].mean(1)
    trunk = joints[:, _NECK] - joints[:, _HIPS].mean(1)
    upright = (-up[:, 1] > 3 * np.abs(up[:, 0])) & (-trunk[:, 1] > 2 * np.abs(trunk[:, 0]))
    straight = np.linalg.norm(up, axis=1) > 2 * np.linalg.norm(trunk, axis=1)
    return np.asarray(upright & straight & (visibility[:, _SEEN] > 0.5).all(1))


class FloorView:
    """People's feet before a camera of unknown height and pitch that looks at the floor they stand on."""

    def __init__(self, feet: NDArray[np.floating]) -> None:
        """Takes feet (N, 3) in camera space, metres, where each would be as an adult of usual height."""
        down = np.stack([np.cos(PITCHES), np.sin(PITCHES)])
        drop = feet[:, 1:].astype(float) @ down  # (N, P): of the feet below the camera
        with np.errstate(divide="ignore", invalid="ignore"):
            self.size = np.log(HEIGHTS[None, None] / drop[..., None])  # (N, P, H)
        self.size[~(drop > 0)] = np.nan
        pitch = -0.5 * (PITCHES / PITCH_SPREAD) ** 2
        height = -0.5 * (np.log(HEIGHTS / USUAL_HEIGHT) / HEIGHT_SPREAD) ** 2
        self.camera = pitch[:, None] + height

    def strange(self) -> bool:
        """Tells whether somebody would be no adult on the most likely floor of adults."""
        adult = self._likelihood(self.size, ADULT_SPREAD)
        place = (self.camera + np.maximum(adult, _ELSEWHERE).sum(0)).argmax()
        chosen = adult.reshape(len(adult), -1)[:, place]
        return bool((chosen < _ELSEWHERE + 2).any())

    def explained(self, sizes: NDArray[np.float64], gained: NDArray[np.float64]) -> list[int | None]:
        """Finds the most likely floor, and who is a child on it.

        Args:
            sizes: (A,) heights at some ages, as a share of the adults'.
            gained: (N, A) how much better each age explains a person's proportions.

        Returns:
            (N,) index of the age; None for those who are grown up or stand elsewhere.
        """
        adult = self._likelihood(self.size, ADULT_SPREAD) + math.log1p(-CHILDREN)
        young = np.stack([self._likelihood(self.size - math.log(size), CHILD_SPREAD) for size in sizes], 1)
        young += math.log(CHILDREN / len(sizes)) + gained[:, :, None, None]
        best = np.maximum(np.maximum(adult, young.max(1)), _ELSEWHERE)
        place = (self.camera + best.sum(0)).argmax()
        at = [part.reshape(*part.shape[:-2], -1)[..., place] for part in (adult, young)]
        return [
            int(kids.argmax()) if kids.max() > max(grown, _ELSEWHERE) else None for grown, kids in zip(*at)
        ]

    @staticmethod
    def _likelihood(size: NDArray[np.float64], spread: float) -> NDArray[np.float64]:
        density = -0.5 * (size / spread) ** 2 - math.log(spread * math.sqrt(2 * math.pi))
        return np.where(np.isnan(size), -np.inf, density)


_ELSEWHERE = math.log(ELSEWHERE / 3)
"""Likelihood of somebody who stands elsewhere: of any size within a factor of e^3."""
