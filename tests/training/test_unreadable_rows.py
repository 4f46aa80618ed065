"""A run whose pictures break while it trains."""

import json
from pathlib import Path

import pytest

from benchmarks.world import open_recipe, write_world
from hmrcli.training.run import train
from hmrcli.training.settings import Settings

pytestmark = pytest.mark.usefixtures("narrow_backbones", "one_thread", "without_curves")


def test_a_run_goes_on_without_a_broken_picture_and_lists_it_in_its_folder(tmp_path: Path) -> None:
    small = [
        "network.backbone=resnet18",
        "data.image_size=128",
        "data.mixture={h36m: {annotations: h.npz, share: 1.0}}",
    ]
    recipe = open_recipe("hmr_normal", *small, "data.epoch_length=6", batch_size=2)
    write_world(tmp_path, recipe, rows=3)
    (tmp_path / "datasets" / "h36m" / "001.png").write_bytes(b"torn")
    said: list[str] = []
    folder = train(recipe, Settings(tmp_path, tmp_path / "run", say=said.append))
    (line,) = (folder / "unreadable.jsonl").read_text().splitlines()
    assert json.loads(line)["file"] == str(tmp_path / "datasets" / "h36m" / "001.png")
    assert said[0].startswith("training set h36m: 3 rows, 3 with 2D keypoints, 3 with 3D")
    assert sum("001.png" in note for note in said) == 1
    assert json.loads((folder / "checkpoints" / "last" / "meta.json").read_text())["step"] == 3
