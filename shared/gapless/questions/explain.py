"""Explain: the chain of evidence behind one target's verdict, back to the raw tables. Pure; reads a look."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from gapless.declare.pipeline import Pipeline
from gapless.engine import Look
from gapless.errors import BadInput
from gapless.judge.verdicts import NOTHING, Judgement
from gapless.model import IS_A_GAP, Acknowledged, Gap, History, Observation, Seen, Target, Verdict
from gapless.verdict import Asks


@dataclass(frozen=True)
class Read:
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
    reads: tuple[Read, ...] = ()
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
    return _evidence(pipeline, look.observation, look.judgement, target, verdict, set())


def _evidence(
    pipeline: Pipeline,
    observation: Observation,
    judgement: Judgement,
    target: Target,
    verdict: Verdict,
    told: set[Target],
) -> Evidence:
    told.add(target)
    processor = pipeline.processors[target.processor]
    gaps = {gap.target: gap for gap in judgement.gaps}
    index = (target.day - judgement.first).days
    inputs = judgement.inputs.get(target.processor, ())
    reads = []
    for name, edge in processor.upstream.items():
        column = judgement.verdicts.get(name, ())
        # The judge limits own days to dates before or from today; a verdict that is not there means the same here.
        start = max(index - edge.lookback_days, 0)
        end = index + (edge.own_day != "never" and 0 <= index < len(column) and column[index] is not None)
        window = column[start:end]
        if not edge.lookback_days and end <= start:
            continue
        days = (
            str(target.day)
            if not edge.lookback_days
            else (
                f"{target.day - timedelta(days=edge.lookback_days)} to "
                f"{target.day if end > index else target.day - timedelta(days=1)}"
            )
        )
        causes: list[Evidence] = []
        for i in range(end - 1, start - 1, -1):
            cause = Target(name, judgement.first + timedelta(days=i))
            if column[i] in IS_A_GAP and cause not in told and len(causes) < 3:
                causes.append(_evidence(pipeline, observation, judgement, cause, column[i], told))  # type: ignore[arg-type]
        own = observation.seen(Target(name, target.day))
        seen = observation.seen(target)
        rebuilt = bool(own and seen and seen.rows and edge.version and own.changed_at > seen.changed_at)
        counts = dict(Counter(v for v in window if v is not None))
        reads.append(Read(name, days, counts, rebuilt, tuple(causes)))
    return Evidence(
        target,
        verdict,
        observation.seen(target) or NOTHING,
        inputs[index] if 0 <= index < len(inputs) else 0,
        gaps.get(target),
        observation.ledger.history.get(target),
        tuple(reads),
        tuple(
            word
            for word in observation.ledger.acknowledged
            if word.processor == target.processor and word.first <= target.day <= word.last
        ),
    )
