"""A run: from a recipe to a folder with trained weights; stops cleanly and goes on where it stopped."""

import json
from contextlib import ExitStack, nullcontext
from pathlib import Path

from torch import nn

from hmrcli.algorithms.spin_fits import FitStore
from hmrcli.assets.data_root import CHECKPOINTS
from hmrcli.data.label_sources import smpl_labels, static_fits
from hmrcli.data.mixture import BatchSampler, mixture_of
from hmrcli.data.sets import load_sets
from hmrcli.data.training import training_batches
from hmrcli.data.unreadable_rows import Unreadable
from hmrcli.distributed import done_by_first, met_alike, rank_and_size
from hmrcli.errors import HmrError, UsageError
from hmrcli.layers import load_weights
from hmrcli.layers.unused import unused_names
from hmrcli.layers.weight_files import write_weights
from hmrcli.layers.weights import backbone_of
from hmrcli.recipe import Recipe
from hmrcli.recipe.schema import Exports
from hmrcli.training.checkpoints import Checkpoint, best_checkpoint, clear_leftovers, read_checkpoint
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
    """Trains a recipe, or goes on with a run, and returns its folder; under torchrun, on all processes together.

    Whatever ends a run, the state of the last step that was finished is saved first where that is possible.

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
                settings.say(_export(recipe.exports, run.learner.network, folder, settings.root))
            return folder
        except HmrError:
            raise
        except Exception as error:
            raise explained(error) from error


def _begin(recipe: Recipe, settings: Settings, folder: Path, checkpoint: Checkpoint | None) -> Run:
    """Reads sets and weights and writes the first files of a run's folder."""
    root, meta = settings.root, checkpoint and checkpoint.meta
    rank, processes = rank_and_size()
    sets = load_sets(recipe, root, settings.without, settings.say)
    sampler = BatchSampler(
        mixture_of(recipe.data, {images.name: len(images) for images in sets}),
        recipe.seed,
        recipe.schedule.batch_size,
        start=meta.step if meta else 0,
        rank=rank,
        processes=processes,
        accumulate=settings.accumulate,
    )
    steps = recipe.schedule.epochs * sampler.steps_per_epoch
    sampler.stop = steps if settings.max_steps is None else min(steps, settings.max_steps)
    store = None if recipe.in_the_loop is None else FitStore(sets)
    learner = prepare(recipe, settings, checkpoint and checkpoint.model, store)
    if sampler.batch_size == processes * settings.accumulate and not can_train_on(learner, 1):
        raise UsageError(
            f"schedule.batch_size {sampler.batch_size}: with {processes} processes and {settings.accumulate} "
            f"micro-batches each, a micro-batch has one sample, of which {recipe.name}'s batch norm can make no "
            f"statistics; choose a batch of {2 * sampler.batch_size} or more, a smaller --accumulate or fewer processes"
        )
    if checkpoint is not None:
        load_state(checkpoint, recipe, learner, store, sampler)
    started = _started(recipe, root)
    _say_notes(recipe, settings, checkpoint, started)
    record = None
    if rank == 0:
        notes = {
            "without": list(settings.without),
            "smpl_labels": smpl_labels(recipe, root, settings.without),
            "static_fits": static_fits(recipe, root, settings.without),
            "open_prior": settings.open_prior,
            "validates": settings.validation is not None,
            "precision": settings.precision,
            "compile": settings.compile,
            "pieces": settings.accumulate,
            "initialisation": started,
        }
        record = Record(folder, recipe, sampler.start, str(settings.device), notes)
    run = Run(recipe, settings, folder, sets, sampler, learner, store, record, sampler.start, sampler.start)
    if meta is not None:
        run.metrics, run.best, run.validated = dict(meta.metrics), meta.best, meta.validated
    elif record is not None:
        _draw_crops(run)
    return run


def _draw_crops(run: Run) -> None:
    sampler = run.sampler
    first = BatchSampler(sampler.mixture, sampler.seed, min(sampler.batch_size, MOST), stop=1)
    batches = training_batches(run.recipe, run.sets, first, unreadable=Unreadable(run.folder, run.sets))
    names = [images.name for images in run.sets]
    crop_sheet(run.folder / SHEET_FILE, next(batches), names, run.recipe.data.joints, run.learner.body)


def _export(exports: Exports, network: nn.Module, run: Path, root: Path) -> str:
    """Writes a finished run's weights below `checkpoints/` for other recipes to start from, and says so.

    They are of its best checkpoint, or of its last where none was measured, and the network takes them. Recipe, step
    and metrics of that checkpoint stand in the file's header. Whatever had its name is replaced.
    """
    if not read_checkpoint(run).meta.finished:
        return "unfinished: nothing is exported for other recipes"
    checkpoint = best_checkpoint(run)
    load_weights(network, checkpoint.model)
    part = network if exports.backbone is None else backbone_of(network)
    # What a pose network does not train would only look trained.
    unread = unused_names(part)
    state = {name: value for name, value in part.state_dict().items() if name not in unread}
    told = checkpoint.meta.model_dump(include={"recipe", "step", "epoch", "metrics"})
    header = {name: json.dumps(value) for name, value in told.items()}
    path = root / CHECKPOINTS / (exports.backbone or exports.network or "")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_weights(state, path, header)
    return f"exported {path} for other recipes"


def _started(recipe: Recipe, root: Path) -> str:
    """Names the file that the run started from, or says why there is none."""
    path, wanted = start_file(recipe, root), recipe.network.initialisation
    if path is not None:
        return path.name
    absent = f", {wanted.backbone or wanted.network} is not in place" if wanted else ""
    return f"random weights{absent}"


def _say_notes(recipe: Recipe, settings: Settings, checkpoint: Checkpoint | None, started: str) -> None:
    going_on = checkpoint and f"going on from {checkpoint.path}, step {checkpoint.meta.step}"
    settings.say(going_on or f"starting from {started}")
    if settings.without:
        settings.say(f"training without {', '.join(settings.without)}")
    alone = rank_and_size()[1] == 1 and settings.accumulate == 1
    if recipe.network.batch_norm == "synchronised" and not alone:
        if settings.device.type != "cuda":
            settings.say("batch statistics cannot be synchronised on the CPU: each process has its own")
        if settings.accumulate > 1:
            settings.say("batch statistics are those of each micro-batch, not of the whole batch")
