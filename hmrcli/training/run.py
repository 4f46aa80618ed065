"""A run: from a recipe to a folder with trained weights; stops cleanly and goes on where it stopped."""

import signal
import time
from collections.abc import Callable, Collection, Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from hmrcli import __version__
from hmrcli.body import BodyModel
from hmrcli.datasets.mixture import BatchSampler, mixture_of
from hmrcli.datasets.sets import TrainingImages, load_sets
from hmrcli.datasets.training import Batch, training_batches
from hmrcli.datasets.unreadable import Unreadable
from hmrcli.errors import BadInput
from hmrcli.evaluation.processes import rank_and_size
from hmrcli.recipe import Recipe
from hmrcli.training.checkpoints import BEST, FOLDER, LAST, Checkpoint, copy_checkpoint, save_checkpoint
from hmrcli.training.engine import (
    Learner,
    NotFinite,
    Precision,
    share_statistics,
    train_step,
)
from hmrcli.training.fits import FitStore
from hmrcli.training.folders import find_place
from hmrcli.training.leaves import leave
from hmrcli.training.pictures import crop_sheet
from hmrcli.training.processes import from_first
from hmrcli.training.record import Record, draw_curves
from hmrcli.training.start import prepare, start_file

SHEET_FILE = "crops.png"
METRIC, POSE_METRIC = "pa_mpjpe_mm", "error_percent"
"""By which the best checkpoint is chosen, of bodies and of heatmaps: the lowest."""


class Progress(NamedTuple):
    """Where a run stands after a step."""

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


Validate = Callable[[nn.Module], Mapping[str, float]]
"""Errors of a network on the test set, on the first process; called on all of them."""


@dataclass(frozen=True)
class Settings:
    """How to train, beside what the recipe says: nothing here changes what is learnt, up to rounding."""

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
    pieces: int = 1
    """In which a process takes its part of a batch, to need less memory."""
    workers: int = 0
    """Processes that make samples, for each process that trains."""
    save_every: int | None = None
    """Steps between checkpoints; by default an epoch's."""
    keep_every: int | None = None
    """Steps between checkpoints that are kept for good."""
    validate: Validate | None = None
    watch: Callable[[Progress], None] = lambda progress: None
    say: Callable[[str], None] = lambda text: None
    """For notes to a person."""


def train(recipe: Recipe, settings: Settings) -> Path:
    """Trains a recipe, or goes on with a run; under torchrun, on all processes together.

    Returns:
        the run's folder.

    Raises:
        MissingFile: files are missing.
        BadInput: a file cannot be used, or a loss is not finite.
        UsageError: options do not fit together.
        KeyboardInterrupt: SIGINT or SIGTERM came; the state is saved.
    """
    rank, processes = rank_and_size()
    sets = load_sets(recipe, settings.root, settings.without, settings.say)
    place = find_place(recipe, from_first(settings.out), settings.resume)
    folder, checkpoint = Path(from_first(str(place.folder))), place.checkpoint
    sampler = _sampler(recipe, sets, settings, 0 if checkpoint is None else int(checkpoint.meta["step"]))
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
    if checkpoint is not None:
        _load_state(checkpoint, recipe, learner, store, sampler)
    started = _started(recipe, settings.root)
    _say_notes(recipe, settings, processes, checkpoint, started)
    record = None
    if rank == 0:
        notes = {
            "without": list(settings.without),
            "open_prior": settings.open_prior,
            "validates": settings.validate is not None,
            "precision": settings.precision,
            "compile": settings.compile,
            "pieces": settings.pieces,
            "initialisation": started,
        }
        record = Record(folder, recipe, sampler.start, str(settings.device), notes)
        if checkpoint is None:
            _draw_crops(folder, recipe, sets, sampler, learner.body)
    run = _Run(recipe, settings, folder, sampler, learner, store, record, checkpoint)
    try:
        with _signals() as stop:
            run.go(sets, stop)
    finally:
        if record is not None:
            record.close()
    if record is not None and recipe.leaves is not None:
        left = leave(recipe.leaves, learner.network, folder, settings.root)
        settings.say(
            f"left {left} for other recipes" if left else "unfinished: nothing is left for other recipes"
        )
    return folder


