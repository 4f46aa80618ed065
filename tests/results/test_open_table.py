"""The open benchmark in every format."""

import csv
import io
import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from rich.console import Console

from hmrcli.results.charts import curves, dots
from hmrcli.results.formats import to_csv, to_html, to_json, to_latex, to_markdown
from hmrcli.results.open_table import open_report
from hmrcli.results.published import published
from hmrcli.results.report import Report
from hmrcli.results.runs import read_runs
from hmrcli.results.terminal import print_report
from tests.results.made import open_document, open_run, put
from tests.results.test_formats import SVG, marks

REDUCED = ("network.iterations=2",)
CELLS = {
    "open_hmr_normal": (84.0, 110.0),
    "open_hmr_l1": (80.0, 104.0),
    "open_hmr_l1_coco": (78.0, 99.0),
    "open_hmr_l1_coco_aug": (78.01, 95.0),
    "open_spin_normal": (82.0, None),
}


def report_of(folder: Path, compare: bool = True) -> Report:
    runs, bad = read_runs(folder)
    assert not bad
    return open_report(runs, compare)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("runs")
    for recipe, (error, wild) in CELLS.items():
        changes = REDUCED if "spin" in recipe else ()
        open_run(made, recipe, error, *changes, wild=wild, spread=2.0)
    return made


@pytest.fixture(scope="module")
def report(folder: Path) -> Report:
    return report_of(folder)


def terminal(report: Report, width: int) -> str:
    stream = io.StringIO()
    print_report(report, Console(file=stream, width=width, color_system=None))
    return stream.getvalue()


def test_json_says_what_was_measured_and_what_was_trained(report: Report) -> None:
    whole = json.loads(to_json(report))
    rows = {row["recipe"]: row for row in whole["rows"]}
    assert list(rows) == [f"open_{cell.recipe}" for cell in published().benchmark.cells]
    hmr = rows["open_hmr_l1"]
    assert (hmr["pa_mpjpe_mm"], hmr["wild_pa_mpjpe_mm"], hmr["published_3dpw"]) == (80.0, 104.0, 58.20)
    assert hmr["pa_mpjpe_mm_low"] < 80 < hmr["pa_mpjpe_mm_high"]
    assert (hmr["backbone"], hmr["image_size"], hmr["images_seen"]) == ("resnet50", 224, 64_000)
    assert (hmr["changes"], hmr["without"], hmr["finished"], hmr["notes"]) == ([], [], True, [])
    assert rows["open_spin_normal"]["changes"] == ["network.iterations=2 (recipe: 3)"]
    assert rows["open_spin_normal"]["notes"] == ["a"]
    assert rows["open_spin_normal"]["wild_pa_mpjpe_mm"] is None
    assert set(hmr) == set(rows["open_pare_l1"]), "a row without a run has the same keys"
    assert {key for key, value in rows["open_pare_l1"].items() if value} == {
        "recipe",
        "algorithm",
        "variant",
        "published_3dpw",
    }


def test_the_order_is_compared_for_each_algorithm_and_for_all(report: Report) -> None:
    orders = {(row["dataset"], row["group"]): row for row in report.others[0].records}
    assert list(orders) == [
        ("open-test", "HMR"),
        ("open-test", "All"),
        ("open-wild", "HMR"),
        ("open-wild", "All"),
    ]
    hmr = orders["open-test", "HMR"]
    assert (hmr["cells"], hmr["pairs"], hmr["pairs_apart"], hmr["pairs_agreeing"]) == (4, 6, 5, 5)
    assert (hmr["neighbours"], hmr["neighbours_apart"]) == (3, 2), "78.00 and 78.01 are not told apart"
    assert hmr["spearman"] == pytest.approx(0.8), "and stand the other way round"
    assert orders["open-wild", "HMR"]["spearman"] == pytest.approx(1)
    assert orders["open-test", "All"]["cells"] == 5 and orders["open-wild", "All"]["cells"] == 4
    assert hmr["changed_alike"] and not orders["open-test", "All"]["changed_alike"]
    assert any("Not all changed alike" in remark and remark.endswith(": All.") for remark in report.remarks)


def test_two_cells_have_no_order(tmp_path: Path) -> None:
    for recipe in ("open_hmr_normal", "open_hmr_l1"):
        open_run(tmp_path, recipe, 80.0)
    few = report_of(tmp_path)
    assert all("spearman" not in record for sheet in few.others for record in sheet.records)
    assert few.remarks[0] == "The order of recipes is compared from 3 measured cells on."


def test_without_compare_nothing_published_is_shown(folder: Path) -> None:
    alone = report_of(folder, compare=False)
    for text in (to_json(alone), to_csv(alone), to_markdown(alone), to_latex(alone), to_html(alone)):
        assert "64.55" not in text and "3DPW" not in text and "Order of recipes" not in text
        assert re.search(r"84\.0", text)


