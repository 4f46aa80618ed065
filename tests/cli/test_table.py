"""`hmr table` through the command line."""

import csv
import io
import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from hmrcli.cli.table import table
from hmrcli.errors import HmrError
from hmrcli.results.published import published
from tests.results.made import document, open_run, put

app = typer.Typer()
app.command()(table)


class Done:
    """What the command did, with the exit code of the contract."""

    def __init__(self, *arguments: str) -> None:
        result = CliRunner().invoke(app, list(arguments))
        error = result.exception
        self.code = error.exit_code if isinstance(error, HmrError) else result.exit_code
        self.stdout = result.stdout
        self.stderr = result.stderr + (str(error) if isinstance(error, HmrError) else "")
        if error is not None and not isinstance(error, (HmrError, SystemExit)):
            raise error


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr("hmrcli.results.runs.bundled", lambda name: tmp_path / "bundled" / name)


def test_the_published_figures_need_nothing() -> None:
    done = Done()
    assert done.code == 0 and done.stderr == ""
    for cell in published().benchmark.cells:
        assert f"{cell.published:.2f}" in done.stdout
    assert "not run" not in done.stdout


def test_compare_reads_the_runs_folder() -> None:
    put(Path("runs"), "hmr_l1/20260102-030405", document("hmr_l1", 58.0))
    done = Done("--compare")
    assert done.code == 0 and done.stderr == ""
    assert "58.00" in done.stdout and "reproduced" in done.stdout and "hmr_l1/20260102-030405" in done.stdout


def test_a_results_folder_implies_the_comparison() -> None:
    put(Path("elsewhere"), "x", document("hmr_l1", 55.0))
    (row,) = [
        r for r in json.loads(Done("--results", "elsewhere", "--format", "json").stdout)["rows"] if r["run"]
    ]
    assert (row["recipe"], row["verdict"], row["pa_mpjpe_mm"]) == ("hmr_l1", "better", 55.0)


def test_without_results_the_comparison_says_so_and_is_no_error() -> None:
    done = Done("--compare", "--format", "json")
    assert done.code == 0 and "nothing measured for these rows below runs" in " ".join(done.stderr.split())
    assert {row["verdict"] for row in json.loads(done.stdout)["rows"]} == {None}


def test_the_open_benchmark_says_what_is_not_run() -> None:
    done = Done("--benchmark", "open")
    assert done.code == 0 and "nothing measured" in done.stderr and done.stdout.count("not run") == 40
    open_run(Path("runs"), "open_pare_l1", 91.25)
    done = Done("--benchmark", "open")
    assert done.stderr == "" and done.stdout.count("not run") == 39 and "91.25" in done.stdout
    assert "verdict" not in done.stdout.lower() and "3DPW" not in done.stdout and "61.13" not in done.stdout


def test_the_open_benchmark_beside_the_published_figures() -> None:
    for recipe, error in (("open_hmr_normal", 84.0), ("open_hmr_l1", 80.0), ("open_hmr_l1_coco", 78.0)):
        open_run(Path("runs"), recipe, error, wild=error + 20)
    done = Done("--benchmark", "open", "--compare")
    said = " ".join(done.stdout.split())
    assert "64.55" in said and "Published, 3DPW" in said and "the numbers are not comparable" in said
    assert said.count("HMR 1.00 1.00 2 of 2 3 of 3 3 of 3") == 2


def test_results_that_travel_with_the_package_are_shown_until_newer_ones_come() -> None:
    open_run(Path("bundled/results/open"), "open_hmr_l1", 80.0)
    rows = {
        row["recipe"]: row
        for row in json.loads(Done("--benchmark", "open", "--format", "json").stdout)["rows"]
    }
    assert (rows["open_hmr_l1"]["from"], rows["open_hmr_l1"]["pa_mpjpe_mm"]) == ("shipped", 80.0)
    assert rows["open_spin_l1"]["from"] is None
    open_run(Path("runs"), "open_hmr_l1", 81.0, checkpoint="00" * 32, created="2026-02-02T03:04:05+00:00")
    whole = json.loads(Done("--benchmark", "open", "--format", "json").stdout)
    rows = {row["recipe"]: row for row in whole["rows"]}
    assert (rows["open_hmr_l1"]["from"], rows["open_hmr_l1"]["pa_mpjpe_mm"]) == ("this machine", 81.0)
    (apart,) = [row for sheet in whole["others"] for row in sheet["rows"] if "reason" in row]
    assert (apart["pa_mpjpe_mm"], apart["reason"]) == (80.0, "an earlier run of this recipe")


