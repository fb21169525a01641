"""What the ledger knows of clean-ups: the newest claim, open leases, the backups, the log of attempts."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

from gapless import ledger
from gapless.declare.pipeline import Pipeline
from gapless.declare.processor import Processor
from gapless.errors import Refused
from gapless.tasks.cleanup.decision import Lease, Report
from gapless.tasks.cleanup.outcome import Cleaned
from gapless.tasks.cleanup.statements import BACKUP_DAYS
from gapless.warehouse.names import quoted
from gapless.warehouse.ports import Warehouse


class Head(NamedTuple):
    """The number of the newest claim, and the ledger's generation."""

    newest: int
    generation: str


class Backup(NamedTuple):
    """A row of `table_backups`, and whether its table is still there."""

    table: str
    source: str
    rows: int
    reason: str
    created_at: datetime
    expires_at: datetime | None
    exists: bool

    def expired(self, now: datetime) -> bool:
        return self.expires_at is not None and self.expires_at <= now

    def state(self, now: datetime) -> str:
        return "expired" if self.expired(now) else "here" if self.exists else "gone"


@dataclass(frozen=True)
class Records:
    """The ledger's tables, as a clean-up reads and writes them."""

    pipeline: Pipeline
    warehouse: Warehouse
    clock: Callable[[], datetime]

    def head(self) -> Head:
        """Where the log of claims ends."""
        ((newest, generation),) = self.warehouse.rows(
            "SELECT MAX(claim_number) AS newest, MIN(IF(claim_number = 0, run_id, NULL)) AS generation "
            f"FROM {quoted(self.table('attempts'))}",
            purpose="claims",
        ).rows
        return Head(newest or 0, ledger.generation_of([(generation,)]))

    def leases(self, processor: Processor, first: date, before: date, now: datetime) -> list[Lease]:
        """The claims on dates of a processor that have no outcome yet and whose owner may still work."""
        found = self.warehouse.rows(
            f"""SELECT a.target_date, IFNULL(a.reason, '') AS reason, a.lease_until, a.owner
FROM {quoted(self.table("attempts"))} AS a
LEFT JOIN {quoted(self.table("backfill_date_outcomes"))} AS o
  ON o.processor_name = a.processor_name AND o.analysis_date = a.target_date AND o.claim_number = a.claim_number
WHERE a.processor_name = @processor AND a.target_date >= @first AND a.target_date < @before
  AND a.lease_until > @now AND o.claim_number IS NULL
ORDER BY a.target_date, a.claim_number""",
            {"processor": processor.name, "first": first, "before": before, "now": now},
            purpose="leases",
        ).rows
        return [Lease(day, reason, until) for day, reason, until, owner in found if not ledger.owner_is_gone(owner)]

    def backups(self) -> list[Backup]:
        """Every backup that was written down, the newest first."""
        there = self.warehouse.tables(self.pipeline.ledger)
        found = self.warehouse.rows(
            "SELECT backup_table, source_table, row_count, IFNULL(reason, ''), created_at, expires_at "
            f"FROM {quoted(self.table('table_backups'))} ORDER BY created_at DESC, backup_table",
            purpose="backups",
        ).rows
        return [
            Backup(table, source, rows, reason, created, expires, table.split(".")[-1] in there)
            for table, source, rows, reason, created, expires in found
        ]

    def backup(self, name: str) -> Backup:
        """The backup of that name, with or without its dataset; `Refused` with those that exist if it is not there."""
        now, every = self.clock(), self.backups()
        full = name if "." in name else self.table(name)
        found = next((b for b in every if b.table == full), None)
        if found and found.state(now) == "here":
            return found
        problem = f"'{name[:120]}' is {found.state(now)}" if found else f"there is no backup '{name[:120]}'"
        here = [b.table.split(".")[-1] for b in every if b.state(now) == "here"]
        raise Refused(f"{problem}; there is {', '.join(here[:10]) if here else 'none at all'}")

    def register(self, backup: str, processor: Processor, rows: int, reason: str) -> None:
        """Write a backup down."""
        now = self.clock()
        self.warehouse.execute(
            f"INSERT INTO {quoted(self.table('table_backups'))} "
            "(backup_table, source_table, row_count, reason, created_at, expires_at) "
            "SELECT @backup, @source, @n, @reason, @now, @expires",
            {
                "backup": backup, "source": processor.table, "n": rows, "reason": reason, "now": now,
                "expires": now + timedelta(days=BACKUP_DAYS),
            },
            purpose="register",
        )  # fmt: skip

    def log(self, done: Cleaned) -> None:
        """Write down what came of an attempt on a table."""
        before, after = done.before or Report(0, None, None), done.after or Report(0, None, None)
        values: dict[str, tuple[str, Any]] = {
            "run_id": ("STRING", done.run_id), "table_name": ("STRING", done.table),
            "cutoff_date": ("DATE", done.cutoff), "rows_before": ("INT64", before.rows if done.before else None),
            "rows_deleted": ("INT64", done.deleted), "oldest_before": ("DATE", before.oldest),
            "newest_before": ("DATE", before.newest), "oldest_after": ("DATE", after.oldest),
            "newest_after": ("DATE", after.newest), "backup_table": ("STRING", done.backup or None),
            "status": ("STRING", str(done.status)), "error_message": ("STRING", done.error or None),
            "cleaned_at": ("TIMESTAMP", self.clock().isoformat()),
        }  # fmt: skip
        casts = ", ".join(f"CAST(JSON_VALUE(@row, '$.{name}') AS {kind})" for name, (kind, _) in values.items())
        self.warehouse.execute(
            f"INSERT INTO {quoted(self.table('cleanup_log'))} ({', '.join(values)}) SELECT {casts}",
            {"row": json.dumps({name: value for name, (_, value) in values.items()}, default=str)},
            purpose="cleanup_log",
        )

    def table(self, name: str) -> str:
        """A table of the ledger, with its dataset."""
        return ledger.table(self.pipeline.ledger, name)
