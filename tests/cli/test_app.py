"""The command as a user starts it."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hmrcli import __version__
from hmrcli.cli.app import app
from hmrcli.errors import HmrError


def hmr(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "hmrcli", *arguments], capture_output=True, text=True)


def test_version() -> None:
    done = hmr("--version")
    assert (done.returncode, done.stdout) == (0, f"hmr {__version__}\n")


@pytest.mark.parametrize("arguments", [["--help"], ["infer", "--help"], []])
def test_help_tells_the_commands_or_options(arguments: list[str]) -> None:
    done = hmr(*arguments)
    assert ("--body-model" if "infer" in arguments else "infer") in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("command", "heavy"),
    [
        ("--help", ["torch", "cv2", "numba", "trimesh", "numpy", "pydantic", "yaml", "rich.console"]),
        ("table", ["torch", "cv2", "numpy", "matplotlib"]),
        ("train --recipe hmr_l1 --dry-run", ["torch", "cv2", "numpy"]),
    ],
)
def test_a_command_that_computes_nothing_waits_for_no_heavy_imports(command: str, heavy: list[str]) -> None:
    check = (
        "import sys; from hmrcli.__main__ import main\nsys.argv = ['hmr', *sys.argv[1].split()]\n"
        "try: main()\nexcept SystemExit as end: print(end.code, [m for m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", check, command], capture_output=True, text=True)
    code, _, loaded = done.stderr.strip().partition(" ")
    assert code == "0" and done.stdout
    assert not set(heavy) & set(ast.literal_eval(loaded))


@pytest.mark.parametrize("arguments", [["nonsense"], ["infer"], ["infer", "--nonsense", "x.jpg"]])
def test_wrong_usage_is_exit_code_2(arguments: list[str]) -> None:
    assert hmr(*arguments).returncode == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["infer", "x.jpg", "--max-people", "1e3"],
            "--max-people: '1e3' is not a valid integer; see hmr infer -h",
        ),
        (["infer", "x.jpg", "--max-people", "0"], "'0' is not greater than or equal to 1"),
        (
            ["infer", "x.jpg", "--mesh-format", "stl"],
            "--mesh-format: 'stl' is not one of 'glb', 'obj', 'ply'",
        ),
        (["table", "--resutls", "x"], "no such option: --resutls (Possible options: --results)"),
        (["train"], "missing option '--recipe'; see hmr train -h"),
        (["infer", "x.jpg", "--device", "gpu"], "did you mean cuda?"),
    ],
)
def test_wrong_arguments_are_told_in_one_line(arguments: list[str], words: str) -> None:
    done = CliRunner().invoke(app, arguments, prog_name="hmr")
    said = done.stderr + (str(done.exception) + "\n" if isinstance(done.exception, HmrError) else "")
    assert words in said and said.count("\n") == 1 and done.exit_code != 0


@pytest.mark.parametrize("seconds", [0.05, 0.1, 0.3])
def test_an_interruption_while_modules_load_is_told_in_one_line(seconds: float) -> None:
    """One that comes between two calls waits, and one that Python drops, as in a destructor, comes again."""
    code = f"""
import signal, sys
from hmrcli.__main__ import main
def interrupt(number, frame):
    while frame and frame.f_code is not main.__code__:
        frame = frame.f_back
    if frame:
        raise KeyboardInterrupt
signal.signal(signal.SIGALRM, interrupt)
signal.setitimer(signal.ITIMER_REAL, {seconds}, 0.2)
sys.argv = ["hmr", "eval", "--help"]
while True:
    try: main()
    except SystemExit as end:
        if end.code:
            signal.setitimer(signal.ITIMER_REAL, 0)
            raise
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 130
    told, _, rest = done.stderr.rpartition("interrupted\n")
    assert rest == "" and (not told or told.startswith("Exception ignored")), done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_knows_the_shells(shell: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import sys; sys.argv = ['hmr']; from hmrcli.__main__ import main; main()"],
        env={**os.environ, "_HMR_COMPLETE": f"source_{shell}"},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, "_HMR_COMPLETE" in done.stdout) == (0, True)


