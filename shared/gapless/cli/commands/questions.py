"""Commands that look, and change nothing."""

from __future__ import annotations

from pathlib import Path

import click

from gapless.cli.options import (
    Day,
    Listed,
    as_json,
    command,
    formats,
    from_date,
    plan_a_storm,
    processors,
    scoped,
    until_date,
    where,
)


@command("scan", does="gapless.cli.scan.run")
@click.option("--limit", default=20, show_default=True, help="How many rows of gaps to show.")
@plan_a_storm
@scoped
def scan() -> None:
    """Look at every target and say what is missing, partial or built on bad data. Changes nothing."""


@command("plan", does="gapless.cli.plan.run")
@click.option("--markdown", is_flag=True, help="Print the plan as Markdown, for a review.")
@click.option("--force", is_flag=True, help="Plan what is in scope even where it is complete or exhausted.")
@plan_a_storm
@scoped
def plan() -> None:
    """Show what `apply` would run, in which order, why, and what it would read. Changes nothing."""


@command("explain", does="gapless.cli.explain.run")
@click.argument("day", metavar="DATE", type=Day())
@click.argument("processor")
@as_json
@where
def explain() -> None:
    """Say why PROCESSOR has its verdict on DATE, back to the raw tables, and what fixes it."""


@command("validate", does="gapless.cli.validate.run")
@from_date
@until_date
@click.option("--phase", "--phases", "phases", type=Listed(), default=(), help="Only these phases, such as 3 or 3,4.")
@processors
@click.option(
    "--for-phase",
    type=int,
    metavar="N",
    help="What phase N reads for these dates, its look-back included, instead of the dates themselves.",
)
@click.option(
    "--checks",
    type=Listed(),
    default=(),
    help="Only these of coverage, quality, cascade, consistency, history. Default: all of them.",
)
@click.option("--by-date", "dated", is_flag=True, help="One line per date too: units, data, and what is the matter.")
@click.option("--strict", is_flag=True, help="Warnings fail too.")
@click.option(
    "--limit", type=click.IntRange(1), default=25, show_default=True, help="How many places to show on a terminal."
)
@click.option("--markdown", is_flag=True, help="Print the whole report as Markdown.")
@as_json
@where
def validate() -> None:
    """Check a range of dates: is everything there, sound, built in order, consistent, and no less than before?

    Ends with 1 where a check fails, with what repairs it. Changes nothing.
    """


@command("history", does="gapless.cli.history.run")
@click.option("--days", type=click.IntRange(2, 400), default=30, show_default=True, help="So many days up to today.")
@formats
@where
def history() -> None:
    """What runs came to, day by day, whether it gets better, and repeated failures by cause."""


@command("doctor", does="gapless.cli.doctor.run")
@click.option(
    "--urls",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="JSON file, name of a function -> its address, where functions run outside Google Cloud.",
)
@click.option("--base-url", help="The same, where every function is at this address, a slash and its name.")
@click.option("--region", multiple=True, help="Region of the schedules. Default: where the functions are.")
@as_json
@where
def doctor() -> None:
    """Compare what is deployed with what is declared; every difference comes with what mends it. Changes nothing."""
