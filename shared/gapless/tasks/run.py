"""Run one processor for a batch of dates, if these still ask for it, and ask for what follows in its phase.

The tables are looked at first, and what an earlier call left to statements that outlived it is picked up. So a message
that comes twice, late, or while another call is at work does no harm.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from gapless.engine import ApplyReport, Engine, Look
from gapless.errors import GaplessError, StillRunning
from gapless.execute.waves import Progress
from gapless.model import Gap, Scope, Status, Target, Verdict
from gapless.tasks.advance import Dispatched, follow
from gapless.warehouse.ports import Bus


@dataclass(frozen=True)
class Ran:
    """What a run came to: the look that it was planned from, what it did, and what was asked for after it."""

    processor: str
    days: tuple[date, ...]
    look: Look
    report: ApplyReport
    followed: Sequence[Dispatched]

    @property
    def held(self) -> Sequence[tuple[Gap, str]]:
        return self.look.plan.held

    @property
    def is_complete(self) -> bool:
        """Whether nothing of it is left to be done."""
        return not (self.report.failed or self.report.waiting or self.report.started or self.held)

    @property
    def still_running(self) -> StillRunning | None:
        """What a later call has to pick up, as the error that asks for that call."""
        return _still_running(self.processor, self.report)


def run(
    engine: Engine,
    follower: Engine,
    *,
    processor: str,
    days: tuple[date, ...],
    bus: Bus,
    call: timedelta,
    is_repeated: bool,
    progress: Progress,
) -> Ran:
    """Run what still asks for it; `follower` asks for what follows, where it asks for it itself.

    `call` is how long a call lasts at most: claims younger than that are left to their own. `is_repeated`: an earlier
    delivery of the same message may have ended after it wrote and before it asked for what follows.

    Raises `StillRunning` where statements of an earlier call are still at work.
    """
    scope = Scope(days[0], days[-1], frozenset({processor}), frozenset(days), explicit=True)
    look = engine.scan(scope)
    picked = engine.pick_up(look, call)
    waits = _still_running(processor, picked)
    if waits:
        raise waits
    if picked.outcomes:
        look = engine.scan(scope)
    report = engine.apply(look, progress=progress, look_again=False)  # its outcomes were measured in the table
    report.outcomes[:0] = picked.outcomes
    done = {outcome.target.day for outcome in report.outcomes if outcome.status is Status.COMPLETE}
    if is_repeated:
        done.update(_complete(look, processor, days))
    followed, problem = follow(follower, processor, done, bus, "run_processor")
    if problem:
        report.notes.append(_not_followed(processor, problem))
    return Ran(processor, days, look, report, followed)


def _complete(look: Look, processor: str, days: Sequence[date]) -> Iterator[date]:
    for day in days:
        if look.judgement.verdict(Target(processor, day)) is Verdict.COMPLETE:
            yield day


def _still_running(processor: str, report: ApplyReport) -> StillRunning | None:
    if not report.running:
        return None
    first = next(iter(report.running.values()))
    return StillRunning(f"{len(report.running)} dates of {processor}: {first}")


def _not_followed(processor: str, problem: GaplessError) -> str:
    return f"what follows {processor} in its phase was not asked for, the scan will: {problem}"
