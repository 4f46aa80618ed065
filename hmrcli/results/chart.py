"""The 20 rows as a dot chart in SVG: published and measured on one axis of millimetres."""

import math
from collections.abc import Callable
from html import escape

from hmrcli.results.sheet import Record, Sheet

_WIDTH, _LEFT, _TOP = 880, 220, 58
"""Pixels: of the drawing, of the names at the left, of the legend above."""
_LINE, _GAP = 22, 14
"""Pixels: height of a row, and between groups."""
_NUMBER = 74
"""Pixels of a column of numbers at the right."""
_STEP = 5
"""Millimetres between lines of the grid."""

_Place = Callable[[float], float]
"""Millimetres to pixels."""


def chart(sheet: Sheet) -> str:
    """An `<svg>` of a sheet's rows; empty when no row has a figure to show."""
    figures = [value for record in sheet.records for value in _figures(record)]
    if not figures:
        return ""
    kinds = [
        key for key in ("published", "pa_mpjpe_mm") if any(r.get(key) is not None for r in sheet.records)
    ]
    ends = {key: _WIDTH - 4.0 - _NUMBER * place for place, key in enumerate(reversed(kinds))}
    low = _STEP * math.floor((min(figures) - 1) / _STEP)
    high = _STEP * math.ceil((max(figures) + 1) / _STEP)
    right = _WIDTH - 20 - _NUMBER * len(kinds)

    def place(value: float) -> float:
        return round(_LEFT + (value - low) / (high - low) * (right - _LEFT), 1)

    rows, y = [], float(_TOP)
    for group in sheet.groups:
        rows.append(_text(0, y + _LINE / 2, group[0]["algorithm"], "group"))
        for record in group:
            rows.append(_row(record, y + _LINE / 2, place, ends))
            y += _LINE
        y += _GAP
    bottom = y - _GAP
    axis = []
    for tick in range(low, high + 1, _STEP):
        x = place(tick)
        axis.append(f'<line class="grid" x1="{x}" x2="{x}" y1="{_TOP - 4}" y2="{bottom + 4}"/>')
        axis.append(_text(x, bottom + 18, str(tick), "tick", "middle"))
    axis.append(_text((_LEFT + right) / 2, bottom + 38, "PA-MPJPE, mm (lower is better)", "tick", "middle"))
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


def _figures(record: Record) -> list[float]:
    keys = ("published", "pa_mpjpe_mm", "pa_mpjpe_mm_low", "pa_mpjpe_mm_high")
    return [record[key] for key in keys if record.get(key) is not None]


def _row(record: Record, y: float, place: _Place, ends: dict[str, float]) -> str:
    published, measured = record.get("published"), record.get("pa_mpjpe_mm")
    parts, told = [_text(_LEFT - 16, y, record["variant"], "name", "end")], []
    if published is not None and measured is not None:
        parts.append(_line("apart", place(published), place(measured), y))
    if published is not None:
        parts += [
            _circle(place(published), y),
            _text(ends["published"], y, f"{published:.2f}", "number", "end"),
        ]
        told.append(f"published {published:.2f} mm")
    if measured is not None:
        low, high = record["pa_mpjpe_mm_low"], record["pa_mpjpe_mm_high"]
        parts += [_line("interval", place(low), place(high), y), _diamond(place(measured), y)]
        parts.append(_text(ends["pa_mpjpe_mm"], y, f"{measured:.2f}", "number strong", "end"))
        told.append(f"measured {measured:.2f} mm (95 % interval {low:.2f} to {high:.2f})")
    about = f"{record['algorithm']} {record['variant']}: {', '.join(told) or 'not run'}"
    return f"<g><title>{escape(about)}</title>{''.join(parts)}</g>"


def _legend(ends: dict[str, float]) -> list[str]:
    parts, x, y = [], _LEFT, 14
    if "published" in ends:
        parts += [_circle(x + 6, y), _text(x + 18, y, "published", "key")]
        parts.append(_text(ends["published"], _TOP - 16, "published", "tick", "end"))
        x += 110
    if "pa_mpjpe_mm" in ends:
        parts += [_line("interval", x - 6, x + 18, y), _diamond(x + 6, y)]
        parts.append(_text(x + 26, y, "measured, with 95 % interval", "key"))
        parts.append(_text(ends["pa_mpjpe_mm"], _TOP - 16, "measured", "tick", "end"))
    return parts


def _circle(x: float, y: float) -> str:
    return f'<circle class="published" cx="{x:g}" cy="{y:g}" r="5"/>'


def _diamond(x: float, y: float) -> str:
    return f'<path class="measured" d="M{x:g} {y - 6:g}l6 6l-6 6l-6-6z"/>'


def _line(kind: str, start: float, end: float, y: float) -> str:
    return f'<line class="{kind}" x1="{start:g}" x2="{end:g}" y1="{y:g}" y2="{y:g}"/>'


def _text(x: float, y: float, text: str, kind: str, anchor: str = "start") -> str:
    place = f'x="{x:g}" y="{y:g}" text-anchor="{anchor}" dominant-baseline="central"'
    return f'<text class="{kind}" {place}>{escape(text)}</text>'
