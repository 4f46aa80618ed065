"""A run: from a recipe to a folder with trained weights; stops cleanly and goes on where it stopped.

`train` prepares a run and takes its steps (`_take_steps`); at the end of an epoch it is saved, then measured.
"""

import signal
import time
from collections.abc import Callable, Collection, Generator, Iterator, Mapping
from contextlib import ExitStack, closing, nullcontext, suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import torch

from hmrcli import __version__
from hmrcli.algorithms.spin_fits import FitStore
from hmrcli.data.label_sources import smpl_labels, static_fits
from hmrcli.data.mixture import BatchSampler, mixture_of
from hmrcli.data.sets import ImageSet, load_sets
from hmrcli.data.training import Batch, training_batches
from hmrcli.data.unreadable_rows import Unreadable
from hmrcli.distributed import (
    Elsewhere,
    anywhere,
    done_by_first,
    from_first,
    made_everywhere,
    met_alike,
    rank_and_size,
)
from hmrcli.errors import BadInput, HmrError, UsageError
from hmrcli.recipe import Recipe
from hmrcli.training.checkpoints import (
    BEST,
    FOLDER,
    LAST,
    STATE_FILE,
    Checkpoint,
    Meta,
    change_meta,
    clear_leftovers,
    copy_checkpoint,
    save_checkpoint,
)
from hmrcli.training.engine import Learner, NotFinite, Precision, can_train_on, share_statistics, train_step
from hmrcli.training.exports import export_weights
from hmrcli.training.failures import explained, ignore_signals, not_finite, stop_signals
from hmrcli.training.folders import find_place
from hmrcli.training.pictures import MOST, crop_sheet
from hmrcli.training.record import Record, draw_curves
from hmrcli.training.start import prepare, start_file
from hmrcli.training.validation import Figures, Validation

SHEET_FILE = "crops.png"
METRIC, POSE_METRIC = "pa_mpjpe_mm", "error_percent"
"""By which the best checkpoint is chosen, of bodies and of heatmaps: the lowest."""


class Progress(NamedTuple):
    """Says where a run stands after a step."""

    step: int
    """Steps that are done."""
    steps: int
    """After which the run ends."""
    epoch: int
    """Of the step, from 0."""
    losses: Mapping[str, float]
    images_per_second: float
    waiting: float
    """Share of the step's time spent waiting for samples."""
    ends: bool
    """It was the last of its epoch, or of the run."""


@dataclass(frozen=True)
class Settings:
    """Says how to train beside the recipe: nothing here changes what is learnt, up to rounding."""

    root: Path
    """The data root."""
    out: Path | None = None
    resume: str = "auto"
    """`auto`, `never`, or the path of a checkpoint or run."""
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    precision: Precision = "fp32"
    compile: bool = False
    """Compiles the network first (`torch.compile`)."""
    max_steps: int | None = None
    """Ends the run when so many steps are done in all."""
    without: Collection[str] = ()
    """Training sets to leave out."""
    open_prior: bool = False
    """SPIN fits with the bundled pose prior instead of the recipe's."""
    accumulate: int = 1
    """Micro-batches of each process, over which it accumulates gradients, to need less memory."""
    workers: int = 0
    """Processes that make samples, for each process that trains."""
    save_every: int | None = None
    """Steps between checkpoints; by default an epoch's."""
    keep_every: int | None = None
    """Steps between checkpoints that are kept for good."""
    validation: Validation | None = None
    watch: Callable[[Progress], None] = lambda progress: None
    say: Callable[[str], None] = lambda text: None
    """For notes to a person."""


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
    metrics: dict[str, float]
    best: float | None
    validated: int
    """Steps after which the metrics were measured last, or were not due."""
    done: int
    saved: int
    """Steps that are done, and those of them that are saved."""
    mean_pose: dict[str, float] | None = None


