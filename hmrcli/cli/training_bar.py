"""Shows the steps of `hmr train`."""

import time
from datetime import timedelta
from typing import TYPE_CHECKING

from hmrcli.cli.console import log

if TYPE_CHECKING:
    from hmrcli.training.settings import Progress


class TrainingBar:
    """Shows steps, time left, epoch, speed and losses on stderr: a bar for a person, lines for a log."""

    EVERY = 60.0
    """Seconds between lines in an epoch; each has one at its end."""

    def __init__(self, shown: bool) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar
        from rich.table import Column

        # What stands first keeps its width; what comes after is cut to what is left.
        whole = Column(no_wrap=True, min_width=1)
        rest = Column(no_wrap=True, overflow="ellipsis", ratio=1)
        columns = (
            BarColumn(bar_width=max(4, min(20, log.width // 6)), table_column=whole),
            MofNCompleteColumn(table_column=whole),
            TimeRemainingColumn(table_column=whole),
            TextColumn("{task.fields[rest]}", table_column=rest),
        )
        self.bar = Bar(
            *columns, console=log, disable=not (shown and log.is_terminal), transient=True, expand=True
        )
        self.task = self.bar.add_task("steps", total=None, rest="")
        self.lines = shown and not log.is_terminal
        self.began = self.told = time.monotonic()
        self.start: int | None = None

    def __enter__(self) -> "TrainingBar":
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def __call__(self, now: "Progress") -> None:
        """Shows where a run stands."""
        losses = "  ".join(f"{name} {value:.3g}" for name, value in now.losses.items())
        speed = f"{now.images_per_second:.0f} images/s, {now.waiting:.0%} waiting for data"
        rest = f"epoch {now.epoch + 1}  {speed}  {losses}"
        self.bar.update(self.task, completed=now.step, total=now.steps, rest=rest)
        clock = time.monotonic()
        if self.start is None:  # the first step warms up
            self.start, self.began = now.step, clock
        if self.lines and (now.ends or clock - self.told > self.EVERY):
            self.told = clock
            each = (clock - self.began) / max(1, now.step - self.start)
            left = timedelta(seconds=round(each * (now.steps - now.step)))
            log.print(f"step {now.step}/{now.steps}, {left} left, {rest}", soft_wrap=True, markup=False)
