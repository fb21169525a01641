"""Backfill: any range through any phases, one phase after the other, with a look at the tables between.

Nothing is kept about how far a backfill came. Repeating it plans anew from the tables, and so goes on where the last
one ended, whatever ended it.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

from gapless.declare.pipeline import Pipeline
from gapless.engine import ApplyReport, Engine, Look
from gapless.errors import GaplessError
from gapless.messages import range_completion
from gapless.model import IS_A_GAP, Gap, Outcome, Status, Target, Verdict, days_between

Progress = Callable[[str, int], None]


@dataclass(frozen=True)
class PhaseDone:
    """One phase of a backfill: what was run, and what the tables hold afterwards."""

    phase: int
    report: ApplyReport
    complete: int  # targets of the phase that are complete now
    open: tuple[Gap, ...]  # those that are not; with them their dates, and what builds on these, stop
    announced: tuple[str, ...]  # topics that took the phase's completion


@dataclass
class BackfillReport:
    """Everything that a backfill did."""

    run_id: str
    phases: list[PhaseDone] = field(default_factory=list)
    stopped: str = ""  # why it ended before its last phase
    by_hand: bool = False  # a person ended it
    after: Look | None = None  # the last look; None when nothing was to be done

    @property
    def outcomes(self) -> list[Outcome]:
        return [outcome for done in self.phases for outcome in done.report.outcomes]

    @property
    def failed(self) -> list[Outcome]:
        return [outcome for done in self.phases for outcome in done.report.failed]

    @property
    def notes(self) -> list[str]:
        return list(dict.fromkeys(note for done in self.phases for note in done.report.notes))


def phases_of(pipeline: Pipeline, look: Look) -> list[int]:
    """The phases that a look's scope runs, in order."""
    wanted = look.judgement.scope.processors
    members = (p for p in pipeline.processors.values() if p.run != "none" and (not wanted or p.name in wanted))
    return sorted({p.phase for p in members})


def backfill(
    engine: Engine,
    look: Look,
    *,
    stop_on_failure: bool = False,
    progress: Progress = lambda _text, _done: None,
    told: Callable[[PhaseDone], None] = lambda _done: None,
    stopped: Callable[[], bool] = lambda: False,
) -> BackfillReport:
    """Run what a look plans, phase by phase; `told` hears of each when the tables have been looked at after it.
    `stopped` is asked before every batch.

    A phase that is not complete for a date stops that date and what depends on it, for the next phase is planned from
    what is there; with `stop_on_failure` it stops everything. Each phase is announced once, as a range.
    """
    report = BackfillReport(uuid.uuid4().hex[:12], after=look)
    if not look.plan.waves:
        return report
    for phase in phases_of(engine.pipeline, look):
        members = frozenset(p.name for p in engine.pipeline.processors.values() if p.phase == phase)
        part = Look(look.observation, look.judgement, look.plan.of(members), look.at)
        if part.plan.waves:
            done = engine.apply(
                part, progress=_named(progress, phase), run_id=report.run_id, announces=False, stopped=stopped
            )
            assert done.after is not None
            look = report.after = done.after
        else:
            done = ApplyReport(report.run_id)
        announced = announce(engine, phase, done)
        gaps = tuple(gap for gap in look.judgement.gaps if gap.target.processor in members)
        report.phases.append(PhaseDone(phase, done, _complete(look, members), gaps, announced))
        told(report.phases[-1])
        if done.stopped:
            report.stopped, report.by_hand = "by hand", True
        elif gaps and stop_on_failure:
            report.stopped = f"phase {phase} is not complete for {len({gap.target.day for gap in gaps})} dates"
        if report.stopped:
            break
    return report


def _named(progress: Progress, phase: int) -> Progress:
    return lambda text, done: progress(f"phase {phase}, {text}" if text else "", done)


def announce(engine: Engine, phase: int, report: ApplyReport) -> tuple[str, ...]:
    """Publish one message per topic for all dates that the phase completed; returns the topics that took it.

    A topic that does not take it costs time, not data, and is in the report's notes: the next scan looks anyway.
    """
    by_topic: dict[str, dict[str, list[Outcome]]] = {}
    for outcome in report.outcomes:
        processor = engine.pipeline.processors[outcome.target.processor]
        topic = engine.pipeline.topic_of(processor)
        if topic and outcome.status is Status.COMPLETE:
            by_topic.setdefault(topic, {}).setdefault(processor.name, []).append(outcome)
    taken = []
    for topic, by_processor in by_topic.items():
        outcomes = [outcome for each in by_processor.values() for outcome in each]
        days: set[date] = {outcome.target.day for outcome in outcomes}
        records = sum(outcome.covered for outcome in outcomes)
        message = range_completion(
            engine.pipeline.messages, phase, sorted(by_processor), sorted(days), records, report.run_id, engine.clock()
        )
        try:
            engine.executor.bus.publish(topic, message)
        except GaplessError as error:
            report.notes.append(f"completion of phase {phase} was not announced on {topic}: {error}")
        else:
            taken.append(topic)
    return tuple(taken)


def _complete(look: Look, members: frozenset[str]) -> int:
    scope, judgement = look.judgement.scope, look.judgement
    low, high = max((scope.first - judgement.first).days, 0), (scope.last - judgement.first).days + 1
    chosen: Sequence[str] = [name for name in members if not scope.processors or name in scope.processors]
    return sum(1 for name in chosen for v in judgement.verdicts.get(name, ())[low:high] if v is Verdict.COMPLETE)


def unready(pipeline: Pipeline, look: Look) -> dict[str, list[date]]:
    """Where the waiting starts: what the scope builds on and does not run, a source or a phase, with its dates."""
    wanted = look.judgement.scope.processors
    found: dict[str, set[date]] = {}
    told: set[Target] = set()
    waiting = [gap.target for gap in look.judgement.gaps]
    while waiting:
        for read in _needed(pipeline, waiting.pop()):
            verdict = look.judgement.verdict(read)
            if verdict not in IS_A_GAP or read in told:
                continue
            told.add(read)
            is_source = pipeline.processors[read.processor].run == "none"
            is_left_out = bool(wanted) and read.processor not in wanted
            if verdict is Verdict.BLOCKED:
                waiting.append(read)
            elif is_source or is_left_out:
                found.setdefault(read.processor, set()).add(read.day)
    return {name: sorted(days) for name, days in found.items()}


def _needed(pipeline: Pipeline, target: Target) -> Iterator[Target]:
    """What a target reads and may not do without, look-back windows included."""
    for name, edge in pipeline.processors[target.processor].upstream.items():
        if pipeline.processors[name].optional or edge.fallback:
            continue
        for day in days_between(target.day - timedelta(days=edge.lookback_days), target.day):
            yield Target(name, day)
