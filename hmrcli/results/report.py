"""A report as every format shows it: sheets of records, and footnotes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any

Record = Mapping[str, Any]
"""A row as CSV and JSON give it: plain values by key. `notes` are the letters of its footnotes."""
NOT_RUN = "not run"


def shown(value: Any) -> str:
    """Returns a value as people read it: two decimals, thousands apart, lists joined, nothing for None."""
    if isinstance(value, float):
        return f"{value:.2f}"
    if isinstance(value, int):
        return f"{value:,}"
    return ", ".join(value) if isinstance(value, list) else "" if value is None else str(value)


@dataclass(frozen=True)
class Column:
    """A column of the formats that people read."""

    title: str
    value: str | Callable[[Record], str]
    """Key of what is shown of a record, or what makes the text of it."""
    number: bool = False
    """Aligned at the right."""
    noted: bool = False
    """Carries the footnote letters of the row."""
    shared: bool = False
    """The same in all rows of a group, so that it is said once."""
    wide: bool = False
    """Left out where room is scarce."""
    styled: bool = False
    """Coloured by the verdict that it says."""

    def text(self, record: Record) -> str:
        """Returns what the column says of a row."""
        return shown(record[self.value]) if isinstance(self.value, str) else self.value(record)

    def marks(self, record: Record) -> str:
        """Returns the letters of the footnotes that belong at the text."""
        return "".join(record["notes"]) if self.noted else ""


@dataclass(frozen=True)
class Sheet:
    """A table; rows with the same value of `group_by` belong together."""

    title: str
    columns: Sequence[Column]
    records: Sequence[Record]
    group_by: str | None = None

    @property
    def groups(self) -> list[list[Record]]:
        """Runs of rows that belong together; each row by itself without `group_by`."""
        if self.group_by is None:
            return [[record] for record in self.records]
        return [list(group) for _, group in groupby(self.records, itemgetter(self.group_by))]


@dataclass(frozen=True)
class Report:
    """Report that `hmr table` prints."""

    name: str
    """Of the table."""
    benchmark: str
    caption: str
    main: Sheet
    others: Sequence[Sheet]
    """Runs and results that are set apart; CSV leaves them out."""
    notes: Mapping[str, str]
    """Footnotes by letter."""
    remarks: Sequence[str]
    """Remarks that hold for all rows."""
