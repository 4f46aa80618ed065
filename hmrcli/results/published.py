"""The published figures: `published.yaml` as records."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from hmrcli.errors import UsageError
from hmrcli.files import plain_yaml

ALGORITHMS = "algorithms"
"""Name of the table of the 20 recipes; the others are `published().tables`."""


class Note(NamedTuple):
    """A footnote of some rows, which are named by their first value: of the benchmark, the recipe."""

    rows: tuple[str, ...]
    text: str


class Cell(NamedTuple):
    """One published figure: PA-MPJPE in mm."""

    recipe: str
    algorithm: str
    variant: str
    published: float
    """Since the correction; what measured results are compared with."""
    first_listed: float
    datasets: tuple[str, ...]
    backbone: str
    initialisation: str
    sources: tuple[tuple[float, str], ...]
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
    notes: tuple[Note, ...]
    cells: tuple[Cell, ...]


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
    rows: tuple[tuple[str | float, ...], ...]
    notes: tuple[Note, ...]
    remark: str


class Published(NamedTuple):
    """All that `published.yaml` holds."""

    benchmark: Benchmark
    beyond: tuple[Beyond, ...]
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
    names = [(name, variant) for name in benchmark["algorithms"] for variant in benchmark["variants"]]
    cells = tuple(_cell(benchmark, *each) for each in names)
    del benchmark["elsewhere"]  # among the sources of its cell
    return Published(
        Benchmark(**benchmark | {"notes": _notes(benchmark), "cells": cells}),
        tuple(Beyond(**row) for row in document["beyond"]),
        document["not_carried"],
        {
            name: Wide(**table | {"rows": tuple(map(tuple, table["rows"])), "notes": _notes(table)})
            for name, table in document["tables"].items()
        },
    )


def _cell(benchmark: Mapping[str, Any], name: str, variant: str) -> Cell:
    algorithm, recipe = benchmark["algorithms"][name], f"{name}_{variant}"
    listed = [(algorithm[each][variant], benchmark["lists"][each]) for each in ("corrected", "first")]
    elsewhere = [
        (each["value"], each["source"]) for each in benchmark["elsewhere"] if each["recipe"] == recipe
    ]
    return Cell(
        recipe=recipe,
        algorithm=algorithm["title"],
        variant=benchmark["variants"][variant],
        published=algorithm["corrected"][variant],
        first_listed=algorithm["first"][variant],
        datasets=tuple(algorithm["datasets"]),
        backbone=algorithm["backbone"],
        initialisation=algorithm["initialisation"][variant],
        sources=(*listed, *elsewhere),
    )


def _notes(table: Mapping[str, Any]) -> tuple[Note, ...]:
    return tuple(Note(tuple(note["rows"]), note["text"]) for note in table["notes"])
