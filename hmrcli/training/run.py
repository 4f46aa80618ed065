"""A run: from a recipe to a folder with trained weights; stops cleanly and goes on where it stopped."""

import os
import signal
import time
from collections.abc import Callable, Collection, Generator, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from hmrcli import __version__
from hmrcli.algorithms.spin_fits import FitStore
from hmrcli.body import BodyModel
from hmrcli.data.mixture import BatchSampler, mixture_of
from hmrcli.data.sets import TrainingImages, load_sets
from hmrcli.data.training import Batch, training_batches
from hmrcli.data.unreadable import Unreadable
from hmrcli.distributed import Elsewhere, anywhere, done_by_first, from_first, met_alike, rank_and_size
from hmrcli.errors import BadInput, HmrError, UsageError
from hmrcli.files import advice
from hmrcli.recipe import Recipe
from hmrcli.training.checkpoints import (
    BEST,
    FOLDER,
    LAST,
    STATE_FILE,
    Checkpoint,
    change_meta,
    clear_leftovers,
    copy_checkpoint,
    save_checkpoint,
)
from hmrcli.training.engine import (
    Learner,
    NotFinite,
    Precision,
    can_train_on,
    share_statistics,
    train_step,
)
from hmrcli.training.exports import export_weights
from hmrcli.training.folders import Place, find_place
from hmrcli.training.pictures import crop_sheet
from hmrcli.training.record import Record, draw_curves
from hmrcli.training.start import prepare, start_file

SHEET_FILE = "crops.png"
_SAME_WISH = 2.0
"""Seconds."""
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
    ends: bool
    """Whether it was the last of its epoch, or of the run."""


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
    mean_pose: Callable[[], Mapping[str, float]] | None = None
    """What the mean pose would have on the test set, to compare with; called once, as `validate` is."""
    watch: Callable[[Progress], None] = lambda progress: None
    say: Callable[[str], None] = lambda text: None
    """For notes to a person."""


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
    place: Place | None = None

    def find() -> tuple[Path, Checkpoint | None]:
        nonlocal place
        place = find_place(recipe, settings.out, settings.resume, settings.say)
        clear_leftovers(place.folder)
        return place.folder, place.checkpoint

    try:
        folder, checkpoint = done_by_first(find)
        with met_alike():
            run, sets = _prepared(recipe, settings, folder, checkpoint)
        run.go(sets)
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
    finally:
        if place is not None:
            place.release()


def _prepared(
    recipe: Recipe, settings: Settings, folder: Path, checkpoint: Checkpoint | None
) -> tuple["_Run", list[TrainingImages]]:
    """A run before its first step, and its sets."""
    rank, processes = rank_and_size()
    sets = load_sets(recipe, settings.root, settings.without, settings.say)
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
    if sampler.batch_size == processes * settings.pieces and not can_train_on(learner, 1):
        raise UsageError(
            f"schedule.batch_size {sampler.batch_size}: with {processes} processes and {settings.pieces} pieces each "
            f"piece has one sample, of which {recipe.name}'s batch norm can make no statistics; choose a batch of "
            f"{2 * sampler.batch_size} or more, fewer --pieces or fewer processes"
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
    return _Run(recipe, settings, folder, sampler, learner, store, record, checkpoint), sets


def in_words(metrics: Mapping[str, float]) -> str:
    """Figures by name and unit, such as `pa_mpjpe_mm`, for a person."""
    parts = [(name.rpartition("_"), value) for name, value in metrics.items()]
    return ", ".join(
        f"{name.upper().replace('_', '-')} {value:.1f} {'%' if unit == 'percent' else unit}"
        for (name, _, unit), value in parts
    )


def explained(error: Exception) -> HmrError:
    """What ended a run in one line, and what can be done about it; `HmrError` itself stands for a bug."""
    text = str(error).strip()
    last = text.splitlines()[-1] if text else ""
    if isinstance(error, HmrError):
        return error
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)) or any(words in text for words in _NO_MEMORY):
        return BadInput(
            "memory ran out; take the batch in more --pieces, choose a smaller schedule.batch_size, or fewer --workers"
        )
    if "DataLoader worker (pid" in text or isinstance(error, (EOFError, ConnectionError)):
        return BadInput(
            "a process that makes samples was killed, as the system does where memory runs out; try fewer --workers"
        )
    if isinstance(error, OSError):
        what = f"{os.fsdecode(error.filename)}: {error.strerror}" if error.filename else last
        return BadInput(advice(error) or f"{what}; make room on the disk, or see that it can be used")
    if any(words in f"{type(error).__name__} {text}" for words in _NOT_WRITTEN):
        return BadInput(f"a checkpoint cannot be written ({last}); make room on the disk")
    if rank_and_size()[1] > 1 and any(words in text for words in _PARTED):
        return HmrError("another process of this training ended; if it says nothing itself, it was killed")
    return HmrError(f"{type(error).__name__}: {last}; this looks like a bug, HMR_DEBUG=1 shows where it is")


