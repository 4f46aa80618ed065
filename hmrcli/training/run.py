"""A run: from a recipe to a folder with trained weights; stops cleanly and goes on where it stopped."""

from contextlib import ExitStack, nullcontext
from pathlib import Path

from hmrcli.algorithms.spin_fits import FitStore
from hmrcli.data.label_sources import smpl_labels, static_fits
from hmrcli.data.mixture import BatchSampler, mixture_of
from hmrcli.data.sets import load_sets
from hmrcli.data.training import training_batches
from hmrcli.data.unreadable_rows import Unreadable
from hmrcli.distributed import done_by_first, met_alike, rank_and_size
from hmrcli.errors import HmrError, UsageError
from hmrcli.recipe import Recipe
from hmrcli.training.checkpoints import Checkpoint, clear_leftovers
from hmrcli.training.exports import export_weights
from hmrcli.training.failures import explained, stop_signals
from hmrcli.training.folders import find_place
from hmrcli.training.learner import can_train_on
from hmrcli.training.pictures import MOST, crop_sheet
from hmrcli.training.record import Record
from hmrcli.training.saving import Run, load_state
from hmrcli.training.settings import Settings
from hmrcli.training.start import prepare, start_file
from hmrcli.training.steps import take_steps_or_save

SHEET_FILE = "crops.png"


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
                take_steps_or_save(run, stop)
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
        load_state(checkpoint, recipe, learner, store, sampler)
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
