"""gapless report season"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

from gapless.cli.chosen import open_gapless, scope_of, words
from gapless.cli.reports.printing import coverage_as_json, facts_of, form_of, look_at, namer, print_report
from gapless.cli.sheets import Sheet
from gapless.declare.pipeline import Pipeline
from gapless.engine import Look
from gapless.errors import BadInput
from gapless.judge.verdicts import Judgement
from gapless.model import IS_A_GAP, Gap, Scope, Verdict
from gapless.questions.acknowledgements import State, in_look
from gapless.questions.reports.coverage import Coverage
from gapless.questions.reports.season import Season, seasons
from gapless.verdict import HAS_ITS_KEYS, Asks

_SEASON = re.compile(r"(\d{4})(?:[-/](\d{2}|\d{4}))?")
_LISTED = 12  # phantoms and warnings that a note names


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
    years = _years(label)
    if years and (start_date or end_date):
        raise BadInput("--season names the dates itself; leave out --start-date and --end-date")
    gapless = open_gapless(project, home, now)
    pipeline = gapless.pipeline
    scope = scope_of(gapless, start_date, end_date, (), ())
    if years:
        # Wide enough for the season, wherever in these years it lies: what it was is known only after the look.
        first, last = date(years[0], 1, 1), date(years[1], 12, 31)
        scope = replace(scope, first=max(first, scope.first), last=min(last, scope.last), explicit=True)
        if scope.first > scope.last:
            raise BadInput(f"there is no season '{label}' between {pipeline.history_start} and today")
    look = look_at(gapless, scope)
    found = seasons(pipeline, look)
    if label:
        found = _only(found, label, look)
        narrow = replace(scope, first=found[0].first, last=found[0].last)
        look = replace(look, judgement=_within(look, narrow))
    named = namer(pipeline, form)
    place = words(**{"--project": project, "--home": home, "--now": now})
    given = words(**{"--start-date": look.judgement.scope.first, "--end-date": look.judgement.scope.last})
    chosen = (given if label or start_date or end_date else "") + place
    gaps = look.judgement.gaps
    advice = {"Look at the gaps with": f"gapless scan{chosen}", "Repair with": f"gapless apply{chosen}"} if gaps else {}
    print_report(
        form,
        [
            _season_sheet(pipeline, look, found, form, named),
            _health_sheet(pipeline, found, named),
            _notes_sheet(pipeline, look, found, named),
        ],
        advice,
        **facts_of(look),
        seasons=[_season_as_json(each) for each in found],
    )
    sys.exit(1 if gaps else 0)


def _years(label: str | None) -> tuple[int, int] | None:
    """The first and last year of a label."""
    if label is None:
        return None
    match = _SEASON.fullmatch(label)
    if not match or not 1 < int(match[1]) < 9998:
        raise BadInput(f"--season '{label}' is not a season; write for example --season 2021-22")
    return int(match[1]), int(match[1]) + 1


def _only(found: Sequence[Season], label: str, look: Look) -> list[Season]:
    year, _, second = label.replace("/", "-").partition("-")
    wanted = f"{year}-{second[-2:]}" if second else year
    chosen = [each for each in found if each.label == wanted or (not second and each.label.startswith(f"{year}-"))]
    if not chosen:
        scope = look.judgement.scope
        there = ", ".join(each.label for each in found)
        raise BadInput(
            f"there is no season '{label}': between {scope.first} and {scope.last} "
            + (f"there is {there}" if there else "there is none")
        )
    return chosen


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


def _season_sheet(
    pipeline: Pipeline, look: Look, found: Sequence[Season], form: str, named: Callable[[str], str]
) -> Sheet:
    """On a terminal the issues stand below the table, where they have room."""
    phases = sorted({phase for season in found for phase in season.layers})
    with_units = pipeline.calendar is not None
    aside = form == "text"
    rows = [
        (
            season.label,
            season.dates,
            *((season.units,) if with_units else ()),
            *(season.layers.get(phase, Coverage()).pct for phase in phases),
            sum(layer.gaps for layer in season.layers.values()),
            *(() if aside else (_issues(season, named),)),
        )
        for season in found
    ]
    counts = look.judgement.counts()
    gaps = sum(counts.get(verdict, 0) for verdict in IS_A_GAP)
    told = ", ".join(f"{verdict} {n:,}" for verdict, n in counts.items())
    issues = [f"{season.label}: {_issues(season, named)}" for season in found] if aside else []
    return Sheet(
        "season",
        "Seasons",
        (
            "season",
            "dates",
            *(("games",) if with_units else ()),
            *(f"P{n} %" for n in phases),
            "gaps",
            *(() if aside else ("issues",)),
        ),
        rows,
        (*issues, f"{gaps:,} open gap{'' if gaps == 1 else 's'}; targets: {told}"),
        tuple("red" if any(layer.gaps for layer in season.layers.values()) else "" for season in found),
    )


_WAITING = tuple(verdict for verdict in Verdict if verdict.meaning.asks is Asks.UPSTREAM)
_ISSUES = tuple(
    verdict
    for verdict in Verdict
    if verdict is Verdict.ACKNOWLEDGED or (verdict.meaning.is_gap and verdict not in _WAITING)
)


def _issues(season: Season, named: Callable[[str], str]) -> str:
    told = []
    waiting = 0
    for name, counts in season.health.items():
        kinds = [f"{counts[verdict]:,} {verdict}" for verdict in _ISSUES if counts[verdict]]
        waiting += sum(counts[verdict] for verdict in _WAITING)
        if kinds:
            told.append(f"{named(name)} {', '.join(kinds)}")
    if waiting:
        told.append(f"{waiting:,} waiting for these")
    return "; ".join(told) or "clean"


def _health_sheet(pipeline: Pipeline, found: Sequence[Season], named: Callable[[str], str]) -> Sheet:
    names = list(dict.fromkeys(name for season in found for name in season.health))
    rows = [
        (pipeline.processors[name].phase, named(name), *(_health(name, season) for season in found)) for name in names
    ]
    rows = [row for row in rows if any(row[2:])]
    counted = any(season.filled for season in found)
    return Sheet(
        "health",
        "Processors",
        ("phase", "processor", *(season.label for season in found)),
        rows,
        ("a/b: a source of which nothing is expected by rule has rows on so many of so many dates",) * counted,
        tuple("red" if any("error" in str(cell) for cell in row[2:]) else "" for row in rows),
    )


_NO_ERROR = {
    **dict.fromkeys(_WAITING, "waiting"),
    **{v: str(v).replace("_", " ") for v in Verdict if v.meaning.asks is Asks.WAITING},
    Verdict.ACKNOWLEDGED: str(Verdict.ACKNOWLEDGED),
}
_ERRORS = IS_A_GAP - _NO_ERROR.keys()


def _health(name: str, season: Season) -> str | None:
    counts = season.health.get(name, Counter())
    if name in season.filled:
        given_up = counts[Verdict.ACKNOWLEDGED]
        return f"{season.filled[name]:,}/{season.dates:,}" + (f", {given_up:,} acknowledged" if given_up else "")
    errors = sum(counts[verdict] for verdict in _ERRORS)
    told = [f"{errors:,} error{'' if errors == 1 else 's'}"] if errors else []
    told += [f"{counts[verdict]:,} {word}" for verdict, word in _NO_ERROR.items() if counts[verdict]]
    if told:
        return ", ".join(told)
    if any(counts[verdict] for verdict in HAS_ITS_KEYS):
        return "clean"
    return "bootstrap" if counts[Verdict.BOOTSTRAP] else None


def _notes_sheet(pipeline: Pipeline, look: Look, found: Sequence[Season], named: Callable[[str], str]) -> Sheet:
    rows: list[tuple[str, str, int, str]] = []
    for each in in_look(pipeline, look):
        word, note = each.word, f"; {each.note}" if each.note else ""
        until = f"until {word.expires}" if word.expires else "without expiry"
        why = f"{' '.join(word.reason.split())} ({word.owner}, {until})"
        state = "a person gave them up" if each.state is State.ACTIVE else str(each.state)
        what = f"{named(word.processor)} {word.first} … {word.last}: {why}{note}"
        rows.append(("acknowledged", state, each.targets, what))
    early = {season.label: sum(counts[Verdict.BOOTSTRAP] for counts in season.health.values()) for season in found}
    if any(early.values()):
        told = ", ".join(f"{label} ({n:,})" for label, n in early.items() if n)
        rows.append(("bootstrap", "expected", sum(early.values()), f"nothing yet in the first days of {told}"))
    for season in found:
        if season.unfinished:
            what = f"{season.label}: games of past dates that the schedule does not call over"
            rows.append(("unfinished", "look at the schedule", season.unfinished, what))
    for kind, means, gaps in (
        ("phantom", "rows that nobody expects", look.judgement.phantoms),
        ("warning", "complete, but thin", look.judgement.warnings),
    ):
        if gaps:
            rows.append((kind, means, len(gaps), _listed(gaps, named)))
    return Sheet("notes", "Notes", ("kind", "meaning", "targets", "what"), rows)


def _listed(gaps: Sequence[Gap], named: Callable[[str], str]) -> str:
    told = ", ".join(f"{named(gap.target.processor)} {gap.target.day}" for gap in gaps[:_LISTED])
    return told + (f" and {len(gaps) - _LISTED:,} more" if len(gaps) > _LISTED else "")


def _season_as_json(season: Season) -> dict[str, Any]:
    return {
        "season": season.label,
        "first": season.first.isoformat(),
        "last": season.last.isoformat(),
        "dates": season.dates,
        "games": season.units,
        "unfinished": season.unfinished,
        "phases": {str(phase): coverage_as_json(layer) for phase, layer in season.layers.items()},
        "verdicts": {name: {str(v): counts[v] for v in Verdict if counts[v]} for name, counts in season.health.items()},
    }
