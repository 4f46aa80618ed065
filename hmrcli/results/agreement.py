"""Whether recipes stand in the same order in two lists, and how much of that order the test samples support."""

from collections.abc import Sequence
from itertools import combinations, pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hmrcli.results.per_sample import image_folders, read_errors
from hmrcli.results.runs import Run

LEAST_CELLS = 3
"""Of fewer recipes an order says nothing."""
_METRIC = "pa_mpjpe_mm"


class Place(NamedTuple):
    """A recipe in both lists."""

    published: float
    run: Run

    @property
    def measured(self) -> float:
        """Of the score that counts, in mm."""
        return self.run.results.scores[0].metrics[_METRIC].value


class Agreement(NamedTuple):
    """How two orders of recipes agree."""

    cells: int
    spearman: float | None
    """None where one list has the same figure everywhere."""
    kendall: float | None
    neighbours_apart: int
    """Of the `cells - 1` pairs that are neighbours in the measured order, those that the samples tell apart."""
    pairs_apart: int
    """The same of all pairs."""
    pairs_agreeing: int
    """Of the pairs told apart, those that the published list has in the same order."""

    @property
    def pairs(self) -> int:
        """All pairs of recipes."""
        return self.cells * (self.cells - 1) // 2


def agreement(places: Sequence[Place]) -> Agreement | None:
    """How the measured order agrees with the published one; None for fewer than `LEAST_CELLS` recipes."""
    if len(places) < LEAST_CELLS:
        return None
    published, measured = [p.published for p in places], [p.measured for p in places]
    order = sorted(range(len(places)), key=lambda index: measured[index])
    told_apart = {
        (a, b): apart(places[a].run, places[b].run) for a, b in combinations(order, 2)
    }  # a is before b in the measured order
    pairs_apart = [pair for pair, is_so in told_apart.items() if is_so]
    return Agreement(
        cells=len(places),
        spearman=spearman(published, measured),
        kendall=kendall(published, measured),
        neighbours_apart=sum(told_apart[pair] for pair in pairwise(order)),
        pairs_apart=len(pairs_apart),
        pairs_agreeing=sum(published[a] < published[b] for a, b in pairs_apart),
    )


def spearman(first: ArrayLike, second: ArrayLike) -> float | None:
    """Spearman's rho: the correlation of ranks, equal values sharing the mean of theirs."""
    ranks = np.stack([_ranks(np.asarray(values, np.float64)) for values in (first, second)])
    centred = ranks - ranks.mean(1, keepdims=True)
    scale = np.sqrt((centred**2).sum(1).prod())
    return float(centred.prod(0).sum() / scale) if scale else None


def kendall(first: ArrayLike, second: ArrayLike) -> float | None:
    """Kendall's tau-b: pairs in the same order less pairs in the other, corrected for equal values (Kendall 1945)."""
    one, two = (np.asarray(values, np.float64) for values in (first, second))
    upper = np.triu_indices(len(one), 1)
    signs = [np.sign(values[:, None] - values)[upper] for values in (one, two)]
    scale = np.sqrt(np.prod([np.abs(sign).sum() for sign in signs]))
    return float((signs[0] * signs[1]).sum() / scale) if scale else None


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    _, member, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[member]


def apart(one: Run, other: Run) -> bool:
    """Whether the test samples tell the means of two runs apart.

    Where the errors of each sample are stored for both, and are of the same images, the 95 % bootstrap interval of
    their mean difference must leave out zero; else the intervals of the two means must not meet.
    """
    first, second = (read_errors(run, _METRIC) for run in (one, other))
    if first is not None and second is not None and np.array_equal(first.images, second.images):
        from hmrcli.evaluation.interval import aggregate  # brings torch

        difference = aggregate(first.values - second.values, image_folders(first.images))
        return not difference.low <= 0 <= difference.high
    ours, theirs = (run.results.scores[0].metrics[_METRIC] for run in (one, other))
    return ours.high < theirs.low or theirs.high < ours.low
