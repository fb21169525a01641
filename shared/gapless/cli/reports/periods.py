"""gapless report period, which a pipeline may call by a word of its own"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import click

from gapless.cli.chosen import open_gapless, scope_of, words
from gapless.cli.reports.printing import coverage_as_json, facts_of, form_of, look_at, namer, print_report
from gapless.cli.sheets import PrintedTable
from gapless.declare.pipeline import Pipeline
from gapless.declare.words import Words
from gapless.engine import Look
from gapless.errors import BadInput
from gapless.judge.verdicts import Judgement
from gapless.model import IS_A_GAP, Gap, Scope, Verdict
from gapless.questions.acknowledgements import AckStanding, AckState, in_look
from gapless.questions.reports.coverage import Coverage
from gapless.questions.reports.periods import Period, periods
from gapless.verdict import HAS_ITS_KEYS, Asks

_LABEL = re.compile(r"(\d{4})(?:[-/](\d{2}|\d{4}))?")
_LISTED = 12  # phantoms and warnings that a note names
Note = tuple[str, str, int, str]  # kind, meaning, targets, what


def run(
    label: str | None,
    start_date: date | str | None,
    end_date: date | str | None,
    as_json: bool,
    markdown: bool,
    project: str | None,
    home: Path | None,
    now: str | None,
) -> None:
    form = form_of(as_json, markdown)
    word = str(click.get_current_context().info_name)  # as it was typed
    years = _years(word, label)
    if years and (start_date or end_date):
        raise BadInput(f"--{word} names the dates itself; leave out --start-date and --end-date")
    gapless = open_gapless(project, home, now)
    scope = scope_of(gapless, start_date, end_date, (), ())
    if years:
        scope = _narrowed(scope, word, label, years)
    look = look_at(gapless, scope)
    found = periods(gapless.pipeline, look)
    if label:
        found = _only(found, word, label, look)
        narrow = replace(scope, first=found[0].first, last=found[0].last)
        look = replace(look, judgement=_within(look, narrow))
    named = namer(gapless.pipeline, form)
    sheets = [
        _periods_sheet(gapless.pipeline, look, found, form, named),
        _health_sheet(gapless.pipeline, found, named),
        _notes_sheet(gapless.pipeline, look, found, named),
    ]
    dates_were_chosen = bool(label or start_date or end_date)
    place = words(**{"--project": project, "--home": home, "--now": now})
    advice = _advice(look, dates_were_chosen, place)
    called = gapless.pipeline.words
    told = facts_of(look) | {called.periods: [_as_json(called, each) for each in found]}
    print_report(form, sheets, advice, **told)
    sys.exit(1 if look.judgement.gaps else 0)


def _narrowed(scope: Scope, word: str, label: str | None, years: tuple[int, int]) -> Scope:
    """Wide enough for the period, wherever in these years it lies: what it was is known only after the look."""
    first, last = date(years[0], 1, 1), date(years[1], 12, 31)
    narrowed = replace(scope, first=max(first, scope.first), last=min(last, scope.last), explicit=True)
    if narrowed.first > narrowed.last:
        raise BadInput(f"there is no {word} '{label}' between {scope.first} and today")
    return narrowed


def _advice(look: Look, dates_were_chosen: bool, place: str) -> dict[str, str]:
    if not look.judgement.gaps:
        return {}
    scope = look.judgement.scope
    dates = words(**{"--start-date": scope.first, "--end-date": scope.last}) if dates_were_chosen else ""
    chosen = dates + place
    return {"Look at the gaps with": f"gapless scan{chosen}", "Repair with": f"gapless apply{chosen}"}


def _years(word: str, label: str | None) -> tuple[int, int] | None:
    """The first and last year of a label."""
    if label is None:
        return None
    match = _LABEL.fullmatch(label)
    if not match or not 1 < int(match[1]) < 9998:
        raise BadInput(f"--{word} '{label}' is not a {word}; write for example --{word} 2021-22")
    return int(match[1]), int(match[1]) + 1


def _only(found: Sequence[Period], word: str, label: str, look: Look) -> list[Period]:
    chosen = [each for each in found if _is_meant(each, label)]
    if chosen:
        return chosen
    scope = look.judgement.scope
    labels = ", ".join(each.label for each in found)
    there = f"there is {labels}" if labels else "there is none"
    raise BadInput(f"there is no {word} '{label}': between {scope.first} and {scope.last} {there}")


def _is_meant(period: Period, label: str) -> bool:
    """Whether a label, written in one of its ways, or the year a period opened in, names it."""
    year, _, second = label.replace("/", "-").partition("-")
    if second:
        return period.label == f"{year}-{second[-2:]}"
    return period.label == year or period.label.startswith(f"{year}-")


def _within(look: Look, scope: Scope) -> Judgement:
    """A judgement with another scope; only its lists depend on that."""

    def inside(gaps: Sequence[Gap]) -> list[Gap]:
        return [gap for gap in gaps if scope.holds(gap.target)]

    judgement = look.judgement
    return replace(
        judgement,
        scope=scope,
        gaps=inside(judgement.gaps),
        phantoms=inside(judgement.phantoms),
        warnings=inside(judgement.warnings),
    )


def _periods_sheet(
    pipeline: Pipeline, look: Look, found: Sequence[Period], form: str, named: Callable[[str], str]
) -> PrintedTable:
    """On a terminal the issues stand below the table, where they have room."""
    phases = sorted({phase for period in found for phase in period.layers})
    called, with_units = pipeline.words, pipeline.calendar is not None
    aside = form == "text"
    columns = [called.period, "dates"]
    if with_units:
        columns.append(called.units)
    columns += [f"P{phase} %" for phase in phases]
    columns.append("gaps")
    if not aside:
        columns.append("issues")
    rows: list[tuple[Any, ...]] = []
    marks = []
    for period in found:
        gaps = sum(layer.gaps for layer in period.layers.values())
        row: list[Any] = [period.label, period.dates]
        if with_units:
            row.append(period.units)
        row += [period.layers.get(phase, Coverage()).pct for phase in phases]
        row.append(gaps)
        if not aside:
            row.append(_issues(period, named))
        rows.append(tuple(row))
        marks.append("red" if gaps else "")
    notes = [_open_gaps(look)]
    if aside:
        notes = [f"{period.label}: {_issues(period, named)}" for period in found] + notes
    return PrintedTable(called.period, called.periods.capitalize(), tuple(columns), rows, tuple(notes), tuple(marks))


def _open_gaps(look: Look) -> str:
    counts = look.judgement.counts()
    gaps = sum(counts.get(verdict, 0) for verdict in IS_A_GAP)
    told = ", ".join(f"{verdict} {count:,}" for verdict, count in counts.items())
    return f"{gaps:,} open gap{'' if gaps == 1 else 's'}; targets: {told}"


_WAITING = tuple(verdict for verdict in Verdict if verdict.meaning.asks is Asks.UPSTREAM)
_ISSUES = tuple(
    verdict
    for verdict in Verdict
    if verdict is Verdict.ACKNOWLEDGED or (verdict.meaning.is_gap and verdict not in _WAITING)
)


def _issues(period: Period, named: Callable[[str], str]) -> str:
    told = []
    waiting = 0
    for name, counts in period.health.items():
        kinds = [f"{counts[verdict]:,} {verdict}" for verdict in _ISSUES if counts[verdict]]
        waiting += sum(counts[verdict] for verdict in _WAITING)
        if kinds:
            told.append(f"{named(name)} {', '.join(kinds)}")
    if waiting:
        told.append(f"{waiting:,} waiting for these")
    return "; ".join(told) or "clean"


def _health_sheet(pipeline: Pipeline, found: Sequence[Period], named: Callable[[str], str]) -> PrintedTable:
    names = dict.fromkeys(name for period in found for name in period.health)
    rows = []
    marks = []
    for name in names:
        cells = [_health(name, period) for period in found]
        if not any(cells):
            continue
        rows.append((pipeline.processors[name].phase, named(name), *cells))
        has_errors = any("error" in str(cell) for cell in cells)
        marks.append("red" if has_errors else "")
    columns = ("phase", "processor", *(period.label for period in found))
    is_filled = any(period.filled for period in found)
    return PrintedTable("health", "Processors", columns, rows, (_FILLED,) if is_filled else (), tuple(marks))


_FILLED = "a/b: a source of which nothing is expected by rule has rows on so many of so many dates"
_NO_ERROR = {
    **dict.fromkeys(_WAITING, "waiting"),
    **{v: str(v).replace("_", " ") for v in Verdict if v.meaning.asks is Asks.WAITING},
    Verdict.ACKNOWLEDGED: str(Verdict.ACKNOWLEDGED),
}
_ERRORS = IS_A_GAP - _NO_ERROR.keys()


def _health(name: str, period: Period) -> str | None:
    counts = period.health.get(name, Counter())
    if name in period.filled:
        given_up = counts[Verdict.ACKNOWLEDGED]
        more = f", {given_up:,} acknowledged" if given_up else ""
        return f"{period.filled[name]:,}/{period.dates:,}{more}"
    errors = sum(counts[verdict] for verdict in _ERRORS)
    told = [f"{errors:,} error{'' if errors == 1 else 's'}"] if errors else []
    told += [f"{counts[verdict]:,} {word}" for verdict, word in _NO_ERROR.items() if counts[verdict]]
    if told:
        return ", ".join(told)
    if any(counts[verdict] for verdict in HAS_ITS_KEYS):
        return "clean"
    return "bootstrap" if counts[Verdict.BOOTSTRAP] else None


def _notes_sheet(pipeline: Pipeline, look: Look, found: Sequence[Period], named: Callable[[str], str]) -> PrintedTable:
    rows = [_acknowledged(each, named) for each in in_look(pipeline, look)]
    rows += _early(found)
    for period in found:
        if period.unfinished:
            what = f"{period.label}: {pipeline.words.units} of past dates that the schedule does not call over"
            rows.append(("unfinished", "look at the schedule", period.unfinished, what))
    phantoms, warnings = look.judgement.phantoms, look.judgement.warnings
    if phantoms:
        rows.append(("phantom", "rows that nobody expects", len(phantoms), _listed(phantoms, named)))
    if warnings:
        rows.append(("warning", "complete, but thin", len(warnings), _listed(warnings, named)))
    return PrintedTable("notes", "Notes", ("kind", "meaning", "targets", "what"), rows)


def _acknowledged(each: AckStanding, named: Callable[[str], str]) -> Note:
    word = each.word
    until = f"until {word.expires}" if word.expires else "without expiry"
    why = f"{' '.join(word.reason.split())} ({word.owner}, {until})"
    note = f"; {each.note}" if each.note else ""
    state = "a person gave them up" if each.state is AckState.ACTIVE else str(each.state)
    return "acknowledged", state, each.targets, f"{named(word.processor)} {word.first} … {word.last}: {why}{note}"


def _early(found: Sequence[Period]) -> list[Note]:
    """The targets in the first days of periods, of which nothing is expected yet."""
    told = []
    targets = 0
    for period in found:
        early = sum(counts[Verdict.BOOTSTRAP] for counts in period.health.values())
        if early:
            told.append(f"{period.label} ({early:,})")
            targets += early
    return [("bootstrap", "expected", targets, f"nothing yet in the first days of {', '.join(told)}")] if told else []


def _listed(gaps: Sequence[Gap], named: Callable[[str], str]) -> str:
    told = ", ".join(f"{named(gap.target.processor)} {gap.target.day}" for gap in gaps[:_LISTED])
    left_out = len(gaps) - _LISTED
    return f"{told} and {left_out:,} more" if left_out > 0 else told


def _as_json(called: Words, period: Period) -> dict[str, Any]:
    return {
        called.period: period.label,
        "first": period.first.isoformat(),
        "last": period.last.isoformat(),
        "dates": period.dates,
        called.units: period.units,
        "unfinished": period.unfinished,
        "phases": {str(phase): coverage_as_json(layer) for phase, layer in period.layers.items()},
        "verdicts": {name: _verdicts(counts) for name, counts in period.health.items()},
    }


def _verdicts(counts: Counter[Verdict]) -> dict[str, int]:
    return {str(verdict): counts[verdict] for verdict in Verdict if counts[verdict]}
