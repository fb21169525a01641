"""How far every table has come: the latest date that it holds against the latest that it should hold."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from gapless.declare.pipeline import Pipeline
from gapless.declare.processor import Processor
from gapless.engine import Look
from gapless.judge.verdicts import civil_today
from gapless.model import IS_A_GAP, Seen, Verdict, from_micros
from gapless.questions.reports.coverage import has_data, judged, phases_of, places


class TableStanding(StrEnum):
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
    standing: TableStanding


def freshness(pipeline: Pipeline, look: Look) -> list[Freshness]:
    """Every table in scope, upstream first."""
    names = [name for names in phases_of(pipeline, look).values() for name in names]
    return [_of_table(pipeline, look, pipeline.processors[name]) for name in names]


@dataclass(frozen=True)
class _Progress:
    """How far a table has come, in places of the look's columns."""

    complete: Sequence[int]  # dates that hold what was expected of them
    lacking: Sequence[int]  # gaps

    @property
    def latest(self) -> int | None:
        return self.complete[-1] if self.complete else None

    @property
    def missing(self) -> Sequence[int]:
        """The gaps after the latest complete date."""
        latest = self.latest
        return [place for place in self.lacking if latest is None or place > latest]

    @property
    def expected(self) -> int | None:
        """The latest date that should be there."""
        return max((*self.missing, *self.complete[-1:]), default=None)

    @property
    def behind(self) -> int:
        """Days from the latest complete date to the latest expected one.

        A table that never held anything is behind since before the first date that it lacks.
        """
        if self.expected is None or not self.missing:
            return 0
        start = self.missing[0] - 1 if self.latest is None else self.latest
        return self.expected - start


def _of_table(pipeline: Pipeline, look: Look, p: Processor) -> Freshness:
    """A date is expected when it is a gap, or holds what was expected of it."""
    first = look.judgement.first
    column = look.observation.columns[p.name]
    filled = [place for place in places(look) if _has_rows(column[place])]
    progress = _progress(look, p)

    def day(place: int | None) -> date | None:
        return None if place is None else first + timedelta(days=place)

    return Freshness(
        processor=p.name,
        table=p.table,
        phase=p.phase,
        latest=day(filled[-1] if filled else None),
        complete=day(progress.latest),
        expected=day(progress.expected) if p.expect else None,
        behind=progress.behind if p.expect else 0,
        lag=p.lag_days,
        written=_newest(seen for seen in column if seen),
        standing=_standing(p, progress, first, civil_today(pipeline, look.at)),
    )


def _progress(look: Look, p: Processor) -> _Progress:
    complete: list[int] = []
    lacking: list[int] = []
    for place, verdict, seen in judged(look, p.name, places(look)):
        holds_it = seen.expected > 0 and has_data(p, seen)
        if verdict in IS_A_GAP and not holds_it:
            lacking.append(place)
        elif _was_due(p, verdict, seen):
            complete.append(place)
    return _Progress(complete, lacking)


def _standing(p: Processor, progress: _Progress, first: date, today: date) -> TableStanding:
    if not p.expect or not (progress.complete or progress.lacking):
        return TableStanding.NO_RULE
    if not progress.missing:
        return TableStanding.CURRENT
    # Only what is older than the normal lag is late, however long the pause before it was.
    waited = today - (first + timedelta(days=progress.missing[0]))
    return TableStanding.BEHIND if waited.days > p.lag_days else TableStanding.NORMAL_LAG


def _has_rows(seen: Seen | None) -> bool:
    return seen is not None and seen.rows > 0


def _was_due(p: Processor, verdict: Verdict, seen: Seen) -> bool:
    """Whether a settled date holds what was expected of it; what a person gave up is not there."""
    if verdict is Verdict.ACKNOWLEDGED or not has_data(p, seen):
        return False
    return bool(seen.expected) and verdict.meaning.counts


def _newest(column: Iterable[Seen]) -> datetime | None:
    newest = max((seen.changed_at for seen in column), default=0)
    return from_micros(newest) if newest else None
