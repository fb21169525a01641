"""gapless backfill"""

from __future__ import annotations

import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from typing import Any

import click
from rich.console import Console

from gapless.cli.chosen import Chosen, choose, nothing_known, print_json, words
from gapless.cli.present import gap_as_json, plan_as_json, reason, show_held, show_look, show_plan
from gapless.cli.progress import steps
from gapless.engine import Engine, Look
from gapless.errors import BadInput
from gapless.judge.verdicts import civil_today
from gapless.model import Policy, Scope, Status, Verdict
from gapless.questions.preflight import Checked, CountedRow, Preflight, Standing, check, sources, statement
from gapless.tasks.backfill import BackfillReport, PhaseDone, backfill, phases_of, unready
from gapless.warehouse.rows import decoded
from gapless.wiring import Gapless

_SHOWN = 20  # dates in full; the rest is counted


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
    if options["start_date"] is None or options["end_date"] is None:
        missing = "--start-date" if options["start_date"] is None else "--end-date"
        raise BadInput(f"{missing} is needed: a backfill is of a range that you name")
    chosen = choose(**options)
    gapless = chosen.gapless
    _refuse_the_future(gapless, options["end_date"])
    skipped = frozenset({"preflight"} if skip_preflight else ())
    policy = Policy(force=force, lift_gate=skip_validation, lift_storm=lift_storm, skipped=skipped)
    engine = gapless.engine(policy, parallel=max_concurrent)
    begin = time.monotonic()
    look = engine.scan(chosen.scope)
    nothing_known(gapless, look)
    if not phases_of(gapless.pipeline, look):
        raise BadInput("what you chose is loaded, not run: gapless load PATH")
    console = Console()
    given = {
        "--force": force, "--skip-preflight": skip_preflight, "--skip-validation": skip_validation,
        "--stop-on-failure": stop_on_failure, "--lift-storm": lift_storm,
        "--max-concurrent": max_concurrent if max_concurrent != 2 else 0,
    }  # fmt: skip
    result: dict[str, Any] = {"dry_run": dry_run, "lifted": sorted(policy.lifted)}
    if not skip_preflight:
        preflight = _preflight(gapless, look, chosen.scope)
        result["preflight"] = _preflight_as_json(preflight)
        if not chosen.as_json:
            _show_preflight(preflight, chosen, given)
        if preflight.blocks and not force:
            _refuse(preflight, chosen, result)
    price = engine.price(look.plan)
    result["plan"] = plan_as_json(look.plan) | {"bytes": price}
    if not chosen.as_json and look.plan.waves:
        show_plan(console, look.plan, price)
    if dry_run:
        if chosen.as_json:
            print_json(result | {"complete": look.judgement.complete})
        elif look.plan.waves:
            click.echo(f"Nothing was run. Run it with: gapless backfill{chosen.words}{words(**given)}")
        sys.exit(0 if look.judgement.complete else 1)
    report = _run(engine, look, stop_on_failure, chosen)
    after = report.after or look
    good = after.judgement.complete and not report.failed and not report.stopped
    if chosen.as_json:
        result |= _report_as_json(chosen, report, after, good) | {"seconds": round(time.monotonic() - begin, 1)}
        print_json(result)
    else:
        _show_end(console, chosen, report, after, good, time.monotonic() - begin)
        if report.stopped:
            click.echo(f"Go on with: gapless backfill{chosen.words}{words(**given)}")
    sys.exit(0 if good else 1)


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


