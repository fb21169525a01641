"""Repair: some dates, and everything that rests on them, from one look.

A person names dates. Every target that reads one of them, of its own date or in a look-back window, over any number of
steps, is within their reach. What is wrong on the dates themselves is repaired; within reach, what was built on
something else than is there then. A gap of another date that has nothing to do with these stays what it is.

Nothing here decides by itself what is stale: the judge does, from fingerprints, and the engine asks it anew before each
wave. So a window of a year costs a look, and a run only where the rows that are read have changed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

from gapless.declare.pipeline import Pipeline
from gapless.engine import Engine, Look
from gapless.judge.verdicts import NOTHING, Judgement, civil_today, judge
from gapless.model import Action, Gap, Observation, Plan, Scope, Seen, Target, Verdict
from gapless.plan.planner import plan
from gapless.verdict import HAS_ITS_KEYS


@dataclass(frozen=True)
class Case:
    """The dates of a repair, and what a look at them and their reach has shown."""

    dates: tuple[date, ...]
    look: Look  # its gaps and its plan are those of this repair
    elsewhere: Sequence[tuple[Gap, str]]  # what rests on the dates and waits for something that is not theirs

    @property
    def complete(self) -> bool:
        """Whether neither the dates nor what rests on them ask for anything that a repair can do."""
        return not self.look.judgement.gaps

    def targets(self, pipeline: Pipeline) -> list[Target]:
        """What there is on the dates: every processor that has something to do with one of them."""
        verdict = self.look.judgement.verdict
        listed = (Target(name, day) for day in self.dates for name in pipeline.processors)
        return [target for target in listed if verdict(target) not in (None, Verdict.OFF_DAY)]

    def seen(self, target: Target) -> Seen:
        return self.look.observation.seen(target) or NOTHING


def reach(pipeline: Pipeline, roots: Collection[str]) -> dict[str, int]:
    """Per processor, for how many days after a date of the roots its rows may rest on it; others are not there."""
    days = dict.fromkeys(roots, 0)
    for processor in pipeline.processors.values():
        for name, edge in processor.upstream.items():
            if name in days:
                days[processor.name] = max(days.get(processor.name, 0), days[name] + edge.lookback_days)
    return days


def look_at(engine: Engine, dates: Collection[date], named: Collection[str], last: date) -> Case:
    """Look once at the dates and at all that may rest on them, and plan their repair; nothing is changed.

    With `named`, only these processors are repaired on the dates, and what rests on them. `last` is the last date that
    the pipeline prepares.
    """
    pipeline, now = engine.pipeline, engine.clock()
    roots = frozenset(named) or frozenset(pipeline.processors)
    days = tuple(sorted(set(dates)))
    reached = reach(pipeline, roots)
    end = min(days[-1] + timedelta(days=max(reached.values())), last)
    scope = Scope(days[0], max(end, days[-1]), frozenset(reached), explicit=True)
    observation = engine.observer.observe(scope, civil_today(pipeline, now))
    judgement = judge(pipeline, observation, engine.policy, scope, now)
    gaps = [gap for gap in judgement.gaps if gap.target.day in days or _rests(gap, days, reached)]
    chosen, ledger = gaps, observation.ledger
    if engine.policy.force:
        chosen = _with_what_is_complete(pipeline, observation, judgement, gaps, days, roots)
        ledger = replace(ledger, history={})  # earlier failures keep nothing waiting
    careful = replace(engine.policy, force=False)  # what is complete on other dates stays
    whole = plan(pipeline, replace(judgement, gaps=chosen), ledger, careful, now)
    own = tuple((gap, why) for gap, why in whole.held if gap.target.day in days)
    others = [(gap, why) for gap, why in whole.held if gap.target.day not in days]
    left = {gap.target for gap, _ in others}
    narrowed = replace(judgement, gaps=[gap for gap in gaps if gap.target not in left])
    elsewhere = [(gap, why) for gap, why in others if not _is_of_its_own_date(gap)]
    return Case(days, Look(observation, narrowed, _told(replace(whole, held=own), judgement), now), elsewhere)


def _rests(gap: Gap, days: Sequence[date], reached: Mapping[str, int]) -> bool:
    """Whether a gap of another date may be there because of these.

    It has rows, and they were built on something else than is there now, or wait for what they were built on. What was
    never built, or lost rows without anything else having changed, is a matter of its own.
    """
    name, day = gap.target
    if not any(0 < (day - each).days <= reached.get(name, 0) for each in days):
        return False
    if gap.verdict in (Verdict.CONTAMINATED, Verdict.PARTIAL):
        return gap.seen.inputs != gap.inputs
    return gap.verdict is Verdict.BLOCKED and gap.seen.rows > 0


def _is_of_its_own_date(gap: Gap) -> bool:
    """Whether a gap waits for nothing but its own date: then it is in reach by chance, and a scan tells of it."""
    return bool(gap.blockers) and all(blocker.day == gap.target.day for blocker in gap.blockers)


def _with_what_is_complete(
    pipeline: Pipeline,
    observation: Observation,
    judgement: Judgement,
    gaps: Sequence[Gap],
    days: Sequence[date],
    roots: Collection[str],
) -> list[Gap]:
    """The gaps, and as further ones what is complete on the dates, upstream first."""
    more = [
        Gap(target, Verdict.CONTAMINATED, observation.seen(target) or NOTHING, judgement.inputs_of(target), None)
        for name in roots
        if pipeline.processors[name].run != "none"
        for target in (Target(name, day) for day in days)
        if judgement.verdict(target) in HAS_ITS_KEYS
    ]
    order = {name: place for place, name in enumerate(pipeline.processors)}
    return sorted([*gaps, *more], key=lambda gap: (order[gap.target.processor], gap.target.day))


def _told(planned: Plan, judgement: Judgement) -> Plan:
    """The plan with the verdicts that were seen as its reasons."""

    def told(action: Action) -> Action:
        verdicts = (judgement.verdict(Target(action.processor, day)) for day in action.run)
        return action._replace(reasons=tuple(sorted(Counter(v for v in verdicts if v).items())))

    return replace(planned, waves=tuple(tuple(map(told, wave)) for wave in planned.waves))
