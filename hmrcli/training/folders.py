"""Where a run lives, and from which checkpoint it goes on."""

from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from hmrcli.errors import BadInput, UsageError
from hmrcli.recipe import Recipe, load_recipe
from hmrcli.training.checkpoints import (
    BEST,
    FOLDER,
    META_FILE,
    Checkpoint,
    newest_checkpoint,
    read_checkpoint,
)
from hmrcli.training.record import RECIPE_FILE

RUNS = Path("runs")


class Place(NamedTuple):
    """A run's folder, and where it starts."""

    folder: Path
    checkpoint: Checkpoint | None


def find_place(recipe: Recipe, out: Path | None, resume: str) -> Place:
    """The folder of a run.

    Args:
        recipe: as resolved.
        out: folder; by default `runs/<recipe>/<time>`, or the run of the same recipe there that is unfinished.
        resume: `auto` goes on where that folder's run stopped, `never` begins in a new folder, and a path names
            a checkpoint or a run to go on from.

    Raises:
        MissingFile: there is no such checkpoint.
        BadInput: the checkpoint is damaged, or the folder's run is of another recipe.
        UsageError: `never`, but the folder has a run.
    """
    if resume == "never":
        if out is not None and (out / RECIPE_FILE).exists():
            raise UsageError(f"--resume never: {out} holds a run already; name another folder with --out")
        return Place(out or _new_folder(recipe), None)
    if resume != "auto":
        checkpoint = read_checkpoint(Path(resume))
        folder = out or checkpoint.path.parent.parent
        _check_same(recipe, folder)
        return Place(folder, checkpoint)
    folder = out or _unfinished(recipe) or _new_folder(recipe)
    _check_same(recipe, folder)
    found = newest_checkpoint(folder)
    return Place(folder, None if found is None else read_checkpoint(found))


def trained(folder: Path) -> tuple[Path, Path]:
    """Recipe and weights of a run: of its best checkpoint, or of its last where none was validated.

    Args:
        folder: the run's, or one of its checkpoints, whose weights are taken then.

    Raises:
        MissingFile: the folder holds no checkpoint.
        BadInput: the checkpoint is damaged.
    """
    if (folder / META_FILE).is_file():
        return folder.resolve().parents[1] / RECIPE_FILE, read_checkpoint(folder).model
    best = folder / FOLDER / BEST
    checkpoint = read_checkpoint(best if best.is_dir() else folder)
    return folder / RECIPE_FILE, checkpoint.model


def _new_folder(recipe: Recipe) -> Path:
    return RUNS / recipe.name / datetime.now().strftime("%Y-%m-%d_%H-%M-%S")


def _unfinished(recipe: Recipe) -> Path | None:
    """The latest run of a recipe that was stopped before its end."""
    for recipe_file in sorted(RUNS.glob(f"{recipe.name}/*/{RECIPE_FILE}"), reverse=True):
        found = newest_checkpoint(recipe_file.parent)
        try:
            same = found is not None and load_recipe(recipe_file) == recipe
            if same and found and not read_checkpoint(found).meta.get("finished"):
                return recipe_file.parent
        except BadInput:  # of another version, or damaged: not one to go on with unasked
            continue
    return None


def _check_same(recipe: Recipe, folder: Path) -> None:
    path = folder / RECIPE_FILE
    if not path.is_file():
        return
    theirs, ours = _leaves(load_recipe(path).as_dict()), _leaves(recipe.as_dict())
    changed = [key for key in {**theirs, **ours} if theirs.get(key) != ours.get(key)]
    if changed:
        key = changed[0]
        raise BadInput(
            f"{path}: this run has {key} {theirs.get(key)}, now it is {ours.get(key)}; "
            "go on with the recipe it began with, or begin another run with --out"
        )


def _leaves(value: object, key: str = "") -> dict[str, object]:
    if not isinstance(value, dict):
        return {key: value}
    return {
        k: v
        for name, part in value.items()
        for k, v in _leaves(part, f"{key}.{name}" if key else name).items()
    }
