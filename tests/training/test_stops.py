"""What ends runs: errors of every kind lose no finished step, one process has a folder, foreign folders are named."""

import hashlib
import json
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.world import open_recipe, people
from hmrcli.data.human_data import write_human_data
from hmrcli.distributed import Elsewhere, met_alike, said_once
from hmrcli.errors import BadInput, HmrError, UsageError
from hmrcli.recipe import Recipe, load_recipe
from hmrcli.training.checkpoints import META_FILE, STATE_FILE, clear_leftovers, read_checkpoint
from hmrcli.training.failures import explained
from hmrcli.training.folders import Busy, find_place
from hmrcli.training.metrics import read_metrics
from hmrcli.training.run import train
from hmrcli.training.settings import Progress, Settings
from hmrcli.training.validation import Validation

pytestmark = pytest.mark.usefixtures("one_thread", "without_curves")

PEOPLE = "data.mixture={people: {annotations: people.npz}}"


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    """Two epochs of two steps."""
    changes = [PEOPLE, "data.epoch_length=sum", "network.mean_parameters=null"]
    changes += ["schedule.epochs=2", "schedule.batch_size=2"]
    return load_recipe("open_quick", [*changes, "evaluation.every_epochs=1"])


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("root")
    write_human_data(
        folder / "preprocessed_datasets" / "people.npz", people(folder / "datasets" / "people", "people", 4)
    )
    return folder


