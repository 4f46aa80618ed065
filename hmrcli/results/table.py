"""Builds the reports of `hmr table`: the 20 rows, with or without measured results, and the wider tables."""

from collections.abc import Callable, Sequence
from string import ascii_lowercase
from typing import Any

from hmrcli.results.compare import LATEST, RULE, Apart, Arranged, arrange, verdict
from hmrcli.results.published import ALGORITHMS, Benchmark, Note, published
from hmrcli.results.runs import Run, Score
from hmrcli.results.sheet import Column, Record, Report, Sheet

METRICS = ("pa_mpjpe_mm", "mpjpe_mm")
"""What records tell of a score, the compared one first."""


def algorithms_report(runs: Sequence[Run] | None = None) -> Report:
    """The 20 rows on 3DPW.

    Args:
        runs: measured results, newest first; None shows the published figures alone.
    """
    benchmark = published().benchmark
    arranged = arrange(runs or (), benchmark, "3dpw")
    notes = letters(benchmark.notes)
    records = _records(benchmark, arranged, notes, measured=runs is not None)
    caption = (
        f"PA-MPJPE in mm on the 3DPW test set ({benchmark.samples:,} samples), Protocol 2: "
        f"14 joints of the SMPL body, nothing of 3DPW in training."
    )
    remarks = [f"Published in {benchmark.lists['corrected']}.", benchmark.abbreviations]
    columns = [ALGORITHM, VARIANT, *_PUBLISHED_COLUMNS]
    if runs is not None:
        remarks[:0] = [f"{RULE} {LATEST}"]
        columns = [ALGORITHM, VARIANT, _PUBLISHED, *_MEASURED_COLUMNS, *_VERDICT_COLUMNS]
    return Report(
        name=ALGORITHMS,
        benchmark="3dpw",
        caption=caption,
        main=Sheet(benchmark.title, columns, records, group_by="algorithm"),
        others=run_sheets([record for record in records if record.get("run") is not None], arranged.apart),
        notes={letter: note.text for letter, note in notes.items()},
        remarks=remarks,
    )


def wide_report(name: str) -> Report:
    """A wider published table.

    Raises:
        UsageError: there is no such table; names those there are.
    """
    table = published().table(name)
    notes = letters(table.notes)
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
        Column(title, text_of(key), number=isinstance(table.rows[0][index], float), noted=key == first)
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


def letters(notes: Sequence[Note]) -> dict[str, Note]:
    """Footnotes by letter; q is left out, for no terminal has it raised."""
    return dict(zip(ascii_lowercase.replace("q", ""), notes))


def _records(
    benchmark: Benchmark, arranged: Arranged, notes: dict[str, Note], measured: bool
) -> list[Record]:
    records: list[Record] = []
    for cell in benchmark.cells:
        record: dict[str, Any] = {
            "recipe": cell.recipe,
            "algorithm": cell.algorithm,
            "variant": cell.variant,
            "published": cell.published,
            "first_listed": cell.first_listed,
            "datasets": list(cell.datasets),
            "backbone": cell.backbone,
            "initialisation": cell.initialisation,
            "sources": [{"value": value, "source": source} for value, source in cell.sources],
        }
        if measured:
            record |= _measured(arranged.cells.get(cell.recipe), cell.published)
        record["notes"] = [letter for letter, note in notes.items() if cell.recipe in note.rows]
        records.append(record)
    return records


def _measured(run: Run | None, figure: float) -> dict[str, Any]:
    """What a record says of the run in its cell; the same keys with null where there is none."""
    estimate = run.results.scores[0].metrics[METRICS[0]] if run else None
    verdicts = {
        "difference": estimate and round(estimate.value - figure, 6),
        "verdict": estimate and verdict(figure, estimate),
    }
    return score_of(run) | verdicts | origin_of(run)


def score_of(run: Run | None) -> dict[str, Any]:
    """What a record says of a run's score that counts."""
    return _score(run.results.scores[0] if run else None)


