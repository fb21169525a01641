"""Gapless in one screen: declare, observe, judge, plan, execute, observe again.

An event, the hourly scan, a manual request and the command line all come here with a scope. Nothing is decided from
what they carry; everything is decided from the tables.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from gapless.declare.pipeline import Pipeline
from gapless.errors import Halted, PlanChanged
from gapless.execute.executor import Executor
from gapless.judge.verdicts import Judgement, civil_today, judge
from gapless.model import (
    ASKS_FOR_A_RUN,
    Action,
    Batch,
    Observation,
    Outcome,
    Plan,
    Policy,
    Scope,
    Seen,
    Status,
    Target,
    Verdict,
    Wanted,
)
from gapless.plan.planner import plan
from gapless.warehouse.ports import Observer

_NOTHING = Seen(0, 0)
_NOTHING_EXPECTED = frozenset({Verdict.BOOTSTRAP, Verdict.OFF_DAY, Verdict.PHANTOM})


@dataclass(frozen=True)
class Look:
    """What was seen at one moment, what it means, and what should be done about it."""

    observation: Observation
    judgement: Judgement
    plan: Plan
    at: datetime


@dataclass
class Report:
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


@dataclass
class _Made:
    """Counts what a wave has made, and says so."""

    progress: Callable[[str, int], None]
    targets: int = 0

    def batch(self, batch: Batch) -> None:
        self.targets += len(batch.days)
        self.progress("", len(batch.days))


@dataclass
class Engine:
    """Keeps one declared pipeline complete."""

    pipeline: Pipeline
    observer: Observer
    executor: Executor
    policy: Policy
    clock: Callable[[], datetime]

    def scan(self, scope: Scope) -> Look:
        """Observe, judge and plan; nothing is changed."""
        now = self.clock()
        observation = self.observer.observe(scope, civil_today(self.pipeline, now))
        judgement = judge(self.pipeline, observation, self.policy, scope, now)
        return Look(observation, judgement, plan(self.pipeline, judgement, observation.ledger, self.policy, now), now)

    def apply(
        self,
        look: Look,
        reviewed: str = "",
        progress: Callable[[str, int], None] = lambda _text, _done: None,
        *,
        look_again: bool = True,
        run_id: str = "",
    ) -> Report:
        """Execute a plan wave by wave, and look again, unless the caller has no use for that.

        `progress` hears what is begun, and of how many targets more the plan is done with.

        Raises `PlanChanged` when `reviewed` is another plan's checksum, `Halted` when healing is switched off. Before
        each wave everything is judged anew on what the waves before it left: a target whose upstream did not land
        waits, one that turns out to be complete is left alone.
        """
        if reviewed and reviewed != look.plan.checksum:
            raise PlanChanged(
                f"the plan is {look.plan.checksum} now, {reviewed} was reviewed; the tables have changed since: "
                "review it again with: gapless plan"
            )
        if self.policy.halted or self.policy.report_only:
            switch = "GAPLESS_HALT" if self.policy.halted else "GAPLESS_REPORT_ONLY"
            raise Halted(f"nothing was run: {switch} is set; unset it to repair {look.plan.size} targets")
        report = Report(run_id or uuid.uuid4().hex[:12])
        observation, judgement, newest = look.observation, look.judgement, look.observation.ledger.newest_claim
        failed: dict[str, set[date]] = {}
        taken: frozenset[Target] = frozenset()  # claimed by other runs since the look
        for number, wave in enumerate(look.plan.waves, 1):
            progress(f"wave {number} of {len(look.plan.waves)}: {', '.join(sorted({a.processor for a in wave}))}", 0)
            made = _Made(progress)
            today = civil_today(self.pipeline, self.clock())
            doubtful = self._doubtful(wave, observation, judgement, report)
            if doubtful:
                observation = observation.updated(self.executor.measure(doubtful, today))
                judgement = judge(self.pipeline, observation, self.policy, look.judgement.scope, self.clock())
            wanted = self._wanted(wave, judgement, failed, taken, report)
            outside = [w for w in wanted if self.pipeline.processors[w.target.processor].run != "sql"]
            if outside:
                asked, missed, claim = self.executor.start(
                    outside, newest, observation.ledger.generation, report.run_id, today
                )
                newest, taken = claim.number, taken | claim.others | asked.keys()
                report.started |= asked
                report.outcomes += missed
                for outcome in missed:
                    failed.setdefault(outcome.target.processor, set()).add(outcome.target.day)
                wanted = [w for w in wanted if w not in outside]
            if wanted:
                outcomes, measured, claim = self.executor.run(
                    wanted,
                    newest,
                    observation.ledger.generation,
                    report.run_id,
                    today,
                    self.policy.lifted,
                    made.batch,
                )
                newest, taken = claim.number, taken | claim.others
                report.outcomes += outcomes
                report.landed.update(outcome.target for outcome in outcomes)
                for outcome in outcomes:
                    partly = self.policy.lift_gate and outcome.status is Status.PARTIAL
                    if outcome.status is not Status.COMPLETE and not partly:
                        failed.setdefault(outcome.target.processor, set()).add(outcome.target.day)
                report.running |= self.executor.running
                taken |= report.running.keys()
                lost = {w.target for w in wanted} - {o.target for o in outcomes} - report.running.keys()
                report.waiting.update(dict.fromkeys(lost, "another run claimed it"))
                observation = observation.updated(measured)
                judgement = judge(self.pipeline, observation, self.policy, look.judgement.scope, self.clock())
            progress("", sum(len(a.run) + len(a.recheck) for a in wave) - made.targets)
            if self.executor.stopped():
                report.stopped = True
                break
        report.notes = list(self.executor.notes)
        if look_again:
            report.after = self.scan(look.judgement.scope)
        return report

    def pick_up(self, look: Look, after: timedelta) -> Report:
        """Finish what an earlier call left to statements that outlived it; what still runs is in `running`.

        A claim younger than `after` may still have its own call at work, and is left to it.
        """
        report = Report(uuid.uuid4().hex[:12])
        ledger = look.observation.ledger
        claims: dict[tuple[int, str], bool] = {}  # whether the call that made it may still be at work
        for target, history in ledger.history.items():
            own = self.pipeline.processors[target.processor].run == "sql"
            if history.is_open and own and look.judgement.scope.holds(target):
                young = history.last_attempt is not None and look.at - history.last_attempt < after
                # without a lease its owner is known to be gone
                claims[history.claim, target.processor] = young and history.lease_until is not None
        today = civil_today(self.pipeline, self.clock())
        for (number, name), at_work in sorted(claims.items()):
            if at_work:
                report.running |= self.executor.begun(number, name, ledger.generation)
            else:
                outcomes, _ = self.executor.pick_up(number, name, ledger.generation, report.run_id, today)
                report.outcomes += outcomes
        report.running |= self.executor.running
        return report

    def price(self, plan: Plan) -> int:
        """The bytes that a plan's runs would read, from dry runs; what waves make for each other is not there yet."""
        today = civil_today(self.pipeline, self.clock())
        return sum(
            self.executor.workshop.price(Batch(action.processor, action.run, 0, 0), today)
            for action in plan.actions
            if action.run
        )

    def _wanted(
        self,
        wave: Sequence[Action],
        judgement: Judgement,
        failed: Mapping[str, set[date]],
        taken: frozenset[Target],
        report: Report,
    ) -> list[Wanted]:
        """The targets of a wave that still ask for a run and may have it."""
        wanted = []
        waiting: list[Target] = []
        today = civil_today(self.pipeline, self.clock())
        for action in wave:
            forced = set(action.run) if self.policy.force else set()
            for day in sorted((*action.run, *action.recheck)):
                target = Target(action.processor, day)
                verdict = judgement.verdict(target)
                if verdict in _NOTHING_EXPECTED and day in action.run:
                    # So it was before the waves that this one waited for; what is expected now, the audit will say.
                    verdict = Verdict.MISSING
                if verdict not in ASKS_FOR_A_RUN and not (day in forced and verdict is Verdict.COMPLETE):
                    if verdict is Verdict.BLOCKED:
                        waiting.append(target)
                    continue
                hole = self._failed_upstream(target, failed, day < today)
                if target in taken:
                    report.waiting[target] = "another run claimed it"
                elif hole:
                    report.waiting[target] = f"{hole} failed in this run"
                else:
                    wanted.append(Wanted(target, judgement.inputs_of(target), str(verdict)))
        if waiting:
            blockers = {gap.target: gap.blockers for gap in judgement.gaps if gap.blockers}
            for target in waiting:
                first = blockers.get(target, ())[:1]
                report.waiting[target] = f"{first[0] if first else 'something upstream'} is still not complete"
        return wanted

    def _doubtful(
        self, wave: Sequence[Action], observation: Observation, judgement: Judgement, report: Report
    ) -> list[Target]:
        """The targets of a wave that are judged by an expectation from before this run wrote what it rests on.

        They look complete, or as if nothing were expected of them yet because of a hole in their look-back.
        """
        written = {target.processor for target in report.landed}
        return [
            target
            for action in wave
            if written & set(self.pipeline.processors[action.processor].upstream)
            for target in action.targets
            if (verdict := judgement.verdict(target)) is Verdict.COMPLETE
            or (verdict is Verdict.BLOCKED and not (observation.seen(target) or _NOTHING).expected)
        ]

    def _failed_upstream(self, target: Target, failed: Mapping[str, set[date]], historical: bool) -> Target | None:
        """What the target reads and may not do without, if this run could not make it."""
        for name, edge in self.pipeline.processors[target.processor].upstream.items():
            broken = failed.get(name)
            if not broken or self.pipeline.processors[name].optional or edge.fallback:
                continue
            for back in range(0 if edge.reads_own_day(historical) else 1, edge.lookback_days + 1):
                if target.day - timedelta(days=back) in broken:
                    return Target(name, target.day - timedelta(days=back))
        return None
