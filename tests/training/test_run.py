"""Runs: their folder, going on after every kind of stop, and what stops them for good."""

import json
import multiprocessing
import os
import shutil
import signal
import time
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from benchmarks.world import SMALL, open_recipe, people, write_world
from hmrcli.cli.console import exit_codes
from hmrcli.data.human_data import write_human_data
from hmrcli.errors import BadInput, HmrError, MissingFile, UsageError
from hmrcli.recipe import Recipe, load_recipe
from hmrcli.training.checkpoints import META_FILE, MODEL_FILE, STATE_FILE, copy_checkpoint, read_checkpoint
from hmrcli.training.metrics import read_metrics
from hmrcli.training.run import train
from hmrcli.training.settings import Progress, Settings
from hmrcli.training.validation import Validation
from tests.processes import together

pytestmark = pytest.mark.usefixtures("narrow_backbones", "one_thread", "without_curves")

ROWS = 6


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return open_recipe("hmr_normal", *SMALL, "data.epoch_length=6", batch_size=2, epochs=2)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, recipe: Recipe) -> Path:
    """Files of a recipe whose epochs have three steps."""
    folder = tmp_path_factory.mktemp("root")
    write_world(folder, recipe, ROWS)
    return folder


@pytest.fixture(scope="module")
def whole(root: Path, recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four of the six steps without an interruption, and a fit to resume from after two of them."""
    out = tmp_path_factory.mktemp("whole")
    torch.set_num_threads(1)
    errors = iter([{"pa_mpjpe_mm": 80.0, "mpjpe_mm": 120.0}])
    return train(
        recipe,
        Settings(root, out, max_steps=4, keep_every=2, validation=Validation(lambda network: next(errors))),
    )


def losses(folder: Path) -> dict[int, dict[str, float]]:
    return {line["step"]: line["loss"] for line in read_metrics(folder) if "loss" in line}


def test_the_folder_of_a_run(whole: Path, recipe: Recipe) -> None:
    assert load_recipe(whole / "recipe.yaml") == recipe
    environment = json.loads((whole / "environment.json").read_text())
    assert {"git_commit", "device", "command", "packages"} <= set(environment)
    assert (environment["seed"], environment["without"]) == (0, [])
    assert list(losses(whole)) == [1, 2, 3, 4] and set(recipe.losses) < set(losses(whole)[1])
    assert [line["validation"] for line in read_metrics(whole) if "validation" in line] == [
        {"pa_mpjpe_mm": 80.0, "mpjpe_mm": 120.0}
    ]
    for picture in ("crops.png", "curves.png"):
        assert cv2.imread(str(whole / picture)).std() > 10
    assert next(whole.glob("events.out.tfevents*")).stat().st_size > 500
    steps = {path.name: read_checkpoint(path).meta.step for path in (whole / "checkpoints").iterdir()}
    assert steps == {"last": 4, "best": 3, "step-2": 2, "step-4": 4}
    meta = read_checkpoint(whole).meta
    assert meta.recipe == recipe.name and meta.best == 80.0 and not meta.finished
    assert meta.body_model["name"] == "open"


def test_going_on_repeats_the_run_bit_for_bit(
    whole: Path, root: Path, recipe: Recipe, tmp_path: Path
) -> None:
    settings = Settings(root, tmp_path / "run", max_steps=2, workers=2)
    train(recipe, settings)
    train(recipe, replace(settings, max_steps=4, workers=1))  # in the middle of an epoch, and over its end
    assert losses(tmp_path / "run") == losses(whole)
    ours, theirs = (read_checkpoint(folder).model.read_bytes() for folder in (tmp_path / "run", whole))
    assert ours == theirs
    resumed = json.loads((tmp_path / "run" / "environment.json").read_text())["resumed"]
    assert [entry["step"] for entry in resumed] == [2]


def hold(root: Path, out: Path, recipe: Recipe, told: Connection) -> None:
    """Trains in a process of its own, tells each step, and waits after the third."""

    def watch(now: Progress) -> None:
        told.send(now.step)
        if now.step == 3:
            told.recv()

    with exit_codes():
        train(recipe, Settings(root, out, max_steps=4, workers=1, save_every=2, watch=watch))


@pytest.mark.parametrize(("number", "code", "saved"), [(signal.SIGTERM, 130, 4), (signal.SIGKILL, -9, 2)])
def test_a_stopped_run_goes_on(
    whole: Path, root: Path, recipe: Recipe, tmp_path: Path, number: int, code: int, saved: int
) -> None:
    out = tmp_path / "run"
    forked = multiprocessing.get_context("fork")
    here, there = forked.Pipe()
    running = forked.Process(target=hold, args=(root, out, recipe, there))
    running.start()
    assert [here.recv() for _ in range(3)] == [1, 2, 3]
    assert running.pid is not None
    os.kill(running.pid, number)  # between two steps: the third is done, the fourth is not begun
    here.send("go on")
    running.join(timeout=120)
    assert running.exitcode == code
    assert read_checkpoint(out).meta.step == saved
    train(recipe, Settings(root, out, max_steps=4))
    assert losses(out) == losses(whole)


def test_an_epoch_that_ends_with_an_interruption_is_measured_later(
    root: Path, recipe: Recipe, tmp_path: Path
) -> None:
    measured: list[int] = []

    def validate(network: torch.nn.Module) -> dict[str, float]:
        measured.append(len(losses(tmp_path)))
        return {"pa_mpjpe_mm": 90.0 - len(measured)}

    def interrupt(now: Progress) -> None:
        if now.step == 2:  # the third step, the epoch's last, is still done
            os.kill(os.getpid(), signal.SIGINT)
        if now.step == 3:  # and saved, whatever comes while it is
            time.sleep(2.1)
            os.kill(os.getpid(), signal.SIGINT)

    settings = Settings(root, tmp_path, max_steps=4, validation=Validation(validate))
    with pytest.raises(KeyboardInterrupt):
        train(recipe, replace(settings, watch=interrupt))
    assert (read_checkpoint(tmp_path).meta.step, measured) == (3, [])
    train(recipe, settings)
    assert measured == [3]
    best = read_checkpoint(tmp_path / "checkpoints" / "best").meta
    assert (best.step, best.metrics) == (3, {"pa_mpjpe_mm": 89.0})
    train(recipe, replace(settings, max_steps=5))
    assert measured == [3]


def test_fits_in_the_loop_go_on(tmp_path: Path) -> None:
    fitted = open_recipe(
        "spin_l1",
        *SMALL,
        "data.mixture={people: {annotations: people.npz}}",
        "data.epoch_length=sum",
        "augmentation.rotation.probability=1",
        batch_size=2,
        epochs=2,
    )
    shown = people(tmp_path / "datasets" / "people", "people", 4)
    unknown = replace(shown, has_smpl=np.array([True, False, False, False]))
    write_human_data(tmp_path / "preprocessed_datasets" / "people.npz", unknown)
    settings = Settings(tmp_path, tmp_path / "whole", open_prior=True)
    train(fitted, settings)
    train(fitted, replace(settings, out=tmp_path / "parts", max_steps=3))
    train(fitted, replace(settings, out=tmp_path / "parts"))
    assert len(losses(tmp_path / "whole")) == 4
    assert losses(tmp_path / "parts") == losses(tmp_path / "whole")
    stores = [
        torch.load(read_checkpoint(tmp_path / name).path / STATE_FILE, weights_only=True)["fits"]
        for name in ("whole", "parts")
    ]
    assert len(stores[0]["row"]) == 3  # a fit for each body that is not known
    assert all(torch.equal(values, stores[1][name]) for name, values in stores[0].items())


@pytest.mark.parametrize("damage", ["torn", "changed", "missing", "foreign"])
def test_a_damaged_checkpoint_is_named(whole: Path, root: Path, tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "last"
    folder.mkdir()
    for name in (META_FILE, MODEL_FILE, STATE_FILE):
        os.link(whole / "checkpoints" / "last" / name, folder / name)
    state = (folder / STATE_FILE).read_bytes()
    (folder / STATE_FILE).unlink()
    if damage == "torn":
        (folder / STATE_FILE).write_bytes(state[: len(state) // 2])
    elif damage == "changed":
        (folder / STATE_FILE).write_bytes(state[:-1] + bytes([state[-1] ^ 1]))
    elif damage == "foreign":
        (folder / META_FILE).unlink()
        (folder / META_FILE).write_text('{"epoch": 3}')
    with pytest.raises(BadInput, match=META_FILE if damage == "foreign" else STATE_FILE) as raised:
        read_checkpoint(folder)
    assert str(folder) in str(raised.value) and "--resume" in str(raised.value)


def test_a_state_that_would_run_code_is_refused(whole: Path, tmp_path: Path) -> None:
    checkpoint = read_checkpoint(whole)._replace(path=tmp_path)
    torch.save({"learner": Recipe}, tmp_path / STATE_FILE)
    with pytest.raises(BadInput, match=STATE_FILE):
        checkpoint.training_state()


def test_a_replacement_that_was_cut_short(whole: Path, tmp_path: Path) -> None:
    """Between the two renames of a save, the one before is there under its other name."""
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    copy_checkpoint(whole / "checkpoints" / "step-2", folder / ".previous-last")
    (folder / ".last.1234").mkdir()
    assert read_checkpoint(tmp_path).meta.step == 2
    shutil.rmtree(folder / ".previous-last")
    with pytest.raises(MissingFile, match="no checkpoint"):
        read_checkpoint(tmp_path)


def test_where_a_run_may_go_on(whole: Path, root: Path, recipe: Recipe, tmp_path: Path) -> None:
    settings = Settings(root, whole, max_steps=4)
    with pytest.raises(UsageError, match="--out"):
        train(recipe, replace(settings, resume="never"))
    changes = [*SMALL, "data.epoch_length=6", "optimizer.lr=1e-3"]
    other = open_recipe("hmr_normal", *changes, batch_size=2, epochs=2)
    with pytest.raises(BadInput, match=r"optimizer\.lr"):
        train(other, settings)
    with pytest.raises(MissingFile, match="nothing"):
        train(recipe, replace(settings, resume=str(tmp_path / "nothing")))
    with pytest.raises(BadInput, match="training sets"):
        train(recipe, replace(settings, without=["lsp"]))
    said: list[str] = []
    train(recipe, replace(settings, say=said.append))
    assert any("nothing left to do" in line for line in said)
    other_place = replace(settings, out=tmp_path / "branch", resume=str(whole / "checkpoints" / "step-2"))
    assert losses(train(recipe, replace(other_place, max_steps=3))) == {3: losses(whole)[3]}


def test_a_loss_that_is_not_finite_stops_the_run(root: Path, tmp_path: Path) -> None:
    recipe = open_recipe(
        "hmr_normal",
        *SMALL,
        "optimizer.lr={backbone: 1e30, head: 1e30, adversary: 1e-4}",
        "data.epoch_length=6",
        batch_size=2,
    )
    with pytest.raises(
        BadInput, match=r"step [23]: not finite: .*total; samples: .*\.png \(row \d\)"
    ) as raised:
        train(recipe, Settings(root, tmp_path / "run", save_every=1))
    saved = next((tmp_path / "run" / "not_finite").iterdir())
    assert str(saved) in str(raised.value)
    stored = torch.load(saved, weights_only=True)
    assert "total" in stored["terms"] and stored["samples"][0]["images"].shape == (2, 128, 128, 3)
    step = int(saved.name.split("-")[1])
    assert read_checkpoint(tmp_path / "run").meta.step == step - 1


def test_two_processes_make_one_run(root: Path, tmp_path: Path) -> None:
    """They end together where one of them has an error, which it alone says, and nothing is lost."""
    out = tmp_path / "run"
    recipe = open_recipe("hmr_normal", *SMALL, "data.epoch_length=2", batch_size=2, epochs=2)

    def work(rank: int) -> str:
        def validate(network: torch.nn.Module) -> dict[str, float]:
            if rank == 1:
                raise BadInput("3.png: is no image")
            return {}

        try:
            train(recipe, Settings(root, out, validation=Validation(validate)))
        except HmrError as error:
            return f"{type(error).__name__} {error}"
        return "trained"

    first, second = together(work)
    assert first.strip() == "Elsewhere"
    assert second.startswith("BadInput 3.png: is no image") and "step 1 is saved in" in second
    assert json.loads((out / "environment.json").read_text())["processes"] == 2
    train(recipe, Settings(root, out))  # one process goes on with what two began
    assert list(losses(out)) == [1, 2] and read_checkpoint(out).meta.step == 2
