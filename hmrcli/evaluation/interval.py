"""The mean of a metric over samples, and how sure it is."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from hmrcli.errors import BadInput

LEAST_GROUPS = 10
"""With fewer image folders, intervals are over single samples."""


@dataclass(frozen=True)
class Aggregate:
    """A mean over samples and its bootstrap interval."""

    mean: float
    low: float
    high: float
    """2.5 and 97.5 % quantiles of the resampled means; the mean itself where there is one unit to draw from."""
    count: int
    drawn: int
    """Samples that have a value, and units that were drawn from, samples or groups."""


def aggregate(
    values: Tensor | NDArray[Any], groups: NDArray[Any] | None = None, *, resamples: int = 1000, seed: int = 0
) -> Aggregate:
    """Returns the mean of a metric over samples, with a 95 % percentile bootstrap interval (Efron 1979).

    Args:
        values: (N,) one per sample; NaN is left out.
        groups: (N,) samples that belong together, such as a sequence's frames, are drawn together: neighbouring
            frames are alike, and drawing them one by one makes the interval far too narrow.

    Raises:
        BadInput: no sample has a value, or one is infinite.
    """
    numbers = np.asarray(values.cpu() if isinstance(values, Tensor) else values, np.float64)
    if numbers.ndim != 1 or (groups is not None and np.shape(groups) != numbers.shape):
        raise BadInput(f"values: expected shape (N,), and groups the same; found {numbers.shape}")
    if (infinite := np.flatnonzero(np.isinf(numbers))).size:
        raise BadInput(f"values: row {infinite[0]} is infinite")
    kept = ~np.isnan(numbers)
    numbers = numbers[kept]
    if not numbers.size:
        raise BadInput("values: no sample has a value")
    sums, sizes = numbers, None
    if groups is not None:
        member = np.unique(np.asarray(groups)[kept], return_inverse=True)[1].reshape(-1)
        sums, sizes = np.bincount(member, numbers).astype(np.float64), np.bincount(member)
    mean = float(numbers.mean())
    low, high = np.quantile(_resampled(sums, sizes, resamples, seed), [0.025, 0.975])
    # Of a few very uneven units, the quantiles can both lie on one side of the mean.
    return Aggregate(mean, min(float(low), mean), max(float(high), mean), len(numbers), len(sums))


def _resampled(
    sums: NDArray[np.float64], sizes: NDArray[np.int64] | None, resamples: int, seed: int
) -> NDArray[np.float64]:
    """Returns (resamples,) means of units drawn with replacement, a few million draws at a time.

    Units have `sums` (G,) of their values, whose number is `sizes` (G,); one where not given.
    """
    generator = np.random.default_rng(seed)
    at_once = max(1, 2_000_000 // len(sums))
    means = []
    for start in range(0, resamples, at_once):
        shape = (min(at_once, resamples - start), len(sums))
        drawn = generator.integers(len(sums), size=shape, dtype=np.int32)
        means.append(sums[drawn].sum(1) / (len(sums) if sizes is None else sizes[drawn].sum(1)))
    return np.concatenate(means)


def image_folders(paths: NDArray[np.str_]) -> NDArray[Any] | None:
    """Returns the folder of each image: a sequence, whose frames are alike; None where there are too few."""
    folders = np.array([str(path).rpartition("/")[0] for path in paths])
    return folders if len(np.unique(folders)) >= LEAST_GROUPS else None
