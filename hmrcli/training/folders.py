"""Finds where a run lives and from which checkpoint it goes on, and sees that no other process writes there."""

import errno
import os
import platform
import re
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import IO, NamedTuple

from hmrcli.errors import BadInput, HmrError, UsageError
from hmrcli.files import writable_folder
from hmrcli.recipe import Recipe, load_recipe
from hmrcli.training.checkpoints import (
    FOLDER,
    META_FILE,
    Checkpoint,
    best_checkpoint,
    newest_checkpoint,
    read_checkpoint,
    read_meta,
)
from hmrcli.training.metrics import RECIPE_FILE

RUNS = Path("runs")
LOCK_FILE = ".lock"
"""Names the process that trains in a run's folder, which holds it locked; the system unlocks it when that one ends."""


class Place(NamedTuple):
    """A run's folder, which is this process's alone until `release`, and where the run starts."""

    folder: Path
    checkpoint: Checkpoint | None
    lock: IO[str]

    def release(self) -> None:
        """Lets others write to the folder; one in which nothing was written is removed."""
        with suppress(OSError):
            if [path.name for path in self.folder.iterdir()] == [LOCK_FILE]:
                (self.folder / LOCK_FILE).unlink()
                self.folder.rmdir()
        self.lock.close()


class Busy(UsageError):
    """Another process trains in the folder."""


def find_place(
    recipe: Recipe, out: Path | None, resume: str, say: Callable[[str], None] = lambda text: None
) -> Place:
    """Finds the folder of a run and holds it for this process.

    Args:
        out: folder; by default `runs/<recipe>/<time>`, or the run of the same recipe there that is unfinished and
            that no other process is at.
        resume: `auto` goes on where that folder's run stopped, `never` begins in a new folder, and a path names
            a checkpoint or a run to go on from.

    Raises:
        MissingFile: there is no such checkpoint.
        BadInput: the checkpoint is damaged, or the folder's run is of another recipe.
        Busy: another process trains in the folder.
        UsageError: `never`, but the folder has a run; or the folder cannot be written to.
    """
    start = None if resume in ("auto", "never") else read_checkpoint(Path(resume))
    if out is None:
        if start is None:
            return (_unfinished(recipe, say) if resume == "auto" else None) or _new_place(recipe)
        if start.path.parent.name != FOLDER:
            raise UsageError(
                f"--resume {resume}: is in no run's folder; name a folder to train in with --out"
            )
        out = start.path.parent.parent
    place = Place(out, start, hold(out))
    try:
        if resume == "never" and (out / RECIPE_FILE).exists():
            raise UsageError(f"--resume never: {out} holds a run already; name another folder with --out")
        _check_same(recipe, out)
        if resume == "auto" and (found := newest_checkpoint(out)) is not None:
            place = place._replace(checkpoint=read_checkpoint(found))
    except HmrError:
        place.release()
        raise
    return place


def trained(folder: Path) -> tuple[Path, Path]:
    """Finds recipe and weights of a run, or of one of its checkpoints.

    A run's are of its best checkpoint, or of its last where none was validated.

    Raises:
        MissingFile: the folder holds no checkpoint.
        BadInput: the checkpoint is damaged.
    """
    if (folder / META_FILE).is_file():
        return folder.resolve().parents[1] / RECIPE_FILE, read_checkpoint(folder).model
    return folder / RECIPE_FILE, best_checkpoint(folder).model


def hold(folder: Path) -> IO[str]:
    """Locks a run's folder, which is made, for this process until the file is closed or the process ends.

    File systems that have no locks are written to without one.

    Raises:
        Busy: another process holds it; names it.
        UsageError: the folder cannot be made or written to.
    """
    writable_folder(folder)
    file = (folder / LOCK_FILE).open("a+", encoding="utf-8", errors="replace")
    try:
        _lock(file.fileno())
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN, errno.EDEADLK):
            file.seek(0)
            holder = re.match(r"process \d+ on [\w.-]+", file.read(200))
            file.close()
            raise Busy(
                f"{folder}: {holder[0] if holder else 'another process'} is training there; wait until it has "
                "ended, or name another folder with --out"
            ) from None
    with suppress(OSError):  # for a person to read
        file.truncate(0)
        file.write(f"process {os.getpid()} on {platform.node()}\n")
        file.flush()
    return file


if sys.platform == "win32":
    import msvcrt

    def _lock(handle: int) -> None:
        os.lseek(handle, 1 << 20, os.SEEK_SET)  # others cannot read what is locked, and are to read the name
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(handle: int) -> None:
        fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _new_place(recipe: Recipe) -> Place:
    """Makes a folder that no other run has, also none that starts in the same second."""
    parent, name = RUNS / recipe.name, datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    writable_folder(parent)
    for folder in (parent / name, *(parent / f"{name}-{number}" for number in range(2, 1000))):
        with suppress(FileExistsError):
            folder.mkdir()
            break
    return Place(folder, None, hold(folder))


def _unfinished(recipe: Recipe, say: Callable[[str], None]) -> Place | None:
    """Finds the latest run of a recipe that was stopped before its end and that nobody is at."""
    for recipe_file in sorted(RUNS.glob(f"{recipe.name}/*/{RECIPE_FILE}"), reverse=True):
        folder, place = recipe_file.parent, None
        try:
            if load_recipe(recipe_file) != recipe:
                continue
            found = newest_checkpoint(folder)
            if found is not None and read_meta(found).finished:
                continue
            place = Place(folder, None, hold(folder))
            found = newest_checkpoint(folder)
            if found is not None and not (checkpoint := read_checkpoint(found)).meta.finished:
                return place._replace(checkpoint=checkpoint)
        except Busy as error:
            say(f"this run gets a folder of its own: {error}")
        except HmrError:  # of another version, or damaged: not one to go on with unasked
            pass
        if place is not None:
            place.release()
    return None


def _check_same(recipe: Recipe, folder: Path) -> None:
    path = folder / RECIPE_FILE
    if not path.is_file():
        return
    theirs, ours = load_recipe(path).leaves(), recipe.leaves()
    for key in {**theirs, **ours}:
        if theirs.get(key) != ours.get(key):
            raise BadInput(
                f"{path}: this run has {key} {theirs.get(key)}, now it is {ours.get(key)}; "
                "go on with the recipe it began with, or begin another run with --out"
            )
