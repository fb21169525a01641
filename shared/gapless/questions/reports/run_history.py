"""What runs are said to have done: other systems' trackers, and the ledger's own outcomes. One job per read.

Nothing here is believed over a table; `shared/gapless/questions/reports` compares the two.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import NamedTuple

from gapless.declare.pipeline import Pipeline
from gapless.errors import CannotObserve
from gapless.ledger import table, view_body
from gapless.ledger.daily import reported_days
from gapless.model import Target, Upkeep, days_between, from_micros
from gapless.warehouse.names import quoted
from gapless.warehouse.ports import Param, Warehouse
from gapless.warehouse.rows import decoded
from gapless.warehouse.template import template

_RUNS = template(__file__, "runs")
_OUTCOMES = template(__file__, "outcomes")

# The words that run trackers use. A row with any other word, or with none, says that a run ended without anything.
STARTED = ("running", "started", "in_progress", "pending")
SUCCEEDED = ("success", "succeeded", "complete", "completed", "partial")
FAILED = ("failed", "failure", "error")
_EPOCH = date(1970, 1, 1)
# BigQuery lets a statement run for six hours: a run that began later may still be at work.
STILL_RUNNING = timedelta(hours=6)


class Tracker(StrEnum):
    """Who says it."""

    TRACKER = "tracker"  # another system, in `reported_runs`
    OWN = "gapless"  # the ledger's outcomes


class Word(StrEnum):
    """How the newest run of a date that ended is said to have ended."""

    SUCCESS = "success"
    PARTIAL = "partial"
    FAILED = "failed"
    NOTHING = "skipped"
    NEVER_ENDED = "never ended"


class Tracked(NamedTuple):
    """What one teller says of one processor and date: its newest run that ended, and how many there were."""

    teller: Tracker
    processor: str  # as the teller writes it
    day: date
    word: Word
    records: int | None  # None where the run did not say
    ended_at: datetime | None
    runs: int = 1
    empty: int = 0  # runs that ended without a record
    never_ended: int = 0  # began long ago, and nothing says that they ended
    running: int = 0  # began lately
    false_failures: int = 0  # called failed by a clean-up after they had succeeded

    @property
    def says_data(self) -> bool:
        """Whether it says that records were written."""
        return self.word in (Word.SUCCESS, Word.PARTIAL) and self.records != 0

    @property
    def is_running(self) -> bool:
        """Whether all that there is are runs that began lately."""
        return self.word is Word.NEVER_ENDED and not self.never_ended


@dataclass(frozen=True)
class RunHistory:
    """Everything that is said about a range of dates."""

    told: Sequence[Tracked]
    undated: int = 0  # runs of trackers that name no date: they cannot be compared


class _ToldRow(NamedTuple):
    """What one teller says of a processor and date; `listed`: of every quiet date, as day:records:runs."""

    teller: str
    processor_name: str
    day: date | None
    word: str
    records: int  # -1 where the run did not say
    ended_at: int | None
    runs: int
    empty: int
    never_ended: int
    running: int
    false_failures: int
    listed: str


def read_runs(warehouse: Warehouse, pipeline: Pipeline, first: date, last: date, now: datetime) -> RunHistory:
    """What is said of the runs for dates from first to last.

    A tracker writes a row when a run begins and another when it ends; rows of one run id, processor and date are one
    run. It ended if any of them says so, and well if any of them says that, whatever a clean-up wrote later.
    """
    params: dict[str, Param] = {
        "first": first, "last": last, "before": now - STILL_RUNNING, "began": STARTED, "good": SUCCEEDED,
        "bad": FAILED,
    }  # fmt: skip
    rows = decoded(_ToldRow, warehouse.rows(_runs_statement(pipeline.ledger), params, purpose="run_history"))
    told: list[Tracked] = []
    undated = 0
    for row in rows:
        if row.listed:
            told += _quiet(row)
        elif row.day is None:
            undated += row.runs
        else:
            told.append(_told(row, row.day))
    return RunHistory(told, undated)


def _runs_statement(ledger: str) -> str:
    return _RUNS.fill(
        reported_runs=quoted(table(ledger, "reported_runs")), outcomes=quoted(table(ledger, "backfill_date_outcomes"))
    )


def _quiet(row: _ToldRow) -> Iterator[Tracked]:
    """What a row says that stands for every quiet date of a processor."""
    for each in row.listed.split(","):
        number, records, runs = map(int, each.split(":"))
        day = _EPOCH + timedelta(days=number)
        yield Tracked(Tracker(row.teller), row.processor_name, day, Word.SUCCESS, _count(records), None, runs)


def _told(row: _ToldRow, day: date) -> Tracked:
    return Tracked(
        teller=Tracker(row.teller),
        processor=row.processor_name,
        day=day,
        word=Word(row.word),
        records=_count(row.records),
        ended_at=_time(row.ended_at),
        runs=row.runs,
        empty=row.empty,
        never_ended=row.never_ended,
        running=row.running,
        false_failures=row.false_failures,
    )


def _count(records: int) -> int | None:
    return None if records < 0 else records


# -- what happened day by day ------------------------------------------------------------------------------------------


class DayOfRuns(NamedTuple):
    """What the runs of one day came to."""

    day: date
    runs: int
    complete: int
    partial: int
    failed: int
    coverage_pct: float | None  # mean of the targets that something was expected of

    @property
    def targets(self) -> int:
        """The outcomes of the day, however they ended."""
        return self.complete + self.partial + self.failed


class Failure(NamedTuple):
    """Failures of one processor with the same words but for numbers."""

    processor: str
    category: str
    permanent: bool
    text: str  # of the newest
    times: int
    first_seen: datetime
    last_seen: datetime
    days: frozenset[date]  # the dates that it befell
    open_days: frozenset[date]  # of these, the ones without a complete outcome since


@dataclass(frozen=True)
class Outcomes:
    """The outcomes of a range of days, and the open gaps that the daily reports counted."""

    days: Sequence[DayOfRuns]
    sources: Mapping[str, Mapping[date, int]] = field(default_factory=dict)  # targets by data source and day
    failures: Sequence[Failure] = ()
    open_gaps: Mapping[date, int] = field(default_factory=dict)  # by day of the report

    @property
    def still_open(self) -> set[Target]:
        """What failed and has no complete outcome since. Whether it is there now, the tables say."""
        return {Target(failure.processor, day) for failure in self.failures for day in failure.open_days}


class _OutcomesRow(NamedTuple):
    """A `day` of runs, a `source` of a day's data, the open `gaps` of a day, or a `failure`; the rest is empty."""

    kind: str
    name: str
    day: date | None
    n: int  # runs, targets, gaps, or times
    complete: int | None
    partial: int | None
    failed: int | None
    coverage_pct: float | None
    permanent: bool | None
    text: str
    category: str
    first_seen: datetime | None
    last_seen: datetime | None
    days: str | None
    open_days: str | None


