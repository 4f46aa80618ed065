"""The package as users get it: its wheel, its README, its notices."""

import hashlib
import json
import os
import re
import shlex
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hmrcli.cli.app import app

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Scripts of an environment that holds the wheel; its dependencies are lent from this one."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    environment = folder / "environment"
    venv.create(environment, with_pip=False)
    scripts = environment / ("Scripts" if os.name == "nt" else "bin")
    python = scripts / "python"
    # No PYTHONPATH and no working directory of ours: what runs is what the wheel brought.
    install = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(python),
        "install",
        "--no-deps",
        "--no-index",
        str(wheel),
    ]
    subprocess.run(install, check=True, capture_output=True)
    site = subprocess.run(
        [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        check=True, capture_output=True, text=True,
    ).stdout.strip()  # fmt: skip
    Path(site, "lent.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return scripts


def test_the_wheel_works_outside_the_checkout(installed: Path, tmp_path: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    where = [str(installed / "python"), "-c", "import hmrcli; print(hmrcli.__file__)"]
    place = subprocess.run(
        where, cwd=tmp_path, env=environment, check=True, capture_output=True, text=True
    ).stdout
    assert Path(place).is_relative_to(installed.parent)
    photo = tmp_path / "photo.jpg"
    photo.write_bytes((ROOT / "data" / "photos" / "walk.jpg").read_bytes())
    command = [str(installed / "hmr"), "infer", "photo.jpg", "--json"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    table = [str(installed / "hmr"), "table", "--format", "csv"]
    assert (
        "Graphormer"
        in subprocess.run(table, cwd=tmp_path, env=environment, capture_output=True, text=True).stdout
    )
    people = json.loads(done.stdout)["images"][0]["people"]
    assert len(people) == 2
    assert all((tmp_path / path).exists() for person in people for path in person["files"].values())


def readme_commands() -> list[str]:
    lines = (ROOT / "README.md").read_text().splitlines()
    commands = [
        line.strip().split("#")[0].split("|")[0].strip() for line in lines if line.startswith("    hmr ")
    ]
    assert len(commands) >= 5
    return commands


@pytest.mark.parametrize("command", readme_commands())
def test_commands_of_the_readme_exist_with_their_options(command: str) -> None:
    _, name, *arguments = shlex.split(command)
    command_words = [name, arguments[0]] if name == "data" else [name]  # which has commands of its own
    shown = CliRunner().invoke(app, [*command_words, "--help"], terminal_width=200)
    assert shown.exit_code == 0
    for option in (argument for argument in arguments if argument.startswith("--")):
        assert option in shown.stdout


def test_bundled_files_are_listed_with_their_hash() -> None:
    listed = dict(re.findall(r"^\| `([^`]+)` .*`([0-9a-f]{64})` \| `data/build/\w+\.py` \|$", LICENSES, re.M))
    folders = ("body", "people", "photos", "fitting", "scenes", "scenes/backdrops")
    files = {
        f"{folder}/{path.name}": path
        for folder in folders
        for path in (ROOT / "data" / folder).iterdir()
        # The pictures of backdrops are listed in their index, which tests of the backdrops compare.
        if path.is_file() and path.suffix != ".md" and (folder, path.suffix) != ("scenes/backdrops", ".jpg")
    }
    assert set(listed) == set(files)
    for name, path in files.items():
        assert hashlib.sha256(path.read_bytes()).hexdigest() == listed[name], name


def test_files_are_remade_by_scripts_that_exist() -> None:
    scripts = re.findall(r"`(data/build/\w+\.py)`", LICENSES)
    assert scripts and all((ROOT / script).exists() for script in scripts)


LICENSES = (ROOT / "data" / "LICENSES.md").read_text()
