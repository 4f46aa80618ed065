"""Keeps what a run leaves behind for a reader: metrics by the step, TensorBoard events, surroundings."""

import json
import subprocess
import threading
from collections.abc import Mapping
from contextlib import nullcontext, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hmrcli import __version__
from hmrcli.environment import describe
from hmrcli.errors import BadInput
from hmrcli.files import whole_file
from hmrcli.recipe import Recipe
from hmrcli.training.curves import CURVES_FILE, draw_curves
from hmrcli.training.metrics import ENVIRONMENT_FILE, METRICS_FILE, NEXT, RECIPE_FILE, read_metrics


class Record:
    """Keeps the record of a run; lines of steps that a resumed run is about to repeat are dropped."""

    def __init__(
        self, folder: Path, recipe: Recipe, start: int, device: str, notes: Mapping[str, Any]
    ) -> None:
        """Opens the record.

        Args:
            device: where the network runs, as torch names it.
            notes: further facts, such as sets that were left out.
        """
        from torch.utils.tensorboard import SummaryWriter

        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        with whole_file(folder / RECIPE_FILE) as temporary:
            temporary.write_text(recipe.dump(), encoding="utf-8")
        self._describe(start, device, {"seed": recipe.seed, **notes})
        kept = [line for line in read_metrics(folder) if line["step"] <= start]
        with whole_file(folder / METRICS_FILE) as temporary:
            temporary.write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")
        self._lines = (folder / METRICS_FILE).open("a", encoding="utf-8")
        self._undrawn = not (folder / CURVES_FILE).is_file() or start > 0
        threading.excepthook = _hold_back
        self._events = SummaryWriter(str(folder), purge_step=start + 1 if start else None)

    def write(self, step: int, epoch: int, **groups: Mapping[str, float] | float) -> None:
        """Adds a line to the metrics and its numbers to TensorBoard.

        Args:
            epoch: of the last of them, from 0.
            groups: named numbers, or mappings of them, such as `loss={"total": 1.5}`.
        """
        self._lines.write(json.dumps({"step": step, "epoch": epoch, **groups}, allow_nan=False) + "\n")
        self._lines.flush()
        self._undrawn = True
        for group, values in groups.items():
            named = values if isinstance(values, Mapping) else {"": values}
            for name, value in named.items():
                self._events.add_scalar(f"{group}/{name}".rstrip("/"), value, step)

    def __enter__(self) -> "Record":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with nullcontext() if kind is None else suppress(Exception):  # what ended the run is what is said
            self.close()

    def close(self) -> None:
        """Writes what is still held back, and the curves."""
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
        with whole_file(path) as temporary:
            temporary.write_text(json.dumps(now, indent=2) + "\n", encoding="utf-8")


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
        done = subprocess.run(
            ["git", "-C", str(package), "rev-parse", "HEAD"], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
