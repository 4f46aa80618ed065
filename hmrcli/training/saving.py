"""A run under way, and how its state is saved and put back, also when an error ends it."""

import time
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from hmrcli import __version__
from hmrcli.algorithms.spin_fits import FitStore
from hmrcli.data.mixture import BatchSampler
from hmrcli.data.sets import ImageSet
from hmrcli.distributed import anywhere
from hmrcli.errors import BadInput, HmrError
from hmrcli.recipe import Recipe
from hmrcli.training.checkpoints import FOLDER, LAST, STATE_FILE, Checkpoint, Meta, save_checkpoint
from hmrcli.training.learner import Learner, share_statistics
from hmrcli.training.record import Record
from hmrcli.training.settings import Progress, Settings
from hmrcli.training.step import Step, read_losses


class Pending(NamedTuple):
    """A step whose losses were not read yet."""

    taken: Step
    epoch: int
    began: float
    waited: float
    """By the clock of `time.perf_counter`, and seconds for samples."""


@dataclass
class Run:
    """A run under way, as one of its processes sees it."""

    recipe: Recipe
    settings: Settings
    folder: Path
    sets: list[ImageSet]
    sampler: BatchSampler
    learner: Learner
    store: FitStore | None
    record: Record | None
    """On the first process alone."""
    done: int
    saved: int
    """Steps that are done, and those of them that are saved."""
    metrics: dict[str, float] = field(default_factory=dict)
    best: float | None = None
    validated: int = 0
    """As a checkpoint's `Meta` has them."""
    mean_pose: dict[str, float] | None = None
    pending: list[Pending] = field(default_factory=list)


def settle(run: Run, ends: bool = False) -> None:
    """Reads, records and shows the losses of the steps that were taken since the last time; they are done then.

    Args:
        ends: the last of them was the last of an epoch, or of the run.

    Raises:
        NotFinite: of a step; those before it are done.
    """
    pending, run.pending = run.pending, []
    if not pending:
        return
    losses = read_losses([each.taken for each in pending])
    first = next(losses)  # waits for the device, so that the time is that of all steps
    seconds = (time.perf_counter() - pending[0].began) / len(pending)
    for each, values in zip(pending, chain([first], losses)):
        if run.store is not None:
            run.store.settle()
        run.done = each.taken.number + 1
        if run.record is not None:
            waiting = min(1.0, each.waited / seconds)
            speed = {"images_per_second": run.sampler.batch_size / seconds, "waiting": waiting}
            run.record.write(run.done, each.epoch, loss=values, speed=speed)
            last = ends and each is pending[-1]
            assert run.sampler.stop is not None
            run.settings.watch(Progress(run.done, run.sampler.stop, each.epoch, values, **speed, ends=last))


def save(run: Run, together: bool = True) -> None:
    """Saves the last finished step, unless that is done.

    Args:
        together: all processes are here and average their statistics first.
    """
    if run.saved == run.done:
        return
    if together:
        share_statistics(run.learner.network)
        if run.store is not None:
            run.store.share()
    if run.record is not None:
        state: dict[str, Any] = {"learner": run.learner.state(), "sampler": _sampler_state(run.sampler)}
        if run.store is not None:
            state["fits"] = run.store.state()
        body = run.learner.body
        meta = Meta(
            recipe=run.recipe.name,
            step=run.done,
            epoch=run.sampler.place(run.done - 1)[0],
            finished=run.done >= run.recipe.schedule.epochs * run.sampler.steps_per_epoch,
            metrics=run.metrics,
            best=run.best,
            validated=run.validated,
            body_model={"name": body.name, "vertices": body.num_vertices, "sha256": body.sha256},
            version=__version__,
        )
        save_checkpoint(run.folder / FOLDER / LAST, run.learner.network, state, meta)
    run.saved = run.done
    if together:  # a process that ended now would have torchrun end the one that writes
        anywhere(False)


def rescued(run: Run, error: HmrError) -> HmrError:
    """Saves the last finished step, if that can be, and adds to the error where the run stands.

    Other processes may be gone, so that nothing is asked of them: statistics are this process's own then.
    """
    with suppress(Exception):  # of a device that fails, or losses that are not finite
        settle(run)
    if run.store is not None:
        run.store.undo()
    if run.record is not None and run.saved < run.done:
        with suppress(Exception):  # of disk or memory, as what ended the run
            save(run, together=False)
    if not (run.folder / FOLDER / LAST).is_dir():
        return type(error)(f"{error}; nothing is saved in {run.folder} yet")
    return type(error)(
        f"{error}; step {run.saved} is saved in {run.folder}, the same command goes on from there"
    )


def _sampler_state(sampler: BatchSampler) -> dict[str, Any]:
    """Gives what the draws depend on, beside the number of steps done."""
    return {"seed": sampler.seed, "batch_size": sampler.batch_size, "sizes": list(sampler.mixture.sizes)}


def load_state(
    checkpoint: Checkpoint, recipe: Recipe, learner: Learner, store: FitStore | None, sampler: BatchSampler
) -> None:
    """Puts optimisers and fits back.

    Raises:
        BadInput: they are of another recipe, or of other training sets.
    """
    state = checkpoint.training_state()
    try:
        learner.load_state(state["learner"])
        if store is not None:
            store.load_state(state["fits"])
        then = dict(state["sampler"])
    except Exception as error:  # a state that was made up can fail in any way
        raise BadInput(
            f"{checkpoint.path / STATE_FILE}: does not fit {recipe.name}; resume with the recipe it began with"
        ) from error
    for name, value in _sampler_state(sampler).items():
        if then.get(name) != value:
            raise BadInput(
                f"{checkpoint.path}: the run began with {name} {then.get(name)} of its samples, now it is {value}; "
                "resume with the same recipe and training sets, or begin another run with --out"
            )
