"""Where a test set is found, and that those of the open benchmark are made where they are not."""

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from hmrcli.data import rendered
from hmrcli.data.open_files import annotation_file, is_written
from hmrcli.errors import MissingFile
from hmrcli.recipe import load_recipe
from hmrcli.results.measure import find_test, render_test
from hmrcli.scenes.splits import SPLITS


def test_a_test_set_that_is_not_there_is_rendered_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SPLITS, "open-wild", replace(SPLITS["open-wild"], rows=2))
    said: list[str] = []
    for _ in range(2):
        test = find_test(load_recipe("open_hmr_l1"), tmp_path, "open-wild", say=said.append)
        assert test.annotations == annotation_file(tmp_path, "open-wild")
        assert test.images == tmp_path / "datasets" / "open-wild" and test.protocol.name == "open"
        assert is_written(tmp_path, "open-wild", 2)
    assert len(said) == 1 and "open-wild is rendered first" in said[0]


def test_training_sets_are_not_rendered_to_be_measured_on(tmp_path: Path) -> None:
    with pytest.raises(MissingFile, match="open-studio"):
        find_test(load_recipe("open_hmr_l1"), tmp_path, "open-studio")


def test_of_several_processes_the_first_renders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(rendered, "write_open_set", lambda *_, **__: pytest.fail("the second renders"))
    path = annotation_file(tmp_path, "open-test")
    waiting = threading.Thread(target=render_test, args=(path.stem, tmp_path, 0, lambda text: None))
    waiting.start()
    path.parent.mkdir()
    path.touch()
    waiting.join(30)
    assert not waiting.is_alive()
