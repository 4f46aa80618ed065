"""`hmr train`: a recipe into a run's folder with trained weights."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hmrcli.cli import options
from hmrcli.cli.console import log, note

if TYPE_CHECKING:
    import torch
    from torch import nn

    from hmrcli.datasets.needed import NeededFile
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
    from hmrcli.datasets.needed import part_to_render, require
    from hmrcli.recipe import load_recipe

    resolved, root, left_out = load_recipe(recipe, overrides or ()), find_root(data_root), without or []
    files = _files(resolved, root, left_out)
    if dry_run:
        _show(resolved, files)
        return
    require(files)

    from hmrcli.evaluation.processes import joined, rank_and_size
    from hmrcli.networks import chosen_device
    from hmrcli.results.measure import render_test
    from hmrcli.training.processes import local_device
    from hmrcli.training.run import Settings
    from hmrcli.training.run import train as run

    if workers is None:
        workers = min(8, os.cpu_count() or 1)
    chosen = local_device(chosen_device(device))
    first = rank_and_size()[0] == 0
    if EVALUATION not in left_out and (test := part_to_render(resolved, root)):
        render_test(test, root, workers, note)
    with joined(chosen), _Bar(first) as bar:
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
                validate=None if EVALUATION in left_out else _validation(resolved, root, chosen, workers),
                watch=bar,
                say=note if first else lambda text: None,
            ),
        )
    if first:
        print(f"written to {folder}")


def _files(recipe: "Recipe", root: Path, without: Sequence[str]) -> list["NeededFile"]:
    """Every file of the recipe that is not left out; those of the test set can be left out together."""
    from hmrcli.datasets.needed import needed_files
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


def _validation(
    recipe: "Recipe", root: Path, device: "torch.device", workers: int
) -> "Callable[[nn.Module], Mapping[str, float]]":
    """What measures a network on the recipe's test set; processes share the rows, the first has the errors.

    Raises:
        MissingFile: the test set or a body of the protocol is not there.
        BadInput: the test set lacks what the protocol compares with.
    """
    if recipe.algorithm == "pose":
        return _keypoint_validation(recipe, root, workers)
    from hmrcli.evaluation import load_bodies
    from hmrcli.evaluation.evaluate import evaluate, open_samples
    from hmrcli.evaluation.processes import gathered, rank_and_size
    from hmrcli.results.measure import find_test

    test = find_test(recipe, root)
    samples, scorable = open_samples(test.annotations, test.images, test.protocol, recipe.data.image_size)
    if rank_and_size()[0] == 0:
        for text in scorable.notes:
            note(f"validation: {text}")
    bodies = load_bodies(test.protocol, root, device)
    surface = (recipe.evaluation.surfaces or (None,))[0]

    def errors(network: "nn.Module") -> Mapping[str, float]:
        rank, size = rank_and_size()
        rows = scorable.rows[rank::size].tolist()
        _, (own,) = evaluate(network, samples, test.protocol, bodies, (surface,), workers=workers, rows=rows)
        parts = gathered(own.metrics)
        if parts is None:
            return {}
        return {f"{name}_mm": _mean([part[name] for part in parts]) for name in own.metrics if _in_mm(name)}

    return errors


def _keypoint_validation(
    recipe: "Recipe", root: Path, workers: int
) -> "Callable[[nn.Module], Mapping[str, float]]":
    """What measures heatmaps on the recipe's test set; processes share the rows, the first has the errors."""
    import numpy as np

    from hmrcli.datasets.needed import ANNOTATIONS, IMAGES, locate
    from hmrcli.datasets.read import read_annotations
    from hmrcli.evaluation.evaluate import Samples, check_images
    from hmrcli.evaluation.keypoints import check_labels, keypoint_errors, keypoint_metrics
    from hmrcli.evaluation.processes import gathered, rank_and_size

    path = locate(ANNOTATIONS, recipe.evaluation.annotations, root)
    annotations = read_annotations(path, recipe.data.joints)
    check_labels(annotations, path)
    samples = Samples(annotations, root / IMAGES / recipe.evaluation.dataset, recipe.data.image_size)
    check_images(samples)

    def errors(network: "nn.Module") -> Mapping[str, float]:
        rank, size = rank_and_size()
        own = keypoint_errors(network, samples, range(rank, len(annotations), size), workers)
        parts = gathered(own)
        return {} if parts is None else keypoint_metrics(np.concatenate(parts))

    return errors


def _mean(parts: Sequence[Any]) -> float:
    import numpy as np

    return float(np.concatenate(parts).mean())


def _in_mm(metric: str) -> bool:
    from hmrcli.evaluation import METRICS

    return METRICS[metric].unit == "mm"


class _Bar:
    """Epoch, steps, losses, speed and time left, on stderr, for a person who is watching."""

    def __init__(self, shown: bool) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        columns = (
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[numbers]}"),
        )
        self.bar = Bar(*columns, console=log, disable=not (shown and log.is_terminal), transient=True)
        self.task = self.bar.add_task("steps", total=None, epoch=0, numbers="")

    def __enter__(self) -> "_Bar":
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def __call__(self, now: "Progress") -> None:
        losses = "  ".join(f"{name} {value:.3g}" for name, value in now.losses.items())
        speed = f"{now.images_per_second:.0f} images/s, {now.waiting:.0%} waiting for data"
        self.bar.update(
            self.task,
            completed=now.step,
            total=now.steps,
            epoch=now.epoch + 1,
            numbers=f"{speed}  {losses}",
        )