_NO_MEMORY = (
    *("can't allocate memory", "out of memory", "not enough memory", "Insufficient memory", "bad_alloc"),
    *("Cannot allocate memory", "ALLOC_FAILED"),
)
_NOT_WRITTEN = ("PytorchStreamWriter", "unexpected pos", "SafetensorError", "No space left", "File too large")
_PARTED = ("Connection closed", "Connection reset", "gloo", "NCCL", "Broken pipe")
"""What torch says in such cases, of any kind of error."""


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
        self.mean_pose: dict[str, float] | None = None
        self.done = self.saved = sampler.start
        self.validated: int = sampler.start if checkpoint is None else checkpoint.meta["validated"]
        """Steps after which the metrics were measured last, or were not due."""

    def go(self, sets: list[TrainingImages]) -> None:
        """Takes all steps from the sampler's first to its last; saves what is done where something goes wrong."""
        try:
            with _signals() as stop:
                try:
                    self._steps(sets, stop)
                except Elsewhere:
                    raise
                except Exception as error:
                    raise self._rescued(explained(error)) from error
        except BaseException:
            if self.record is not None:
                with suppress(Exception):  # what ended the run is what is said
                    self.record.close()
            raise
        if self.record is not None:
            self.record.close()

    def _steps(self, sets: list[TrainingImages], stop: Callable[[], bool]) -> None:
        settings, sampler = self.settings, self.sampler
        assert sampler.stop is not None
        pin = settings.device.type == "cuda"
        save_every, keep_every = settings.save_every or sampler.steps_per_epoch, settings.keep_every
        if sampler.start >= sampler.stop:
            settings.say(f"nothing left to do: {sampler.start} steps of {sampler.stop} are done")
        if sampler.start and self.validated < sampler.start:
            epoch, place = sampler.place(sampler.start - 1)
            if place + 1 == sampler.steps_per_epoch:  # ended before the epoch's validation
                self.saved = -1  # here it may be another folder
                self._save()
                self._validate(epoch)
        unreadable = Unreadable(self.folder, sets, settings.say)
        with closing(_batches(self.recipe, sets, sampler, settings.workers, pin, unreadable)) as batches:
            for step in range(sampler.start, sampler.stop):
                epoch, place = sampler.place(step)
                began = time.perf_counter()
                pieces = self._drawn(batches)
                waited = time.perf_counter() - began
                try:
                    result = train_step(self.learner, pieces, step, epoch, stop)
                except NotFinite as error:
                    raise self._explain(error, step, sets) from error
                if self.store is not None:
                    self.store.settle()
                seconds = time.perf_counter() - began
                self.done = done = step + 1
                if self.record is not None:
                    speed = {
                        "images_per_second": sampler.batch_size / seconds,
                        "waiting": waited / seconds,
                    }
                    self.record.write(done, epoch, loss=result.losses, speed=speed)
                ends, keep = result.stop or done == sampler.stop, keep_every and done % keep_every == 0
                over = place + 1 == sampler.steps_per_epoch
                measure = over and not result.stop
                if result.stop:  # what is left is to save, and a second Ctrl-C must not cut that short
                    for number in (signal.SIGINT, signal.SIGTERM):
                        signal.signal(number, signal.SIG_IGN)
                if self.record is not None:
                    settings.watch(
                        Progress(done, sampler.stop, epoch, result.losses, **speed, ends=ends or over)
                    )
                if ends or keep or done % save_every == 0 or (measure and self._due(epoch)):
                    if measure and not self._due(epoch):
                        self.validated = done
                    self._save()
                if measure:  # saved before: whatever happens here, the epoch is done
                    self._validate(epoch)
                if keep and self.record is not None:
                    copy_checkpoint(self.folder / FOLDER / LAST, self.folder / FOLDER / f"step-{done}")
                if result.stop:
                    settings.say(
                        f"stopped; step {done} is saved in {self.folder}, the same command goes on from there"
                    )
                    raise KeyboardInterrupt

    def _rescued(self, error: HmrError) -> HmrError:
        """The error with where the run stands, after the last finished step was saved, if that can be.

        Other processes may be gone, so that nothing is asked of them: statistics are this process's own then.
        """
        if self.store is not None:
            self.store.undo()
        if self.record is not None and self.saved < self.done:
            with suppress(Exception):  # of disk or memory, as what ended the run
                self._save(together=False)
        if not (self.folder / FOLDER / LAST).is_dir():
            return type(error)(f"{error}; nothing is saved in {self.folder} yet")
        stands = f"step {self.saved} is saved in {self.folder}, the same command goes on from there"
        return type(error)(f"{error}; {stands}")

    def _drawn(self, batches: Iterator[Batch]) -> list[Batch]:
        """The pieces of the next step. Where a process cannot have its own, all save together and end."""
        failure: Exception | None = None
        try:
            pieces = list(islice(batches, self.settings.pieces))
        except Exception as error:
            failure = error
        if anywhere(failure is not None):
            self._save()
            raise failure or Elsewhere
        return pieces

    def _due(self, epoch: int) -> bool:
        return self.settings.validate is not None and (epoch + 1) % self.recipe.evaluation.every_epochs == 0

    def _validate(self, epoch: int) -> None:
        """Measures what was saved last, if it is due, and adds to that checkpoint what was measured."""
        if not self._due(epoch) or self.settings.validate is None:
            self.validated = self.done
            return
        share_statistics(self.learner.network)
        validate, mean_pose = self.settings.validate, self.settings.mean_pose
        self.metrics = _measured(lambda: validate(self.learner.network.eval()))
        if self.mean_pose is None and mean_pose is not None:
            self.mean_pose = _measured(mean_pose)
        self.validated = self.done
        value = self.metrics.get(METRIC if self.recipe.rules.makes_bodies else POSE_METRIC)
        better = value is not None and (self.best is None or value < self.best)
        self.best = value if better else self.best
        if self.record is None:
            return
        last, best = self.folder / FOLDER / LAST, self.folder / FOLDER / BEST
        if better:
            copy_checkpoint(last, best)
            change_meta(best, self._meta(epoch))
        beside = {"mean_pose": self.mean_pose} if self.mean_pose else {}
        self.record.write(self.done, epoch, validation=self.metrics, **beside)
        change_meta(last, self._meta(epoch))
        self._say_metrics(epoch)
        draw_curves(self.folder)

    def _say_metrics(self, epoch: int) -> None:
        beside = f" (the mean pose: {in_words(self.mean_pose)})" if self.mean_pose else ""
        self.settings.say(f"epoch {epoch + 1}, test set: {in_words(self.metrics)}{beside}")

    def _save(self, together: bool = True) -> None:
        """Saves the last finished step, unless that is done.

        Args:
            together: all processes are here and average their statistics first.
        """
        if self.saved == self.done:
            return
        if together:
            share_statistics(self.learner.network)
            if self.store is not None:
                self.store.share()
        if self.record is not None:
            state = {"learner": self.learner.state(), "sampler": _sampler_state(self.sampler)}
            if self.store is not None:
                state["fits"] = self.store.state()
            meta = self._meta(self.sampler.place(self.done - 1)[0])
            save_checkpoint(self.folder / FOLDER / LAST, self.learner.network, state, meta)
        self.saved = self.done
        if together:  # a process that ended now would have torchrun end the one that writes
            anywhere(False)

    def _meta(self, epoch: int) -> dict[str, Any]:
        body = self.learner.body
        return {
            "recipe": self.recipe.name,
            "step": self.done,
            "epoch": epoch,
            "finished": self.done >= self.recipe.schedule.epochs * self.sampler.steps_per_epoch,
            "metrics": self.metrics,
            "best": self.best,
            "validated": self.validated,
            "body_model": {"name": body.name, "vertices": body.num_vertices, "sha256": body.sha256},
            "version": __version__,
        }

    def _explain(self, error: NotFinite, step: int, sets: list[TrainingImages]) -> HmrError:
        """Saves the samples of a step whose loss is not finite, and says what happened; all processes come here."""
        rank, processes = rank_and_size()
        self._save()
        folder = self.folder / "not_finite"
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"step-{step + 1}-process-{rank}.pt"
        torch.save({"terms": error.terms, "samples": [piece._asdict() for piece in error.parts]}, path)
        if rank > 0:
            return Elsewhere()
        named = [
            f"{sets[number].image(row)} (row {row})"
            for piece in error.parts
            for number, row in zip(piece.dataset.tolist(), piece.row.tolist())
        ]
        shown = ", ".join(named[:3]) + (f" and {len(named) - 3} more" if len(named) > 3 else "")
        others = f", those of the other processes beside {path.name}" if processes > 1 else ""
        return BadInput(
            f"step {step + 1}: not finite: {', '.join(error.terms)}; samples: {shown}. They are saved in "
            f"{path}{others}. Look at these samples, or take a lower optimizer.lr in another run"
        )