@pytest.mark.parametrize("command", [[], ["infer"], ["download"], ["train"], ["eval"], ["table"]])
def test_the_short_help_is_known_everywhere(command: list[str]) -> None:
    done = CliRunner().invoke(app, [*command, "-h"])
    assert done.exit_code == 0 and "Usage" in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["infer", "x.jpg", "--body-model=~/absent.pkl"],
        ["infer", "x.jpg", "--checkpoint=~/absent", "--recipe", "hmr_l1"],
        ["eval", "--predictions=~/absent.npz", "--targets", "~/absent.npz"],
        ["table", "--results=~/absent"],
        ["train", "--recipe=~/absent.yaml"],
    ],
)
@pytest.mark.skipif(sys.platform == "win32", reason="the home folder has another variable there")
def test_the_home_folder_is_known_in_every_path(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    error = CliRunner().invoke(app, arguments).exception
    assert isinstance(error, HmrError) and f"{tmp_path}/absent" in str(error) and "~" not in str(error)


@pytest.mark.skipif(sys.platform == "win32", reason="the home folder has another variable there")
def test_results_go_to_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(app, ["table", "--out=~/new/t.csv"]).exit_code == 0
    assert (tmp_path / "new" / "t.csv").is_file() and not (tmp_path / "~").exists()


AT_ONCE = [
    (["infer", "photso/walk.jpg"], 4, "did you mean photos"),
    (["infer", "page.jpg"], 4, "web page"),
    (["infer", "photos", "--save", "mash"], 2, "did you mean mesh"),
    (["infer", "photos", "--device", "cdua"], 2, "did you mean cuda"),
    (["infer", "photos", "--focal", "wide"], 2, "35mm=MM"),
    (["infer", "photos", "--save", "mesh", "--resume"], 2, "json"),
    (
        ["infer", "photos", "--recipe", "hmr_l1", "--checkpoint", "run/best.pht"],
        3,
        "did you mean run/best.pth",
    ),
    (["infer", "photos", "--checkpoint", "rnu"], 3, "did you mean run"),
    (["infer", "photos", "--checkpoint", "photos"], 3, "no run's folder"),
    (["infer", "photos", "--recipe", "hmr_l3", "--checkpoint", "run/best.pth"], 4, "did you mean hmr_l1"),
    (["infer", "photos", "--body-model", "run/SMPL.pkl"], 3, "hmr download SMPL_NEUTRAL.pkl"),
    (["infer", "page.jpg", "--out", "page.jpg/x"], 2, "a file stands where a folder"),
    (["train", "--recipe", "run/best.pyth"], 4, "did you mean run/best.pth"),
    (["eval", "--predictions", "run/best.npz", "--targets", "t.npz"], 3, "did you mean run/best.pth"),
    (["eval", "--recipe", "hmr_l1", "--checkpoint", "nix.pth"], 3, "nix.pth"),
    (["eval", "--recipe", "hmr_l1", "--checkpoint", "run/best.pth", "--dataset", "nix"], 3, "nix.npz"),
    (["eval", "--checkpoint", "stopped"], 3, "stopped/checkpoints/last: is no checkpoint"),
    (["eval", "--recipe", "hmr_l1", "--checkpoint", "run/best.pth", "--out", "page.jpg"], 2, "a file stands"),
    (["table", "--out", "x.pdf"], 2, ".tex, .csv"),
    (["table", "--results", "rnu"], 2, "did you mean run"),
]
"""Arguments, exit code and words of errors that can be known without torch."""


def test_what_is_wrong_with_arguments_is_said_before_anything_heavy_is_loaded(tmp_path: Path) -> None:
    for name in ("photos/walk.jpg", "run/best.pth", "stopped/checkpoints/odd"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    (tmp_path / "page.jpg").write_text("<html>")
    code = (
        "import ast, sys\n"
        "from typer.testing import CliRunner\n"
        "from hmrcli.cli.app import app\n"
        "for arguments in ast.literal_eval(sys.argv[1]):\n"
        "    error = CliRunner().invoke(app, arguments).exception\n"
        "    heavy = [m for m in ('torch', 'numba', 'onnxruntime') if m in sys.modules]\n"
        "    print([getattr(error, 'exit_code', None), str(error), heavy])"
    )
    command = [sys.executable, "-c", code, repr([arguments for arguments, *_ in AT_ONCE])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment)
    lines = done.stdout.splitlines()
    assert len(lines) == len(AT_ONCE), done.stderr
    for line, (arguments, exit_code, words) in zip(lines, AT_ONCE):
        assert line.startswith(f"[{exit_code}, ") and words in line and line.endswith(", []]"), (
            arguments,
            line,
        )


@pytest.mark.parametrize("value", ["4,2", "", "many", "0", " 3 "])
def test_any_number_of_threads_runs(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from hmrcli.environment import threads

    monkeypatch.setenv("OMP_NUM_THREADS", value)
    assert threads() == {"4,2": 4, " 3 ": 3}.get(value, min(4, os.cpu_count() or 1))


def test_a_device_that_is_not_there_is_named_without_torch_s_words() -> None:
    import torch

    from hmrcli.environment import chosen_device

    with pytest.raises(HmrError, match=r"'cuda:99' cannot be used here; torch finds .*cpu$"):
        chosen_device("cuda:99")
    assert chosen_device("cpu") == torch.device("cpu")
