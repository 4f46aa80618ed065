"""`hmr train`: a recipe into a run's folder with trained weights."""

import difflib
import os
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from hmrcli.cli import options
from hmrcli.cli.console import log, note
from hmrcli.errors import MissingFile, UsageError

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from torch import nn

    from hmrcli.data.needed import NeededFile
    from hmrcli.recipe import Recipe
    from hmrcli.training.run import Progress

EVALUATION, POSE_PRIOR = "evaluation", "pose_prior"
"""Names by which `--without` leaves out the test set, and SPIN's licensed prior for the bundled one."""


class Precision(StrEnum):
    """Number formats of the network."""

    fp32 = "fp32"
    bf16 = "bf16"


def train(
    recipe: Annotated[str, typer.Option(help="A bundled recipe's name or a YAML file.")],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="Changes to the recipe, such as optimizer.lr=1e-4."),
    ] = None,
    data_root: options.DataRoot = None,
    out: Annotated[
        Path | None, typer.Option(help="The run's folder. By default a new one below runs/RECIPE/.")
    ] = None,
    resume: Annotated[
        str,
        typer.Option(
            metavar="auto|never|PATH",
            help="auto goes on with an unfinished run of the same recipe; PATH is a run or a checkpoint.",
        ),
    ] = "auto",
    device: options.Device = None,
    precision: Annotated[Precision, typer.Option(help="Number format of the network.")] = Precision.fp32,
    compile: Annotated[
        bool, typer.Option("--compile", help="Compile the network first: minutes that long runs repay.")
    ] = False,
    max_steps: Annotated[
        int | None, typer.Option(min=1, help="Stop when so many steps are done in all.")
    ] = None,
    without: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help=f"Go on without this training set; without '{EVALUATION}', the test set; without '{POSE_PRIOR}', "
            "SPIN's own, for the bundled one. Repeat it for more. Recorded.",
        ),
    ] = None,
    pieces: Annotated[
        int, typer.Option(min=1, help="Pieces in which each process takes its batch, to need less memory.")
    ] = 1,
    workers: Annotated[
        int | None,
        typer.Option(min=0, help="Processes that make samples. By default one a core, at most 8."),
    ] = None,
    save_every: Annotated[
        int | None, typer.Option(min=1, help="Steps between checkpoints. By default an epoch's.")
    ] = None,
    keep_every: Annotated[
        int | None, typer.Option(min=1, help="Steps between checkpoints that are kept for good.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the recipe and the files it needs, and stop.")
    ] = False,
) -> None:
    """Train a network by a recipe.

    An interrupted run (Ctrl-C) saves its state and goes on where it was with the same command. With torchrun, several
    processes share each batch: torchrun --nproc-per-node 8 -m hmrcli train ...
    """
    # Read when torch is imported. Threads that spin while they wait take the cores that make samples: with one busy
    # process beside it, a step on two cores took 1.4 times as long.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from hmrcli.assets.data_root import data_root as find_root
    from hmrcli.data.needed import part_to_render, require
    from hmrcli.distributed import met_alike, said_once
    from hmrcli.files import writable_folder
    from hmrcli.recipe import load_recipe

    first = os.environ.get("RANK", "0") == "0"
    say = note if first else lambda text: None
    root, left_out = find_root(data_root), without or []
    with said_once():
        with met_alike():
            _check_is_recipe(recipe)
            resolved = load_recipe(recipe, overrides or (), say)
            _check_without(resolved, left_out)
            _check_resume(resume)
            files = _files(resolved, root, left_out)
            if dry_run:
                _show(resolved, files)
                return
            require(files)
            out = out and out.expanduser()
            if out is not None and first:
                writable_folder(out)
                with suppress(OSError):  # that it has files; an empty one is made again when all is well
                    out.rmdir()

            from hmrcli.data.mixture import check_division
            from hmrcli.distributed import joined, local_device, rank_and_size
            from hmrcli.environment import chosen_device
            from hmrcli.training.run import Settings
            from hmrcli.training.run import train as run

            if workers is None:
                workers = min(8, os.cpu_count() or 1)
            chosen = local_device(chosen_device(device))
            check_division(resolved.schedule.batch_size, rank_and_size()[1], pieces)
            measures: Measures | None = None
            if EVALUATION not in left_out:
                if part := part_to_render(resolved, root):
                    _render(part, root, first)
                measures = _validation(resolved, root, chosen, workers)
        with joined(chosen), TrainingBar(first) as bar:
            folder = run(
                resolved,
                Settings(
                    root=root,
                    out=out,
                    resume=resume,
                    device=chosen,
                    precision=precision.value,
                    compile=compile,
                    max_steps=max_steps,
                    without=[name for name in left_out if name in resolved.data.mixture],
                    open_prior=POSE_PRIOR in left_out,
                    pieces=pieces,
                    workers=workers,
                    save_every=save_every,
                    keep_every=keep_every,
                    validate=measures and measures[0],
                    mean_pose=measures and measures[1],
                    watch=bar,
                    say=say,
                ),
            )
    if first:
        print(f"written to {folder}")
        _say_next(resolved, folder, data_root)


