"""Observe: one query sees every target in scope, what these read, the calendar and the ledger.

However many dates and processors, it is one BigQuery job over one snapshot. A query that fails raises: it is never
zero.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from itertools import chain
from typing import Any, NamedTuple

from gapless import ledger
from gapless.declare.pipeline import Pipeline
from gapless.declare.processor import Processor
from gapless.errors import CannotObserve
from gapless.ledger.balance import ACKNOWLEDGED, HEAD, HISTORY, LANDED, AcknowledgedRow, HistoryRow, LandedRow
from gapless.model import Acknowledged, Day, History, Ledger, Observation, Scope, Seen, Target, from_micros
from gapless.warehouse.coverage import coverage
from gapless.warehouse.ports import Param, Warehouse
from gapless.warehouse.rows import Kind, day_of, decoded, kind_of, shared
from gapless.warehouse.template import Template
from gapless.warehouse.texts import render

EPOCH = date(1970, 1, 1)


class DayRow(NamedTuple):
    """What the calendar says of one date; the opening day in days and the time in microseconds since 1970."""

    day: date
    scheduled: int
    final: int
    opening_day: int | None
    last_start: int | None


class TargetRow(NamedTuple):
    """What is there of one target: the columns of `coverage`."""

    name: str
    day: date
    expected: int
    covered: int
    n_rows: int
    extra: int
    suspect: int
    altered: int
    duplicates: int
    version: int
    inputs: int | None
    changed_at: int
    source: str


class MeasuredRow(NamedTuple):
    """The same after a write, with what there is to choose from."""

    name: str
    day: date
    expected: int
    covered: int
    n_rows: int
    extra: int
    suspect: int
    altered: int
    duplicates: int
    version: int
    inputs: int | None
    changed_at: int
    source: str
    preferred: int | None


DAY = Kind("day", DayRow)
TARGET = Kind("target", TargetRow, text="source")
_CHANGED_AT = "IFNULL(changed_at, 0)"
# There can be hundreds of thousands of targets: their values are taken out of a row at once, in the order of `Seen`.
_which = TARGET.getter("name", "day")
_counts = TARGET.getter(
    "expected", "covered", "n_rows", "extra", "suspect", "altered", "duplicates", "version", "inputs", "changed_at",
    "source",
)  # fmt: skip
_KINDS = frozenset(kind.kind for kind in (HISTORY, LANDED, ACKNOWLEDGED, HEAD, DAY, TARGET))
_CALENDAR = Template("""
SELECT date AS day, scheduled, final, UNIX_DATE(opening_day) AS opening_day, UNIX_MICROS(last_start) AS last_start
FROM (
{calendar}
)
""")


def ancestors(pipeline: Pipeline, names: Iterable[str]) -> list[Processor]:
    """The named processors and everything that they build on, upstream first; no names means all."""
    wanted = set(names) or set(pipeline.processors)
    for processor in reversed(list(pipeline.processors.values())):
        if processor.name in wanted:
            wanted.update(processor.upstream)
    return [p for p in pipeline.processors.values() if p.name in wanted]


def statement(pipeline: Pipeline, processors: Sequence[Processor]) -> str:
    """The observing SELECT: the ledger, the calendar and every target, in the shared columns.

    Parameters: @first, @last, @today.
    """
    parts = [ledger.state(pipeline.ledger)]
    if pipeline.calendar:
        parts.append(DAY.select(_CALENDAR.fill(calendar=render(pipeline, pipeline.calendar, None))))
    for p in processors:
        parts.append(TARGET.select(coverage(pipeline, p), name=f"'{p.name}'", changed_at=_CHANGED_AT))
    return "\nUNION ALL\n".join(parts)


def measuring_statement(pipeline: Pipeline, processors: Sequence[Processor]) -> str:
    """The SELECT of the targets alone, as `MeasuredRow`. Parameters: @first, @last, @today."""
    listed = ", ".join(MeasuredRow._fields[1:]).replace("changed_at", f"{_CHANGED_AT} AS changed_at")
    return "\nUNION ALL\n".join(
        f"SELECT '{p.name}' AS name, {listed} FROM (\n{coverage(pipeline, p, sources=True)}\n)" for p in processors
    )


class SqlObserver:
    """Sees targets through a warehouse."""

    def __init__(self, warehouse: Warehouse, pipeline: Pipeline) -> None:
        self._warehouse = warehouse
        self._pipeline = pipeline

    def observe(self, scope: Scope, today: date) -> Observation:
        """Everything in scope with what it reads: `longest_lookback` days before it, and all that it builds on."""
        processors = ancestors(self._pipeline, scope.processors)
        lookback = max((e.lookback_days for p in processors for e in p.upstream.values()), default=0)
        params = _params(_before(scope.first, lookback), scope.last, today)
        answer = self._warehouse.rows(statement(self._pipeline, processors), params, purpose="observe")
        return parse(shared(answer), [p.name for p in processors], scope.last, answer.bytes_processed)

    def look_again(self, targets: Sequence[Target], today: date) -> Observation:
        """Only the named targets, after a write."""
        days = [target.day for target in targets]
        processors = [self._pipeline.processor(name) for name in sorted({target.processor for target in targets})]
        params = _params(min(days), max(days), today)
        answer = self._warehouse.rows(measuring_statement(self._pipeline, processors), params, purpose="measure")
        rows = decoded(MeasuredRow, answer)
        return measured(rows, [p.name for p in processors], max(days), answer.bytes_processed)


def _params(first: date, last: date, today: date) -> Mapping[str, Param]:
    return {"first": first, "last": last, "today": today}


def _before(day: date, days: int) -> date:
    return day - timedelta(days=min(days, (day - date.min).days))


def parse(rows: Sequence[tuple[Any, ...]], processors: Sequence[str], last: date, bytes_processed: int) -> Observation:
    """The observation in shared rows. Days before the first that holds anything are left out."""
    by_kind = _by_kind(rows)
    targets, days = by_kind[TARGET.kind], by_kind[DAY.kind]
    first = min(map(day_of, chain(targets, days)), default=last)
    columns = _columns(processors, first, last)
    start = first.toordinal()
    for row in targets:
        name, day = _which(row)
        columns[name][day.toordinal() - start] = Seen(*_counts(row))
    calendar: list[Day | None] = [None] * ((last - first).days + 1)
    for row in days:
        told = DAY.decode(row)
        known = Day(told.scheduled, told.final, _date(told.opening_day), _time(told.last_start))
        calendar[told.day.toordinal() - start] = known
    return Observation(first, columns, calendar, _ledger(by_kind), bytes_processed)


def measured(
    rows: Sequence[MeasuredRow], processors: Sequence[str], last: date, bytes_processed: int = 0
) -> Observation:
    """The observation of targets alone."""
    first = min((row.day for row in rows), default=last)
    columns = _columns(processors, first, last)
    for row in rows:
        columns[row.name][(row.day - first).days] = _measured(row)
    return Observation(first, columns, [None] * ((last - first).days + 1), Ledger(), bytes_processed)


def _by_kind(rows: Sequence[tuple[Any, ...]]) -> Mapping[str, list[tuple[Any, ...]]]:
    found: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
    for row in rows:
        found[kind_of(row)].append(row)
    for kind in found:
        if kind not in _KINDS:
            raise CannotObserve(f"the observation returned a row of unknown kind '{kind}'")
    return found


def _columns(processors: Sequence[str], first: date, last: date) -> dict[str, list[Seen | None]]:
    return {name: [None] * ((last - first).days + 1) for name in processors}


def _measured(row: MeasuredRow) -> Seen:
    return Seen(
        expected=row.expected,
        covered=row.covered,
        rows=row.n_rows,
        extra=row.extra,
        suspect=row.suspect,
        altered=row.altered,
        duplicates=row.duplicates,
        version=row.version,
        inputs=row.inputs,
        changed_at=row.changed_at,
        source=row.source,
        preferred=row.preferred,
    )


def _ledger(by_kind: Mapping[str, Sequence[tuple[Any, ...]]]) -> Ledger:
    history: dict[Target, History] = {}
    for told in map(HISTORY.decode, by_kind[HISTORY.kind]):
        history[Target(told.name, told.day)] = _history(told)
    for landed in map(LANDED.decode, by_kind[LANDED.kind]):
        history.update(_landed(landed))
    acknowledged = [_acknowledged(ACKNOWLEDGED.decode(row)) for row in by_kind[ACKNOWLEDGED.kind]]
    heads = [HEAD.decode(row) for row in by_kind[HEAD.kind]]
    generation = ledger.generation_of(heads[0].generation if heads else None)
    return Ledger(history, acknowledged, heads[0].newest_claim or 0, generation)


def _history(row: HistoryRow) -> History:
    """The history of one target; a lease counts only while the process that holds it may still be alive."""
    is_open = row.lease_until is not None
    holds = is_open and not ledger.owner_is_gone(row.note)
    return History(
        attempts=row.attempts,
        failures=row.failures,
        inputs=row.inputs_hash,
        last_attempt=_time(row.last_attempt),
        last_complete=_time(row.last_complete),
        last_error="" if is_open else row.note or "",
        claim=row.claim_number,
        lease_until=_time(row.lease_until) if holds else None,
        is_open=is_open,
    )


def _landed(row: LandedRow) -> dict[Target, History]:
    """One history for all the dates of a processor and claim."""
    history = History(last_complete=_time(row.last_complete), claim=row.claim_number)
    return {Target(row.name, EPOCH + timedelta(days=int(number))): history for number in row.days.split(",")}


def _acknowledged(row: AcknowledgedRow) -> Acknowledged:
    reason, _, owner = row.reason_and_owner.rpartition("\n")
    last, since = EPOCH + timedelta(days=row.last_date), from_micros(row.acknowledged_at)
    return Acknowledged(row.name, row.day, last, reason, owner, _date(row.expires_on), since)


def _date(days: int | None) -> date | None:
    return None if days is None else EPOCH + timedelta(days=days)


def _time(micros: int | None) -> datetime | None:
    return None if micros is None else from_micros(micros)