class _Run:
    def __init__(
        self,
        recipe: Recipe,
        settings: Settings,
        folder: Path,
        sampler: BatchSampler,
        learner: Learner,
        store: FitStore | None,
        record: Record | None,
        checkpoint: Checkpoint | None,
    ) -> None:
        self.recipe, self.settings, self.folder = recipe, settings, folder
        self.sampler, self.learner, self.store, self.record = sampler, learner, store, record
        self.metrics: dict[str, float] = {} if checkpoint is None else dict(checkpoint.meta["metrics"])
        self.best: float | None = None if checkpoint is None else checkpoint.meta["best"]
        self.saved = sampler.start
        self.validated: int = sampler.start if checkpoint is None else checkpoint.meta["validated"]
        """Steps after which the metrics were measured last, or were not due."""

    def go(self, sets: list[TrainingImages], stop: Callable[[], bool]) -> None:
        """All steps from the sampler's first to its last."""
        settings, sampler = self.settings, self.sampler
        assert sampler.stop is not None
        pin = settings.device.type == "cuda"
        save_every = settings.save_every or sampler.steps_per_epoch
        if sampler.start >= sampler.stop:
            settings.say(f"nothing left to do: {sampler.start} steps of {sampler.stop} are done")
        if sampler.start and self.validated < sampler.start:
            epoch, place = sampler.place(sampler.start - 1)
            if place + 1 == sampler.steps_per_epoch:  # interrupted before the epoch's validation
                self.saved = -1  # that checkpoint does not have these metrics
                self._validate(sampler.start, epoch)
                self._save(sampler.start, epoch)
        unreadable = Unreadable(self.folder, sets, settings.say)
        with closing(_batches(self.recipe, sets, sampler, settings.workers, pin, unreadable)) as batches:
            for step in range(sampler.start, sampler.stop):
                epoch, place = sampler.place(step)
                began = time.perf_counter()
                pieces = list(islice(batches, settings.pieces))
                waited = time.perf_counter() - began
                try:
                    result = train_step(self.learner, pieces, step, epoch, stop)
                except NotFinite as error:
                    raise BadInput(self._explain(error, step, sets)) from error
                seconds = time.perf_counter() - began
                done = step + 1
                if self.record is not None:
                    speed = {
                        "images_per_second": sampler.batch_size / seconds,
                        "waiting": waited / seconds,
                    }
                    self.record.write(done, epoch, loss=result.losses, speed=speed)
                    settings.watch(Progress(done, sampler.stop, epoch, result.losses, *speed.values()))
                if place + 1 == sampler.steps_per_epoch and not result.stop:
                    self._validate(done, epoch)
                ends = result.stop or done == sampler.stop
                if (
                    ends
                    or done % save_every == 0
                    or (settings.keep_every and done % settings.keep_every == 0)
                ):
                    self._save(done, epoch)
                if result.stop:
                    settings.say(
                        f"stopped; step {done} is saved in {self.folder}, the same command goes on from there"
                    )
                    raise KeyboardInterrupt

    def _validate(self, done: int, epoch: int) -> None:
        self.validated = done
        if self.settings.validate is None or (epoch + 1) % self.recipe.evaluation.every_epochs:
            return
        share_statistics(self.learner.network)
        self.metrics = dict(from_first(self.settings.validate(self.learner.network.eval())))
        if self.record is not None:
            self.record.write(done, epoch, validation=self.metrics)
            draw_curves(self.folder)
        value = self.metrics.get(POSE_METRIC if self.recipe.algorithm == "pose" else METRIC)
        if value is not None and (self.best is None or value < self.best):
            self.best = value
            self._save(done, epoch)
            if self.record is not None:
                copy_checkpoint(self.folder / FOLDER / LAST, self.folder / FOLDER / BEST)

    def _save(self, done: int, epoch: int) -> None:
        if self.saved == done:
            return
        self.saved = done
        share_statistics(self.learner.network)
        if self.store is not None:
            self.store.share()
        if self.record is None:
            return
        sampler, body = self.sampler, self.learner.body
        state = {"learner": self.learner.state(), "sampler": _sampler_state(sampler)}
        if self.store is not None:
            state["fits"] = self.store.state()
        meta = {
            "recipe": self.recipe.name,
            "step": done,
            "epoch": epoch,
            "finished": done >= self.recipe.schedule.epochs * sampler.steps_per_epoch,
            "metrics": self.metrics,
            "best": self.best,
            "validated": self.validated,
            "body_model": {"name": body.name, "vertices": body.num_vertices, "sha256": body.sha256},
            "version": __version__,
        }
        last = self.folder / FOLDER / LAST
        save_checkpoint(last, self.learner.network, state, meta)
        if self.settings.keep_every and done % self.settings.keep_every == 0:
            copy_checkpoint(last, self.folder / FOLDER / f"step-{done}")

    def _explain(self, error: NotFinite, step: int, sets: list[TrainingImages]) -> str:
        """Saves the samples of a step whose loss is not finite, and says what happened."""
        rank, _ = rank_and_size()
        path = self.folder / "not_finite" / f"step-{step + 1}-process-{rank}.pt"
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save({"terms": error.terms, "samples": [piece._asdict() for piece in error.pieces]}, path)
        named = [
            f"{sets[number].image(row)} (row {row})"
            for piece in error.pieces
            for number, row in zip(piece.dataset.tolist(), piece.row.tolist())
        ]
        shown = ", ".join(named[:3]) + (f" and {len(named) - 3} more" if len(named) > 3 else "")
        return (
            f"step {step + 1}: not finite: {', '.join(error.terms)}; samples: {shown}. They are saved in {path}, the "
            f"checkpoints are as before. Look at these samples, or go on with a lower optimizer.lr in another run"
        )