def train(recipe: Recipe, settings: Settings) -> Path:
    """Trains a recipe, or goes on with a run; under torchrun, on all processes together.

    Whatever ends a run, the state of the last step that was finished is saved first where that is possible.

    Returns:
        the run's folder.

    Raises:
        MissingFile: files are missing.
        BadInput: a file cannot be used, a loss is not finite, or disk or memory are full.
        UsageError: options do not fit together.
        HmrError: anything else that goes wrong, and `Elsewhere` where another process says what.
        KeyboardInterrupt: SIGINT or SIGTERM came; the state is saved.
    """
    with ExitStack() as held:

        def find() -> tuple[Path, Checkpoint | None]:
            place = find_place(recipe, settings.out, settings.resume, settings.say)
            held.callback(place.release)
            clear_leftovers(place.folder)
            return place.folder, place.checkpoint

        try:
            folder, checkpoint = done_by_first(find)
            with met_alike():
                run = _begin(recipe, settings, folder, checkpoint)
            with run.record or nullcontext(), stop_signals() as stop:
                _take_steps_or_save(run, stop)
            if run.record is not None and recipe.exports is not None:
                path = export_weights(recipe.exports, run.learner.network, folder, settings.root)
                settings.say(
                    f"exported {path} for other recipes"
                    if path
                    else "unfinished: nothing is exported for other recipes"
                )
            return folder
        except HmrError:
            raise
        except Exception as error:
            raise explained(error) from error


def _begin(recipe: Recipe, settings: Settings, folder: Path, checkpoint: Checkpoint | None) -> Run:
    """Reads sets and weights and writes the first files of a run's folder."""
    rank, processes = rank_and_size()
    sets = load_sets(recipe, settings.root, settings.without, settings.say)
    sampler = BatchSampler(
        mixture_of(recipe.data, {images.name: len(images) for images in sets}),
        recipe.seed,
        recipe.schedule.batch_size,
        start=0 if checkpoint is None else checkpoint.meta.step,
        rank=rank,
        processes=processes,
        accumulate=settings.accumulate,
    )
    steps = recipe.schedule.epochs * sampler.steps_per_epoch
    sampler.stop = steps if settings.max_steps is None else min(steps, settings.max_steps)
    store = None if recipe.in_the_loop is None else FitStore(sets)
    learner = prepare(
        recipe,
        settings.root,
        settings.device,
        settings.precision,
        weights=None if checkpoint is None else checkpoint.model,
        store=store,
        open_prior=settings.open_prior,
        compiled=settings.compile,
    )
    if sampler.batch_size == processes * settings.accumulate and not can_train_on(learner, 1):
        raise UsageError(
            f"schedule.batch_size {sampler.batch_size}: with {processes} processes and {settings.accumulate} "
            f"micro-batches each, a micro-batch has one sample, of which {recipe.name}'s batch norm can make no "
            f"statistics; choose a batch of {2 * sampler.batch_size} or more, a smaller --accumulate or fewer processes"
        )
    if checkpoint is not None:
        _load_state(checkpoint, recipe, learner, store, sampler)
    started = _started(recipe, settings.root)
    _say_notes(recipe, settings, checkpoint, started)
    record = None
    if rank == 0:
        notes = {
            "without": list(settings.without),
            "smpl_labels": smpl_labels(recipe, settings.root, settings.without),
            "static_fits": static_fits(recipe, settings.root, settings.without),
            "open_prior": settings.open_prior,
            "validates": settings.validation is not None,
            "precision": settings.precision,
            "compile": settings.compile,
            "pieces": settings.accumulate,
            "initialisation": started,
        }
        record = Record(folder, recipe, sampler.start, str(settings.device), notes)
    run = Run(
        recipe,
        settings,
        folder,
        sets,
        sampler,
        learner,
        store,
        record,
        metrics={} if checkpoint is None else dict(checkpoint.meta.metrics),
        best=None if checkpoint is None else checkpoint.meta.best,
        validated=0 if checkpoint is None else checkpoint.meta.validated,
        done=sampler.start,
        saved=sampler.start,
    )
    if record is not None and checkpoint is None:
        _draw_crops(run)
    return run


def _take_steps_or_save(run: Run, stop: Callable[[], bool]) -> None:
    try:
        _take_steps(run, stop)
    except Elsewhere:
        raise
    except Exception as error:
        raise _rescued(run, explained(error)) from error


