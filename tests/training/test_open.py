"""The open benchmark as a user trains it: rendered people, backbones that know poses, and cells that start there."""

import json
import shutil
from pathlib import Path

import pytest
import torch
import typer
from safetensors import safe_open
from typer.testing import CliRunner

from hmrcli.cli.train import train
from hmrcli.errors import HmrError
from hmrcli.recipe import load_recipe, source_of
from hmrcli.training.checkpoints import read_checkpoint
from hmrcli.training.folders import trained
from hmrcli.training.metrics import read_metrics
from hmrcli.training.start import open_mean_parameters

pytestmark = pytest.mark.usefixtures("narrow_backbones", "one_thread", "without_curves")

BACKBONE = "open_pose_resnet18.safetensors"
SMALL = ["data.image_size=128", "data.epoch_length=4", "schedule.batch_size=2", "schedule.epochs=1"]
POSE = [*SMALL, "schedule.lr_decay=null", "network.backbone=resnet18", f"exports.backbone={BACKBONE}"]
CELL = [*SMALL, "schedule.lr_decay=null", "network.backbone=resnet18"]
CELL += [f"network.initialisation.backbone={BACKBONE}", "adversary.rows=4"]

alone = typer.Typer(pretty_exceptions_enable=False)
alone.command()(train)


@pytest.fixture(scope="module")
def root(open_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root to write to, with four rows of the sets."""
    folder = tmp_path_factory.mktemp("root")
    shutil.copytree(open_root, folder, dirs_exist_ok=True)
    return folder


def run(root: Path, out: Path, name: str, *changes: str) -> str:
    """Trains, and returns what was said on stderr."""
    source = source_of(name)
    assert source is not None
    mixture = load_recipe(source.name, open=source.open).data.mixture
    rows = [f"data.mixture.{part}.rows=3" for part in mixture]
    options = ["--data-root", str(root), "--out", str(out), "--device", "cpu", "--workers", "0"]
    done = CliRunner().invoke(alone, [*source.arguments.split(), *rows, *changes, *options])
    if done.exception is not None:
        raise done.exception
    assert done.stdout == f"written to {out}\n"
    return done.stderr


@pytest.fixture(scope="module")
def pose_run(root: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    torch.set_num_threads(1)
    out = tmp_path_factory.mktemp("pose") / "run"
    return out, run(root, out, "open_pose_resnet50", *POSE)


def test_pose_training_measures_keypoints_and_leaves_a_backbone(
    root: Path, pose_run: tuple[Path, str]
) -> None:
    out, said = pose_run
    *steps, measured = read_metrics(out)
    assert [line["step"] for line in steps] == [1, 2]
    assert all(set(line["loss"]) == {"heatmaps", "total"} for line in steps)
    metrics = measured["validation"]
    assert set(metrics) == {"error_percent", "pck5_percent", "pck10_percent"}
    assert 0 < metrics["error_percent"] < 150
    assert read_checkpoint(out / "checkpoints" / "best").meta.best == metrics["error_percent"]
    assert (out / "crops.png").is_file() and (out / "curves.png").is_file()

    left = root / "checkpoints" / BACKBONE
    assert f"exported {left} for other recipes" in said
    with safe_open(left, framework="pt") as file:
        header, names = file.metadata(), set(file.keys())
    assert json.loads(header["recipe"]) == "open_pose_resnet50"
    assert json.loads(header["step"]) == 2
    assert json.loads(header["metrics"]) == metrics
    assert "layer4.1.conv2.weight" in names
    assert not any("joint_maps" in name or "upsampling" in name for name in names)


def test_a_run_and_each_of_its_checkpoints_are_trained(pose_run: tuple[Path, str]) -> None:
    out, _ = pose_run
    for folder, kept in ((out, "best"), (out / "checkpoints" / "last", "last")):
        assert trained(folder) == (out / "recipe.yaml", out / "checkpoints" / kept / "model.safetensors")


def test_where_a_run_starts_is_said_and_recorded(pose_run: tuple[Path, str]) -> None:
    out, said = pose_run
    expected = "random weights, resnet50-0676ba61.pth is not in place"
    assert f"starting from {expected}" in " ".join(said.split())
    assert json.loads((out / "environment.json").read_text())["initialisation"] == expected


def test_an_unfinished_run_leaves_nothing(root: Path, tmp_path: Path) -> None:
    changes = [*POSE, "exports.backbone=unfinished.safetensors"]
    said = run(root, tmp_path / "run", "open_pose_resnet50", *changes, "--max-steps", "1")
    assert "nothing is exported for other recipes" in " ".join(said.split())
    assert not (root / "checkpoints" / "unfinished.safetensors").exists()


def test_a_cell_starts_from_the_backbone(root: Path, pose_run: tuple[Path, str], tmp_path: Path) -> None:
    out = tmp_path / "run"
    # A rate of nearly nothing: what is saved is what was started from.
    rates = "optimizer.lr={backbone: 1e-30, head: 1e-30, adversary: 1e-30}"
    leaves = "exports.network=open_hmr_resnet18.safetensors"
    said = run(root, out, "open_hmr_l1_coco", *CELL, rates, leaves)
    assert f"starting from {BACKBONE}" in " ".join(said.split())
    assert json.loads((out / "environment.json").read_text())["initialisation"] == BACKBONE
    losses = [line["loss"] for line in read_metrics(out) if "loss" in line]
    assert len(losses) == 2 and {"adversarial", "discriminator_real"} <= set(losses[0])
    with (
        safe_open(root / "checkpoints" / BACKBONE, framework="pt") as taught,
        safe_open(root / "checkpoints" / "open_hmr_resnet18.safetensors", framework="pt") as network,
    ):
        for name in taught.keys():  # noqa: SIM118
            if "running" not in name and "num_batches" not in name:
                assert torch.equal(taught.get_tensor(name), network.get_tensor(f"backbone.{name}")), name
        mean = network.get_tensor("head.init_pose")
    torch.testing.assert_close(mean, open_mean_parameters().pose)


def test_spin_fits_rendered_people_from_the_hmr_that_was_left(root: Path, tmp_path: Path) -> None:
    start = "network.initialisation.network=open_hmr_resnet18.safetensors"
    changes = [*SMALL, "schedule.lr_decay=null", "network.backbone=resnet18", start]
    changes += ["data.mixture.open-studio.share=0", "data.mixture.open-fitted.share=0"]
    said = run(root, tmp_path / "run", "open_spin_l1", *changes, "data.mixture.open-keypoints.share=1")
    assert "starting from" in said
    losses = [line["loss"] for line in read_metrics(tmp_path / "run") if "loss" in line]
    assert len(losses) == 2 and all(loss["total"] > 0 for loss in losses)


def test_without_its_backbone_a_cell_says_how_to_make_it(root: Path, tmp_path: Path) -> None:
    with pytest.raises(HmrError, match="Run: hmr train --recipe open_pose_hrnet_w32") as caught:
        run(root, tmp_path / "run", "open_pare_l1_coco")
    assert caught.value.exit_code == 3


def test_the_quick_recipe_takes_its_steps(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    changes = ["data.epoch_length=2", "schedule.batch_size=2", "schedule.epochs=2", "schedule.lr_decay=null"]
    changes += ["evaluation.every_epochs=1"]
    run(root, out, "open_quick", *changes)
    lines = read_metrics(out)
    assert [line["step"] for line in lines if "loss" in line] == [1, 2]
    assert [0 < line["validation"]["pa_mpjpe_mm"] < 500 for line in lines if "validation" in line] == [
        True,
        True,
    ]
    assert json.loads((out / "environment.json").read_text())["initialisation"] == "random weights"
