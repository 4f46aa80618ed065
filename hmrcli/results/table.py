"""Builds the reports of `hmr table`: the 20 rows, with or without measured results, and the wider tables."""

from collections.abc import Sequence
from string import ascii_lowercase
from typing import Any

from hmrcli.results.compare import LATEST, RULE, Apart, Arranged, BenchmarkName, arrange, cell_recipe, verdict
from hmrcli.results.published import ALGORITHMS, Benchmark, Note, published
from hmrcli.results.runs import Run, Score
from hmrcli.results.sheet import Column, Record, Report, Sheet

_METRICS = ("pa_mpjpe_mm", "mpjpe_mm")
"""What records tell of a score, the compared one first."""


def algorithms_report(runs: Sequence[Run] | None = None, which: BenchmarkName = "3dpw") -> Report:
    """The 20 rows.

    Args:
        runs: measured results, newest first; None shows the published figures alone.
        which: the published benchmark, or the open one, which has measured results only.
    """
    benchmark = published().benchmark
    arranged = arrange(runs or (), benchmark, which)
    notes = _letters(benchmark.notes) if which == "3dpw" else {}
    records = _records(benchmark, arranged, which, notes, measured=runs is not None)
    if which == "open":
        title = "The open benchmark: five algorithms, four ways of training"
        caption = (
            "PA-MPJPE in mm on the open test set, with the open body. Measured here; nothing is published."
        )
        remarks = [LATEST]
        columns = [_ALGORITHM, _VARIANT, *_measured_columns("PA-MPJPE"), _MPJPE, _RECIPE]
    else:
        title = benchmark.title
        caption = (
            f"PA-MPJPE in mm on the 3DPW test set ({benchmark.samples:,} samples), Protocol 2: "
            f"14 joints of the SMPL body, nothing of 3DPW in training."
        )
        remarks = [f"Published in {benchmark.lists['corrected']}.", benchmark.abbreviations]
        columns = [_ALGORITHM, _VARIANT, *_PUBLISHED_COLUMNS]
        if runs is not None:
            remarks[:0] = [f"{RULE} {LATEST}"]
            columns = [_ALGORITHM, _VARIANT, _PUBLISHED, *_measured_columns("Measured"), *_VERDICT_COLUMNS]
    return Report(
        name=ALGORITHMS,
        benchmark=which,
        caption=caption,
        main=Sheet(title, columns, records, group_by="algorithm"),
        others=_run_sheets(arranged, records),
        notes={letter: note.text for letter, note in notes.items()},
        remarks=remarks,
    )


def wide_report(name: str) -> Report:
    """A wider published table.

    Raises:
        UsageError: there is no such table; names those there are.
    """
    table = published().table(name)
    notes = _letters(table.notes)
    records = [
        {
            "table": name,
            **dict(zip(table.columns, row)),
            "notes": [letter for letter, note in notes.items() if row[0] in note.rows],
        }
        for row in table.rows
    ]
    first = next(iter(table.columns))
    columns = [
        Column(title, _text_of(key), number=isinstance(table.rows[0][index], float), noted=key == first)
        for index, (key, title) in enumerate(table.columns.items())
    ]
    return Report(
        name=name,
        benchmark="3dpw",
        caption="Errors in mm on the 3DPW test set, as published.",
        main=Sheet(table.title, columns, records),
        others=(),
        notes={letter: note.text for letter, note in notes.items()},
        remarks=[table.remark, f"Published in {table.source}."],
    )


def _letters(notes: Sequence[Note]) -> dict[str, Note]:
    return dict(zip(ascii_lowercase, notes))


def _records(
    benchmark: Benchmark, arranged: Arranged, which: BenchmarkName, notes: dict[str, Note], measured: bool
) -> list[Record]:
    records: list[Record] = []
    for cell in benchmark.cells:
        recipe = cell_recipe(cell, which)
        record: dict[str, Any] = {"recipe": recipe, "algorithm": cell.algorithm, "variant": cell.variant}
        if which == "3dpw":
            record |= {
                "published": cell.published,
                "first_listed": cell.first_listed,
                "datasets": list(cell.datasets),
                "backbone": cell.backbone,
                "initialisation": cell.initialisation,
                "sources": [{"value": value, "source": source} for value, source in cell.sources],
            }
        if measured:
            record |= _measured(arranged.cells.get(recipe), cell.published if which == "3dpw" else None)
        record["notes"] = [letter for letter, note in notes.items() if cell.recipe in note.rows]
        records.append(record)
    return records


def _measured(run: Run | None, figure: float | None) -> dict[str, Any]:
    """What a record says of the run in its cell; the same keys with null where there is none."""
    told: dict[str, Any] = _score(run.results.scores[0] if run else None)
    if figure is not None:
        estimate = run.results.scores[0].metrics[_METRICS[0]] if run else None
        told["difference"] = estimate and round(estimate.value - figure, 6)
        told["verdict"] = estimate and verdict(figure, estimate)
    return told | _origin(run)


