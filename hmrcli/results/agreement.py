"""The agreement of two orders of recipes, and how much of it the test samples support."""

from collections.abc import Sequence
from contextlib import suppress
from itertools import combinations, pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hmrcli.assets.npz import read_npz
from hmrcli.errors import BadInput, MissingFile
from hmrcli.results.runs import ERRORS_FILE, Run

LEAST_CELLS = 3
"""Of fewer recipes an order says nothing."""


class Place(NamedTuple):
    """A recipe in both lists."""

    published: float
    run: Run


class Agreement(NamedTuple):
    """The agreement of two orders."""

    cells: int
    spearman: float | None
    """None where one list has the same figure everywhere."""
    kendall: float | None
    neighbours_apart: int
    """Of the pairs that are neighbours in the measured order, those that the samples tell apart."""
    pairs_apart: int
    """The same of all pairs."""
    pairs_agreeing: int
    """Of the pairs told apart, those that the published list has in the same order."""
    neighbours: int
    """Pairs of neighbours."""
    pairs: int


def agreement(places: Sequence[Place]) -> Agreement | None:
    """Compares the measured order with the published one; None for fewer than `LEAST_CELLS` recipes."""
    if len(places) < LEAST_CELLS:
        return None
    published = [place.published for place in places]
    measured = [place.run.pa_mpjpe.value for place in places]
    order = np.argsort(measured, kind="stable").tolist()
    # In each pair the first is the better one of the measured order.
    pairs = list(combinations(order, 2))
    told_apart = {(a, b) for a, b in pairs if apart(places[a].run, places[b].run)}
    return Agreement(
        cells=len(places),
        spearman=spearman(published, measured),
        kendall=kendall(published, measured),
        neighbours_apart=sum(pair in told_apart for pair in pairwise(order)),
        pairs_apart=len(told_apart),
        pairs_agreeing=sum(published[a] < published[b] for a, b in told_apart),
        neighbours=len(order) - 1,
        pairs=len(pairs),
    )


def spearman(first: ArrayLike, second: ArrayLike) -> float | None:
    """Returns Spearman's rho: the correlation of ranks, equal values sharing the mean of theirs."""
    return _cosine(_ranks(first), _ranks(second))


def kendall(first: ArrayLike, second: ArrayLike) -> float | None:
    """Returns Kendall's tau-b: pairs in the same order less pairs in the other, corrected for equal values (1945)."""
    return _cosine(_order_of_pairs(first), _order_of_pairs(second))


def _ranks(values: ArrayLike) -> NDArray[np.float64]:
    """Returns ranks from their mean."""
    _, member, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[member]
    return ranks - ranks.mean()


def _order_of_pairs(values: ArrayLike) -> NDArray[np.float64]:
    """Returns 1, 0 or -1 for each pair of values."""
    values = np.asarray(values, np.float64)
    return np.sign(values[:, None] - values)[np.triu_indices(len(values), 1)]


def _cosine(one: NDArray[np.float64], other: NDArray[np.float64]) -> float | None:
    scale = np.sqrt((one**2).sum() * (other**2).sum())
    return float((one * other).sum() / scale) if scale else None


def apart(one: Run, other: Run) -> bool:
    """Tells whether the test samples tell the means of two runs apart.

    Where the errors of each sample are stored for both, and are of the same images, the 95 % bootstrap interval of
    their mean difference must leave out zero; else the intervals of the two means must not meet.
    """
    (images, ours), (other_images, theirs) = map(_errors, (one, other))
    if len(images) and np.array_equal(images, other_images):
        from hmrcli.evaluation.interval import aggregate, image_folders  # brings torch

        difference = aggregate(ours - theirs, image_folders(images))
        return not difference.low <= 0 <= difference.high
    return one.pa_mpjpe.high < other.pa_mpjpe.low or other.pa_mpjpe.high < one.pa_mpjpe.low


def _errors(run: Run) -> tuple[NDArray[np.str_], NDArray[np.float64]]:
    """Reads image and error in mm of each sample for the score that counts; of none where they do not fit it."""
    name = f"{run.score.surface}_pa_mpjpe_mm" if run.score.surface else "pa_mpjpe_mm"
    with suppress(BadInput, MissingFile):
        images, errors = map(np.asarray, read_npz(run.folder / ERRORS_FILE, ("image_path", name)).values())
        fits = images.shape == errors.shape == (run.results.samples,)
        if fits and (images.dtype.kind, errors.dtype.kind) == ("U", "f") and np.isfinite(errors).all():
            return images, errors.astype(np.float64)
    return np.empty(0, np.str_), np.empty(0)
