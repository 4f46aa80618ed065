"""What commands take from a cold start: those that compute nothing, and one photo beside the import of torch alone.

    python benchmarks/startup.py

Each run is a process of its own, and one before warms up; medians. Commands that compute nothing are measured in time
of the processor, so that a busy machine changes little; photos by the clock, which wants two quiet cores.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

if sys.platform != "win32":
    import resource

COMMANDS = {"--help": 0.3, "table": 0.7, "train --recipe hmr_l1 --dry-run": 1.5}
"""And the most that each should take, on a core of a server of 2023."""
HOUSE = Path(__file__).resolve().parents[1]
PHOTO = HOUSE / "data/photos/walk.jpg"
SAVES = ("json", "overlay,mesh,json")
ROUNDS = 5


class Cost(NamedTuple):
    """The cost of one process."""

    seconds: float
    """By the clock."""
    cpu: float


def cost(*arguments: str) -> Cost:
    """Runs Python with arguments."""
    # Bytecode is kept, as after an installation, wherever the environment forbids it.
    kept = {
        "PYTHONPYCACHEPREFIX": str(Path(tempfile.gettempdir(), "hmr-startup")),
        "PYTHONDONTWRITEBYTECODE": "",
    }
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, **kept, "PYTHONPATH": str(HOUSE)},
        stdout=subprocess.DEVNULL,
        check=True,
    )
    seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return Cost(seconds, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)


def main() -> None:
    for command, wanted in COMMANDS.items():
        costs = [cost("-m", "hmrcli", *command.split()) for _ in range(1 + ROUNDS)][1:]
        median = statistics.median(one.cpu for one in costs)
        print(f"hmr {command:34} {median:5.2f} s, wanted at most {wanted} ({median / wanted:.2f} of it)")
    with tempfile.TemporaryDirectory() as out:
        photo = ("-m", "hmrcli", "infer", str(PHOTO), "--out", out, "--save")
        works = {"import torch": ("-c", "import torch"), **{saves: (*photo, saves) for saves in SAVES}}
        # By turns, as a machine's speed changes by the minute.
        rounds = [{name: cost(*work) for name, work in works.items()} for _ in range(1 + ROUNDS)][1:]
    medians = {name: statistics.median(one[name].seconds for one in rounds) for name in works}
    for name, seconds in medians.items():
        what = name if name == "import torch" else f"hmr infer PHOTO --save {name}"
        print(
            f"{what:38} {seconds:5.2f} s by the clock, {seconds / medians['import torch']:.2f} times import torch"
        )


if __name__ == "__main__":
    main()
