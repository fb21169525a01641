"""How far every table has come: the latest date that it holds against the latest that it should hold."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from gapless.declare.pipeline import Pipeline
from gapless.declare.processor import Processor
from gapless.engine import Look
from gapless.judge.verdicts import civil_today
from gapless.model import IS_A_GAP, Seen, Verdict, from_micros
from gapless.questions.reports.coverage import has_data, judged, phases_of, places


class Standing(StrEnum):
    """How a table stands."""

    CURRENT = "current"
    NORMAL_LAG = "normal lag"
    BEHIND = "BEHIND"
    NO_RULE = "nothing due"  # or no rule says what it should hold


class Freshness(NamedTuple):
    """One table."""

    processor: str
    table: str
    phase: int
    latest: date | None  # with any row
    complete: date | None  # with enough of what is expected
    expected: date | None
    behind: int  # days from the latest complete date to the latest expected one
    lag: int  # days that are normal
    written: datetime | None  # when its newest row was published
    standing: Standing


def freshness(pipeline: Pipeline, look: Look) -> list[Freshness]:
    """Every table in scope, upstream first."""
    names = [name for names in phases_of(pipeline, look).values() for name in names]
    return [_of_table(pipeline, look, pipeline.processors[name]) for name in names]


def _of_table(pipeline: Pipeline, look: Look, p: Processor) -> Freshness:
    """A date is expected when it is a gap, or holds what was expected of it."""
    first, today = look.judgement.first, civil_today(pipeline, look.at)
    column = look.observation.columns[p.name]
    filled = [i for i in places(look) if (seen := column[i]) and seen.rows]
    complete: list[int] = []
    lacking: list[int] = []
    for i, verdict, seen in judged(look, p.name, places(look)):
        if verdict in IS_A_GAP and not (seen.expected and has_data(p, seen)):
            lacking.append(i)
        elif _was_due(p, verdict, seen):
            complete.append(i)
    latest = complete[-1] if complete else None
    missing = [i for i in lacking if latest is None or i > latest]
    standing = Standing.CURRENT
    if not p.expect or not (complete or lacking):
        standing = Standing.NO_RULE
    elif missing:
        # Only what is older than the normal lag is late, however long the pause before it was.
        late = (today - (first + timedelta(days=missing[0]))).days > p.lag_days
        standing = Standing.BEHIND if late else Standing.NORMAL_LAG
    expected = max((*missing, *complete[-1:]), default=None) if p.expect else None

    def day(place: int | None) -> date | None:
        return None if place is None else first + timedelta(days=place)

    # a table that never held anything is behind since before the first date that it lacks
    start = latest if latest is not None else missing[0] - 1 if missing else 0
    return Freshness(
        p.name,
        p.table,
        p.phase,
        day(filled[-1]) if filled else None,
        day(latest),
        day(expected),
        expected - start if missing and expected is not None else 0,
        p.lag_days,
        _newest(seen for seen in column if seen),
        standing,
    )


def _was_due(p: Processor, verdict: Verdict, seen: Seen) -> bool:
    """Whether a settled date holds what was expected of it; what a person gave up is not there."""
    if verdict is Verdict.ACKNOWLEDGED or not has_data(p, seen):
        return False
    return bool(seen.expected) and verdict.meaning.counts


def _newest(column: Iterable[Seen]) -> datetime | None:
    newest = max((seen.changed_at for seen in column), default=0)
    return from_micros(newest) if newest else None
