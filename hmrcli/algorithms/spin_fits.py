"""SPIN's store of body fits: one for each row of each training set, bettered while the network learns."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor

from hmrcli.data.sets import Bodies, ImageSet
from hmrcli.data.training import pose_from_crop, pose_into_crop
from hmrcli.distributed import rank_and_size


class Origin(NamedTuple):
    """B rows of training sets, and how each one's image became a crop; as in a training batch."""

    dataset: NDArray[Any]
    """(B,) int64: number of the set."""
    row: NDArray[Any]
    """(B,) int64"""
    flip: NDArray[Any]
    """(B,) bool"""
    rotation: NDArray[Any]
    """(B,) float32, radians."""


class Changes(NamedTuple):
    """Fits that were stored while training, by set and row."""

    dataset: NDArray[Any]
    """(N,) int64"""
    row: NDArray[Any]
    """(N,) int64"""
    fits: NDArray[Any]
    """(N, 82) float32: pose and betas, in the full image."""
    loss: NDArray[Any]
    """(N,) float32: reprojection loss, as it was when the fit was stored."""


def merged(parts: Sequence[Changes]) -> Changes:
    """Merges the changes of several processes: of fits for the same row the one with the lower loss, then the first."""
    every = Changes(*(np.concatenate(arrays) for arrays in zip(*parts)))
    order = np.lexsort((every.loss, every.row, every.dataset))  # stable: ties keep the order of processes
    dataset, row = every.dataset[order], every.row[order]
    first = np.ones(len(order), bool)
    first[1:] = (dataset[1:] != dataset[:-1]) | (row[1:] != row[:-1])
    return Changes(*(values[order[first]] for values in every))


class FitStore:
    """Poses and shapes of all rows of the training sets, one set after the other.

    Every process holds all rows and changes those that it draws; `share` brings the processes together, which
    they do before each checkpoint.
    """

    def __init__(self, sets: Sequence[ImageSet]) -> None:
        """Starts from the static fits of sets, in the order of the batches' numbers; a set may have none."""
        self._starts = np.cumsum([0, *map(len, sets)])
        count = int(self._starts[-1])
        self._fits = np.full((count, 82), np.nan, np.float32)
        self._loss = np.full(count, np.inf, np.float32)
        self._fresh = np.zeros(count, bool)
        self._before: list[tuple[NDArray[Any], ...]] = []
        """What an unfinished step replaced: rows, their fits, losses, and whether these were fresh."""
        for start, image_set in zip(self._starts, sets):
            if fits := image_set.fits:
                self._fits[start : start + len(fits)] = np.concatenate([fits.pose, fits.betas], 1)

    def get(self, origin: Origin) -> Bodies:
        """Returns the fits of B rows as they are in their crops; NaN where there is none."""
        fits = self._fits[self._starts[origin.dataset] + origin.row]
        return Bodies(pose_into_crop(fits[:, :72], origin.flip, origin.rotation), fits[:, 72:])

    def put(self, origin: Origin, bodies: Bodies, loss: NDArray[np.float32]) -> None:
        """Replaces the fits of B rows by bodies as they are in the crops, with their reprojection losses (B,).

        Of fits for the same row the one with the lower loss is kept.
        """
        pose = pose_from_crop(bodies.pose, origin.flip, origin.rotation).astype(np.float32)
        fits = np.concatenate([pose, bodies.betas.astype(np.float32)], 1)
        new = merged([Changes(origin.dataset, origin.row, fits, loss.astype(np.float32))])
        rows = self._starts[new.dataset] + new.row
        self._before.append((rows, self._fits[rows], self._loss[rows], self._fresh[rows]))
        self._write(rows, new.fits, new.loss, True)

    def settle(self) -> None:
        """Ends a step: what it put stays."""
        self._before.clear()

    def undo(self) -> None:
        """Takes back what was put since the last step ended."""
        while self._before:
            self._write(*self._before.pop())

    def _write(
        self, rows: NDArray[Any], fits: NDArray[Any], loss: NDArray[Any], fresh: NDArray[Any] | bool
    ) -> None:
        self._fits[rows], self._loss[rows], self._fresh[rows] = fits, loss, fresh

    def _changes(self, mask: NDArray[np.bool_]) -> Changes:
        rows = np.flatnonzero(mask)
        dataset = np.searchsorted(self._starts, rows, side="right") - 1
        return Changes(dataset, rows - self._starts[dataset], self._fits[rows], self._loss[rows])

    def share(self) -> None:
        """Gives all processes all fits; each of them has to call it at the same step.

        Where several bettered the same row since the last time, the lower loss wins.
        """
        own, processes = self._changes(self._fresh), rank_and_size()[1]
        parts: list[Changes] = [own] * processes
        if processes > 1:
            dist.all_gather_object(parts, own)
        best = merged(parts)
        self._write(self._starts[best.dataset] + best.row, best.fits, best.loss, False)

    def state(self) -> dict[str, Tensor]:
        """Returns what differs from the static fits, for a checkpoint; the same on all processes after `share`."""
        changes = self._changes(np.isfinite(self._loss))
        return {name: torch.from_numpy(values) for name, values in changes._asdict().items()}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Puts back what `state` gave, over the static fits.

        Raises:
            KeyError: it is no such state.
            ValueError: it has rows that the sets lack.
        """
        dataset, row, fits, loss = (state[name].numpy() for name in Changes._fields)
        sizes = np.diff(self._starts)
        known = (dataset >= 0) & (dataset < len(sizes)) & (row >= 0)
        if not known.all() or (row >= sizes[dataset]).any():
            raise ValueError("stored fits are of other training sets")
        self._write(self._starts[dataset] + row, fits, loss, False)
