"""Judge: what an observation means, target by target, without asking anything more.

Processors are taken upstream first, one column of dates at a time. The fingerprint of what a target reads is the XOR of
its upstream's versions over a window, which two prefix XORs give, so the work grows with the number of targets and not
with the length of the windows. Only targets that ask for something get a value of their own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta

from gapless.declare.pipeline import Pipeline
from gapless.declare.processor import Processor
from gapless.declare.words import Over
from gapless.judge.acknowledged import by_processor, holds, reappeared
from gapless.judge.columns import Edge, Judged, Reading
from gapless.model import (
    ASKS_FOR_A_RUN,
    IS_A_GAP,
    SETTLED,
    Acknowledged,
    Day,
    Gap,
    History,
    Observation,
    Policy,
    Scope,
    Seen,
    Target,
    Verdict,
    from_micros,
    uncollected,
)
from gapless.verdict import Asks

NOTHING = Seen(0, 0)
_PAST_DOUBT = (Verdict.COMPLETE, Verdict.ACKNOWLEDGED)  # whatever their rows look like


@dataclass(frozen=True)
class Judgement:
    """The verdict on every target in scope."""

    scope: Scope
    first: date
    verdicts: Mapping[str, Sequence[Verdict | None]]  # per processor, by day from `first`; None: not a target
    gaps: Sequence[Gap]  # work, waiting or a person is asked for
    phantoms: Sequence[Gap]  # rows that should not be there: a clean-up is proposed
    warnings: Sequence[Gap]  # complete, but below the warning threshold
    inputs: Mapping[str, Sequence[int]]  # per processor and day: the fingerprint of what a run would read now

    def verdict(self, target: Target) -> Verdict | None:
        index = (target.day - self.first).days
        column = self.verdicts.get(target.processor, ())
        return column[index] if 0 <= index < len(column) else None

    def inputs_of(self, target: Target) -> int:
        return self.inputs[target.processor][(target.day - self.first).days]

    def counts(self) -> dict[Verdict, int]:
        """How many targets in scope have which verdict."""
        start, end = self.scope.first, self.scope.last
        low = max((start - self.first).days, 0)
        high = (end - self.first).days + 1
        total: Counter[Verdict | None] = Counter()
        for name, column in self.verdicts.items():
            if self.scope.processors and name not in self.scope.processors:
                continue
            if self.scope.dates:
                indexes = ((day - self.first).days for day in self.scope.dates)
                total.update(column[i] for i in indexes if 0 <= i < len(column))
            else:
                total.update(column[low:high])
        return {verdict: total[verdict] for verdict in Verdict if total[verdict]}

    @property
    def complete(self) -> bool:
        """Whether nothing in scope asks for anything."""
        return not self.gaps


def civil_today(pipeline: Pipeline, now: datetime) -> date:
    """The date in the pipeline's own time zone."""
    return now.astimezone(pipeline.timezone).date()


@uncollected()
def judge(pipeline: Pipeline, observation: Observation, policy: Policy, scope: Scope, now: datetime) -> Judgement:
    """The verdict on every target of an observation; gaps are listed for the targets in scope."""
    court = _Court(pipeline, observation, policy, scope, now)
    for processor in pipeline.processors.values():
        if processor.name in observation.columns:
            court.judge_column(processor)
    return Judgement(
        scope=scope,
        first=observation.first,
        verdicts={name: judged.verdicts for name, judged in court.judged.items()},
        gaps=court.gaps,
        phantoms=court.phantoms,
        warnings=court.warnings,
        inputs=court.inputs,
    )


@dataclass(kw_only=True, slots=True)
class _Hearing:
    """One processor before the court: what was seen of it, what it reads, and what is decided so far."""

    p: Processor
    column: Sequence[Seen | None]
    reading: Reading
    inputs: list[int]
    waits: Mapping[int, tuple[Target, ...]]
    early: frozenset[int]  # the days that lie inside a period's first days
    open_days: frozenset[int]
    scoped: range | frozenset[int]
    acknowledged: Sequence[Acknowledged]
    is_known: bool  # the ledger has something to say of it
    restates: bool  # its rows have to follow from what is there now
    verdicts: list[Verdict | None]
    unsettled: dict[int, Target] = field(default_factory=dict)
    doubts: list[int] = field(default_factory=list)


