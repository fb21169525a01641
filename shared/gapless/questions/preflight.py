"""Preflight: whether a range of dates is ready to be backfilled, from one query and the look that the plan rests on.

The incident behind it: a table about the days to come still held rows of a past date, for 1 of 187 keys, and a run
read them. Historical dates do not read such tables here, so what preflight finds does no harm by itself; it is stale
all the same, and somebody else may read it. Pure; the caller runs the `statement`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import NamedTuple

from gapless.declare.pipeline import Pipeline
from gapless.declare.processor import Processor
from gapless.engine import Look
from gapless.model import IS_A_GAP, Target, Verdict, days_between
from gapless.verdict import Asks
from gapless.warehouse.expectation import expected_keys
from gapless.warehouse.names import listed, quoted, same
from gapless.warehouse.template import template

_STATEMENT = template(__file__, "preflight")
_UNREADY = frozenset(gap for gap in IS_A_GAP if gap.meaning.asks is not Asks.WAITING)


class Sources(NamedTuple):
    """Two tables about the same keys: one about the days to come, one about what took place."""

    upcoming: Processor
    historical: Processor


class Readiness(StrEnum):
    """How a date stands before a backfill."""

    GOOD = "good"
    PARTIAL = "partial"  # the table about the days to come holds some of the date's keys, and too few
    STALE = "stale"  # it holds rows of a past date on which nothing took place
    NO_RAW_DATA = "no_raw_data"  # units of work took place, and a source lacks them
    WAITS = "waits"  # what it reads is not complete, and not run by this backfill
    BOOTSTRAP = "bootstrap"
    OFF_DAY = "off_day"
    TO_COME = "to_come"  # today or later


class Checked(NamedTuple):
    """One date with the counts that its standing rests on."""

    day: date
    standing: Readiness
    upcoming: str = ""  # the table about the days to come, where there is one
    historical: str = ""  # the table about what took place
    expected: int = 0  # keys that took place, as far as the raw data tells
    in_upcoming: int = 0  # of these, the ones that the table about the days to come holds
    rows_upcoming: int = 0
    in_historical: int = 0
    detail: str = ""

    @property
    def coverage_pct(self) -> float:
        """Share of the date's keys that the table about the days to come holds, in percent."""
        return 100.0 * self.in_upcoming / self.expected if self.expected else 100.0


@dataclass(frozen=True)
class Preflight:
    """Every date of the range, in order."""

    dates: tuple[Checked, ...]

    def of(self, *standings: Readiness) -> tuple[Checked, ...]:
        return tuple(each for each in self.dates if each.standing in standings)

    @property
    def blocks(self) -> tuple[Checked, ...]:
        """The dates for which a backfill is refused unless it is forced."""
        return self.of(Readiness.PARTIAL)


def sources(pipeline: Pipeline) -> tuple[Sources, ...]:
    """The pairs of tables of which a processor reads one for dates to come, and expects the other's keys before."""
    found: dict[tuple[str, str], Sources] = {}
    for p in pipeline.processors.values():
        past = p.expect.historical.keys_of if p.expect and p.expect.historical else None
        if not past:
            continue
        historical = pipeline.processor(past)
        for name, edge in p.upstream.items():
            upcoming = pipeline.processors[name]
            about_the_same = set(upcoming.key) == set(historical.key) and historical.expect is not None
            if edge.own_day == "upcoming" and upcoming.applies_to == "upcoming" and about_the_same:
                found[name, past] = Sources(upcoming, historical)
    return tuple(found.values())


class CountedRow(NamedTuple):
    """What one date of a pair has: keys that are expected, those of them in the upcoming table, and its rows."""

    name: str
    day: date
    expected: int
    in_upcoming: int
    rows_upcoming: int


def statement(pipeline: Pipeline, pairs: Sequence[Sources]) -> str:
    """The counts of every pair and date in one SELECT, as `CountedRow`.

    By key intersection, as everywhere: 187 rows of the wrong keys cover nothing. Reads @first, @last, @today.
    """
    parts = [
        _STATEMENT.fill(
            name=up.name,
            day=up.date_column,
            table=quoted(up.table),
            keys=listed(past.key),
            expected=expected_keys(pipeline, past) or "",
            same_key=same(("day", *past.key), "w", "u"),
        )
        for up, past in pairs
    ]
    return "\nUNION ALL\n".join(parts)


