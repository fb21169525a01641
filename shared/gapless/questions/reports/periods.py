"""The periods of a look: dates, units of work, coverage per layer, and how every processor fared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from gapless.declare.pipeline import Pipeline
from gapless.engine import Look
from gapless.judge.verdicts import civil_today
from gapless.model import Verdict
from gapless.questions.reports.coverage import Coverage, coverage, judged, phases_of, places, typical_keys


@dataclass(frozen=True)
class Period:
    """One period, as far as it is in scope."""

    label: str  # 2021-22, or 2024 where it begins and ends in one year
    first: date
    last: date
    dates: int  # with units of work that are over
    units: int | None  # that are over; None where no calendar says
    unfinished: int  # units of past dates that the calendar does not call over
    layers: Mapping[int, Coverage]  # by phase
    health: Mapping[str, Counter[Verdict]]  # by processor
    filled: Mapping[str, int]  # of these dates, the ones with rows, for sources of which nothing is expected


def label_of(opening: date, last: date, lasts_days: int) -> str:
    """What people call a period that opened on one date and of which the other is the last known."""
    end = max(last, opening + timedelta(days=lasts_days)).year
    return str(opening.year) if end == opening.year else f"{opening.year}-{end % 100:02d}"


def periods(pipeline: Pipeline, look: Look) -> list[Period]:
    """The periods in scope, oldest first. Days before the first opening are a group if they hold anything."""
    typical = typical_keys(look)
    found = (_period(pipeline, look, group, typical) for group in _groups(look))
    return [period for period in found if period]


@dataclass(frozen=True)
class _Group:
    """The days in scope that belong to one period, as places in the look's columns."""

    opening: date | None  # None for days before the first opening
    end: date | None  # the last day that the calendar knows of it
    days: Sequence[int]


def _groups(look: Look) -> list[_Group]:
    days: dict[date | None, list[int]] = {}
    ends: dict[date | None, date] = {}
    scope = places(look)
    for place, opening, known in _openings(look):
        if known and opening:
            ends[opening] = look.judgement.first + timedelta(days=place)
        if place in scope:
            days.setdefault(opening, []).append(place)
    return [_Group(opening, ends.get(opening), members) for opening, members in days.items()]


def _openings(look: Look) -> Iterator[tuple[int, date | None, bool]]:
    """Every place with the opening of its period, and whether the calendar itself says that."""
    calendar, first = look.observation.calendar, look.judgement.first
    coming = next((day.opening for day in calendar if day and day.opening), None)
    opening: date | None = None
    for place, day in enumerate(calendar):
        known = bool(day and day.opening)
        if day and day.opening:
            opening = day.opening
        elif opening is None and coming and first + timedelta(days=place) >= coming:
            opening = coming  # the look begins within a period, on an off day
        yield place, opening, known


@dataclass(frozen=True)
class _Entry:
    """What the calendar says of a place."""

    place: int
    scheduled: int
    final: int


def _period(pipeline: Pipeline, look: Look, group: _Group, typical: Mapping[str, int]) -> Period | None:
    phases = phases_of(pipeline, look)
    names = [name for members in phases.values() for name in members]
    health = {name: _health(look, name, group.days) for name in names}
    entries = _entries(look, group.days)
    if entries:
        eventful = [entry.place for entry in entries]
        over = [entry.place for entry in entries if entry.final]
    else:  # no calendar, or nothing in it: what the tables hold and lack has to do
        eventful = over = _eventful(look, names, group.days)
    holds_anything = bool(eventful) or any(map(_has_work, health.values()))
    if group.opening is None and not holds_anything:
        return None
    begin, end = _span(look, eventful or group.days[:1])
    sources = _without_expectation(pipeline, names)
    return Period(
        label=_label(pipeline, group, begin, end),
        first=begin,
        last=end,
        dates=len(over),
        units=_units_over(entries),
        unfinished=_unfinished(entries, (civil_today(pipeline, look.at) - look.judgement.first).days),
        layers={phase: coverage(pipeline, look, members, group.days, typical) for phase, members in phases.items()},
        health=health,
        filled={name: _filled(look, name, over) for name in sources},
    )


def _without_expectation(pipeline: Pipeline, names: Sequence[str]) -> list[str]:
    return [name for name in names if not pipeline.processors[name].expect]


def _label(pipeline: Pipeline, group: _Group, begin: date, end: date) -> str:
    if group.opening is None:
        return f"{begin} to {end}"
    return label_of(group.opening, group.end or group.opening, pipeline.period_days)


def _units_over(entries: Sequence[_Entry]) -> int | None:
    return sum(entry.final for entry in entries) if entries else None


def _unfinished(entries: Sequence[_Entry], today: int) -> int:
    """The units of past dates that are not over."""
    return sum(entry.scheduled - entry.final for entry in entries if entry.place < today)


def _health(look: Look, name: str, days: Sequence[int]) -> Counter[Verdict]:
    return Counter(verdict for _, verdict, _ in judged(look, name, days))


def _entries(look: Look, days: Sequence[int]) -> list[_Entry]:
    """The days on which units of work were to take place."""
    found = []
    for place in days:
        day = look.observation.calendar[place]
        if day and day.scheduled:
            found.append(_Entry(place, day.scheduled, day.final))
    return found


def _eventful(look: Look, names: Sequence[str], days: Sequence[int]) -> list[int]:
    """The days on which some table holds or lacks something."""
    found: set[int] = set()
    for name in names:
        found.update(place for place, _, seen in judged(look, name, days) if seen.expected or seen.rows)
    return sorted(found)


def _filled(look: Look, name: str, days: Sequence[int]) -> int:
    """On how many days a table holds anything."""
    return sum(seen.rows > 0 for _, _, seen in judged(look, name, days))


def _span(look: Look, days: Sequence[int]) -> tuple[date, date]:
    """The first and the last of some days."""
    first = look.judgement.first
    return first + timedelta(days=days[0]), first + timedelta(days=days[-1])


def _has_work(counts: Counter[Verdict]) -> bool:
    return any(n and verdict is not Verdict.OFF_DAY for verdict, n in counts.items())
