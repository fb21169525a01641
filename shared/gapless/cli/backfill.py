"""gapless backfill"""

from __future__ import annotations

import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import Any

import click
from rich.console import Console

from gapless.cli.chosen import Chosen, choose, nothing_known, print_json, words
from gapless.cli.present import gap_as_json, reason, show_look
from gapless.cli.progress import steps
from gapless.cli.show.plan import plan_as_json, show_held, show_plan
from gapless.cli.show.report import failed_as_json
from gapless.engine import Engine, Look
from gapless.errors import BadInput
from gapless.judge.verdicts import civil_today
from gapless.model import Policy, Scope, Status, Verdict
from gapless.questions.preflight import Checked, CountedRow, Preflight, Readiness, check, sources, statement
from gapless.tasks.backfill import BackfillReport, PhaseDone, backfill, phases_of, unready
from gapless.warehouse.rows import decoded
from gapless.wiring import Gapless

_CONCURRENT = 2  # batches at a time, where nothing else is asked for
_SHOWN = 20  # dates in full; the rest is counted
_NAMED = 5  # dates in a list
_FAILED = 10  # outcomes and notes in full
# What a preflight tells date by date.
_IN_FULL = (Readiness.NO_RAW_DATA, Readiness.WAITS, Readiness.STALE, Readiness.PARTIAL)


@dataclass(frozen=True)
class _Wish:
    """How a backfill was asked for."""

    dry_run: bool
    force: bool
    skip_preflight: bool
    skip_validation: bool
    stop_on_failure: bool
    lift_storm: bool
    max_concurrent: int

    @property
    def policy(self) -> Policy:
        skipped = frozenset({"preflight"}) if self.skip_preflight else frozenset[str]()
        return Policy(force=self.force, lift_gate=self.skip_validation, lift_storm=self.lift_storm, skipped=skipped)

    @property
    def words(self) -> str:
        """These options as they are typed, without the dry run."""
        return words(
            **{
                "--force": self.force,
                "--skip-preflight": self.skip_preflight,
                "--skip-validation": self.skip_validation,
                "--stop-on-failure": self.stop_on_failure,
                "--lift-storm": self.lift_storm,
                "--max-concurrent": self.max_concurrent if self.max_concurrent != _CONCURRENT else 0,
            }
        )


def run(
    dry_run: bool,
    force: bool,
    skip_preflight: bool,
    skip_validation: bool,
    stop_on_failure: bool,
    lift_storm: bool,
    max_concurrent: int,
    **options: Any,
) -> None:
    for name in ("start_date", "end_date"):
        if options[name] is None:
            option = "--" + name.replace("_", "-")
            raise BadInput(f"{option} is needed: a backfill is of a range that you name")
    chosen = choose(**options)
    _refuse_the_future(chosen.gapless, options["end_date"])
    wish = _Wish(
        dry_run=dry_run,
        force=force,
        skip_preflight=skip_preflight,
        skip_validation=skip_validation,
        stop_on_failure=stop_on_failure,
        lift_storm=lift_storm,
        max_concurrent=max_concurrent,
    )
    complete = _fill(chosen, wish)
    sys.exit(0 if complete else 1)


def _fill(chosen: Chosen, wish: _Wish) -> bool:
    """Preflight, plan, run, look again: whether everything in the range is complete."""
    begin = time.monotonic()
    engine = chosen.gapless.engine(wish.policy, parallel=wish.max_concurrent)
    look = engine.scan(chosen.scope)
    nothing_known(chosen.gapless, look)
    if not phases_of(chosen.gapless.pipeline, look):
        how = chosen.gapless.pipeline.words.load("loaded, not run: ", otherwise="filled from outside, not run")
        raise BadInput(f"what you chose is {how}")
    result: dict[str, Any] = {"dry_run": wish.dry_run, "lifted": sorted(wish.policy.lifted)}
    if not wish.skip_preflight:
        _look_before(chosen, wish, look, result)
    price = engine.price(look.plan)
    result["plan"] = plan_as_json(look.plan) | {"bytes": price}
    if look.plan.waves and not chosen.as_json:
        show_plan(Console(), look.plan, price)
    if wish.dry_run:
        _end_dry(chosen, wish, look, result)
        return look.judgement.complete
    report = _run(engine, look, wish.stop_on_failure, chosen)
    return _end(chosen, wish, look, report, result, time.monotonic() - begin)


def _look_before(chosen: Chosen, wish: _Wish, look: Look, result: dict[str, Any]) -> None:
    """The preflight: told, written into the result, and the end where it objects."""
    preflight = _preflight(chosen.gapless, look, chosen.scope)
    result["preflight"] = _preflight_as_json(preflight)
    if not chosen.as_json:
        _show_preflight(preflight, chosen, wish)
    if preflight.blocks and not wish.force:
        _refuse(preflight, chosen, result)


def _end_dry(chosen: Chosen, wish: _Wish, look: Look, result: dict[str, Any]) -> None:
    if chosen.as_json:
        print_json(result | {"complete": look.judgement.complete})
    elif look.plan.waves:
        click.echo(f"Nothing was run. Run it with: gapless backfill{chosen.words}{wish.words}")