@pytest.fixture(scope="module")
def whole(root: Path, recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return train(
        recipe, Settings(root, tmp_path_factory.mktemp("whole"), validation=Validation(lambda network: {}))
    )


@pytest.fixture
def stopped(whole: Path, tmp_path: Path) -> Path:
    """A run that was stopped after its third step of four."""
    folder, last = tmp_path / "run", tmp_path / "run" / "checkpoints" / "last"
    last.mkdir(parents=True)
    for path in (whole / "checkpoints" / "last").iterdir():
        os.link(path, last / path.name)
    for name in ("recipe.yaml", "environment.json", "metrics.jsonl"):
        (folder / name).write_bytes((whole / name).read_bytes())
    meta = json.loads((last / META_FILE).read_text()) | {"step": 3, "finished": False}
    rewrite(last / META_FILE, meta)
    return folder


def rewrite(path: Path, document: Any) -> None:
    path.unlink()
    path.write_text(json.dumps(document))


def losses(folder: Path) -> dict[int, dict[str, float]]:
    return {line["step"]: line["loss"] for line in read_metrics(folder) if "loss" in line}


def weights(folder: Path) -> bytes:
    return read_checkpoint(folder).model.read_bytes()


def test_an_epoch_is_saved_before_it_is_measured(
    whole: Path, root: Path, recipe: Recipe, tmp_path: Path
) -> None:
    measured: list[int] = []

    def fail(network: torch.nn.Module) -> dict[str, float]:
        raise RuntimeError("anything")

    def succeed(network: torch.nn.Module) -> dict[str, float]:
        measured.append(len(losses(tmp_path)))
        return {"pa_mpjpe_mm": 80.0}

    settings = Settings(root, tmp_path, validation=Validation(fail))
    with pytest.raises(HmrError, match=r"--without evaluation.*step 2 is saved in") as raised:
        train(recipe, settings)
    assert "anything" in str(raised.value) and "\n" not in str(raised.value)
    assert read_checkpoint(tmp_path).meta.step == 2
    said: list[str] = []
    validation = Validation(succeed, mean_pose=lambda: {"pa_mpjpe_mm": 99.0})
    train(recipe, replace(settings, validation=validation, say=said.append))
    assert measured == [2, 4] and weights(tmp_path) == weights(whole)
    best = read_checkpoint(tmp_path / "checkpoints" / "best").meta
    assert (best.step, best.metrics) == (2, {"pa_mpjpe_mm": 80.0})
    assert "epoch 2, test set: PA-MPJPE 80.0 mm (the mean pose: PA-MPJPE 99.0 mm)" in said
    tested = [line for line in read_metrics(tmp_path) if "validation" in line]
    assert [line["step"] for line in tested] == [2, 4] and tested[0]["mean_pose"] == {"pa_mpjpe_mm": 99.0}


def kill_a_worker() -> None:
    next(process for process in multiprocessing.active_children()).kill()


def run_out_of_memory() -> None:
    raise MemoryError


@pytest.mark.parametrize(
    ("happens", "workers", "words"), [(kill_a_worker, 1, "--workers"), (run_out_of_memory, 0, "--accumulate")]
)
def test_a_run_that_ends_in_an_error_goes_on_where_it_was(
    whole: Path,
    root: Path,
    recipe: Recipe,
    tmp_path: Path,
    happens: Callable[[], None],
    workers: int,
    words: str,
) -> None:
    def watch(now: Progress) -> None:
        if now.step == 1:
            happens()

    settings = Settings(root, tmp_path, workers=workers)
    with pytest.raises(BadInput, match=words) as raised:
        train(replace_epochs(recipe, 40) if workers else recipe, replace(settings, watch=watch))
    saved = max(losses(tmp_path))
    assert f"step {saved} is saved in {tmp_path}, the same command goes on" in str(raised.value)
    assert read_checkpoint(tmp_path).meta.step == saved
    if not workers:
        train(recipe, settings)
        assert losses(tmp_path) == losses(whole) and weights(tmp_path) == weights(whole)


def replace_epochs(recipe: Recipe, epochs: int) -> Recipe:
    return recipe.model_copy(update={"schedule": recipe.schedule.model_copy(update={"epochs": epochs})})


@pytest.fixture
def small_disk() -> Iterator[None]:
    """No file grows over four megabytes."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4_000_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_leaves_the_checkpoint_before(
    stopped: Path, root: Path, recipe: Recipe, small_disk: None
) -> None:
    before = weights(stopped)
    with pytest.raises(BadInput, match="make room on the disk; step 3 is saved in"):
        train(recipe, Settings(root, stopped))
    assert weights(stopped) == before and read_checkpoint(stopped).meta.step == 3
    assert [path.name for path in (stopped / "checkpoints").iterdir()] == ["last"]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(28, "No space left on device", "a.pt"), "a.pt: no space left"),
        (RuntimeError("[enforce fail at inline_container.cc:659] . unexpected pos 64 vs 0"), "the disk"),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
            "--accumulate",
        ),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), "schedule.batch_size"),
        (RuntimeError("DataLoader worker (pid(s) 7) exited unexpectedly"), "--workers"),
        (EOFError(), "--workers"),
    ],
)
def test_what_users_can_do_something_about_is_bad_input(error: Exception, words: str) -> None:
    assert isinstance(explained(error), BadInput) and words in str(explained(error))
    assert type(explained(KeyError("x"))) is HmrError


HOLD = """
import sys
from pathlib import Path
from hmrcli.training.folders import hold
lock = hold(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.readline()
"""


def test_two_runs_have_two_folders(
    stopped: Path, recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = Path("runs") / recipe.name / "2026-01-01_00-00-00"
    folder.parent.mkdir(parents=True)
    stopped.rename(folder)
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], **pipes)
    assert holder.stdout is not None and holder.stdout.readline() == "held\n"
    said: list[str] = []
    with pytest.raises(Busy, match=rf"process {holder.pid} on .*--out"):
        find_place(recipe, folder, "auto")
    with pytest.raises(Busy, match=str(holder.pid)):
        find_place(recipe, None, str(folder))
    places = [find_place(recipe, None, "auto", said.append) for _ in range(3)]  # in the same second or not
    assert len({place.folder for place in (*places, places[0]._replace(folder=folder))}) == 4
    assert all(place.checkpoint is None for place in places)
    assert f"process {holder.pid}" in said[0] and "a folder of its own" in said[0]
    for place in places:
        place.release()
    assert list(folder.parent.iterdir()) == [folder]  # nothing was written to the others
    holder.kill()
    holder.wait()
    place = find_place(recipe, None, "auto")
    assert place.folder == folder and place.checkpoint is not None and place.checkpoint.meta.step == 3
    place.release()


def test_what_a_killed_run_was_writing_is_removed(whole: Path, stopped: Path) -> None:
    checkpoints, number = stopped / "checkpoints", 32 * "a"
    for path in (
        checkpoints / f".last.{number}",
        checkpoints / f".step-2.{number}",
        checkpoints / ".previous-last",
    ):
        path.mkdir()
        (path / "model.safetensors").touch()
    for path in (stopped / f".curves.{number}.png", stopped / f".{number}.json", stopped / ".gitignore"):
        path.touch()
    (checkpoints / ".mine").mkdir()
    (checkpoints / "last").rename(checkpoints / ".previous-best")  # a replacement that was cut short
    (checkpoints / "last").mkdir()
    (checkpoints / "last" / META_FILE).touch()
    clear_leftovers(stopped)
    assert {path.name for path in checkpoints.iterdir()} == {"last", "best", ".mine"}
    assert [path.name for path in stopped.glob(".*")] == [".gitignore"]


def other_state(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    """Puts another training state in the place of a run's, with the sum that belongs to it."""

    def apply(folder: Path) -> None:
        last = folder / "checkpoints" / "last"
        state = torch.load(last / STATE_FILE, weights_only=True)
        changed = change(state)
        (last / STATE_FILE).unlink()
        torch.save(state if changed is None else changed, last / STATE_FILE)
        meta = json.loads((last / META_FILE).read_text())
        meta["sha256"][STATE_FILE] = hashlib.sha256((last / STATE_FILE).read_bytes()).hexdigest()
        rewrite(last / META_FILE, meta)

    return apply


def other_meta(**fields: Any) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        path = folder / "checkpoints" / "last" / META_FILE
        rewrite(path, json.loads(path.read_text()) | fields)

    return apply


def written(name: str, content: bytes) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes(content) and None


def wrong_moments(state: dict[str, Any]) -> None:
    state["learner"]["optimizer"]["state"][0]["exp_avg"] = torch.zeros(3)


LINE = b'{"step": 1, "epoch": 0, "loss": {"total": 1.0}}\n'


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b'{"step": "1"}\n' + LINE, 1),
        (b"\xff\xfe\n" + LINE, 1),
        (LINE + b'{"step": 2, "epoch": 0, "loss": 7}\n' + LINE, 2),
        (LINE.replace(b"1.0", b"NaN") + LINE, 1),
        (LINE.replace(b"total", b"$\\\\bad") + LINE, 1),
        (LINE + b"[1]\n" + b"[" * 99999 + b"\n" + LINE, 2),
    ],
)
def test_metrics_from_elsewhere_are_refused_by_their_line(tmp_path: Path, content: bytes, line: int) -> None:
    (tmp_path / "metrics.jsonl").write_bytes(content)
    with pytest.raises(BadInput, match=rf"metrics\.jsonl:{line}: "):
        read_metrics(tmp_path)


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (other_meta(metrics=[1]), META_FILE),
        (other_meta(best="low"), META_FILE),
        (other_meta(step=-1), META_FILE),
        (other_meta(step=10**400), META_FILE),
        (other_meta(validated=None), META_FILE),
        (other_meta(sha256="x"), META_FILE),
        (written("checkpoints/last/meta.json", b"[" * 99999), META_FILE),
        (written("environment.json", b'{"python": '), "environment.json"),
        (written("environment.json", b'{"resumed": 3}'), "environment.json"),
        (other_state(lambda state: torch.zeros(3)), STATE_FILE),
        (other_state(lambda state: state | {"sampler": 5}), STATE_FILE),
        (other_state(wrong_moments), STATE_FILE),
    ],
)
def test_a_run_from_elsewhere_is_refused_by_its_file(
    stopped: Path, root: Path, recipe: Recipe, damage: Callable[[Path], None], named: str
) -> None:
    for path in (stopped / "checkpoints" / "last").iterdir():  # not the files of other runs
        content = path.read_bytes()
        path.unlink()
        path.write_bytes(content)
    damage(stopped)
    with pytest.raises(BadInput) as raised:
        if named == META_FILE:
            read_checkpoint(stopped)
        train(recipe, Settings(root, stopped))
    assert named in str(raised.value) and str(stopped) in str(raised.value)
    assert "\n" not in str(raised.value) and len(str(raised.value)) < 500


