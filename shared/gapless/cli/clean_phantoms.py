"""gapless clean-phantoms"""

from __future__ import annotations

from typing import Any

import click
from rich.console import Console

from gapless.cli.chosen import Chosen, choose, print_json, refuse_an_empty_warehouse, words
from gapless.cli.sheets import PrintedTable, as_markdown, show
from gapless.engine import Look
from gapless.model import Gap, Policy
from gapless.tasks.cleanup.outcome import Cleaned, Ended, raise_first
from gapless.tasks.cleanup.phantoms import PhantomCleaner, Proposals, proposals


def run(apply_it: bool, lift_share: bool, limit: int, markdown: bool, **options: Any) -> None:
    chosen = choose(**options)
    gapless, engine = chosen.gapless, chosen.gapless.engine(Policy(lift_storm=True))
    look = engine.scan(chosen.scope)
    refuse_an_empty_warehouse(gapless.pipeline, look)
    found = proposals(gapless.pipeline, look, chosen.scope.processors)
    cleaner = PhantomCleaner(gapless.pipeline, gapless.warehouse, gapless.clock, gapless.settings)
    results = cleaner.remove(found, look, dry_run=not apply_it, lift_share=lift_share)
    done = [each for each in results if each.status is Ended.DONE]
    after = engine.scan(chosen.scope) if done else look
    told = _Told(chosen, found, results, after, words(**{"--lift-share": lift_share}))
    if chosen.as_json:
        print_json(told.as_json(not apply_it))
    elif markdown:
        click.echo(as_markdown(told.sheet(len(look.observation.calendar))))
    else:
        told.show(limit, apply_it)
    raise_first(results)


class _Told:
    """What a clean-up of phantoms prints."""

    def __init__(self, chosen: Chosen, found: Proposals, results: list[Cleaned], after: Look, lifted: str) -> None:
        self.chosen, self.found, self.results, self.after = chosen, found, results, after
        self.lifted = lifted

    def show(self, limit: int, apply_it: bool) -> None:
        if not self.found.tables:
            click.echo(f"There are no rows of {self.chosen.gapless.pipeline.words.units} that did not take place.")
        else:
            show(Console(), self.sheet(limit))
        self._left_alone()
        for each in self.results:
            if each.status is Ended.DONE and each.before and each.after:
                click.echo(
                    f"{each.table}: {each.deleted:,} rows of {each.dates:,} dates removed, {each.after.rows:,} of "
                    f"{each.before.rows:,} left"
                )
                backup = each.backup.split(".")[1]
                click.echo(f"  bring them back with: gapless restore {backup} --apply{self.chosen.place}")
        if any(each.status is Ended.DRY_RUN for each in self.results):
            same = self.chosen.words
            click.echo(f"Nothing was deleted. Do it with: gapless clean-phantoms --apply{self.lifted}{same}")
        elif apply_it and any(each.status is Ended.DONE for each in self.results):
            self._rest()

    def sheet(self, limit: int) -> PrintedTable:
        """What may go, per table and date."""
        rows = [
            (proposal.processor.name, each.day, each.took_place, each.rows, each.stay, each.example)
            for proposal in self.found.tables
            for each in proposal.phantoms
        ]
        columns = ("processor", "date", "took place", "rows to go", "rows that stay", "for example")
        total = sum(proposal.rows for proposal in self.found.tables)
        notes = (f"… {len(rows) - limit:,} more; see all with --json",) if len(rows) > limit else ()
        title = f"Rows that nobody expects: {total:,}"
        return PrintedTable("proposed", title, columns, rows[:limit], notes)

    def _left_alone(self) -> None:
        why: dict[tuple[str, str], list[Any]] = {}
        for target, reason in self.found.left:
            why.setdefault((target.processor, reason), []).append(target.day)
        for (name, reason), days in why.items():
            many = f" and {len(days) - 1:,} more" if len(days) > 1 else ""
            click.echo(f"left alone: {name} {days[0]}{many}: {reason}")

    def _rest(self) -> None:
        """What the look afterwards says: no phantoms, and what was built on the rows that are gone."""
        removed = {proposal.processor.name for proposal in self.found.tables}
        left = [gap for gap in self.after.judgement.phantoms if gap.target.processor in removed]
        if left:
            click.echo(f"{len(left):,} targets still hold such rows, {left[0].target} first")
        stale = self._stale()
        if stale:
            first, last = min(g.target.day for g in stale), max(g.target.day for g in stale)
            span = f"--start-date {first} --end-date {last}"
            click.echo(
                f"{len(stale):,} targets were built on them, or wait for those that were; the next hourly scan "
                f"rebuilds them, or at once: gapless apply {span}{self.chosen.place}"
            )
        elif not left:
            click.echo("A new look finds no such rows, and nothing that was built on them.")

    def _stale(self) -> list[Gap]:
        days = {day for proposal in self.found.tables for day in proposal.seen}
        return [gap for gap in self.after.judgement.gaps if gap.target.day in days and gap.seen.rows]

    def as_json(self, dry_run: bool) -> dict[str, Any]:
        proposed = [
            {
                "processor": proposal.processor.name, "table": proposal.processor.table, "date": each.day,
                "took_place": each.took_place, "rows": each.rows, "keys": each.keys, "stay": each.stay,
                "example": each.example,
            }
            for proposal in self.found.tables
            for each in proposal.phantoms
        ]  # fmt: skip
        return {
            "dry_run": dry_run,
            "rows": sum(each["rows"] for each in proposed),
            "proposed": proposed,
            "left_alone": [{"processor": t.processor, "date": t.day, "why": why} for t, why in self.found.left],
            "tables": [each.as_json() for each in self.results],
            "phantoms_after": len(self.after.judgement.phantoms),
            "stale_after": [{"processor": g.target.processor, "date": g.target.day} for g in self._stale()],
        }
