"""`hmr train` as a user types it."""

import io
import json
import os
import re
import signal
from pathlib import Path

import pytest
import torch
import typer
from rich.console import Console
from typer.testing import CliRunner, Result

from benchmarks.world import SMALL, open_overrides, open_recipe, write_world
from hmrcli.cli.console import exit_codes
from hmrcli.cli.train import train
from hmrcli.cli.training_bar import TrainingBar
from hmrcli.errors import HmrError
from hmrcli.recipe import load_recipe, recipe_names
from hmrcli.training.checkpoints import read_checkpoint
from hmrcli.training.metrics import read_metrics
from hmrcli.training.settings import Progress

pytestmark = pytest.mark.usefixtures("narrow_backbones", "one_thread", "without_curves")

NAME = "hmr_l1"
CHANGES = [*open_overrides(NAME, batch_size=2), *SMALL, "data.epoch_length=4"]

alone = typer.Typer(pretty_exceptions_enable=False)
alone.command()(train)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("root")
    write_world(folder, open_recipe(NAME, *CHANGES), 4)
    return folder


def run(*arguments: str) -> Result:
    return CliRunner().invoke(alone, list(arguments))


def code(result: Result) -> int:
    error = result.exception
    if error is not None and not isinstance(error, (HmrError, SystemExit)):
        raise error
    return error.exit_code if isinstance(error, HmrError) else result.exit_code


