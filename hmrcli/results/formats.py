"""A report as Markdown, LaTeX, HTML, CSV and JSON; docs/results.md says what is in the last two."""

import csv
import io
import json
import re
from functools import partial
from pathlib import Path
from typing import Any

from hmrcli import __version__
from hmrcli.results.charts import curves, dots
from hmrcli.results.published import ALGORITHMS
from hmrcli.results.report import NOT_RUN, Report

_TEX = {
    "\\": r"\textbackslash{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "–": "--",
    "−": "$-$",
    "≤": r"$\leq$",
    "±": r"$\pm$",
    "ρ": r"$\rho$",
    "τ": r"$\tau$",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "`": r"\textasciigrave{}",
}


def to_json(report: Report) -> str:
    """Returns one JSON document."""
    document = {
        "table": report.name,
        "benchmark": report.benchmark,
        "title": report.main.title,
        "caption": report.caption,
        "rows": report.main.records,
        "others": [{"title": sheet.title, "rows": sheet.records} for sheet in report.others],
        "notes": report.notes,
        "remarks": report.remarks,
        "version": __version__,
    }
    return json.dumps(document, allow_nan=False, ensure_ascii=False) + "\n"


def to_csv(report: Report) -> str:
    """Returns the rows of the main table with a heading; no notes, and nothing that is set apart."""
    keys = [key for key in report.main.records[0] if key not in ("sources", "curve")]
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(keys)
    writer.writerows([_plain(record[key]) for key in keys] for record in report.main.records)
    return stream.getvalue()


def _plain(value: Any) -> Any:
    return "; ".join(value) if isinstance(value, list) else value


def to_markdown(report: Report) -> str:
    """Returns tables of GitHub's Markdown, with footnotes below."""
    # Underscores within words are left alone by Markdown, and recipes are full of them.
    escaped = partial(re.sub, r"([\\|<>*`\[\]]|(?<!\w)_|_(?!\w))", r"\\\1")
    return _filled("table.md.j2", report, escaped=escaped)


def to_latex(report: Report) -> str:
    """Returns tables for a document with `booktabs` (and an engine that reads UTF-8)."""
    return _filled("table.tex.j2", report, escaped=lambda text: text.translate(str.maketrans(_TEX)))


def to_html(report: Report) -> str:
    """Returns a self-contained page, which fetches and runs nothing; its charts are drawn for the 20 rows."""
    drawn = report.name == ALGORITHMS
    charts = {"dots": dots(report) if drawn else "", "curves": curves(report) if drawn else ""}
    return _filled("page.html.j2", report, **charts, not_run=NOT_RUN, version=__version__)


def _filled(template: str, report: Report, **facts: Any) -> str:
    """Fills a template of this folder; `escaped`, which not all need, makes text safe in the format."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        autoescape=template.endswith(".html.j2"),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(template).render(report=report, **facts)
