"""gapless demo"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
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
from gapless.engine import Look
from gapless.errors import BadInput
from gapless.local import warehouse as local
from gapless.model import Policy, Target, Verdict
from gapless.nba.sample import incidents
from gapless.nba.sample.known import read_season
from gapless.nba.sample.season import write_season
from gapless.verdict import Asks
from gapless.wiring import Gapless, connect

_SEASON = 2022
_MARK = "made-by-demo"  # in a folder that a demo may remove


def run(data: Path | None, seed: int, keep: bool, home: Path | None) -> None:
    home = home or Path(".gapless") / "demo"
    _make_room(home)
    console = Console()
    try:
        # Whatever the environment names: the demo damages data, and runs on a warehouse of its own only.
        sys.exit(_demo(console, connect(read_settings({}, home=home)), data, seed, home, keep))
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


def _demo(console: Console, gapless: Gapless, data: Path | None, seed: int, home: Path, keep: bool) -> int:
    begin = time.monotonic()
    engine = gapless.engine(Policy())
    scope = gapless.everything()
    place = words(**{"--home": home})

    with _chapter(console, "1. Load raw data"):
        if data is None:
            with tempfile.TemporaryDirectory() as folder:
                season = write_season(Path(folder), seed, _SEASON)
                _, loaded = load_path(gapless, Path(folder))
        else:
            _, loaded = load_path(gapless, data)
            season = read_season(gapless.warehouse, gapless.pipeline, _SEASON)
        for item in loaded:
            console.print(f"{item.processor}: {item.rows:,} rows, {item.dates} dates, {item.first} to {item.last}")

    with _chapter(console, "2. Scan: every later phase is missing, and no event will ever say so"):
        look = engine.scan(scope)
        show_look(console, gapless.pipeline, look, place, limit=5, calendar=False)

    with _chapter(console, "3. Apply: everything is built, in dependency order"):
        report = apply_with_progress(engine, look)
        show_report(console, report)
        built = report.after
        if built is None or not built.judgement.complete:
            show_look(console, gapless.pipeline, built or look, place)
            return 1
        show_look(console, gapless.pipeline, built, place, limit=5)

    with _chapter(console, "4. Break it, as production was broken"):
        damaged: dict[Target, str] = {}
        table = Table(box=None, pad_edge=False)
        for name in ("incident", "what happened", "targets", "rows"):
            table.add_column(name, justify="right" if name in ("targets", "rows") else "left")
        for incident in incidents.ALL:
            targets = incident.targets(season, gapless.pipeline)
            changed = incident.apply(gapless.warehouse, season, gapless.pipeline)
            damaged.update(dict.fromkeys(targets, incident.name))
            table.add_row(incident.name, incident.happened, f"{len(targets):,}", f"{changed:,}")
        console.print(table)

    with _chapter(console, "5. Scan: what is wrong, why, and what fixes it"):
        broken = engine.scan(scope)
        show_look(console, gapless.pipeline, broken, place, limit=15)
        missed = _missed(gapless, broken, damaged)
        console.print(f"Damaged and found: {len(damaged) - len(missed):,} of {len(damaged):,} targets.")
        for target in missed[:10]:
            console.print(f"  [red]not found[/red]: {target} ({damaged[target]})")

    with _chapter(console, "6. Plan and apply"):
        show_plan(console, broken.plan)
        report = apply_with_progress(engine, broken)
        show_report(console, report)

    with _chapter(console, "7. Look again: complete, identical, and then quiet"):
        healed = report.after or broken
        show_look(console, gapless.pipeline, healed, place, limit=8)
        different = _different(gapless, built, healed)
        quiet = engine.scan(scope).plan.size == 0
        proposed = len(healed.judgement.phantoms)
        good = healed.judgement.complete and not different and quiet and not missed
        console.print(
            f"complete: {_yes(healed.judgement.complete)}   identical to before the damage: {_yes(not different)}   "
            f"next scan plans nothing: {_yes(quiet)}"
        )
        for target in different[:10]:
            console.print(f"  [red]differs[/red]: {target}")
        if proposed:
            console.print(f"{proposed} clean-ups of phantom rows are proposed; a person decides about deleting.")
    console.print(f"[bold]{'All good' if good else 'Not good'}[/bold] after {time.monotonic() - begin:.0f} s.")
    if keep:
        console.print(f"The warehouse goes on running; look around with: gapless scan{place}")
    return 0 if good else 1


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