def _show_preflight(preflight: Preflight, chosen: Chosen, given: dict[str, Any]) -> None:
    first, last = preflight.dates[0].day, preflight.dates[-1].day
    count = (last - first).days + 1
    click.echo(f"Preflight: {f'{count} dates, {first} to {last}' if count > 1 else first}")
    good = preflight.of(Standing.GOOD)
    if len(good) == 1 or 0 < len(good) <= _SHOWN // 2:
        for each in good:
            click.echo(f"  {each.day}: looks good{_counts(each)}")
    elif good:
        click.echo(f"  {len(good)} dates look good, {good[0].day} to {good[-1].day}")
    for standing, words_ in (
        (Standing.BOOTSTRAP, "in the first days of a season: later phases expect nothing"),
        (Standing.OFF_DAY, "off days"),
        (Standing.TO_COME, "today or later"),
    ):
        found = preflight.of(standing)
        if found:
            listed = ", ".join(str(each.day) for each in found[:5]) + (", …" if len(found) > 5 else "")
            click.echo(f"  {len(found)} {words_}: {listed}")
    for standing in (Standing.NO_RAW_DATA, Standing.WAITS, Standing.STALE, Standing.PARTIAL):
        found = preflight.of(standing)
        for each in found[:_SHOWN]:
            click.echo(f"  {each.day}: {each.detail}{_counts(each) if standing is Standing.PARTIAL else ''}")
        if len(found) > _SHOWN:
            click.echo(f"  … and {len(found) - _SHOWN} more dates like that; see all with --json")
    if preflight.of(Standing.NO_RAW_DATA):
        click.echo(f"  Dates without raw data wait for it: gapless load PATH{chosen.place}")
    if preflight.blocks:
        count = len(preflight.blocks)
        click.echo(f"Preflight found {count} date{'s' if count > 1 else ''} with partial data about the days to come.")
        for line in _recommended(chosen, given):
            click.echo(f"  {line}")


def _counts(each: Checked) -> str:
    if not each.upcoming:
        return ""
    return f" ({each.historical}: {each.in_historical}, {each.upcoming}: {each.in_upcoming})"


def _recommended(chosen: Chosen, given: dict[str, Any]) -> list[str]:
    same = f"gapless backfill{chosen.words}{words(**given)}"
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
        print_json(result | {"refused": why, "recommended": _recommended(chosen, {})})
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


def _show_end(
    console: Console, chosen: Chosen, report: BackfillReport, after: Look, good: bool, seconds: float
) -> None:
    pipeline = chosen.gapless.pipeline
    done = Counter(str(outcome.status) for outcome in report.outcomes)
    what = ", ".join(f"{count:,} {status}" for status, count in done.items()) or "nothing had to be run"
    click.echo(f"Run {report.run_id}: {what}, in {seconds:.0f} s")
    for outcome in report.failed[:10]:
        if outcome.status is not Status.SKIPPED:
            click.echo(f"  {outcome.status} {outcome.target}: {outcome.error}")
    for note in report.notes[:10]:
        click.echo(f"  note: {note}")
    if good:
        console.print("[green]Complete: nothing in the range asks for anything.[/green]")
        return
    if report.stopped:
        click.echo(f"Stopped: {report.stopped}. What was published is whole; the rest is as it was.")
        if report.by_hand:
            return
    outside = unready(pipeline, after)
    for name, days in outside.items():
        p = pipeline.processors[name]
        waits = f"Waits for {name}, not complete on {len(days)} dates, {days[0]} to {days[-1]}"
        if p.run == "none":
            click.echo(f"{waits}: load them with: gapless load PATH{chosen.place}")
        else:
            only = f"--start-date {days[0]} --end-date {days[-1]} --processors {p.alias or name}"
            click.echo(f"{waits}: gapless backfill {only}{chosen.place}")
    if not outside:
        show_held(console, after.plan)
    show_look(console, pipeline, after, chosen.place, calendar=False)


def _report_as_json(chosen: Chosen, report: BackfillReport, after: Look, good: bool) -> dict[str, Any]:
    pipeline = chosen.gapless.pipeline
    return {
        "run_id": report.run_id,
        "complete": good,
        "stopped": report.stopped,
        "phases": [
            {
                "phase": done.phase,
                "complete": done.complete,
                "outcomes": dict(Counter(str(o.status) for o in done.report.outcomes)),
                "open": len(done.open),
                "announced": list(done.announced),
            }
            for done in report.phases
        ],
        "failed": [
            {
                "processor": o.target.processor, "date": o.target.day.isoformat(), "status": str(o.status),
                "expected": o.expected, "covered": o.covered, "error": o.error,
            }
            for o in report.failed
        ],
        "gaps": [gap_as_json(pipeline, gap, after.at, chosen.place) for gap in after.judgement.gaps],
        "notes": report.notes,
    }  # fmt: skip