def _take_steps(run: Run, stop: Callable[[], bool]) -> None:
    """Takes all steps from the sampler's first to its last, saving and measuring when that is due."""
    settings, sampler, record = run.settings, run.sampler, run.record
    assert sampler.stop is not None
    save_every, keep_every = settings.save_every or sampler.steps_per_epoch, settings.keep_every
    if sampler.start >= sampler.stop:
        settings.say(f"nothing left to do: {sampler.start} steps of {sampler.stop} are done")
    if sampler.start and run.validated < sampler.start:
        epoch, place = sampler.place(sampler.start - 1)
        if place + 1 == sampler.steps_per_epoch:  # ended before the epoch's validation
            run.saved = -1  # here it may be another folder
            _save(run)
            _validate(run, epoch)
    with closing(_batches(run)) as batches:
        for step in range(sampler.start, sampler.stop):
            epoch, place = sampler.place(step)
            began = time.perf_counter()
            micro_batches = _next_micro_batches(run, batches)
            waited = time.perf_counter() - began
            try:
                result = train_step(run.learner, micro_batches, step, epoch, stop)
            except NotFinite as error:
                _save(run)
                raise not_finite(error, run.folder, step + 1, run.sets) from error
            if run.store is not None:
                run.store.settle()
            seconds = time.perf_counter() - began
            run.done = done = step + 1
            over, ends = place + 1 == sampler.steps_per_epoch, result.stop or done == sampler.stop
            keep, measure = keep_every and done % keep_every == 0, over and not result.stop
            if result.stop:  # what is left is to save, and a second Ctrl-C must not cut that short
                ignore_signals()
            if record is not None:
                speed = {"images_per_second": sampler.batch_size / seconds, "waiting": waited / seconds}
                record.write(done, epoch, loss=result.losses, speed=speed)
                settings.watch(Progress(done, sampler.stop, epoch, result.losses, **speed, ends=ends or over))
            if ends or keep or done % save_every == 0 or (measure and _due(run, epoch)):
                if measure and not _due(run, epoch):
                    run.validated = done
                _save(run)
            if measure:  # saved before: whatever happens here, the epoch is done
                _validate(run, epoch)
            if keep and record is not None:
                copy_checkpoint(run.folder / FOLDER / LAST, run.folder / FOLDER / f"step-{done}")
            if result.stop:
                settings.say(
                    f"stopped; step {done} is saved in {run.folder}, the same command goes on from there"
                )
                raise KeyboardInterrupt


def _batches(run: Run) -> Generator[Batch, None, None]:
    """Makes the samples of all steps that are left; closing it ends the workers."""
    settings = run.settings
    unreadable = Unreadable(run.folder, run.sets, settings.say)
    pin = settings.device.type == "cuda"
    for batch in training_batches(run.recipe, run.sets, run.sampler, settings.workers, pin, unreadable):
        if settings.workers and hasattr(signal, "SIGCHLD"):
            # torch lets the death of a worker raise in the middle of a step; the loader notices it by itself.
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        yield batch


def _next_micro_batches(run: Run, batches: Iterator[Batch]) -> list[Batch]:
    """Draws the samples of the next step; where a process cannot have its own, all save together and end."""
    try:
        return made_everywhere(lambda: list(islice(batches, run.settings.accumulate)))
    except Exception:
        _save(run)
        raise


def _due(run: Run, epoch: int) -> bool:
    return run.settings.validation is not None and (epoch + 1) % run.recipe.evaluation.every_epochs == 0