def _batches(
    recipe: Recipe,
    sets: list[TrainingImages],
    sampler: BatchSampler,
    workers: int,
    pin_memory: bool,
    unreadable: Unreadable,
) -> Generator[Batch, None, None]:
    """The samples; closing it ends the workers."""
    yield from training_batches(recipe, sets, sampler, workers, pin_memory, unreadable)


def _sampler(recipe: Recipe, sets: list[TrainingImages], settings: Settings, start: int) -> BatchSampler:
    """All steps of the run that are left, of this process."""
    rank, processes = rank_and_size()
    mixture = mixture_of(recipe.data, {images.name: len(images) for images in sets})
    sampler = BatchSampler(
        mixture,
        recipe.seed,
        recipe.schedule.batch_size,
        start=start,
        rank=rank,
        processes=processes,
        accumulate=settings.pieces,
    )
    steps = recipe.schedule.epochs * sampler.steps_per_epoch
    sampler.stop = steps if settings.max_steps is None else min(steps, settings.max_steps)
    return sampler


def _sampler_state(sampler: BatchSampler) -> dict[str, Any]:
    """What the draws depend on, beside the number of steps done."""
    mixture = sampler.mixture
    return {"seed": sampler.seed, "batch_size": sampler.batch_size, "sizes": list(mixture.sizes)}


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
        then, now = state["sampler"], _sampler_state(sampler)
    except (KeyError, ValueError, RuntimeError, TypeError) as error:
        raise BadInput(
            f"{checkpoint.path}: its state does not fit {recipe.name}; resume with the recipe it began with"
        ) from error
    for name, value in now.items():
        if then.get(name) != value:
            raise BadInput(
                f"{checkpoint.path}: the run began with {name} {then.get(name)} of its samples, now it is {value}; "
                "resume with the same training sets, or begin another run with --out"
            )


def _draw_crops(
    folder: Path, recipe: Recipe, sets: list[TrainingImages], sampler: BatchSampler, body: BodyModel
) -> None:
    first = BatchSampler(sampler.mixture, sampler.seed, min(sampler.batch_size, 16), stop=1)
    with closing(_batches(recipe, sets, first, 0, False, Unreadable(folder, sets))) as batches:
        crop_sheet(
            folder / SHEET_FILE, next(batches), [images.name for images in sets], recipe.data.joints, body
        )


def _started(recipe: Recipe, root: Path) -> str:
    """Name of the file that the run started from, or why there is none."""
    path, wanted = start_file(recipe, root), recipe.network.initialisation
    if path is not None:
        return path.name
    if wanted is None:
        return "random weights"
    return f"random weights, {wanted.backbone or wanted.network} is not in place"


def _say_notes(
    recipe: Recipe, settings: Settings, processes: int, checkpoint: Checkpoint | None, started: str
) -> None:
    if checkpoint is None:
        settings.say(f"starting from {started}")
    else:
        settings.say(f"going on from {checkpoint.path}, step {checkpoint.meta['step']}")
    if settings.without:
        settings.say(f"training without {', '.join(settings.without)}")
    alone = processes == 1 and settings.pieces == 1
    if recipe.network.batch_norm == "synchronised" and not alone:
        if settings.device.type != "cuda":
            settings.say("batch statistics cannot be synchronised on the CPU: each process has its own")
        if settings.pieces > 1:
            settings.say("batch statistics are those of each piece, not of the whole batch")


@contextmanager
def _signals() -> Iterator[Callable[[], bool]]:
    """Lets the step in hand finish on the first SIGINT or SIGTERM; the second is obeyed at once."""
    came = False
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def note(number: int, frame: Any) -> None:
        nonlocal came
        came = True
        for each, handler in before.items():
            signal.signal(each, handler)

    try:
        for number in before:
            signal.signal(number, note)
        yield lambda: came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
