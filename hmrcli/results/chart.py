"""The 20 rows as a dot chart in SVG: two figures each, on one axis of millimetres."""

import math
from collections.abc import Callable
from html import escape
from typing import NamedTuple

from hmrcli.results.sheet import Record, Report
from hmrcli.results.svg import svg_text

_WIDTH, _LEFT, _TOP = 880, 220, 58
"""Pixels: of the drawing, of the names at the left, of the legend above."""
_LINE, _GAP = 22, 14
"""Pixels: height of a row, and between groups."""
_NUMBER = 74
"""Pixels of a column of numbers at the right."""
_STEP = 5
"""Millimetres between lines of the grid."""


class _Series(NamedTuple):
    """A figure of each row."""

    key: str
    name: str
    """In the legend."""
    kind: str
    """Which mark: `published`, `measured` or `wild`."""


_SERIES = {
    "3dpw": (_Series("published", "published", "published"), _Series("pa_mpjpe_mm", "measured", "measured")),
    "open": (
        _Series("pa_mpjpe_mm", "open-test", "measured"),
        _Series("wild_pa_mpjpe_mm", "open-wild", "wild"),
    ),
}
"""By benchmark. Published figures are of other data than the open benchmark's, so that one axis cannot hold both."""

_Place = Callable[[float], float]
"""Millimetres to pixels."""


def chart(report: Report) -> str:
    """An `<svg>` of a report's rows; empty when no row has a figure to show."""
    sheet = report.main
    series = [
        each
        for each in _SERIES[report.benchmark]
        if any(record.get(each.key) is not None for record in sheet.records)
    ]
    figures = [value for record in sheet.records for each in series for value in _figures(record, each)]
    if not figures:
        return ""
    ends = {each: _WIDTH - 4.0 - _NUMBER * (len(series) - 1 - place) for place, each in enumerate(series)}
    low = _STEP * math.floor((min(figures) - 1) / _STEP)
    high = _STEP * math.ceil((max(figures) + 1) / _STEP)
    right = _WIDTH - 20 - _NUMBER * len(series)

    def place(value: float) -> float:
        return round(_LEFT + (value - low) / (high - low) * (right - _LEFT), 1)

    rows, y = [], float(_TOP)
    for group in sheet.groups:
        rows.append(svg_text(0, y + _LINE / 2, group[0]["algorithm"], "group"))
        for record in group:
            rows.append(_row(record, y + _LINE / 2, place, ends))
            y += _LINE
        y += _GAP
    bottom = y - _GAP
    axis = []
    for tick in range(low, high + 1, _STEP):
        x = place(tick)
        axis.append(f'<line class="grid" x1="{x}" x2="{x}" y1="{_TOP - 4}" y2="{bottom + 4}"/>')
        axis.append(svg_text(x, bottom + 18, str(tick), "tick", "middle"))
    axis.append(
        svg_text((_LEFT + right) / 2, bottom + 38, "PA-MPJPE, mm (lower is better)", "tick", "middle")
    )
    parts = [
        f'<svg viewBox="0 0 {_WIDTH} {bottom + 50:g}" role="img" aria-labelledby="chart-title chart-about">',
        f'<title id="chart-title">{escape(sheet.title)}</title>',
        '<desc id="chart-about">Marks on an axis of millimetres; the table below has the same numbers.</desc>',
        *_legend(ends),
        *axis,
        *rows,
        "</svg>",
    ]
    return "\n".join(parts)


def _figures(record: Record, series: _Series) -> list[float]:
    keys = (series.key, f"{series.key}_low", f"{series.key}_high")
    return [record[key] for key in keys if record.get(key) is not None]


def _row(record: Record, y: float, place: _Place, ends: dict[_Series, float]) -> str:
    found = {series: record[series.key] for series in ends if record.get(series.key) is not None}
    parts, told = [svg_text(_LEFT - 16, y, record["variant"], "name", "end")], []
    if len(found) == 2:
        start, end = found.values()
        parts.append(_line("apart", place(start), place(end), y))
    for series, value in found.items():
        text = f"{series.name} {value:.2f} mm"
        interval = _figures(record, series)[1:]
        if interval:
            low, high = interval
            parts.append(_line(f"interval {series.kind}", place(low), place(high), y))
            text += f" (95 % interval {low:.2f} to {high:.2f})"
        strong = " strong" if series.kind == "measured" else ""
        parts += [
            _MARKS[series.kind](place(value), y),
            svg_text(ends[series], y, f"{value:.2f}", f"number{strong}", "end"),
        ]
        told.append(text)
    about = f"{record['algorithm']} {record['variant']}: {', '.join(told) or 'not run'}"
    return f"<g><title>{escape(about)}</title>{''.join(parts)}</g>"


def _legend(ends: dict[_Series, float]) -> list[str]:
    parts, x, y = [], _LEFT, 14
    for series, end in ends.items():
        name = series.name
        if series.kind != "published":
            parts.append(_line(f"interval {series.kind}", x - 6, x + 18, y))
            name += ", with 95 % interval"
        parts += [_MARKS[series.kind](x + 6, y), svg_text(x + 26, y, name, "key")]
        parts.append(svg_text(end, _TOP - 16, series.name, "tick", "end"))
        x += 46 + 7 * len(name)
    return parts


def _circle(x: float, y: float) -> str:
    return f'<circle class="published" cx="{x:g}" cy="{y:g}" r="5"/>'


def _diamond(x: float, y: float) -> str:
    return f'<path class="measured" d="M{x:g} {y - 6:g}l6 6l-6 6l-6-6z"/>'


def _square(x: float, y: float) -> str:
    return f'<path class="wild" d="M{x - 4.5:g} {y - 4.5:g}h9v9h-9z"/>'


_MARKS: dict[str, Callable[[float, float], str]] = {
    "published": _circle,
    "measured": _diamond,
    "wild": _square,
}


def _line(kind: str, start: float, end: float, y: float) -> str:
    return f'<line class="{kind}" x1="{start:g}" x2="{end:g}" y1="{y:g}" y2="{y:g}"/>'
