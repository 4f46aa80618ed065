"""Rows whose image turned out to be unreadable while training: others are drawn instead, and these are listed."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from hmrcli.data.sets import ImageSet
from hmrcli.distributed import rank_and_size
from hmrcli.errors import BadInput

LIST_FILE = "unreadable.jsonl"
_SHARE = 50
"""One row in so many may be unreadable, and one in any case."""
_SAID = 3
"""Rows that are said one by one; the list has all."""


class UnreadableRow(NamedTuple):
    """A row that was drawn and could not be read."""

    dataset: int
    """Number of the set."""
    row: int
    reason: str
    """Names the file."""


class Unreadable:
    """The unreadable rows of a run, in a file of its folder with a line for each."""

    def __init__(
        self, folder: Path, sets: Sequence[ImageSet], say: Callable[[str], None] = lambda text: None
    ) -> None:
        """Continues the list of a run."""
        self.path, self.sets, self.say = folder / LIST_FILE, sets, say
        listed = self.path.read_text(encoding="utf-8") if self.path.is_file() else ""
        self._listed = set(listed.splitlines())
        self._rows: list[set[int]] = [set() for _ in sets]
        """Of each set, met since this was made."""

    def add(self, rows: Sequence[UnreadableRow]) -> None:
        """Lists rows that are new.

        Raises:
            BadInput: a set has too many of them.
        """
        for found in rows:
            known, images = self._rows[found.dataset], self.sets[found.dataset]
            if found.row in known:
                continue
            known.add(found.row)
            self._list(images, found)
            count = sum(map(len, self._rows))
            processes = rank_and_size()[1]  # each draws its share of the rows, and counts what it drew
            if len(known) > max(1, len(images) // (_SHARE * processes)):
                alone = f", by one of {processes} processes" if processes > 1 else ""
                raise BadInput(
                    f"{found.reason}. {len(known)} of the {len(images)} rows of {images.name} could not be read so "
                    f"far{alone}, listed in {self.path}: too many to do without. Unpack the images of {images.name} "
                    f"again, or train with --without {images.name}"
                )
            if count <= _SAID:
                more = f"; further ones are only listed in {self.path}" if count == _SAID else ""
                told = f"another row of {images.name} is drawn in place of row {found.row}"
                self.say(f"{told}: {found.reason}{more}")

    def _list(self, images: ImageSet, found: UnreadableRow) -> None:
        file = str(images.image(found.row))
        line = json.dumps({"set": images.name, "row": found.row, "file": file, "reason": found.reason})
        if line not in self._listed:  # by a part of the run before
            self._listed.add(line)
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as stream:
                stream.write(line + "\n")
