"""The words of Gapless as frozen values: target, observation, verdict, gap, plan, claim, outcome.

Nothing here reads a clock, a table or the environment.
"""

from __future__ import annotations

import gc
import hashlib
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from gapless.verdict import ASKS_FOR_A_RUN as ASKS_FOR_A_RUN
from gapless.verdict import IS_A_GAP as IS_A_GAP
from gapless.verdict import SETTLED as SETTLED
from gapless.verdict import Verdict as Verdict


class Target(NamedTuple):
    """One processor on one date: the unit of everything."""

    processor: str
    day: date

    def __str__(self) -> str:
        return f"{self.processor} {self.day}"


def gap_id(target: Target) -> str:
    """The stable id of a target's gap: the same in every scan, on every machine."""
    return hashlib.sha256(f"{target.processor}/{target.day.isoformat()}".encode()).hexdigest()[:12]


class Seen(NamedTuple):
    """What one query saw of one target. Counts are rows or keys; times are microseconds since 1970, UTC."""

    expected: int  # keys that should be there
    covered: int  # of these, the ones that are there
    rows: int = 0
    extra: int = 0  # keys that are there and should not be
    suspect: int = 0  # rows that the processor's own predicate calls wrong
    altered: int = 0  # published rows whose content is not what was published, or that somebody else wrote
    duplicates: int = 0  # rows beyond the first of their key
    version: int = 0  # fingerprint of the content: XOR of the row hashes
    inputs: int | None = None  # fingerprint of what the rows were built from; None where rows disagree
    changed_at: int = 0  # when the newest row was published
    source: str = ""  # where the rows say that they come from; filled after a write
    preferred: int | None = None  # of the expected keys, those of the upstream that has a fallback; likewise
    unfit: int = 0  # staged rows that lack a required value, or have one out of its declared range

    @property
    def coverage_pct(self) -> float:
        """Share of the expected keys that are there, in percent; 100 where nothing is expected."""
        return 100.0 * self.covered / self.expected if self.expected else 100.0


class Day(NamedTuple):
    """What the calendar says of one date."""

    scheduled: int  # units of work that were to take place, postponed ones not counted
    final: int  # of these, the ones that are over
    opening: date | None = None  # first day of the period
    last_start: datetime | None = None  # when the last one begins


class History(NamedTuple):
    """What the ledger knows of one target."""

    attempts: int = 0  # since the data last landed, on the present inputs or any
    failures: int = 0  # of these, the ones that ended with an outcome other than complete
    inputs: int | None = None  # what the latest attempt was made on
    last_attempt: datetime | None = None
    last_complete: datetime | None = None
    last_error: str = ""
    claim: int = 0  # number of the newest claim
    lease_until: datetime | None = None  # set while that claim has no outcome
    is_open: bool = False  # that claim has no outcome, whatever became of its lease

    def is_held(self, now: datetime) -> bool:
        """Whether somebody may be at work on the target: it was claimed, and the lease has not ended."""
        return self.lease_until is not None and self.lease_until > now


class Acknowledged(NamedTuple):
    """A gap that a person declared unrecoverable."""

    processor: str
    first: date
    last: date
    reason: str
    owner: str
    expires: date | None = None
    since: datetime | None = None

    def covers(self, target: Target) -> bool:
        """Whether it is about a target, whether it still holds or not."""
        return target.processor == self.processor and self.first <= target.day <= self.last


@dataclass(frozen=True)
class Ledger:
    """The present state that the append-only ledger adds up to."""

    history: Mapping[Target, History] = field(default_factory=dict)
    acknowledged: Sequence[Acknowledged] = ()
    newest_claim: int = 0
    generation: str = ""  # which ledger this is: a new one starts its claims at 1 again


