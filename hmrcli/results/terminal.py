"""A report for a terminal; readable from 80 columns on."""

import io
from collections.abc import Iterable

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from hmrcli.results.report import NOT_RUN, Column, Record, Report, Sheet

WIDE = 120
"""Terminal columns from which on a table shows all of its own."""
FILE_WIDTH = 140
"""Characters of a line in a file."""
VERDICT_STYLES = {"reproduced": "green", "better": "cyan", "worse": "red"}
_SUPERSCRIPTS = str.maketrans("abcdefghij", "ᵃᵇᶜᵈᵉᶠᵍʰⁱʲ")


def print_report(report: Report, console: Console | None = None) -> None:
    """Prints tables and notes."""
    console = console or Console(highlight=False)
    console.print(Group(*_parts(report, console.width >= WIDE)))


def to_text(report: Report) -> str:
    """Returns what is printed as plain text for a file."""
    console = Console(file=io.StringIO(), width=FILE_WIDTH, color_system=None, record=True)
    print_report(report, console)
    return "".join(f"{line.rstrip()}\n" for line in console.export_text().splitlines())


def _parts(report: Report, wide: bool) -> Iterable[RenderableType]:
    yield Text(report.main.title, style="bold")
    yield Text(report.caption)
    yield _table(report.main, wide)
    for letter, text in report.notes.items():
        row = Table.grid(padding=(0, 1))
        row.add_row(letter.translate(_SUPERSCRIPTS), Text(text))
        yield row
    if report.notes:
        yield Text()
    for remark in report.remarks:
        yield Text(remark, style="dim")
    for sheet in report.others:
        yield Padding(Text(sheet.title, style="bold"), (1, 0, 0, 0))
        yield _table(sheet, wide)


def _table(sheet: Sheet, wide: bool) -> Table:
    """Returns one row of the terminal's table for each group, lines aligned, so that what is shared has room."""
    columns = [column for column in sheet.columns if wide or not column.wide]
    table = Table(
        box=SIMPLE_HEAD, pad_edge=False, header_style="bold", padding=(0, 1, 0, 0), collapse_padding=True
    )
    grouped = sheet.group_by is not None
    for column in columns:
        table.add_column(
            column.title,
            justify="right" if column.number and not column.noted else "left",
            no_wrap=column.number or column is columns[0] or (grouped and not column.shared),
            overflow="fold",
        )
    for index, group in enumerate(sheet.groups, 1):
        ends = grouped and index < len(sheet.groups)
        table.add_row(*(_cell(sheet, group, column) for column in columns), end_section=ends)
    return table


def _cell(sheet: Sheet, group: list[Record], column: Column) -> Text:
    if column.shared:
        return Text(column.text(group[0]))
    # Numbers are aligned here where footnote letters follow them, and by the table otherwise.
    aligned = column.number and column.noted
    width = max(len(column.text(record)) for record in sheet.records) if aligned else 0
    return Text("\n").join(_line(record, column, width) for record in group)


def _line(record: Record, column: Column, width: int) -> Text:
    text, styles = column.text(record), VERDICT_STYLES if column.styled else {NOT_RUN: "dim"}
    line = Text(text.rjust(width), style=styles.get(text, ""))
    return line.append(column.marks(record).translate(_SUPERSCRIPTS))
