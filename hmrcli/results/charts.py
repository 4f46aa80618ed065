"""Charts of the 20 rows in SVG: their figures on one axis of millimetres, and how recipes learn."""

import io
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from hmrcli.recipe.protocols import OPEN, PUBLISHED
from hmrcli.results.report import Record, Report

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = {"ink": "#1b2430", "soft": "#566273", "line": "#dde2e9", "card": "#fffffe", "blue": "#0060a8",
           "violet": "#7a4b9d", "worse": "#9b2c1a"}  # fmt: skip
"""Those of the page by name, which has others for dark screens."""
_VARIANTS = (("soft", "--"), ("blue", "-"), ("violet", ":"), ("worse", "-"))
"""Colour and line of the curve of each way of training."""
_PANELS = 3
"""Side by side."""


class _Series(NamedTuple):
    """A figure of each row."""

    key: str
    name: str
    colour: str
    mark: str

    @property
    def looks(self) -> dict[str, Any]:
        """Arguments of matplotlib; measured figures are filled."""
        colour = COLOURS[self.colour]
        return {"color": colour, "markerfacecolor": colour if self.mark == "D" else COLOURS["card"]}

    def interval(self, record: Record) -> list[float]:
        """Returns the ends of a row's interval; nothing where it has none."""
        ends = [record.get(f"{self.key}{end}") for end in ("_low", "_high")]
        return [end for end in ends if end is not None]

    def told(self, record: Record) -> str:
        """Returns the figure in words."""
        interval = " to ".join(f"{end:.2f}" for end in self.interval(record))
        return f"{self.name} {record[self.key]:.2f} mm" + (f" (95 % interval {interval})" if interval else "")


_SERIES = {
    PUBLISHED: (_Series("published", "published", "soft", "o"), _Series("pa_mpjpe_mm", "measured", "blue", "D")),
    OPEN: (_Series("pa_mpjpe_mm", "open-test", "blue", "D"), _Series("wild_pa_mpjpe_mm", "open-wild", "violet", "s")),
}  # fmt: skip
"""By benchmark. Published figures are of other data than the open benchmark's, so that one axis cannot hold both."""


def dots(report: Report) -> str:
    """Draws the figures of all rows on one axis; returns nothing where no row has one."""
    records = report.main.records
    series = [each for each in _SERIES[report.benchmark] if any(r.get(each.key) is not None for r in records)]
    if not series:
        return ""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MultipleLocator

    figure = Figure(figsize=(9.4, 1.5 + 0.26 * len(records)), layout="constrained")
    axis = figure.subplots()
    columns = {each: 1 + 0.12 * number for number, each in enumerate(series, 1)}
    start: dict[str, Any] = {"transform": axis.get_yaxis_transform(), "va": "center"}
    places: list[float] = []
    for group in report.main.groups:
        places += [(places[-1] + 1.7 if places else 0) + row for row in range(len(group))]
        axis.text(-0.29, places[-len(group)], group[0]["algorithm"], weight="bold", **start)
    for place, record in zip(places, records):
        found = {each: record[each.key] for each in series if record.get(each.key) is not None}
        told = f"{_name(record)}: {', '.join(each.told(record) for each in found)}"
        axis.plot([*found.values()], [place] * len(found), ":", color=COLOURS["soft"], linewidth=1)
        for each, value in found.items():
            colour = COLOURS[each.colour]
            if interval := each.interval(record):
                axis.plot(interval, [place] * 2, color=colour, linewidth=3, alpha=0.5, solid_capstyle="round")
            axis.plot([value], [place], each.mark, **each.looks, gid=f"told:{told}")
            axis.text(columns[each], place, f"{value:.2f}", ha="right", color=colour, size=9, **start)
    for each, column in columns.items():
        label = each.name + ("" if each.key == "published" else ", with 95 % interval")
        axis.plot([], [], each.mark, **each.looks, label=label)
        axis.text(column, -1.2, each.name, ha="right", color=COLOURS["soft"], size=9, **start)
    axis.set_yticks(places, [record["variant"] for record in records])
    axis.set_ylim(places[-1] + 0.8, -0.8)
    axis.xaxis.set_major_locator(MultipleLocator(5))
    axis.set_xlabel("PA-MPJPE, mm (lower is better)")
    figure.legend(loc="outside upper left", frameon=False, ncols=2, labelcolor=COLOURS["soft"])
    return _svg(figure, report.main.title)


def curves(report: Report) -> str:
    """Draws errors while training against images seen, a panel for each algorithm; nothing where none has two."""
    learnt = [[r for r in group if len(r.get("curve") or []) > 1] for group in report.main.groups]
    groups = [group for group in learnt if group]
    if not groups:
        return ""
    from matplotlib.figure import Figure
    from matplotlib.ticker import EngFormatter

    rows = -(-len(groups) // _PANELS)
    figure = Figure(figsize=(9.4, 0.5 + 2.5 * rows), layout="constrained")
    panels = figure.subplots(rows, _PANELS, sharex=True, sharey=True, squeeze=False).flatten().tolist()
    lines = dict(zip(dict.fromkeys(record["variant"] for record in report.main.records), _VARIANTS))
    for axis, group in zip(panels, groups):
        axis.set_title(group[0]["algorithm"], loc="left", weight="bold", fontsize=10)
        axis.set_xlabel("images seen")
        axis.xaxis.set_major_formatter(EngFormatter(sep=""))
        axis.tick_params(labelbottom=True, labelleft=True)
        axis.grid(axis="y", color=COLOURS["line"])
        for record in group:
            colour, line = lines[record["variant"]]
            images, errors = zip(*record["curve"])
            told = f"told:{_name(record)}: {errors[-1]:.2f} mm after {images[-1]:,} images"
            axis.plot(images, errors, line, marker="o", markersize=3, color=COLOURS[colour], gid=told)
    for axis in panels[len(groups) :]:
        axis.remove()
    for variant, (colour, line) in lines.items():
        panels[0].plot([], [], line, color=COLOURS[colour], label=variant)
    figure.legend(loc="outside upper left", frameon=False, ncols=len(lines), labelcolor=COLOURS["soft"])
    return _svg(figure, "PA-MPJPE on the test set while training, by images seen")


def _name(record: Record) -> str:
    return f"{record['algorithm']} {record['variant']}"


def _svg(figure: "Figure", title: str) -> str:
    """Returns a figure as SVG in the colours of the page, its text as text."""
    import matplotlib

    figure.set_facecolor("none")
    for axis in figure.axes:
        axis.set_facecolor("none")
        axis.spines[:].set_visible(False)
        axis.grid(axis="x", color=COLOURS["line"])
        axis.set_axisbelow(True)
        axis.tick_params(length=0, colors=COLOURS["soft"], labelsize=9)
        axis.xaxis.label.set(color=COLOURS["soft"], size=9)
    for text in figure.findobj(matplotlib.text.Text):
        if str(text.get_color()) == "black":
            text.set_color(COLOURS["ink"])
    stream = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "hmr"}):
        figure.savefig(stream, format="svg", bbox_inches="tight", metadata={"Title": title, **nothing})
    svg = stream.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<g id="told:([^"]*)">', r"<g><title>\1</title>", svg)
    svg = re.sub(r'<g id="[^"]*">', "<g>", svg)  # another chart on the page has the same names
    for name, colour in COLOURS.items():
        svg = svg.replace(colour, f"var(--{name})")
    return svg
