"""Gapless in one screen: declare, observe, judge, plan, execute, observe again.

An event, the hourly scan, a manual request and the command line all come here with a scope. Nothing is decided from
what they carry; everything is decided from the tables.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from gapless.declare.pipeline import Pipeline
from gapless.errors import Halted, PlanChanged
from gapless.execute.executor import Executor, Orders
from gapless.execute.waves import ApplyReport, Progress, Waves
from gapless.judge.verdicts import civil_today, judge
from gapless.model import Batch, Plan, Policy, Scope
from gapless.plan.look import Look
from gapless.plan.planner import plan
from gapless.warehouse.ports import Observer

__all__ = ["ApplyReport", "Engine", "Look"]


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
        chosen = plan(self.pipeline, judgement, observation.ledger, self.policy, now)
        return Look(observation, judgement, chosen, now)

    def apply(
        self,
        look: Look,
        reviewed: str = "",
        progress: Progress = lambda _text, _done: None,
        *,
        look_again: bool = True,
        run_id: str = "",
        announces: bool = True,
        stopped: Callable[[], bool] = lambda: False,
    ) -> ApplyReport:
        """Execute a plan wave by wave, and look again, unless the caller has no use for that.

        `progress` hears what is begun, and of how many targets more the plan is done with. With `announces` False no
        completion is published: the caller announces what it likes. `stopped` is asked before every batch: a person
        may have had enough.

        Raises `PlanChanged` when `reviewed` is another plan's checksum, `Halted` when healing is switched off. Before
        each wave everything is judged anew on what the waves before it left: a target whose upstream did not land
        waits, one that turns out to be complete is left alone.
        """
        self._refuse(look.plan, reviewed)
        orders = Orders(
            run_id=run_id or uuid.uuid4().hex[:12],
            generation=look.observation.ledger.generation,
            lifted=self.policy.lifted,
            announces=announces,
            stopped=stopped,
        )
        waves = Waves(
            pipeline=self.pipeline,
            executor=self.executor,
            policy=self.policy,
            clock=self.clock,
            look=look,
            orders=orders,
            progress=progress,
        )
        report = waves.report
        for number, wave in enumerate(look.plan.waves, 1):
            names = sorted({action.processor for action in wave})
            progress(f"wave {number} of {len(look.plan.waves)}: {', '.join(names)}", 0)
            waves.run(wave)
            if stopped():
                report.stopped = True
                break
        report.notes = list(self.executor.notes)
        if look_again:
            report.after = self.scan(look.judgement.scope)
        return report

    def pick_up(self, look: Look, after: timedelta) -> ApplyReport:
        """Finish what an earlier call left to statements that outlived it; what still runs is in `running`.

        A claim younger than `after` may still have its own call at work, and is left to it.
        """
        report = ApplyReport(uuid.uuid4().hex[:12])
        orders = Orders(run_id=report.run_id, generation=look.observation.ledger.generation)
        for (number, name), at_work in sorted(self._open_claims(look, after).items()):
            if at_work:
                report.running |= self.executor.begun(number, name, orders)
            else:
                outcomes, _ = self.executor.pick_up(number, name, orders, self._today())
                report.outcomes += outcomes
        report.running |= self.executor.running
        return report

    def price(self, plan: Plan) -> int:
        """The bytes that a plan's runs would read, from dry runs; what waves make for each other is not there yet."""
        total = 0
        for action in plan.actions:
            if action.run:
                batch = Batch(action.processor, action.run, claim=0, part=0)
                total += self.executor.workshop.price(batch, self._today())
        return total

    def _refuse(self, plan: Plan, reviewed: str) -> None:
        if reviewed and reviewed != plan.checksum:
            raise PlanChanged(
                f"the plan is {plan.checksum} now, {reviewed} was reviewed; the tables have changed since: "
                "review it again with: gapless plan"
            )
        if self.policy.halted or self.policy.report_only:
            switch = "GAPLESS_HALT" if self.policy.halted else "GAPLESS_REPORT_ONLY"
            raise Halted(f"nothing was run: {switch} is set; unset it to repair {plan.size} targets")

    def _open_claims(self, look: Look, after: timedelta) -> dict[tuple[int, str], bool]:
        """The claims in scope without an outcome, by number and processor; whether their call may still be at work."""
        claims: dict[tuple[int, str], bool] = {}
        for target, history in look.observation.ledger.history.items():
            is_ours = self.pipeline.processors[target.processor].run == "sql"
            if history.is_open and is_ours and look.judgement.scope.holds(target):
                is_young = history.last_attempt is not None and look.at - history.last_attempt < after
                # without a lease its owner is known to be gone
                claims[history.claim, target.processor] = is_young and history.lease_until is not None
        return claims

    def _today(self) -> date:
        return civil_today(self.pipeline, self.clock())
