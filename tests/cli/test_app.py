"""The command as a user starts it."""

import subprocess
import sys

import pytest

from hmrcli import __version__


def hmr(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "hmrcli", *arguments], capture_output=True, text=True)


def test_version() -> None:
    done = hmr("--version")
    assert (done.returncode, done.stdout) == (0, f"hmr {__version__}\n")


@pytest.mark.parametrize("arguments", [["--help"], ["infer", "--help"], []])
def test_help_tells_the_commands_or_options(arguments: list[str]) -> None:
    done = hmr(*arguments)
    assert ("--body-model" if "infer" in arguments else "infer") in done.stdout + done.stderr


def test_help_does_not_wait_for_heavy_imports() -> None:
    check = "import hmrcli.cli.app, sys; print([m for m in ('torch', 'cv2', 'numba', 'trimesh') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("arguments", [["nonsense"], ["infer"], ["infer", "--nonsense", "x.jpg"]])
def test_wrong_usage_is_exit_code_2(arguments: list[str]) -> None:
    assert hmr(*arguments).returncode == 2


def test_completion_can_be_installed() -> None:
    assert (
        "_HMR_COMPLETE" in hmr("--show-completion", "bash").stdout or hmr("--show-completion").returncode == 0
    )
