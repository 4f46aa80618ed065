"""The published figures: `published.yaml` as records."""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from hmrcli.errors import UsageError
from hmrcli.files import plain_yaml

ALGORITHMS = "algorithms"
"""Name of the table of the 20 recipes; the others are `published().tables`."""


class Note(NamedTuple):
    """A footnote of some rows, which are named by their first value: of the benchmark, the recipe."""

    rows: Sequence[str]
    text: str


class Cell(NamedTuple):
    """One published figure: PA-MPJPE in mm."""

    recipe: str
    algorithm: str
    variant: str
    published: float
    """Since the correction; what measured results are compared with."""
    first_listed: float
    datasets: Sequence[str]
    backbone: str
    initialisation: str
    sources: Sequence[tuple[float, str]]
    """Every value that a public list gave, and which list; the compared one first."""


class Benchmark(NamedTuple):
    """The 20 rows in the order of the list, and what a result must be to stand beside them."""

    title: str
    protocol: str
    body_model: str
    metric: str
    samples: int
    lists: Mapping[str, str]
    variants: Mapping[str, str]
    algorithms: Mapping[str, Mapping[str, Any]]
    abbreviations: str
    notes: Sequence[Note]
    cells: Sequence[Cell]


class Beyond(NamedTuple):
    """A published row that is none of the 20: PA-MPJPE and MPJPE in mm on the same test set."""

    recipe: str
    model: str
    pa_mpjpe_mm: float
    mpjpe_mm: float
    saw_3dpw: bool
    """True where 3DPW's training set was in its training, so that its figures are not under Protocol 2."""
    source: str


class Wide(NamedTuple):
    """A wider table of the same benchmark: HMR with one thing changed."""

    title: str
    source: str
    columns: Mapping[str, str]
    rows: Sequence[Sequence[str | float]]
    notes: Sequence[Note]
    remark: str


class Published(NamedTuple):
    """All that `published.yaml` holds."""

    benchmark: Benchmark
    beyond: Sequence[Beyond]
    not_carried: Mapping[str, str]
    tables: Mapping[str, Wide]

    def table(self, name: str) -> Wide:
        """Returns a wider table by its name.

        Raises:
            UsageError: there is no such table; names those there are.
        """
        if name in self.not_carried:
            raise UsageError(f"--table: '{name}' is not carried: {self.not_carried[name]}")
        if name not in self.tables:
            raise UsageError(f"--table: '{name}' is not one of {', '.join((ALGORITHMS, *self.tables))}")
        return self.tables[name]


@cache
def published() -> Published:
    """Reads every published figure that this package carries."""
    document = plain_yaml(Path(__file__).with_suffix(".yaml").read_text("utf-8"))
    benchmark = document["benchmark"]
    for table in (benchmark, *document["tables"].values()):
        table["notes"] = [Note(**note) for note in table["notes"]]
    names = [(name, variant) for name in benchmark["algorithms"] for variant in benchmark["variants"]]
    cells = [_cell(benchmark, *each) for each in names]
    del benchmark["elsewhere"]  # among the sources of its cell
    return Published(
        Benchmark(**benchmark, cells=cells),
        [Beyond(**row) for row in document["beyond"]],
        document["not_carried"],
        {name: Wide(**table) for name, table in document["tables"].items()},
    )


def _cell(benchmark: Mapping[str, Any], name: str, variant: str) -> Cell:
    algorithm, recipe = benchmark["algorithms"][name], f"{name}_{variant}"
    sources = [(algorithm[each][variant], benchmark["lists"][each]) for each in ("corrected", "first")]
    sources += [
        (each["value"], each["source"]) for each in benchmark["elsewhere"] if each["recipe"] == recipe
    ]
    return Cell(
        recipe=recipe,
        algorithm=algorithm["title"],
        variant=benchmark["variants"][variant],
        published=algorithm["corrected"][variant],
        first_listed=algorithm["first"][variant],
        datasets=algorithm["datasets"],
        backbone=algorithm["backbone"],
        initialisation=algorithm["initialisation"][variant],
        sources=sources,
    )
