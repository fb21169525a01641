"""gapless report: how things stand."""

from __future__ import annotations

import click

from gapless.cli.options import Day, command, dated, formats, where


@command("season", does="gapless.cli.reports.season.run")
@click.option("--season", "label", metavar="2021-22", help="One season, as it is labelled, or the year it opened in.")
@dated
@formats
@where
def season() -> None:
    """Every season: dates, games, coverage of each layer, how every processor fared, and what is known about it."""


@command("recent", does="gapless.cli.reports.recent.run")
@click.option("--days", type=click.IntRange(1, 400), default=7, show_default=True, help="How many dates.")
@click.option("--end-date", type=Day(), help="The last of them. Default: today.")
@formats
@where
def recent() -> None:
    """The latest dates, one by one: games, coverage of each layer and table, and how far each has come."""


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


@click.group("report", commands=[season, recent, freshness, runs])
def report() -> None:
    """Say how things stand: a season, the latest days, how far every table has come, runs against tables."""
