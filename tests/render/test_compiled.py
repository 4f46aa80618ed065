"""What numba compiled is kept for every process of a machine."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numba

from hmrcli.render import compiled

DRAW = """
import numpy as np
from hmrcli.render import kernels
from hmrcli.render.rasteriser import Camera, paint
corners = np.array([[-1.0, -1, 1], [1, -1, 1], [-1, 1, 1]])
paint(np.zeros((24, 32, 3), np.uint8), corners, np.array([[0, 1, 2]]), corners, Camera(10.0, (16.0, 12.0)), 1.0, 4)
stats = [value.stats for value in vars(kernels).values() if hasattr(value, "stats")]
print(sum(sum(one.cache_misses.values()) for one in stats), sum(sum(one.cache_hits.values()) for one in stats))
"""


def drawn(cache: Path) -> tuple[int, int]:
    """Draws in a process of its own: the functions that it compiled, and those that it loaded."""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(cache)}
    output = subprocess.run([sys.executable, "-c", DRAW], env=environment, capture_output=True, check=True)
    made, loaded = map(int, output.stdout.split())
    return made, loaded


def test_a_second_process_compiles_nothing(tmp_path):
    first, second = drawn(tmp_path), drawn(tmp_path)
    assert first[0] > 0
    assert second[0] == 0 < second[1]


def test_kernels_are_kept_in_the_home_apart_from_those_of_other_sources(monkeypatch, tmp_path):
    folders = []
    for text in ("one", "other"):
        house = tmp_path / text
        (house / "render").mkdir(parents=True)
        (house / "render" / "kernels.py").write_text(text)
        monkeypatch.setattr(compiled, "__file__", str(house / "render" / "compiled.py"))
        monkeypatch.setattr(numba.config, "CACHE_DIR", "")
        monkeypatch.setenv("LOCALAPPDATA" if sys.platform == "win32" else "XDG_CACHE_HOME", str(tmp_path))
        folders.append(compiled.cache_folder())
    assert folders[0] != folders[1]
    assert all(Path(folder).parent == tmp_path / "hmr" for folder in folders)


def test_every_kernel_is_kept_there_and_numba_is_left_as_it_was():
    from hmrcli.scenes import surface_kernels

    assert surface_kernels.shade.stats.cache_path.startswith(compiled.FOLDER)
    assert os.environ.get("NUMBA_CACHE_DIR", "") == numba.config.CACHE_DIR


def test_compiles_where_no_cache_can_be_written(monkeypatch):
    def read_only(cache=False, **options):
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return numba.njit(**options)

    monkeypatch.setattr(compiled, "numba", SimpleNamespace(njit=read_only, config=numba.config))
    assert compiled.compiled(lambda x: x + 1)(2) == 3


def test_a_home_is_not_needed(monkeypatch):
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory")

    monkeypatch.setattr(numba.config, "CACHE_DIR", "")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("LOCALAPPDATA", raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    assert compiled.cache_folder() == ""