def _measured(measure: Callable[[], Mapping[str, float]]) -> dict[str, float]:
    """Figures that all processes have together; where one of them cannot have its part, all end."""
    figures: dict[str, float] = {}
    failure: HmrError | None = None
    try:
        figures = dict(measure())
    except Exception as error:
        known = explained(error)
        failure = type(known)(f"{known}; --without evaluation goes on without measuring")
    if anywhere(failure is not None):
        raise failure or Elsewhere
    return from_first(figures)


def _batches(
    recipe: Recipe,
    sets: list[TrainingImages],
    sampler: BatchSampler,
    workers: int,
    pin_memory: bool,
    unreadable: Unreadable,
) -> Generator[Batch, None, None]:
    """The samples; closing it ends the workers."""
    for batch in training_batches(recipe, sets, sampler, workers, pin_memory, unreadable):
        if workers and hasattr(signal, "SIGCHLD"):
            # torch lets the death of a worker raise in the middle of a step; the loader notices it by itself.
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        yield batch


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
        then, now = dict(state["sampler"]), _sampler_state(sampler)
    except Exception as error:  # a state that was made up can fail in any way
        raise BadInput(
            f"{checkpoint.path / STATE_FILE}: does not fit {recipe.name}; resume with the recipe it began with"
        ) from error
    for name, value in now.items():
        if then.get(name) != value:
            raise BadInput(
                f"{checkpoint.path}: the run began with {name} {then.get(name)} of its samples, now it is {value}; "
                "resume with the same recipe and training sets, or begin another run with --out"
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
    """Lets the step in hand finish on the first SIGINT or SIGTERM; a later one is obeyed at once.

    torchrun passes on what the terminal has sent already, so that one within seconds is the same wish.
    """
    came: float | None = None
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def note(number: int, frame: Any) -> None:
        nonlocal came
        now = time.monotonic()
        came = came or now
        if now - came > _SAME_WISH:
            for each, handler in before.items():
                signal.signal(each, handler)
            signal.raise_signal(number)

    try:
        for number in before:
            signal.signal(number, note)
        yield lambda: came is not None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
