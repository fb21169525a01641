"""gapless repair"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from gapless.cli.chosen import nothing_known, open_gapless, print_json, words
from gapless.cli.present import gap_as_json, reason
from gapless.cli.progress import steps
from gapless.cli.sheets import PrintedTable, show
from gapless.cli.show.plan import plan_as_json, show_held, show_plan
from gapless.cli.show.report import report_as_json, show_report
from gapless.declare.pipeline import Pipeline
from gapless.engine import ApplyReport, Engine
from gapless.errors import BadInput
from gapless.judge.remedies import remedy_for
from gapless.judge.verdicts import civil_today
from gapless.model import Gap, Policy, Seen, Target, Verdict
from gapless.tasks.repair import Case, look_at
from gapless.wiring import Gapless

_MOST = 31  # dates; a range is a backfill
_QUIET = frozenset({Verdict.COMPLETE, Verdict.ACKNOWLEDGED, Verdict.NOT_DUE})


def run(
    dates: tuple[date | str, ...],
    processors: tuple[str, ...],
    force: bool,
    dry_run: bool,
    as_json: bool,
    project: str | None,
    home: Path | None,
    now: str | None,
) -> None:
    gapless = open_gapless(project, home, now)
    days = _days(gapless, dates)
    named = gapless.pipeline.select(processors)
    sources = sorted(name for name in named if gapless.pipeline.processors[name].run == "none")
    if sources:
        from_outside = "it is filled from outside, not repaired"
        how = gapless.pipeline.words.load("it is loaded, not repaired, with: ", otherwise=from_outside)
        raise BadInput(f"{sources[0]} is a source: {how}")
    place = words(**{"--project": project, "--home": home, "--now": now})
    chosen = "".join(f" --date {day}" for day in days) + words(**{"--processors": ",".join(processors)})
    told = _Told(gapless.pipeline, place, chosen, as_json)
    engine = gapless.engine(Policy(force=force))
    case = look_at(engine, days, named, gapless.everything().last)
    nothing_known(gapless, case.look)
    if dry_run or not case.look.plan.waves:
        told.look(case, dry_run, force)
        sys.exit(0 if case.complete else 1)
    if not as_json:
        show_plan(Console(), case.look.plan)
    report = _run(engine, case, quiet=as_json)
    after = look_at(gapless.engine(Policy()), days, named, gapless.everything().last)
    told.end(case, report, after)
    sys.exit(0 if after.complete and not report.failed else 1)


def _days(gapless: Gapless, dates: Sequence[date | str]) -> list[date]:
    """The dates that were named; raises `BadInput` for one that no repair can be about."""
    today, everything = civil_today(gapless.pipeline, gapless.clock()), gapless.everything()
    named = {"today": today, "yesterday": today - timedelta(days=1)}
    days = sorted({named[day] if isinstance(day, str) else day for day in dates})
    if days[-1] > everything.last:
        raise BadInput(f"--date {days[-1]} lies in the future: the pipeline prepares dates up to {everything.last}")
    if days[0] < everything.first:
        raise BadInput(f"--date {days[0]} lies before the pipeline's history, which begins on {everything.first}")
    if len(days) > _MOST:
        raise BadInput(
            f"{len(days)} dates were named, {_MOST} at most; for a range use: "
            f"gapless backfill --start-date {days[0]} --end-date {days[-1]}"
        )
    return days


def _run(engine: Engine, case: Case, *, quiet: bool) -> ApplyReport:
    with steps("repairing", case.look.plan.reach, quiet=quiet) as step:
        return engine.apply(case.look, progress=step, look_again=False)


class _Told:
    """What a repair prints."""

    def __init__(self, pipeline: Pipeline, place: str, chosen: str, as_json: bool) -> None:
        self.pipeline = pipeline
        self.place = place
        self.chosen = chosen  # dates and processors, as they are typed
        self.as_json = as_json

    def look(self, case: Case, dry_run: bool, force: bool) -> None:
        """What is wrong, where nothing is run."""
        if self.as_json:
            print_json(self._json(case, None, None) | {"dry_run": dry_run})
            return
        fine = case.complete and not case.look.plan.waves
        if fine:
            click.echo(self._fine(case))
        else:
            show(Console(), self._sheet(case, None, None))
            show_plan(Console(), case.look.plan)
        self._ways_on(case)
        if case.look.plan.waves:
            same = self.chosen + words(**{"--force": force}) + self.place
            click.echo(f"Nothing was run. Run it with: gapless repair{same}")
        elif fine and self._whole(case) and not force:
            click.echo(f"Rebuild it nevertheless with: gapless repair{self.chosen} --force{self.place}")

    def end(self, before: Case, report: ApplyReport, after: Case) -> None:
        """What was done, before and after."""
        if self.as_json:
            print_json(self._json(before, report, after) | {"dry_run": False})
            return
        console = Console()
        show_report(console, report)
        show(console, self._sheet(before, report, after))
        again = {target for action in before.look.plan.actions for target in action.targets} - report.landed
        others = [target for target in report.landed if target.day not in before.dates]
        if again or others:
            click.echo(
                f"What rests on this: {_targets(len(again))} looked at again and left as they are, "
                f"{_targets(len(others))} of other dates rebuilt."
            )
        show_held(console, after.look.plan)
        self._ways_on(after)
        if not after.complete:
            left = _targets(len(after.look.judgement.gaps))
            console.print(f"[red]Not repaired yet: {left} still to be worked on.[/red]", highlight=False)
        elif report.failed:
            click.echo("Some of it failed here, and yet everything is complete: another run was at work too.")
        else:
            whole = f"{_listed(before.dates)} {'is' if len(before.dates) == 1 else 'are'} complete"
            console.print(f"[green]Repaired: {whole}, and so is what rests on this.[/green]", highlight=False)

    # -- parts ---------------------------------------------------------------------------------------------------------

    def _whole(self, case: Case) -> list[Target]:
        """What is complete on the dates and could be rebuilt."""
        verdict, processors = case.look.judgement.verdict, self.pipeline.processors
        there = case.targets(self.pipeline)
        return [t for t in there if verdict(t) is Verdict.COMPLETE and processors[t.processor].run != "none"]

    def _fine(self, case: Case) -> str:
        days, whole = _listed(case.dates), self._whole(case)
        if whole:
            n = f"{_targets(len(whole))} complete"
            return f"{days}: nothing to repair; {n}, and what rests on them was built from what is there."
        others = Counter(case.look.judgement.verdict(target) for target in case.targets(self.pipeline))
        if others - Counter({Verdict.COMPLETE: others[Verdict.COMPLETE]}):
            return f"{days}: nothing to repair; " + ", ".join(f"{verdict} {n}" for verdict, n in others.items())
        return f"{days}: nothing to repair; nothing took place, and nothing is there."

    def _sheet(self, before: Case, report: ApplyReport | None, after: Case | None) -> PrintedTable:
        """The targets of the dates, with what was seen of them before and after; of many dates, what is not fine."""
        many = len(before.dates) > 1
        columns = ["date"] if many else []
        columns += ["processor", "before", "after"] if after else ["processor", "verdict"]
        columns += ["expected keys", "suspect rows", "" if after else "why"]
        rows: list[tuple[Any, ...]] = []
        left_out = 0
        for target in before.targets(self.pipeline):
            rebuilt = report is not None and target in report.landed
            if not rebuilt and self._is_quiet(before, target, many):
                left_out += 1
                continue
            day = (target.day,) if many else ()
            cells = self._compared(before, after, target, rebuilt) if after else self._found(before, target)
            rows.append((*day, *cells))
        notes = (f"and {_targets(left_out)} in order",) if many and left_out else ()
        return PrintedTable("targets", _listed(before.dates), tuple(columns), rows, notes)

    def _is_quiet(self, case: Case, target: Target, many: bool) -> bool:
        """In order, and not worth a row: a source, or one of many dates."""
        is_source = self.pipeline.processors[target.processor].run == "none"
        return case.look.judgement.verdict(target) in _QUIET and (many or is_source)

    def _found(self, case: Case, target: Target) -> tuple[str, ...]:
        seen = case.seen(target)
        verdict = str(case.look.judgement.verdict(target))
        return target.processor, verdict, _keys(seen), f"{seen.suspect:,}", self._why(case, target)

    def _compared(self, before: Case, after: Case, target: Target, rebuilt: bool) -> tuple[str, ...]:
        then, now = before.seen(target), after.seen(target)
        return (
            target.processor,
            str(before.look.judgement.verdict(target)),
            str(after.look.judgement.verdict(target)),
            _change(_keys(then), _keys(now)),
            _change(f"{then.suspect:,}", f"{now.suspect:,}"),
            "rebuilt" if rebuilt else "",
        )

    def _why(self, case: Case, target: Target) -> str:
        listed = (*case.look.judgement.gaps, *case.look.judgement.phantoms)
        gap = next((gap for gap in listed if gap.target == target), None)
        return reason(self.pipeline, gap) if gap else ""

    def _ways_on(self, case: Case) -> None:
        """What this repair leaves alone, with the command that gets on with it."""
        for text in dict.fromkeys(self._commands(case)):
            click.echo(text)

    def _commands(self, case: Case) -> list[str]:
        told = []
        for gap, _ in case.look.plan.held:
            way = self._way_on(gap, case)
            if way:
                told.append(f"{gap.target}: {way}")
        if case.elsewhere:
            first = next((b for gap, _ in case.elsewhere for b in gap.blockers if b.day not in case.dates), None)
            wait = f"{_targets(len(case.elsewhere))} of other dates that read these: waiting for "
            way = f"{first}, not for these: gapless repair --date {first.day}{self.place}" if first else "another try"
            told.append(wait + way)
        phantoms = [gap.target for gap in case.look.judgement.phantoms if gap.target.day in case.dates]
        if phantoms:
            first_day, last_day = case.dates[0], case.dates[-1]
            told.append(
                f"{len(phantoms)} of its tables hold rows of {self.pipeline.words.units} that did not take place: "
                f"gapless clean-phantoms --start-date {first_day} --end-date {last_day}{self.place}"
            )
        return told

    def _way_on(self, gap: Gap, case: Case) -> str:
        """How to get on with a gap that this repair leaves alone; empty where another of its gaps says it."""
        name, day = gap.target
        alone = f"--date {day} --processors {self.pipeline.processors[name].alias or name}"
        if self.pipeline.processors[name].run == "none":
            return remedy_for(self.pipeline, gap.target, gap.verdict).told(self.place)
        if gap.verdict is Verdict.EXHAUSTED:
            return f"mend the cause ({gap.detail}), then: gapless repair {alone} --force{self.place}"
        if gap.verdict is Verdict.IN_FLIGHT:
            return "another run is at work on it; look again later"
        if gap.verdict is not Verdict.BLOCKED:
            return f"it has failed lately; now rather than later: gapless repair {alone} --force{self.place}"
        own = {each.target for each, _ in case.look.plan.held}
        for blocker in gap.blockers:
            if blocker.day not in case.dates:
                return f"waits for {blocker}: gapless repair --date {blocker.day}{self.place}"
            if blocker not in own:
                return f"waits for {blocker}, which is not among --processors: gapless repair --date {day}{self.place}"
        return ""

    def _json(self, before: Case, report: ApplyReport | None, after: Case | None) -> dict[str, Any]:
        last = after or before
        failed = bool(report and report.failed)
        landed = report.landed if report else set()
        targets = []
        for target in before.targets(self.pipeline):
            targets.append(
                {
                    "processor": target.processor,
                    "date": target.day,
                    "before": _facts(before, target),
                    "after": _facts(after, target) if after else None,
                    "rebuilt": target in landed,
                }
            )
        elsewhere = []
        for gap, why in last.elsewhere:
            elsewhere.append({"processor": gap.target.processor, "date": gap.target.day, "why": why})
        facts: dict[str, Any] = {
            "dates": list(before.dates),
            "complete": last.complete and not failed,
            "targets": targets,
            "plan": plan_as_json(before.look.plan),
            "gaps": [gap_as_json(self.pipeline, gap, last.look.at, self.place) for gap in last.look.judgement.gaps],
            "elsewhere": elsewhere,
            "ways_on": list(dict.fromkeys(self._commands(last))),
        }
        if report:
            facts["report"] = {k: v for k, v in report_as_json(self.pipeline, report).items() if k != "after"}
        return facts


def _facts(case: Case, target: Target) -> dict[str, Any]:
    seen = case.seen(target)
    return {
        "verdict": str(case.look.judgement.verdict(target)),
        "expected": seen.expected,
        "covered": seen.covered,
        "coverage_pct": round(seen.coverage_pct, 2),
        "rows": seen.rows,
        "suspect": seen.suspect,
        "altered": seen.altered,
        "extra": seen.extra,
        "duplicates": seen.duplicates,
    }


def _change(before: str, after: str) -> str:
    return before if before == after else f"{before} → {after}"


def _targets(n: int) -> str:
    return f"{n:,} target{'' if n == 1 else 's'}"


def _keys(seen: Seen) -> str:
    if not seen.expected:
        return f"{seen.rows:,} rows" if seen.rows else "-"
    more = f" and {seen.extra:,} more" if seen.extra else ""
    return f"{seen.covered:,} of {seen.expected:,}{more}"


def _listed(dates: Sequence[date]) -> str:
    return ", ".join(map(str, dates))
