"""The reports of the published list: the 20 rows on 3DPW, with or without measured results, and the wider tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from hmrcli.recipe.protocols import PUBLISHED
from hmrcli.results.compare import LATEST, RULE, Arranged, arrange, verdict
from hmrcli.results.published import ALGORITHMS, Note, published
from hmrcli.results.report import NOT_RUN, Column, Record, Report, Sheet, shown
from hmrcli.results.rows import (
    ALGORITHM,
    BEYOND_REMARK,
    INTERVAL,
    METRICS,
    MPJPE,
    RECIPE,
    VARIANT,
    origin_of,
    other_sheets,
    score_of,
    with_notes,
)

if TYPE_CHECKING:
    from hmrcli.results.runs import Run


def algorithms_report(runs: Sequence[Run] | None = None) -> Report:
    """Builds the report of the 20 rows on 3DPW.

    Args:
        runs: measured results, newest first; None shows the published figures alone.
    """
    benchmark = published().benchmark
    arranged = arrange(runs or (), benchmark, PUBLISHED)
    rows = [
        {
            **cell._asdict(),
            "datasets": list(cell.datasets),
            "sources": [{"value": value, "source": source} for value, source in cell.sources],
            **({} if runs is None else _measured(arranged.cells.get(cell.recipe), cell.published)),
        }
        for cell in benchmark.cells
    ]
    records, notes = with_notes(rows, [*benchmark.notes, *_label_notes(arranged)])
    remarks = [f"Published in {benchmark.lists['corrected']}.", benchmark.abbreviations, BEYOND_REMARK]
    return Report(
        name=ALGORITHMS,
        benchmark=PUBLISHED,
        caption=f"PA-MPJPE in mm on the 3DPW test set ({benchmark.samples:,} samples), Protocol 2: "
        f"14 joints of the SMPL body, nothing of 3DPW in training.",
        main=Sheet(
            benchmark.title,
            [ALGORITHM, VARIANT, *(_PUBLISHED_COLUMNS if runs is None else _MEASURED_COLUMNS), RECIPE],
            records,
            group_by="algorithm",
        ),
        others=other_sheets([record for record in records if record.get("run")], arranged, figures=True),
        notes=notes,
        remarks=remarks if runs is None else [f"{RULE} {LATEST}", *remarks],
    )


def _label_notes(arranged: Arranged) -> Iterator[Note]:
    """Gives a footnote for measured rows that learnt labels or started from fits which a file says are of a source."""
    from hmrcli.results.trained import read_trained  # brings recipes

    rows: dict[str, list[str]] = {}
    for recipe, run in arranged.cells.items():
        if trained := read_trained(run):
            known = trained.environment
            for what, sources, ours in (
                ("SMPL labels", known.smpl_labels, "MoSh's of h36m"),
                ("Static fits", known.static_fits, "SPIN's own"),
            ):
                for name, source in sources.items():
                    text = f"{what} of {name}: {source}. Figures depend on them; the published ones are with {ours}."
                    rows.setdefault(text, []).append(recipe)
    for text, recipes in sorted(rows.items()):
        yield Note(rows=tuple(recipes), text=text)


def _measured(run: Run | None, figure: float) -> dict[str, Any]:
    """Returns what a record says of the run in its cell; the same keys with None where there is none."""
    estimate = run.score.metrics[METRICS[0]] if run else None
    return {
        **score_of(run and run.score),
        "difference": estimate and round(estimate.value - figure, 6),
        "verdict": estimate and verdict(figure, estimate),
        **origin_of(run),
    }


def wide_report(name: str) -> Report:
    """Builds the report of a wider published table.

    Raises:
        UsageError: there is no such table; names those there are.
    """
    table = published().table(name)
    first = next(iter(table.columns))
    rows = [{"table": name, **dict(zip(table.columns, row))} for row in table.rows]
    records, notes = with_notes(rows, table.notes, key=first)
    columns = [
        Column(title, key, number=isinstance(records[0][key], float), noted=key == first)
        for key, title in table.columns.items()
    ]
    return Report(
        name=name,
        benchmark=PUBLISHED,
        caption="Errors in mm on the 3DPW test set, as published.",
        main=Sheet(table.title, columns, records),
        others=(),
        notes=notes,
        remarks=[table.remark, f"Published in {table.source}."],
    )


def _difference(record: Record) -> str:
    value = record["difference"]
    return "" if value is None else f"{value:+.2f}".replace("-", "−")


_MEASURED_COLUMNS = (
    Column("Published", "published", number=True, noted=True),
    Column("Measured", lambda record: shown(record[METRICS[0]]) or NOT_RUN, number=True),
    INTERVAL,
    Column("Diff.", _difference, number=True),
    Column("Verdict", "verdict", styled=True),
    MPJPE,
)
_PUBLISHED_COLUMNS = (
    Column("PA-MPJPE", "published", number=True, noted=True),
    Column("First list", "first_listed", number=True, wide=True),
    Column("Backbone", "backbone", shared=True),
    Column("Initialisation", "initialisation"),
    Column("Datasets", "datasets", shared=True),
)