def test_what_travels_with_the_package_is_not_in_the_list_of_3dpw() -> None:
    open_run(Path("bundled/results/open"), "open_hmr_l1", 80.0)
    assert "80.00" not in Done("--compare").stdout


def test_bad_results_are_named_and_the_others_shown() -> None:
    put(Path("runs"), "good", document("hmr_l1", 58.0))
    put(Path("runs"), "bad", b'{"recipe": ')
    done = Done("--compare", "--format", "csv")
    assert done.code == 0 and "58.0" in done.stdout
    said = " ".join(done.stderr.split())
    assert said.startswith(f"skipped: {Path('runs/bad/results.json')}: is no JSON") and "good" not in said


def test_only_bad_results_are_exit_code_4() -> None:
    put(Path("runs"), "bad", document("hmr_l1", 58.0, samples=-1))
    done = Done("--compare")
    assert (
        done.code == 4 and done.stdout == "" and "`samples`" in done.stderr and "none of its 1" in done.stderr
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["--table", "nonsense"],
            "algorithms, pretrained-backbones, combine, mixed, mixed-l1, backbones, datasets",
        ),
        (["--table", "augmentation"], "placeholders"),
        (["--table", "mixed", "--compare"], "published only"),
        (["--results", "absent"], "absent is not a folder"),
        (["--format", "xml"], ""),
        (["--benchmark", "h36m"], ""),
        (["--out", "."], "is a folder"),
    ],
)
def test_wrong_usage_is_exit_code_2(arguments: list[str], said: str) -> None:
    done = Done(*arguments)
    assert done.code == 2 and said in done.stderr and done.stdout == ""


@pytest.mark.parametrize("name", published().tables)
def test_wider_tables_by_name(name: str) -> None:
    done = Done("--table", name)
    assert done.code == 0 and published().tables[name].title in done.stdout


BEGINNINGS = {
    "t.md": "## Five",
    "t.tex": "% Needs",
    "t.csv": "recipe,",
    "t.json": '{"table"',
    "t.html": "<!DOCTYPE html>",
    "t.txt": "Five algorithms",
}


@pytest.mark.parametrize("name", BEGINNINGS)
def test_a_file_gets_the_format_of_its_suffix_and_stdout_nothing(name: str) -> None:
    done = Done("--out", f"new/{name}")
    assert done.code == 0 and done.stdout == "" and "wrote" in done.stderr
    text = Path("new", name).read_text(encoding="utf-8")
    assert text.startswith(BEGINNINGS[name]) and "58.2" in text and "\x1b" not in text
    assert [path.name for path in Path("new").iterdir()] == [name]


def test_a_format_that_is_asked_for_wins_over_the_suffix() -> None:
    Done("--out", "table.txt", "--format", "csv")
    assert len(list(csv.DictReader(io.StringIO(Path("table.txt").read_text())))) == 20


@pytest.mark.parametrize("kind", ["markdown", "latex", "csv", "json", "html", "rich"])
def test_stdout_is_the_result_alone(kind: str) -> None:
    put(Path("runs"), "h36m", document("hmr_l1", 48.0, protocol="h36m"))
    put(Path("runs"), "good", document("hmr_l1", 58.0))
    done = Done("--compare", "--format", kind)
    assert done.code == 0
    assert done.stderr == ("1 set apart and not in the CSV; see --format json\n" if kind == "csv" else "")