@pytest.mark.parametrize("width", [80, 140])
def test_the_terminal_table_fits_and_says_everything(report: Report, width: int) -> None:
    text = terminal(report, width)
    assert max(map(len, text.splitlines())) <= width and "…" not in text
    assert re.search(r"L1 +80\.00 ± 2\.\d\d +104\.00 ± 2\.\d\d +58\.20", text)
    assert re.search(r"Normal +82\.00 ± 2\.\d\dᵃ +not run +59\.00", text)
    assert "ᵃ Reduced or changed: network.iterations=2 (recipe: 3)." in text
    assert re.search(r"open-test +HMR .*0\.80 +0\.67 +2 of 3 +5 of 6 +5 of 5", text)
    assert "the numbers are not comparable, only the order of recipes is" in " ".join(text.split())


def test_the_other_formats_have_the_same_rows(report: Report) -> None:
    rows = list(csv.DictReader(io.StringIO(to_csv(report))))
    assert [row["pa_mpjpe_mm"] for row in rows[:6]] == ["84.0", "80.0", "78.0", "78.01", "82.0", ""]
    assert rows[4]["changes"] == "network.iterations=2 (recipe: 3)" and "curve" not in rows[0]
    markdown = to_markdown(report)
    assert re.search(r"\| HMR \| L1 \| 80\.00 ± 2\.\d\d \| 104\.00 ± 2\.\d\d \| 58\.20 \|", markdown)
    assert markdown.count("| not run | not run |") == 15
    latex = to_latex(report)
    assert re.search(r"80\.00 \$\\pm\$ 2\.\d\d & 104\.00", latex) and r"$\rho$" in latex
    assert not re.search("[±ρτ]", latex)


def test_the_chart_has_both_test_sets_and_no_published_mark(report: Report) -> None:
    rows = marks(dots(report))
    assert [len(places) for places in rows.values()] == [2, 2, 2, 2, 1]
    told = list(rows)[1]
    assert told.startswith("HMR L1: open-test 80.00 mm (95 %") and "open-wild 104.00 mm (95 %" in told
    assert "published" not in dots(report)


def test_the_curves_have_a_panel_for_each_algorithm_that_has_some(report: Report) -> None:
    svg = ElementTree.fromstring(curves(report))
    assert list(marks(curves(report))) == [
        f"{name}: {error + 50:.2f} mm after 64,000 images"
        for name, error in (
            ("HMR Normal", 84.0),
            ("HMR L1", 80.0),
            ("HMR L1+COCO", 78.0),
            ("HMR L1+COCO+Aug", 78.01),
            ("SPIN Normal", 82.0),
        )
    ]
    words = [text.text for text in svg.iter(f"{SVG}text")]
    assert words.count("images seen") == 2 and {"HMR", "SPIN", "60k"} <= set(words) and "PARE" not in words
    (first, second) = (
        float(use.get("y", ""))
        for group in svg.iter(f"{SVG}g")
        if (group.findtext(f"{SVG}title") or "").startswith("SPIN")
        for use in group.iter(f"{SVG}use")
    )
    assert second > first, "lower errors are further down"
    assert "PA-MPJPE in mm while training" in to_html(report)


def test_without_evaluations_while_training_there_are_no_curves(tmp_path: Path) -> None:
    run = open_run(tmp_path, "open_hmr_l1", 80.0)
    (run / "metrics.jsonl").unlink()
    few = report_of(tmp_path)
    assert curves(few) == "" and "while training" not in to_html(few)


def test_weights_of_another_run_on_open_wild_are_set_apart(tmp_path: Path) -> None:
    open_run(tmp_path / "a", "open_hmr_l1", 80.0)
    open_run(
        tmp_path / "b",
        "open_hmr_l1",
        81.0,
        wild=99.0,
        checkpoint="00" * 32,
        created="2025-01-01T00:00:00+00:00",
    )
    mixed = report_of(tmp_path)
    (row,) = [record for record in mixed.main.records if record["run"]]
    assert (row["pa_mpjpe_mm"], row["wild_pa_mpjpe_mm"]) == (80.0, None)
    assert {record["reason"] for record in mixed.others[-1].records} == {
        "an earlier run of this recipe",
        "not the weights that were measured on open-test",
    }


def test_results_without_their_training_are_marked(tmp_path: Path) -> None:
    run = open_run(tmp_path, "open_hmr_l1", 80.0)
    (run / "recipe.yaml").unlink()
    assert report_of(tmp_path).notes == {"a": "What these weights were trained with is not known."}


def test_recipes_beyond_the_20_have_a_section_of_their_own(tmp_path: Path) -> None:
    open_run(tmp_path, "open_extra", 80.0, wild=95.0)
    put(tmp_path, "quick", open_document("open_quick", 120.0))
    report = report_of(tmp_path)
    (sheet,) = [sheet for sheet in report.others if sheet.title == "Beyond the benchmark"]
    assert [(row["recipe"], row["dataset"], row["saw_3dpw"]) for row in sheet.records] == [
        ("open_extra", "open_test", False),
        ("open_quick", "open_test", None),
        ("open_extra", "open_wild", False),
    ]
    assert not [record for record in report.main.records if record["run"]]