def _end(
    chosen: Chosen, wish: _Wish, look: Look, report: BackfillReport, result: dict[str, Any], seconds: float
) -> bool:
    """Say what was done; whether everything in the range is complete."""
    after = report.after or look
    good = after.judgement.complete and not report.failed and not report.stopped
    if chosen.as_json:
        print_json(result | _report_as_json(chosen, report, after, good) | {"seconds": round(seconds, 1)})
        return good
    _show_end(chosen, report, after, good, seconds)
    if report.stopped:
        click.echo(f"Go on with: gapless backfill{chosen.words}{wish.words}")
    return good


def _refuse_the_future(gapless: Gapless, end: date | str) -> None:
    last = gapless.everything().last
    if isinstance(end, date) and end > last:
        raise BadInput(f"--end-date {end} lies in the future: the pipeline prepares dates up to {last}")


def _preflight(gapless: Gapless, look: Look, scope: Scope) -> Preflight:
    pairs = sources(gapless.pipeline)
    today = civil_today(gapless.pipeline, gapless.clock())
    rows: list[CountedRow] = []
    if pairs:
        params = {"first": scope.first, "last": scope.last, "today": today}
        answer = gapless.warehouse.rows(statement(gapless.pipeline, pairs), params, purpose="preflight")
        rows = decoded(CountedRow, answer)
    return check(gapless.pipeline, look, pairs, rows, today)


def _show_preflight(preflight: Preflight, chosen: Chosen, wish: _Wish) -> None:
    first, last = preflight.dates[0].day, preflight.dates[-1].day
    count = (last - first).days + 1
    dates = f"{count} dates, {first} to {last}" if count > 1 else str(first)
    click.echo(f"Preflight: {dates}")
    _show_good(preflight.of(Readiness.GOOD))
    called = chosen.gapless.pipeline.words
    _show_in_order(
        preflight.of(Readiness.BOOTSTRAP), f"in the first days of {called.a_period}: later phases expect nothing"
    )
    _show_in_order(preflight.of(Readiness.OFF_DAY), "off days")
    _show_in_order(preflight.of(Readiness.TO_COME), "today or later")
    for standing in _IN_FULL:
        _show_in_full(preflight.of(standing), counted=standing is Readiness.PARTIAL)
    if preflight.of(Readiness.NO_RAW_DATA):
        click.echo(f"  Dates without raw data wait for it{called.load(': ', chosen.place)}")
    if preflight.blocks:
        count = len(preflight.blocks)
        click.echo(f"Preflight found {count} date{'s' if count > 1 else ''} with partial data about the days to come.")
        for line in _recommended(chosen, wish.words):
            click.echo(f"  {line}")


def _show_good(good: Sequence[Checked]) -> None:
    """Few of them one by one, with their counts."""
    if len(good) <= _SHOWN // 2:
        for each in good:
            click.echo(f"  {each.day}: looks good{_counts(each)}")
    else:
        click.echo(f"  {len(good)} dates look good, {good[0].day} to {good[-1].day}")


def _show_in_order(found: Sequence[Checked], what: str) -> None:
    if not found:
        return
    listed = ", ".join(str(each.day) for each in found[:_NAMED])
    more = ", …" if len(found) > _NAMED else ""
    click.echo(f"  {len(found)} {what}: {listed}{more}")


def _show_in_full(found: Sequence[Checked], *, counted: bool) -> None:
    for each in found[:_SHOWN]:
        counts = _counts(each) if counted else ""
        click.echo(f"  {each.day}: {each.detail}{counts}")
    if len(found) > _SHOWN:
        click.echo(f"  … and {len(found) - _SHOWN} more dates like that; see all with --json")


def _counts(each: Checked) -> str:
    if not each.upcoming:
        return ""
    return f" ({each.historical}: {each.in_historical}, {each.upcoming}: {each.in_upcoming})"


def _recommended(chosen: Chosen, given: str) -> list[str]:
    same = f"gapless backfill{chosen.words}{given}"
    return [
        f"Option 1 (recommended): clear the stale rows, with a backup: gapless cleanup --apply{chosen.place}",
        f"Option 2: leave them; past dates are never built from them: {same} --skip-preflight",
        f"Option 3: go on, and rebuild everything in the range: {same} --force",
    ]


def _preflight_as_json(preflight: Preflight) -> dict[str, Any]:
    counts = Counter(str(each.standing) for each in preflight.dates)
    dates = [
        each._asdict() | {"standing": str(each.standing), "coverage_pct": round(each.coverage_pct, 2)}
        for each in preflight.dates
    ]
    return {"counts": dict(counts), "dates": dates}


