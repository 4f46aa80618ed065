"""A report for a terminal; readable from 80 columns on."""

from collections.abc import Iterable

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from hmrcli.results.sheet import Column, Record, Report, Sheet, marks

WIDE = 120
"""Terminal columns from which on a table shows all of its own."""

VERDICT_STYLES = {"reproduced": "green", "better": "cyan", "worse": "red"}

_SUPERSCRIPTS = str.maketrans("abcdefghij", "ᵃᵇᶜᵈᵉᶠᵍʰⁱʲ")


def print_report(report: Report, console: Console) -> None:
    """Prints tables and notes."""
    console.print(Group(*_parts(report, console.width >= WIDE)))


def _parts(report: Report, wide: bool) -> Iterable[RenderableType]:
    yield Text(report.main.title, style="bold")
    yield Text(report.caption)
    yield _table(report.main, wide)
    for letter, text in report.notes.items():
        yield _note(letter.translate(_SUPERSCRIPTS), text)
    if report.notes:
        yield Text()
    for remark in report.remarks:
        yield Text(remark, style="dim")
    for sheet in report.others:
        yield Padding(Text(sheet.title, style="bold"), (1, 0, 0, 0))
        yield _table(sheet, wide)


def _note(letter: str, text: str) -> Table:
    row = Table.grid(padding=(0, 1))
    row.add_row(letter, Text(text))
    return row


def _table(sheet: Sheet, wide: bool) -> Table:
    """One row of the terminal's table for each group, its lines aligned, so that what is shared has room."""
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
    for index, group in enumerate(sheet.groups):
        last = index == len(sheet.groups) - 1
        table.add_row(*(_cell(sheet, group, column) for column in columns), end_section=grouped and not last)
    return table


def _cell(sheet: Sheet, group: list[Record], column: Column) -> Text:
    if column.shared:
        return Text(column.text(group[0]))
    # Numbers are aligned here where footnote letters follow them, and by the table otherwise.
    aligned = column.number and column.noted
    width = max(len(column.text(record)) for record in sheet.records) if aligned else 0
    return Text("\n").join(_line(record, column, width) for record in group)


def _line(record: Record, column: Column, width: int) -> Text:
    text = column.text(record)
    if column.styled:
        return Text(text, style=VERDICT_STYLES.get(text, ""))
    line = Text(text.rjust(width), style="dim" if text == "not run" else "")
    return line.append(marks(record, column).translate(_SUPERSCRIPTS))
