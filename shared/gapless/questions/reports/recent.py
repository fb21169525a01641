"""The latest days, one by one: units of work, coverage per layer and per processor, and how far each has come."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from itertools import chain
from typing import NamedTuple

from gapless.declare.pipeline import Pipeline
from gapless.engine import Look
from gapless.model import IS_A_GAP, Seen, Verdict, days_between
from gapless.questions.reports.coverage import Coverage, coverage, judged, phases_of, typical_keys


class RecentDay(NamedTuple):
    """One date."""

    day: date
    scheduled: int | None  # units of work; None where the pipeline declares no calendar
    final: int | None
    layers: Mapping[int, Coverage]
    targets: Mapping[str, tuple[Verdict, Seen]]
    gaps: int
    status: str  # complete, in progress, off day, or so many gaps


def recent(pipeline: Pipeline, look: Look) -> list[RecentDay]:
    """Every date in scope, the oldest first."""
    phases, typical = phases_of(pipeline, look), typical_keys(look)
    found = []
    for day in days_between(look.judgement.scope.first, look.judgement.scope.last):
        i = (day - look.judgement.first).days
        place = (i,) if i >= 0 else ()  # a look begins with the first date that anything is known of
        targets = _targets(look, chain.from_iterable(phases.values()), place)
        gaps = sum(verdict in IS_A_GAP for verdict, _ in targets.values())
        entry = look.observation.day(day)
        scheduled, final = (entry.scheduled, entry.final) if entry else (0, 0)
        layers = {phase: coverage(pipeline, look, names, place, typical) for phase, names in phases.items()}
        found.append(
            RecentDay(
                day=day,
                scheduled=scheduled if pipeline.calendar else None,
                final=final if pipeline.calendar else None,
                layers=layers,
                targets=targets,
                gaps=gaps,
                status=_status(targets, gaps, scheduled),
            )
        )
    return found


def _targets(look: Look, names: Iterable[str], place: Sequence[int]) -> dict[str, tuple[Verdict, Seen]]:
    found = {}
    for name in names:
        for _, verdict, seen in judged(look, name, place):
            found[name] = (verdict, seen)
    return found


def last_eventful(look: Look) -> date | None:
    """The last date in the look, in scope or before it, with units of work that are over."""
    calendar = look.observation.calendar
    eventful = (i for i in range(len(calendar) - 1, -1, -1) if (day := calendar[i]) and day.final)
    place = next(eventful, None)
    return None if place is None else look.judgement.first + timedelta(days=place)


def _status(targets: Mapping[str, tuple[Verdict, Seen]], gaps: int, scheduled: int) -> str:
    if gaps:
        return f"{gaps} gap{'' if gaps == 1 else 's'}"
    verdicts = {verdict for verdict, _ in targets.values()}
    if Verdict.NOT_DUE in verdicts:
        return "in progress"
    if scheduled or verdicts - {Verdict.OFF_DAY}:
        return "complete"
    return "off day"