def check(
    pipeline: Pipeline, look: Look, pairs: Sequence[Sources], rows: Iterable[CountedRow], today: date
) -> Preflight:
    """What the counts and the look say of every date in the look's scope."""
    counted = {(row.name, row.day): row for row in rows}
    scope = look.judgement.scope
    checked = []
    for day in days_between(scope.first, scope.last):
        for pair in pairs or (None,):
            name = pair.upcoming.name if pair else ""
            nothing = CountedRow(name, day, expected=0, in_upcoming=0, rows_upcoming=0)
            checked.append(_checked(pipeline, look, pair, counted.get((name, day), nothing), today))
    return Preflight(tuple(checked))


def _checked(pipeline: Pipeline, look: Look, pair: Sources | None, counted: CountedRow, today: date) -> Checked:
    day, expected, in_upcoming, rows = counted.day, counted.expected, counted.in_upcoming, counted.rows_upcoming
    seen = look.observation.seen(Target(pair.historical.name, day)) if pair else None
    names = (pair.upcoming.name, pair.historical.name) if pair else ("", "")
    facts = (*names, expected, in_upcoming, rows, seen.covered if seen else 0)
    if day >= today:
        return Checked(day, Readiness.TO_COME, *facts, "today or later")
    lacking = _lacking(pipeline, look, day)
    if lacking:
        return Checked(day, Readiness.NO_RAW_DATA, *facts, lacking)
    if pair and rows and not expected:
        return Checked(day, Readiness.STALE, *facts, f"{rows} rows of {names[0]} on a day without any")
    if pair and rows and not pair.historical.has_enough(in_upcoming, expected):
        missing = expected - in_upcoming
        share = f"{in_upcoming} of {expected} = {100 * in_upcoming / expected:.1f} %, missing {missing}"
        return Checked(day, Readiness.PARTIAL, *facts, f"{names[0]} has partial data ({share})")
    waits_for = _waits_for(pipeline, look, day)
    if waits_for:
        return Checked(day, Readiness.WAITS, *facts, f"waits for {waits_for}, which this backfill does not run")
    if not _took_place(look, day):
        return Checked(day, Readiness.OFF_DAY, *facts, "off day")
    verdicts = _verdicts(look.judgement.verdicts, look, day)
    if Verdict.BOOTSTRAP in verdicts:
        return Checked(day, Readiness.BOOTSTRAP, *facts, f"first days of {pipeline.words.a_period}")
    return Checked(day, Readiness.GOOD, *facts)


def _lacking(pipeline: Pipeline, look: Look, day: date) -> str:
    """Which source lacks the date, with its counts; empty where none does."""
    for p in pipeline.processors.values():
        if p.run != "none" or p.optional or p.name not in look.judgement.verdicts:
            continue
        target = Target(p.name, day)
        if look.judgement.verdict(target) in _UNREADY:
            seen = look.observation.seen(target)
            have, want = (seen.covered, seen.expected) if seen else (0, 0)
            return f"{p.name} has {have} of {want} expected keys"
    return ""


def _waits_for(pipeline: Pipeline, look: Look, day: date) -> Target | None:
    """What of the day itself is read, is not complete and is not in the backfill's scope."""
    wanted = look.judgement.scope.processors
    for p in pipeline.processors.values():
        target = Target(p.name, day)
        outside = p.run != "none" and bool(wanted) and p.name not in wanted
        if outside and look.judgement.verdict(target) in _UNREADY:
            return target
    return None


def _took_place(look: Look, day: date) -> bool:
    known = look.observation.day(day)
    if known and known.scheduled:
        return True
    return any(v is not Verdict.OFF_DAY for v in _verdicts(look.judgement.verdicts, look, day))


def _verdicts(columns: Mapping[str, Sequence[Verdict | None]], look: Look, day: date) -> set[Verdict]:
    index = (day - look.judgement.first).days
    return {v for column in columns.values() if 0 <= index < len(column) and (v := column[index]) is not None}
