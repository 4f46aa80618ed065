"""A report as Markdown, LaTeX, HTML, CSV and JSON; docs/results.md says what is in the last two."""

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

from hmrcli import __version__
from hmrcli.results.charts import curves, dots
from hmrcli.results.published import ALGORITHMS
from hmrcli.results.report import NOT_RUN, Column, Record, Report, Sheet

_CODE = ("Recipe", "Run", "Checkpoint SHA-256", "Config")
"""Columns of things to type or to copy."""
_LONG = 24
"""Characters from which on a cell of the page may take more than one line."""


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
    parts = [f"## {_md(report.main.title)}", _md(report.caption), _md_table(report.main)]
    parts += [f"<sup>{letter}</sup> {_md(text)}" for letter, text in report.notes.items()]
    parts += [_md(remark) for remark in report.remarks]
    for sheet in report.others:
        parts += [f"### {_md(sheet.title)}", _md_table(sheet)]
    return "\n\n".join(parts) + "\n"


def _md_table(sheet: Sheet) -> str:
    lines = [
        [_md(column.title) for column in sheet.columns],
        ["---:" if column.number else "---" for column in sheet.columns],
        *([_md_cell(record, column) for column in sheet.columns] for record in sheet.records),
    ]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _md_cell(record: Record, column: Column) -> str:
    letters = column.marks(record)
    return _md(column.text(record)) + (f"<sup>{letters}</sup>" if letters else "")


def _md(text: str) -> str:
    # Underscores within words are left alone by Markdown, and recipes are full of them.
    return re.sub(r"([\\|<>*`\[\]]|(?<!\w)_|_(?!\w))", r"\\\1", text)


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


def to_latex(report: Report) -> str:
    """Returns tables for a document with `booktabs` (and an engine that reads UTF-8)."""
    below = [f"\\textsuperscript{{{letter}}} {_tex(text)}" for letter, text in report.notes.items()]
    below += [_tex(remark) for remark in report.remarks]
    parts = ["% Needs \\usepackage{booktabs}.", _tex_table(report.main, report.caption, below)]
    parts += [_tex_table(sheet, "", []) for sheet in report.others]
    return "\n\n".join(parts) + "\n"


def _tex_table(sheet: Sheet, caption: str, below: list[str]) -> str:
    columns = [column for column in sheet.columns if not column.wide]
    lines = [
        r"\begin{table}",
        r"  \centering\small",
        f"  \\caption{{{_tex(sheet.title)}. {_tex(caption)}}}"
        if caption
        else f"  \\caption{{{_tex(sheet.title)}.}}",
        f"  \\begin{{tabular}}{{@{{}}{''.join('r' if c.number else 'l' for c in columns)}@{{}}}}",
        r"    \toprule",
        _tex_row([_tex(column.title) for column in columns]),
        r"    \midrule",
    ]
    for index, group in enumerate(sheet.groups):
        lines += [r"    \addlinespace"] if index and sheet.group_by else []
        for position, record in enumerate(group):
            lines.append(_tex_row([_tex_cell(record, column, position > 0) for column in columns]))
    lines += [r"    \bottomrule", r"  \end{tabular}"]
    if below:
        lines += [r"", r"  \smallskip", r"  \parbox{\linewidth}{\footnotesize"]
        lines += [f"    {text}\\par" for text in below] + ["  }"]
    return "\n".join(lines + [r"\end{table}"])


def _tex_row(cells: list[str]) -> str:
    # A bracket after the \\ of the line before would be read as its argument.
    guard = "{}" if cells[0].startswith(("[", "*")) else ""
    return f"    {guard}{' & '.join(cells)} \\\\"


def _tex_cell(record: Record, column: Column, repeated: bool) -> str:
    if column.shared and repeated:
        return ""
    letters = column.marks(record)
    return _tex(column.text(record)) + (f"\\textsuperscript{{{letters}}}" if letters else "")


def _tex(text: str) -> str:
    return "".join(_TEX.get(character, character) for character in text)


def to_html(report: Report) -> str:
    """Returns a self-contained page, which fetches and runs nothing; its charts are drawn for the 20 rows."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    drawn = report.name == ALGORITHMS
    charts = {"dots": dots(report) if drawn else "", "curves": curves(report) if drawn else ""}
    facts = {"code": _CODE, "long": _LONG, "not_run": NOT_RUN, "version": __version__}
    return environment.get_template("page.html.j2").render(report=report, **charts, **facts)
