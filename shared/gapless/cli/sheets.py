"""Sheets: what a report says, as a table with a title and notes, printed for a terminal, as Markdown or as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gapless.cli.chosen import print_json

FORMATS = ("text", "markdown", "json")


@dataclass(frozen=True)
class PrintedTable:
    """One table of a report. Numbers are right-aligned; `None` is nothing known, and printed as a dash."""

    name: str  # its key in JSON
    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[Any, ...]]
    notes: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()  # per row a style of rich, such as "red"; fewer than rows, or none, leaves them plain

    def as_json(self) -> dict[str, Any]:
        """Rows as objects by column, values as they are."""
        named = [dict(zip(self.columns, row, strict=True)) for row in self.rows]
        return {"title": self.title, "rows": named, "notes": list(self.notes)}


def print_sheets(form: str, sheets: Sequence[PrintedTable], **facts: Any) -> None:
    """Print a report in one of `FORMATS`; `facts` are further fields of the JSON object, told nowhere else."""
    if form == "json":
        print_json(facts | {sheet.name: sheet.as_json() for sheet in sheets})
    elif form == "markdown":
        click.echo("\n\n".join(as_markdown(sheet) for sheet in sheets))
    else:
        console = Console()
        for sheet in sheets:
            show(console, sheet)


def show(console: Console, sheet: PrintedTable) -> None:
    """Print a sheet on a terminal; long cells wrap, nothing is cut."""
    if not sheet.rows:
        console.print(f"[bold]{sheet.title}[/bold]: nothing")
    else:
        table = Table(title=sheet.title, title_justify="left", title_style="bold", box=None, pad_edge=False)
        for place, name in enumerate(sheet.columns):
            table.add_column(name, justify="right" if _is_numeric(sheet, place) else "left", overflow="fold")
        for number, row in enumerate(sheet.rows):
            style = sheet.marks[number] if number < len(sheet.marks) else ""
            table.add_row(*(Text(_cell(value)) for value in row), style=style or None)
        console.print(table)
    for note in sheet.notes:
        console.print(Text(f"  {note}", style="bright_black"))


def as_markdown(sheet: PrintedTable) -> str:
    """A sheet as a Markdown section with a table."""
    lines = [f"## {sheet.title}", ""]
    if not sheet.rows:
        lines.append("Nothing.")
    else:
        lines.append(_line(sheet.columns))
        lines.append(_line(["---:" if _is_numeric(sheet, i) else "---" for i in range(len(sheet.columns))]))
        lines += [_line([_cell(value).replace("|", "\\|").replace("\n", " ") for value in row]) for row in sheet.rows]
    if sheet.notes:
        lines += ["", *(f"- {note}" for note in sheet.notes)]
    return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _is_numeric(sheet: PrintedTable, place: int) -> bool:
    kinds = {type(row[place]) for row in sheet.rows if row[place] is not None}
    return bool(kinds) and kinds <= {int, float}


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.1f}"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M")
    if isinstance(value, date):
        return value.isoformat()
    return str(value)