def _check_is_recipe(recipe: str) -> None:
    """Raises UsageError for a folder, which is most often a run's."""
    folder = Path(recipe).expanduser()
    if not _is_folder(folder):
        return
    if (folder / "recipe.yaml").is_file():
        raise UsageError(
            f"--recipe: {folder} is a run's folder; give --recipe {folder / 'recipe.yaml'} to train by its recipe, and "
            f"--resume {folder} as well to go on with the run"
        )
    raise UsageError(f"--recipe: {folder} is a folder; expected a bundled recipe's name or a YAML file")


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # a name that is too long
        return False


def _check_without(recipe: "Recipe", names: Sequence[str]) -> None:
    """Raises UsageError for a name that cannot be left out."""
    known = [*recipe.data.mixture, EVALUATION, POSE_PRIOR]
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"it takes {', '.join(known)}"
            raise UsageError(f"--without: {name} is not a training set of {recipe.name}; {hint}")


def _check_resume(resume: str) -> None:
    """Raises MissingFile for what is neither a run nor a checkpoint; whether it is whole is seen later."""
    folder = Path(resume).expanduser()
    there = _is_folder(folder)
    if resume in ("auto", "never") or (
        there and any((folder / n).exists() for n in ("meta.json", "checkpoints"))
    ):
        return
    runs = {
        path.name: str(path)
        for path in (*Path("runs").glob("*/*"), *folder.parent.glob("*"))
        if path.is_dir()
    }
    words = {"auto": "auto", "never": "never", **runs}
    near = difflib.get_close_matches(folder.name, words, n=1)
    hint = f"; did you mean {words[near[0]]}?" if near else ""
    what = "has no checkpoint" if there else "is not there"
    raise MissingFile(
        f"--resume: {resume} {what}; expected auto, never, a run's folder or one of its checkpoints{hint}"
    )


def _render(part: str, root: Path, first: bool) -> None:
    """Writes a test set of the open benchmark; under torchrun the first process does, and the others wait for it."""
    from hmrcli.cli import open_sets
    from hmrcli.data.open_files import annotation_file

    path = annotation_file(root, part)
    if first:
        note(f"{part} is rendered first, to {path} and the folder of its images; once for all")
        open_sets.write(part, root, None, False)
    while not path.is_file():
        time.sleep(1)


def _say_next(recipe: "Recipe", folder: Path, data_root: Path | None) -> None:
    if not recipe.rules.makes_bodies:
        return
    name, root = shlex.quote(str(folder)), f" --data-root {shlex.quote(str(data_root))}" if data_root else ""
    results = "" if folder.parent.parent == Path("runs") else f" --results {shlex.quote(str(folder.parent))}"
    note(
        f"next: hmr eval --checkpoint {name}{root}, then hmr table --compare{results}; "
        f"hmr infer PHOTO --checkpoint {name}"
    )


def _files(recipe: "Recipe", root: Path, without: Sequence[str]) -> list["NeededFile"]:
    """Every file of the recipe that is not left out; those of the test set can be left out together."""
    from hmrcli.data.needed import needed_files
    from hmrcli.evaluation import PROTOCOLS

    sets = [name for name in without if name not in (EVALUATION, POSE_PRIOR)]
    protocol = PROTOCOLS.get(recipe.evaluation.protocol)
    files = []
    for file in needed_files(recipe, root, sets, protocol.bodies.values() if protocol else ()):
        for start, name in ((EVALUATION, EVALUATION), ("pose prior", POSE_PRIOR)):
            if file.use.startswith(start):
                file = replace(file, dataset=name)
        files.append(file)
    return [file for file in files if file.dataset not in without]


def _show(recipe: "Recipe", files: Sequence["NeededFile"]) -> None:
    print(recipe.dump())
    missing = sum(not file.found for file in files)
    print(f"# {len(files)} files, {missing} missing")
    for file in files:
        print(f"# {'found  ' if file.found else 'missing'} {file.path} ({file.use})")
        if not file.found:
            print(f"#         {file.source}")


Measures: TypeAlias = "tuple[Callable[[nn.Module], Mapping[str, float]], Callable[[], Mapping[str, float]]]"
"""What measures a network on the recipe's test set, and what tells the mean pose's errors there."""


