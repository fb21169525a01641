"""gapless cleanup"""

from __future__ import annotations

from pathlib import Path

import click

from gapless.cli.chosen import open_gapless, print_json, words
from gapless.tasks.cleanup.cleaner import Cleaner
from gapless.tasks.cleanup.decision import CleanupRules
from gapless.tasks.cleanup.outcome import Ended, raise_first


def run(
    apply_it: bool,
    older_than: int,
    all_history: bool,
    as_json: bool,
    project: str | None,
    home: Path | None,
    now: str | None,
) -> None:
    gapless = open_gapless(project, home, now)
    cleaner = Cleaner(gapless.pipeline, gapless.warehouse, gapless.clock, gapless.settings)
    results = cleaner.clean_up(CleanupRules(keep_days=older_than, all_history=all_history), dry_run=not apply_it)
    place = words(**{"--project": project, "--home": home, "--now": now})
    if as_json:
        print_json({"dry_run": not apply_it, "tables": [each.as_json() for each in results]})
    else:
        for each in results:
            if not each.failure:
                click.echo(each.summary())
            if each.backup:
                click.echo(f"  bring them back with: gapless restore {each.backup.split('.')[1]} --apply{place}")
    raise_first(results)
    if any(each.status is Ended.DRY_RUN for each in results) and not as_json:
        same = words(**{"--older-than": older_than if older_than != CleanupRules.keep_days else 0})
        same += words(**{"--all-history": all_history})
        click.echo(f"Nothing was deleted. Do it with: gapless cleanup --apply{same}{place}")
