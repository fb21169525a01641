"""Waves: one call's way through a plan, every wave judged anew on what the waves before it left.

A target whose upstream did not land waits, one that turns out to be complete is left alone, and one that another run
claimed is left to it. What was done is in the `ApplyReport`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from gapless.declare.pipeline import Pipeline
from gapless.execute.executor import Executor, Orders
from gapless.judge.verdicts import civil_today, judge
from gapless.model import (
    ASKS_FOR_A_RUN,
    Action,
    Batch,
    Outcome,
    Policy,
    Seen,
    Status,
    Target,
    Verdict,
    Wanted,
)
from gapless.plan.look import Look
from gapless.verdict import EXPECTS_NOTHING

Progress = Callable[[str, int], None]  # what is begun, and with how many targets more the call is done
_NOTHING = Seen(0, 0)
_CLAIMED = "another run claimed it"


@dataclass
class ApplyReport:
    """What an apply did: the outcomes, what it left waiting, and the look afterwards."""

    run_id: str
    outcomes: list[Outcome] = field(default_factory=list)
    landed: set[Target] = field(default_factory=set)  # the targets that a run was made for
    started: dict[Target, str] = field(default_factory=dict)  # asked of other services, with their receipts
    running: dict[Target, str] = field(default_factory=dict)  # a later call picks up what their statements make
    waiting: dict[Target, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    stopped: bool = False  # by a person, before everything was done
    after: Look | None = None

    @property
    def failed(self) -> list[Outcome]:
        return [o for o in self.outcomes if o.status is not Status.COMPLETE]


class Waves:
    """Runs the waves of one plan, one after the other."""

    def __init__(
        self,
        *,
        pipeline: Pipeline,
        executor: Executor,
        policy: Policy,
        clock: Callable[[], datetime],
        look: Look,
        orders: Orders,
        progress: Progress,
    ) -> None:
        self.report = ApplyReport(orders.run_id)
        self._pipeline = pipeline
        self._executor = executor
        self._policy = policy
        self._clock = clock
        self._scope = look.judgement.scope
        self._orders = orders
        self._progress = progress
        self._observation = look.observation
        self._judgement = look.judgement
        self._newest = look.observation.ledger.newest_claim
        self._failed: dict[str, set[date]] = {}
        self._taken: set[Target] = set()  # claimed by other runs since the look
        self._made = 0  # targets of the wave that the progress has heard of

    def run(self, wave: Sequence[Action]) -> None:
        """Run what still asks for it, and judge everything anew."""
        self._made = 0
        today = civil_today(self._pipeline, self._clock())
        self._measure_again(wave, today)
        own: list[Wanted] = []
        outside: list[Wanted] = []
        for wanted in self._wanted(wave, today):
            is_ours = self._pipeline.processors[wanted.target.processor].run == "sql"
            (own if is_ours else outside).append(wanted)
        if outside:
            self._ask(outside, today)
        if own:
            self._make(own, today)
        self._progress("", sum(len(action.run) + len(action.recheck) for action in wave) - self._made)

    def _measure_again(self, wave: Sequence[Action], today: date) -> None:
        doubtful = self._doubtful(wave)
        if doubtful:
            self._judge_anew(self._executor.measure(doubtful, today))

    def _judge_anew(self, measured: Mapping[Target, Seen]) -> None:
        self._observation = self._observation.updated(measured)
        self._judgement = judge(self._pipeline, self._observation, self._policy, self._scope, self._clock())

    def _ask(self, wanted: Sequence[Wanted], today: date) -> None:
        """Ask other services for runs; what they did not take has failed."""
        asked, missed, claim = self._executor.start(wanted, self._newest, self._orders, today)
        self._newest = claim.number
        self._taken |= claim.others | asked.keys()
        self.report.started |= asked
        self.report.outcomes += missed
        self._remember_failures(missed)

    def _make(self, wanted: Sequence[Wanted], today: date) -> None:
        """Make the targets ourselves, and take them as they were measured afterwards."""
        outcomes, measured, claim = self._executor.run(wanted, self._newest, self._orders, today, self._count)
        running = self._executor.running
        self._newest = claim.number
        self._taken |= claim.others | running.keys()
        self.report.outcomes += outcomes
        self.report.landed.update(outcome.target for outcome in outcomes)
        self.report.running |= running
        self._remember_failures(outcomes)
        lost = {each.target for each in wanted} - {outcome.target for outcome in outcomes} - running.keys()
        self.report.waiting.update(dict.fromkeys(lost, _CLAIMED))
        self._judge_anew(measured)

    def _count(self, batch: Batch) -> None:
        self._made += len(batch.days)
        self._progress("", len(batch.days))

    def _remember_failures(self, outcomes: Iterable[Outcome]) -> None:
        for outcome in outcomes:
            was_published = self._policy.lift_gate and outcome.status is Status.PARTIAL
            if outcome.status is not Status.COMPLETE and not was_published:
                self._failed.setdefault(outcome.target.processor, set()).add(outcome.target.day)

    # -- what of a wave is run --------------------------------------------------------------------------------------

    def _wanted(self, wave: Sequence[Action], today: date) -> list[Wanted]:
        """The targets of a wave that still ask for a run and may have it; why others wait goes to the report."""
        wanted: list[Wanted] = []
        blocked: list[Target] = []
        for action in wave:
            for day in sorted((*action.run, *action.recheck)):
                target = Target(action.processor, day)
                verdict = self._verdict_now(action, target)
                if verdict is Verdict.BLOCKED:
                    blocked.append(target)
                elif self._asks_for_a_run(action, target, verdict):
                    hole = self._failed_upstream(target, day < today)
                    if target in self._taken:
                        self.report.waiting[target] = _CLAIMED
                    elif hole:
                        self.report.waiting[target] = f"{hole} failed in this run"
                    else:
                        wanted.append(Wanted(target, self._judgement.inputs_of(target), str(verdict)))
        self._say_what_blocks(blocked)
        return wanted

    def _verdict_now(self, action: Action, target: Target) -> Verdict | None:
        verdict = self._judgement.verdict(target)
        if verdict in EXPECTS_NOTHING and target.day in action.run:
            # So it was before the waves that this one waited for; what is expected now, the audit will say.
            return Verdict.MISSING
        return verdict

    def _asks_for_a_run(self, action: Action, target: Target, verdict: Verdict | None) -> bool:
        is_forced = self._policy.force and target.day in action.run
        return verdict in ASKS_FOR_A_RUN or (is_forced and verdict is Verdict.COMPLETE)

    def _say_what_blocks(self, blocked: Sequence[Target]) -> None:
        if not blocked:
            return
        blockers = {gap.target: gap.blockers for gap in self._judgement.gaps if gap.blockers}
        for target in blocked:
            first = blockers.get(target, ())[:1]
            self.report.waiting[target] = f"{first[0] if first else 'something upstream'} is still not complete"

    def _doubtful(self, wave: Sequence[Action]) -> list[Target]:
        """The targets of a wave that are judged by an expectation from before this run wrote what it rests on.

        They look complete, or as if nothing were expected of them yet because of a hole in their look-back.
        """
        written = {target.processor for target in self.report.landed}
        doubtful: list[Target] = []
        for action in wave:
            reads_what_was_written = written & set(self._pipeline.processors[action.processor].upstream)
            if reads_what_was_written:
                doubtful += [target for target in action.targets if self._may_have_changed(target)]
        return doubtful

    def _may_have_changed(self, target: Target) -> bool:
        verdict = self._judgement.verdict(target)
        if verdict is Verdict.COMPLETE:
            return True
        seen = self._observation.seen(target) or _NOTHING
        return verdict is Verdict.BLOCKED and not seen.expected

    def _failed_upstream(self, target: Target, historical: bool) -> Target | None:
        """What the target reads and may not do without, if this run could not make it."""
        for name, edge in self._pipeline.processors[target.processor].upstream.items():
            broken = self._failed.get(name)
            if not broken or self._pipeline.processors[name].optional or edge.fallback:
                continue
            nearest = 0 if edge.reads_own_day(historical) else 1
            for back in range(nearest, edge.lookback_days + 1):
                day = target.day - timedelta(days=back)
                if day in broken:
                    return Target(name, day)
        return None
