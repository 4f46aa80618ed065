"""Names and contents of files are shown in a terminal; they never steer it."""

import io
import subprocess
import sys
from pathlib import Path

import pytest

from hmrcli.cli import console
from hmrcli.cli.log import Log
from hmrcli.cli.visible import visible, visible_streams
from hmrcli.errors import BadInput

STEERS = "a\x1b]0;title\x07b\x9b2Jc\u202ed\x7f\r"
SHOWN = r"a\x1b]0;title\x07b\x9b2Jc\u202ed\x7f\x0d"


def test_control_characters_are_written_out_and_letters_kept() -> None:
    assert visible(STEERS) == SHOWN
    assert visible("Zoë 写真 🎉\tx\ny") == "Zoë 写真 🎉\tx\ny" and visible("x\ny", one_line=True) == r"x\ny"


@pytest.mark.parametrize("terminal", [True, False])
def test_errors_and_notes_are_one_line_that_steers_nothing(monkeypatch, terminal: bool) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(console, "log", Log(file=stream, force_terminal=terminal, highlight=False))
    console.complain("error:", BadInput(f"{STEERS}\nerror: another"))
    console.note(STEERS)
    console.log.print(STEERS, markup=False)
    assert stream.getvalue().count("a\\x1b]0;title") == 3 and stream.getvalue().count("\n") == 3
    assert not {"\x07", "\x9b", "\u202e", "\r"} & set(stream.getvalue())
    assert "\x1b]" not in stream.getvalue()


def test_whatever_is_printed_goes_through_and_a_terminal_keeps_its_colours(monkeypatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for stream, colours in ((io.StringIO(), r"\x1b[31mred"), (Terminal(), "\x1b[31mred")):
        monkeypatch.setattr(sys, "stdout", stream)
        with visible_streams():
            print(f"\x1b[31mred {STEERS}")
        assert stream.getvalue() == f"{colours} {SHOWN}\n".replace(
            r"\x0d", "\r" if stream.isatty() else r"\x0d"
        )
        assert sys.stdout is stream


def test_names_of_files_steer_nothing(tmp_path: Path) -> None:
    name = "evil\x1b]0;t\x07.yaml"
    (tmp_path / name).write_text("x")
    command = [sys.executable, "-m", "hmrcli", "train", "--recipe", name, "--dry-run"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 4 and done.stderr.startswith(
        r"error: evil\x1b]0;t\x07.yaml: expected a mapping"
    )