def _validate(run: Run, epoch: int) -> None:
    """Measures what was saved last, if it is due, and adds to that checkpoint what was measured."""
    validation = run.settings.validation
    if validation is None or not _due(run, epoch):
        run.validated = run.done
        return
    share_statistics(run.learner.network)
    run.metrics = _measured(lambda: validation.measure(run.learner.network.eval()))
    if run.mean_pose is None:
        run.mean_pose = _measured(validation.mean_pose)
    run.validated = run.done
    value = run.metrics.get(METRIC if run.recipe.rules.makes_bodies else POSE_METRIC)
    better = value is not None and (run.best is None or value < run.best)
    run.best = value if better else run.best
    if run.record is None:
        return
    measured = {"metrics": run.metrics, "best": run.best, "validated": run.validated}
    last, best = run.folder / FOLDER / LAST, run.folder / FOLDER / BEST
    if better:
        copy_checkpoint(last, best)
        change_meta(best, **measured)
    beside = {"mean_pose": run.mean_pose} if run.mean_pose else {}
    run.record.write(run.done, epoch, validation=run.metrics, **beside)
    change_meta(last, **measured)
    compared = f" (the mean pose: {_in_words(run.mean_pose)})" if run.mean_pose else ""
    run.settings.say(f"epoch {epoch + 1}, test set: {_in_words(run.metrics)}{compared}")
    draw_curves(run.folder)


def _measured(measure: Callable[[], Figures]) -> dict[str, float]:
    """Gives all processes figures that they measure together; where one cannot have its part, all end."""
    try:
        return from_first(made_everywhere(lambda: dict(measure())))
    except Elsewhere:
        raise
    except Exception as error:
        known = explained(error)
        raise type(known)(f"{known}; --without evaluation goes on without measuring") from error


def _in_words(metrics: Figures) -> str:
    parts = [(name.rpartition("_"), value) for name, value in metrics.items()]
    return ", ".join(
        f"{name.upper().replace('_', '-')} {value:.1f} {'%' if unit == 'percent' else unit}"
        for (name, _, unit), value in parts
    )


def _save(run: Run, together: bool = True) -> None:
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


def _rescued(run: Run, error: HmrError) -> HmrError:
    """Saves the last finished step, if that can be, and adds to the error where the run stands.

    Other processes may be gone, so that nothing is asked of them: statistics are this process's own then.
    """
    if run.store is not None:
        run.store.undo()
    if run.record is not None and run.saved < run.done:
        with suppress(Exception):  # of disk or memory, as what ended the run
            _save(run, together=False)
    if not (run.folder / FOLDER / LAST).is_dir():
        return type(error)(f"{error}; nothing is saved in {run.folder} yet")
    stands = f"step {run.saved} is saved in {run.folder}, the same command goes on from there"
    return type(error)(f"{error}; {stands}")


def _sampler_state(sampler: BatchSampler) -> dict[str, Any]:
    """Gives what the draws depend on, beside the number of steps done."""
    return {"seed": sampler.seed, "batch_size": sampler.batch_size, "sizes": list(sampler.mixture.sizes)}


def _load_state(
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


def _draw_crops(run: Run) -> None:
    sampler = run.sampler
    first = BatchSampler(sampler.mixture, sampler.seed, min(sampler.batch_size, MOST), stop=1)
    batches = training_batches(run.recipe, run.sets, first, unreadable=Unreadable(run.folder, run.sets))
    names = [images.name for images in run.sets]
    crop_sheet(run.folder / SHEET_FILE, next(batches), names, run.recipe.data.joints, run.learner.body)


def _started(recipe: Recipe, root: Path) -> str:
    """Names the file that the run started from, or says why there is none."""
    path, wanted = start_file(recipe, root), recipe.network.initialisation
    if path is not None:
        return path.name
    if wanted is None:
        return "random weights"
    return f"random weights, {wanted.backbone or wanted.network} is not in place"


def _say_notes(recipe: Recipe, settings: Settings, checkpoint: Checkpoint | None, started: str) -> None:
    if checkpoint is None:
        settings.say(f"starting from {started}")
    else:
        settings.say(f"going on from {checkpoint.path}, step {checkpoint.meta.step}")
    if settings.without:
        settings.say(f"training without {', '.join(settings.without)}")
    alone = rank_and_size()[1] == 1 and settings.accumulate == 1
    if recipe.network.batch_norm == "synchronised" and not alone:
        if settings.device.type != "cuda":
            settings.say("batch statistics cannot be synchronised on the CPU: each process has its own")
        if settings.accumulate > 1:
            settings.say("batch statistics are those of each micro-batch, not of the whole batch")
