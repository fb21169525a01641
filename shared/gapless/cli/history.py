"""gapless history"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from gapless.cli.chosen import open_gapless, words
from gapless.cli.reports.printing import form_of, namer, print_report
from gapless.cli.sheets import PrintedTable
from gapless.declare.pipeline import Pipeline
from gapless.engine import Look
from gapless.judge.remedies import rerun
from gapless.judge.verdicts import civil_today
from gapless.model import IS_A_GAP, Policy, Scope, Target
from gapless.questions.reports.failures import RepeatedFailure, causes, direction, half, halves, newest_between
from gapless.questions.reports.run_history import DayOfRuns, Outcomes, read_outcomes
from gapless.verdict import Asks
from gapless.wiring import Gapless


def run(days: int, as_json: bool, markdown: bool, project: str | None, home: Path | None, now: str | None) -> None:
    form = form_of(as_json, markdown)
    gapless = open_gapless(project, home, now)
    pipeline = gapless.pipeline
    today = civil_today(pipeline, gapless.clock())
    first = today - timedelta(days=days - 1)
    outcomes = read_outcomes(gapless.warehouse, pipeline, first, today)
    look = _look_at(gapless, outcomes.still_open)
    found = causes(outcomes.failures, _lacking(look, outcomes.still_open))
    place = words(**{"--project": project, "--home": home, "--now": now})
    sheets = [
        _days_sheet(outcomes),
        _trend_sheet(outcomes, first, today),
        *([_sources_sheet(outcomes.sources, first, today)] if outcomes.sources else []),
        _causes_sheet(pipeline, look, [cause for cause in found if cause.permanent], "permanent", place, form),
        _causes_sheet(pipeline, look, [cause for cause in found if not cause.permanent], "transient", place, form),
    ]
    waiting = sum(len(cause.open) for cause in found)
    print_report(
        form, sheets, details=("first seen", "kind"), at=gapless.clock().isoformat(), start_date=first.isoformat(),
        end_date=today.isoformat(), open=waiting,
    )  # fmt: skip
    sys.exit(1 if waiting else 0)


def _look_at(gapless: Gapless, targets: set[Target]) -> Look | None:
    """What the tables say of failures that no later outcome closed; none of them, no look."""
    if not targets:
        return None
    days = [target.day for target in targets]
    names = frozenset(target.processor for target in targets) & gapless.pipeline.processors.keys()
    if not names:
        return None
    return gapless.engine(Policy(lift_storm=True)).scan(Scope(min(days), max(days), names, explicit=True))


def _lacking(look: Look | None, targets: set[Target]) -> set[Target]:
    if look is None:
        return set()
    return {target for target in targets if look.judgement.verdict(target) in IS_A_GAP}


def _days_sheet(outcomes: Outcomes) -> PrintedTable:
    """One row per day on which anything ran."""
    by_day = {each.day: each for each in outcomes.days}
    rows: list[tuple[Any, ...]] = []
    marks: list[str] = []
    for day in sorted(by_day.keys() | outcomes.open_gaps.keys()):
        each = by_day.get(day, DayOfRuns(day, 0, 0, 0, 0, None))
        row = (day, each.runs, each.complete, each.partial, each.failed, _rounded(each.coverage_pct))
        rows.append((*row, outcomes.open_gaps.get(day)) if outcomes.open_gaps else row)
        marks.append("red" if each.failed or each.partial else "")
    columns: tuple[str, ...] = ("day", "runs", "complete", "partial", "failed", "mean coverage %")
    if outcomes.open_gaps:
        columns = (*columns, "open gaps")
    return PrintedTable("days", "Runs by day", columns, rows, ("days without any run are left out",), tuple(marks))


def _trend_sheet(outcomes: Outcomes, first: date, last: date) -> PrintedTable:
    before, after = (half(outcomes.days, *span) for span in halves(first, last))
    gaps = [newest_between(outcomes.open_gaps, *span) for span in halves(first, last)]
    rows: list[tuple[Any, ...]] = [
        ("targets run", before.targets, after.targets, None),
        ("complete %", _rounded(before.complete_pct), _rounded(after.complete_pct),
         direction(before.complete_pct, after.complete_pct, more_is_better=True)),
        ("mean coverage %", _rounded(before.coverage_pct), _rounded(after.coverage_pct),
         direction(before.coverage_pct, after.coverage_pct, more_is_better=True)),
        ("failed or partial", before.failed, after.failed, None),
        ("open gaps, newest report", *gaps, direction(*gaps, more_is_better=False)),
    ]  # fmt: skip
    title = f"Trend: {after.first} … {after.last} against {before.first} … {before.last}"
    return PrintedTable("trend", title, ("measure", "before", "after", "trend"), rows)


def _sources_sheet(sources: Mapping[str, Mapping[date, int]], first: date, last: date) -> PrintedTable:
    early, late = halves(first, last)

    def within(counts: Mapping[date, int], span: tuple[date, date]) -> int:
        return sum(n for day, n in counts.items() if span[0] <= day <= span[1])

    rows = [(name, within(counts, early), within(counts, late)) for name, counts in sorted(sources.items())]
    return PrintedTable("sources", "Targets by data source", ("source", "before", "after"), rows)


_TITLES = {
    "permanent": "Permanent failures: somebody has to change something first",
    "transient": "Transient failures: more data, or another try, may do",
}


def _causes_sheet(
    pipeline: Pipeline,
    look: Look | None,
    found: Sequence[RepeatedFailure],
    kind: str,
    place: str,
    form: str,
) -> PrintedTable:
    """On a terminal the newest text of a cause stands below the table, where it has room."""
    aside = form == "text"
    named = namer(pipeline, form)
    rows = [
        (
            cause.text,
            cause.category,
            ", ".join(map(named, cause.processors)),
            cause.times,
            len(cause.targets),
            cause.first_seen,
            cause.last_seen,
            f"{len(cause.open):,} open" if cause.open else "resolved",
            *(() if aside else (cause.example,)),
            _remedy(pipeline, look, cause, place),
        )
        for cause in found
    ]
    columns = ("cause", "kind", "processors", "times", "targets", "first seen", "last seen", "state")
    notes = tuple(f"newest: {cause.example}" for cause in found if cause.example != cause.text) if aside else ()
    return PrintedTable(
        kind, _TITLES[kind], (*columns, *(() if aside else ("example",)), "command"), rows, notes,
        tuple("red" if cause.open else "bright_black" for cause in found),
    )  # fmt: skip


def _remedy(pipeline: Pipeline, look: Look | None, cause: RepeatedFailure, place: str) -> str | None:
    """The command to try once nothing stands in its way; none where the tables lack nothing any more."""
    if not cause.open:
        return None
    verdicts = {look.judgement.verdict(target) for target in cause.open} if look else set()
    spent = any(verdict is not None and verdict.meaning.asks is Asks.PERSON for verdict in verdicts)
    return rerun(pipeline, cause.open, force=cause.permanent or spent).typed(place)


def _rounded(pct: float | None) -> float | None:
    return None if pct is None else round(pct, 1)
