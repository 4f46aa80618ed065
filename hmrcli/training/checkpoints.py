"""Checkpoints: folders that are whole or absent, and that are recognised when they are neither.

    checkpoints/last/    model.safetensors   the network
                         training_state.pt   everything else that the next step depends on
                         meta.json           recipe, step, metrics, body model, SHA-256 of the two files

A checkpoint is written under a temporary name, flushed to disk and renamed; the one before stays until then.
"""

import os
import re
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from hmrcli.errors import BadInput, MissingFile
from hmrcli.files import read_record, sha256, whole_file

if TYPE_CHECKING:
    from torch import nn

MODEL_FILE = "model.safetensors"
STATE_FILE = "training_state.pt"
META_FILE = "meta.json"
FOLDER = "checkpoints"
LAST = "last"
BEST = "best"
"""Of the lowest validation error."""
_OLD = ".previous-"
"""Before the name of a checkpoint that is being replaced."""
_TEMPORARY = re.compile(r"\.(.+\.)?[0-9a-f]{32}(\.\w+)?")
"""Names of what is being written, in a run's folder and among its checkpoints."""
_NEXT = "resume from another checkpoint (--resume PATH) or start anew (--resume never)"

Count = Annotated[int, Field(ge=0, lt=2**53)]


class Meta(BaseModel):
    """A checkpoint's `meta.json`: whose it is, and where its run stands."""

    model_config = ConfigDict(strict=True, frozen=True)

    recipe: str
    step: Count
    epoch: Count
    """Steps that are done, and the epoch of the last of them, from 0."""
    finished: bool
    metrics: dict[str, FiniteFloat]
    """On the test set, when it was measured last."""
    best: FiniteFloat | None
    """The lowest error so far by which checkpoints are compared."""
    validated: Count
    """Steps after which the metrics were measured last, or were not due."""
    body_model: dict[str, str | int] = {}
    version: str = ""
    sha256: dict[str, str] = {}
    """Of the two files beside it."""


class Checkpoint(NamedTuple):
    """A checkpoint whose files are those that were written."""

    path: Path
    meta: Meta

    @property
    def model(self) -> Path:
        """Gives the file of the network's weights."""
        return self.path / MODEL_FILE

    def training_state(self) -> dict[str, Any]:
        """Reads what was saved beside the network, on the CPU, without running anything of it.

        Raises:
            BadInput: it holds more than numbers, text and containers of them.
        """
        import torch

        path = self.path / STATE_FILE
        try:
            return torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # a hostile file can fail in any way
            raise BadInput(f"{path}: is no training state that is safe to read; {_NEXT}") from error


def save_checkpoint(path: Path, network: "nn.Module", state: Mapping[str, Any], meta: Meta) -> None:
    """Writes a checkpoint folder in the place of the one that has its name.

    Args:
        network: without the wrapper of several processes.
        state: tensors, numbers, text and containers of them.
        meta: the SHA-256 of both files are added.
    """
    import torch

    from hmrcli.layers import save_weights

    path.parent.mkdir(parents=True, exist_ok=True)
    with _whole_folder(path) as temporary:
        temporary.mkdir()
        save_weights(network, temporary / MODEL_FILE, {"recipe": meta.recipe})
        torch.save(dict(state), temporary / STATE_FILE)
        sums = {name: sha256(temporary / name) for name in (MODEL_FILE, STATE_FILE)}
        _write_meta(temporary / META_FILE, meta.model_copy(update={"sha256": sums}))


def change_meta(path: Path, **changes: Any) -> None:
    """Replaces fields of a checkpoint's `meta.json`."""
    meta = read_meta(path).model_copy(update=changes)
    with whole_file(path / META_FILE) as temporary:
        _write_meta(temporary, meta)
        _flush(temporary)


def clear_leftovers(run: Path) -> None:
    """Removes what a killed run was writing; a checkpoint whose replacement was cut short gets its name back.

    To be called by the process that holds the run alone.
    """
    for folder in (run, run / FOLDER):
        for path in folder.glob(".*"):
            kept, old = path.with_name(path.name.removeprefix(_OLD)), path.name.startswith(_OLD)
            if old and (path / META_FILE).is_file() and not (kept / META_FILE).is_file():
                path.rename(kept)
            elif old or _TEMPORARY.fullmatch(path.name):
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def copy_checkpoint(source: Path, target: Path) -> None:
    """Keeps a checkpoint under a second name; the files are shared where the file system can."""
    with _whole_folder(target) as temporary:
        shutil.copytree(source, temporary, copy_function=_link)


def read_checkpoint(path: Path) -> Checkpoint:
    """Reads a checkpoint folder, or the last one of a run's folder, and checks its files.

    Raises:
        MissingFile: there is none.
        BadInput: a file is torn, changed, or of another program; names it.
    """
    if not (path / META_FILE).is_file() and (path / FOLDER).is_dir():
        path = newest_checkpoint(path) or path / FOLDER / LAST
    meta = read_meta(path)
    for name in (MODEL_FILE, STATE_FILE):
        if not (path / name).is_file():
            raise BadInput(f"{path / name}: is missing, though {META_FILE} names it; {_NEXT}")
        try:
            found = sha256(path / name)
        except OSError as error:
            raise BadInput(f"{path / name}: cannot be read ({error.strerror}); {_NEXT}") from error
        if found != meta.sha256.get(name):
            raise BadInput(
                f"{path / name}: is torn or was changed, its SHA-256 is not the one in {META_FILE}; {_NEXT}"
            )
    return Checkpoint(path, meta)


def best_checkpoint(run: Path) -> Checkpoint:
    """Reads a run's best checkpoint, or its last where none was measured; errors as of `read_checkpoint`."""
    best = run / FOLDER / BEST
    return read_checkpoint(best if best.is_dir() else run)


def read_meta(path: Path) -> Meta:
    """Reads a checkpoint's `meta.json`; its files are not looked at.

    Raises:
        MissingFile: there is none.
        BadInput: it is not of this program; names the field.
    """
    file = path / META_FILE
    if not file.is_file():
        expected = "expected a run's folder or one of its checkpoints"
        raise MissingFile(f"{path}: is no checkpoint, {META_FILE} is not there; {expected}")
    return read_record(file, Meta, _NEXT)


def newest_checkpoint(run: Path) -> Path | None:
    """Finds the checkpoint from which a run goes on: the last one, also where its replacement was cut short."""
    folder = run / FOLDER
    if (folder / LAST / META_FILE).is_file():
        return folder / LAST
    return next(folder.glob(f"{_OLD}{LAST}*"), None)


def _write_meta(path: Path, meta: Meta) -> None:
    path.write_text(meta.model_dump_json(indent=2) + "\n", encoding="utf-8")


@contextmanager
def _whole_folder(path: Path) -> Iterator[Path]:
    """Gives a temporary name to make a folder under, which takes its name, flushed, when the block ends well.

    A folder cannot be renamed over another, so that one moves aside.
    """
    temporary, previous = (
        path.with_name(f".{path.name}.{uuid.uuid4().hex}"),
        path.with_name(f"{_OLD}{path.name}"),
    )
    try:
        yield temporary
        for file in (*temporary.iterdir(), temporary):
            _flush(file)
        if path.exists():
            shutil.rmtree(previous, ignore_errors=True)
            path.rename(previous)
        temporary.rename(path)
        _flush(path.parent)
        shutil.rmtree(previous, ignore_errors=True)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _flush(path: Path) -> None:
    """Waits until a file, or the names in a folder, are on the disk."""
    if path.is_dir() and os.name == "nt":  # Windows opens no folders
        return
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
