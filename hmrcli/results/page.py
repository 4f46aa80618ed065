"""A report as one self-contained HTML page: nothing is fetched, and nothing runs."""

from html import escape

from hmrcli import __version__
from hmrcli.results.chart import chart
from hmrcli.results.curves import curves
from hmrcli.results.published import ALGORITHMS
from hmrcli.results.sheet import Column, Record, Report, Sheet, marks

# Marks differ in shape as well as hue; each verdict is also a word.
_STYLE = """
:root { color-scheme: light dark;
  --ink: #1b2430; --soft: #566273; --line: #dde2e9; --page: #f6f7f9; --card: #ffffff; --blue: #0060a8;
  --violet: #7a4b9d;
  --reproduced: #0b6b3a; --reproduced-back: #e2f4e9; --better: #00588f; --better-back: #e1f0fa;
  --worse: #9b2c1a; --worse-back: #fbe8e3; }
@media (prefers-color-scheme: dark) { :root {
  --ink: #e7ebf0; --soft: #a3adba; --line: #333c48; --page: #14181d; --card: #1c2229; --blue: #6cb8f5;
  --violet: #c79be8;
  --reproduced: #84dba8; --reproduced-back: #17382a; --better: #8ccbff; --better-back: #153249;
  --worse: #ffab99; --worse-back: #472018; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 40px 24px 56px; }
h1 { margin: 0 0 4px; font-size: 27px; line-height: 1.25; letter-spacing: -0.01em; }
h2 { margin: 40px 0 12px; font-size: 18px; }
p { margin: 0 0 8px; max-width: 84ch; }
.caption, .remarks, footer { color: var(--soft); }
.card { margin-top: 24px; padding: 20px 24px; background: var(--card); border: 1px solid var(--line);
  border-radius: 10px; overflow-x: auto; }
table { width: 100%; border-collapse: collapse; font-size: 14px; font-variant-numeric: tabular-nums; }
th { padding: 4px 8px 8px; text-align: left; font-size: 13px; font-weight: 600; color: var(--soft);
  border-bottom: 1px solid var(--ink); white-space: nowrap; }
td { padding: 5px 8px; vertical-align: baseline; white-space: nowrap; }
td.long { white-space: normal; }
th.first, td.first { padding-left: 0; }
th:last-child, td:last-child { padding-right: 0; }
tbody + tbody tr:first-child > * { border-top: 1px solid var(--line); }
td.number, th.number { text-align: right; }
td.group { font-weight: 600; }
td.shared { color: var(--soft); }
td.none { color: var(--soft); font-style: italic; }
td.code { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; font-size: 12.5px; }
sup { font-size: 0.72em; line-height: 0; color: var(--soft); margin-left: 1px; }
td.number sup { position: absolute; margin-top: 0.6em; }
.verdict { padding: 1px 9px; border-radius: 9px; font-size: 13px; font-weight: 600; }
.reproduced { color: var(--reproduced); background: var(--reproduced-back); }
.better { color: var(--better); background: var(--better-back); }
.worse { color: var(--worse); background: var(--worse-back); }
ol { margin: 24px 0 16px; padding-left: 22px; list-style: lower-alpha; }
li { max-width: 84ch; margin-bottom: 4px; }
footer { margin-top: 32px; font-size: 13px; }
svg { display: block; width: 100%; min-width: 640px; height: auto; }
svg text { fill: var(--ink); font-size: 13px; }
svg .group { font-weight: 600; font-size: 14px; }
svg .tick, svg .key { fill: var(--soft); font-size: 12px; }
svg .number { fill: var(--soft); font-variant-numeric: tabular-nums; }
svg .strong { fill: var(--blue); font-weight: 600; }
svg .grid { stroke: var(--line); }
svg .apart { stroke: var(--soft); stroke-dasharray: 2 3; }
svg .published { fill: var(--card); stroke: var(--soft); stroke-width: 2; }
svg .measured { fill: var(--blue); stroke: var(--card); stroke-width: 1; }
svg .wild { fill: var(--card); stroke: var(--violet); stroke-width: 2; }
svg .interval { fill: none; stroke: var(--blue); stroke-width: 3; stroke-linecap: round; opacity: 0.55; }
svg .interval.wild { stroke: var(--violet); }
svg path.grid { fill: none; }
svg .curve { fill: none; stroke-width: 2; stroke-linejoin: round; }
svg .curve circle { fill: var(--card); stroke-dasharray: none; stroke-width: 1.5; }
svg .c0 { stroke: var(--soft); stroke-dasharray: 6 3; }
svg .c1 { stroke: var(--blue); }
svg .c2 { stroke: var(--violet); stroke-dasharray: 2 3; }
svg .c3 { stroke: var(--worse); }
@media print { body { background: none; } .card { border: none; padding: 0; } }
""".strip()

