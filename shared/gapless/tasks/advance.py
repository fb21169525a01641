"""Advance: look at the tables, and ask for runs of what is ready, in a phase or after a run.

Nothing is run here. A run is asked for by a message to `run_processor`, which looks at the tables again and claims, so
that a message that comes twice, late or not at all does no harm. What still waits inside the phase is asked for after
the run that it waits for, later phases by that run's completion event, and the scan finds what neither reached.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from gapless.declare.pipeline import Pipeline
from gapless.engine import Engine, Look
from gapless.errors import GaplessError
from gapless.judge.verdicts import civil_today
from gapless.messages import RUN_TOPIC, RunRequest
from gapless.model import ASKS_FOR_A_RUN, Gap, Scope, Target, Verdict, days_between
from gapless.warehouse.ports import Bus

_SHOWN = 20  # blocked and held targets in an answer; the counts are whole


@dataclass(frozen=True)
class Dispatched:
    """A run that was asked for: the topic took the message."""

    processor: str
    days: tuple[date, ...]
    message_id: str


@dataclass(frozen=True)
class Advance:
    """What a look led to."""

    look: Look
    ready: int  # targets that could run now
    dispatched: tuple[Dispatched, ...]
    failure: GaplessError | None  # why the rest of what is ready was not asked for

    @property
    def triggered(self) -> int:
        return sum(len(each.days) for each in self.dispatched)


def advance(engine: Engine, look: Look, bus: Bus, requested_by: str, *, dry_run: bool = False) -> Advance:
    """Ask for a run of every target of the plan that waits for nothing; with `dry_run` nothing is asked for."""
    ready = list(_ready(look))
    sent: list[Dispatched] = []
    failure: GaplessError | None = None
    if not (dry_run or engine.policy.report_only or engine.policy.halted):
        for processor, days in ready:
            request = RunRequest(processor, days, engine.policy.force, requested_by)
            try:
                sent.append(Dispatched(processor, days, bus.publish(RUN_TOPIC, request.message())))
            except GaplessError as error:
                failure = error
                break
    return Advance(look, sum(len(days) for _, days in ready), tuple(sent), failure)


def following(pipeline: Pipeline, name: str, done: Collection[date], today: date) -> Scope | None:
    """What builds on these dates of a processor in the processor's own phase: None where nothing does.

    Not only what reads them itself: where a reader turns out to need no run, because what it reads came out the same,
    nobody else would tell of what waited for it. A date is read by itself and by the dates after it whose look-back
    reaches it, if these are the reader's business: past dates are not where it prepares the days to come.
    """
    phase, horizon = pipeline.processors[name].phase, today + timedelta(days=pipeline.horizon_days)
    reached: dict[str, set[date]] = {name: set(done)}
    for p in pipeline.processors.values():  # upstream first
        if p.phase != phase or p.run == "none":
            continue
        read = {
            day
            for upstream, edge in p.upstream.items()
            for own in reached.get(upstream, ())
            for day in days_between(own, min(own + timedelta(days=edge.lookback_days), horizon))
            if p.applies(day < today) and (day > own or edge.reads_own_day(day < today))
        }
        if read:
            reached[p.name] = read
    del reached[name]
    dates = frozenset().union(*reached.values())
    return Scope(min(dates), max(dates), frozenset(reached), dates) if dates else None


def follow(
    engine: Engine, name: str, done: Collection[date], bus: Bus, requested_by: str
) -> tuple[Sequence[Dispatched], GaplessError | None]:
    """Ask for runs of what builds on these dates in the processor's own phase and is ready now: one look, or none.

    Returns what was asked for, and why the rest was not. That is no error of the run that was made: the scan looks
    at the same tables.
    """
    scope = following(engine.pipeline, name, done, civil_today(engine.pipeline, engine.clock()))
    if scope is None:
        return (), None
    try:
        result = advance(engine, engine.scan(scope), bus, requested_by)
    except GaplessError as error:
        return (), error
    return result.dispatched, result.failure


def _ready(look: Look) -> list[tuple[str, tuple[date, ...]]]:
    """The batches of a plan, reduced to what can run as the tables are now."""
    found = []
    for action in look.plan.actions:
        days = tuple(
            day for day in action.run if look.judgement.verdict(Target(action.processor, day)) is not Verdict.BLOCKED
        )
        if days:
            found.append((action.processor, days))
    return found


def answer(result: Advance, engine: Engine) -> dict[str, Any]:
    """The look and what it led to, in numbers, and the first that are blocked or held with their reasons."""
    look = result.look
    verdicts = Counter(gap.verdict for gap in look.judgement.gaps)
    held = [(gap, why) for gap, why in look.plan.held if gap.verdict is not Verdict.IN_FLIGHT]
    return {
        "gaps_found": sum(verdicts[verdict] for verdict in ASKS_FOR_A_RUN),
        "ready": result.ready,
        "triggered": result.triggered,
        "blocked": verdicts[Verdict.BLOCKED],
        "in_flight": verdicts[Verdict.IN_FLIGHT],
        "alerts": sum(1 for gap, _ in held if gap.verdict is not Verdict.BLOCKED),
        "complete": look.judgement.complete,
        "report_only": engine.policy.report_only or engine.policy.halted,
        "bytes_processed": look.observation.bytes_processed,
        "dispatched": listed(result.dispatched),
        "waiting": [_waiting(look, gap) for gap in look.judgement.gaps if gap.verdict is Verdict.BLOCKED][:_SHOWN],
        "held": [
            {"processor": gap.target.processor, "date": gap.target.day.isoformat(), "why": why} for gap, why in held
        ][:_SHOWN],
    }


def listed(dispatched: Sequence[Dispatched]) -> list[dict[str, Any]]:
    """The runs that were asked for, as an answer names them."""
    return [
        {
            "processor": each.processor,
            "dates": len(each.days),
            "first": each.days[0].isoformat(),
            "last": each.days[-1].isoformat(),
            "message_id": each.message_id,
        }
        for each in dispatched
    ]


def _waiting(look: Look, gap: Gap) -> dict[str, Any]:
    """A blocked gate: which upstream, which date, how much is missing."""
    told: dict[str, Any] = {"processor": gap.target.processor, "date": gap.target.day.isoformat()}
    if gap.blockers:
        first = gap.blockers[0]
        seen = look.observation.seen(first)
        told |= {
            "waits_for": first.processor,
            "waits_for_date": first.day.isoformat(),
            "covered": seen.covered if seen else 0,
            "expected": seen.expected if seen else 0,
            "verdict": str(look.judgement.verdict(first)),
            "others": len(gap.blockers) - 1,
        }
    return told
