"""Where a test set is found, and that those of the open benchmark are made where they are not."""

import threading
from pathlib import Path

import pytest

from hmrcli.assets.open_sets import OPEN_SETS
from hmrcli.cli import open_sets
from hmrcli.cli.open_sets import write_missing
from hmrcli.data.needed import find_test_file, is_open_test
from hmrcli.errors import MissingFile
from hmrcli.recipe import load_recipe
from hmrcli.results.measure import find_test
from hmrcli.scenes.dataset import write_set
from hmrcli.scenes.files import annotation_file, written_rows


def test_a_test_set_that_is_not_there_is_rendered_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(OPEN_SETS, "open-wild", OPEN_SETS["open-wild"]._replace(rows=2))
    recipe = load_recipe("hmr_l1", open=True)
    path = find_test_file(recipe, tmp_path, "open-wild")
    assert is_open_test(path, tmp_path) and path == annotation_file(tmp_path, "open-wild")
    for _ in range(2):
        write_missing({"open-wild": None}, tmp_path)
        assert written_rows(tmp_path, "open-wild") == 2
    assert capsys.readouterr().err.count("open-wild is rendered first") == 1
    test = find_test(recipe, tmp_path, "open-wild")
    assert (test.annotations, test.images) == (path, tmp_path / "datasets" / "open-wild")
    assert test.protocol.name == "open"


def test_training_sets_are_not_rendered_to_be_measured_on(tmp_path: Path) -> None:
    with pytest.raises(MissingFile, match="open-studio"):
        find_test(load_recipe("hmr_l1", open=True), tmp_path, "open-studio")


def test_of_several_processes_the_first_renders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(open_sets, "write", lambda *_, **__: pytest.fail("the second renders"))
    waiting = threading.Thread(target=write_missing, args=({"open-test": 1}, tmp_path))
    waiting.start()
    write_set(tmp_path, "open-test", 1)
    waiting.join(30)
    assert not waiting.is_alive()
