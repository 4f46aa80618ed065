"""Seconds that scoring takes without a network, of as many people as 3DPW's test has, by its rules.

    python benchmarks/evaluation.py [--samples 35515] [--profile]

Bodies of all genders are the open one, predictions are the truth with noise. First the loop of `hmr eval` over a
test set, less the time that a network would take; then that of `hmr eval --predictions P.npz --targets T.npz`, whose
files are read and written. `OMP_NUM_THREADS=1` gives seconds of the processor on which other work has little effect.
"""

import argparse
import cProfile
import pstats
import resource
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import nn

from hmrcli.body import load_body
from hmrcli.body.rotations import rotmat_from_pose
from hmrcli.data.annotations import Annotations
from hmrcli.evaluation import PROTOCOLS, score_arrays
from hmrcli.evaluation import evaluate as loop
from hmrcli.evaluation.interval import image_folders
from hmrcli.evaluation.protocols import summarise
from hmrcli.evaluation.samples import Output, Samples
from hmrcli.evaluation.targets import check_targets
from hmrcli.layers import Prediction
from hmrcli.recipe.algorithms import CropShape
from hmrcli.results.measure import results_of_arrays

PROTOCOL = PROTOCOLS["3dpw"]._replace(bodies=dict.fromkeys(("neutral", "male", "female"), "open"))
SEQUENCES = 37
WANTED = 60


def people(count: int) -> dict[str, Any]:
    """Makes up true and predicted bodies: pose (N, 72) and betas (N, 10) of each."""
    rng = np.random.default_rng(0)
    pose, betas = rng.normal(0, 0.2, (count, 72)), rng.normal(0, 1, (count, 10))
    return {
        "pose": pose.astype(np.float32),
        "betas": betas.astype(np.float32),
        "other_pose": (pose + rng.normal(0, 0.1, pose.shape)).astype(np.float32),
        "other_betas": (betas + rng.normal(0, 0.5, betas.shape)).astype(np.float32),
        "gender": np.array(["m", "f"])[rng.integers(2, size=count)],
        "image": np.array([f"downtown_{i * SEQUENCES // count:02}/image_{i:05}.jpg" for i in range(count)]),
    }


def spent() -> float:
    """Returns seconds of the processor so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def of_a_network(known: dict[str, Any], place: Path) -> None:
    """Scores a test set whose network costs nothing: its bodies are posed with the clocks stopped."""
    count, body = len(known["pose"]), load_body("open")
    annotations = Annotations(
        dataset="3dpw",
        joints="evaluation_14",
        image_path=known["image"],
        bbox_xywh=np.tile(np.array([8, 8, 40, 40], np.float32), (count, 1)),
        keypoints2d=None,
        keypoints3d=None,
        pose=known["pose"],
        betas=known["betas"],
        has_smpl=np.ones(count, bool),
        gender=known["gender"],
    )
    away = [0.0, 0.0]

    def outputs(
        network: nn.Module, samples: Samples, rows: list[int], batch_size: int, workers: int
    ) -> Iterator[Output]:
        for start in range(0, len(rows), batch_size):
            began, used = time.perf_counter(), spent()
            numbers = np.array(rows[start : start + batch_size])
            with torch.inference_mode():
                rotmat = rotmat_from_pose(torch.from_numpy(known["other_pose"][numbers]))
                betas = torch.from_numpy(known["other_betas"][numbers])
                answer = Prediction(betas[:, :3], body(rotmat, betas).vertices, rotmat, betas)
            away[0], away[1] = away[0] + time.perf_counter() - began, away[1] + spent() - used
            yield Output(numbers, answer)

    began, used = time.perf_counter(), spent()
    scorable = check_targets(annotations, PROTOCOL, place)
    samples, bodies = Samples(annotations, place, CropShape(224, 224)), dict.fromkeys(PROTOCOL.bodies, body)
    with patch.object(loop, "outputs", outputs):
        done = loop.evaluate(nn.Identity(), samples, PROTOCOL, bodies, rows=scorable.rows, unfinished=place)
    assert done is not None
    report = summarise(PROTOCOL, done.errors[0].metrics, groups=image_folders(annotations.image_path))
    wall, processor = time.perf_counter() - began - away[0], spent() - used - away[1]
    told("a test set, less its network", wall, processor, report.metrics["pa_mpjpe"].mean)


def of_arrays(known: dict[str, Any], place: Path) -> None:
    """Scores two files of pose and betas, and writes results and errors of every row."""
    ours, theirs = place / "ours.npz", place / "theirs.npz"
    np.savez(ours, pose=known["other_pose"], betas=known["other_betas"], image=known["image"])
    np.savez(theirs, **{name: known[name] for name in ("pose", "betas", "image", "gender")})
    began, used = time.perf_counter(), spent()
    scored = score_arrays(ours, theirs, PROTOCOL, root=place)
    results_of_arrays(scored, ours, theirs, place / "results")
    mean = scored.report.metrics["pa_mpjpe"].mean
    told("files of parameters", time.perf_counter() - began, spent() - used, mean)


def told(what: str, wall: float, processor: float, error: float) -> None:
    """Prints a measurement, with an error that shows that nothing changed."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{what:30} {wall:6.1f} s, {processor:6.1f} s of the processor (want {WANTED} s on two cores), "
        f"at most {most:.0f} MiB; PA-MPJPE {error:.6f} mm",
        flush=True,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--samples", type=int, default=PROTOCOL.expected_samples)
    parser.add_argument("--profile", action="store_true", help="also say where the time goes")
    arguments = parser.parse_args()
    profile = cProfile.Profile(time.thread_time)
    with TemporaryDirectory() as folder:
        if arguments.profile:
            profile.enable()
        of_a_network(people(arguments.samples), Path(folder))
        of_arrays(people(arguments.samples), Path(folder))
        profile.disable()
    if arguments.profile:
        pstats.Stats(profile).sort_stats("tottime").print_stats(25)
