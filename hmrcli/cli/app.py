"""The `hmr` command: wires the commands together."""

from typing import Annotated

import typer

from hmrcli import __version__
from hmrcli.cli import data
from hmrcli.cli.console import exit_codes
from hmrcli.cli.download import download
from hmrcli.cli.eval import evaluate
from hmrcli.cli.infer import infer
from hmrcli.cli.options import HomeGroup
from hmrcli.cli.table import table
from hmrcli.cli.train import train
from hmrcli.cli.visible import visible_streams

app = typer.Typer(
    name="hmr",
    cls=HomeGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    help="Human mesh recovery: a photo in, a posed 3D body out.",
    no_args_is_help=True,
    rich_markup_mode=None,  # help in boxes would wait for rich
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"hmr {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit."),
    ] = False,
) -> None:
    pass


app.command(name="infer")(infer)
app.command(name="download")(download)
app.command(name="train")(train)
app.command(name="eval")(evaluate)
app.command(name="table")(table)
app.add_typer(data.app, name="data")


def main() -> None:
    """Runs the command line with the exit codes of the contract."""
    with exit_codes(), visible_streams():
        app()