def _score(score: Score | None) -> dict[str, Any]:
    told: dict[str, Any] = {}
    for name in _METRICS:
        estimate = score.metrics.get(name) if score else None
        told |= {
            name: estimate and estimate.value,
            f"{name}_low": estimate and estimate.low,
            f"{name}_high": estimate and estimate.high,
        }
    return told | {"surface": score and score.surface}


def _origin(run: Run | None) -> dict[str, Any]:
    results = run and run.results
    body, checkpoint = (results.body_model, results.checkpoint) if results else (None, None)
    return {
        "run": run and run.name,
        "protocol": results and results.protocol,
        "dataset": results and results.dataset,
        "samples": results and results.samples,
        "body_model": body and body.name,
        "checkpoint": checkpoint and checkpoint.path,
        "checkpoint_sha256": checkpoint and checkpoint.sha256,
        "created": results and results.created.isoformat(),
    }


def _run_sheets(arranged: Arranged, records: Sequence[Record]) -> list[Sheet]:
    used = [record for record in records if record.get("run") is not None]
    sheets = [Sheet("Runs", _RUN_COLUMNS, used)] if used else []
    apart = [_apart(each) for each in arranged.apart]
    return sheets + (
        [Sheet("Set apart: not to be compared with the rows above", _APART_COLUMNS, apart)] if apart else []
    )


def _apart(each: Apart) -> Record:
    told = {"recipe": each.run.results.recipe, **_score(each.score), "reason": each.reason}
    return {**told, **_origin(each.run), "notes": []}


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _text_of(key: str) -> Any:
    def text(record: Record) -> str:
        value = record[key]
        if isinstance(value, float):
            return _number(value)
        return ", ".join(value) if isinstance(value, list) else "" if value is None else str(value)

    return text


def _interval(record: Record) -> str:
    low, high = record["pa_mpjpe_mm_low"], record["pa_mpjpe_mm_high"]
    return "" if low is None else f"{low:.2f}–{high:.2f}"


def _difference(record: Record) -> str:
    value = record["difference"]
    return "" if value is None else f"{value:+.2f}".replace("-", "−")


def _measured_columns(title: str) -> list[Column]:
    return [
        Column(title, lambda record: _number(record["pa_mpjpe_mm"]) or "not run", number=True),
        Column("95 % interval", _interval, number=True),
    ]


def _samples(record: Record) -> str:
    return "" if record["samples"] is None else f"{record['samples']:,}"


_ALGORITHM = Column("Algorithm", _text_of("algorithm"), shared=True)
_VARIANT = Column("Variant", _text_of("variant"))
_RECIPE = Column("Recipe", _text_of("recipe"), wide=True)
_PUBLISHED = Column("Published", _text_of("published"), number=True, noted=True)
_MPJPE = Column("MPJPE", _text_of("mpjpe_mm"), number=True)
_RUN = Column("Run", _text_of("run"))
_PUBLISHED_COLUMNS = (
    Column("PA-MPJPE", _text_of("published"), number=True, noted=True),
    Column("First list", _text_of("first_listed"), number=True, wide=True),
    Column("Backbone", _text_of("backbone"), shared=True),
    Column("Initialisation", _text_of("initialisation")),
    Column("Datasets", _text_of("datasets"), shared=True),
    _RECIPE,
)
_VERDICT_COLUMNS = (
    Column("Diff.", _difference, number=True),
    Column("Verdict", _text_of("verdict"), styled=True),
    Column("MPJPE", _text_of("mpjpe_mm"), number=True, wide=True),
    _RECIPE,
)
_RUN_COLUMNS = (
    Column("Recipe", _text_of("recipe")),
    _RUN,
    Column("Protocol", _text_of("protocol")),
    Column("Body", _text_of("body_model"), wide=True),
    Column("Dataset", _text_of("dataset"), wide=True),
    Column("Samples", _samples, number=True, wide=True),
    Column("Checkpoint SHA-256", lambda record: (record["checkpoint_sha256"] or "")[:12], wide=True),
    Column("Evaluated", lambda record: record["created"][:16].replace("T", " "), wide=True),
)
_APART_COLUMNS = (
    Column("Recipe", _text_of("recipe")),
    Column("PA-MPJPE", _text_of("pa_mpjpe_mm"), number=True),
    Column("95 % interval", _interval, number=True, wide=True),
    Column("Mesh", _text_of("surface"), wide=True),
    Column("Why", _text_of("reason")),
    _RUN,
    Column("Protocol", _text_of("protocol"), wide=True),
    Column("Body", _text_of("body_model"), wide=True),
)
