"""How recipes learn, in SVG: error against images seen, a panel for each algorithm."""

from html import escape

from hmrcli.results.sheet import Record, Report
from hmrcli.results.svg import svg_text

_PANEL, _HEIGHT, _GAP = 262, 200, 30
"""Pixels: width and height of a panel's axes, and between panels."""
_LEFT, _TOP, _BELOW = 44, 66, 54
"""Pixels: for the numbers at the left, the legend and a panel's title above, and the numbers below."""
_COLUMNS = 3
_TICKS = 4
"""Lines of a grid in each direction, about."""


def curves(report: Report) -> str:
    """An `<svg>` of the errors while training; empty where no row has at least two of them."""
    groups = [group for group in report.main.groups if any(_points(record) for record in group)]
    if not groups:
        return ""
    points = [point for group in groups for record in group for point in _points(record)]
    right = _ceiling(max(images for images, _ in points))
    step = _ceiling((max(e for _, e in points) - min(e for _, e in points) + 1) / _TICKS)
    low = step * (min(error for _, error in points) // step)
    high = step * (max(error for _, error in points) // step + 1)
    rows = -(-len(groups) // _COLUMNS)
    width = _COLUMNS * (_LEFT + _PANEL) + (_COLUMNS - 1) * _GAP
    height = _TOP + rows * (_HEIGHT + _BELOW + _GAP)
    variants = list(dict.fromkeys(record["variant"] for record in report.main.records))
    parts = [
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-labelledby="curves-title">',
        '<title id="curves-title">PA-MPJPE on the test set while training, by images seen</title>',
    ]
    for number, variant in enumerate(variants):
        x = _LEFT + 150 * number
        parts.append(f'<path class="curve c{number}" d="M{x} 12h26"/>')
        parts.append(svg_text(x + 34, 12, variant, "key"))
    for number, group in enumerate(groups):
        left = _LEFT + number % _COLUMNS * (_LEFT + _PANEL + _GAP)
        top = _TOP + number // _COLUMNS * (_HEIGHT + _BELOW + _GAP)
        parts.append(svg_text(left, top - 16, group[0]["algorithm"], "group"))
        ticks = round((high - low) / step)
        for tick in range(ticks + 1):
            y = top + _HEIGHT * (1 - tick / ticks)
            parts.append(f'<path class="grid" d="M{left} {y:.1f}h{_PANEL}"/>')
            parts.append(svg_text(left - 8, y, f"{low + tick * step:g}", "tick", "end"))
        for share in (0.0, 0.5, 1.0):
            parts.append(
                svg_text(left + _PANEL * share, top + _HEIGHT + 16, _short(right * share), "tick", "middle")
            )
        parts.append(svg_text(left + _PANEL / 2, top + _HEIGHT + 36, "images seen", "tick", "middle"))
        for record in group:
            placed = [
                (left + _PANEL * images / right, top + _HEIGHT * (high - error) / (high - low))
                for images, error in _points(record)
            ]
            if placed:
                line = "L".join(f"{x:.1f} {y:.1f}" for x, y in placed)
                kind = f"curve c{variants.index(record['variant'])}"
                parts.append(f'<path class="{kind}" d="M{line}"><title>{_told(record)}</title></path>')
    return "\n".join([*parts, "</svg>"])


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
