"""Where the pieces are put together: the one place that knows both the engine and the cloud."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from gapless import ledger
from gapless.declare.pipeline import Pipeline, load_pipeline
from gapless.declare.settings import Settings
from gapless.engine import Engine
from gapless.execute.executor import Executor
from gapless.execute.workshop import SqlWorkshop
from gapless.judge.verdicts import civil_today
from gapless.model import Policy, Scope
from gapless.observe.observer import SqlObserver
from gapless.warehouse.ports import Bus, Dispatcher, Warehouse
from gapless.warehouse.tables import create_table


def utcnow() -> datetime:
    return datetime.now(UTC)


@dataclass
class InProcessBus:
    """Delivers messages to subscribers in this process; without any, it keeps them to be looked at."""

    sent: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)
    subscribers: list[Callable[[str, Mapping[str, Any]], None]] = field(default_factory=list)

    def publish(self, topic: str, message: Mapping[str, Any]) -> str:
        self.sent.append((topic, message))
        for deliver in self.subscribers:
            deliver(topic, message)
        return str(len(self.sent))


@dataclass
class Gapless:
    """A pipeline with its warehouse, ready to work."""

    pipeline: Pipeline
    warehouse: Warehouse
    bus: Bus
    settings: Settings
    clock: Callable[[], datetime] = utcnow
    dispatcher: Dispatcher | None = None

    def engine(self, policy: Policy, patience: float | None = None, parallel: int = 2) -> Engine:
        """The engine under a policy; switches in the environment hold for every caller.

        With `patience`, a statement that takes more seconds is left to a later call. `parallel` batches run at a time.
        """
        policy = replace(
            policy,
            report_only=policy.report_only or self.settings.report_only,
            halted=policy.halted or self.settings.halted,
        )
        phases = {p.name: p.phase for p in self.pipeline.processors.values()}
        book = ledger.SqlLedger(
            warehouse=self.warehouse,
            dataset=self.pipeline.ledger,
            phases=phases,
            clock=self.clock,
            lease=policy.lease,
            owner=ledger.this_process(findable=not self.settings.serverless),
            outside_lease=policy.outside_lease,
        )
        observer = SqlObserver(self.warehouse, self.pipeline)
        workshop = SqlWorkshop(self.warehouse, self.pipeline, patience)
        executor = Executor(
            pipeline=self.pipeline,
            observer=observer,
            workshop=workshop,
            ledger=book,
            bus=self.bus,
            clock=self.clock,
            parallel=parallel,
            dispatcher=self.dispatcher,
        )
        return Engine(self.pipeline, observer, executor, policy, self.clock)

    def everything(self) -> Scope:
        """From the first day of history to the horizon."""
        today = civil_today(self.pipeline, self.clock())
        return Scope(self.pipeline.history_start, today + timedelta(days=self.pipeline.horizon_days))

    def create(self) -> list[str]:
        """Create every dataset, table and view that is missing; what is there stays as it is.

        Returns the columns that the ledger of an earlier version lacked.
        """
        datasets = {p.dataset for p in self.pipeline.processors.values()} | {self.pipeline.staging}
        for dataset in sorted(datasets):
            self.warehouse.create_dataset(dataset)
        for processor in self.pipeline.processors.values():
            self.warehouse.execute(create_table(processor), purpose="create")
        return ledger.create(self.warehouse, self.pipeline.ledger, self.pipeline.views, self.pipeline.view_columns)


def connect(settings: Settings, clock: Callable[[], datetime] = utcnow) -> Gapless:
    """Gapless on the warehouse that the settings name; the embedded one is started when it is not running."""
    pipeline = load_pipeline(settings.pipeline)  # a mistake in it is told before anything is started
    if settings.local:
        from gapless.local import warehouse as local  # an extra: the cloud does not have it

        settings = replace(settings, emulator=local.start(settings.home, settings.project))
    # Google's libraries take most of a cold start.
    from gapless.gcp.bigquery import BigQueryWarehouse
    from gapless.gcp.outside import OutsideRuns
    from gapless.gcp.pubsub import PubSubBus

    bus: Bus = PubSubBus(settings.project) if settings.publishes else InProcessBus()
    return Gapless(pipeline, BigQueryWarehouse(settings), bus, settings, clock, OutsideRuns(bus, pipeline.messages))
