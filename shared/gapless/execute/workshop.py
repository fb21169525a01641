"""Stage, audit, publish on BigQuery: one job to make a batch, one to audit a wave, one to publish a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import NamedTuple

from gapless import ledger
from gapless.declare.pipeline import Pipeline
from gapless.model import Batch, Seen, Target
from gapless.warehouse.coverage import coverage
from gapless.warehouse.names import listed
from gapless.warehouse.ports import Param, Warehouse
from gapless.warehouse.publishing import publish
from gapless.warehouse.rows import decoded
from gapless.warehouse.staging import stage
from gapless.warehouse.template import Template

_OF_A_BATCH = Template("""
SELECT {number} AS batch, {columns}
FROM (
{measured}
)
""")


class _AuditedRow(NamedTuple):
    """What was staged for one date: the place of its batch among those that were asked about, and what was counted."""

    batch: int
    day: date
    expected: int
    covered: int
    n_rows: int
    extra: int
    suspect: int
    unfit: int
    duplicates: int


class SqlWorkshop:
    """The `Workshop` port on a warehouse."""

    def __init__(self, warehouse: Warehouse, pipeline: Pipeline, patience: float | None = None) -> None:
        self._warehouse = warehouse
        self._pipeline = pipeline
        self._patience = patience  # seconds; without any, a statement is waited for to its end

    def stage(self, batch: Batch, today: date) -> None:
        processor = self._pipeline.processors[batch.processor]
        self._warehouse.execute(
            stage(self._pipeline, processor, staging_table(self._pipeline, batch)),
            _dates(batch.days) | {"today": today},
            purpose="stage",
            job_id=_job(batch) if self._patience else None,
            patience=self._patience,
        )

    def state(self, batch: Batch) -> str:
        state = self._warehouse.job_state(_job(batch))
        # What was staged is gone when its call died after publishing, or when it expired: nothing is there to pick up.
        if state == "done" and staging_table(self._pipeline, batch).split(".")[1] not in self._warehouse.tables(
            self._pipeline.staging
        ):
            return "missing"
        return state

    def price(self, batch: Batch, today: date) -> int:
        """The bytes that making this batch would read."""
        processor = self._pipeline.processors[batch.processor]
        return self._warehouse.price(
            stage(self._pipeline, processor, staging_table(self._pipeline, batch)),
            _dates(batch.days) | {"today": today},
        )

    def audit(self, batches: Sequence[Batch], today: date) -> Mapping[Target, Seen]:
        parts = []
        for number, batch in enumerate(batches):
            processor = self._pipeline.processors[batch.processor]
            measured = coverage(self._pipeline, processor, table=staging_table(self._pipeline, batch), only_dates=True)
            parts.append(
                _OF_A_BATCH.fill(number=str(number), columns=listed(_AuditedRow._fields[1:]), measured=measured)
            )
        days = sorted({day for batch in batches for day in batch.days})
        answer = self._warehouse.rows("\nUNION ALL\n".join(parts), _dates(days) | {"today": today}, purpose="audit")
        members = [frozenset(batch.days) for batch in batches]
        found: dict[Target, Seen] = {}
        for row in decoded(_AuditedRow, answer):
            # The expectation is that of the whole wave; each batch answers for its own dates only.
            if row.day in members[row.batch]:
                found[Target(batches[row.batch].processor, row.day)] = _seen(row)
        nothing = Seen(0, 0)
        return {
            target: found.get(target, nothing)
            for batch in batches
            for target in (Target(batch.processor, day) for day in batch.days)
        }

    def publish(self, batch: Batch, days: Sequence[date], run_id: str, now: datetime) -> None:
        processor = self._pipeline.processors[batch.processor]
        self._warehouse.execute(
            publish(processor, staging_table(self._pipeline, batch), ledger.table(self._pipeline.ledger, "attempts")),
            _dates(days) | {"processor": batch.processor, "claim": batch.claim, "run_id": run_id, "now": now},
            purpose="publish",
        )

    def discard(self, batch: Batch) -> None:
        self._warehouse.drop(staging_table(self._pipeline, batch))


def staging_table(pipeline: Pipeline, batch: Batch) -> str:
    return f"{pipeline.staging}.{batch.processor}_{batch.claim:09d}_{batch.part}"


def _job(batch: Batch) -> str:
    """The id under which a batch is made, once: whoever knows the claim can ask what became of it."""
    return f"gapless-stage-{batch.generation}-{batch.claim:09d}-{batch.processor}-{batch.part}"


def _dates(days: Sequence[date]) -> dict[str, Param]:
    return {"dates": list(days), "first": min(days), "last": max(days)}


def _seen(row: _AuditedRow) -> Seen:
    return Seen(
        expected=row.expected,
        covered=row.covered,
        rows=row.n_rows,
        extra=row.extra,
        suspect=row.suspect,
        unfit=row.unfit,
        duplicates=row.duplicates,
    )