def test_an_epoch_with_validation(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    arguments = ["--recipe", NAME, *CHANGES, "--data-root", str(root), "--out", str(out), "--device", "cpu"]
    done = run(*arguments, "--workers", "1")
    assert code(done) == 0 and done.stdout == f"written to {out}\n"
    lines = read_metrics(out)
    assert [line["step"] for line in lines] == [1, 2, 2]
    errors = lines[-1]["validation"]
    assert set(errors) == {"mpjpe_mm", "pa_mpjpe_mm", "pve_mm"} and 0 < errors["pa_mpjpe_mm"] < 1000
    mean_pose = lines[-1]["mean_pose"]["pa_mpjpe_mm"]
    shown = (
        rf"test set: .*PA-MPJPE {errors['pa_mpjpe_mm']:.1f} mm.* \(the mean pose: PA-MPJPE {mean_pose:.1f} mm"
    )
    assert re.search(shown, done.stderr) and 0 < mean_pose < 300
    assert f"hmr eval --checkpoint {out} --data-root {root}" in done.stderr
    meta = read_checkpoint(out / "checkpoints" / "best").meta
    assert meta.finished and meta.metrics == errors
    again = run(*arguments, "--workers", "0")
    assert code(again) == 0 and "nothing left to do" in again.stderr and read_metrics(out) == lines


def test_going_on_without_a_set_is_recorded(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    mixture = load_recipe(NAME).data.mixture
    left_out = list(mixture)[-1]
    for leaf in ("evaluation.annotations=nothing.npz", f"data.mixture.{left_out}.annotations=nothing.npz"):
        done = run("--recipe", NAME, *CHANGES, leaf, "--data-root", str(root), "--out", str(out))
        assert code(done) == 3 and "nothing.npz" in str(done.exception)
    changes = [*CHANGES, "evaluation.annotations=nothing.npz", leaf]
    options = ["--without", left_out, "--without", "evaluation", "--max-steps", "1", "--workers", "0"]
    done = run("--recipe", NAME, *changes, "--data-root", str(root), "--out", str(out), *options)
    assert code(done) == 0 and f"without {left_out}" in done.stderr
    record = json.loads((out / "environment.json").read_text())
    assert record["without"] == [left_out]
    assert "step 1/1, 0:00:00 left" in done.stderr and "━" not in done.stderr  # a line, since nobody watches


def test_compilation_is_asked_for_and_recorded(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of network and losses; the compiler itself has its tests in tests/training."""
    compiled = []
    monkeypatch.setattr(torch, "compile", lambda network, **_: compiled.append(network) or network)
    out = tmp_path / "run"
    arguments = ["--recipe", NAME, *CHANGES, "--data-root", str(root), "--out", str(out), "--device", "cpu"]
    options = ["--without", "evaluation", "--max-steps", "1", "--workers", "0", "--compile"]
    assert code(run(*arguments, *options)) == 0
    assert len(compiled) == 2 and json.loads((out / "environment.json").read_text())["compile"] is True


def test_the_recipes_are_listed_with_what_they_are() -> None:
    listed = run("--list")
    assert code(listed) == 0
    assert dict(line.split(maxsplit=1) for line in listed.stdout.splitlines()).keys() == set(recipe_names())
    assert "hmr_normal              HMR.\n" in listed.stdout


def test_a_dry_run_lists_recipe_and_files(root: Path, tmp_path: Path) -> None:
    there = run("--recipe", NAME, *CHANGES, "--data-root", str(root), "--dry-run")
    assert code(there) == 0 and "0 missing" in there.stdout
    saved = tmp_path / "printed.yaml"
    saved.write_text(there.stdout)
    assert load_recipe(saved) == load_recipe(NAME, CHANGES)
    absent = run("--recipe", "hmr_l1", "--data-root", str(tmp_path), "--dry-run")
    assert code(absent) == 0 and not list(tmp_path.glob("runs"))
    assert re.search(r"missing .*h36m_mosh_train.npz.*\n# .*hmr data make h36m", absent.stdout)
    for file in ("SMPL_NEUTRAL.pkl", "SMPL_MALE.pkl", "resnet50-0676ba61.pth"):
        assert re.search(rf"missing .*{file}.*\n# .*hmr download {file}", absent.stdout), file
    refused = run("--recipe", "hmr_l1", "--data-root", str(tmp_path))
    assert code(refused) == 3 and not list(tmp_path.glob("runs"))
    one_by_one, together = (
        {name for names in re.findall(r"hmr download (.*)", text) for name in names.split()}
        for text in (absent.stdout, str(refused.exception))
    )
    assert one_by_one == together
    assert refused.exception.args[-1].startswith("--open trains")


@pytest.mark.parametrize(
    ("arguments", "wanted", "words"),
    [
        (["--recipe", "hmr_l3"], 4, "hmr_l1"),
        (["--recipe", NAME, "optimizer.rate=1"], 4, "optimizer.rate"),
        (["--recipe", NAME, *CHANGES, "--without", "moon"], 2, "moon"),
        (["--recipe", NAME, *CHANGES, "--device", "abacus"], 2, "abacus"),
        (["--recipe", NAME, *CHANGES, "--accumulate", "3", "--out", "never"], 2, "schedule.batch_size"),
        (["--recipe", NAME, *CHANGES, "--resume", "nowhere"], 3, "nowhere is not there"),
        (["--recipe", NAME, *CHANGES, "--resume", "nver"], 3, "did you mean never?"),
        (["--recipe", NAME, *CHANGES, "--without", "evalution"], 2, "did you mean evaluation?"),
        (["--recipe", NAME, "lr=1e-4"], 4, "did you mean `optimizer.lr`?"),
        (["--recipe", "hmr_norml"], 4, "did you mean hmr_normal"),
        (["--recipe", NAME, *CHANGES, "--out", "FILE"], 2, "FILE"),
        (["--recipe", NAME, *CHANGES, "--out", "FILE/below"], 2, "FILE"),
        (["--recipe", NAME, *CHANGES, "--out", "x" * 300], 2, "too long"),
        (["--recipe", "FOLDER"], 2, "FOLDER/recipe.yaml to train by its recipe, and --resume FOLDER"),
        (["--recipe", NAME, *CHANGES, "--precision", "fp8"], 2, "fp8"),
    ],
)
def test_what_cannot_be_trained(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], wanted: int, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("FILE").touch()
    Path("FOLDER").mkdir()
    Path("FOLDER/recipe.yaml").touch()
    done = run(*arguments, "--data-root", str(root))
    assert code(done) == wanted and words in str(done.exception) + done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"FILE", "FOLDER"}


def progress(step: int, ends: bool = False) -> Progress:
    losses = dict.fromkeys(("keypoints3d", "keypoints2d", "rotmat", "betas", "vertices", "total"), 1.234)
    return Progress(step, 40000, 2, losses, 95.0, 0.01, ends)


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_bar_steps_and_time_left_are_seen_at_any_width(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr("hmrcli.cli.training_bar.log", Console(file=stream, width=width, force_terminal=True))
    with TrainingBar(True) as bar:
        bar(progress(12345))
        bar.bar.refresh()
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", stream.getvalue()).replace("\r", "\n").splitlines()
    shown = [line for line in lines if "12345/40000" in line]
    assert shown and all(len(line) <= width for line in lines)
    assert all(re.match(r"[━╸╺]+ *12345/40000 +(-:--:--|\d+:\d\d:\d\d) +ep", line) for line in shown)
    assert ("total 1.23" in shown[-1]) == (width == 200)


def test_a_log_has_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr("hmrcli.cli.training_bar.log", Console(file=stream, width=80))
    with TrainingBar(True) as bar:
        for step in range(1, 7):
            bar(progress(step, ends=step % 3 == 0))
        monkeypatch.setattr(TrainingBar, "EVERY", 0.0)
        bar(progress(7))
    with TrainingBar(False) as other:
        other(progress(8, ends=True))
    steps = [
        re.match(r"step (\d+)/40000, \d+:\d\d:\d\d left", line) for line in stream.getvalue().splitlines()
    ]
    assert [found and found[1] for found in steps] == ["3", "6", "7"]


def test_an_interruption_saves_and_says_so(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    arguments = [
        "--recipe",
        NAME,
        *CHANGES,
        "schedule.epochs=500",
        "--data-root",
        str(root),
        "--out",
        str(out),
    ]
    options = ["--without", "evaluation", "--device", "cpu", "--workers", "1", "--save-every", "400"]
    show = TrainingBar.__call__

    def interrupt(bar: TrainingBar, now: Progress) -> None:
        show(bar, now)
        if now.step == 1:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(TrainingBar, "__call__", interrupt)
    with pytest.raises(SystemExit) as ended, exit_codes():
        alone([*arguments, *options])
    said = capsys.readouterr().err.replace("\n", "")
    assert ended.value.code == 130 and f"is saved in {out}" in said
    steps = [line["step"] for line in read_metrics(out)]
    assert steps[-1] < 5 and read_checkpoint(out).meta.step == steps[-1]