@dataclass(frozen=True)
class Observation:
    """What one query saw of every target in scope and of everything that these read."""

    first: date
    columns: Mapping[str, Sequence[Seen | None]]  # per processor, one entry per day from `first`
    calendar: Sequence[Day | None]
    ledger: Ledger = field(default_factory=Ledger)
    bytes_processed: int = 0

    @property
    def last(self) -> date:
        return self.first + timedelta(days=len(self.calendar) - 1)

    def day(self, day: date) -> Day | None:
        """What the calendar says of a date; None where it says nothing of it, or the date was not looked at."""
        index = (day - self.first).days
        return self.calendar[index] if 0 <= index < len(self.calendar) else None

    @property
    def is_empty(self) -> bool:
        """Whether no target holds anything, and nothing is expected of any."""
        return not any(any(column) for column in self.columns.values())

    def seen(self, target: Target) -> Seen | None:
        """What was seen of a target; None where there is nothing and nothing is expected, or it was not looked at."""
        index = (target.day - self.first).days
        column = self.columns.get(target.processor, ())
        return column[index] if 0 <= index < len(column) else None

    def updated(self, measured: Mapping[Target, Seen]) -> Observation:
        """This observation with some targets as they were measured later."""
        columns = dict(self.columns)
        for target, seen in measured.items():
            column = columns[target.processor]
            if column is self.columns[target.processor]:
                columns[target.processor] = column = list(column)
            column[(target.day - self.first).days] = seen  # type: ignore[index]
        return replace(self, columns=columns)


class Gap(NamedTuple):
    """A target whose verdict asks for work, waiting or a person."""

    target: Target
    verdict: Verdict
    seen: Seen
    inputs: int  # fingerprint of what a run would read now
    fillable_since: datetime | None  # None while something upstream is not complete
    blockers: tuple[Target, ...] = ()
    detail: str = ""

    @property
    def id(self) -> str:
        return gap_id(self.target)

    def age(self, now: datetime) -> timedelta:
        """How long the gap could have been filled; zero while it could not."""
        if self.fillable_since is None:
            return timedelta(0)
        return max(now - self.fillable_since, timedelta(0))


@dataclass(frozen=True)
class Scope:
    """Which targets a call is about. `processors` empty means all; explicit dates are a person's decision."""

    first: date
    last: date
    processors: frozenset[str] = frozenset()
    dates: frozenset[date] = frozenset()
    explicit: bool = False

    def holds(self, target: Target) -> bool:
        return (
            self.first <= target.day <= self.last
            and (not self.processors or target.processor in self.processors)
            and (not self.dates or target.day in self.dates)
        )


@dataclass(frozen=True)
class Policy:
    """Every limit that decides how much Gapless does by itself, with its default."""

    age_limit_days: int = 30  # older fillable gaps wait for a person, unless dates were given
    max_targets: int = 20_000  # per plan; newest and oldest dates alternate, so neither starves
    max_failures: int = 3  # outcomes other than complete before a target is exhausted
    max_abandoned: int = 12  # attempts without any outcome (killed runs) before a target is exhausted
    backoff: timedelta = timedelta(minutes=10)  # doubles with every failure
    lease: timedelta = timedelta(minutes=15)
    outside_lease: timedelta = timedelta(hours=1)  # for runs that another service was asked for
    storm_pct: float = 50.0  # share of once complete targets that may look lost before a plan is refused
    storm_least: int = 100  # so many must look lost before that share means anything
    page_above: int = 100  # gaps
    report_only: bool = False
    halted: bool = False
    lift_storm: bool = False
    lift_gate: bool = False  # publish below the coverage gate, and build on it; nothing at all is still a failure
    force: bool = False  # run what is in scope even where it is complete, exhausted or waiting
    skipped: frozenset[str] = frozenset()  # further checks that the caller left out, for the record

    @property
    def lifted(self) -> frozenset[str]:
        """The rules that do not hold under this policy, as they are written on outcomes."""
        own = {"force": self.force, "gate": self.lift_gate, "storm": self.lift_storm}
        return self.skipped.union(name for name, is_lifted in own.items() if is_lifted)


class Action(NamedTuple):
    """One run of one processor over a batch of dates."""

    processor: str
    run: tuple[date, ...]  # asked for by their verdicts
    recheck: tuple[date, ...] = ()  # read something that this plan rebuilds; run only if that changed their inputs
    reasons: tuple[tuple[Verdict, int], ...] = ()  # how many of `run` for which verdict

    @property
    def targets(self) -> Iterator[Target]:
        """Everything that may be run."""
        return (Target(self.processor, day) for day in (*self.run, *self.recheck))


