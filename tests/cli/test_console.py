"""What a person sees of errors that no command foresaw, whatever the terminal can show."""

import errno
import os
import re
import shlex
import subprocess
import sys

import pytest

from hmrcli.cli.console import exit_codes, print_line
from hmrcli.cli.log import Log
from hmrcli.errors import MissingFile


def raised(error: BaseException, capsys: pytest.CaptureFixture[str]) -> tuple[object, str]:
    with pytest.raises(SystemExit) as caught, exit_codes():
        raise error
    return caught.value.code, capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "out/a.glb"), 4, "out/a.glb: no space left"),
        (PermissionError(errno.EACCES, "Permission denied", "a.npz"), 4, "a.npz: permission denied"),
        (OSError(errno.EMFILE, "Too many open files", "a"), 4, "ulimit"),
        (NotADirectoryError(errno.ENOTDIR, "Not a directory", "a/b"), 4, "a/b: a file stands"),
        (MemoryError(), 4, "memory ran out"),
        (
            RuntimeError("[enforce fail at alloc_cpu.cpp:119] DefaultCPUAllocator: can't allocate memory"),
            4,
            "memory",
        ),
        (type("OutOfMemoryError", (RuntimeError,), {})("CUDA out of memory"), 4, "memory ran out"),
        (ValueError("odd\nnumbers"), 1, "ValueError: odd numbers"),
        (FileNotFoundError(errno.ENOENT, "No such file", "x"), 1, "FileNotFoundError"),
    ],
)
def test_every_error_is_one_line_with_its_exit_code(
    error: Exception, code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found, said = raised(error, capsys)
    assert found == code and words in said and said.count("\n") == 1
    assert ("HMR_DEBUG=1" in said and "fault of hmr" in said) == (code == 1)


def test_a_list_is_shown_line_by_line_and_what_a_file_says_in_its_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found, said = raised(MissingFile("2 files:", "  a", "  b\nerror: \x1b[2J"), capsys)
    assert found == 3 and said == "error: 2 files:\n  a\n  b\\nerror: \\x1b[2J\n"


def test_the_traceback_is_shown_when_asked_for_with_the_same_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HMR_DEBUG", "1")
    found, said = raised(MemoryError(), capsys)
    assert found == 4 and "Traceback" in said and "error: memory ran out" in said


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&- <&-"])
def test_closed_streams_are_no_error(closed: str) -> None:
    command = f"{shlex.quote(sys.executable)} -m hmrcli table {closed}"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-8"])
def test_a_name_that_the_encoding_lacks_does_not_end_the_run(encoding: str) -> None:
    code = (
        "from hmrcli.cli.console import *\n"
        "with exit_codes():\n"
        "    print_line('照片.jpg'); note('照片 \\udcff'); print_json({'a': '照\\udcff'}); print_line('after')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, env={**os.environ, "PYTHONIOENCODING": encoding}
    )
    assert done.returncode == 0 and done.stdout.split()[-1] == b"after" and b"\\udcff" in done.stderr


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no full device here")  # noqa: PTH110
def test_results_that_cannot_be_written_are_an_error() -> None:
    code = "from hmrcli.cli.console import *\nwith exit_codes():\n    print('result')"
    with open("/dev/full", "w") as full:  # noqa: PTH123
        done = subprocess.run([sys.executable, "-c", code], stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 4 and done.stderr.count("\n") == 1 and "no space" in done.stderr


def test_results_go_to_stdout_also_while_a_bar_is_shown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rich would send them to the bar's stream, and `hmr infer ... > log` would get nothing."""
    from hmrcli.cli import console

    monkeypatch.setattr(console, "log", Log(stderr=True, force_terminal=True))
    with console.bar("images") as progress:
        progress(1, 2)
        print_line("a.jpg: 1 person")
        console.note("b.jpg is odd")
    captured = capsys.readouterr()
    assert captured.out == "a.jpg: 1 person\n" and "images" in captured.err
    note = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", captured.err)
    assert re.search(r"note: b\.jpg is odd\n", note)