def _refuse(preflight: Preflight, chosen: Chosen, result: dict[str, Any]) -> None:
    days = [each.day for each in preflight.blocks]
    which = f"{len(days)} dates, {days[0]} first, have" if len(days) > 1 else f"{days[0]} has"
    why = f"{which} partial data about the days to come"
    if chosen.as_json:
        print_json(result | {"refused": why, "recommended": _recommended(chosen, "")})
    click.echo(f"gapless: nothing was run: {why}; choose one of the three options", err=True)
    sys.exit(3)


def _run(engine: Engine, look: Look, stop_on_failure: bool, chosen: Chosen) -> BackfillReport:
    quiet = chosen.as_json
    with steps("backfill", look.plan.reach, quiet=quiet, lines=True) as step, _stoppable() as stopped:
        said = (lambda _done: None) if quiet else _tell_phase(chosen)
        return backfill(engine, look, stop_on_failure=stop_on_failure, progress=step, told=said, stopped=stopped)


def _tell_phase(chosen: Chosen) -> Callable[[PhaseDone], None]:
    def tell(done: PhaseDone) -> None:
        landed = sum(1 for o in done.report.outcomes if o.status is Status.COMPLETE)
        line = f"Phase {done.phase}: {done.complete:,} targets complete, {landed:,} of them made now"
        if done.open:
            days = sorted({gap.target.day for gap in done.open})
            line += f"; not complete: {len(done.open):,} on {len(days)} dates, {days[0]} first"
        click.echo(line)
        for gap in [g for g in done.open if g.verdict is not Verdict.BLOCKED][:5]:
            click.echo(f"  {gap.target}: {gap.verdict}, {reason(chosen.gapless.pipeline, gap)}")

    return tell


@contextmanager
def _stoppable() -> Iterator[Callable[[], bool]]:
    """Let the first Ctrl-C end the run at the next batch; a second one ends it at once. Gives what to ask."""
    stop = False

    def on_interrupt(_signal: int, _frame: object) -> None:
        nonlocal stop
        if stop:
            raise KeyboardInterrupt
        stop = True
        click.echo("\nstopping when the batches at work are done; Ctrl-C again stops at once", err=True)

    def stopped() -> bool:
        return stop

    try:
        before = signal.signal(signal.SIGINT, on_interrupt)
    except ValueError:  # not in the main thread: nobody can press anything
        yield stopped
        return
    try:
        yield stopped
    finally:
        signal.signal(signal.SIGINT, before)


def _show_end(chosen: Chosen, report: BackfillReport, after: Look, good: bool, seconds: float) -> None:
    console = Console()
    _show_done(report, seconds)
    if good:
        console.print("[green]Complete: nothing in the range asks for anything.[/green]")
        return
    if report.stopped:
        click.echo(f"Stopped: {report.stopped}. What was published is whole; the rest is as it was.")
        if report.by_hand:
            return
    outside = unready(chosen.gapless.pipeline, after)
    _show_outside(chosen, outside)
    if not outside:
        show_held(console, after.plan)
    show_look(console, chosen.gapless.pipeline, after, chosen.place, calendar=False)


def _show_done(report: BackfillReport, seconds: float) -> None:
    done = Counter(str(outcome.status) for outcome in report.outcomes)
    what = ", ".join(f"{count:,} {status}" for status, count in done.items()) or "nothing had to be run"
    click.echo(f"Run {report.run_id}: {what}, in {seconds:.0f} s")
    for outcome in report.failed[:_FAILED]:
        if outcome.status is not Status.SKIPPED:
            click.echo(f"  {outcome.status} {outcome.target}: {outcome.error}")
    for note in report.notes[:_FAILED]:
        click.echo(f"  note: {note}")


def _show_outside(chosen: Chosen, outside: Mapping[str, Sequence[date]]) -> None:
    """What the range reads and does not hold, with the command that fills it."""
    for name, days in outside.items():
        processor = chosen.gapless.pipeline.processors[name]
        waits = f"Waits for {name}, not complete on {len(days)} dates, {days[0]} to {days[-1]}"
        if processor.run == "none":
            click.echo(f"{waits}{chosen.gapless.pipeline.words.load(': load them with: ', chosen.place)}")
        else:
            only = f"--start-date {days[0]} --end-date {days[-1]} --processors {processor.alias or name}"
            click.echo(f"{waits}: gapless backfill {only}{chosen.place}")


def _report_as_json(chosen: Chosen, report: BackfillReport, after: Look, good: bool) -> dict[str, Any]:
    pipeline = chosen.gapless.pipeline
    return {
        "run_id": report.run_id,
        "complete": good,
        "stopped": report.stopped,
        "phases": [_phase_as_json(done) for done in report.phases],
        "failed": [failed_as_json(outcome) for outcome in report.failed],
        "gaps": [gap_as_json(pipeline, gap, after.at, chosen.place) for gap in after.judgement.gaps],
        "notes": report.notes,
    }


def _phase_as_json(done: PhaseDone) -> dict[str, Any]:
    statuses = Counter(str(outcome.status) for outcome in done.report.outcomes)
    return {
        "phase": done.phase,
        "complete": done.complete,
        "outcomes": dict(statuses),
        "open": len(done.open),
        "announced": list(done.announced),
    }
