"""Verdicts, and which result may stand beside which figure."""

from pathlib import Path
from typing import Any

import pytest

from hmrcli.results.compare import Arranged, arrange, verdict
from hmrcli.results.published import published
from hmrcli.results.runs import Estimate, read_runs
from tests.results.made import OPEN, document, open_document, put, score


@pytest.mark.parametrize(
    ("value", "half", "expected"),
    [
        (58.2, 0.1, "reproduced"),
        (59.2, 0.1, "reproduced"),  # 1 mm off, the most that counts
        (57.2, 0.1, "reproduced"),
        (59.21, 0.1, "worse"),
        (57.19, 0.1, "better"),
        (61.0, 2.9, "reproduced"),  # far off, yet the interval is as wide
        (61.0, 2.7, "worse"),
        (55.0, 3.3, "reproduced"),
    ],
)
def test_the_verdict_follows_the_rule(value: float, half: float, expected: str) -> None:
    assert verdict(58.2, Estimate(value=value, low=value - half, high=value + half)) == expected


def arranged(folder: Path, which: str, *documents: dict[str, Any]) -> Arranged:
    for number, each in enumerate(documents):
        put(folder, f"run{number}", each)
    runs, bad = read_runs(folder)
    assert not bad
    return arrange(runs, published().benchmark, which)


def test_a_run_of_the_benchmark_fills_its_cell(tmp_path: Path) -> None:
    cells, _, _, apart = arranged(tmp_path, "3dpw", document("hmr_l1", 58.0), document("spin_l1", 57.0))
    assert {recipe: run.name for recipe, run in cells.items()} == {"hmr_l1": "run0", "spin_l1": "run1"}
    assert apart == []


MISFITS = {
    "protocol h36m, not 3dpw": document("hmr_l1", 58.0, protocol="h36m"),
    "protocol open, not 3dpw": open_document("open_hmr_l1", 58.0),
    "body open, not smpl": document("hmr_l1", 58.0, body_model=OPEN),
    "body unknown, not smpl": document("hmr_l1", 58.0, body_model=None),
    "no recipe is none of the 20": document(None, 58.0),
    "100 samples, not the 35,515 of the set": document("hmr_l1", 58.0, samples=100),
    "has no pa_mpjpe_mm": document(
        "hmr_l1", 58.0, scores=[{"metrics": {"pve_mm": score(9)["metrics"]["mpjpe_mm"]}}]
    ),
}


@pytest.mark.parametrize("reason", MISFITS)
def test_what_is_not_of_the_benchmark_is_set_apart_with_the_reason(tmp_path: Path, reason: str) -> None:
    cells, _, _, apart = arranged(tmp_path, "3dpw", MISFITS[reason])
    assert cells == {} and [each.reason for each in apart] == [reason]


def test_recipes_that_are_none_of_the_20_are_beyond_them(tmp_path: Path) -> None:
    runs = [document("my_hmr", value) for value in (58.0, 59.0)]
    cells, _, beyond, apart = arranged(tmp_path, "3dpw", *runs, document("other", 50.0, samples=9))
    assert cells == {} and [run.results.recipe for run in beyond] == ["my_hmr"]
    assert [each.reason for each in apart] == [
        "an earlier run of this recipe",
        "9 samples, not the 35,515 of the set",
    ]


def test_the_latest_run_counts_even_if_it_is_worse(tmp_path: Path) -> None:
    early, late = "2026-01-01T00:00:00+00:00", "2026-02-01T00:00:00+00:00"
    runs = [document("hmr_l1", value, created=day) for value, day in ((70.0, late), (58.0, early))]
    cells, _, _, apart = arranged(tmp_path, "3dpw", *runs)
    assert cells["hmr_l1"].name == "run0"
    assert [(each.run.name, each.reason) for each in apart] == [("run1", "an earlier run of this recipe")]


def test_a_result_that_also_travels_with_the_package_is_one_result(tmp_path: Path) -> None:
    put(tmp_path, "run", open_document("open_hmr_l1", 80.0))
    put(tmp_path, "other", open_document("open_hmr_l1", 81.0, checkpoint={"path": "x", "sha256": "00" * 32}))
    other, run = sorted(read_runs(tmp_path)[0], key=lambda run: run.name)
    cells, _, _, apart = arrange([run, run._replace(shipped=True)], published().benchmark, "open")
    assert cells == {"open_hmr_l1": run} and apart == []
    _, _, _, apart = arrange([run, other._replace(shipped=True)], published().benchmark, "open")
    assert [each.reason for each in apart] == ["an earlier run of this recipe"]


def test_of_two_meshes_the_first_is_compared_and_the_other_set_apart(tmp_path: Path) -> None:
    scores = [score(67.0, "parametric"), score(64.0, "free")]
    cells, _, _, apart = arranged(tmp_path, "3dpw", document("graphcmr_l1", 67.0, scores=scores))
    assert cells["graphcmr_l1"].results.scores[0].surface == "parametric"
    assert [(each.score.surface, each.reason) for each in apart] == [
        ("free", "another mesh of the same network")
    ]


def test_the_open_benchmark_takes_open_recipes_alone(tmp_path: Path) -> None:
    runs = [open_document("open_hmr_l1", 80.0), document("hmr_l1", 58.0), open_document("hmr_l1", 81.0)]
    cells, _, beyond, apart = arranged(tmp_path, "open", *runs)
    assert list(cells) == ["open_hmr_l1"] and [run.results.recipe for run in beyond] == ["hmr_l1"]
    assert {each.reason for each in apart} == {"protocol 3dpw, not open"}
