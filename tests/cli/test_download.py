"""`hmr download` as a user meets it: streams, exit codes, messages."""

import json
import os
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from hmrcli.assets.open_sets import OPEN_SETS
from hmrcli.cli.download import download
from hmrcli.errors import BadInput, MissingFile, UsageError


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder whose files are served, and a registry of four files: good, page, gone, licensed."""
    folder = tmp_path / "served"
    folder.mkdir()
    np.save(folder / "good.npy", np.arange(6.0))
    (folder / "page.npy").write_text("<html>no</html>")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder))) as server:
        url = f"http://127.0.0.1:{server.server_port}"
        registry = {
            "drive": url,
            "groups": {"arrays": "arrays", "bodies": "bodies"},
            "licences": {
                "free": {"name": "Free", "who": "anyone"},
                "strict": {
                    "name": "Strict",
                    "who": "registered people",
                    "page": "https://s",
                    "restricted": True,
                },
            },
            "files": {
                **{
                    f"{name}.npy": {
                        "group": "arrays",
                        "path": f"arrays/{name}.npy",
                        "about": f"the {name} array",
                        "licence": licence,
                        "sources": [{"url": f"{url}/{name}.npy"}],
                    }
                    for name, licence in (("gone", "free"), ("good", "strict"), ("page", "free"))
                },
                "body.npy": {
                    "group": "bodies",
                    "path": "bodies/body.npy",
                    "about": "a body",
                    "licence": "strict",
                    "page": "https://register.example",
                    "check": {"shape": [6]},
                },
            },
        }
        (tmp_path / "registry.json").write_text(json.dumps(registry))
        monkeypatch.setenv("HMR_REGISTRY", str(tmp_path / "registry.json"))
        monkeypatch.setenv("HMR_DATA", str(tmp_path / "root"))
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield folder
        server.shutdown()
        thread.join()


def run(*arguments: object) -> Any:
    app = typer.Typer()
    app.command()(download)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_fetched_path_is_the_result_and_the_licence_a_note(served: Path, tmp_path: Path) -> None:
    done = run("good.npy")
    assert done.exit_code == 0
    assert done.stdout == f"{tmp_path}/root/arrays/good.npy\n"
    assert "Strict: registered people (https://s)" in done.stderr
    (served / "good.npy").unlink()
    again = run("good.npy")
    assert (again.exit_code, again.stdout, again.stderr) == (0, done.stdout, "")


def test_a_failure_does_not_stop_the_rest_of_the_group(served: Path, tmp_path: Path) -> None:
    done = run("arrays")
    assert isinstance(done.exception, MissingFile)
    assert done.stdout == f"{tmp_path}/root/arrays/good.npy\n"
    assert "error: gone.npy could not be fetched" in done.stderr and "404" in done.stderr
    assert "page.npy could not be fetched" in str(done.exception)
    assert str(done.exception).endswith("hmr download page.npy --from-file PATH")
    assert sorted(path.name for path in (tmp_path / "root").rglob("*")) == [
        "arrays",
        "good.npy",
        "good.npy.sha256",
    ]


def test_json_is_one_document_even_after_a_failure(served: Path, tmp_path: Path) -> None:
    done = run("arrays", "--json")
    document = json.loads(done.stdout)
    assert document["data_root"] == f"{tmp_path}/root"
    assert [(file["name"], file["state"]) for file in document["files"]] == [
        ("gone.npy", "failed"),
        ("good.npy", "fetched"),
        ("page.npy", "failed"),
    ]
    assert len(document["files"][1]["sha256"]) == 64
    assert "web page" in document["files"][2]["error"]


def test_licensed_file_is_asked_for_by_its_page(served: Path, tmp_path: Path) -> None:
    done = run("body.npy", "--data-root", tmp_path / "other")
    assert isinstance(done.exception, MissingFile)
    text = str(done.exception)
    assert "https://register.example" in text and "Strict: registered people" in text
    assert text.endswith(f"hmr download body.npy --from-file PATH --data-root {tmp_path}/other")
    group = run("bodies")
    assert group.exit_code == 0 and "hmr download body.npy --from-file PATH" in group.stderr


def test_member_of_an_archive_leaves_no_archive_behind(served: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(served / "set.zip", "w") as archive:
        archive.write(served / "good.npy", "set/good.npy")
    registry = json.loads((tmp_path / "registry.json").read_text())
    registry["files"]["good.npy"]["sources"] = [{"url": f"{registry['drive']}/set.zip", "member": "good.npy"}]
    (tmp_path / "registry.json").write_text(json.dumps(registry))
    assert run("good.npy").exit_code == 0
    left = {path.name for path in (tmp_path / "root").rglob("*")}
    assert left == {"arrays", "good.npy", "good.npy.sha256"}


def test_from_file(served: Path, tmp_path: Path) -> None:
    assert "Say which" in str(run("--from-file", tmp_path / "registry.json").exception)
    done = run("body.npy", "--from-file", served / "good.npy", "--json")
    assert done.exit_code == 0
    assert json.loads(done.stdout)["files"][0]["state"] == "placed"
    assert (tmp_path / "root/bodies/body.npy").read_bytes() == (served / "good.npy").read_bytes()
    assert run("body.npy", "--from-file", tmp_path / "nothing").exit_code == 2
    near = run("body.npy", "--from-file", served / "goood.npy")
    assert near.exit_code == 2 and "mean" in near.stderr


def test_list_and_dry_run_fetch_nothing(served: Path, tmp_path: Path) -> None:
    listed = run("--list")
    assert listed.exit_code == 0
    rows = {line.split()[0]: line.split() for line in listed.stdout.splitlines()}
    assert rows["good.npy"] == ["good.npy", "arrays", "unknown", "Strict", "missing"]
    planned = run("good.npy", "body.npy", "--dry-run")
    good, body = planned.stdout.splitlines()[1:]
    assert "/good.npy" in good and f"{tmp_path}/root/arrays/good.npy" in good and "registered people" in good
    assert "by hand, from https://register.example" in body
    assert not (tmp_path / "root").exists()
    run("good.npy")
    assert json.loads(run("good.npy", "--list", "--json").stdout)["files"][0]["state"] == "found"
    assert "in place" in run("good.npy", "--dry-run").stdout


def test_verify(served: Path, tmp_path: Path) -> None:
    run("good.npy")
    done = run("--verify")
    assert (done.exit_code, done.stdout) == (0, f"good  {tmp_path}/root/arrays/good.npy\n")
    assert isinstance(run("page.npy", "--verify").exception, MissingFile)
    np.save(tmp_path / "root/arrays/good.npy", np.arange(5.0))
    done = run("--verify", "--json")
    assert isinstance(done.exception, BadInput) and "good.npy: its SHA-256 is" in str(done.exception)
    states = {file["name"]: file["state"] for file in json.loads(done.stdout)["files"]}
    assert states == {
        **{"gone.npy": "missing", "good.npy": "bad", "page.npy": "missing", "body.npy": "missing"},
        **dict.fromkeys(OPEN_SETS, "missing"),
    }


def test_open_parts_are_rendered_here(served: Path, tmp_path: Path) -> None:
    folder = tmp_path / "root/preprocessed_datasets"
    listed = {line.split()[0]: line.split() for line in run("--list").stdout.splitlines()}
    assert all(listed[name][1] == "open" and listed[name][-1] == "missing" for name in OPEN_SETS)
    planned = run("open", "--dry-run").stdout.splitlines()[1:]
    assert [line.split()[0] for line in planned] == list(OPEN_SETS)
    assert all(
        f"{folder}/{name}.npz" in line and "rendered here" in line for name, line in zip(OPEN_SETS, planned)
    )
    assert "CC0" in planned[0] and "20,000 pictures" in planned[0] and not folder.exists()
    more = run("open-test", "--rows", "9999", "--dry-run").stdout
    assert "rendered here, 2,000 pictures" in more, "a test set has no more rows than everybody's"
    done = run("open-wild", "--rows", "2")
    assert (done.exit_code, done.stdout, done.stderr) == (0, f"{folder}/open-wild.npz\n", "")
    made = (folder / "open-wild.npz").stat().st_mtime_ns
    assert run("open-wild", "--rows", "2").stdout == done.stdout
    assert (folder / "open-wild.npz").stat().st_mtime_ns == made
    document = json.loads(run("open-wild", "good.npy", "--rows", "2", "--masks", "--json").stdout)
    states = {file["name"]: (file["state"], file["licence"]["restricted"]) for file in document["files"]}
    assert states == {"open-wild": ("rendered", False), "good.npy": ("fetched", True)}
    assert (tmp_path / "root/datasets/open-wild-masks/000/000001.png").is_file()
    assert run("open-wild", "--verify").stdout == f"good  {folder}/open-wild.npz\n"
    (tmp_path / "root/datasets/open-wild/000/000000.jpg").unlink()
    assert "1 images are missing" in str(run("open-wild", "--verify").exception)
    assert isinstance(run("open-test", "--verify").exception, MissingFile)


@pytest.mark.parametrize(
    "arguments",
    [
        *([], ["goods.npy"], ["good.npy", "--list", "--verify"], ["--json"]),
        *(["good.npy", "--rows", "2"], ["--masks", "--list"], ["open", "--from-file", "registry.json"]),
    ],
)
def test_wrong_usage(
    served: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    done = run(*arguments)
    assert isinstance(done.exception, UsageError)
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(["good.npy"], 0), ([], 2), (["page.npy"], 3), (["bodies", "--from-file", "bad.npy"], 4)],
)
def test_exit_codes_without_traceback(served: Path, tmp_path: Path, arguments: list[str], code: int) -> None:
    (tmp_path / "bad.npy").write_bytes(b"no array")
    script = (
        "import typer; from hmrcli.cli.console import exit_codes; from hmrcli.cli.download import download\n"
        "app = typer.Typer(pretty_exceptions_enable=False); app.command()(download)\n"
        "with exit_codes(): app()"
    )
    command = [sys.executable, "-c", script, *arguments]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert done.returncode == code
    assert "Traceback" not in done.stderr and "\x1b[" not in done.stderr
    assert code == 0 or done.stderr.splitlines()[-1].startswith("error: ")


def test_command_starts_without_heavy_imports() -> None:
    heavy = ("torch", "numpy", "requests", "pydantic", "yaml")
    check = f"import sys, hmrcli.cli.download; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
