"""`hmr train`: a recipe into a run's folder with trained weights."""

import difflib
import os
import shlex
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hmrcli.cli import options
from hmrcli.cli.console import note, print_line
from hmrcli.errors import MissingFile, UsageError
from hmrcli.files import near, writable_folder

if TYPE_CHECKING:
    from hmrcli.data.needed import NeededFile
    from hmrcli.recipe import Recipe

EVALUATION, POSE_PRIOR = "evaluation", "pose_prior"
"""Names by which `--without` leaves out the test set, and SPIN's licensed prior for the bundled one."""


class Precision(StrEnum):
    """Number formats of the network."""

    fp32 = "fp32"
    bf16 = "bf16"


def _list(asked: bool) -> None:
    if not asked:
        return
    from hmrcli.recipe import recipe_titles

    titles = recipe_titles()
    width = max(map(len, titles))
    for name, title in titles.items():
        print_line(f"{name:{width}}  {title}")
    raise typer.Exit


def train(
    recipe: Annotated[str, typer.Option(help="A bundled recipe's name or a YAML file.")],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="Changes to the recipe, such as optimizer.lr=1e-4."),
    ] = None,
    open: options.Open = False,
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
    accumulate: Annotated[
        int,
        typer.Option(
            min=1, help="Gradient accumulation: splits the batch into N, one after the other.", metavar="N"
        ),
    ] = 1,
    workers: options.Workers = None,
    save_every: Annotated[
        int | None, typer.Option(min=1, help="Steps between checkpoints. By default an epoch's.")
    ] = None,
    keep_every: Annotated[
        int | None, typer.Option(min=1, help="Steps between checkpoints that are kept for good.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the recipe and the files it needs, and stop.")
    ] = False,
    list_recipes: Annotated[
        bool,
        typer.Option("--list", callback=_list, is_eager=True, help="Name the bundled recipes, and stop."),
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
    from hmrcli.cli.open_sets import write_missing
    from hmrcli.data.needed import open_sets, require
    from hmrcli.distributed import joined, local_device, met_alike, rank_and_size, said_once
    from hmrcli.recipe import load_recipe

    rank, processes = rank_and_size()
    say = note if rank == 0 else lambda text: None
    root, left_out = find_root(data_root), without or []
    with said_once():
        with met_alike():
            _check_is_recipe(recipe)
            resolved = load_recipe(recipe, overrides or (), say, open=open)
            _check_without(resolved, left_out)
            _check_resume(resume)
            files = _files(resolved, root, left_out)
            if dry_run:
                _show(resolved, files)
                return
            licensed = resolved.body_model == "smpl"
            require(
                (file for file in files if not file.rendered),
                otherwise="--open trains on rendered people, with none of these files" if licensed else "",
            )
            out = out and out.expanduser()
            if out is not None and rank == 0:
                writable_folder(out)
                with suppress(OSError):  # that it has files; an empty one is made again when all is well
                    out.rmdir()

            from hmrcli.cli.training_bar import TrainingBar
            from hmrcli.data.mixture import check_division
            from hmrcli.environment import chosen_device
            from hmrcli.training.run import train as run
            from hmrcli.training.settings import Settings
            from hmrcli.training.validation import open_validation

            workers = options.workers_of(workers)
            chosen = local_device(chosen_device(device))
            check_division(resolved.schedule.batch_size, processes, accumulate)
            sets, validates = [n for n in left_out if n in resolved.data.mixture], EVALUATION not in left_out
            write_missing(open_sets(resolved, sets, test=validates), root)
            settings = Settings(
                root=root,
                out=out,
                resume=resume,
                device=chosen,
                precision=precision.value,
                compile=compile,
                max_steps=max_steps,
                without=sets,
                open_prior=POSE_PRIOR in left_out,
                accumulate=accumulate,
                workers=workers,
                save_every=save_every,
                keep_every=keep_every,
                validation=open_validation(resolved, root, chosen, workers, say) if validates else None,
                say=say,
            )
        with joined(chosen), TrainingBar(rank == 0) as bar:
            folder = run(resolved, replace(settings, watch=bar))
    if rank == 0:
        print(f"written to {folder}")
        _say_next(resolved, folder, data_root)


def _check_is_recipe(recipe: str) -> None:
    """Raises UsageError for a folder, which is most often a run's."""
    folder = Path(recipe).expanduser()
    if not os.path.isdir(folder):  # noqa: PTH112 - False, too, for a name that is too long
        return
    if (folder / "recipe.yaml").is_file():
        raise UsageError(
            f"--recipe: {folder} is a run's folder; give --recipe {folder / 'recipe.yaml'} to train by its recipe, and "
            f"--resume {folder} as well to go on with the run"
        )
    raise UsageError(f"--recipe: {folder} is a folder; expected a bundled recipe's name or a YAML file")


def _check_without(recipe: "Recipe", names: Sequence[str]) -> None:
    """Raises UsageError for a name that cannot be left out."""
    known = [*recipe.data.mixture, EVALUATION, POSE_PRIOR]
    for name in names:
        if name not in known:
            hint = near(name, known) or f"; it takes {', '.join(known)}"
            raise UsageError(f"--without: {name} is not a training set of {recipe.name}{hint}")


def _check_resume(resume: str) -> None:
    """Raises MissingFile for what is neither a run nor a checkpoint; whether it is whole is seen later."""
    folder, words = Path(resume).expanduser(), {"auto": "auto", "never": "never"}
    there = os.path.isdir(folder)  # noqa: PTH112 - as above
    if resume in words or (there and any((folder / n).exists() for n in ("meta.json", "checkpoints"))):
        return
    for path in (*Path("runs").glob("*/*"), *folder.parent.glob("*")):
        if path.is_dir():
            words[path.name] = str(path)
    alike = difflib.get_close_matches(folder.name, words, n=1)
    hint = f"; did you mean {words[alike[0]]}?" if alike else ""
    what = "has no checkpoint" if there else "is not there"
    raise MissingFile(
        f"--resume: {resume} {what}; expected auto, never, a run's folder or one of its checkpoints{hint}"
    )


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
    from hmrcli.recipe.protocols import PROTOCOLS

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
    missing = sum(not (file.found or file.rendered) for file in files)
    print(f"# {len(files)} files, {missing} missing")
    for file in files:
        state = "found  " if file.found else "to make" if file.rendered else "missing"
        print(f"# {state} {file.path} ({file.use})")
        if not file.found:
            print(f"#         {'rendered before training begins' if file.rendered else file.source}")
