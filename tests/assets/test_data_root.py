"""The order in which the data root is looked for."""

from pathlib import Path

import pytest

from hmrcli.assets.data_root import data_root


def test_option_then_variable_then_here_then_the_users_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HMR_DATA", "/from/variable")
    assert data_root(Path("/from/option")) == Path("/from/option")
    assert data_root() == Path("/from/variable")
    monkeypatch.delenv("HMR_DATA")
    (tmp_path / "data").mkdir()
    assert data_root() == Path("data")
    (tmp_path / "data").rmdir()
    users = data_root()
    assert users.is_absolute() and "hmr" in users.parts


def test_home_is_spelled_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HMR_DATA", "~/hmr")
    assert data_root() == Path.home() / "hmr"
