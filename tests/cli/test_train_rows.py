"""Every row of the benchmark, through the command line: train, stop, go on, evaluate, appear in the table.

On the open body, from random weights, on tiny sets in the published formats. All of the twenty take about ten minutes
(`make test-rows`); by default one of each algorithm runs, the one with everything in it, on a narrow backbone, but for
Graphormer, whose 2 GB take a minute to save and to read.
"""

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from benchmarks.world import SMALL, open_overrides, open_recipe, write_world
from hmrcli.cli.app import app
from hmrcli.recipe import recipe_names

ALL = [name for name in recipe_names() if not name.startswith("open_")]
EVERY = os.environ.get("HMR_TEST_ROWS") == "all"
SOME = [n for n in ALL if n.endswith(("_aug", "cliff")) and not n.startswith("graphormer")]
ROWS = ALL if EVERY else SOME


def run(*arguments: str) -> Result:
    result = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result


def lines(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.usefixtures("without_curves", *([] if EVERY else ["narrow_backbones"]))
@pytest.mark.parametrize("name", ROWS)
def test_a_row_trains_goes_on_and_is_scored(name: str, tmp_path: Path) -> None:
    changes = open_overrides(name, batch_size=2, epochs=2)
    if name.startswith(("hmr", "spin")):
        changes += SMALL
    elif name == "cliff":  # whose crops are of two sizes
        changes += ["network.backbone=resnet18", "data.image_size=192"]
    elif name.startswith("pare"):  # whose statistics are frozen on HRNet alone
        changes += [*SMALL, "network.batch_norm=synchronised"]
    elif name.startswith("graphcmr"):  # the others know no smaller crops
        changes.append("data.image_size=128")
    write_world(tmp_path, open_recipe(name, *changes), rows=2)
    folder = tmp_path / "runs" / name / "run"
    there = ["--data-root", str(tmp_path), "--device", "cpu", "--workers", "0"]
    train = ["train", "--recipe", name, *changes, *there, "--out", str(folder)]
    if name.startswith("spin"):
        train += ["--without", "pose_prior"]  # SPIN's own is licensed; the bundled one stands in
    dry = run(*train, "--dry-run").stdout
    assert "missing" not in dry.replace("0 missing", "")
    for stop in (1, 2):
        run(*train, "--max-steps", str(stop))
    steps = [line for line in lines(folder) if "loss" in line]
    assert [line["step"] for line in steps] == [1, 2]
    meta = json.loads((folder / "checkpoints" / "last" / "meta.json").read_text())
    assert (meta["step"], meta["recipe"]) == (2, name)
    run("eval", "--checkpoint", str(folder), *there)
    results = json.loads((folder / "results.json").read_text())
    assert results["recipe"] == name and results["samples"] == 2
    assert len(results["scores"]) == (2 if name.startswith("graphcmr") else 1)
    table = run("table", "--compare", "--results", str(tmp_path / "runs"), "--format", "json").stdout
    assert f"{name}/run" in table
