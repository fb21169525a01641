"""A simulated warehouse and in-memory twins of the ports: what the engine relies on, without SQL and without a network.

The rules are those of the real ones. A job id is accepted once, and who repeats his own lost request is recognised. A
claim is readable when its INSERT is done, not before. A publication is one commit: of all its days or of none, without
the days that a newer claim fences, and repeated on the new snapshot where another commit touched the same partition.
A message is kept until a test takes it, so that a test can lose it, repeat it and deliver it out of order.

What the engine sees travels as the rows that `observe.statement` would return and through `observe.parse`; the ledger
is `SqlLedger` itself on a warehouse that keeps rows in lists. `World.pause` is called before and after every step and
inside those that are not one moment: a test crashes or interrupts a run there.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cache, reduce
from operator import xor
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple
from zoneinfo import ZoneInfo

from gapless.declare.pipeline import Pipeline
from gapless.declare.processor import Keys, Processor
from gapless.declare.words import Contract, Over, Words
from gapless.engine import Engine
from gapless.errors import BadPipeline, CannotObserve, ClaimLost, TransientFailure
from gapless.execute.executor import Executor
from gapless.judge.verdicts import civil_today
from gapless.ledger import SqlLedger
from gapless.ledger.balance import (
    ACKNOWLEDGED,
    HEAD,
    HISTORY,
    LANDED,
    AcknowledgedRow,
    HeadRow,
    HistoryRow,
    LandedRow,
)
from gapless.ledger.book import ClaimedRow, OutcomeRow, SpokenRow, TakenRow
from gapless.model import Acknowledged, Batch, Day, Observation, Policy, Scope, Seen, Target, days_between
from gapless.observe.observer import DAY, EPOCH, TARGET, DayRow, MeasuredRow, TargetRow, ancestors, measured, parse
from gapless.warehouse.ports import Answer, Param

COLUMNS = {"day": "DATE required", "key": "STRING required", "value": "INT64 required"}


OVER = Over.model_validate({"hours_after_last_start": 5, "without_start": "06:00", "open_days": 4})


def declare(processors: Mapping[str, Mapping[str, Any]], **fields: Any) -> Pipeline:
    """A pipeline without SQL files; processors come upstream first, and what a field leaves out is the simplest."""
    declared = {}
    for name, given in processors.items():
        simple = {"name": name, "table": f"twin.{name}", "phase": 1, "date_column": "day", "key": ["key"]}
        declared[name] = Processor.model_validate({**simple, "columns": COLUMNS, **given})
    defaults: dict[str, Any] = {
        "name": "twin",
        "timezone": ZoneInfo("America/New_York"),
        "history_start": date(2020, 1, 1),
        "horizon_days": 30,
        "calendar": None,
        "sql_folder": Path(),
        "texts": {},
        "topics": {},
        "ledger": "twin_gapless",
        "views": {},
        "view_columns": {},
        "words": Words(loads=True),
        "over": OVER,
        "period_days": 150,
        "messages": Contract(),
    }
    return Pipeline(**(defaults | fields), processors=declared)


class Row(NamedTuple):
    """One row of a simulated table."""

    key: str
    value: int
    row_hash: int | None = None  # None: somebody else wrote it
    inputs: int | None = None
    run: str = ""
    changed_at: int = 0
    suspect: bool = False


class Attempt(NamedTuple):
    """One claimed target."""

    number: int
    run: str
    target: Target
    inputs: int
    owner: str
    claimed_at: datetime
    lease_until: datetime


class Recorded(NamedTuple):
    """One outcome."""

    target: Target
    number: int
    status: str
    error: str
    processed_at: datetime


Rows = tuple[Row, ...]


def fingerprint(*parts: object) -> int:
    """60 bits that differ when the parts do."""
    return int(hashlib.md5(repr(parts).encode(), usedforsecurity=False).hexdigest()[:15], 16)


@dataclass
class Clock:
    """A clock that a test moves; it never shows the same time twice."""

    now: datetime = datetime(2024, 1, 10, 17, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.now += timedelta(milliseconds=1)
        return self.now

    def advance(self, by: timedelta) -> None:
        self.now += by


@dataclass
class World:
    """Every partition, the ledger's rows, what is staged and what was sent."""

    pipeline: Pipeline
    clock: Clock = field(default_factory=Clock)
    partitions: dict[Target, Rows] = field(default_factory=dict)
    calendar: dict[date, Day] = field(default_factory=dict)
    attempts: list[Attempt] = field(default_factory=list)
    outcomes: list[Recorded] = field(default_factory=list)
    acknowledged: list[Acknowledged] = field(default_factory=list)
    staged: dict[Batch, dict[date, Rows]] = field(default_factory=dict)
    messages: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)
    commits: Counter[Target] = field(default_factory=Counter)  # how often each partition was written
    pause: Callable[[str], None] = lambda _step: None
    spoil: Callable[[Target, Rows], Rows] = lambda _target, rows: rows  # what a processor gets wrong; it may raise

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        self.pause(f"before {name}")
        yield
        self.pause(f"after {name}")

    # -- contents -----------------------------------------------------------------------------------------------

    def fill(self, name: str, day: date, values: Mapping[str, int]) -> None:
        """Load a source's date."""
        stamp = _micros(self.clock())
        self.put({Target(name, day): tuple(Row(key, value, changed_at=stamp) for key, value in values.items())})

    def put(self, changes: Mapping[Target, Rows]) -> None:
        """Replace partitions in one commit, by whomever."""
        self.partitions.update(changes)
        self.commits.update(changes.keys())

    def rows(self, target: Target) -> Rows:
        return self.partitions.get(target, ())

    def version(self, target: Target) -> int:
        """As `coverage.coverage`: the XOR of the hashes that are stored, or computed where none are."""
        if self.pipeline.processors[target.processor].row_hash == "computed":
            return reduce(xor, (_hash(target, row) for row in self.rows(target)), 0)
        return reduce(xor, (row.row_hash or 0 for row in self.rows(target)), 0)

    def expected(self, p: Processor, day: date, today: date) -> frozenset[str] | None:
        """The keys that should be there; None where whatever is there is right."""
        return self._keys(p.expect, day, today) if p.expect else None

    def _keys(self, form: Keys, day: date, today: date) -> frozenset[str]:
        if form.historical or form.upcoming:
            part = form.historical if day < today else form.upcoming
            return self._keys(part, day, today) if part else frozenset()
        if not form.keys_of:
            raise BadPipeline("a simulated processor expects the keys of another one")
        return self.keys(Target(form.keys_of, day))

    def keys(self, target: Target) -> frozenset[str]:
        return frozenset(row.key for row in self.rows(target))

    def reads(self, p: Processor, day: date, today: date) -> list[Target]:
        """The partitions whose content a run for a date uses."""
        return [
            Target(name, read)
            for name, edge in p.upstream.items()
            if edge.version
            for read in days_between(day - timedelta(days=edge.lookback_days), day)
            if read < day or edge.reads_own_day(day < today)
        ]

    def inputs(self, p: Processor, day: date, today: date) -> int:
        return reduce(xor, (self.version(target) for target in self.reads(p, day, today)), 0)

    def computed(self, p: Processor, day: date, today: date) -> Rows:
        """What a run makes of the present tables: every value depends on every value that it reads.

        Where an upstream with a fallback has enough of what is expected, there are rows of its keys; else of all.
        """
        read = fingerprint(sorted((t, row.key, row.value) for t in self.reads(p, day, today) for row in self.rows(t)))
        inputs = self.inputs(p, day, today)
        keys = self.expected(p, day, today) or frozenset()
        if p.preferred and p.preferred[1].reads_own_day(day < today):
            there = keys & self.keys(Target(p.preferred[0], day))
            if p.has_enough(len(there), len(keys)):
                keys = there
        return tuple(Row(key, fingerprint(p.name, day, key, read), None, inputs) for key in sorted(keys))

    def contents(self) -> dict[Target, frozenset[tuple[str, int]]]:
        return {t: frozenset((row.key, row.value) for row in rows) for t, rows in self.partitions.items() if rows}

    def undisturbed(self, days: Iterable[date], today: date) -> World:
        """The same sources with everything else computed once, in order, by nobody in particular."""
        processors = self.pipeline.processors
        sources = {t: rows for t, rows in self.partitions.items() if processors[t.processor].run == "none"}
        world = World(self.pipeline, self.clock, sources)
        listed = sorted(days)
        for p in processors.values():
            for day in listed if p.run == "sql" else ():
                target = Target(p.name, day)
                world.partitions[target] = tuple(
                    row._replace(row_hash=_hash(target, row)) for row in world.computed(p, day, today)
                )
        return world

    # -- what queries see ---------------------------------------------------------------------------------------

    def coverage(self, target: Target, today: date, staged: Rows | None = None) -> Seen | None:
        """As `coverage.coverage`: by key intersection; None where nothing is there and nothing is expected."""
        p = self.pipeline.processors[target.processor]
        rows = self.rows(target) if staged is None else staged
        wanted = self.expected(p, target.day, today)
        there = frozenset(row.key for row in rows)
        wanted = there if wanted is None else wanted
        if not there and not wanted:
            return None
        stored = staged is None and p.row_hash == "stored"
        built_on = {row.inputs for row in rows} if stored else {0}
        return Seen(
            expected=len(wanted),
            covered=len(wanted & there),
            rows=len(rows),
            extra=len(there - wanted),
            suspect=sum(row.suspect for row in rows),
            altered=sum(row.row_hash != _hash(target, row) for row in rows) if stored else 0,
            duplicates=len(rows) - len(there),
            version=self.version(target) if staged is None else 0,
            inputs=next(iter(built_on)) if rows and len(built_on) == 1 else None,
            changed_at=max((row.changed_at for row in rows), default=0) if staged is None else 0,
            preferred=len(wanted & self.keys(Target(p.preferred[0], target.day))) if p.preferred else None,
        )

    def look(self, processors: Sequence[Processor], first: date, last: date, today: date) -> list[MeasuredRow]:
        """What the observing query finds of targets."""
        found: list[MeasuredRow] = []
        for p in processors:
            for day in days_between(first, last):
                seen = self.coverage(Target(p.name, day), today)
                if seen:
                    found.append(_measured_row(p.name, day, seen))
        return found

    def state(self, first: date, last: date) -> list[tuple[Any, ...]]:
        """The rows that `ledger.state` returns."""
        tries: dict[Target, list[Attempt]] = defaultdict(list)
        for attempt in self.attempts:
            if first <= attempt.target.day <= last:
                tries[attempt.target].append(attempt)
        ended = {(o.target, o.number): o for o in self.outcomes}
        complete = {o.target: o.processed_at for o in sorted(self.outcomes, key=_ended) if o.status == "complete"}
        found: list[tuple[Any, ...]] = []
        landed: dict[tuple[str, int, bool], list[Target]] = defaultdict(list)
        for target, claims in tries.items():
            claims.sort(key=lambda a: a.number)
            newest, end = claims[-1], ended.get((target, claims[-1].number))
            done = complete.get(target)
            tried = [a for a in claims if not ((o := ended.get((target, a.number))) and o.status == "skipped")]
            since = [a for a in tried if (done is None or a.claimed_at > done) and a.inputs == newest.inputs]
            failed = [a for a in since if (o := ended.get((target, a.number))) and o.status != "complete"]
            times = [o.processed_at if (o := ended.get((target, a.number))) else a.claimed_at for a in tried]
            if not since and end:
                landed[target.processor, newest.number, done is None].append(target)
                continue
            latest_end = ended.get((target, tried[-1].number))
            row = HistoryRow(
                name=target.processor,
                day=target.day,
                attempts=len(since),
                failures=len(failed),
                inputs_hash=newest.inputs,
                last_attempt=_micros(max(times)),
                last_complete=_micros(done),
                claim_number=newest.number,
                lease_until=None if end else _micros(newest.lease_until),
                note=latest_end.error if latest_end else newest.owner,
            )
            found.append(HISTORY.encode(row))
        for (name, number, never), targets in landed.items():
            days = ",".join(str(_number(target.day)) for target in targets)
            latest = None if never else max(complete[target] for target in targets)
            found.append(LANDED.encode(LandedRow(name, number, _micros(latest), days)))
        for word in self.acknowledged:
            if word.first <= last and word.last >= first:
                spoken = AcknowledgedRow(
                    name=word.processor,
                    day=word.first,
                    last_date=_number(word.last),
                    expires_on=None if word.expires is None else _number(word.expires),
                    acknowledged_at=_micros(word.since),
                    reason_and_owner=f"{word.reason}\n{word.owner}",
                )
                found.append(ACKNOWLEDGED.encode(spoken))
        newest_claim = max((a.number for a in self.attempts), default=0)
        return [*found, HEAD.encode(HeadRow(newest_claim, "twin"))]


