"""Commands that change something."""

from __future__ import annotations

from pathlib import Path

import click

from gapless.cli.options import Day, Listed, apply_it, as_json, command, lift_storm, scoped, where

KEEP_DAYS = 7  # what the scheduled clean-up keeps, too


@command("init", does="gapless.cli.init.run")
@where
def init() -> None:
    """Create the datasets, tables, views and columns that are missing; what is there stays as it is."""


@command("load", does="gapless.cli.load.run")
@click.argument("path", type=click.Path(path_type=Path))
@as_json
@where
def load() -> None:
    """Load raw data from PATH: a parquet or CSV file, or a folder of them.

    Everything is checked before anything is written. The dates that the files hold are replaced, others stay; loading
    the same files again changes nothing.
    """


@command("apply", does="gapless.cli.apply.run")
@click.option("--checksum", default="", help="Apply only the plan with this checksum; refuse any other.")
@click.option("--force", is_flag=True, help="Run what is in scope even where it is complete or exhausted.")
@lift_storm
@scoped
def apply() -> None:
    """Repair what asks for a run, in dependency order, and look again.

    Without dates, gaps that could have been filled for more than 30 days are left to a person; naming dates lifts that.
    """


@command("backfill", does="gapless.cli.backfill.run")
@click.option("--dry-run", is_flag=True, help="Preflight, plan and price; nothing is run.")
@click.option("--force", is_flag=True, help="Go on although preflight objects; rebuild what is complete or exhausted.")
@click.option("--skip-preflight", is_flag=True, help="Leave out the comparison of the sources before the plan.")
@click.option("--skip-validation", is_flag=True, help="Publish below the coverage gate, and build on it.")
@click.option("--stop-on-failure", is_flag=True, help="End after a phase that is not complete for every date.")
@lift_storm
@click.option("--max-concurrent", type=click.IntRange(1, 16), default=2, show_default=True, help="Batches at a time.")
@scoped
def backfill() -> None:
    """Fill a range of dates through its phases, in dependency order: preflight, plan, run, look, next phase.

    --start-date and --end-date are needed. Upstream tables are always checked and results always audited; what --force
    and the skips leave out is written on every outcome. Repeat the command to go on after an interruption.
    """


@command("repair", does="gapless.cli.repair.run")
@click.option("--date", "dates", type=Day(), multiple=True, required=True, help="The date; may be given several times.")
@click.option("--processors", type=Listed(), default=(), help="Repair only these on the date, and what rests on them.")
@click.option(
    "--force", is_flag=True, help="Rebuild what is complete on the date too, and try again what was given up."
)
@click.option("--dry-run", is_flag=True, help="Show what is wrong and the plan; run nothing.")
@as_json
@where
def repair() -> None:
    """Repair one date in dependency order: what is wrong on it, and everything that was built on it.

    That is every later phase of the date, and every date whose look-back windows hold it. Only what is stale is run:
    the content of the rows decides.
    """


@command("cleanup", does="gapless.cli.cleanup.run")
@apply_it
@click.option(
    "--older-than",
    type=click.IntRange(0, 36_500),
    default=KEEP_DAYS,
    show_default=True,
    metavar="DAYS",
    help="Remove rows of dates more than so many days ago.",
)
@click.option("--all-history", is_flag=True, help="The one-time clean-up: lift the limit on the share of a table.")
@as_json
@where
def cleanup() -> None:
    """Remove old rows from the tables about the days to come. A dry run, unless --apply is given.

    Every table is backed up first; bring a backup back with: gapless restore.
    """


@command("clean-phantoms", does="gapless.cli.clean_phantoms.run")
@apply_it
@click.option("--lift-share", is_flag=True, help="Remove even an implausible share of a table.")
@click.option("--limit", default=40, show_default=True, help="How many dates of tables to list.")
@click.option("--markdown", is_flag=True, help="Print what is proposed as Markdown, for a review.")
@scoped
def clean_phantoms() -> None:
    """Propose, and with --apply remove, rows of what did not take place. A dry run, unless --apply is given.

    Every table is backed up first; bring a backup back with: gapless restore. Records such as predictions go only where
    they are named with --processors, and only of dates on which nothing took place at all.
    """


@command("restore", does="gapless.cli.restore.run")
@click.argument("backup", required=False)
@click.option("--apply", "apply_it", is_flag=True, help="Write. Without it rows are counted only.")
@as_json
@where
def restore() -> None:
    """Bring back the rows of BACKUP that are not in its table; without BACKUP, list the backups.

    Rows that are there stay as they are.
    """
