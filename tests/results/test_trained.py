"""What the weights behind a result were trained with."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from hmrcli.results.formats import to_markdown
from hmrcli.results.open_table import open_report
from hmrcli.results.runs import Run, read_runs
from hmrcli.results.trained import Trained, read_trained
from tests.results.made import open_run


def run_of(folder: Path, name: str = "hmr_l1", *overrides: str, **settings: Any) -> Run:
    open_run(folder, name, 80.0, *overrides, **settings)
    (run,), bad = read_runs(folder)
    assert not bad
    return run


def trained(folder: Path, *arguments: str, **settings: Any) -> Trained:
    found = read_trained(run_of(folder, *arguments, **settings))
    assert found is not None
    return found


def test_a_run_s_folder_says_what_was_trained(tmp_path: Path) -> None:
    found = trained(tmp_path, "hmr_l1")
    assert found.recipe.network.backbone == "resnet50" and found.images_seen == 64 * 1000
    assert found.curve == [(32_000, 180.0), (64_000, 130.0)]
    assert found.initialisation == "resnet50-0676ba61.pth"


def test_the_recipe_as_it_stands_has_nothing_to_say(tmp_path: Path) -> None:
    found = trained(tmp_path, "hmr_l1", "schedule.batch_size=256")
    assert found.changes == [] and found.described == ""


def test_every_change_of_the_recipe_is_named(tmp_path: Path) -> None:
    changes = (
        "schedule.batch_size=256",
        "schedule.epochs=2",
        "augmentation.rotation.degrees=0",
        "network.initialisation=null",
    )
    found = trained(tmp_path, "hmr_l1", *changes)
    assert [str(change) for change in found.changes] == [
        "network.initialisation.backbone=absent (recipe: resnet50-0676ba61.pth)",
        "augmentation.rotation.degrees=0.0 (recipe: 30.0)",
        "schedule.epochs=2 (recipe: 100)",
        "network.initialisation=null (recipe: absent)",
    ]
    assert found.described == f"Reduced or changed: {', '.join(map(str, found.changes))}."
    assert found.initialisation == "random"


def test_sets_left_out_and_an_early_end_are_told(tmp_path: Path) -> None:
    environment = {"without": ["mpii", "lsp"], "initialisation": "random weights, x.pth is not in place"}
    found = trained(tmp_path, "hmr_l1", "schedule.batch_size=256", environment=environment, finished=False)
    assert found.described == (
        "Started from random weights, x.pth is not in place. Trained without mpii, lsp. "
        "Stopped before the end of the recipe."
    )
    assert found.initialisation == "random weights, x.pth is not in place", "as recorded, not as wanted"


def test_a_recipe_that_is_not_bundled_has_nothing_to_be_compared_with(tmp_path: Path) -> None:
    assert trained(tmp_path, "mine").changes == [("name", "mine", "none of the bundled ones")]


def test_the_run_is_found_from_the_checkpoint_s_path(tmp_path: Path) -> None:
    run = open_run(tmp_path, "hmr_l1", 80.0)
    results = json.loads((run / "open-test" / "results.json").read_text())
    results["checkpoint"]["path"] = str(run / "checkpoints" / "last" / "model.safetensors")
    elsewhere = tmp_path / "elsewhere" / "deep"
    elsewhere.mkdir(parents=True)
    (elsewhere / "results.json").write_text(json.dumps(results))
    (found,), _ = read_runs(tmp_path / "elsewhere")
    assert read_trained(found) is not None
    (shipped,), _ = read_runs(tmp_path / "elsewhere", shipped=True)
    assert read_trained(shipped) is None, "a path of another machine is not followed"


def change(path: Path, **values: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_a_folder_of_other_weights_says_nothing(tmp_path: Path) -> None:
    run = run_of(tmp_path)
    change(tmp_path / "hmr_l1/checkpoints/last/meta.json", sha256={"model.safetensors": "00" * 32})
    assert read_trained(run) is None


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("recipe.yaml", "name: x"),
        ("checkpoints/last/meta.json", "[1]"),
        (
            "checkpoints/last/meta.json",
            '{"step": "many", "sha256": {"model.safetensors": "' + "ef" * 32 + '"}}',
        ),
        ("environment.json", '{"without": 3}'),
    ],
)
def test_what_cannot_be_read_is_not_known(tmp_path: Path, file: str, content: str) -> None:
    run = run_of(tmp_path)
    (tmp_path / "hmr_l1" / file).write_text(content)
    assert read_trained(run) is None


def test_without_the_run_s_folder_nothing_is_known(tmp_path: Path) -> None:
    run = run_of(tmp_path)
    shutil.rmtree(tmp_path / "hmr_l1" / "checkpoints")
    assert read_trained(run) is None


def test_training_on_3dpw_is_seen(tmp_path: Path) -> None:
    sets = "data.mixture={train: {annotations: pw3d_train.npz, share: 0.5}, h36m: {annotations: h36m.npz, share: 0.5}}"
    assert trained(tmp_path / "a", "hmr_l1", sets).saw_3dpw
    assert not trained(tmp_path / "b", "hmr_l1").saw_3dpw
    without = {"without": ["train"]}
    assert not trained(tmp_path / "c", "hmr_l1", sets, environment=without).saw_3dpw


def test_departures_are_compared_without_what_the_recipes_say(tmp_path: Path) -> None:
    short = ("schedule.epochs=2", "schedule.lr_decay=null")
    one = trained(tmp_path / "a", "open_hmr_l1", *short)
    other = trained(tmp_path / "b", "open_hmr_normal", *short)
    assert one.departure == other.departure
    assert one.departure != trained(tmp_path / "c", "open_hmr_l1").departure
    assert one.departure != trained(tmp_path / "d", "open_hmr_l1", *short, finished=False).departure


@pytest.mark.parametrize("name", ["environment.json", "metrics.jsonl", "checkpoints/last/meta.json"])
@pytest.mark.parametrize(
    "content",
    ["", "[", "[" * 50_000, "null", "[1]", '"x"', '{"step": [], "sha256": 3, "without": 5, "finished": {}}',
     '{"step": "1", "sha256": {"model.safetensors": []}, "without": {"a": 1}, "initialisation": 7}',
     '{"step": 1, "validation": {"pa_mpjpe_mm": "low"}}\n{"step": 2, "validation": {"pa_mpjpe_mm": null}}',
     '{"step": -1, "validation": {"pa_mpjpe_mm": [1]}}', "\ufffd\x1b[31m"],
)  # fmt: skip
def test_records_from_elsewhere_end_in_no_traceback(tmp_path: Path, name: str, content: str) -> None:
    open_run(tmp_path, "open_hmr_l1", 80.0)
    (tmp_path / "open_hmr_l1" / name).write_text(content)
    (run,), _ = read_runs(tmp_path)
    found = read_trained(run)
    assert found is None or found.steps >= 0
    assert to_markdown(open_report([run], compare=True))
