"""The seasons of a look: dates, units of work, coverage per layer, and how every processor fared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from gapless.declare.pipeline import Pipeline
from gapless.engine import Look
from gapless.judge.verdicts import civil_today
from gapless.model import Verdict
from gapless.questions.reports.coverage import Coverage, coverage, judged, phases_of, places, typical_keys

_AT_LEAST = timedelta(days=150)  # a season that has only begun is labelled as if it lasted so long


@dataclass(frozen=True)
class Season:
    """One season, as far as it is in scope."""

    label: str  # 2021-22, or 2024 where it begins and ends in one year
    first: date
    last: date
    dates: int  # with units of work that are over
    units: int | None  # that are over; None where no calendar says
    unfinished: int  # units of past dates that the calendar does not call over
    layers: Mapping[int, Coverage]  # by phase
    health: Mapping[str, Counter[Verdict]]  # by processor
    filled: Mapping[str, int]  # of these dates, the ones with rows, for sources of which nothing is expected


def label_of(opening: date, last: date) -> str:
    """What people call a season that opened on one date and of which the other is the last known."""
    end = max(last, opening + _AT_LEAST).year
    return str(opening.year) if end == opening.year else f"{opening.year}-{end % 100:02d}"


def seasons(pipeline: Pipeline, look: Look) -> list[Season]:
    """The seasons in scope, oldest first. Days before the first opening are a group if they hold anything."""
    members: dict[date | None, list[int]] = {}
    ends: dict[date | None, date] = {}
    calendar, first = look.observation.calendar, look.judgement.first
    opening: date | None = None
    coming = next((day.opening for day in calendar if day and day.opening), None)
    scope = places(look)
    for i, day in enumerate(calendar):
        if day and day.opening:
            opening = day.opening
            ends[opening] = first + timedelta(days=i)
        elif opening is None and coming and first + timedelta(days=i) >= coming:
            opening = coming  # the look begins within a season, on an off day
        if i in scope:
            members.setdefault(opening, []).append(i)
    typical = typical_keys(look)
    found = [_season(pipeline, look, opening, days, ends.get(opening), typical) for opening, days in members.items()]
    return [season for season in found if season]


def _season(
    pipeline: Pipeline,
    look: Look,
    opening: date | None,
    days: Sequence[int],
    end: date | None,
    typical: Mapping[str, int],
) -> Season | None:
    phases = phases_of(pipeline, look)
    health = {name: Counter(v for _, v, _ in judged(look, name, days)) for names in phases.values() for name in names}
    first = look.judgement.first
    today = (civil_today(pipeline, look.at) - first).days
    entries = [(i, day) for i in days if (day := look.observation.calendar[i]) and day.scheduled]
    played = [i for i, day in entries if day.final]
    if not entries:  # no calendar, or nothing in it: what the tables hold and lack has to do
        played = sorted({i for name in health for i, _, seen in judged(look, name, days) if seen.expected or seen.rows})
    filled = {
        name: sum(seen.rows > 0 for _, _, seen in judged(look, name, played))
        for name in health
        if not pipeline.processors[name].expect
    }
    eventful = [i for i, _ in entries] or played
    if opening is None and not eventful and not any(_has_work(counts) for counts in health.values()):
        return None
    span = [first + timedelta(days=i) for i in (*eventful[:1], *eventful[-1:])] or [first + timedelta(days=days[0])]
    return Season(
        label_of(opening, end or opening) if opening else f"{span[0]} to {span[-1]}",
        span[0],
        span[-1],
        len(played),
        sum(day.final for _, day in entries) if entries else None,
        sum(day.scheduled - day.final for i, day in entries if i < today),
        {phase: coverage(pipeline, look, names, days, typical) for phase, names in phases.items()},
        health,
        filled,
    )


def _has_work(counts: Counter[Verdict]) -> bool:
    return any(n and verdict is not Verdict.OFF_DAY for verdict, n in counts.items())
