"""Records of measured results in words, and the sheets that every report with such results has."""

from __future__ import annotations

from collections.abc import Sequence
from string import ascii_lowercase
from typing import TYPE_CHECKING, Any

from hmrcli.results.compare import Apart, Arranged
from hmrcli.results.published import Note, published
from hmrcli.results.report import Column, Record, Sheet, shown

if TYPE_CHECKING:
    from hmrcli.results.runs import Run, Score

METRICS = ("pa_mpjpe_mm", "mpjpe_mm")
"""Metrics that records tell of a score, the compared one first."""
BEYOND = "Beyond the benchmark"
BEYOND_REMARK = (
    f"{BEYOND}: recipes that are none of the 20. Where 3DPW's training set was in the training, the figures are not "
    "under Protocol 2 and not comparable with those of the 20."
)


def letters(notes: Sequence[Note]) -> dict[str, Note]:
    """Gives each footnote a letter; q is left out, for no terminal has it raised."""
    return dict(zip(ascii_lowercase.replace("q", ""), notes))


def marked(notes: dict[str, Note], row: str) -> list[str]:
    """Returns the letters of a row's footnotes."""
    return [letter for letter, note in notes.items() if row in note.rows]


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
        "protocol": results and results.protocol,
        "dataset": results and results.dataset,
        "samples": results and results.samples,
        "body_model": body and body.name,
        "checkpoint": checkpoint and checkpoint.path,
        "checkpoint_sha256": checkpoint and checkpoint.sha256,
        "created": results and results.created.isoformat(),
    }


def other_sheets(used: Sequence[Record], arranged: Arranged, figures: bool = False) -> list[Sheet]:
    """Returns what stands below the 20 rows: those beyond them, where results come from, and what is set apart.

    Args:
        used: records of the results in the table.
        figures: published figures beyond the 20 are among the first.
    """
    measured = [_beyond_run(run) for run in arranged.beyond]
    sheets = [
        Sheet(BEYOND, _BEYOND_COLUMNS, [*(_beyond_figures() if figures else ()), *measured]),
        Sheet("Runs", _RUN_COLUMNS, [*used, *measured]),
        Sheet(
            "Set apart: not to be compared with the rows above",
            _APART_COLUMNS,
            [_apart(each) for each in arranged.apart],
        ),
    ]
    return [sheet for sheet in sheets if sheet.records]


def _beyond_run(run: Run) -> Record:
    from hmrcli.results.trained import read_trained  # brings recipes

    trained, recipe = read_trained(run), run.results.recipe
    saw = (
        [trained.saw_3dpw]
        if trained
        else [each.saw_3dpw for each in published().beyond if each.recipe == recipe]
    )
    told = {"recipe": recipe, "model": None, **score_of(run.score), "saw_3dpw": saw[0] if saw else None}
    return {**told, "source": None, **origin_of(run), "notes": []}


def _beyond_figures() -> list[Record]:
    """Returns the published figures under the keys of measured ones."""
    keys = score_of(None) | origin_of(None)
    return [{**keys, **each._asdict(), "notes": []} for each in published().beyond]


def _apart(each: Apart) -> Record:
    told = {"recipe": each.run.results.recipe, **score_of(each.score), "reason": each.reason}
    return {**told, **origin_of(each.run), "notes": []}


def interval(record: Record) -> str:
    """Returns the ends of a record's interval as text."""
    low, high = record["pa_mpjpe_mm_low"], record["pa_mpjpe_mm_high"]
    return "" if low is None else f"{low:.2f}–{high:.2f}"


def _figure_of(record: Record) -> str:
    """Returns where a figure beyond the benchmark comes from."""
    where = f"published for {record['model']}" if record["model"] else f"measured on {record['dataset']}"
    return f"{where}: {record['source'] or record['run']}"


ALGORITHM = Column("Algorithm", "algorithm", shared=True)
VARIANT = Column("Variant", "variant")
RECIPE = Column("Recipe", "recipe", wide=True)
PA_MPJPE = Column("PA-MPJPE", "pa_mpjpe_mm", number=True)
_INTERVAL = Column("95 % interval", interval, number=True, wide=True)
_BEYOND_COLUMNS = (
    Column("Recipe", "recipe"),
    PA_MPJPE,
    _INTERVAL,
    Column("MPJPE", "mpjpe_mm", number=True, wide=True),
    Column("3DPW in training", lambda r: {True: "yes", False: "no", None: "not known"}[r["saw_3dpw"]]),
    Column("Figure", _figure_of),
)
_RUN_COLUMNS = (
    Column("Recipe", "recipe"),
    Column("Run", "run"),
    Column("Protocol", "protocol"),
    Column("Body", "body_model", wide=True),
    Column("Dataset", "dataset", wide=True),
    Column("Samples", "samples", number=True, wide=True),
    Column("Checkpoint SHA-256", lambda record: shown(record["checkpoint_sha256"])[:12], wide=True),
    Column("Evaluated", lambda record: record["created"][:16].replace("T", " "), wide=True),
)
_APART_COLUMNS = (
    Column("Recipe", "recipe"),
    PA_MPJPE,
    _INTERVAL,
    Column("Mesh", "surface", wide=True),
    Column("Why", "reason"),
    Column("Run", "run"),
    Column("Protocol", "protocol", wide=True),
    Column("Body", "body_model", wide=True),
)
