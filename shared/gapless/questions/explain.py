"""Explain: the chain of evidence behind one target's verdict, back to the raw tables. Pure; reads a look."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta

from gapless.declare.pipeline import Pipeline
from gapless.declare.processor import Upstream
from gapless.engine import Look
from gapless.errors import BadInput
from gapless.judge.verdicts import NOTHING, Judgement
from gapless.model import IS_A_GAP, Acknowledged, Gap, History, Observation, Seen, Target, Verdict
from gapless.verdict import Asks

_MOST_CAUSES = 3  # of one upstream, followed further


@dataclass(frozen=True)
class Reading:
    """What a target reads of one upstream: which days, what they look like, and the ones that are in the way."""

    processor: str
    days: str
    counts: dict[Verdict, int]
    rebuilt: bool  # changed since the target was built, as far as its own day tells
    causes: tuple[Evidence, ...]


@dataclass(frozen=True)
class Evidence:
    """One target with everything that its verdict rests on."""

    target: Target
    verdict: Verdict
    seen: Seen
    inputs: int
    gap: Gap | None
    history: History | None
    reads: tuple[Reading, ...] = ()
    acknowledged: tuple[Acknowledged, ...] = ()  # what people said of it, whether it still holds or not

    def roots(self) -> Iterator[Evidence]:
        """The targets at which the trouble starts: gaps that nothing upstream explains."""
        causes = [cause for read in self.reads for cause in read.causes]
        if not causes and self.verdict in IS_A_GAP and self.verdict.meaning.asks is not Asks.UPSTREAM:
            yield self
        for cause in causes:
            yield from cause.roots()


def explain(pipeline: Pipeline, look: Look, target: Target) -> Evidence:
    """The evidence for a target; raises `BadInput` where the processor has nothing to do with that date."""
    verdict = look.judgement.verdict(target)
    if verdict is None:
        processor = pipeline.processors[target.processor]
        kind = {"historical": "dates before today", "upcoming": "today and the days after it"}.get(processor.applies_to)
        if kind:
            raise BadInput(f"{target.processor} is about {kind}; {target.day} is not one of them")
        verdict = Verdict.OFF_DAY
    return _Chain(pipeline, look.observation, look.judgement).evidence(target, verdict)


class _Chain:
    """Follows what is read from target to target, and tells of none twice."""

    def __init__(self, pipeline: Pipeline, observation: Observation, judgement: Judgement) -> None:
        self._pipeline = pipeline
        self._observation = observation
        self._judgement = judgement
        self._gaps = {gap.target: gap for gap in judgement.gaps}
        self._told: set[Target] = set()

    def evidence(self, target: Target, verdict: Verdict) -> Evidence:
        self._told.add(target)
        ledger = self._observation.ledger
        upstream = self._pipeline.processors[target.processor].upstream
        found = (self._read(target, name, edge) for name, edge in upstream.items())
        return Evidence(
            target=target,
            verdict=verdict,
            seen=self._observation.seen(target) or NOTHING,
            inputs=self._inputs(target),
            gap=self._gaps.get(target),
            history=ledger.history.get(target),
            reads=tuple(read for read in found if read),
            acknowledged=tuple(word for word in ledger.acknowledged if word.covers(target)),
        )

    def _read(self, target: Target, name: str, edge: Upstream) -> Reading | None:
        """What a target reads of one upstream; None where that is nothing."""
        column = self._judgement.verdicts.get(name, ())
        here = (target.day - self._judgement.first).days
        # The judge limits own days to dates before or from today; a verdict that is not there means the same here.
        reads_own_day = edge.own_day != "never" and 0 <= here < len(column) and column[here] is not None
        if not edge.lookback_days and not reads_own_day:
            return None
        start = max(here - edge.lookback_days, 0)
        end = max(here + reads_own_day, start)
        return Reading(
            processor=name,
            days=_days(target.day, edge.lookback_days, reads_own_day),
            counts=dict(Counter(verdict for verdict in column[start:end] if verdict is not None)),
            rebuilt=self._is_rebuilt(target, name, edge),
            causes=self._causes(name, range(end - 1, start - 1, -1)),
        )

    def _causes(self, name: str, places: Iterable[int]) -> tuple[Evidence, ...]:
        """The evidence for the first gaps of a processor among some days that are not told of yet."""
        column = self._judgement.verdicts.get(name, ())
        causes: list[Evidence] = []
        for place in places:
            if len(causes) == _MOST_CAUSES:
                break
            cause, verdict = Target(name, self._judgement.first + timedelta(days=place)), column[place]
            if verdict is not None and verdict in IS_A_GAP and cause not in self._told:
                causes.append(self.evidence(cause, verdict))
        return tuple(causes)

    def _is_rebuilt(self, target: Target, name: str, edge: Upstream) -> bool:
        """Whether an upstream was written after the target, as far as its own day tells."""
        own, seen = self._observation.seen(Target(name, target.day)), self._observation.seen(target)
        if own is None or seen is None:
            return False
        return seen.rows > 0 and edge.version and own.changed_at > seen.changed_at

    def _inputs(self, target: Target) -> int:
        """The fingerprint of what a run would read now."""
        inputs = self._judgement.inputs.get(target.processor, ())
        place = (target.day - self._judgement.first).days
        return inputs[place] if 0 <= place < len(inputs) else 0


def _days(day: date, lookback_days: int, reads_own_day: bool) -> str:
    """The days that are read, in words."""
    if not lookback_days:
        return str(day)
    last = day if reads_own_day else day - timedelta(days=1)
    return f"{day - timedelta(days=lookback_days)} to {last}"
