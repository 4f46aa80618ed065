"""The reports of the published list: the 20 rows on 3DPW, with or without measured results, and the wider tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from hmrcli.recipe.protocols import PUBLISHED
from hmrcli.results import rows
from hmrcli.results.compare import LATEST, RULE, Arranged, arrange, verdict
from hmrcli.results.published import ALGORITHMS, published
from hmrcli.results.report import NOT_RUN, Column, Record, Report, Sheet, shown

if TYPE_CHECKING:
    from hmrcli.results.runs import Run

_BEYOND = (
    f"{rows.BEYOND}: recipes that are none of the 20. Where 3DPW's training set was in the training, the figures are "
    "not under Protocol 2 and not comparable with those of the 20."
)


def algorithms_report(runs: Sequence[Run] | None = None) -> Report:
    """Builds the report of the 20 rows on 3DPW.

    Args:
        runs: measured results, newest first; None shows the published figures alone.
    """
    benchmark = published().benchmark
    arranged = arrange(runs or (), benchmark, PUBLISHED)
    cells = [
        {
            **cell._asdict(),
            "sources": [{"value": value, "source": source} for value, source in cell.sources],
            **({} if runs is None else _measured(arranged.cells.get(cell.recipe), cell.published)),
        }
        for cell in benchmark.cells
    ]
    labels = sorted(rows.notes_of(_labels(arranged)), key=lambda note: note.text)
    records, notes = rows.with_notes(cells, [*benchmark.notes, *labels])
    measured = [record for record in records if record.get("run")]
    remarks = [f"Published in {benchmark.lists['corrected']}.", benchmark.abbreviations, _BEYOND]
    return Report(
        name=ALGORITHMS,
        benchmark=PUBLISHED,
        caption=f"PA-MPJPE in mm on the 3DPW test set ({benchmark.samples:,} samples), Protocol 2: "
        f"14 joints of the SMPL body, nothing of 3DPW in training.",
        main=rows.of_the_20(
            benchmark.title, _PUBLISHED_COLUMNS if runs is None else _MEASURED_COLUMNS, records
        ),
        others=rows.other_sheets(measured, arranged, figures=True),
        notes=notes,
        remarks=remarks if runs is None else [f"{RULE} {LATEST}", *remarks],
    )


def _labels(arranged: Arranged) -> Iterator[tuple[str, str]]:
    """Gives recipe and footnote of measured rows with labels, or fits to start from, whose files say their source."""
    from hmrcli.results.trained import read_trained  # brings recipes

    for recipe, run in arranged.cells.items():
        if trained := read_trained(run):
            known = trained.environment
            for what, sources, ours in (
                ("SMPL labels", known.smpl_labels, "MoSh's of h36m"),
                ("Static fits", known.static_fits, "SPIN's own"),
            ):
                for name, source in sources.items():
                    depend = f"Figures depend on them; the published ones are with {ours}."
                    yield recipe, f"{what} of {name}: {source}. {depend}"


def _measured(run: Run | None, figure: float) -> dict[str, Any]:
    """Returns what a record says of the run in its cell; the same keys with None where there is none."""
    return {
        **rows.score_of(run and run.score),
        "difference": run and round(run.pa_mpjpe.value - figure, 6),
        "verdict": run and verdict(figure, run.pa_mpjpe),
        **rows.origin_of(run),
    }


def wide_report(name: str) -> Report:
    """Builds the report of a wider published table.

    Raises:
        UsageError: there is no such table; names those there are.
    """
    table = published().table(name)
    first = next(iter(table.columns))
    listed = [{"table": name, **dict(zip(table.columns, row))} for row in table.rows]
    records, notes = rows.with_notes(listed, table.notes, key=first)
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
    Column("Measured", lambda record: shown(record["pa_mpjpe_mm"]) or NOT_RUN, number=True),
    rows.INTERVAL,
    Column("Diff.", _difference, number=True),
    Column("Verdict", "verdict", styled=True),
    rows.MPJPE,
)
_PUBLISHED_COLUMNS = (
    Column("PA-MPJPE", "published", number=True, noted=True),
    Column("First list", "first_listed", number=True, wide=True),
    Column("Backbone", "backbone", shared=True),
    Column("Initialisation", "initialisation"),
    Column("Datasets", "datasets", shared=True),
)
