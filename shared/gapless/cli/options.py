"""How a command is declared: its name, its options, its help, and the work that it does.

Nothing here or in `gapless.cli.commands` imports more than click: what can be typed is known at once.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


class Command(click.Command):
    """A declared command. Its work is a function, by its full name, that takes the options as keywords.

    It is imported when the command is run: the engine, Google's client and tables for a terminal take a second, and
    help, a version and a mistyped option need none of them.
    """

    def __init__(self, *args: Any, does: str, **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self.does = does
        self.callback = self.work

    def work(self, **given: Any) -> Any:
        """Do what the command is for."""
        module, _, function = self.does.rpartition(".")
        return getattr(importlib.import_module(module), function)(**given)


def command(name: str, *, does: str) -> Callable[[Callable[[], None]], Command]:
    """Declare a command: options by decorators below this one, help in the docstring."""
    return click.command(name, cls=Command, does=does)


class Day(click.ParamType):  # type: ignore[type-arg]
    """A date as YYYY-MM-DD, or today, yesterday."""

    name = "date"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> date | str:
        if isinstance(value, date) or value in ("today", "yesterday"):
            return value  # type: ignore[no-any-return]
        try:
            return date.fromisoformat(value)
        except ValueError:
            self.fail(f"'{value}' is not a date that exists; write it as YYYY-MM-DD", param, ctx)


class Listed(click.ParamType):  # type: ignore[type-arg]
    """Comma-separated words."""

    name = "a,b,…"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        if isinstance(value, tuple):
            return value
        return tuple(word.strip() for word in value.split(",") if word.strip())


# -- options that several commands share --------------------------------------------------------------------------

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, and nothing else, on standard output.")
lift_storm = click.option("--lift-storm", is_flag=True, help="Repair even where an implausible share looks lost.")
plan_a_storm = click.option("--lift-storm", is_flag=True, help="Plan even where an implausible share looks lost.")
apply_it = click.option(
    "--apply", "apply_it", is_flag=True, help="Delete, after a backup. Without it nothing is deleted."
)
processors = click.option(
    "--processors", type=Listed(), default=(), help="Only these processors, by name or short name."
)
first_date = click.option("--start-date", type=Day(), help="First date (YYYY-MM-DD, today, yesterday).")
from_date = click.option(
    "--start-date", type=Day(), help="First date (YYYY-MM-DD, today, yesterday). Default: all history."
)
until_date = click.option("--end-date", type=Day(), help="Last date. Default: the last that is prepared in advance.")


def together(*options: Callable[[F], F]) -> Callable[[F], F]:
    """Several options as one decorator; help lists them in this order."""

    def decorate(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


def home(text: str) -> Callable[[F], F]:
    """--home, under a help of its own."""
    return click.option("--home", type=click.Path(path_type=Path, file_okay=False), help=text)


# Which warehouse, and at which moment.
where = together(
    click.option("--project", help="Google Cloud project; without one the embedded warehouse is used."),
    home("Folder of the embedded warehouse (default .gapless, or GAPLESS_HOME)."),
    click.option("--now", metavar="TIME", help="Act as at this moment (ISO, for drills): 2024-01-15T12:00Z."),
)
# The options of `where`, and which dates and processors.
scoped = together(
    where,
    from_date,
    until_date,
    click.option("--phases", type=Listed(), default=(), help="Only these phases, such as 3,4."),
    processors,
    as_json,
)
# The formats of a report.
formats = together(
    as_json,
    click.option("--markdown", is_flag=True, help="Print Markdown, for a page or a message."),
)
dated = together(first_date, until_date)
