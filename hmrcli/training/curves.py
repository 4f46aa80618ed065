"""A run's curves: its losses, smoothed, and below them each validation figure on a scale of its own."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hmrcli.files import whole_file
from hmrcli.training.metrics import read_metrics

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CURVES_FILE = "curves.png"


def draw_curves(folder: Path) -> None:
    """Draws a run's losses, smoothed, and below them each validation figure on a scale of its own."""
    from matplotlib.figure import Figure

    lines = read_metrics(folder)
    losses, tested = ([line for line in lines if group in line] for group in ("loss", "validation"))
    names = list(tested[-1]["validation"]) if tested else []
    rows = ([["loss"] * max(1, len(names))] if losses else []) + ([names] if names else [])
    if not rows:
        return
    # Margins are fixed: a layout that measures every text draws all of it twice.
    figure, inch = Figure(figsize=(9, 3.6 * len(rows))), 1 / (3.6 * len(rows))
    margins = {"left": 0.08, "right": 0.82, "bottom": 0.55 * inch, "top": 1 - 0.35 * inch}
    axes = figure.subplot_mosaic(rows, gridspec_kw={**margins, "wspace": 0.3, "hspace": 0.35})
    for axis in axes.values():
        axis.set_xlabel("step")
        axis.locator_params(axis="x", integer=True)
        axis.spines[["top", "right"]].set_visible(False)
    for name in names:
        points = [(line["step"], line["validation"][name]) for line in tested if name in line["validation"]]
        axes[name].plot(*zip(*points), "o-", linewidth=1.2, markersize=3)
        axes[name].set_title(f"{name.replace('_', ' ')}, test set: {points[-1][1]:.1f}", fontsize=9)
    if losses:
        _draw_losses(axes["loss"], losses)
    with whole_file(folder / CURVES_FILE) as temporary:
        figure.savefig(temporary, dpi=110)


def _draw_losses(axis: "Axes", lines: Sequence[dict[str, Any]]) -> None:
    """Draws each term's running mean over a fiftieth of the run, over its values in a pale tone."""
    from matplotlib.ticker import LogLocator, NullLocator

    window = max(1, len(lines) // 50)
    lowest, highest = np.inf, 0.0
    for name in lines[-1]["loss"]:
        points = [(line["step"], line["loss"][name]) for line in lines if name in line["loss"]]
        steps, values = np.array(points).T
        (pale,) = axis.plot(steps, values, linewidth=0.8, alpha=0.2)
        added = np.cumsum(np.insert(values, 0, 0))
        means = (added[window:] - added[:-window]) / window
        label = name.replace("_", " ")
        axis.plot(steps[window - 1 :], means, color=pale.get_color(), linewidth=1.4, label=label)
        lowest = min(lowest, means[means > 0].min(initial=np.inf))
        highest = max(highest, means.max(initial=0))
    if highest > 0:
        axis.set_yscale("log")
        axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.yaxis.set_major_formatter("{x:g}")
        axis.yaxis.set_minor_locator(NullLocator())
        # Terms that fade to nothing, such as priors, would press the others together.
        axis.set_ylim(max(lowest, 1e-4 * highest) / 1.5, 2 * highest)
    axis.set_ylabel("weighted loss")
    axis.legend(frameon=False, fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
