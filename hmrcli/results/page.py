"""A report as one self-contained HTML page: nothing is fetched, and nothing runs."""

from pathlib import Path

from hmrcli import __version__
from hmrcli.results.charts import curves, dots
from hmrcli.results.published import ALGORITHMS
from hmrcli.results.report import NOT_RUN, Report

_CODE = ("Recipe", "Run", "Checkpoint SHA-256", "Config")
"""Columns of things to type or to copy."""
_LONG = 24
"""Characters from which on a cell may take more than one line."""


def to_html(report: Report) -> str:
    """Returns the page; its charts are drawn for the 20 rows."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    charted = report.name == ALGORITHMS
    return environment.get_template("page.html.j2").render(
        report=report,
        dots=dots(report) if charted else "",
        curves=curves(report) if charted else "",
        code=_CODE,
        long=_LONG,
        not_run=NOT_RUN,
        version=__version__,
    )
