"""Execute one wave: claim, stage, audit, publish, measure, record, announce, in this order and no other.

Whatever happens between two of these steps, the tables hold whole partitions: old ones before the publication, new ones
after it. What the ledger or a subscriber did not hear of, the next look finds in the tables.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import NamedTuple, TypeVar

from gapless.declare.pipeline import Pipeline
from gapless.declare.processor import Processor
from gapless.errors import CannotObserve, GaplessError, StillRunning, Stopped
from gapless.messages import completion
from gapless.model import Batch, Cause, Choice, Claim, Outcome, Seen, Status, Target, Wanted
from gapless.warehouse.ports import Bus, Dispatcher, LedgerBook, Observer, Workshop

T = TypeVar("T")
LOW_PCT = 50.0  # below this share of its expected keys a result is told of even where the gate is lifted


class Problem(NamedTuple):
    """Why a target did not land, and of what kind that is."""

    why: str
    cause: Cause


def fault(processor: Processor, seen: Seen, *, gate: bool = True) -> str:
    """Why what was staged for a date may not be published, or what was published does not count; else empty.

    Nothing written where something is expected, rows built on missing inputs, rows that break a declared rule, a key
    twice or keys that nobody expects are never published. Coverage below the gate is published only with `gate` False.
    Rows that were changed after their publication are found in a table only, never among what is staged.
    """
    share = f"{seen.covered} of {seen.expected} expected keys ({seen.coverage_pct:.1f} %)"
    if seen.expected and not seen.covered:
        return f"0 of {seen.expected} expected keys were written"
    if seen.suspect:
        return f"{seen.suspect} of {seen.rows} rows are built on missing inputs ({processor.suspect})"
    if seen.unfit:
        return f"{seen.unfit} of {seen.rows} rows lack a required value or are out of range"
    if seen.altered:
        return f"{seen.altered} of {seen.rows} rows are not as they were published"
    if seen.duplicates:
        return f"{seen.duplicates} rows repeat a key"
    if seen.extra and processor.restate != "never":
        return f"{seen.extra} keys are not expected on that date"
    if gate and not processor.has_enough(seen.covered, seen.expected):
        return f"{share}, below the gate of {processor.gate_pct:g} %"
    return ""


def cause(processor: Processor, seen: Seen) -> Cause:
    """The kind of what `fault` finds. Rows that are bad as well are still too few."""
    enough = processor.has_enough(seen.covered, seen.expected)
    return Cause.PROCESSING_ERROR if enough else Cause.INCOMPLETE_COVERAGE


def chosen(processor: Processor, seen: Seen, historical: bool) -> Choice | None:
    """Which of two sources a target is made from, in words with both counts; None where it has one."""
    if not processor.preferred or seen.preferred is None:
        return None
    name, edge = processor.preferred
    there = f"{seen.preferred} of {seen.expected}"
    share = f", {100 * seen.preferred / seen.expected:.1f} %" if seen.expected else ""
    if not edge.reads_own_day(historical):
        kind = "historical" if historical else "upcoming"
        reason = f"{kind} date: {edge.fallback} is read, never {name} ({there}{share})"
        return Choice(seen.preferred, False, reason)
    lacks = not processor.has_enough(seen.preferred, seen.expected)
    reason = f"{name} has {there}" + (f" ({share[2:]})" if share else "")
    if lacks:
        reason += f", below {processor.gate_pct:g} %: synthetic context from {edge.fallback}"
    return Choice(seen.preferred, lacks, reason)


@dataclass(frozen=True)
class Orders:
    """What a call asks of all its waves."""

    run_id: str
    generation: str  # of the ledger that numbers the claims
    lifted: frozenset[str] = frozenset()  # the safety rules that do not hold, as they are written on outcomes
    announces: bool = True  # completions of every wave; without it the caller announces what it likes
    stopped: Callable[[], bool] = lambda: False  # asked before each batch: a person may have had enough


@dataclass
class Executor:
    """Runs waves through the ports."""

    pipeline: Pipeline
    observer: Observer
    workshop: Workshop
    ledger: LedgerBook
    bus: Bus
    clock: Callable[[], datetime]
    parallel: int = 1
    dispatcher: Dispatcher | None = None
    notes: list[str] = field(default_factory=list)  # what went wrong without hurting the data
    running: dict[Target, str] = field(default_factory=dict)  # what a later call has to pick up
    skipped: set[Target] = field(default_factory=set)  # what was not begun because a person stopped the run

    def run(
        self,
        wanted: Sequence[Wanted],
        newest: int,
        orders: Orders,
        today: date,
        progress: Callable[[Batch], None] = lambda _batch: None,
    ) -> tuple[list[Outcome], Mapping[Target, Seen], Claim]:
        """Work on targets that are ready; returns the outcomes, the tables as measured, and the claim.

        Targets that another run claimed meanwhile are left to it: they have no outcome here. Batches that were not
        begun when a person stopped the run are `skipped`. `progress` is told of every batch that was made, or was not.
        """
        started = self.clock()
        claim = self.ledger.claim(wanted, newest, orders.generation, orders.run_id)
        if not claim.wanted:
            return [], {}, claim
        batches = self._batches(claim.wanted, claim.number, orders.generation)
        errors: dict[Target, Problem] = {}

        def make(batch: Batch) -> None:
            if orders.stopped():
                raise Stopped("stopped before it was begun")
            try:
                self.workshop.stage(batch, today)
            finally:
                progress(batch)

        try:
            staged = self._each(batches, make, errors)
            self._publish(staged, errors, orders, today)
        finally:
            left = [b for b in batches if Target(b.processor, b.days[0]) not in self.running]
            self._each(left, self.workshop.discard, {})
        ended = [w for w in claim.wanted if w.target not in self.running]
        return *self._settle(ended, claim.number, errors, orders, started, today), claim

    def begun(self, number: int, processor: str, orders: Orders) -> dict[Target, str]:
        """The open targets of a claim whose statements were begun under an id, so that somebody will pick them up."""
        batches = self._batches(self.ledger.open_targets(number, processor), number, orders.generation)
        return {
            Target(processor, day): "another call is at work on it"
            for batch in batches
            if self.workshop.state(batch) != "missing"
            for day in batch.days
        }

    def pick_up(
        self, number: int, processor: str, orders: Orders, today: date
    ) -> tuple[list[Outcome], Mapping[Target, Seen]]:
        """Finish a claim whose statements outlived the call that began them; what still runs is left running.

        Two calls may do this at once: they publish the same rows under the same claim. So nothing is discarded here;
        what was staged expires.
        """
        started = self.clock()
        wanted = self.ledger.open_targets(number, processor)
        errors: dict[Target, Problem] = {}
        made: list[Batch] = []
        days: set[date] = set()
        for batch in self._batches(wanted, number, orders.generation):
            state = self.workshop.state(batch)
            if state == "running":
                self.running.update({Target(processor, day): "its statement is still running" for day in batch.days})
            elif state != "missing":  # else nothing was begun: the lease ends by itself
                days.update(batch.days)
                if state == "done":
                    made.append(batch)
                else:
                    # What a job's last words mean for another try is not known; the retry budget bounds it.
                    problem = Problem(state, Cause.PROCESSING_ERROR)
                    errors.update({Target(processor, day): problem for day in batch.days})
        chosen = [w for w in wanted if w.target.day in days]
        self._publish(made, errors, orders, today)
        return self._settle(chosen, number, errors, orders, started, today)

    def _publish(
        self,
        staged: Sequence[Batch],
        errors: dict[Target, Problem],
        orders: Orders,
        today: date,
    ) -> None:
        """Audit what was staged, and publish the dates that pass; why the others do not goes to `errors`."""
        audits = self.workshop.audit(staged, today) if staged else {}
        passing: dict[Batch, list[date]] = {}
        for batch in staged:
            processor = self.pipeline.processors[batch.processor]
            for day in batch.days:
                target = Target(batch.processor, day)
                problem = fault(processor, audits[target], gate="gate" not in orders.lifted)
                if problem:
                    errors[target] = Problem(problem, cause(processor, audits[target]))
                else:
                    passing.setdefault(batch, []).append(day)

        def publish(batch: Batch) -> None:
            self.workshop.publish(batch, passing[batch], orders.run_id, self.clock())

        self._each(list(passing), publish, errors)

    def _settle(
        self,
        wanted: Sequence[Wanted],
        number: int,
        errors: Mapping[Target, Problem],
        orders: Orders,
        started: datetime,
        today: date,
    ) -> tuple[list[Outcome], Mapping[Target, Seen]]:
        """Measure what the tables hold now, record it, and announce what is complete."""
        if not wanted:
            return [], {}
        measured = self.measure([w.target for w in wanted], today)
        outcomes = [
            self._outcome(w, measured[w.target], errors.get(w.target), number, orders, started, today) for w in wanted
        ]
        self.ledger.record(outcomes, orders.run_id)
        if orders.announces:
            self._announce(outcomes, measured, orders.run_id)
        return outcomes, measured

    def start(
        self, wanted: Sequence[Wanted], newest: int, orders: Orders, today: date
    ) -> tuple[dict[Target, str], list[Outcome], Claim]:
        """Ask other services for runs; returns what was taken with its receipt, outcomes of what was not, the claim.

        What was taken has no outcome: it is in flight until its data lands or its lease ends, and never counts as done.
        """
        started = self.clock()
        claim = self.ledger.claim(wanted, newest, orders.generation, orders.run_id, outside=True)
        errors: dict[Target, Problem] = {}
        receipts: dict[Batch, str] = {}

        def ask(batch: Batch) -> None:
            if self.dispatcher is None:
                raise CannotObserve(f"{batch.processor} is run by another service, and nothing here can ask it")
            processor = self.pipeline.processors[batch.processor]
            receipts[batch] = self.dispatcher.start(processor, batch.days, orders.run_id)

        self._each(self._batches(claim.wanted, claim.number, orders.generation), ask, errors)
        taken = {Target(batch.processor, day): told for batch, told in receipts.items() for day in batch.days}
        left = [w for w in claim.wanted if w.target not in taken]
        measured = self.measure([w.target for w in left], today) if left else {}
        outcomes = [
            self._outcome(w, measured[w.target], errors[w.target], claim.number, orders, started, today) for w in left
        ]
        self.ledger.record(outcomes, orders.run_id)
        return taken, outcomes, claim

    def measure(self, targets: Sequence[Target], today: date) -> Mapping[Target, Seen]:
        """The named targets as their tables are now."""
        now = self.observer.look_again(targets, today)
        return {target: now.seen(target) or Seen(0, 0) for target in targets}

    def _batches(self, wanted: Sequence[Wanted], claim: int, generation: str) -> list[Batch]:
        days: dict[str, list[date]] = {}
        for w in wanted:
            days.setdefault(w.target.processor, []).append(w.target.day)
        batches: list[Batch] = []
        for name, listed in days.items():
            listed.sort()
            size = self.pipeline.processors[name].max_dates_per_run
            for start in range(0, len(listed), size):
                batches.append(Batch(name, tuple(listed[start : start + size]), claim, len(batches), generation))
        return batches

    def _each(
        self, batches: Sequence[Batch], work: Callable[[Batch], None], errors: dict[Target, Problem]
    ) -> list[Batch]:
        """Do something with every batch; an explained failure is the batch's own and the others go on."""

        def one(batch: Batch) -> GaplessError | None:
            try:
                work(batch)
            except GaplessError as error:
                return error
            return None

        if self.parallel > 1 and len(batches) > 1:
            with ThreadPoolExecutor(self.parallel) as pool:
                results = list(pool.map(one, batches))
        else:
            results = [one(batch) for batch in batches]
        for batch, problem in zip(batches, results, strict=True):
            if problem is not None:
                targets = [Target(batch.processor, day) for day in batch.days]
                why = str(problem) or type(problem).__name__
                if isinstance(problem, StillRunning):
                    self.running.update(dict.fromkeys(targets, why))
                    continue
                kind = Cause.PERMANENT_ERROR if problem.permanent else Cause.PROCESSING_ERROR
                errors.update(dict.fromkeys(targets, Problem(why, kind)))
                if isinstance(problem, Stopped):
                    self.skipped.update(targets)
        return [batch for batch, problem in zip(batches, results, strict=True) if problem is None]

    def _outcome(
        self,
        wanted: Wanted,
        seen: Seen,
        known: Problem | None,
        claim: int,
        orders: Orders,
        started: datetime,
        today: date,
    ) -> Outcome:
        """What the table holds now decides; a known problem explains why it is not what was wanted."""
        processor = self.pipeline.processors[wanted.target.processor]
        error = known.why if known else self._unmet(wanted.target, processor, seen, orders)
        status = self._status(wanted.target, seen, error)
        kind = known.cause if known else cause(processor, seen)
        choice = None if status is Status.SKIPPED else chosen(processor, seen, wanted.target.day < today)
        fell_back = choice is not None and choice.fallback
        return Outcome(
            target=wanted.target,
            status=status,
            expected=seen.expected,
            covered=seen.covered,
            claim=claim,
            inputs=wanted.inputs,
            started_at=started,
            finished_at=self.clock(),
            error=error,
            data_source=seen.source,
            upstream_available=not fell_back,
            lifted=",".join(sorted(orders.lifted)),
            cause=kind if status in (Status.PARTIAL, Status.FAILED) else None,
            choice=choice,
        )

    def _unmet(self, target: Target, processor: Processor, seen: Seen, orders: Orders) -> str:
        """Why what the table holds is not what was wanted, where no step has said so; empty when it is."""
        problem = fault(processor, seen)
        was_let_through = not fault(processor, seen, gate="gate" not in orders.lifted)
        if not problem or not was_let_through:
            return problem
        if seen.coverage_pct < LOW_PCT:
            self.notes.append(f"low completeness: {target} has {seen.covered} of {seen.expected} keys")
        return f"{problem}; published because the gate was lifted"

    def _status(self, target: Target, seen: Seen, error: str) -> Status:
        if target in self.skipped:
            return Status.SKIPPED
        if not error:
            return Status.COMPLETE
        is_sound = not (seen.suspect or seen.altered or seen.duplicates)
        return Status.PARTIAL if seen.covered and is_sound else Status.FAILED

    def _announce(self, outcomes: Sequence[Outcome], measured: Mapping[Target, Seen], run_id: str) -> None:
        """One message per processor. A topic that does not take it costs time, not data: the next scan looks anyway."""
        done: dict[str, list[Target]] = {}
        for outcome in outcomes:
            if outcome.status is Status.COMPLETE:
                done.setdefault(outcome.target.processor, []).append(outcome.target)
        for name, targets in done.items():
            processor = self.pipeline.processors[name]
            topic = self.pipeline.topic_of(processor)
            if not topic:
                continue
            records = sum(measured[target].rows for target in targets)
            days = sorted(target.day for target in targets)
            message = completion(self.pipeline.messages, processor, days, records, run_id, self.clock())
            try:
                self.bus.publish(topic, message)
            except GaplessError as error:
                self.notes.append(f"completion of {name} was not announced on {topic}: {error}")
