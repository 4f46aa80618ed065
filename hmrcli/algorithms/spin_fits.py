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
    """Poses and shapes of all rows of the training sets.

    Every process holds all rows and changes those that it draws; `share` brings the processes together, which
    they do before each checkpoint.
    """

    def __init__(self, sets: Sequence[ImageSet]) -> None:
        """Starts from the static fits of sets, in the order of the batches' numbers; a set may have none.

        Their arrays are taken over and changed in place.
        """
        self._fits = [image_set.fits or _none(len(image_set)) for image_set in sets]
        self._loss = [np.full(len(fits), np.inf, np.float32) for fits in self._fits]
        self._fresh = [np.zeros(len(fits), bool) for fits in self._fits]
        self._before: list[tuple[Changes, NDArray[np.bool_]]] = []
        """Fits that an unfinished step replaced, and flags of those that were fresh."""

    def get(self, origin: Origin) -> Bodies:
        """Returns the fits of B rows as they are in their crops; NaN where there is none."""
        bodies = _none(len(origin.row))
        for number in np.unique(origin.dataset):
            chosen = origin.dataset == number
            stored, rows = self._fits[number], origin.row[chosen]
            bodies.pose[chosen], bodies.betas[chosen] = stored.pose[rows], stored.betas[rows]
        return Bodies(pose_into_crop(bodies.pose, origin.flip, origin.rotation), bodies.betas)

    def put(self, origin: Origin, bodies: Bodies, loss: NDArray[np.float32]) -> None:
        """Replaces the fits of B rows by bodies as they are in the crops, with their reprojection losses (B,).

        Of fits for the same row the one with the lower loss is kept.
        """
        pose = pose_from_crop(bodies.pose, origin.flip, origin.rotation).astype(np.float32)
        fits = np.concatenate([pose, bodies.betas.astype(np.float32)], 1)
        new = merged([Changes(origin.dataset, origin.row, fits, loss.astype(np.float32))])
        rows = [new.row[new.dataset == number] for number in range(len(self._fits))]
        self._before.append((self._at(rows), np.concatenate([f[r] for f, r in zip(self._fresh, rows)])))
        self._write(new, fresh=True)

    def settle(self) -> None:
        """Ends a step: what it put stays."""
        self._before.clear()

    def undo(self) -> None:
        """Takes back what was put since the last step ended."""
        while self._before:
            self._write(*self._before.pop())

    def _write(self, changes: Changes, fresh: NDArray[np.bool_] | bool) -> None:
        fresh = np.broadcast_to(fresh, len(changes.row))
        for number in np.unique(changes.dataset):
            chosen = changes.dataset == number
            rows, fits = changes.row[chosen], changes.fits[chosen]
            self._fits[number].pose[rows], self._fits[number].betas[rows] = fits[:, :72], fits[:, 72:]
            self._loss[number][rows], self._fresh[number][rows] = changes.loss[chosen], fresh[chosen]

    def _changes(self, masks: Sequence[NDArray[np.bool_]]) -> Changes:
        return self._at([np.flatnonzero(mask) for mask in masks])

    def _at(self, rows: Sequence[NDArray[np.int64]]) -> Changes:
        """Collects the fits of some rows of each set."""
        fits = [np.concatenate([f.pose[r], f.betas[r]], 1) for f, r in zip(self._fits, rows)]
        return Changes(
            np.repeat(np.arange(len(rows)), [len(r) for r in rows]),
            np.concatenate(rows),
            np.concatenate(fits),
            np.concatenate([loss[r] for loss, r in zip(self._loss, rows)]),
        )

    def share(self) -> None:
        """Gives all processes all fits; each of them has to call it at the same step.

        Where several bettered the same row since the last time, the lower loss wins.
        """
        own, processes = self._changes(self._fresh), rank_and_size()[1]
        parts: list[Changes] = [own] * processes
        if processes > 1:
            dist.all_gather_object(parts, own)
        self._write(merged(parts), fresh=False)

    def state(self) -> dict[str, Tensor]:
        """Returns what differs from the static fits, for a checkpoint; the same on all processes after `share`."""
        changes = self._changes([np.isfinite(loss) for loss in self._loss])
        return {name: torch.from_numpy(values) for name, values in changes._asdict().items()}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Puts back what `state` gave, over the static fits.

        Raises:
            KeyError: it is no such state.
            ValueError: it has rows that the sets lack.
        """
        changes = Changes(*(state[name].numpy() for name in Changes._fields))
        sizes = np.array([len(fits) for fits in self._fits])
        known = (changes.dataset >= 0) & (changes.dataset < len(sizes)) & (changes.row >= 0)
        if not known.all() or (changes.row >= sizes[changes.dataset]).any():
            raise ValueError("stored fits are of other training sets")
        self._write(changes, fresh=False)


def _none(count: int) -> Bodies:
    return Bodies(np.full((count, 72), np.nan, np.float32), np.full((count, 10), np.nan, np.float32))
