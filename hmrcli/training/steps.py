"""The steps of a run: each is taken, told, and saved where that is due; at the end of an epoch, also measured."""

import signal
import time
from collections.abc import Callable, Generator
from contextlib import closing
from itertools import islice

from hmrcli.data.training import Batch, training_batches
from hmrcli.data.unreadable_rows import Unreadable
from hmrcli.distributed import Elsewhere, anywhere, from_first, made_everywhere
from hmrcli.training.checkpoints import BEST, FOLDER, LAST, change_meta, copy_checkpoint
from hmrcli.training.failures import explained, ignore_signals, not_finite
from hmrcli.training.learner import share_statistics
from hmrcli.training.saving import Pending, Run, rescued, save, settle
from hmrcli.training.settings import Figures
from hmrcli.training.step import NotFinite, train_step

READ_EVERY = 10
"""Steps; their samples are kept until then, for the case that a loss is not finite."""

METRIC, POSE_METRIC = "pa_mpjpe_mm", "error_percent"
"""By which the best checkpoint is chosen, of bodies and of heatmaps: the lowest."""


def take_steps_or_save(run: Run, stop: Callable[[], bool]) -> None:
    """Takes all steps of a run that are left; whatever ends it early, the last finished step is saved.

    Raises:
        HmrError: says what went wrong and where the run stands; `Elsewhere` where another process says it.
        KeyboardInterrupt: a process was asked to stop; the state is saved.
    """
    try:
        _take_steps(run, stop)
    except Elsewhere:
        raise
    except Exception as error:
        raise rescued(run, explained(error)) from error


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
            save(run)
            _validate(run, epoch)
    # A GPU has to finish its work for a reading of the losses, a CPU has finished anyway. SPIN's fits wait for the
    # device, and what a step puts into their store can be taken back for the last step alone.
    reads_every = 1 if run.learner.device.type == "cpu" or run.store is not None else READ_EVERY
    with closing(_batches(run)) as batches:
        for step in range(sampler.start, sampler.stop):
            epoch, place = sampler.place(step)
            began = time.perf_counter()
            try:
                micro_batches = made_everywhere(lambda: list(islice(batches, settings.accumulate)))
            except Exception:  # a process cannot have its own: all save together and end
                save(run)
                raise
            waited = time.perf_counter() - began
            taken = train_step(run.learner, micro_batches, step, epoch)
            stopped = anywhere(stop())
            if stopped:  # what is left is to save, and a second Ctrl-C must not cut that short
                ignore_signals()
            run.pending.append(Pending(taken, epoch, began, waited))
            done, over = step + 1, place + 1 == sampler.steps_per_epoch
            ends = stopped or done == sampler.stop
            keep, measure = keep_every and done % keep_every == 0, over and not stopped
            saves = ends or keep or done % save_every == 0 or (measure and _due(run, epoch))
            if saves or over or len(run.pending) == reads_every:
                try:
                    settle(run, ends=ends or over)
                except NotFinite as error:
                    save(run)
                    raise not_finite(error, run.folder, run.sets) from error
            if saves:
                if measure and not _due(run, epoch):
                    run.validated = done
                save(run)
            if measure:  # saved before: whatever happens here, the epoch is done
                _validate(run, epoch)
            if keep and record is not None:
                copy_checkpoint(run.folder / FOLDER / LAST, run.folder / FOLDER / f"step-{done}")
            if stopped:
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
    run.record.draw()


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