def _score(score: Score | None) -> dict[str, Any]:
    told: dict[str, Any] = {}
    for name in METRICS:
        estimate = score.metrics.get(name) if score else None
        told |= {
            name: estimate and estimate.value,
            f"{name}_low": estimate and estimate.low,
            f"{name}_high": estimate and estimate.high,
        }
    return told | {"surface": score and score.surface}


def origin_of(run: Run | None) -> dict[str, Any]:
    """What a record says of where a result comes from."""
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


def run_sheets(used: Sequence[Record], apart: Sequence[Apart]) -> list[Sheet]:
    """Where the results of a table come from, and those that are not in it."""
    sheets = [Sheet("Runs", _RUN_COLUMNS, used)] if used else []
    if apart:
        title = "Set apart: not to be compared with the rows above"
        sheets.append(Sheet(title, _APART_COLUMNS, [_apart(each) for each in apart]))
    return sheets


def _apart(each: Apart) -> Record:
    told = {"recipe": each.run.results.recipe, **_score(each.score), "reason": each.reason}
    return {**told, **origin_of(each.run), "notes": []}


def number(value: float | None) -> str:
    """Two decimals, as the lists have them."""
    return "" if value is None else f"{value:.2f}"


def text_of(key: str) -> Callable[[Record], str]:
    """What a column shows of a record's key."""

    def text(record: Record) -> str:
        value = record[key]
        if isinstance(value, float):
            return number(value)
        return ", ".join(value) if isinstance(value, list) else "" if value is None else str(value)

    return text


def count_of(key: str) -> Callable[[Record], str]:
    """The same of whole numbers."""
    return lambda record: "" if record[key] is None else f"{record[key]:,}"


def _interval(record: Record) -> str:
    low, high = record["pa_mpjpe_mm_low"], record["pa_mpjpe_mm_high"]
    return "" if low is None else f"{low:.2f}–{high:.2f}"


def _difference(record: Record) -> str:
    value = record["difference"]
    return "" if value is None else f"{value:+.2f}".replace("-", "−")


ALGORITHM = Column("Algorithm", text_of("algorithm"), shared=True)
VARIANT = Column("Variant", text_of("variant"))
RECIPE = Column("Recipe", text_of("recipe"), wide=True)
_PUBLISHED = Column("Published", text_of("published"), number=True, noted=True)
_RUN = Column("Run", text_of("run"))
_MEASURED_COLUMNS = (
    Column("Measured", lambda record: number(record["pa_mpjpe_mm"]) or "not run", number=True),
    Column("95 % interval", _interval, number=True),
)
_PUBLISHED_COLUMNS = (
    Column("PA-MPJPE", text_of("published"), number=True, noted=True),
    Column("First list", text_of("first_listed"), number=True, wide=True),
    Column("Backbone", text_of("backbone"), shared=True),
    Column("Initialisation", text_of("initialisation")),
    Column("Datasets", text_of("datasets"), shared=True),
    RECIPE,
)
_VERDICT_COLUMNS = (
    Column("Diff.", _difference, number=True),
    Column("Verdict", text_of("verdict"), styled=True),
    Column("MPJPE", text_of("mpjpe_mm"), number=True, wide=True),
    RECIPE,
)
_RUN_COLUMNS = (
    Column("Recipe", text_of("recipe")),
    _RUN,
    Column("Protocol", text_of("protocol")),
    Column("Body", text_of("body_model"), wide=True),
    Column("Dataset", text_of("dataset"), wide=True),
    Column("Samples", count_of("samples"), number=True, wide=True),
    Column("Checkpoint SHA-256", lambda record: (record["checkpoint_sha256"] or "")[:12], wide=True),
    Column("Evaluated", lambda record: record["created"][:16].replace("T", " "), wide=True),
)
_APART_COLUMNS = (
    Column("Recipe", text_of("recipe")),
    Column("PA-MPJPE", text_of("pa_mpjpe_mm"), number=True),
    Column("95 % interval", _interval, number=True, wide=True),
    Column("Mesh", text_of("surface"), wide=True),
    Column("Why", text_of("reason")),
    _RUN,
    Column("Protocol", text_of("protocol"), wide=True),
    Column("Body", text_of("body_model"), wide=True),
)
