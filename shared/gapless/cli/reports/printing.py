"""What every report shares: its look and its three formats."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import click
from rich.console import Console

from gapless.cli.chosen import nothing_known, refuse_an_empty_warehouse
from gapless.cli.sheets import PrintedTable, print_sheets, show
from gapless.declare.pipeline import Pipeline
from gapless.engine import Look
from gapless.errors import BadInput
from gapless.model import Policy, Scope
from gapless.questions.reports.coverage import Coverage
from gapless.wiring import Gapless


def form_of(as_json: bool, markdown: bool) -> str:
    """Which of `sheets.FORMATS` was chosen; raises `BadInput` for both."""
    if as_json and markdown:
        raise BadInput("--json and --markdown exclude each other; give one of them")
    return "json" if as_json else "markdown" if markdown else "text"


_NARROW = 120  # columns of a terminal below which details of a table are left out


def print_report(
    form: str,
    sheets: Sequence[PrintedTable],
    advice: Mapping[str, str] | None = None,
    details: Sequence[str] = (),
    **facts: Any,
) -> None:
    """Print sheets, and advice: what a command is for -> the command.

    On a terminal a command is never wrapped, so that it can be copied: those of a last column `command` stand below
    their table. Columns named in `details` are left out on a narrow one.
    """
    advice = advice or {}
    if form == "json":
        print_sheets(form, sheets, **facts, advice=list(advice.values()))
    elif form == "markdown":
        print_sheets(form, sheets)
        click.echo("".join(f"\n{what}: `{command}`\n" for what, command in advice.items()), nl=False)
    else:
        console = Console()
        for number, sheet in enumerate(sheets):
            if number:
                console.print()
            commands: list[str] = []
            if sheet.rows and sheet.columns[-1] == "command":
                commands = list(dict.fromkeys(row[-1] for row in sheet.rows if row[-1]))
                sheet = _without(sheet, ("command",))
            show(console, _without(sheet, details) if console.width < _NARROW else sheet)
            for command in commands:
                click.echo(f"  {command}")
        for what, command in advice.items():
            click.echo(f"{what}: {command}")


def _without(sheet: PrintedTable, names: Sequence[str]) -> PrintedTable:
    kept = [i for i, name in enumerate(sheet.columns) if name not in names]
    rows = [tuple(row[i] for i in kept) for row in sheet.rows]
    return replace(sheet, columns=tuple(sheet.columns[i] for i in kept), rows=rows)


def namer(pipeline: Pipeline, form: str) -> Callable[[str], str]:
    """Processors by name for programs, by short name for people, who have little room."""
    short = {} if form == "json" else {name: p.alias for name, p in pipeline.processors.items() if p.alias}
    return lambda name: short.get(name, name)


def look_at(gapless: Gapless, scope: Scope) -> Look:
    """One look, whatever is lost; raises `NothingLoaded` where the tables hold nothing at all."""
    look = gapless.engine(Policy(lift_storm=True)).scan(scope)
    refuse_an_empty_warehouse(gapless.pipeline, look)
    nothing_known(gapless, look)
    return look


def facts_of(look: Look) -> dict[str, Any]:
    judgement = look.judgement
    return {
        "at": look.at.isoformat(),
        "start_date": max(judgement.scope.first, judgement.first).isoformat(),
        "end_date": judgement.scope.last.isoformat(),
        "complete": judgement.complete,
        "gaps": len(judgement.gaps),
        "verdicts": {str(verdict): n for verdict, n in judgement.counts().items()},
        "bytes_processed": look.observation.bytes_processed,
    }


def coverage_as_json(layer: Coverage) -> dict[str, Any]:
    return {
        "expected": layer.expected,
        "covered": layer.covered,
        "coverage_pct": layer.pct,
        "targets": layer.targets,
        "gaps": layer.gaps,
    }
