"""Made-up results files."""

import json
from pathlib import Path
from typing import Any

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