_CODE = ("Recipe", "Run", "Checkpoint SHA-256", "Config")
"""Columns of things to type or to copy."""
_LONG = 24
"""Characters from which on a cell may take more than one line."""


def to_html(report: Report) -> str:
    """The page; its charts are drawn for the 20 rows."""
    drawn, learnt = (chart(report), curves(report)) if report.name == ALGORITHMS else ("", "")
    body = [
        f"<h1>{escape(report.main.title)}</h1>",
        f'<p class="caption">{escape(report.caption)}</p>',
        f'<div class="card">{drawn}</div>' if drawn else "",
        f'<div class="card">{_table(report.main)}</div>',
        _notes(report),
        *(
            f'<h2>{escape(sheet.title)}</h2><div class="card">{_table(sheet)}</div>'
            for sheet in report.others
        ),
        f'<h2>PA-MPJPE in mm while training</h2><div class="card">{learnt}</div>' if learnt else "",
        f"<footer>hmr {escape(__version__)}</footer>",
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(report.main.title)}</title>\n<style>\n{_STYLE}\n</style>\n</head>\n"
        f"<body>\n<main>\n{chr(10).join(part for part in body if part)}\n</main>\n</body>\n</html>\n"
    )


def _notes(report: Report) -> str:
    items = "".join(f"<li>{escape(text)}</li>" for text in report.notes.values())
    remarks = "".join(f"<p>{escape(remark)}</p>" for remark in report.remarks)
    return (f"<ol>{items}</ol>" if items else "<br>") + f'<div class="remarks">{remarks}</div>'


def _table(sheet: Sheet) -> str:
    heads = "".join(
        f'<th scope="col"{_class(_kinds(sheet, c))}>{escape(c.title)}</th>' for c in sheet.columns
    )
    bodies = []
    for group in sheet.groups:
        rows = "".join(
            f"<tr>{_cells(sheet, record, position, group)}</tr>" for position, record in enumerate(group)
        )
        bodies.append(f"<tbody>{rows}</tbody>")
    # Without groups one body holds all rows, so that no line parts them.
    joined = "".join(bodies) if sheet.group_by else "".join(bodies).replace("</tbody><tbody>", "")
    return f"<table><thead><tr>{heads}</tr></thead>{joined}</table>"


def _cells(sheet: Sheet, record: Record, position: int, group: list[Record]) -> str:
    cells = []
    for column in sheet.columns:
        if column.shared and position:
            continue
        span = f' rowspan="{len(group)}"' if column.shared and len(group) > 1 else ""
        text = column.text(record)
        kinds = _kinds(sheet, column)
        kinds += ["none"] if text == "not run" else []
        kinds += ["long"] if len(text) > _LONG else []
        if column.shared:
            kinds.append("group" if column is sheet.columns[0] else "shared")
        cells.append(f"<td{span}{_class(kinds)}>{_content(record, column, text)}</td>")
    return "".join(cells)


def _content(record: Record, column: Column, text: str) -> str:
    if column.styled and text:
        return f'<span class="verdict {escape(text)}">{escape(text)}</span>'
    letters = marks(record, column)
    return escape(text) + (f"<sup>{letters}</sup>" if letters else "")


def _kinds(sheet: Sheet, column: Column) -> list[str]:
    kinds = {
        "first": column is sheet.columns[0],
        "number": column.number,
        "code": column.title in _CODE,
    }
    return [kind for kind, is_so in kinds.items() if is_so]


def _class(kinds: list[str]) -> str:
    return f' class="{" ".join(kinds)}"' if kinds else ""
