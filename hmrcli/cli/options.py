"""Options that several commands share, and the treatment of all arguments."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from hmrcli.cli.console import complain, log
from hmrcli.errors import MissingFile, UsageError
from hmrcli.files import did_you_mean, near

DEVICES = ("cpu", "cuda", "mps", "xpu")


class HomeGroup(TyperGroup):
    """Commands in whose arguments `~/` is the home folder, also after `=`, where shells leave it alone.

    What is wrong with arguments is said in one line, and Ctrl-C, about which typer is silent.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parses arguments, with the home folder put in."""
        if not args:  # asks for help
            return super().parse_args(ctx, args)
        with _one_line(ctx):
            return super().parse_args(ctx, [_with_home(argument) for argument in args])

    def invoke(self, ctx: Any) -> Any:
        """Runs a command."""
        with _one_line(ctx):
            return super().invoke(ctx)


@contextmanager
def _one_line(ctx: Any) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        log.print("interrupted")
        raise typer.Exit(130) from None
    except BrokenPipeError:  # `hmr ... | head` ends quietly
        raise typer.Exit(0) from None
    except Exception as error:
        if not hasattr(error, "format_message"):  # typer's own, whose class depends on its version
            raise
        complain("error:", UsageError(_of_arguments(error, ctx)))
        raise typer.Exit(2) from None


def _of_arguments(error: Any, ctx: Any) -> str:
    """Gives what typer says of arguments, without the words of pydantic, by which it reads numbers."""
    text = re.sub(r"^Invalid value for '(.*?)'( / '.*?')?: ", r"\1: ", error.format_message().rstrip("."))
    text = text.replace("Value error, ", "").replace("Input should be ", "not ")
    text = re.sub(r", unable to .*", "", text)
    if hasattr(error.__cause__, "errors") and "' is not" not in text:
        name, _, rest = text.partition(": ")
        text = f"{name}: '{error.__cause__.errors()[0]['input']}' is {rest}"
    command = (
        error.ctx.command_path if error.ctx else f"{ctx.command_path} {ctx.invoked_subcommand or ''}".rstrip()
    )
    return f"{text[:1].lower()}{text[1:]}; see {command} -h"


def _with_home(argument: str) -> str:
    start, home, rest = re.fullmatch(r"((?:[\w.-]+=)?)(~[^/\\]*)?(.*)", argument, re.DOTALL).groups()  # type: ignore[union-attr]
    # A lone `KEY=~` is YAML's null.
    return start + os.path.expanduser(home) + rest if home and (rest or start[:2] == "--") else argument  # noqa: PTH111


def _device(name: str | None) -> str | None:
    """Checks the name of a device that this machine may have; torch tells later that it does."""
    if name is not None and not re.fullmatch(rf"({'|'.join(DEVICES)})(:\d+)?", name):
        meant = "cuda" if name.lower() == "gpu" else name.lower()
        hint = near(meant, DEVICES) or "; expected cpu, cuda, cuda:1 or mps"
        raise UsageError(f"--device: '{name}' is no device{hint}")
    return name


Recipe = Annotated[
    str | None,
    typer.Option(help="Recipe of a trained network: a bundled name or a YAML file. Needs --checkpoint."),
]
Open = Annotated[
    bool,
    typer.Option("--open", help="Lay the open benchmark over the recipe: its body, sets, test and size."),
]
Checkpoint = Annotated[
    Path | None,
    typer.Option(help="The network's weights, ours or published; or a run's folder, without --recipe."),
]
Device = Annotated[
    str | None,
    typer.Option(
        callback=_device, help="Where networks run: cpu, cuda, cuda:1, mps. By default the fastest there is."
    ),
]
DataRoot = Annotated[
    Path | None,
    typer.Option(help="Folder of fetched files. By default HMR_DATA, ./data, the user's data folder."),
]
Workers = Annotated[
    int | None, typer.Option(min=0, help="Processes that read images. By default one a core, at most 8.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]


def workers_of(asked: int | None) -> int:
    """Gives the number of processes that read images."""
    return min(8, os.cpu_count() or 1) if asked is None else asked


def of_run(recipe: str | None, checkpoint: Path | None) -> tuple[str | None, Path | None]:
    """Gives recipe and weights; those of a run where only its folder was given.

    Raises:
        MissingFile: there is no such file or folder, or the folder holds no checkpoint.
        BadInput: the checkpoint is damaged.
    """
    if checkpoint is not None and (recipe or not checkpoint.suffix):
        existing(checkpoint, "--checkpoint", "`hmr download --list` shows the published weights")
    if recipe is None and checkpoint is not None and checkpoint.is_dir():
        if not any((checkpoint / name).exists() for name in ("recipe.yaml", "meta.json", "checkpoints")):
            raise MissingFile(f"--checkpoint: {checkpoint} is no run's folder and none of its checkpoints")
        from hmrcli.training.folders import trained

        path, weights = trained(checkpoint)
        return str(path), weights
    return recipe, checkpoint


def existing(path: Path, option: str, otherwise: str) -> None:
    """Raises MissingFile where there is nothing at a path; names what is much like it."""
    if not path.exists():
        raise MissingFile(f"{option}: {path} is missing{did_you_mean(path) or f'; {otherwise}'}")
