"""`hmr table`: the published figures, and what was measured beside them."""

import sys
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hmrcli.cli.console import complain, log
from hmrcli.errors import BadInput, UsageError
from hmrcli.files import did_you_mean, writable_folder, write_whole
from hmrcli.recipe.protocols import OPEN, PUBLISHED

if TYPE_CHECKING:
    from hmrcli.results.report import Report
    from hmrcli.results.runs import Run

RUNS = Path("runs")


SUFFIXES = {".md": "markdown", ".tex": "latex", ".csv": "csv", ".json": "json", ".html": "html"}
Format = StrEnum("Format", ["rich", *SUFFIXES.values()])  # type: ignore[misc]
"""Formats of the written table."""
Benchmark = StrEnum("Benchmark", {name: name for name in (PUBLISHED, OPEN)})  # type: ignore[misc]
_LIST = Benchmark(PUBLISHED)


def table(
    compare: Annotated[
        bool, typer.Option("--compare", help="Set this machine's results beside the published figures.")
    ] = False,
    results: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder with results.json files at any depth, as hmr eval writes them; implies --compare. "
            f"By default {RUNS}. The open benchmark has the results that travel with hmr beside them.",
        ),
    ] = None,
    benchmark: Annotated[
        Benchmark, typer.Option(help="The public list on 3DPW, or the one that needs no licensed file.")
    ] = _LIST,
    name: Annotated[
        str,
        typer.Option(
            "--table",
            metavar="NAME",
            help="algorithms (the 20 rows), or a wider published table: pretrained-backbones, combine, mixed, "
            "mixed-l1, backbones, datasets.",
        ),
    ] = "algorithms",
    format: Annotated[
        Format | None,
        typer.Option(help="What to print. By default what the suffix of --out says, else rich."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write to a file instead of stdout.")
    ] = None,
) -> None:
    """Show the 20 published figures, and how close results here come.

    A result stands beside a figure only if protocol, body and number of samples
    are the list's; every other one is shown apart, with the reason.
    Footnotes say what is disputed.

    With --benchmark open: the same 20 recipes on data that needs no licence, with
    --compare whether they stand in the published order.
    """
    from hmrcli.results.published import ALGORITHMS
    from hmrcli.results.table import algorithms_report, wide_report

    if out is not None:
        if out.is_dir():
            raise UsageError(f"--out: {out} is a folder, expected a file")
        if format is None and out.suffix.lower() not in ("", ".txt", *SUFFIXES):
            known = ", ".join([".txt", *SUFFIXES])
            raise UsageError(f"--out: {out}: tables are written as {known}; give one of them, or --format")
        writable_folder(out.parent)
    compare = compare or results is not None
    if results is not None and not results.is_dir():
        raise UsageError(f"--results: {results} is not a folder{did_you_mean(results)}")
    if name != ALGORITHMS:
        report = wide_report(name)
        if compare or benchmark == OPEN:
            raise UsageError(
                f"--table {name} is published only; leave out --compare, --results and --benchmark"
            )
    elif benchmark == OPEN:
        from hmrcli.results.open_table import open_report
        from hmrcli.results.runs import newest_first, shipped_runs

        report = open_report(newest_first([*_runs(results or RUNS), *shipped_runs()]), compare)
    else:
        report = algorithms_report(_runs(results or RUNS) if compare else None)
    if "run" in report.main.records[0] and all(row["run"] is None for row in report.main.records):
        log.print(
            f"nothing measured for these rows below {results or RUNS}; hmr eval writes results", markup=False
        )
    _write(report, format or SUFFIXES.get(out.suffix.lower() if out else "", "rich"), out)


def _runs(folder: Path) -> "list[Run]":
    """Reads results; those that cannot be read are named on stderr.

    Raises:
        BadInput: there are none but these.
    """
    from hmrcli.results.runs import read_runs

    runs, bad = read_runs(folder)
    for error in bad:
        complain("skipped:", error)
    if bad and not runs:
        raise BadInput(f"{folder}: none of its {len(bad)} results files can be read; they are named above")
    return runs


def _write(report: "Report", kind: str, out: Path | None) -> None:
    """Prints a report, or writes it to a file."""
    from hmrcli.results import formats
    from hmrcli.results.terminal import print_report, to_text

    writers: dict[str, Callable[[Report], str]] = {
        "rich": to_text,
        "markdown": formats.to_markdown,
        "latex": formats.to_latex,
        "csv": formats.to_csv,
        "json": formats.to_json,
        "html": formats.to_html,
    }
    if kind == "csv":
        apart = sum(len(sheet.records) for sheet in report.others if "reason" in sheet.records[0])
        if apart:
            log.print(f"{apart} set apart and not in the CSV; see --format json")
    if out is not None:
        write_whole(out, writers[kind](report))
        log.print(f"wrote {out}", soft_wrap=True, markup=False)
    elif kind == "rich":
        print_report(report)
    else:
        sys.stdout.write(writers[kind](report))
