"""gapless demo"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from rich.console import Console
from rich.table import Table

from gapless.cli.apply import apply_with_progress
from gapless.cli.chosen import words
from gapless.cli.load import load_path
from gapless.cli.present import show_look
from gapless.cli.show.plan import show_plan
from gapless.cli.show.report import show_report
from gapless.declare.settings import read_settings
from gapless.engine import Engine, Look
from gapless.errors import BadInput
from gapless.local import warehouse as local
from gapless.model import Policy, Scope, Target, Verdict
from gapless.nba.sample import incidents
from gapless.nba.sample.known import read_season
from gapless.nba.sample.season import SampleSeason, write_season
from gapless.verdict import Asks
from gapless.wiring import Gapless, connect

_SEASON = 2022
_LISTED = 10  # targets by name
_MARK = "made-by-demo"  # in a folder that a demo may remove


def run(data: Path | None, seed: int, keep: bool, home: Path | None) -> None:
    home = home or Path(".gapless") / "demo"
    _make_room(home)
    console = Console()
    try:
        # Whatever the environment names: the demo damages data, and runs on a warehouse of its own only.
        gapless = connect(read_settings({}, home=home))
        demo = _Demo(console, gapless, gapless.engine(Policy()), words(**{"--home": home}))
        sys.exit(0 if demo.play(data, seed, keep) else 1)
    finally:
        if not keep:
            local.stop(home)


def _make_room(home: Path) -> None:
    """Remove the warehouse of an earlier demo; refuse a folder that holds anything else."""
    held = {p.name for p in home.iterdir()} if home.exists() else set()
    strange = sorted(held - local.FILES - {_MARK})
    if strange or (held and _MARK not in held):
        what = strange[0] if strange else "a warehouse that no demo made"
        raise BadInput(f"{home} holds {what}; name an empty folder for the demo with --home")
    local.stop(home)
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    (home / _MARK).touch()


@dataclass
class _Demo:
    """One demo: each chapter works on what the chapters before it left."""

    console: Console
    gapless: Gapless
    engine: Engine
    place: str  # the options that name the demo's warehouse

    def play(self, data: Path | None, seed: int, keep: bool) -> bool:
        """All chapters in order: whether everything is complete again, and as it was."""
        begin = time.monotonic()
        everything = self.gapless.everything()
        season = self._load(data, seed)
        built = self._build(everything)
        if built is None:
            return False
        damaged = self._break(season)
        broken, missed = self._find(everything, damaged)
        healed = self._heal(broken)
        same = self._compare(everything, built, healed)
        good = same and not missed
        self.console.print(f"[bold]{'All good' if good else 'Not good'}[/bold] after {time.monotonic() - begin:.0f} s.")
        if keep:
            self.console.print(f"The warehouse goes on running; look around with: gapless scan{self.place}")
        return good

    def _load(self, data: Path | None, seed: int) -> SampleSeason:
        with _chapter(self.console, "1. Load raw data"):
            if data is None:
                with tempfile.TemporaryDirectory() as folder:
                    season = write_season(Path(folder), seed, _SEASON)
                    _, loaded = load_path(self.gapless, Path(folder))
            else:
                _, loaded = load_path(self.gapless, data)
                season = read_season(self.gapless.warehouse, self.gapless.pipeline, _SEASON)
            for item in loaded:
                dates = f"{item.dates} dates, {item.first} to {item.last}"
                self.console.print(f"{item.processor}: {item.rows:,} rows, {dates}")
        return season

    def _build(self, scope: Scope) -> Look | None:
        """The look at what was built; None where it is not complete."""
        with _chapter(self.console, "2. Scan: every later phase is missing, and no event will ever say so"):
            look = self.engine.scan(scope)
            self._show(look, limit=5, calendar=False)
        with _chapter(self.console, "3. Apply: everything is built, in dependency order"):
            report = apply_with_progress(self.engine, look)
            show_report(self.console, report)
            built = report.after
            if built is None or not built.judgement.complete:
                self._show(built or look)
                return None
            self._show(built, limit=5)
        return built

    def _break(self, season: SampleSeason) -> dict[Target, str]:
        """What was damaged, and by which incident."""
        damaged: dict[Target, str] = {}
        with _chapter(self.console, "4. Break it, as production was broken"):
            table = Table(box=None, pad_edge=False)
            for name in ("incident", "what happened", "targets", "rows"):
                table.add_column(name, justify="right" if name in ("targets", "rows") else "left")
            for incident in incidents.ALL:
                targets = incident.targets(season, self.gapless.pipeline)
                changed = incident.apply(self.gapless.warehouse, season, self.gapless.pipeline)
                damaged.update(dict.fromkeys(targets, incident.name))
                table.add_row(incident.name, incident.happened, f"{len(targets):,}", f"{changed:,}")
            self.console.print(table)
        return damaged

    def _find(self, scope: Scope, damaged: dict[Target, str]) -> tuple[Look, list[Target]]:
        """The look at the damage, and what of it the look has nothing to say about."""
        with _chapter(self.console, "5. Scan: what is wrong, why, and what fixes it"):
            broken = self.engine.scan(scope)
            self._show(broken, limit=15)
            missed = _missed(self.gapless, broken, damaged)
            found = len(damaged) - len(missed)
            self.console.print(f"Damaged and found: {found:,} of {len(damaged):,} targets.")
            for target in missed[:_LISTED]:
                self.console.print(f"  [red]not found[/red]: {target} ({damaged[target]})")
        return broken, missed

    def _heal(self, broken: Look) -> Look:
        with _chapter(self.console, "6. Plan and apply"):
            show_plan(self.console, broken.plan)
            report = apply_with_progress(self.engine, broken)
            show_report(self.console, report)
        return report.after or broken

    def _compare(self, scope: Scope, built: Look, healed: Look) -> bool:
        """Whether it is complete, what it was before the damage, and quiet."""
        with _chapter(self.console, "7. Look again: complete, identical, and then quiet"):
            self._show(healed, limit=8)
            complete = healed.judgement.complete
            different = _different(self.gapless, built, healed)
            quiet = self.engine.scan(scope).plan.size == 0
            self.console.print(
                f"complete: {_yes(complete)}   identical to before the damage: {_yes(not different)}   "
                f"next scan plans nothing: {_yes(quiet)}"
            )
            for target in different[:_LISTED]:
                self.console.print(f"  [red]differs[/red]: {target}")
            proposed = len(healed.judgement.phantoms)
            if proposed:
                self.console.print(
                    f"{proposed} clean-ups of phantom rows are proposed; a person decides about deleting."
                )
        return complete and quiet and not different

    def _show(self, look: Look, *, limit: int = 20, calendar: bool = True) -> None:
        show_look(self.console, self.gapless.pipeline, look, self.place, limit=limit, calendar=calendar)


@contextmanager
def _chapter(console: Console, title: str) -> Iterator[None]:
    begin = time.monotonic()
    console.rule(f"[bold]{title}", align="left")
    yield
    console.print(f"({time.monotonic() - begin:.1f} s)\n", style="bright_black")


def _yes(good: bool) -> str:
    return "[green]yes[/green]" if good else "[red]no[/red]"


def _missed(gapless: Gapless, broken: Look, damaged: dict[Target, str]) -> list[Target]:
    """Damaged targets that the scan has nothing to say about. Stale rows of the past in upcoming tables are read by
    nothing, so no verdict exists for them."""
    return [
        target
        for target in damaged
        if gapless.pipeline.processors[target.processor].applies_to != "upcoming"
        and not _is_told(broken.judgement.verdict(target))
    ]


def _is_told(verdict: Verdict | None) -> bool:
    return verdict is not None and verdict.meaning.asks in (Asks.RUN, Asks.UPSTREAM, Asks.CLEAN_UP)


def _different(gapless: Gapless, before: Look, after: Look) -> list[Target]:
    """Targets whose content is not what it was before the damage; proposed clean-ups are still to be decided."""
    proposed = {gap.target for gap in after.judgement.phantoms}
    found = []
    for processor in gapless.pipeline.processors.values():
        if processor.applies_to == "upcoming":
            continue
        for i in range(len(before.observation.calendar)):
            target = Target(processor.name, before.observation.first + timedelta(days=i))
            old, new = before.observation.seen(target), after.observation.seen(target)
            if target not in proposed and (old and (old.version, old.rows)) != (new and (new.version, new.rows)):
                found.append(target)
    return found
