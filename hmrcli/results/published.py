"""The published figures: `published.yaml`, checked and frozen."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, model_validator

from hmrcli.errors import UsageError

Variant = Literal["normal", "l1", "l1_coco", "l1_coco_aug"]

ALGORITHMS = "algorithms"
"""Name of the table of the 20 recipes; the others are `published().tables`."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Algorithm(_Part):
    """Four rows of the benchmark."""

    title: str
    datasets: tuple[str, ...]
    backbone: str
    initialisation: Mapping[Variant, str]
    first: Mapping[Variant, float]
    corrected: Mapping[Variant, float]


class Elsewhere(_Part):
    """Another value that a public list gives to a recipe."""

    recipe: str
    value: float
    source: str


class Note(_Part):
    """A footnote of some rows, which are named by their first value: of the benchmark, the recipe."""

    rows: tuple[str, ...]
    text: str


class Cell(_Part):
    """One published figure: PA-MPJPE in mm."""

    recipe: str
    algorithm: str
    variant: str
    datasets: tuple[str, ...]
    backbone: str
    initialisation: str
    published: float
    """Since the correction; what measured results are compared with."""
    first_listed: float
    sources: tuple[tuple[float, str], ...]
    """Every value that a public list gave, and which list; the compared one first."""


class Benchmark(_Part):
    """The 20 rows, and what a result must be to stand beside them."""

    title: str
    protocol: str
    body_model: str
    metric: str
    samples: int
    lists: Mapping[Literal["first", "corrected"], str]
    variants: Mapping[Variant, str]
    algorithms: Mapping[str, Algorithm]
    elsewhere: tuple[Elsewhere, ...]
    notes: tuple[Note, ...]
    abbreviations: str

    @property
    def cells(self) -> tuple[Cell, ...]:
        """The 20 figures in the order of the list."""
        return tuple(
            Cell(
                recipe=f"{name}_{variant}",
                algorithm=algorithm.title,
                variant=title,
                datasets=algorithm.datasets,
                backbone=algorithm.backbone,
                initialisation=algorithm.initialisation[variant],
                published=algorithm.corrected[variant],
                first_listed=algorithm.first[variant],
                sources=(
                    (algorithm.corrected[variant], self.lists["corrected"]),
                    (algorithm.first[variant], self.lists["first"]),
                    *((e.value, e.source) for e in self.elsewhere if e.recipe == f"{name}_{variant}"),
                ),
            )
            for name, algorithm in self.algorithms.items()
            for variant, title in self.variants.items()
        )


class Beyond(_Part):
    """A published row that is none of the 20: PA-MPJPE and MPJPE in mm on the same test set."""

    recipe: str
    model: str
    pa_mpjpe_mm: float
    mpjpe_mm: float
    saw_3dpw: bool
    """Whether 3DPW's training set was in its training, so that its figures are not under Protocol 2."""
    source: str


class Wide(_Part):
    """A wider table of the same benchmark: HMR with one thing changed."""

    title: str
    source: str
    columns: Mapping[str, str]
    rows: tuple[tuple[str | float, ...], ...]
    notes: tuple[Note, ...]
    remark: str

    @model_validator(mode="after")
    def _rectangular(self) -> Self:
        if any(len(row) != len(self.columns) for row in self.rows):
            raise ValueError("each row needs a value for each column")
        return self


class Published(_Part):
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
    return Published.model_validate(yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text("utf-8")))
