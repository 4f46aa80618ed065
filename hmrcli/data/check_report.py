"""Findings about an annotation file, as `hmr data check` tells them."""

from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from hmrcli.data.projection import Projection


class Problem(NamedTuple):
    """Something that is wrong in a file."""

    field: str
    """Its key; empty for the whole file."""
    row: int | None
    text: str

    def __str__(self) -> str:
        row = "" if self.row is None else f"row {self.row}"
        return ": ".join(filter(None, [", ".join(filter(None, [self.field, row])), self.text]))


@dataclass
class Report:
    """Findings in a file."""

    file: str
    images: str
    """Their folder."""
    rows: int = 0
    published_rows: int | None = None
    labelled: dict[str, int] = field(default_factory=dict)
    """Rows with each kind of label."""
    pictures: int = 0
    missing: int = 0
    decoded: int | None = None
    """None where they were not to be decoded."""
    projection: Projection | None = None
    sheet: str | None = None
    notes: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self) | {
            "projection": self.projection and self.projection._asdict(),
            "problems": [problem._asdict() for problem in self.problems],
        }
