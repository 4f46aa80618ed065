"""Made-up results files."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from hmrcli.recipe import load_recipe, source_of

SMPL = {"name": "smpl", "vertices": 6890, "sha256": "ab" * 32}
OPEN = {"name": "open", "vertices": 2400, "sha256": "cd" * 32}


def estimate(value: float, half: float = 0.3) -> dict[str, float]:
    return {"value": value, "low": value - half, "high": value + half}


def score(value: float, surface: str | None = None, half: float = 0.3) -> dict[str, Any]:
    metrics = {"pa_mpjpe_mm": estimate(value, half), "mpjpe_mm": estimate(value + 40)}
    return {"surface": surface, "metrics": metrics}


def document(recipe: str | None, value: float, **changes: Any) -> dict[str, Any]:
    """What `hmr eval` writes for a run that may stand in the table of 3DPW."""
    whole = {
        "recipe": recipe,
        "protocol": "3dpw",
        "dataset": "pw3d_test",
        "samples": 35515,
        "scores": [score(value)],
        "body_model": SMPL,
        "checkpoint": {"path": "checkpoints/best/model.safetensors", "sha256": "ef" * 32},
        "environment": {"torch": "2.13.0", "device": {"name": "cpu"}},
        "created": "2026-01-02T03:04:05+00:00",
        "version": "0.1.0",
    }
    return whole | changes


def open_document(recipe: str, value: float, **changes: Any) -> dict[str, Any]:
    """The same for the open benchmark."""
    place = {"protocol": "open", "dataset": "open_test", "samples": 500, "body_model": OPEN}
    return document(recipe, value, **(place | changes))


def put(folder: Path, name: str, content: dict[str, Any] | str | bytes) -> Path:
    """Writes a results file for a run."""
    path = folder / name / "results.json"
    path.parent.mkdir(parents=True)
    text = json.dumps(content) if isinstance(content, dict) else content
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def open_run(
    folder: Path,
    recipe: str,
    error: float,
    *overrides: str,
    samples: int = 200,
    wild: float | None = None,
    spread: float = 0.5,
    checkpoint: str = "ef" * 32,
    finished: bool = True,
    environment: dict[str, Any] | None = None,
    created: str = "2026-01-02T03:04:05+00:00",
) -> Path:
    """A run of `hmr train` and its evaluations, whose samples are alike in what makes them hard.

    Args:
        recipe: a bundled name; any other stands for hmr_l1.
        overrides: of that recipe.
        error: PA-MPJPE in mm on open-test.
        wild: the same on open-wild; None leaves that evaluation out.
        spread: standard deviation in mm of what each sample adds to that of the set.
    """
    run = folder / recipe
    (run / "checkpoints" / "last").mkdir(parents=True)
    source = source_of(recipe)
    name, named = (source.name, ()) if source else ("hmr_l1", (f"name={recipe}",))
    resolved = load_recipe(
        name, (*named, "schedule.batch_size=64", *overrides), open=source is not None and source.open
    )
    (run / "recipe.yaml").write_text(resolved.dump())
    (run / "environment.json").write_text(json.dumps(environment or {"seed": 0, "without": []}))
    meta = {"recipe": recipe, "step": 1000, "finished": finished, "sha256": {"model.safetensors": checkpoint}}
    (run / "checkpoints" / "last" / "meta.json").write_text(json.dumps(meta))
    lines = [
        {"step": step, "epoch": 0, "validation": {"pa_mpjpe_mm": error + 50_000 / step}}
        for step in (500, 1000)
    ]
    (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    for dataset, mean in (("open_test", error), ("open_wild", wild)):
        if mean is None:
            continue
        hard = np.random.default_rng(0).normal(0, 20, samples)
        own = np.random.default_rng(len(recipe) + int(1000 * mean)).normal(0, spread, samples)
        errors = mean + (hard - hard.mean()) + (own - own.mean())
        half = float(1.96 * errors.std() / samples**0.5)
        document = open_document(
            recipe, mean, dataset=dataset, samples=samples, scores=[score(mean, half=half)], created=created,
            checkpoint={"path": "/home/someone/runs/x/checkpoints/last/model.safetensors", "sha256": checkpoint},
        )  # fmt: skip
        path = put(run, dataset.replace("_", "-"), document)
        images = np.array([f"{index:05}.jpg" for index in range(samples)])
        np.savez(path.with_name("errors.npz"), image_path=images, pa_mpjpe_mm=errors.astype(np.float32))
    return run