def read_outcomes(warehouse: Warehouse, pipeline: Pipeline, first: date, last: date) -> Outcomes:
    """What the ledger has of the days from first to last in the pipeline's zone."""

    def midnight(day: date) -> datetime:
        return datetime.combine(day, time(), pipeline.timezone).astimezone(UTC)

    borders = [
        {"day": day, "begins": midnight(day), "ends": midnight(day + timedelta(days=1))}
        for day in days_between(first, last)
    ]
    params: dict[str, Param] = {
        "first": first, "last": last, "since": midnight(first), "days": borders,
        "until": midnight(last + timedelta(days=1)), "upkeep": [work.value for work in Upkeep],
    }  # fmt: skip
    answer = warehouse.rows(_outcomes_statement(pipeline.ledger), params, purpose="history")
    days: list[DayOfRuns] = []
    sources: dict[str, dict[date, int]] = {}
    failures: list[Failure] = []
    open_gaps: dict[date, int] = {}
    for row in decoded(_OutcomesRow, answer):
        if row.kind == "failure":
            failures.append(_failure(row))
        elif row.day is None:
            continue
        elif row.kind == "day":
            counts = (row.n, row.complete or 0, row.partial or 0, row.failed or 0)
            days.append(DayOfRuns(row.day, *counts, row.coverage_pct))
        elif row.kind == "source":
            sources.setdefault(row.name, {})[row.day] = row.n
        else:
            open_gaps[row.day] = row.n
    return Outcomes(days, sources, failures, open_gaps)


def _failure(row: _OutcomesRow) -> Failure:
    if row.first_seen is None or row.last_seen is None:
        raise CannotObserve(f"a failure of {row.name} has no time")
    return Failure(
        processor=row.name,
        category=row.category,
        permanent=bool(row.permanent),
        text=row.text,
        times=row.n,
        first_seen=row.first_seen,
        last_seen=row.last_seen,
        days=_days(row.days),
        open_days=_days(row.open_days),
    )


def _outcomes_statement(ledger: str) -> str:
    return _OUTCOMES.fill(
        outcomes=quoted(table(ledger, "backfill_date_outcomes")),
        gap_history=quoted(table(ledger, "gap_history")),
        reported_days=reported_days(ledger),
        failures=view_body(ledger, "precompute_failures"),
    )


def _days(listed: str | None) -> frozenset[date]:
    return frozenset(_EPOCH + timedelta(days=int(number)) for number in (listed or "").split(",") if number)


def _time(micros: int | None) -> datetime | None:
    return None if micros is None else from_micros(micros)
