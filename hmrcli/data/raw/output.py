"""Output of a reader of an official tree: annotation files, images, and a report."""

import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hmrcli import __version__
from hmrcli.assets.data_root import ANNOTATIONS, IMAGES
from hmrcli.data.annotations import Annotations
from hmrcli.data.human_data import facts_of, write_human_data
from hmrcli.data.images import missing_images
from hmrcli.data.raw.tree import Progress, RawSet, Tree
from hmrcli.data.workers import in_processes
from hmrcli.errors import BadInput
from hmrcli.files import whole_file

MADE_BY = "made_by"
"""Entry of a file's `misc` that says it was made here."""

Arrays = dict[str, NDArray[Any]]


class Made(NamedTuple):
    """An annotation file that was written, or left as it was."""

    file: str
    path: Path
    rows: int
    missing_images: int
    kept: bool
    """It is there, and not ours."""


@dataclass
class Output:
    """Place of one set's files, and what is told about them."""

    raw_set: RawSet
    root: Path
    """The data root."""
    workers: int = 1
    """Processes, or threads where frames are taken from videos."""
    with_images: bool = True
    """Frames are taken from videos, and images of the tree are linked."""
    replace: bool = False
    """Files of others are replaced by those that are made."""
    progress: Progress = lambda what, done, total: None
    """Is told what is done, how much of it, and of how much."""
    say: Callable[[str], None] = lambda text: None
    """Is told what is worth knowing, a line at a time."""
    dropped: Counter[str] = field(default_factory=Counter)
    """Rows that cannot be used, by reason."""
    notes: list[str] = field(default_factory=list)
    made: list[Made] = field(default_factory=list)

    @property
    def images(self) -> Path:
        """Returns the folder of the set's images."""
        return self.root / IMAGES / self.raw_set.name

    @property
    def _parts(self) -> Path:
        return self.root / ANNOTATIONS / ".parts" / self.raw_set.name

    def drop(self, reason: str, rows: Any = 1) -> None:
        """Counts rows that cannot be used."""
        if rows:
            self.dropped[reason] += int(rows)

    def note(self, text: str) -> None:
        """Says what is worth knowing; the report repeats it."""
        self.notes.append(text)
        self.say(text)

    def run(
        self, title: str, read: Callable[..., Arrays], jobs: Sequence[tuple[Any, ...]]
    ) -> Iterator[Arrays]:
        """Reads parts of a set in processes and gives their arrays, in the order of the jobs.

        Each part is kept as a file until the set is made, so that a run that was stopped goes on after it. A part is
        made anew when one of the files in its arguments has changed.

        Args:
            read: of a module; what it returns under `drop REASON` are numbers of rows that cannot be used.
            jobs: its arguments for each part.
        """
        files = [self._parts / f"{_stamp(job)}.npz" for job in jobs]
        todo = [(job, file) for job, file in zip(jobs, files) if not file.is_file()]
        done = len(jobs) - len(todo)
        self.progress(title, done, len(jobs))
        for _ in in_processes(_run, [(read, job, file) for job, file in todo], self.workers):
            self.progress(title, done := done + 1, len(jobs))
        for file in files:
            with np.load(file) as stored:
                arrays = dict(stored)
            for name in [name for name in arrays if name.startswith("drop ")]:
                self.drop(name.removeprefix("drop "), int(arrays.pop(name)))
            yield arrays

    def write(self, file: str, annotations: Annotations, tree: Tree | None = None, **facts: Any) -> None:
        """Writes an annotation file of the set, unless one of others is there.

        Args:
            tree: images that are not in their folder are linked from it.
            facts: what was decided on the way, by name; stored in the file.

        Raises:
            BadInput: there are no rows, or a path of an image leads out of its folder.
        """
        if not len(annotations):
            why = "; ".join(f"{count:,} {reason}" for reason, count in self.dropped.items())
            raise BadInput(f"{self.raw_set.title}: nothing is left for {file}: {why or 'the tree is empty'}")
        for name in annotations.image_path.tolist():
            if name.startswith("/") or ".." in name.replace("\\", "/").split("/") or ":" in name[:2]:
                raise BadInput(f"{self.raw_set.title}: the image {name!r} leads out of its folder")
        path, kept = self._place(file)
        if not kept:
            write_human_data(path, annotations, misc={MADE_BY: f"hmr {__version__}", **facts})
        folder = self.root / IMAGES / self.raw_set.images_of(file)
        missing = self._link_images(folder, annotations.image_path, tree) if self.with_images else 0
        self.made.append(Made(file, path, len(annotations), missing, kept))

    def write_bodies(self, file: str, pose: NDArray[np.float32], betas: NDArray[np.float32]) -> None:
        """Writes bodies (N, 72) and (N, 10) without images, as `write` does."""
        path, kept = self._place(file)
        if not kept:
            smpl = {"global_orient": pose[:, :3], "body_pose": pose[:, 3:].reshape(-1, 23, 3), "betas": betas}
            with whole_file(path) as temporary:
                misc = {MADE_BY: f"hmr {__version__}"}
                np.savez_compressed(temporary, smpl=np.array(smpl, object), misc=np.array(misc, object))
        self.made.append(Made(file, path, len(pose), 0, kept))

    def _place(self, file: str) -> tuple[Path, bool]:
        """Tells where a file goes, and whether the one of others that is there stays."""
        path = self.root / ANNOTATIONS / file
        kept = path.is_file() and MADE_BY not in facts_of(path) and not self.replace
        if kept:
            self.note(f"{path} is there and was not made here: it stays; --replace would replace it")
        self.progress(f"writing {file}", 0, 1)
        return path, kept

    def _link_images(self, folder: Path, names: NDArray[np.str_], tree: Tree | None) -> int:
        """Links images of the tree to where they are looked for; returns how many are missing in the end."""
        missing = 0
        for name in missing_images(folder, names):
            source = tree and tree.at(name)
            if not source:
                missing += 1
                continue
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).unlink(missing_ok=True)  # a link to nowhere
            (folder / name).symlink_to(source.resolve())
        return missing

    def close(self) -> None:
        """Removes what was kept to go on with."""
        shutil.rmtree(self._parts, ignore_errors=True)


def _run(read: Callable[..., Arrays], job: tuple[Any, ...], file: Path) -> None:
    arrays = read(*job)
    with whole_file(file) as temporary:
        np.savez(temporary, **arrays)  # type: ignore[arg-type]


def _stamp(job: tuple[Any, ...]) -> str:
    """Says which state of its files a part was made of."""
    states = [
        (str(each), os.stat(each).st_size, os.stat(each).st_mtime_ns)  # noqa: PTH116
        if isinstance(each, Path) and each.is_file()
        else repr(each)
        for each in job
    ]
    return hashlib.sha256(json.dumps([__version__, states]).encode()).hexdigest()[:12]


def joined(parts: Sequence[Annotations]) -> Annotations:
    """Joins the rows of all parts, which have the same fields."""
    arrays = [part.arrays() for part in parts]
    together: dict[str, Any] = {name: np.concatenate([each[name] for each in arrays]) for name in arrays[0]}
    return replace(parts[0], **together)
