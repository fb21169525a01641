"""gapless report: how things stand."""

from __future__ import annotations

import importlib

import click

from gapless.cli.options import Command, Day, command, dated, formats, where


def of_periods(word: str) -> Command:
    """The report about periods, under a word for them."""

    @command(word, does="gapless.cli.reports.periods.run")
    @click.option(
        f"--{word}", "label", metavar="2021-22", help=f"One {word}, as it is labelled, or the year it opened in."
    )
    @dated
    @formats
    @where
    def report_of_periods() -> None: ...

    told = "dates, units of work, coverage of each layer, how every processor fared, and what is known about it"
    report_of_periods.help = f"Every {word}: {told}."
    return report_of_periods


@command("recent", does="gapless.cli.reports.recent.run")
@click.option("--days", type=click.IntRange(1, 400), default=7, show_default=True, help="How many dates.")
@click.option("--end-date", type=Day(), help="The last of them. Default: today.")
@formats
@where
def recent() -> None:
    """The latest dates, one by one: units of work, coverage of each layer and table, and how far each has come."""


@command("freshness", does="gapless.cli.reports.freshness.run")
@formats
@where
def freshness() -> None:
    """How far every table has come, against what it should hold by now and the lag that is normal for it."""


@command("runs", does="gapless.cli.reports.runs.run")
@click.option("--days", type=click.IntRange(1, 36_500), help="Only so many dates up to today. Default: all history.")
@click.option("--limit", type=click.IntRange(1), default=40, show_default=True, help="Rows of each list; JSON has all.")
@dated
@formats
@where
def runs() -> None:
    """What run histories say, compared with the tables: tracking faults, confirmed losses, runs that never ended.

    Only what the tables confirm is called lost, with the command that makes it again.
    """


class _Reports(click.Group):
    """A report about periods goes by the pipeline's own word for them too.

    The pipeline is asked for its word only where a name is none of those that are declared here.
    """

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        found = super().get_command(ctx, cmd_name)
        if found is None and cmd_name == importlib.import_module("gapless.cli.reports.word").of_a_period():
            return of_periods(cmd_name)
        return found


@click.group("report", cls=_Reports, commands=[of_periods("period"), recent, freshness, runs])
def report() -> None:
    """Say how things stand: each period, the latest days, how far every table has come, runs against tables."""
