"""Order of training samples: draws from several sets, in batches that any number of processes share.

All randomness is a function of (seed, epoch, position): the same on one process or several, with or without workers,
from the start or after an interruption.
"""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from operator import itemgetter
from typing import Literal, NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from torch.utils.data import Sampler

from hmrcli.errors import UsageError
from hmrcli.recipe.schema import Data

Rule = Literal["independent", "by_position"]

Stream = Literal["mixture", "augmentation", "poses", "replacement"]
_STREAMS: dict[Stream, int] = {"mixture": 1, "augmentation": 2, "poses": 3, "replacement": 4}


def generator(stream: Stream, seed: int, *position: int) -> Generator:
    """Random numbers of one purpose at one position (at most two numbers, below 2**32) of a run.

    The stream stands last and is never zero, because numpy takes seeds that differ in trailing zeros for equal.
    """
    return np.random.default_rng([seed, *position, *[0] * (2 - len(position)), _STREAMS[stream]])


class Draw(NamedTuple):
    """One sample of a run; `epoch` and `position` in it make its augmentation."""

    epoch: int
    position: int
    dataset: int
    row: int


@dataclass(frozen=True)
class Mixture:
    """Rule by which an epoch is drawn from sets.

    With shares and `rule` "independent", each draw is independent: a set by its share, then any of its rows (as
    mmhuman3d's weighted draw over the concatenation). With "by_position", the originals' rule of SPIN and
    GraphCMR, a shuffled position 0, 1, … length - 1 comes with each draw of a set and picks row `position modulo
    the set's size`, so that a set as long as the epoch repeats no row. Without shares all rows of all sets are
    shuffled as one list.
    """

    sizes: tuple[int, ...]
    """Rows of each set."""
    shares: tuple[float, ...] | None
    """Probability of each set; None for one list."""
    length: int
    """Samples of an epoch."""
    rule: Rule = "independent"

    def draw(self, seed: int, epoch: int, count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Makes the first draws of an epoch, and with the same rule more: number of the set and row in it (count,)."""
        numbers = generator("mixture", seed, epoch)
        sizes = np.asarray(self.sizes, np.int64)
        if self.shares is None:
            listed = _shuffled(numbers, self.length, count)
            ends = np.cumsum(sizes)
            dataset = np.searchsorted(ends, listed, side="right")
            return dataset, listed - (ends - sizes)[dataset]
        positions = _shuffled(numbers, self.length, count) if self.rule == "by_position" else None
        uniform = numbers.random((count, 2))
        # The last edge is left out: rounding of the sum must not put a draw beyond the last set.
        dataset = np.searchsorted(np.cumsum(self.shares)[:-1], uniform[:, 0], side="right")
        if positions is not None:
            return dataset, positions % sizes[dataset]
        return dataset, (uniform[:, 1] * sizes[dataset]).astype(np.int64)


def _shuffled(numbers: Generator, length: int, count: int) -> NDArray[np.int64]:
    """0 … length - 1 in random order, from the start again where more are wanted."""
    return np.resize(numbers.permutation(length), count)


def mixture_of(data: Data, sizes: dict[str, int]) -> Mixture:
    """Returns the mixture of a recipe's `data`.

    Args:
        sizes: rows of each set by its name. Sets of the recipe that are missing here are done without: the
            others keep the proportions of their shares.

    Raises:
        UsageError: the sets that are there have no share.
    """
    shares = [data.mixture[name].share for name in sizes]
    total = sum(share or 0.0 for share in shares)
    if total == 0 and None not in shares:
        names = ", ".join(sizes)
        raise UsageError(f"data.mixture: {names} have no share; raise one, or leave out fewer sets")
    lengths = {"max": max(sizes.values()), "sum": sum(sizes.values())}
    length = data.epoch_length if isinstance(data.epoch_length, int) else lengths[data.epoch_length]
    parts = None if None in shares else tuple((share or 0.0) / total for share in shares)
    return Mixture(tuple(sizes.values()), parts, length, data.draw)


def check_division(batch_size: int, processes: int, accumulate: int) -> None:
    """Raises UsageError where a batch does not divide evenly into micro-batches on each process."""
    if batch_size % (processes * accumulate):
        raise UsageError(
            f"schedule.batch_size {batch_size} does not divide by {processes} processes with {accumulate} "
            "micro-batches each; choose numbers that divide it"
        )


@dataclass(eq=False)
class BatchSampler(Sampler[list[Draw]]):
    """The batches of one process, from step `start` up to, without, step `stop`, or for ever; epoch after epoch.

    An epoch has as many whole batches as hold its length; the last is filled up by further draws. A process has
    the `rank`-th of `processes` equal parts of every batch, and yields it in `accumulate` micro-batches. The whole
    state is the number of steps done: a run that stopped after step n goes on with `start` n.

    Raises:
        UsageError: the batch does not divide evenly.
    """

    mixture: Mixture
    seed: int
    batch_size: int
    """Samples of a step on all processes together."""
    start: int = 0
    stop: int | None = None
    rank: int = 0
    processes: int = 1
    accumulate: int = 1

    def __post_init__(self) -> None:
        check_division(self.batch_size, self.processes, self.accumulate)

    @property
    def steps_per_epoch(self) -> int:
        """Batches of an epoch."""
        return -(-self.mixture.length // self.batch_size)

    def place(self, step: int) -> tuple[int, int]:
        """Epoch, and step in it, of a step of the run; all count from 0."""
        return divmod(step, self.steps_per_epoch)

    def __len__(self) -> int:
        if self.stop is None:
            raise TypeError("a sampler without `stop` has no length")
        return max(0, self.stop - self.start) * self.accumulate

    def __iter__(self) -> Iterator[list[Draw]]:
        steps: Iterable[int] = (
            itertools.count(self.start) if self.stop is None else range(self.start, self.stop)
        )
        size = self.batch_size // (self.processes * self.accumulate)
        for epoch, places in itertools.groupby(map(self.place, steps), key=itemgetter(0)):
            dataset, row = self.mixture.draw(self.seed, epoch, self.steps_per_epoch * self.batch_size)
            for _, batch in places:
                own = batch * self.batch_size + self.rank * self.accumulate * size
                for begin in range(own, own + self.accumulate * size, size):
                    yield [Draw(epoch, i, int(dataset[i]), int(row[i])) for i in range(begin, begin + size)]
