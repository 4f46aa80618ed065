"""How fast errors are computed, against a loop over samples, with the largest difference between the two.

    python benchmarks/metrics.py

Then what reading annotations costs (`annotations.py`), which takes about a minute.
"""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.loop import pa_mpjpe_loop
from hmrcli.evaluation import aggregate, measure, pa_mpjpe

SAMPLES, JOINTS = 35515, 14  # 3DPW-test


def fastest(function: Callable[[], object], repeats: int = 7) -> float:
    """Seconds of the fastest of some runs."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def people(noise: float) -> tuple[np.ndarray, np.ndarray]:
    """Predictions and targets (SAMPLES, JOINTS, 3) in mm, taller than wide as people are."""
    rng = np.random.default_rng(0)
    target = rng.normal(size=(SAMPLES, JOINTS, 3)) * [200, 500, 120]
    return target + rng.normal(size=target.shape) * noise, target


def procrustes() -> None:
    """PA-MPJPE against a singular value decomposition for each sample."""
    print(f"PA-MPJPE of {SAMPLES} samples of {JOINTS} joints, {torch.get_num_threads()} threads")
    for noise in (60.0, 1000.0):
        pred, target = people(noise)
        start = time.perf_counter()
        expected = pa_mpjpe_loop(pred, target)
        loop = time.perf_counter() - start
        ours = fastest(lambda pred=pred, target=target: pa_mpjpe(pred, target))  # type: ignore[misc]
        difference = np.abs(pa_mpjpe(pred, target) - expected).max()
        print(
            f"  noise {noise:4.0f} mm: loop {loop:.2f} s, here {1000 * ours:.0f} ms, ratio {loop / ours:.0f}; "
            f"largest difference {difference:.1e} mm, mean {expected.mean():.2f} mm"
        )


def everything() -> None:
    """All joint metrics at once, and an interval."""
    pred, target = people(60.0)
    names = ("mpjpe", "pa_mpjpe", "pck", "pa_pck", "auc", "pa_auc")
    together = fastest(lambda: measure(names, pred, target))
    values = pa_mpjpe(pred, target)
    interval = fastest(lambda: aggregate(values), repeats=3)
    print(f"six metrics {1000 * together:.0f} ms; an interval of 1000 resamples {1000 * interval:.0f} ms")


if __name__ == "__main__":
    procrustes()
    everything()
    print(flush=True)
    subprocess.run([sys.executable, str(Path(__file__).with_name("annotations.py"))], check=True)
