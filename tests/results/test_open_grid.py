"""The grid's plan, with commands that only write what the real ones would."""

import json
import shutil
from itertools import pairwise
from pathlib import Path

import pytest

from benchmarks import open_grid
from tests.results.made import open_run

SHA = "ab" * 32
META = "checkpoints/last/meta.json"


class Commands:
    """Stands for the command line: notes what is run, and writes runs and results."""

    def __init__(self, root: Path) -> None:
        self.root, self.ran, self.broken = root, [], {}  # type: ignore[var-annotated]

    def __call__(self, *arguments: str) -> None:
        options = dict(pairwise(arguments))
        named = (options.get(key) for key in ("--recipe", "--dataset", "--benchmark"))
        name = next((value for value in named if value), arguments[1])
        name = f"open_{name}" if "--open" in arguments else name
        self.ran.append(f"{arguments[0]} {name}")
        if self.ran[-1] in self.broken:
            raise self.broken[self.ran[-1]]
        if arguments[0] == "train":
            self.train(Path(options["--out"]))
        if arguments[0] == "eval":
            meta = json.loads(Path(options["--checkpoint"], "meta.json").read_text())
            sha256 = meta["sha256"]["model.safetensors"]
            run = open_run(self.root / "made", "open_hmr_l1", 80.0, wild=90.0, checkpoint=sha256)
            shutil.copytree(run / name, options["--out"], dirs_exist_ok=True)
            shutil.rmtree(run)

    def train(self, run: Path) -> None:
        run.parent.mkdir(parents=True, exist_ok=True)
        open_run(run.parent, run.name, 80.0, wild=None, checkpoint=SHA)
        shutil.rmtree(run / "open-test")
        left = self.root / "checkpoints" / f"{run.name}.safetensors"
        left.parent.mkdir(parents=True, exist_ok=True)
        left.touch()


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Commands:
    made = Commands(tmp_path / "root")
    monkeypatch.setattr(open_grid, "hmr", made)
    monkeypatch.setattr(open_grid, "read_checkpoint", _read_checkpoint)
    return made


def _read_checkpoint(path: Path):  # type: ignore[no-untyped-def]
    """The meta file alone: there are no weights here."""
    folder = path if (path / "meta.json").is_file() else path / "checkpoints" / "last"
    meta = json.loads((folder / "meta.json").read_text())
    return type("Checkpoint", (), {"meta": type("Meta", (), meta)})


def grid(tmp_path: Path, *arguments: str) -> int:
    return open_grid.main([*arguments, "--out", str(tmp_path / "out"), "--data-root", str(tmp_path / "root")])


MEASURED = ["eval open-test", "eval open-wild"]


def test_what_a_cell_starts_from_is_trained_before_it(tmp_path: Path, commands: Commands) -> None:
    assert grid(tmp_path, "spin", "--variants", "l1_coco") == 0
    assert commands.ran == [
        "train open_pose_resnet50",
        "train open_hmr_l1_coco",
        *MEASURED,
        "train open_spin_l1_coco",
        *MEASURED,
        "table open",
    ]


def test_what_is_done_is_not_done_again(tmp_path: Path, commands: Commands) -> None:
    arguments = ("hmr", "--variants", "normal,l1")
    commands.broken = {"eval open-wild": KeyboardInterrupt()}
    assert grid(tmp_path, *arguments) == 130
    assert commands.ran == ["train open_hmr_normal", *MEASURED]
    commands.ran, commands.broken = [], {}
    assert grid(tmp_path, *arguments) == 0
    assert commands.ran == ["eval open-wild", "train open_hmr_l1", *MEASURED, "table open"]
    commands.ran = []
    assert grid(tmp_path, *arguments) == 0
    assert commands.ran == ["table open"]


def test_results_of_other_weights_are_measured_again(tmp_path: Path, commands: Commands) -> None:
    assert grid(tmp_path, "hmr", "--variants", "l1") == 0
    path = tmp_path / "out" / "open_hmr_l1" / META
    path.write_text(path.read_text().replace(SHA, "cd" * 32))
    commands.ran = []
    assert grid(tmp_path, "hmr", "--variants", "l1") == 0
    assert commands.ran == [*MEASURED, "table open"]


def test_a_cell_that_fails_does_not_stop_the_others(
    tmp_path: Path, commands: Commands, capsys: pytest.CaptureFixture[str]
) -> None:
    commands.broken = {"train open_hmr_normal": open_grid.Failed("hmr train ended with exit code 4")}
    assert grid(tmp_path, "hmr", "--variants", "normal,l1") == 1
    assert commands.ran[-4:] == ["train open_hmr_l1", *MEASURED, "table open"]
    assert "1 failed: open_hmr_normal" in capsys.readouterr().err


def test_unknown_variants_are_refused(tmp_path: Path, commands: Commands) -> None:
    with pytest.raises(SystemExit):
        grid(tmp_path, "hmr", "--variants", "l2")
    assert commands.ran == []


def test_results_are_published(tmp_path: Path, commands: Commands) -> None:
    target = tmp_path / "published"
    assert grid(tmp_path, "hmr", "--variants", "l1", "--publish", "--published", str(target)) == 0
    assert {path.relative_to(target).as_posix() for path in target.rglob("*.*")} == {
        "open_hmr_l1/recipe.yaml",
        "open_hmr_l1/environment.json",
        "open_hmr_l1/metrics.jsonl",
        "open_hmr_l1/checkpoints/last/meta.json",
        *(
            f"open_hmr_l1/{dataset}/{file}"
            for dataset in ("open-test", "open-wild")
            for file in ("results.json", "errors.npz")
        ),
    }