@dataclass(frozen=True)
class Plan:
    """Ordered waves of actions. Everything in a wave can run at the same time."""

    waves: tuple[tuple[Action, ...], ...] = ()
    held: tuple[tuple[Gap, str], ...] = ()  # gaps left alone, each with the reason
    report_only: bool = False

    @property
    def actions(self) -> Iterator[Action]:
        return (action for wave in self.waves for action in wave)

    @property
    def size(self) -> int:
        """The number of targets to run."""
        return sum(len(action.run) for action in self.actions)

    @property
    def reach(self) -> int:
        """The number of targets that are run or looked at again."""
        return sum(len(action.run) + len(action.recheck) for action in self.actions)

    def of(self, processors: Container[str]) -> Plan:
        """The part of the plan that runs the given processors, in the same order."""
        waves = (tuple(action for action in wave if action.processor in processors) for wave in self.waves)
        return replace(self, waves=tuple(wave for wave in waves if wave))

    @property
    def checksum(self) -> str:
        """What was reviewed and what is applied are the same plan exactly if this is the same."""
        digest = hashlib.sha256()
        for number, wave in enumerate(self.waves):
            for action in sorted(wave):
                digest.update(f"{number}/{action.processor}/{action.reasons}".encode())
                for days in (action.run, action.recheck):
                    digest.update(b"/" + b",".join(day.isoformat().encode() for day in days))
        return digest.hexdigest()[:16]


class Wanted(NamedTuple):
    """A target that a run wants to work on, and what the work would read."""

    target: Target
    inputs: int
    reason: str


class Claim(NamedTuple):
    """The exclusive right to work on targets, until the lease ends. The number fences late writers."""

    number: int
    wanted: tuple[Wanted, ...]  # what was won; nothing of it is left where other runs came first
    others: frozenset[Target] = frozenset()  # what other runs claimed since this one looked


class Batch(NamedTuple):
    """The dates that one run of a processor works on under a claim."""

    processor: str
    days: tuple[date, ...]
    claim: int
    part: int  # its place among the batches of the claim
    generation: str = ""  # of the ledger that numbered the claim


class Status(StrEnum):
    """How an attempt on a target ended."""

    COMPLETE = "complete"
    PARTIAL = "partial"
    FAILED = "failed"
    SKIPPED = "skipped"


class Upkeep(StrEnum):
    """Work on a table that is no run of its processor. Claims, outcomes and backups of it carry the word."""

    CLEAN_UP = "cleanup"
    CLEAN_PHANTOMS = "clean-phantoms"
    RESTORE = "restore"


class Cause(StrEnum):
    """What kept an attempt from landing."""

    INCOMPLETE_COVERAGE = "INCOMPLETE_COVERAGE"  # fewer expected keys than the gate asks for; more data may come
    PROCESSING_ERROR = "PROCESSING_ERROR"  # a service failed in a way that passes, or rows did not pass their audit
    PERMANENT_ERROR = "PERMANENT_ERROR"  # SQL, schema, permission, configuration: somebody has to change something


class Choice(NamedTuple):
    """Which of two sources a target is made from, and why."""

    covered: int  # of the expected keys, those that the preferred source has
    fallback: bool  # it is for this date to be read, and has too few
    reason: str


class Outcome(NamedTuple):
    """What was measured after an attempt on a target."""

    target: Target
    status: Status
    expected: int
    covered: int
    claim: int
    inputs: int
    started_at: datetime
    finished_at: datetime
    error: str = ""
    data_source: str = ""
    upstream_available: bool = True
    lifted: str = ""  # which safety rules were lifted for this run
    cause: Cause | None = None  # of an outcome that is not complete; None where nothing was tried
    choice: Choice | None = None  # of processors that read one of two sources

    @property
    def permanent(self) -> bool:
        """Whether trying again is pointless until somebody changes something."""
        return self.cause is Cause.PERMANENT_ERROR

    @property
    def coverage_pct(self) -> float:
        return 100.0 * self.covered / self.expected if self.expected else 100.0


@contextmanager
def uncollected() -> Iterator[None]:
    """Pause the garbage collector while many small values without cycles are made: it would walk them over and over."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def days_between(first: date, last: date) -> Iterator[date]:
    """Every date from first to last, both included."""
    return (first + timedelta(days=offset) for offset in range((last - first).days + 1))


def from_micros(micros: int) -> datetime:
    return datetime.fromtimestamp(micros / 1_000_000, UTC)
