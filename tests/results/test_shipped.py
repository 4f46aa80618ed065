"""Results in the form in which they travel."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.publish import publish, without_folders, without_machine
from hmrcli.errors import BadInput, MissingFile
from hmrcli.results.runs import read_runs, shipped_runs
from hmrcli.results.trained import read_trained
from tests.results.made import open_run

ENVIRONMENT = {
    "seed": 0,
    "without": [],
    "device_name": "Some GPU",
    "platform": "Linux-6.1-host",
    "hostname": "secret",
    "command": ["hmr", "train", "--data-root=/home/someone/data", "--out", "../elsewhere/run", "a=1"],
    "resumed": [{"step": 5, "seed": 0, "hostname": "secret", "command": ["/home/someone/bin/hmr"]}],
}


def published(tmp_path: Path) -> Path:
    run = open_run(
        tmp_path / "runs", "open_hmr_l1", 80.0, "network.initialisation={backbone: /home/someone/x.pth}",
        wild=95.0, environment=ENVIRONMENT,
    )  # fmt: skip
    target = tmp_path / "bundled" / "results" / "open" / "open_hmr_l1"
    publish([run / "open-test", run / "open-wild"], target)
    return target


def test_what_is_published_is_read_with_its_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    published(tmp_path)
    monkeypatch.setattr("hmrcli.results.runs.bundled", lambda name: tmp_path / "bundled" / name)
    runs = {run.results.dataset: run for run in shipped_runs()}
    assert set(runs) == {"open_test", "open_wild"} and all(run.shipped for run in runs.values())
    trained = read_trained(runs["open_wild"])
    assert trained is not None and trained.images_seen == 64_000 and trained.initialisation == "x.pth"
    assert trained.curve == [(32_000, 180.0), (64_000, 130.0)]
    original, _ = read_runs(tmp_path / "runs")
    by_set = {run.results.dataset: run.results for run in original}
    assert runs["open_test"].results.scores == by_set["open_test"].scores


def test_nothing_tells_of_the_machine(tmp_path: Path) -> None:
    target = published(tmp_path)
    files = [path for path in target.rglob("*") if path.is_file()]
    assert sorted(path.relative_to(target).as_posix() for path in files) == [
        "checkpoints/last/meta.json",
        "environment.json",
        "metrics.jsonl",
        "open-test/errors.npz",
        "open-test/results.json",
        "open-wild/errors.npz",
        "open-wild/results.json",
        "recipe.yaml",
    ]
    for path in files:
        if path.suffix != ".npz":
            assert not {
                word for word in ("/home", "someone", "secret", "host") if word in path.read_text()
            }, path
    environment = json.loads((target / "environment.json").read_text())
    assert environment["command"] == ["hmr", "train", "--data-root=data", "--out", "run", "a=1"]
    assert environment["resumed"] == [{"command": ["hmr"], "seed": 0, "step": 5}]
    assert environment["device_name"] == "Some GPU"


def test_errors_travel_by_sample_alone(tmp_path: Path) -> None:
    run = open_run(tmp_path, "open_hmr_l1", 80.0)
    path = run / "open-test" / "errors.npz"
    with np.load(path) as arrays:
        np.savez(path, **arrays, joints_mm=np.zeros((200, 14)), pck_percent=np.ones(200))
    publish([run / "open-test"], tmp_path / "target")
    with np.load(tmp_path / "target" / "open-test" / "errors.npz") as kept:
        assert set(kept) == {"image_path", "pa_mpjpe_mm", "pck_percent"}
        assert kept["pck_percent"].dtype == np.float32 and kept["pa_mpjpe_mm"].mean() == pytest.approx(80.0)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("/a/b/model.safetensors", "model.safetensors"),
        ("~/x/y.npz", "y.npz"),
        ("../../x/y.npz", "y.npz"),
        (r"C:\Users\me\y.npz", "y.npz"),
        ("key={file: /a/b.pth, n: 1}", "key={file: b.pth, n: 1}"),
        ("runs/open_hmr_l1/y.npz", "runs/open_hmr_l1/y.npz"),
        ("the train and/or test set / mm/frame²", "the train and/or test set / mm/frame²"),
        ("https://example.org/a/b", "https://example.org/a/b"),
    ],
)
def test_folders_are_taken_from_texts_and_words_are_left(text: str, left: str) -> None:
    assert without_folders({"a": [text, 1, None]}) == {"a": [left, 1, None]}


def test_only_what_is_named_is_kept_of_an_environment() -> None:
    assert without_machine({"python": "3.11.1", "user": "me", "platform": "x"}) == {"python": "3.11.1"}


def test_evaluations_of_different_weights_are_not_published_together(tmp_path: Path) -> None:
    one = open_run(tmp_path / "a", "open_hmr_l1", 80.0)
    other = open_run(tmp_path / "b", "open_hmr_l1", 81.0, wild=90.0, checkpoint="00" * 32)
    with pytest.raises(BadInput, match="different weights"):
        publish([one / "open-test", other / "open-wild"], tmp_path / "target")
    assert not (tmp_path / "target").exists()


def test_without_its_training_or_errors_a_result_is_not_published(tmp_path: Path) -> None:
    run = open_run(tmp_path, "open_hmr_l1", 80.0)
    (run / "open-test" / "errors.npz").unlink()
    with pytest.raises(MissingFile, match=r"errors\.npz"):
        publish([run / "open-test"], tmp_path / "target")
    (run / "checkpoints" / "last" / "meta.json").unlink()
    with pytest.raises(BadInput, match="--checkpoint RUN"):
        publish([run / "open-test"], tmp_path / "target")


def test_a_damaged_installation_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = published(tmp_path)
    (target / "open-test" / "results.json").write_text("{")
    monkeypatch.setattr("hmrcli.results.runs.bundled", lambda name: tmp_path / "bundled" / name)
    with pytest.raises(BadInput, match="open-test"):
        shipped_runs()