@dataclass
class TwinWarehouse:
    """The `Warehouse` port as far as the ledger uses it, with a registry of job ids."""

    world: World
    jobs: dict[str, _Job] = field(default_factory=dict)
    fail_next: bool = False  # the next INSERT under a job id is accepted and fails
    lose_next: bool = False  # the answer to the next one is lost after it was done
    wait: Callable[[], None] | None = None  # lets other runs go on while somebody else's job is under way

    def execute(
        self,
        sql: str,
        params: Mapping[str, Param] | None = None,
        *,
        purpose: str,
        job_id: str | None = None,
        patience: float | None = None,
    ) -> int:
        assert patience is None, "nothing here takes long"
        given: dict[str, Any] = dict(params or {})
        with self.world.step(purpose):
            if purpose == "claim":
                return self._once(str(job_id), lambda: self._insert(given))
            if purpose == "outcomes":
                return self._record(given)
            if purpose == "acknowledge":
                return self._acknowledge(given)
        raise CannotObserve(f"the simulated warehouse knows no '{purpose}': {sql[:80]}")

    def rows(self, sql: str, params: Mapping[str, Param] | None = None, *, purpose: str) -> Answer:
        given: dict[str, Any] = dict(params or {})
        if purpose != "claims":
            raise CannotObserve(f"the simulated warehouse knows no '{purpose}': {sql[:80]}")
        with self.world.step(purpose):
            newer = [a for a in self.world.attempts if a.number > given["newest"]]
            return Answer([(a.number, *a.target) for a in newer], 0, TakenRow._fields)

    def _once(self, job_id: str, work: Callable[[], int]) -> int:
        """As `BigQueryWarehouse`: the id is taken when the request arrives; a token tells one's own request."""
        token = object()
        while True:
            job = self.jobs.get(job_id)
            if job is None:
                job = self.jobs[job_id] = _Job(token)
                failing, self.fail_next = self.fail_next, False
                losing, self.lose_next = self.lose_next, False
                try:
                    self.world.pause("during claim")
                finally:  # who asked may be dead by now; the job is not
                    job.changed = None if failing else work()
                    job.done = True
                if losing:
                    continue
            elif job.owner is not token:
                while not job.done:
                    if self.wait is None:
                        raise AssertionError("a job is under way and nobody can finish it")
                    self.wait()
                raise ClaimLost(f"job {job_id} belongs to another run")
            if job.changed is None:
                raise TransientFailure(f"job {job_id} failed")
            return job.changed

    def _insert(self, given: Mapping[str, Any]) -> int:
        number, run_id, owner, now, until = (given[name] for name in ("number", "run_id", "owner", "now", "until"))
        rows = [ClaimedRow(*row) for row in json.loads(given["targets"])]
        for row in rows:
            target = Target(row.processor_name, _day(row.target_date))
            self.world.attempts.append(Attempt(number, run_id, target, int(row.inputs_hash), owner, now, until))
        return len(rows)

    def _record(self, given: Mapping[str, Any]) -> int:
        rows = [OutcomeRow(*row) for row in json.loads(given["outcomes"])]
        for row in rows:
            target = Target(row.processor_name, _day(row.analysis_date))
            ended = _moment(row.processed_at)
            self.world.outcomes.append(Recorded(target, row.claim_number, row.status, row.error_message, ended))
        return len(rows)

    def _acknowledge(self, given: Mapping[str, Any]) -> int:
        rows = [SpokenRow(*row) for row in json.loads(given["words"])]
        for row in rows:
            word = Acknowledged(
                processor=row.processor_name,
                first=_day(row.first_date),
                last=_day(row.last_date),
                reason=row.reason,
                owner=row.owner,
                expires=_day(row.expires_on) if row.expires_on else None,
                since=_moment(row.acknowledged_at),
            )
            self.world.acknowledged.append(word)
        return len(rows)

    def job_state(self, job_id: str) -> str:
        return "done" if job_id in self.jobs else "missing"

    def price(self, sql: str, params: Mapping[str, Param] | None = None) -> int:
        raise CannotObserve(f"the simulated warehouse has no prices: {sql[:80]} ({len(params or ())} parameters)")

    def upload(self, table: str, parquet: BinaryIO) -> int:
        raise CannotObserve(f"the simulated warehouse cannot load {parquet} into {table}")

    def drop(self, table: str) -> None:
        raise CannotObserve(f"the simulated warehouse keeps {table}")

    def tables(self, dataset: str) -> Mapping[str, Sequence[str]]:
        raise CannotObserve(f"the simulated warehouse has no catalogue of {dataset}")

    def create_dataset(self, dataset: str) -> None:
        raise CannotObserve(f"the simulated warehouse cannot create {dataset}")


