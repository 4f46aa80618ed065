"""How recipes learn, in SVG: error against images seen, a panel for each algorithm."""

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from hmrcli.results.sheet import Record, Report
from hmrcli.results.svg import svg_text

_PANEL, _HEIGHT, _GAP = 262, 200, 30
"""Pixels: width and height of a panel's axes, and between panels."""
_LEFT, _TOP, _BELOW = 44, 66, 54
"""Pixels: for the numbers at the left, the legend and a panel's title above, and the numbers below."""
_COLUMNS = 3
_TICKS = 4
"""Lines of a grid in each direction, about."""


class _Axes(NamedTuple):
    """What all panels share."""

    right: float
    """Images at the right end."""
    stride: float
    """Images between numbers."""
    low: float
    high: float
    step: float
    """Millimetres: the ends, and between lines of the grid."""

    def place(self, images: float, error: float) -> tuple[float, float]:
        """Pixels from a panel's upper left corner."""
        return _PANEL * images / self.right, _HEIGHT * (self.high - error) / (self.high - self.low)


def curves(report: Report) -> str:
    """An `<svg>` of the errors while training; empty where no row has at least two of them."""
    groups = [group for group in report.main.groups if any(map(_points, group))]
    if not groups:
        return ""
    axes = _axes([point for group in groups for record in group for point in _points(record)])
    variants = list(dict.fromkeys(record["variant"] for record in report.main.records))
    rows = -(-len(groups) // _COLUMNS)
    width = _COLUMNS * (_LEFT + _PANEL + _GAP)
    height = _TOP + rows * (_HEIGHT + _BELOW + _GAP) - _GAP
    parts = [
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-labelledby="curves-title">',
        '<title id="curves-title">PA-MPJPE on the test set while training, by images seen</title>',
    ]
    for number, variant in enumerate(variants):
        left = _LEFT + 150 * number
        parts.append(f'<path class="curve c{number}" d="M{left} 12h26"/>')
        parts.append(svg_text(left + 34, 12, variant, "key"))
    for number, group in enumerate(groups):
        left = _LEFT + number % _COLUMNS * (_LEFT + _PANEL + _GAP)
        top = _TOP + number // _COLUMNS * (_HEIGHT + _BELOW + _GAP)
        parts += _grid(axes, left, top, group[0]["algorithm"])
        parts += [
            _curve(axes, left, top, record, variants.index(record["variant"]))
            for record in group
            if _points(record)
        ]
    return "\n".join([*parts, "</svg>"])


def _axes(points: Sequence[tuple[int, float]]) -> _Axes:
    right = max(images for images, _ in points)
    least, most = min(error for _, error in points), max(error for _, error in points)
    step = _ceiling((most - least + 1) / _TICKS)
    return _Axes(right, _ceiling(right / _TICKS), step * (least // step), step * (most // step + 1), step)


def _grid(axes: _Axes, left: float, top: float, title: str) -> list[str]:
    parts = [svg_text(left, top - 16, title, "group")]
    for tick in range(round((axes.high - axes.low) / axes.step) + 1):
        error = axes.low + tick * axes.step
        y = top + axes.place(0, error)[1]
        parts.append(f'<path class="grid" d="M{left} {y:.1f}h{_PANEL}"/>')
        parts.append(svg_text(left - 8, y, f"{error:g}", "tick", "end"))
    for tick in range(int(axes.right // axes.stride) + 1):
        images = tick * axes.stride
        x = left + axes.place(images, 0)[0]
        parts.append(svg_text(x, top + _HEIGHT + 16, _short(images), "tick", "middle"))
    return [*parts, svg_text(left + _PANEL / 2, top + _HEIGHT + 36, "images seen", "tick", "middle")]


def _curve(axes: _Axes, left: float, top: float, record: Record, number: int) -> str:
    placed = [(left + x, top + y) for x, y in (axes.place(*point) for point in _points(record))]
    line = "L".join(f"{x:.1f} {y:.1f}" for x, y in placed)
    dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5"/>' for x, y in placed)
    return f'<g class="curve c{number}"><title>{_told(record)}</title><path d="M{line}"/>{dots}</g>'


def _points(record: Record) -> list[tuple[int, float]]:
    """Images seen and mm; empty for a single point, which is no curve."""
    found = record.get("curve") or []
    return [(images, error) for images, error in found] if len(found) > 1 else []


def _told(record: Record) -> str:
    images, error = _points(record)[-1]
    return escape(f"{record['algorithm']} {record['variant']}: {error:.2f} mm after {images:,} images")


def _ceiling(value: float) -> float:
    """The next of 1, 2, 5, 10, 20, 50, …"""
    power = 1.0
    while power * 10 <= value:
        power *= 10
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= value)


def _short(count: float) -> str:
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if count >= size:
            return f"{count / size:g}{letter}"
    return f"{count:g}"
