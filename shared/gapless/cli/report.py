"""gapless report"""

from __future__ import annotations

import click

from gapless.cli.reports import freshness, recent, runs, season


@click.group("report")
def command() -> None:
    """Say how things stand: a season, the latest days, how far every table has come, runs against tables."""


for each in (season, recent, freshness, runs):
    command.add_command(each.command)