@dataclass
class _Job:
    owner: object
    done: bool = False
    changed: int | None = None


@dataclass
class TwinObserver:
    """The `Observer` port; one call sees one moment."""

    world: World

    def observe(self, scope: Scope, today: date) -> Observation:
        with self.world.step("observe"):
            processors = ancestors(self.world.pipeline, scope.processors)
            lookback = max((e.lookback_days for p in processors for e in p.upstream.values()), default=0)
            first = scope.first - timedelta(days=lookback)
            rows = self.world.state(first, scope.last)
            for day, told in self.world.calendar.items():
                if first <= day <= scope.last:
                    opening = None if told.opening is None else _number(told.opening)
                    row = DayRow(day, told.scheduled, told.final, opening, _micros(told.last_start))
                    rows.append(DAY.encode(row))
            for seen in self.world.look(processors, first, scope.last, today):
                rows.append(TARGET.encode(TargetRow(*seen[:-1])))  # what there is to choose from comes after a write
            return parse(rows, [p.name for p in processors], scope.last, 0)

    def look_again(self, targets: Sequence[Target], today: date) -> Observation:
        with self.world.step("measure"):
            processors = [self.world.pipeline.processors[name] for name in sorted({t.processor for t in targets})]
            first, last = min(t.day for t in targets), max(t.day for t in targets)
            rows = self.world.look(processors, first, last, today)
            return measured(rows, [p.name for p in processors], last)


