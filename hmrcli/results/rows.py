"""Records of measured results in words, and the sheets that every report with such results has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from string import ascii_lowercase
from typing import TYPE_CHECKING, Any

from hmrcli.results.compare import Arranged
from hmrcli.results.published import Note, published
from hmrcli.results.report import Column, Record, Sheet, shown

if TYPE_CHECKING:
    from hmrcli.results.runs import Run, Score

METRICS = ("pa_mpjpe_mm", "mpjpe_mm")
"""Metrics that records tell of a score, the compared one first."""
BEYOND = "Beyond the benchmark"
_LETTERS = ascii_lowercase.replace("q", "")
"""No terminal has a raised q."""


def notes_of(texts: Iterable[tuple[str, str]]) -> list[Note]:
    """Returns a footnote for each text, of the recipes that come with it."""
    rows: dict[str, list[str]] = {}
    for recipe, text in texts:
        rows.setdefault(text, []).append(recipe)
    return [Note(recipes, text) for text, recipes in rows.items()]


def with_notes(
    rows: Iterable[Mapping[str, Any]], notes: Sequence[Note], key: str = "recipe"
) -> tuple[list[Record], dict[str, str]]:
    """Gives each row the letters of its footnotes, by its value of `key`; also returns their texts by letter."""
    lettered = dict(zip(_LETTERS, notes))
    records: list[Record] = [
        {**row, "notes": [letter for letter, note in lettered.items() if str(row[key]) in note.rows]}
        for row in rows
    ]
    return records, {letter: note.text for letter, note in lettered.items()}


def score_of(score: Score | None) -> dict[str, Any]:
    """Returns what a record says of a score; the same keys with None where there is none."""
    told: dict[str, Any] = {}
    for name in METRICS:
        estimate = score.metrics.get(name) if score else None
        for end, part in (("", "value"), ("_low", "low"), ("_high", "high")):
            told[f"{name}{end}"] = getattr(estimate, part, None)
    return told | {"surface": score and score.surface}


def origin_of(run: Run | None) -> dict[str, Any]:
    """Returns what a record says of where a result comes from; the same keys with None where there is none."""
    results = run and run.results
    body, checkpoint = (results.body_model, results.checkpoint) if results else (None, None)
    return {
        "run": run and run.name,
        **{key: getattr(results, key, None) for key in ("protocol", "dataset", "samples")},
        "body_model": body and body.name,
        "checkpoint": checkpoint and checkpoint.path,
        "checkpoint_sha256": checkpoint and checkpoint.sha256,
        "created": results and results.created.isoformat(),
    }


def of_the_20(title: str, columns: Sequence[Column], records: Sequence[Record]) -> Sheet:
    """Returns the sheet of the 20 rows; `columns` stand between the names of the row and that of its recipe."""
    names = (Column("Algorithm", "algorithm", shared=True), Column("Variant", "variant"))
    return Sheet(title, [*names, *columns, replace(NAME, wide=True)], records, group_by="algorithm")


def other_sheets(used: Sequence[Record], arranged: Arranged, figures: bool = False) -> list[Sheet]:
    """Returns what stands below the 20 rows: those beyond them, where results come from, and what is set apart.

    Args:
        used: records of the results in the table.
        figures: published figures beyond the 20 are among the first.
    """
    none = score_of(None) | origin_of(None)
    listed = [none | each._asdict() | {"notes": []} for each in published().beyond] if figures else []
    measured = [
        _record(run, run.score, model=None, saw_3dpw=_saw_3dpw(run), source=None) for run in arranged.beyond
    ]
    apart = [_record(each.run, each.score, reason=each.reason) for each in arranged.apart]
    sheets = [
        Sheet(BEYOND, _BEYOND_COLUMNS, [*listed, *measured]),
        Sheet("Runs", _RUN_COLUMNS, [*used, *measured]),
        Sheet("Set apart: not to be compared with the rows above", _APART_COLUMNS, apart),
    ]
    return [sheet for sheet in sheets if sheet.records]


def _record(run: Run, score: Score, **more: Any) -> Record:
    return {"recipe": run.results.recipe, **score_of(score), **more, **origin_of(run), "notes": []}


def _saw_3dpw(run: Run) -> bool | None:
    """Tells whether 3DPW's training set was in the training; None where nothing says so."""
    from hmrcli.results.trained import read_trained  # brings recipes

    if trained := read_trained(run):
        return trained.saw_3dpw
    return {each.recipe: each.saw_3dpw for each in published().beyond}.get(run.results.recipe or "")


def _interval(record: Record) -> str:
    low, high = record["pa_mpjpe_mm_low"], record["pa_mpjpe_mm_high"]
    return "" if low is None else f"{low:.2f}–{high:.2f}"


def _figure_of(record: Record) -> str:
    """Returns where a figure beyond the benchmark comes from."""
    where = f"published for {record['model']}" if record["model"] else f"measured on {record['dataset']}"
    return f"{where}: {record['source'] or record['run']}"


NAME = Column("Recipe", "recipe")
INTERVAL = Column("95 % interval", _interval, number=True)
MPJPE = Column("MPJPE", "mpjpe_mm", number=True, wide=True)
_SCORE_COLUMNS = (Column("PA-MPJPE", "pa_mpjpe_mm", number=True), replace(INTERVAL, wide=True))
_RUN = Column("Run", "run")
_PROTOCOL = Column("Protocol", "protocol")
_BODY = Column("Body", "body_model", wide=True)
_BEYOND_COLUMNS = (
    NAME,
    *_SCORE_COLUMNS,
    MPJPE,
    Column("3DPW in training", lambda r: {True: "yes", False: "no", None: "not known"}[r["saw_3dpw"]]),
    Column("Figure", _figure_of),
)
_RUN_COLUMNS = (
    NAME,
    _RUN,
    _PROTOCOL,
    _BODY,
    Column("Dataset", "dataset", wide=True),
    Column("Samples", "samples", number=True, wide=True),
    Column("Checkpoint SHA-256", lambda record: shown(record["checkpoint_sha256"])[:12], wide=True),
    Column("Evaluated", lambda record: record["created"][:16].replace("T", " "), wide=True),
)
_APART_COLUMNS = (
    NAME,
    *_SCORE_COLUMNS,
    Column("Mesh", "surface", wide=True),
    Column("Why", "reason"),
    _RUN,
    replace(_PROTOCOL, wide=True),
    _BODY,
)
