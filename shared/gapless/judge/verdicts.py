"""Judge: what an observation means, target by target, without asking anything more.

Processors are taken upstream first, one column of dates at a time. The fingerprint of what a target reads is the XOR of
its upstream's versions over a window, which two prefix XORs give, so the work grows with the number of targets and not
with the length of the windows. Only targets that ask for something get a value of their own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import accumulate
from operator import xor

from gapless.declare.pipeline import Pipeline
from gapless.declare.processor import Processor, Upstream
from gapless.model import (
    ASKS_FOR_A_RUN,
    IS_A_GAP,
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

NOTHING = Seen(0, 0)
# A game lasts about two and a half hours and its box score follows within the next two.
DUE_AFTER_LAST_START = timedelta(hours=5)
DUE_WITHOUT_START = time(6)  # on the next morning, where the schedule does not say when the last one begins
_OPEN_FOR_DAYS = 4  # an unfinished unit keeps a date from being due no longer than this


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


def holds(word: Acknowledged, day: date, today: date) -> bool:
    """Whether an acknowledgement is about a date, and has not expired."""
    return word.first <= day <= word.last and (word.expires is None or today <= word.expires)


def reappeared(
    pipeline: Pipeline, observation: Observation, word: Acknowledged, day: date, today: date
) -> Target | None:
    """What came back after a gap was acknowledged: something that the target is made from and that was written since.

    That is its upstream of its own date; where it reads windows only, its upstream in them. A source is made from
    nothing here: it comes back by its own rows. What is read for the expectation only is no source.
    """
    if word.since is None:
        return None
    since = int(word.since.timestamp() * 1_000_000)
    processor = pipeline.processors[word.processor]
    if processor.run == "none":
        read = [Target(processor.name, day)]
    else:
        edges = {name: edge for name, edge in processor.upstream.items() if edge.version}
        read = [Target(name, day) for name, edge in edges.items() if edge.reads_own_day(day < today)]
        if not any(edge.own_day != "never" for edge in edges.values()):
            read = [
                Target(name, day - timedelta(days=back))
                for name, edge in edges.items()
                for back in range(1, edge.lookback_days + 1)
            ]
    return next((t for t in read if (seen := observation.seen(t)) and seen.changed_at > since), None)


class _Edge:
    """One upstream of the processor being judged, as columns."""

    __slots__ = (
        "column", "doubtful", "edge", "holes", "name", "needed", "optional", "unsettled", "verdicts", "versions",
    )  # fmt: skip

    def __init__(self, name: str, edge: Upstream, judged: _Judged, today: int) -> None:
        self.name = name
        self.edge = edge
        # the days for which this upstream's own date has to be settled
        days = range(len(judged.column))
        past, future = days[: max(today, 0)], days[max(today, 0) :]
        self.needed = {"always": days, "historical": past, "upcoming": future, "never": days[:0]}[edge.own_day]
        if judged.optional or edge.fallback:
            self.needed = days[:0]
        self.column = judged.column
        self.verdicts = judged.verdicts
        self.versions = judged.versions
        self.unsettled = judged.unsettled
        self.holes = judged.holes
        self.doubtful = judged.doubtful
        self.optional = judged.optional

    def window(self, i: int, historical: bool) -> tuple[int, int]:
        """The days read for day i, as a half-open range of indexes."""
        return max(i - self.edge.lookback_days, 0), i + self.edge.reads_own_day(historical)


class _Judged:
    """A processor's finished column, as its downstream needs it."""

    __slots__ = ("column", "doubtful", "holes", "optional", "unsettled", "verdicts", "versions")

    def __init__(
        self,
        p: Processor,
        column: Sequence[Seen | None],
        verdicts: list[Verdict | None],
        unsettled: Mapping[int, Target],
        doubts: Sequence[int],
    ) -> None:
        self.unsettled = unsettled  # by day; values of their own are made once, for there can be a million
        self.column = column
        self.verdicts = verdicts
        self.optional = p.optional
        # prefix sums: [i] is about the days before i
        self.versions = list(accumulate([seen.version if seen else 0 for seen in column], xor, initial=0))
        self.holes = list(accumulate(map(IS_A_GAP.__contains__, verdicts), initial=0))
        # Being written, or not what its version says: when it is repaired, what was built on it would look up to date.
        self.doubtful: list[int] | None = None
        if doubts and p.row_hash == "stored":
            flags = [0] * len(column)
            for i in doubts:
                flags[i] = 1
            self.doubtful = list(accumulate(flags, initial=0))


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
        scope,
        observation.first,
        {name: judged.verdicts for name, judged in court.judged.items()},
        court.gaps,
        court.phantoms,
        court.warnings,
        court.inputs,
    )


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
        self.judged: dict[str, _Judged] = {}
        self.inputs: dict[str, list[int]] = {}
        self.gaps: list[Gap] = []
        self.phantoms: list[Gap] = []
        self.warnings: list[Gap] = []
        self.remembered = {target.processor for target in observation.ledger.history}
        self.acknowledged = _by_processor(observation.ledger.acknowledged)
        # Days of context before the scope are there to be read: their own windows are cut off, so not judged by them.
        self.scope_start = (scope.first - observation.first).days

    def judge_column(self, p: Processor) -> None:
        """Judge all dates of one processor; its upstream was judged before."""
        column = self.observation.columns[p.name]
        edges = [_Edge(name, edge, self.judged[name], self.today) for name, edge in p.upstream.items()]
        self.inputs[p.name] = inputs = self._inputs(edges)
        waits = self._waits_for(edges)
        verdicts: list[Verdict | None] = [None] * self.length
        restates = p.restate == "on_upstream_change" and p.row_hash == "stored"
        early = self._bootstrap(p)
        open_days = self._open_days(p)
        acknowledged = self.acknowledged.get(p.name, ())
        fillable: list[int] | None = None
        low, high = self._applicable(p)
        scoped = self._scoped(p)
        complete, off_day, blocked = Verdict.COMPLETE, Verdict.OFF_DAY, Verdict.BLOCKED
        given_up, not_due, in_flight = Verdict.ACKNOWLEDGED, Verdict.NOT_DUE, Verdict.IN_FLIGHT
        name, days, gaps = p.name, self.days, self.gaps
        remembered = bool(acknowledged) or name in self.remembered
        unsettled: dict[int, Target] = {}
        doubts: list[int] = []
        for i in range(low, high):
            seen = column[i]
            if seen is None:
                if i not in waits and self.observation.calendar[i] is None:
                    verdicts[i] = off_day
                    continue
            elif (
                i not in waits
                and seen.expected == seen.covered > 0
                and i not in open_days
                and not (seen.extra or seen.suspect or seen.altered or seen.duplicates)
                and (not restates or seen.inputs == inputs[i] or i < self.scope_start)
            ):
                verdicts[i] = complete
                continue
            seen = seen or NOTHING
            verdict = self._weigh(p, i, seen, i in waits, inputs[i], edges, early, open_days, restates)
            in_scope = i in scoped
            if verdict in IS_A_GAP:
                target = Target(name, days[i])
                if remembered:
                    verdict = self._known(target, verdict, inputs[i], acknowledged)
                if verdict is not given_up:
                    if not (verdict is Verdict.PARTIAL and self.policy.lift_gate):
                        unsettled[i] = target
                    if verdict is blocked:
                        if in_scope:
                            blockers = waits.get(i) or self._window_blockers(i, edges)
                            gaps.append(Gap(target, blocked, seen, inputs[i], None, blockers))
                    elif in_scope:
                        fillable = fillable or self._fillable(edges)
                        gaps.append(self._gap(p, target, i, verdict, seen, inputs[i], edges, fillable[i]))
            elif verdict is not_due:
                unsettled[i] = Target(name, days[i])
            elif verdict is off_day and acknowledged and self._lacks_its_source(p, days[i], acknowledged):
                verdict = given_up  # nothing is expected of such a table, and a person has said that it lacks this
            elif in_scope and verdict is Verdict.PHANTOM:
                self.phantoms.append(Gap(Target(p.name, self.days[i]), verdict, seen, inputs[i], None))
            elif in_scope and verdict is complete and p.is_thin(seen.covered, seen.expected):
                self.warnings.append(Gap(Target(p.name, self.days[i]), verdict, seen, inputs[i], None))
            verdicts[i] = verdict
            if (
                (seen.altered or seen.duplicates or verdict is in_flight)
                and verdict is not complete
                and verdict is not given_up
            ):
                doubts.append(i)
        self.judged[p.name] = _Judged(p, column, verdicts, unsettled, doubts)

    # -- columns ------------------------------------------------------------------------------------------------

    def _applicable(self, p: Processor) -> tuple[int, int]:
        split = min(max(self.today, 0), self.length)
        horizon = min(max(self.today + self.pipeline.horizon_days + 1, 0), self.length)
        if p.applies_to == "historical":
            return 0, split
        return (split if p.applies_to == "upcoming" else 0), horizon

    def _scoped(self, p: Processor) -> range | frozenset[int]:
        """The days in scope as indexes."""
        if self.scope.processors and p.name not in self.scope.processors:
            return range(0)
        if self.scope.dates:
            return frozenset((d - self.observation.first).days for d in self.scope.dates)
        return range(self.scope_start, (self.scope.last - self.observation.first).days + 1)

    def _inputs(self, edges: Sequence[_Edge]) -> list[int]:
        """Per day, the fingerprint of everything that a run would read."""
        total = [0] * self.length
        for e in edges:
            if not e.edge.version:
                continue
            back = e.edge.lookback_days
            starts = [0] * min(back, self.length) + e.versions[: max(self.length - back, 0)]
            if e.edge.own_day in ("always", "never"):
                ends = e.versions[1:] if e.edge.own_day == "always" else e.versions[:-1]
            else:
                split = min(max(self.today, 0), self.length)
                past, future = e.versions[1 : split + 1], e.versions[split:-1]
                if e.edge.own_day == "upcoming":
                    past, future = e.versions[:split], e.versions[split + 1 :]
                ends = past + future
            total = list(map(xor, total, map(xor, starts, ends)))
        return total

    def _waits_for(self, edges: Sequence[_Edge]) -> dict[int, tuple[Target, ...]]:
        """Per day, what is read of the day itself and is not settled; days that wait for nothing are not there."""
        waits: dict[int, tuple[Target, ...]] = {}
        for e in edges:
            needed = e.needed
            for i, target in e.unsettled.items():
                if i in needed:
                    waits[i] = (*waits[i], target) if i in waits else (target,)
        return waits

    def _bootstrap(self, p: Processor) -> frozenset[int]:
        """The days that lie inside a season's first days."""
        if not p.bootstrap_days:
            return frozenset()
        return frozenset(
            i
            for i, day in enumerate(self.observation.calendar)
            if day and day.opening and (self.days[i] - day.opening).days < p.bootstrap_days
        )

    def _open_days(self, p: Processor) -> frozenset[int]:
        """The days whose units of work are not over yet, so that nothing can be asked of them."""
        if p.due != "after_games":
            return frozenset()
        recent = range(max(self.today - _OPEN_FOR_DAYS, 0), self.length)
        return frozenset(i for i in recent if (day := self.observation.calendar[i]) and not self._over(i, day))

    def _over(self, i: int, day: Day) -> bool:
        if day.final >= day.scheduled:
            return True
        if day.last_start:
            return self.now >= day.last_start + DUE_AFTER_LAST_START
        morning = datetime.combine(self.days[i] + timedelta(days=1), DUE_WITHOUT_START, self.pipeline.timezone)
        return self.now >= morning

    def _fillable(self, edges: Sequence[_Edge]) -> list[int]:
        """Per day, when the newest thing that a run would read came into being (microseconds)."""
        latest = [0] * self.length
        for e in edges:
            if e.optional:
                continue
            back = e.edge.lookback_days
            changed = [seen.changed_at if seen else 0 for seen in e.column]
            if e.edge.own_day != "never":
                latest = list(map(max, latest, changed))
            if back:
                latest = list(map(max, latest, _window_max(changed, back)))
        return latest

    # -- one target ---------------------------------------------------------------------------------------------

    def _weigh(
        self,
        p: Processor,
        i: int,
        seen: Seen,
        waits: bool,
        inputs: int,
        edges: Sequence[_Edge],
        early: frozenset[int],
        open_days: frozenset[int],
        restates: bool,
    ) -> Verdict:
        """What the tables alone say of one target."""
        if i in early and not seen.rows:
            return Verdict.BOOTSTRAP
        if i in open_days:
            return Verdict.NOT_DUE
        if waits:
            return self._unready(i, edges)
        day = self.observation.calendar[i]
        if seen.expected == 0:
            if not seen.rows and not (day and day.scheduled):
                return Verdict.OFF_DAY
            if self._window_unsettled(i, edges):
                return Verdict.BLOCKED  # what is expected follows from the window, and that is not whole
            if seen.rows:
                return Verdict.PHANTOM
            return Verdict.OFF_DAY if p.run == "none" else Verdict.BOOTSTRAP
        if seen.covered == 0:
            return self._waits(i, edges) or Verdict.MISSING
        if seen.suspect or seen.altered or seen.duplicates:
            return self._waits(i, edges) or Verdict.CONTAMINATED
        if not p.has_enough(seen.covered, seen.expected):
            return self._waits(i, edges) or Verdict.PARTIAL
        if restates and seen.inputs != inputs and i >= self.scope_start:
            # Built on something else than is there now. While a part of that is being repaired it may yet come back.
            if self._window_unsettled(i, edges):
                return Verdict.BLOCKED
            return self._waits(i, edges) or Verdict.CONTAMINATED
        # Beside a day's expected rows a record may hold more, such as a prediction for a player who then stayed away.
        return Verdict.PHANTOM if seen.extra and p.restate != "never" else Verdict.COMPLETE

    def _unready(self, i: int, edges: Sequence[_Edge]) -> Verdict:
        if i < self.today - _OPEN_FOR_DAYS:
            return Verdict.BLOCKED  # no day that far back is open
        for e in edges:
            if i in e.unsettled and i in e.needed and e.verdicts[i] is not Verdict.NOT_DUE:
                return Verdict.BLOCKED
        return Verdict.NOT_DUE

    def _waits(self, i: int, edges: Sequence[_Edge]) -> Verdict | None:
        """Blocked while something that a run would read is being written, or is not what its version says."""
        for e in edges:
            if e.doubtful and self._is_doubtful(i, e):
                return Verdict.BLOCKED
        return None

    def _is_doubtful(self, i: int, e: _Edge) -> bool:
        start, end = e.window(i, i < self.today)
        return e.doubtful is not None and e.doubtful[end] != e.doubtful[start]

    def _window_unsettled(self, i: int, edges: Sequence[_Edge]) -> bool:
        for e in edges:
            if not e.optional and e.edge.version and not e.edge.fallback:
                start, end = e.window(i, i < self.today)
                if e.holes[end] != e.holes[start]:
                    return True
        return False

    def _known(self, target: Target, verdict: Verdict, inputs: int, acknowledged: Sequence[Acknowledged]) -> Verdict:
        """What the ledger adds: somebody is at work, a person has spoken, or trying again is pointless."""
        for word in acknowledged:
            if holds(word, target.day, self.today_date) and not reappeared(
                self.pipeline, self.observation, word, target.day, self.today_date
            ):
                return Verdict.ACKNOWLEDGED
        history = self.observation.ledger.history.get(target)
        if history is None:
            return verdict
        if history.lease_until and history.lease_until > self.now:
            return Verdict.IN_FLIGHT
        if verdict in ASKS_FOR_A_RUN and not self.policy.force and self._spent(history, inputs):
            return Verdict.EXHAUSTED
        return verdict

    def _lacks_its_source(self, p: Processor, day: date, acknowledged: Sequence[Acknowledged]) -> bool:
        """Whether a source that nothing is expected of has nothing on a day with games, as was acknowledged."""
        games = self.observation.calendar[(day - self.observation.first).days]
        played = bool(games and games.scheduled) and p.run == "none"
        return played and any(holds(word, day, self.today_date) for word in acknowledged)

    def _spent(self, history: History, inputs: int) -> bool:
        """Whether the retry budget is used up; new inputs give a new one."""
        if history.inputs != inputs:
            return False
        abandoned = history.attempts - history.failures
        return history.failures >= self.policy.max_failures or abandoned >= self.policy.max_abandoned

    def _gap(
        self,
        p: Processor,
        target: Target,
        i: int,
        verdict: Verdict,
        seen: Seen,
        inputs: int,
        edges: Sequence[_Edge],
        changed_at: int,
    ) -> Gap:
        since = from_micros(changed_at) if changed_at else self._midnight_after(i)
        history = self.observation.ledger.history.get(target)
        if history and history.last_complete:
            # It was there and is not any more. Nobody knows since when, so it is new: the age limit is for gaps that
            # stood open, the storm breaker and the retry budget are for losses.
            since = self.now
        detail = ""
        if p.run == "sql" and self._window_unsettled(i, edges):
            holes = self._window_blockers(i, edges)
            detail = f"its look-back spans unfinished targets, {holes[0]} first"
        if verdict is Verdict.EXHAUSTED and history:
            said = history.last_error or "nothing"
            detail = f"{history.attempts} attempts without the data landing; the last said: {said}"
        lapsed = self._lapsed(target)
        return Gap(target, verdict, seen, inputs, since, (), "; ".join(part for part in (detail, lapsed) if part))

    def _lapsed(self, target: Target) -> str:
        """Why an acknowledgement of the target does not hold any more; empty where there is none."""
        for word in self.acknowledged.get(target.processor, ()):
            if not word.first <= target.day <= word.last:
                continue
            if not holds(word, target.day, self.today_date):
                return f"the acknowledgement of {word.owner} expired on {word.expires}"
            back = reappeared(self.pipeline, self.observation, word, target.day, self.today_date)
            if back:
                return f"{word.owner} had acknowledged it, and {back} was written since"
        return ""

    def _midnight_after(self, i: int) -> datetime:
        return datetime.combine(self.days[i] + timedelta(days=1), time(0), self.pipeline.timezone)

    def _window_blockers(self, i: int, edges: Sequence[_Edge]) -> tuple[Target, ...]:
        """The unfinished targets in the look-back windows, newest first, ten at most of each upstream."""
        found: list[Target] = []
        for e in edges:
            start, end = e.window(i, i < self.today)
            if e.optional or e.holes[end] == e.holes[start]:
                continue
            if e.edge.fallback and not self._is_doubtful(i, e):
                continue
            days = (j for j in range(end - 1, start - 1, -1) if e.holes[j + 1] != e.holes[j])
            found += [Target(e.name, self.days[j]) for j, _ in zip(days, range(10), strict=False)]
        return tuple(found)


def _window_max(values: Sequence[int], back: int) -> list[int]:
    """Per position, the largest of the `back` values before it; 0 where there are none.

    A window spans the end of one block of `back` values and the beginning of the next, so that the largest so far from
    both ends of every block is enough.
    """
    ahead: list[int] = []  # the largest from a position to the end of its block
    behind: list[int] = []  # and from the beginning of its block to it
    for start in range(0, len(values), back):
        block = values[start : start + back]
        behind += accumulate(block, max)
        ahead += reversed([*accumulate(reversed(block), max)])
    return [0, *behind[:back], *map(max, ahead[1:], behind[back:])][: len(values)]


def _by_processor(acknowledged: Sequence[Acknowledged]) -> dict[str, list[Acknowledged]]:
    found: dict[str, list[Acknowledged]] = {}
    for word in acknowledged:
        found.setdefault(word.processor, []).append(word)
    return found