@dataclass
class TwinWorkshop:
    """The `Workshop` port."""

    world: World

    def stage(self, batch: Batch, today: date) -> None:
        with self.world.step("stage"):
            p = self.world.pipeline.processors[batch.processor]
            self.world.staged[batch] = {
                day: self.world.spoil(Target(p.name, day), self.world.computed(p, day, today)) for day in batch.days
            }

    def price(self, batch: Batch, today: date) -> int:
        """A byte per row that is read."""
        p = self.world.pipeline.processors[batch.processor]
        return sum(len(self.world.rows(read)) for day in batch.days for read in self.world.reads(p, day, today))

    def audit(self, batches: Sequence[Batch], today: date) -> Mapping[Target, Seen]:
        with self.world.step("audit"):
            return {
                (target := Target(batch.processor, day)): self.world.coverage(target, today, rows) or Seen(0, 0)
                for batch in batches
                for day, rows in self.world.staged[batch].items()
            }

    def publish(self, batch: Batch, days: Sequence[date], run_id: str, now: datetime) -> None:
        """One commit. Where another one overtook it on one of its partitions it runs again on what is there then."""
        with self.world.step("publish"):
            targets = [Target(batch.processor, day) for day in days]
            won = False
            while not won:
                base = [self.world.commits[target] for target in targets]
                free = [target for target in targets if not self._fenced(target, batch)]
                changes = {target: self._written(target, batch, run_id, now) for target in free}
                try:
                    self.world.pause("during publish")
                finally:  # the statement outlives the run that sent it
                    won = base == [self.world.commits[target] for target in targets]
                    if won:
                        self.world.put(changes)

    def _fenced(self, target: Target, batch: Batch) -> bool:
        return any(a.target == target and a.number > batch.claim for a in self.world.attempts)

    def _written(self, target: Target, batch: Batch, run_id: str, now: datetime) -> Rows:
        new = [
            row._replace(row_hash=_hash(target, row), run=run_id, changed_at=_micros(now))
            for row in self.world.staged[batch][target.day]
        ]
        if self.world.pipeline.processors[target.processor].restate != "never":
            return tuple(new)
        kept: dict[str, Row] = {}
        for row in sorted(self.world.rows(target), key=lambda r: (r.changed_at, r.run)):
            if row.row_hash == _hash(target, row) and not row.suspect:
                kept.setdefault(row.key, row)
        return (*kept.values(), *(row for row in new if row.key not in kept))

    def state(self, batch: Batch) -> str:
        return "done" if batch in self.world.staged else "missing"

    def discard(self, batch: Batch) -> None:
        with self.world.step("discard"):
            self.world.staged.pop(batch, None)


