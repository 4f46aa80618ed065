"""Results files: what is written is read, and what is wrong is named."""

from pathlib import Path

import pytest

from hmrcli.errors import BadInput
from hmrcli.results.runs import Results, read_results, read_runs, write_results
from tests.results.made import document, estimate, put, score


def changed(**changes: object) -> dict:
    return document("hmr_l1", 58.0, **changes)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    results = read_results(put(tmp_path, "a", changed(details={"joint_errors_mm": [1.5, 2.5]})))
    write_results(tmp_path / "b" / "results.json", results)
    assert read_results(tmp_path / "b" / "results.json") == results
    assert results.scores[0].metrics["pa_mpjpe_mm"].value == 58.0
    assert results.details["joint_errors_mm"] == [1.5, 2.5]


def test_results_of_another_system_have_no_recipe_checkpoint_or_body(tmp_path: Path) -> None:
    results = read_results(put(tmp_path, "a", document(None, 58.0, checkpoint=None, body_model=None)))
    assert (results.recipe, results.checkpoint, results.body_model) == (None, None, None)


def test_a_file_of_a_later_version_still_counts(tmp_path: Path) -> None:
    assert read_results(put(tmp_path, "a", changed(new_key={"x": 1}))).samples == 35515


WITHOUT_PROTOCOL = {key: value for key, value in changed().items() if key != "protocol"}
BAD = {
    "truncated": (b'{"recipe": "hmr_l1", "protoc', "is no JSON"),
    "binary": (b"\x80\x04\x95\xff\x00", "is no JSON|must be"),
    "empty": (b"", "is no JSON"),
    "a list": (b"[1, 2]", "expected"),
    "deep": (b"[" * 100_000, "is no JSON"),
    "missing field": (WITHOUT_PROTOCOL, "`protocol`: is missing"),
    "text for a number": (changed(samples="many"), "`samples`: expected a valid integer"),
    "no samples": (changed(samples=0), "`samples`"),
    "no scores": (changed(scores=[]), "`scores`"),
    "not a number": (
        changed(scores=[score(float("nan"))]),
        r"`scores\.0\.metrics\.pa_mpjpe_mm\.\w+`.*finite",
    ),
    "infinite": (changed(scores=[score(float("inf"))]), "finite"),
    "interval beside the mean": (
        changed(scores=[{"metrics": {"pa_mpjpe_mm": estimate(50.0) | {"low": 51.0}}}]),
        "low <= value <= high",
    ),
    "unknown mesh": (changed(scores=[score(50.0, "outer")]), r"`scores\.0\.surface`"),
    "hash": (changed(checkpoint={"path": "a", "sha256": "no hash"}), r"`checkpoint\.sha256`"),
    "time without zone": (changed(created="2026-01-02T03:04:05"), "`created`"),
    "terminal codes": (changed(dataset="\x1b[31mred"), "`dataset`: has characters that cannot be printed"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_file_is_one_line_with_file_and_field(tmp_path: Path, kind: str) -> None:
    content, expected = BAD[kind]
    path = put(tmp_path, "run", content)
    with pytest.raises(BadInput, match=expected) as caught:
        read_results(path)
    assert str(caught.value).startswith(f"{path}: ") and "hmr eval" in str(caught.value)
    assert "\n" not in str(caught.value) and "\x1b" not in str(caught.value)


def test_a_file_too_large_for_a_summary_is_not_read(tmp_path: Path) -> None:
    path = put(tmp_path, "run", "")
    with path.open("wb") as file:
        file.truncate(17_000_000)
    with pytest.raises(BadInput, match="too large"):
        read_results(path)


def test_runs_are_found_at_any_depth_newest_first_and_bad_ones_are_told(tmp_path: Path) -> None:
    put(tmp_path, "hmr_l1/old", changed(created="2026-01-01T00:00:00+00:00"))
    put(tmp_path, "hmr_l1/deep/er/new", changed(created="2026-01-01T02:00:00+01:00"))
    put(tmp_path, "broken", b"{")
    (tmp_path / "folder" / "results.json").mkdir(parents=True)
    runs, bad = read_runs(tmp_path)
    assert [run.name for run in runs] == ["hmr_l1/deep/er/new", "hmr_l1/old"]
    assert [str(error).split(":")[0] for error in bad] == [
        str(tmp_path / name / "results.json") for name in ("broken", "folder")
    ]


def test_a_results_file_in_the_folder_itself_has_the_folder_s_name(tmp_path: Path) -> None:
    put(tmp_path, "mine", changed())
    (run,), _ = read_runs(tmp_path / "mine")
    assert run.name == "mine"


def test_no_folder_holds_no_results(tmp_path: Path) -> None:
    assert read_runs(tmp_path / "absent") == ([], [])


def test_results_are_frozen(tmp_path: Path) -> None:
    results = read_results(put(tmp_path, "a", changed()))
    with pytest.raises(ValueError):
        results.samples = 1  # type: ignore[misc]
    assert isinstance(results, Results)
