"""Observe: one query sees every target in scope, what these read, the calendar and the ledger.

However many dates and processors, it is one BigQuery job over one snapshot. A query that fails raises: it is never
zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from gapless import ledger
from gapless.declare.pipeline import Pipeline
from gapless.declare.processor import Processor
from gapless.errors import CannotObserve
from gapless.model import Acknowledged, Day, History, Ledger, Observation, Scope, Seen, Target, from_micros
from gapless.warehouse.coverage import coverage
from gapless.warehouse.ports import Param, Warehouse
from gapless.warehouse.texts import render

EPOCH = date(1970, 1, 1)
_TARGET = "expected, covered, n_rows, extra, suspect, altered, duplicates, version, inputs, changed_at, source"
_MEASURED = f"{_TARGET}, preferred"
_NUMBERS = "abcdefghij"


def ancestors(pipeline: Pipeline, names: Iterable[str]) -> list[Processor]:
    """The named processors and everything that they build on, upstream first; no names means all."""
    wanted = set(names) or set(pipeline.processors)
    for processor in reversed(list(pipeline.processors.values())):
        if processor.name in wanted:
            wanted.update(processor.upstream)
    return [p for p in pipeline.processors.values() if p.name in wanted]


def statement(pipeline: Pipeline, processors: Sequence[Processor], *, whole: bool = True) -> str:
    """The observing SELECT; with `whole` it brings the ledger and the calendar too.

    Columns: kind, name, day, a to j (INT64), note, and without `whole` preferred (INT64). Parameters: @first, @last,
    @today.
    """
    parts = [ledger.state(pipeline.ledger)] if whole else []
    if whole and pipeline.calendar:
        nothing = ", ".join("CAST(NULL AS INT64)" for _ in range(6))
        parts.append(
            "SELECT 'day', '', date, scheduled, final, UNIX_DATE(opening_day), UNIX_MICROS(last_start), "
            f"{nothing}, '' FROM (\n{render(pipeline, pipeline.calendar, None)}\n)"
        )
    for p in processors:
        parts.append(
            f"SELECT 'target', '{p.name}', day, {_TARGET if whole else _MEASURED} FROM (\n"
            f"{coverage(pipeline, p, sources=not whole)}\n)"
        )
    if not whole:
        names = ", ".join(f"CAST(NULL AS INT64) AS {name}" for name in _NUMBERS)
        head = f"SELECT '' AS kind, '' AS name, CAST(NULL AS DATE) AS day, {names}, '' AS note"
        parts.insert(0, f"({head}, CAST(NULL AS INT64) AS preferred LIMIT 0)")
    return "\nUNION ALL\n".join(parts)


class SqlObserver:
    """Sees targets through a warehouse."""

    def __init__(self, warehouse: Warehouse, pipeline: Pipeline) -> None:
        self._warehouse = warehouse
        self._pipeline = pipeline

    def observe(self, scope: Scope, today: date) -> Observation:
        """Everything in scope with what it reads: `longest_lookback` days before it, and all that it builds on."""
        processors = ancestors(self._pipeline, scope.processors)
        lookback = max((e.lookback_days for p in processors for e in p.upstream.values()), default=0)
        return self._seen(processors, _before(scope.first, lookback), scope.last, today, whole=True)

    def look_again(self, targets: Sequence[Target], today: date) -> Observation:
        """Only the named targets, after a write."""
        days = [target.day for target in targets]
        processors = [self._pipeline.processor(name) for name in sorted({target.processor for target in targets})]
        return self._seen(processors, min(days), max(days), today, whole=False)

    def _seen(
        self, processors: Sequence[Processor], first: date, last: date, today: date, *, whole: bool
    ) -> Observation:
        params: Mapping[str, Param] = {"first": first, "last": last, "today": today}
        answer = self._warehouse.rows(
            statement(self._pipeline, processors, whole=whole), params, purpose="observe" if whole else "measure"
        )
        return parse(answer.rows, [p.name for p in processors], last, answer.bytes_processed, whole)


def _before(day: date, days: int) -> date:
    return day - timedelta(days=min(days, (day - date.min).days))


def parse(
    rows: Sequence[tuple[Any, ...]], processors: Sequence[str], last: date, bytes_processed: int, whole: bool
) -> Observation:
    """The observation in a result. Days before the first that holds anything are left out."""
    first = min((row[2] for row in rows if row[2] is not None and row[0] in ("target", "day")), default=last)
    length = (last - first).days + 1
    columns: dict[str, list[Seen | None]] = {name: [None] * length for name in processors}
    calendar: list[Day | None] = [None] * length
    history: dict[Target, History] = {}
    acknowledged: list[Acknowledged] = []
    head: list[tuple[Any, ...]] = []
    start = first.toordinal()
    for row in rows:
        kind = row[0]
        if kind == "target":
            columns[row[1]][row[2].toordinal() - start] = _target(row)
        elif kind == "history":
            history[Target(row[1], row[2])] = _history(row)
        elif kind == "landed":
            landed = History(0, 0, None, None, _time(row[4]), "", row[3])
            history.update((Target(row[1], EPOCH + timedelta(days=int(n))), landed) for n in row[13].split(","))
        elif kind == "day":
            opening = None if row[5] is None else EPOCH + timedelta(days=row[5])
            calendar[row[2].toordinal() - start] = Day(row[3], row[4], opening, _time(row[6]))
        elif kind == "acknowledged":
            reason, _, owner = row[13].rpartition("\n")
            expires = None if row[4] is None else EPOCH + timedelta(days=row[4])
            last_day = EPOCH + timedelta(days=row[3])
            acknowledged.append(Acknowledged(row[1], row[2], last_day, reason, owner, expires, _time(row[5])))
        elif kind == "head":
            head.append(row)
        else:
            raise CannotObserve(f"the observation returned a row of unknown kind '{kind}'")
    state = Ledger()
    if whole:
        state = Ledger(history, acknowledged, head[0][3] or 0 if head else 0, ledger.generation_of(head))
    return Observation(first, columns, calendar, state, bytes_processed)


def _target(row: tuple[Any, ...]) -> Seen:
    expected, covered, rows, extra, suspect, altered, duplicates, version, inputs, changed_at, source, *more = row[3:]
    return Seen(
        expected, covered, rows, extra, suspect, altered, duplicates, version, inputs, changed_at or 0, source, *more
    )


def _history(row: tuple[Any, ...]) -> History:
    """The history of one target; a lease counts only while the process that holds it may still be alive."""
    _, _, _, attempts, failures, inputs, last_attempt, last_complete, claim, lease, _, _, _, note = row
    is_open = lease is not None
    if is_open and ledger.owner_is_gone(note):
        lease = None
    return History(
        attempts,
        failures,
        inputs,
        _time(last_attempt),
        _time(last_complete),
        "" if is_open else note or "",
        claim,
        _time(lease),
        is_open,
    )


def _time(micros: int | None) -> datetime | None:
    return None if micros is None else from_micros(micros)
