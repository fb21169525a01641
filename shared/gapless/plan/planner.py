"""Plan: which gaps to work on, in which order, and which to leave to a person. Pure; it never queries.

A plan foresees itself. A target that is blocked only by targets of the plan is in a later wave; a target that reads
something that the plan rebuilds is looked at again in its wave, and run only if what it reads has changed. So one plan
carries a gap from its root to the last phase.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from itertools import accumulate
from operator import add, sub

from gapless.declare.pipeline import Pipeline
from gapless.declare.processor import Processor
from gapless.errors import Storm
from gapless.judge.verdicts import Judgement
from gapless.model import ASKS_FOR_A_RUN, Action, Gap, Ledger, Plan, Policy, Target, Verdict, uncollected
from gapless.verdict import HAS_ITS_KEYS


@uncollected()
def plan(pipeline: Pipeline, judgement: Judgement, ledger: Ledger, policy: Policy, now: datetime) -> Plan:
    """Ordered waves of what to run, and every gap that is left alone with the reason.

    Raises `Storm` when an implausible share of what was once complete looks lost.
    """
    _refuse_a_storm(judgement, ledger, policy)
    return _Planner(pipeline, judgement, ledger, policy, now).plan()


def _refuse_a_storm(judgement: Judgement, ledger: Ledger, policy: Policy) -> None:
    """A wrong table name or a truncated dataset looks like thousands of gaps; repairing those makes it worse."""
    if policy.lift_storm or not ledger.history:
        return
    landed = sum(
        1 for target, history in ledger.history.items() if history.last_complete and judgement.scope.holds(target)
    )
    lost = sum(
        1
        for gap in judgement.gaps
        if gap.verdict is Verdict.MISSING or (gap.verdict is Verdict.BLOCKED and not gap.seen.rows)
        if (history := ledger.history.get(gap.target)) and history.last_complete
    )
    if lost < policy.storm_least or 100 * lost < policy.storm_pct * landed:
        return
    raise Storm(
        f"{lost} of the {landed} targets that were complete before look lost ({100 * lost / landed:.0f} %, limit "
        f"{policy.storm_pct:g} %); check that the tables are the right ones, then repeat with --lift-storm"
    )


def interleaved(days: Iterable[date]) -> list[date]:
    """Newest, oldest, second newest, second oldest …: neither the fresh nor the old starve under a cap."""
    ordered = sorted(set(days))
    result = []
    low, high = 0, len(ordered) - 1
    while low <= high:
        result.append(ordered[high])
        if low != high:
            result.append(ordered[low])
        low, high = low + 1, high - 1
    return result


class _Planner:
    def __init__(self, pipeline: Pipeline, judgement: Judgement, ledger: Ledger, policy: Policy, now: datetime) -> None:
        self.pipeline = pipeline
        self.judgement = judgement
        self.ledger = ledger
        self.policy = policy
        self.now = now
        self.first = judgement.first
        self.length = max((len(column) for column in judgement.verdicts.values()), default=0)
        self.days = [self.first + timedelta(days=i) for i in range(self.length)]
        self.held: list[tuple[Gap, str]] = []

    def plan(self) -> Plan:
        chosen = self._chosen(self.judgement.gaps)
        if self.policy.force:
            self._add_complete(chosen)
        waves: dict[int, list[Action]] = {}
        touched: dict[str, list[int]] = {}  # per processor: prefix counts of the days that may change
        for p in self.pipeline.processors.values():
            run = chosen.get(p.name, {})
            recheck = self._recheck(p, run, touched) if touched else []
            if not run and not recheck:
                continue
            flags = [0] * self.length
            start = self.first.toordinal()
            for day in (*run, *recheck):
                flags[day.toordinal() - start] = 1
            touched[p.name] = list(accumulate(flags, initial=0))
            waves.setdefault(self.pipeline.levels[p.name], []).extend(_actions(p, run, recheck))
        return Plan(tuple(tuple(waves[level]) for level in sorted(waves)), tuple(self.held), self.policy.report_only)

    # -- choosing -----------------------------------------------------------------------------------------------

    def _chosen(self, gaps: Sequence[Gap]) -> dict[str, dict[date, Verdict]]:
        """The targets to run by processor, within the cap. Gaps come upstream first: what blocks is decided before."""
        allowed: dict[str, dict[date, Gap]] = {}
        for gap in gaps:
            reason = self._reason_to_hold(gap, allowed)
            if reason:
                self.held.append((gap, reason))
                continue
            name, day = gap.target
            by_day = allowed.get(name)
            if by_day is None:
                allowed[name] = {day: gap}
            else:
                by_day[day] = gap
        if sum(map(len, allowed.values())) <= self.policy.max_targets:
            return {name: {day: gap.verdict for day, gap in by_day.items()} for name, by_day in allowed.items()}
        admitted = self._within_the_cap(allowed)
        why = f"beyond the {self.policy.max_targets} targets of one plan; the next takes it"
        self.held += [(gap, why) for by_day in allowed.values() for day, gap in by_day.items() if day not in admitted]
        kept = {
            name: {day: gap.verdict for day, gap in by_day.items() if day in admitted}
            for name, by_day in allowed.items()
        }
        return {name: by_day for name, by_day in kept.items() if by_day}

    def _within_the_cap(self, allowed: Mapping[str, Mapping[date, Gap]]) -> set[date]:
        """Whole dates, so that a date's chain stays together.

        The oldest always fits: nothing that it reads waits for another date, so every plan gets on with something.
        """
        sizes: Counter[date] = Counter(day for by_day in allowed.values() for day in by_day)
        admitted: set[date] = set()
        room = self.policy.max_targets
        days = interleaved(sizes)
        for day in (*days[1::-1], *days[2:]):
            if admitted and sizes[day] > room:
                break
            admitted.add(day)
            room -= sizes[day]
        return admitted

    def _reason_to_hold(self, gap: Gap, allowed: Mapping[str, Mapping[date, Gap]]) -> str:
        verdict = gap.verdict
        if verdict is Verdict.BLOCKED:
            for name, day in gap.blockers:
                days = allowed.get(name)
                if days is None or day not in days:
                    break
            else:
                return "" if gap.blockers else "waits"
            waits = [blocker for blocker in gap.blockers if blocker.day not in allowed.get(blocker.processor, ())]
            # Everything of its own date is needed; of a window, whatever can be repaired now.
            if len(waits) < len(gap.blockers):
                waits = [blocker for blocker in waits if blocker.day == gap.target.day]
            return f"waits for {waits[0]}, which this plan does not repair" if waits else ""
        if verdict not in ASKS_FOR_A_RUN:
            return verdict.meaning.left_alone or str(verdict)
        if self.pipeline.processors[gap.target.processor].run == "none":
            return "a source; it has to be loaded"
        age = gap.age(self.now)
        limit = timedelta(days=self.policy.age_limit_days)
        if age > limit and not self.judgement.scope.explicit:
            return (
                f"could have been filled for {age.days} days (limit {self.policy.age_limit_days}); "
                f"name its dates to run it: --start-date {gap.target.day} --end-date {gap.target.day}"
            )
        return self._backing_off(gap)

    def _backing_off(self, gap: Gap) -> str:
        history = self.ledger.history.get(gap.target)
        if self.policy.force or not history or not history.failures or history.inputs != gap.inputs:
            return ""
        if not history.last_attempt:
            return ""
        until = history.last_attempt + self.policy.backoff * 2 ** (history.failures - 1)
        if until <= self.now:
            return ""
        return f"failed {history.failures} times; the next try is due at {until:%Y-%m-%d %H:%M} UTC"

    def _add_complete(self, chosen: dict[str, dict[date, Verdict]]) -> None:
        """With force, what is complete in scope is run too; of dates that a person named, phantoms as well."""
        scope = self.judgement.scope
        # a phantom is made anew without the rows that are too many
        meant = HAS_ITS_KEYS if scope.explicit else {Verdict.COMPLETE}
        for p in self.pipeline.processors.values():
            if p.run == "none" or (scope.processors and p.name not in scope.processors):
                continue
            for i, verdict in enumerate(self.judgement.verdicts.get(p.name, ())):
                day = self.first + timedelta(days=i)
                if verdict and verdict in meant and scope.holds(Target(p.name, day)):
                    chosen.setdefault(p.name, {})[day] = verdict

    # -- foreseeing ---------------------------------------------------------------------------------------------

    def _recheck(self, p: Processor, run: Mapping[date, Verdict], touched: Mapping[str, Sequence[int]]) -> list[date]:
        """The dates in scope that read something the plan may change and are not run anyway.

        Blocked ones are there already where their blockers are repaired, and nothing is expected of the rest.
        """
        edges = [(touched[name], edge) for name, edge in p.upstream.items() if edge.version and name in touched]
        scope = self.judgement.scope
        if not edges or p.restate == "never" or (scope.processors and p.name not in scope.processors):
            return []
        changed = [0] * self.length  # per day, how much of what it reads may change
        for counts, edge in edges:
            before = [0] * min(edge.lookback_days, self.length) + [*counts[: max(self.length - edge.lookback_days, 0)]]
            changed = list(map(add, changed, map(sub, counts[1:], before)))
        low, high = max((scope.first - self.first).days, 0), (scope.last - self.first).days + 1
        verdicts = self.judgement.verdicts.get(p.name, ())[low:high]
        return [
            day
            for day, may_change, verdict in zip(self.days[low:high], changed[low:high], verdicts, strict=True)
            if may_change and verdict in HAS_ITS_KEYS and day not in run and (not scope.dates or day in scope.dates)
        ]


def _actions(p: Processor, run: Mapping[date, Verdict], recheck: Sequence[date]) -> list[Action]:
    """Batches of at most `max_dates_per_run` dates, in order of date."""
    again = frozenset(recheck)
    days = sorted([*run, *recheck])  # no day is in both
    actions = []
    for start in range(0, len(days), p.max_dates_per_run):
        batch = days[start : start + p.max_dates_per_run]
        rest = tuple([day for day in batch if day in again]) if again else ()
        to_run = tuple([day for day in batch if day not in again]) if rest else tuple(batch)
        reasons = Counter(map(run.__getitem__, to_run))
        actions.append(Action(p.name, to_run, rest, tuple(sorted(reasons.items()))))
    return actions
