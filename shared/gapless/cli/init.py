"""gapless init"""

from __future__ import annotations

from pathlib import Path

import click

from gapless.cli.chosen import open_gapless


def run(project: str | None, home: Path | None, now: str | None) -> None:
    gapless = open_gapless(project, home, now)
    added = gapless.create()
    if added:
        click.echo(f"the ledger is of an earlier version; added: {', '.join(added)}")
    click.echo(f"ready: {len(gapless.pipeline.processors)} tables and the ledger in {gapless.settings.project}")