def _validation(recipe: "Recipe", root: Path, device: "torch.device", workers: int) -> "Measures":
    """What measures on the recipe's test set; processes share the rows, the first has the errors.

    Raises:
        MissingFile: the test set or a body of the protocol is not there.
        BadInput: the test set lacks what the protocol compares with.
    """
    if not recipe.rules.makes_bodies:
        return _keypoint_validation(recipe, root, workers), dict
    from hmrcli.distributed import rank_and_size
    from hmrcli.evaluation import load_bodies
    from hmrcli.evaluation.evaluate import evaluate, open_samples
    from hmrcli.results.measure import find_test
    from hmrcli.training.start import mean_pose_errors

    test = find_test(recipe, root)
    samples, scorable = open_samples(test.annotations, test.images, test.protocol, recipe.crop_shape)
    if rank_and_size()[0] == 0:
        for text in scorable.notes:
            note(f"validation: {text}")
    bodies = load_bodies(test.protocol, root, device)
    surface = (recipe.evaluation.meshes or (None,))[0]

    def own_rows() -> "NDArray[np.int64]":
        rank, size = rank_and_size()
        return scorable.rows[rank::size]

    def errors(network: "nn.Module") -> Mapping[str, float]:
        def own() -> Mapping[str, Any]:
            _, (errors,) = evaluate(
                network, samples, test.protocol, bodies, (surface,), workers=workers, rows=own_rows().tolist()
            )
            return errors.metrics

        parts = _of_all(own)
        return (
            {f"{name}_mm": _mean([part[name] for part in parts]) for name in parts[0] if _in_mm(name)}
            if parts
            else {}
        )

    def mean_pose() -> Mapping[str, float]:
        parts = _of_all(
            lambda: mean_pose_errors(recipe, root, samples.annotations[own_rows()], test.protocol, bodies)
        )
        return {"pa_mpjpe_mm": _mean(parts)} if parts else {}

    return errors, mean_pose


def _of_all(own: "Callable[[], Any]") -> list[Any]:
    """What all processes made, on the first; nothing where one of them could not, and on the others."""
    from hmrcli.distributed import gathered

    made, failure = None, None
    try:
        made = own()
    except Exception as error:  # the others wait for this part
        failure = error
    parts = gathered(made)
    if failure is not None:
        raise failure
    return [] if parts is None or any(part is None for part in parts) else parts


def _keypoint_validation(
    recipe: "Recipe", root: Path, workers: int
) -> "Callable[[nn.Module], Mapping[str, float]]":
    """What measures heatmaps on the recipe's test set; processes share the rows, the first has the errors."""
    import numpy as np

    from hmrcli.data.needed import ANNOTATIONS, IMAGES, locate
    from hmrcli.data.read import read_annotations
    from hmrcli.distributed import rank_and_size
    from hmrcli.evaluation.evaluate import Samples, check_images
    from hmrcli.evaluation.keypoints import check_labels, keypoint_errors, keypoint_metrics

    path = locate(ANNOTATIONS, recipe.evaluation.annotations, root)
    annotations = read_annotations(path, recipe.data.joints)
    check_labels(annotations, path)
    samples = Samples(annotations, root / IMAGES / recipe.evaluation.dataset, recipe.crop_shape)
    check_images(samples)

    def errors(network: "nn.Module") -> Mapping[str, float]:
        rank, size = rank_and_size()
        rows = range(rank, len(annotations), size)
        parts = _of_all(lambda: keypoint_errors(network, samples, rows, workers))
        return keypoint_metrics(np.concatenate(parts)) if parts else {}

    return errors


def _mean(parts: Sequence[Any]) -> float:
    import numpy as np

    return float(np.concatenate(parts).mean())


def _in_mm(metric: str) -> bool:
    from hmrcli.evaluation import METRICS

    return METRICS[metric].unit == "mm"


class TrainingBar:
    """Steps, time left, epoch, speed and losses, on stderr: a bar for a person who is watching, lines for a log."""

    EVERY = 60.0
    """Seconds between lines in an epoch; each has one at its end."""

    def __init__(self, shown: bool) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar
        from rich.table import Column

        def whole() -> Column:
            return Column(no_wrap=True, min_width=1)

        # What stands first keeps its width; what comes after is cut to what is left.
        rest = Column(no_wrap=True, overflow="ellipsis", ratio=1)
        columns = (
            BarColumn(bar_width=max(4, min(20, log.width // 6)), table_column=whole()),
            MofNCompleteColumn(table_column=whole()),
            TimeRemainingColumn(table_column=whole()),
            TextColumn("{task.fields[rest]}", table_column=rest),
        )
        self.bar = Bar(
            *columns, console=log, disable=not (shown and log.is_terminal), transient=True, expand=True
        )
        self.task = self.bar.add_task("steps", total=None, rest="")
        self.lines = shown and not log.is_terminal
        self.began = self.told = time.monotonic()
        self.start: int | None = None

    def __enter__(self) -> "TrainingBar":
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def __call__(self, now: "Progress") -> None:
        """Shows where a run stands."""
        losses = "  ".join(f"{name} {value:.3g}" for name, value in now.losses.items())
        speed = f"{now.images_per_second:.0f} images/s, {now.waiting:.0%} waiting for data"
        rest = f"epoch {now.epoch + 1}  {speed}  {losses}"
        self.bar.update(self.task, completed=now.step, total=now.steps, rest=rest)
        clock = time.monotonic()
        if self.start is None:  # the first step warms up
            self.start, self.began = now.step, clock
        if self.lines and (now.ends or clock - self.told > self.EVERY):
            self.told = clock
            each = (clock - self.began) / max(1, now.step - self.start)
            left = timedelta(seconds=round(each * (now.steps - now.step)))
            log.print(f"step {now.step}/{now.steps}, {left} left, {rest}", soft_wrap=True, markup=False)