@dataclass
class TwinBus:
    """The `Bus` port: what was sent lies in `World.messages` until a test delivers it."""

    world: World
    refuse_next: bool = False

    def publish(self, topic: str, message: Mapping[str, Any]) -> str:
        with self.world.step("message"):
            if self.refuse_next:
                self.refuse_next = False
                raise TransientFailure(f"{topic} did not take the message")
            self.world.messages.append((topic, message))
            return str(len(self.world.messages))


@dataclass
class Twin:
    """A simulated world with engines that work on it."""

    world: World
    policy: Policy = field(default_factory=Policy)
    warehouse: TwinWarehouse = field(init=False)
    bus: TwinBus = field(init=False)

    def __post_init__(self) -> None:
        self.warehouse = TwinWarehouse(self.world)
        self.bus = TwinBus(self.world)

    def ledger(self, owner: str = "a") -> SqlLedger:
        phases = {p.name: p.phase for p in self.world.pipeline.processors.values()}
        dataset = self.world.pipeline.ledger
        return SqlLedger(self.warehouse, dataset, phases, self.world.clock, self.policy.lease, f"twin/{owner}")

    def engine(self, owner: str = "a", policy: Policy | None = None) -> Engine:
        world = self.world
        observer = TwinObserver(world)
        executor = Executor(world.pipeline, observer, TwinWorkshop(world), self.ledger(owner), self.bus, world.clock)
        return Engine(world.pipeline, observer, executor, policy or self.policy, world.clock)

    @property
    def today(self) -> date:
        return civil_today(self.world.pipeline, self.world.clock.now)


def _hash(target: Target, row: Row) -> int:
    return _content_hash(target, row.key, row.value)


@cache  # asked of every row at every look
def _content_hash(target: Target, key: str, value: int) -> int:
    return fingerprint(target.processor, target.day.toordinal(), key, value)


def _ended(outcome: Recorded) -> datetime:
    return outcome.processed_at


def _micros(moment: datetime | None) -> Any:
    return None if moment is None else round(moment.timestamp() * 1_000_000)


def _number(day: date) -> int:
    """Days since 1970."""
    return (day - EPOCH).days


def _day(text: Any) -> date:
    return date.fromisoformat(text)


def _moment(text: Any) -> datetime:
    return datetime.fromisoformat(text)


def _measured_row(name: str, day: date, seen: Seen) -> MeasuredRow:
    return MeasuredRow(
        name=name,
        day=day,
        expected=seen.expected,
        covered=seen.covered,
        n_rows=seen.rows,
        extra=seen.extra,
        suspect=seen.suspect,
        altered=seen.altered,
        duplicates=seen.duplicates,
        version=seen.version,
        inputs=seen.inputs,
        changed_at=seen.changed_at,
        source=seen.source,
        preferred=seen.preferred,
    )