class _Court:
    def __init__(
        self, pipeline: Pipeline, observation: Observation, policy: Policy, scope: Scope, now: datetime
    ) -> None:
        self.pipeline = pipeline
        self.observation = observation
        self.policy = policy
        self.scope = scope
        self.now = now
        self.length = len(observation.calendar)
        self.days = [observation.first + timedelta(days=i) for i in range(self.length)]
        self.today_date = civil_today(pipeline, now)
        self.today = (self.today_date - observation.first).days  # as an index
        self.judged: dict[str, Judged] = {}
        self.inputs: dict[str, list[int]] = {}
        self.gaps: list[Gap] = []
        self.phantoms: list[Gap] = []
        self.warnings: list[Gap] = []
        self.remembered = {target.processor for target in observation.ledger.history}
        self.acknowledged = by_processor(observation.ledger.acknowledged)
        # Days of context before the scope are there to be read: their own windows are cut off, so not judged by them.
        self.scope_start = (scope.first - observation.first).days

    def judge_column(self, p: Processor) -> None:
        """Judge all dates of one processor; its upstream was judged before."""
        hearing = self._hearing(p)
        self.inputs[p.name] = hearing.inputs
        for i in self._undecided(hearing, self._applicable(p)):
            self._decide(hearing, i)
        self.judged[p.name] = Judged(p, hearing.column, hearing.verdicts, hearing.unsettled, hearing.doubts)

    def _hearing(self, p: Processor) -> _Hearing:
        edges = [Edge(name, edge, self.judged[name], self.today) for name, edge in p.upstream.items()]
        reading = Reading(edges, self.length)
        words = self.acknowledged.get(p.name, ())
        return _Hearing(
            p=p,
            column=self.observation.columns[p.name],
            reading=reading,
            inputs=reading.inputs(),
            waits=reading.waits(),
            early=self._bootstrap(p),
            open_days=self._open_days(p),
            scoped=self._scoped(p),
            acknowledged=words,
            is_known=bool(words) or p.name in self.remembered,
            restates=p.restate == "on_upstream_change" and p.row_hash == "stored",
            verdicts=[None] * self.length,
        )

    def _undecided(self, hearing: _Hearing, days: range) -> list[int]:
        """Decide what needs no weighing, which is nearly everything; returns the days that are left."""
        column, verdicts, inputs = hearing.column, hearing.verdicts, hearing.inputs
        waits, open_days, calendar = hearing.waits, hearing.open_days, self.observation.calendar
        restates, scope_start = hearing.restates, self.scope_start
        complete, off_day = Verdict.COMPLETE, Verdict.OFF_DAY
        undecided = []
        for i in days:
            seen = column[i]
            if i in waits:
                undecided.append(i)
            elif seen is None:
                if calendar[i] is None:
                    verdicts[i] = off_day
                else:
                    undecided.append(i)
            else:
                is_whole = seen.expected == seen.covered > 0
                is_sound = not (seen.extra or seen.suspect or seen.altered or seen.duplicates)
                is_current = not restates or seen.inputs == inputs[i] or i < scope_start
                if is_whole and is_sound and is_current and i not in open_days:
                    verdicts[i] = complete
                else:
                    undecided.append(i)
        return undecided

    def _decide(self, hearing: _Hearing, i: int) -> None:
        """Weigh one target, hear the ledger, and remember what follows from the verdict."""
        seen = hearing.column[i] or NOTHING
        target = Target(hearing.p.name, self.days[i])
        verdict = self._heard(hearing, target, i, self._weigh(hearing, i, seen))
        hearing.verdicts[i] = verdict
        may_be_built_on = verdict in SETTLED or (verdict is Verdict.PARTIAL and self.policy.lift_gate)
        if not may_be_built_on:
            hearing.unsettled[i] = target
        is_in_doubt = seen.altered or seen.duplicates or verdict is Verdict.IN_FLIGHT
        if is_in_doubt and verdict not in _PAST_DOUBT:
            hearing.doubts.append(i)
        if i in hearing.scoped:
            self._list(hearing, target, i, verdict, seen)

    def _list(self, hearing: _Hearing, target: Target, i: int, verdict: Verdict, seen: Seen) -> None:
        """Tell of a target in scope that wants something of anybody."""
        if verdict in IS_A_GAP:
            self.gaps.append(self._gap(hearing, target, i, verdict, seen))
        elif verdict.meaning.asks is Asks.CLEAN_UP:
            self.phantoms.append(Gap(target, verdict, seen, hearing.inputs[i], None))
        elif verdict is Verdict.COMPLETE and hearing.p.is_thin(seen.covered, seen.expected):
            self.warnings.append(Gap(target, verdict, seen, hearing.inputs[i], None))

    # -- columns ------------------------------------------------------------------------------------------------

    def _applicable(self, p: Processor) -> range:
        """The days that are the processor's business."""
        split = min(max(self.today, 0), self.length)
        horizon = min(max(self.today + self.pipeline.horizon_days + 1, 0), self.length)
        if p.applies_to == "historical":
            return range(split)
        return range(split if p.applies_to == "upcoming" else 0, horizon)

    def _scoped(self, p: Processor) -> range | frozenset[int]:
        """The days in scope as indexes."""
        if self.scope.processors and p.name not in self.scope.processors:
            return range(0)
        if self.scope.dates:
            return frozenset((d - self.observation.first).days for d in self.scope.dates)
        return range(self.scope_start, (self.scope.last - self.observation.first).days + 1)

    def _bootstrap(self, p: Processor) -> frozenset[int]:
        """The days that lie inside a period's first days."""
        if not p.bootstrap_days:
            return frozenset()
        return frozenset(
            i
            for i, day in enumerate(self.observation.calendar)
            if day and day.opening and (self.days[i] - day.opening).days < p.bootstrap_days
        )

    def _open_days(self, p: Processor) -> frozenset[int]:
        """The days whose units of work are not over yet, so that nothing can be asked of them."""
        over = self.pipeline.over
        if p.due != "when_over" or over is None:
            return frozenset()
        recent = range(max(self.today - over.open_days, 0), self.length)
        return frozenset(i for i in recent if (day := self.observation.calendar[i]) and not self._over(i, day, over))

    def _over(self, i: int, day: Day, over: Over) -> bool:
        if day.final >= day.scheduled:
            return True
        if day.last_start:
            return self.now >= day.last_start + timedelta(hours=over.hours_after_last_start)
        morning = datetime.combine(self.days[i] + timedelta(days=1), over.without_start, self.pipeline.timezone)
        return self.now >= morning

    # -- one target ---------------------------------------------------------------------------------------------

    def _weigh(self, hearing: _Hearing, i: int, seen: Seen) -> Verdict:
        """What the tables alone say of one target."""
        if i in hearing.early and not seen.rows:
            return Verdict.BOOTSTRAP
        if i in hearing.open_days:
            return Verdict.NOT_DUE
        if i in hearing.waits:
            return self._unready(hearing, i)
        if not seen.expected:
            return self._unexpected(hearing, i, seen)
        lacking = self._lacking(hearing.p, seen)
        if lacking:
            return Verdict.BLOCKED if hearing.reading.is_doubtful(i) else lacking
        if self._is_outdated(hearing, i, seen):
            # While a part of what it reads is being repaired, that may yet come back as it was.
            may_come_back = hearing.reading.has_holes(i) or hearing.reading.is_doubtful(i)
            return Verdict.BLOCKED if may_come_back else Verdict.CONTAMINATED
        # Beside a day's expected rows a record may hold more, such as a prediction for a key that then stayed away.
        has_too_much = seen.extra and hearing.p.restate != "never"
        return Verdict.PHANTOM if has_too_much else Verdict.COMPLETE

    def _unready(self, hearing: _Hearing, i: int) -> Verdict:
        """Of a day on which something is not settled that it reads of the day itself."""
        over = self.pipeline.over
        may_be_open = over is not None and i >= self.today - over.open_days
        is_early = may_be_open and hearing.reading.waits_only_for_what_is_not_due(i)
        return Verdict.NOT_DUE if is_early else Verdict.BLOCKED

    def _unexpected(self, hearing: _Hearing, i: int, seen: Seen) -> Verdict:
        """Of a target of which nothing is expected."""
        day = self.observation.calendar[i]
        if not seen.rows and not (day and day.scheduled):
            return Verdict.OFF_DAY
        if hearing.reading.has_holes(i):
            return Verdict.BLOCKED  # what is expected follows from the window, and that is not whole
        if seen.rows:
            return Verdict.PHANTOM
        return Verdict.OFF_DAY if hearing.p.run == "none" else Verdict.BOOTSTRAP

    @staticmethod
    def _lacking(p: Processor, seen: Seen) -> Verdict | None:
        """What is wrong with the rows by themselves."""
        if not seen.covered:
            return Verdict.MISSING
        if seen.suspect or seen.altered or seen.duplicates:
            return Verdict.CONTAMINATED
        return None if p.has_enough(seen.covered, seen.expected) else Verdict.PARTIAL

    def _is_outdated(self, hearing: _Hearing, i: int, seen: Seen) -> bool:
        """Whether it was built on something else than is there now."""
        return hearing.restates and seen.inputs != hearing.inputs[i] and i >= self.scope_start

    def _heard(self, hearing: _Hearing, target: Target, i: int, verdict: Verdict) -> Verdict:
        """The verdict with what the ledger adds to it."""
        if verdict in IS_A_GAP:
            return self._known(hearing, target, i, verdict) if hearing.is_known else verdict
        if verdict is Verdict.OFF_DAY and hearing.acknowledged and self._lacks_its_source(hearing, target, i):
            return Verdict.ACKNOWLEDGED  # nothing is expected of such a table, and a person has said that it lacks this
        return verdict

    def _known(self, hearing: _Hearing, target: Target, i: int, verdict: Verdict) -> Verdict:
        """What the ledger adds to a gap: a person has spoken, somebody is at work, or trying again is pointless."""
        if any(self._is_given_up(word, target) for word in hearing.acknowledged):
            return Verdict.ACKNOWLEDGED
        history = self.observation.ledger.history.get(target)
        if history is None:
            return verdict
        if history.is_held(self.now):
            return Verdict.IN_FLIGHT
        would_be_tried = verdict in ASKS_FOR_A_RUN and not self.policy.force
        return Verdict.EXHAUSTED if would_be_tried and self._spent(history, hearing.inputs[i]) else verdict

    def _is_given_up(self, word: Acknowledged, target: Target) -> bool:
        """Whether an acknowledgement is about a target and still holds."""
        return holds(word, target.day, self.today_date) and not self._back(word, target)

    def _back(self, word: Acknowledged, target: Target) -> Target | None:
        return reappeared(self.pipeline, self.observation, word, target.day, self.today_date)

    def _lacks_its_source(self, hearing: _Hearing, target: Target, i: int) -> bool:
        """Whether a source that nothing is expected of has nothing on a day with units of work, as was acknowledged."""
        known = self.observation.calendar[i]
        if hearing.p.run != "none" or not (known and known.scheduled):
            return False
        return any(holds(word, target.day, self.today_date) for word in hearing.acknowledged)

    def _spent(self, history: History, inputs: int) -> bool:
        """Whether the retry budget is used up; new inputs give a new one."""
        if history.inputs != inputs:
            return False
        abandoned = history.attempts - history.failures
        return history.failures >= self.policy.max_failures or abandoned >= self.policy.max_abandoned

    def _gap(self, hearing: _Hearing, target: Target, i: int, verdict: Verdict, seen: Seen) -> Gap:
        inputs = hearing.inputs[i]
        if verdict.meaning.asks is Asks.UPSTREAM:
            return Gap(target, verdict, seen, inputs, None, hearing.waits.get(i) or self._unfinished(hearing, i))
        history = self.observation.ledger.history.get(target) if hearing.is_known else None
        since = self._fillable_since(hearing, i, history)
        detail = self._detail(hearing, target, i, verdict, history)
        return Gap(target=target, verdict=verdict, seen=seen, inputs=inputs, fillable_since=since, detail=detail)

    def _fillable_since(self, hearing: _Hearing, i: int, history: History | None) -> datetime:
        if history and history.last_complete:
            # It was there and is not any more. Nobody knows since when, so it is new: the age limit is for gaps that
            # stood open, the storm breaker and the retry budget are for losses.
            return self.now
        changed_at = hearing.reading.changed_at[i]
        return from_micros(changed_at) if changed_at else self._midnight_after(i)

    def _detail(self, hearing: _Hearing, target: Target, i: int, verdict: Verdict, history: History | None) -> str:
        """What the ledger and the windows say of a gap."""
        detail = ""
        if verdict is Verdict.EXHAUSTED and history:
            said = history.last_error or "nothing"
            detail = f"{history.attempts} attempts without the data landing; the last said: {said}"
        elif hearing.p.run == "sql" and hearing.reading.has_holes(i):
            first = self._unfinished(hearing, i)[0]
            detail = f"its look-back spans unfinished targets, {first} first"
        lapsed = self._lapsed(hearing, target) if hearing.acknowledged else ""
        return "; ".join(part for part in (detail, lapsed) if part) if lapsed else detail

    def _unfinished(self, hearing: _Hearing, i: int) -> tuple[Target, ...]:
        """The unfinished targets in the look-back windows, newest first."""
        return tuple([Target(name, self.days[j]) for name, j in hearing.reading.unfinished(i)])

    def _lapsed(self, hearing: _Hearing, target: Target) -> str:
        """Why an acknowledgement of the target does not hold any more; empty where there is none."""
        for word in hearing.acknowledged:
            if not word.covers(target):
                continue
            if not holds(word, target.day, self.today_date):
                return f"the acknowledgement of {word.owner} expired on {word.expires}"
            back = self._back(word, target)
            if back:
                return f"{word.owner} had acknowledged it, and {back} was written since"
        return ""

    def _midnight_after(self, i: int) -> datetime:
        return datetime.combine(self.days[i] + timedelta(days=1), time(0), self.pipeline.timezone)
