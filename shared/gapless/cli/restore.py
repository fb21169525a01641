"""gapless restore"""

from __future__ import annotations

from pathlib import Path

import click

from gapless.cli.chosen import open_gapless, print_json, words
from gapless.tasks.cleanup.cleaner import Cleaner
from gapless.tasks.cleanup.outcome import Ended, raise_first


def run(
    backup: str | None, apply_it: bool, as_json: bool, project: str | None, home: Path | None, now: str | None
) -> None:
    if apply_it and not backup:
        raise click.UsageError("--apply needs a BACKUP; list them with: gapless restore")
    gapless = open_gapless(project, home, now)
    cleaner = Cleaner(gapless.pipeline, gapless.warehouse, gapless.clock, gapless.settings)
    if not backup:
        show_backups(cleaner, as_json=as_json)
        return
    done = cleaner.restore(backup, dry_run=not apply_it)
    raise_first([done])
    if as_json:
        print_json({"dry_run": not apply_it, **done.as_json()})
        return
    click.echo(done.summary())
    if done.status is Ended.DRY_RUN:
        place = words(**{"--project": project, "--home": home, "--now": now})
        click.echo(f"Nothing was written. Do it with: gapless restore {backup} --apply{place}")


def show_backups(cleaner: Cleaner, *, as_json: bool) -> None:
    """Every backup, and whether it can still be brought back."""
    now = cleaner.clock()
    backups = cleaner.backups()
    if as_json:
        print_json({"backups": [{**b._asdict(), "state": b.state(now)} for b in backups]})
        return
    for b in backups:
        until = f", until {b.expires_at:%Y-%m-%d}" if b.expires_at and b.state(now) == "here" else ""
        click.echo(f"{b.table.split('.')[1]}: {b.rows:,} rows of {b.source}, {b.state(now)}{until} ({b.reason})")
    if not backups:
        click.echo("there are no backups")
