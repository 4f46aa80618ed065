"""Seconds of processor time that commands take which compute nothing, each in a process of its own.

    python benchmarks/startup.py

Median of five after one to warm up; time of the processor, so that a busy machine changes little.
"""

import os
import statistics
import subprocess
import sys
from pathlib import Path

if sys.platform != "win32":
    import resource

COMMANDS = {"--help": 0.3, "table": 0.7, "train --recipe hmr_l1 --dry-run": 1.5}
"""And the most that each should take, on a core of a server of 2023."""
HOUSE = Path(__file__).resolve().parents[1]


def seconds(command: str) -> float:
    """Processor time of one run."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, "-m", "hmrcli", *command.split()],
        env={**os.environ, "PYTHONPATH": str(HOUSE)},
        stdout=subprocess.DEVNULL,
        check=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def main() -> None:
    for command, wanted in COMMANDS.items():
        median = statistics.median([seconds(command) for _ in range(6)][1:])
        print(f"hmr {command:34} {median:5.2f} s, wanted at most {wanted} ({median / wanted:.2f} of it)")


if __name__ == "__main__":
    main()