def test_metrics_that_were_cut_short_go_on(stopped: Path, root: Path, recipe: Recipe, whole: Path) -> None:
    path = stopped / "metrics.jsonl"
    kept = [line for line in path.read_text().splitlines() if json.loads(line)["step"] < 4]
    path.write_text("\n".join(kept) + '\n{"step": 4, "ep')
    train(recipe, Settings(root, stopped))
    assert list(losses(stopped)) == [1, 2, 3, 4]


def test_one_sample_alone_is_refused_before_the_first_step(root: Path, tmp_path: Path) -> None:
    changes = [PEOPLE, "data.epoch_length=sum"]
    recipe = open_recipe("graphcmr_normal", *changes, batch_size=1)
    with pytest.raises(
        UsageError, match=r"schedule.batch_size 1: .*1 processes.*1 micro-batches.*one sample"
    ):
        train(recipe, Settings(root, tmp_path / "run"))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("error", "rank", "ends"),
    [
        (UsageError("x"), "0", UsageError),
        (UsageError("x"), "1", UsageError),
        (Elsewhere(), "0", SystemExit),
        (KeyboardInterrupt(), "0", KeyboardInterrupt),
        (KeyboardInterrupt(), "1", SystemExit),
    ],
)
def test_one_process_says_what_all_of_them_meet(
    error: BaseException, rank: str, ends: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    monkeypatch.setattr("time.sleep", waited.append)
    monkeypatch.setenv("RANK", rank)
    monkeypatch.setenv("LOCAL_RANK", rank)
    with pytest.raises(ends), said_once(), met_alike():
        raise error
    # The one that leaves the word to another waits until it is ended with it.
    assert bool(waited) == (isinstance(error, Elsewhere) or (rank == "1" and isinstance(error, UsageError)))
