"""gapless report recent"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from gapless.cli.chosen import open_gapless, scope_of, words
from gapless.cli.reports.printing import coverage_as_json, facts_of, form_of, look_at, namer, print_report
from gapless.cli.sheets import PrintedTable
from gapless.declare.pipeline import Pipeline
from gapless.declare.words import Words
from gapless.model import IS_A_GAP, Scope, Verdict
from gapless.questions.reports.recent import RecentDay, last_eventful, recent


def run(
    days: int,
    end_date: date | str | None,
    as_json: bool,
    markdown: bool,
    project: str | None,
    home: Path | None,
    now: str | None,
) -> None:
    form = form_of(as_json, markdown)
    gapless = open_gapless(project, home, now)
    pipeline = gapless.pipeline
    last = scope_of(gapless, None, end_date or "today", (), ()).last
    first = max(last - timedelta(days=days - 1), pipeline.history_start)
    look = look_at(gapless, Scope(first, last, explicit=True))
    found = recent(pipeline, look)
    place = words(**{"--project": project, "--home": home, "--now": now})
    dates = words(**{"--start-date": first, "--end-date": last}) + place
    gaps = sum(day.gaps for day in found)
    advice = {"Look at the gaps with": f"gapless scan{dates}", "Repair with": f"gapless apply{dates}"} if gaps else {}
    latest = last_eventful(look)
    if not any(day.scheduled for day in found) and pipeline.calendar and latest:
        earlier = words(**{"--days": days if days != 7 else 0, "--end-date": latest}) + place
        advice[f"No {pipeline.words.units} in these days; the latest are in"] = f"gapless report recent{earlier}"
    sheets = [_recent_sheet(pipeline, found), _tables_sheet(found, namer(pipeline, form))]
    print_report(form, sheets, advice, **facts_of(look), days=[_day_as_json(pipeline.words, day) for day in found])
    sys.exit(1 if gaps else 0)


_STATUS_MARKS = {"complete": "green", "in progress": "blue", "off day": "bright_black"}


def _recent_sheet(pipeline: Pipeline, found: Sequence[RecentDay]) -> PrintedTable:
    phases = sorted({phase for day in found for phase in day.layers})
    with_units = pipeline.calendar is not None
    columns = ["date"]
    if with_units:
        columns += [pipeline.words.units, pipeline.words.done]
    columns += [f"P{phase} %" for phase in phases]
    columns.append("status")
    rows: list[tuple[Any, ...]] = []
    for day in found:
        row: list[Any] = [day.day]
        if with_units:
            row += [day.scheduled, day.final]
        row += [day.layers[phase].pct for phase in phases]
        row.append(day.status)
        rows.append(tuple(row))
    marks = tuple(_STATUS_MARKS.get(day.status, "red") for day in found)
    return PrintedTable("recent", "Recent days", tuple(columns), rows, marks=marks)


_ACROSS = 10  # so many dates fit beside each other


def _tables_sheet(found: Sequence[RecentDay], named: Callable[[str], str]) -> PrintedTable:
    """Keys per table and date; only tables and dates that hold or lack anything."""
    held = [(day, _held(day)) for day in found]
    shown = [(day, keys) for day, keys in held if keys]
    names = list(dict.fromkeys(name for _, keys in shown for name in keys))
    rows: list[tuple[Any, ...]] = []
    if len(shown) <= _ACROSS:
        columns = ("table", *(f"{day.day:%m-%d}" for day, _ in shown))
        for name in names:
            rows.append((named(name), *(keys.get(name) for _, keys in shown)))
    else:
        columns = ("date", *map(named, names))
        for day, keys in shown:
            rows.append((day.day.isoformat(), *(keys.get(name) for name in names)))
    notes = (_note([day for day, _ in shown]),) if rows else ()
    return PrintedTable("tables", "Keys per table", columns, rows, notes)


def _held(day: RecentDay) -> dict[str, str]:
    """Keys by table, of the tables that hold or lack anything on a date."""
    told = {name: _keys(day, name) for name in day.targets}
    return {name: keys for name, keys in told.items() if keys}


def _note(days: Sequence[RecentDay]) -> str:
    """How the numbers are read, with the signs that are used."""
    used = {verdict for day in days for verdict, _ in day.targets.values()} & _SIGNED
    legend = ", ".join(f"{verdict.meaning.sign} {verdict}" for verdict in Verdict if verdict in used)
    note = "a number alone: every expected key is there; a/b: so many of so many"
    return f"{note}; {legend}" if legend else note


# A number alone is a complete target; off days have no sign of their own.
_SIGNED = frozenset(Verdict) - {Verdict.COMPLETE, Verdict.OFF_DAY}


def _keys(day: RecentDay, name: str) -> str | None:
    verdict, seen = day.targets.get(name, (None, None))
    if verdict is None or seen is None:
        return None
    is_worth_telling = seen.expected or seen.rows or verdict in IS_A_GAP
    if not is_worth_telling:
        return None
    number = f"{seen.covered:,}" if seen.covered == seen.expected else f"{seen.covered:,}/{seen.expected:,}"
    return f"{number} {verdict.meaning.sign}" if verdict in _SIGNED else number


def _day_as_json(called: Words, day: RecentDay) -> dict[str, Any]:
    return {
        "date": day.day.isoformat(),
        called.units: day.scheduled,
        called.done: day.final,
        "status": day.status,
        "gaps": day.gaps,
        "phases": {str(phase): coverage_as_json(layer) for phase, layer in day.layers.items()},
        "tables": {
            name: {"verdict": str(verdict), "expected": seen.expected, "covered": seen.covered, "rows": seen.rows}
            for name, (verdict, seen) in day.targets.items()
        },
    }
