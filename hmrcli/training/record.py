"""Keeps what a run leaves behind for a reader: metrics by the step, their curves, TensorBoard events, surroundings."""

import json
import subprocess
import threading
from collections.abc import Mapping, Sequence
from contextlib import nullcontext, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hmrcli import __version__
from hmrcli.environment import describe
from hmrcli.errors import BadInput
from hmrcli.files import whole_file, write_whole
from hmrcli.recipe import Recipe
from hmrcli.training.metrics import ENVIRONMENT_FILE, METRICS_FILE, NEXT, RECIPE_FILE, read_metrics

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CURVES_FILE = "curves.png"


class Record:
    """Keeps the record of a run; lines of steps that a resumed run is about to repeat are dropped."""

    def __init__(
        self, folder: Path, recipe: Recipe, start: int, device: str, notes: Mapping[str, Any]
    ) -> None:
        """Opens the record; `device` is as torch names it, `notes` are further facts, such as sets left out."""
        from torch.utils.tensorboard import SummaryWriter

        self.folder = folder
        write_whole(folder / RECIPE_FILE, recipe.dump())
        self._describe(start, device, {"seed": recipe.seed, **notes})
        kept = [line for line in read_metrics(folder) if line["step"] <= start]
        write_whole(folder / METRICS_FILE, "".join(json.dumps(line) + "\n" for line in kept))
        self._lines = (folder / METRICS_FILE).open("a", encoding="utf-8")
        self._undrawn = not (folder / CURVES_FILE).is_file() or start > 0
        threading.excepthook = _hold_back
        self._events = SummaryWriter(str(folder), purge_step=start + 1 if start else None)

    def write(self, step: int, epoch: int, **groups: Mapping[str, float]) -> None:
        """Adds a line to the metrics and its numbers to TensorBoard.

        Args:
            epoch: of the step, from 0.
            groups: named numbers, such as `loss={"total": 1.5}`.
        """
        self._lines.write(json.dumps({"step": step, "epoch": epoch, **groups}, allow_nan=False) + "\n")
        self._lines.flush()
        self._undrawn = True
        for group, values in groups.items():
            for name, value in values.items():
                self._events.add_scalar(f"{group}/{name}", value, step)

    def __enter__(self) -> "Record":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Writes what is still held back, and the curves."""
        with nullcontext() if kind is None else suppress(Exception):  # what ended the run is what is said
            self._lines.close()
            self._events.close()
            self.draw()

    def draw(self) -> None:
        """Draws the curves, unless they show everything already."""
        if self._undrawn:
            draw_curves(self.folder)
            self._undrawn = False

    def _describe(self, start: int, device: str, notes: Mapping[str, Any]) -> None:
        """Writes where and how the run was made; each time it was resumed is added to the first."""
        path = self.folder / ENVIRONMENT_FILE
        now = {
            **describe(device),
            **notes,
            "version": __version__,
            "git_commit": git_commit(),
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        if start and path.is_file():
            try:
                first = json.loads(path.read_text(encoding="utf-8"))
                now = {**first, "resumed": [*first.get("resumed", []), {"step": start, **now}]}
            except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
                raise BadInput(f"{path}: is not what `hmr train` writes; {NEXT}") from error
        write_whole(path, json.dumps(now, indent=2) + "\n")


def _hold_back(args: threading.ExceptHookArgs) -> None:
    """Prints no error of disk or memory in the thread that writes events, which hands it to the next call."""
    if not isinstance(args.exc_value, OSError | MemoryError):
        threading.__excepthook__(args)


def git_commit() -> str | None:
    """Gives the commit of the checkout that the package runs from; None where it is installed."""
    package = Path(__file__).resolve().parents[2]
    if not (package / ".git").exists():
        return None
    try:
        return subprocess.check_output(
            ["git", "-C", str(package), "rev-parse", "HEAD"], text=True, stderr=subprocess.DEVNULL
        ).strip()
    except (OSError, subprocess.CalledProcessError):
        return None


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
