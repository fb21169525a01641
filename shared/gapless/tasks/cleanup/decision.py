"""Which dates of a table may be removed: limits, clocks, readers, open claims. Nothing is read or written here."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import NamedTuple

from gapless.declare.pipeline import Pipeline
from gapless.declare.processor import Processor
from gapless.judge.verdicts import civil_today
from gapless.warehouse.ports import MOST_DATES


@dataclass(frozen=True)
class CleanupRules:
    """What a clean-up may remove."""

    keep_days: int = 7
    most_share_pct: float = 50.0  # refused above this share of a table …
    share_least: int = 1000  # … if it is at least so many rows
    all_history: bool = False  # the one-time clean-up: that share is what was asked for


class TableState(NamedTuple):
    """What a table held at one moment."""

    rows: int
    oldest: date | None
    newest: date | None

    def __str__(self) -> str:
        return f"{self.rows:,} rows" + (f" ({self.oldest} to {self.newest})" if self.rows else "")


@dataclass(frozen=True)
class RowCounts:
    """The rows of a table per date, and what the warehouse calls today."""

    days: Mapping[date, int]
    today: date | None = None

    @property
    def report(self) -> TableState:
        return TableState(sum(self.days.values()), min(self.days, default=None), max(self.days, default=None))

    def before(self, cutoff: date) -> dict[date, int]:
        return {day: n for day, n in sorted(self.days.items()) if day < cutoff}


class Lease(NamedTuple):
    """A claim on a date that may still be worked on."""

    day: date
    reason: str
    until: datetime


@dataclass(frozen=True)
class Decision:
    """The dates that may go, or why none may."""

    cutoff: date  # rows of dates before it are old
    days: Mapping[date, int] = field(default_factory=dict)
    refusal: str = ""

    @property
    def rows(self) -> int:
        return sum(self.days.values())


def decide(
    pipeline: Pipeline,
    processor: Processor,
    counts: RowCounts,
    leases: Sequence[Lease],
    rules: CleanupRules,
    now: datetime,
) -> Decision:
    """Which dates of a table are removed: those before the civil date `keep_days` ago, or none with a reason."""
    cutoff = civil_today(pipeline, now) - timedelta(days=rules.keep_days)
    old = counts.before(cutoff)
    return Decision(cutoff, old, _refusal(pipeline, processor, counts, leases, rules, cutoff, old))


def _refusal(
    pipeline: Pipeline,
    processor: Processor,
    counts: RowCounts,
    leases: Sequence[Lease],
    rules: CleanupRules,
    cutoff: date,
    old: Mapping[date, int],
) -> str:
    table, rows, whole = processor.table, sum(old.values()), counts.report.rows
    if rules.keep_days < 1:
        return (
            f"{table}: with {rules.keep_days} days kept, {pipeline.words.units} that are not over yet would go; "
            "keep 1 day at least"
        )
    reader = reader_of_the_past(pipeline, processor, rules.keep_days)
    if reader:
        return f"{table}: {reader}; what is read must stay"
    if not old:
        return ""
    if counts.today and cutoff > counts.today:
        return (
            f"{table}: rows before {cutoff} would go, and for the warehouse it is {counts.today} only; "
            "look at the clock, or at --now"
        )
    busy = under_repair(table, old, leases)
    if busy:
        return busy
    if len(old) > MOST_DATES:
        return (
            f"{table}: {len(old):,} dates, {MOST_DATES:,} at most at a time; "
            "begin with the oldest by a larger --older-than"
        )
    if not rules.all_history and rows >= rules.share_least and 100 * rows > rules.most_share_pct * whole:
        return (
            f"{table}: {rows:,} of {whole:,} rows ({100 * rows / whole:.1f} %) are older than {cutoff}, "
            f"{rules.most_share_pct:g} % at most go unasked; if that is what should happen, lift the limit with "
            "--all-history"
        )
    return ""


def under_repair(table: str, days: Collection[date], leases: Sequence[Lease]) -> str:
    """Which of these dates a run is working on, as a reason to leave all of them; empty if none is."""
    open_on = [lease for lease in leases if lease.day in days]
    if not open_on:
        return ""
    first = open_on[0]
    return (
        f"{table}: {first.day} is being worked on ({first.reason or 'claimed'}, until "
        f"{first.until:%Y-%m-%d %H:%M} UTC at the latest), {len(open_on)} of {len(days)} dates in all; "
        "try again afterwards"
    )


def reader_of_the_past(pipeline: Pipeline, processor: Processor, keep_days: int) -> str:
    """Who reads rows of the table that a clean-up would remove, as a half sentence; empty if nobody does."""
    for reader in pipeline.processors.values():
        edge = reader.upstream.get(processor.name)
        if not edge:
            continue
        of_the_past = reader.applies(True) and (edge.reads_own_day(True) or edge.lookback_days > 0)
        if of_the_past or edge.lookback_days > keep_days:
            return f"{reader.name} reads its past rows ({edge.lookback_days} days back)"
    return ""
