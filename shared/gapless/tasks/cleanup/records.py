"""What the ledger knows of clean-ups: the newest claim, open leases, the backups, the log of attempts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import NamedTuple

from gapless import ledger
from gapless.declare.pipeline import Pipeline
from gapless.declare.processor import Processor
from gapless.errors import Refused
from gapless.ledger.balance import HeadRow
from gapless.ledger.tables import CLEANUP_LOG, TABLE_BACKUPS, as_json
from gapless.tasks.cleanup.decision import Lease, TableState
from gapless.tasks.cleanup.outcome import Cleaned
from gapless.tasks.cleanup.statements import BACKUP_DAYS
from gapless.warehouse.names import quoted
from gapless.warehouse.ports import Warehouse
from gapless.warehouse.rows import decoded
from gapless.warehouse.template import template

_HEAD = template(__file__, "head")
_LEASES = template(__file__, "leases")
_BACKUPS = template(__file__, "backups")


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


class _LeaseRow(NamedTuple):
    target_date: date
    reason: str
    lease_until: datetime
    owner: str


class _BackupRow(NamedTuple):
    backup_table: str
    source_table: str
    row_count: int
    reason: str
    created_at: datetime
    expires_at: datetime | None


class _LoggedRow(NamedTuple):
    """What is written of each attempt on a table."""

    run_id: str
    table_name: str
    cutoff_date: date
    rows_before: int | None
    rows_deleted: int | None
    oldest_before: date | None
    newest_before: date | None
    oldest_after: date | None
    newest_after: date | None
    backup_table: str | None
    status: str
    error_message: str | None
    cleaned_at: datetime


@dataclass(frozen=True)
class Records:
    """The ledger's tables, as a clean-up reads and writes them."""

    pipeline: Pipeline
    warehouse: Warehouse
    clock: Callable[[], datetime]

    def head(self) -> Head:
        """Where the log of claims ends."""
        answer = self.warehouse.rows(
            _HEAD.fill(attempts=self._quoted("attempts")),
            purpose="claims",
        )
        (head,) = decoded(HeadRow, answer)
        return Head(head.newest_claim or 0, ledger.generation_of(head.generation))

    def leases(self, processor: Processor, first: date, before: date, now: datetime) -> list[Lease]:
        """The claims on dates of a processor that have no outcome yet and whose owner may still work."""
        answer = self.warehouse.rows(
            _LEASES.fill(attempts=self._quoted("attempts"), outcomes=self._quoted("backfill_date_outcomes")),
            {"processor": processor.name, "first": first, "before": before, "now": now},
            purpose="leases",
        )
        rows = decoded(_LeaseRow, answer)
        return [
            Lease(row.target_date, row.reason, row.lease_until) for row in rows if not ledger.owner_is_gone(row.owner)
        ]

    def backups(self) -> list[Backup]:
        """Every backup that was written down, the newest first."""
        there = self.warehouse.tables(self.pipeline.ledger)
        answer = self.warehouse.rows(
            _BACKUPS.fill(table_backups=self._quoted("table_backups")),
            purpose="backups",
        )
        return [
            Backup(
                table=row.backup_table,
                source=row.source_table,
                rows=row.row_count,
                reason=row.reason,
                created_at=row.created_at,
                expires_at=row.expires_at,
                exists=row.backup_table.split(".")[-1] in there,
            )
            for row in decoded(_BackupRow, answer)
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
        values = {
            "backup_table": "@backup",
            "source_table": "@source",
            "row_count": "@n",
            "reason": "@reason",
            "created_at": "@now",
            "expires_at": "@expires",
        }
        self.warehouse.execute(
            TABLE_BACKUPS.insert(self.pipeline.ledger, values),
            {
                "backup": backup,
                "source": processor.table,
                "n": rows,
                "reason": reason,
                "now": now,
                "expires": now + timedelta(days=BACKUP_DAYS),
            },
            purpose="register",
        )

    def log(self, done: Cleaned) -> None:
        """Write down what came of an attempt on a table."""
        before, after = done.before or TableState(0, None, None), done.after or TableState(0, None, None)
        row = _LoggedRow(
            run_id=done.run_id,
            table_name=done.table,
            cutoff_date=done.cutoff,
            rows_before=before.rows if done.before else None,
            rows_deleted=done.deleted,
            oldest_before=before.oldest,
            newest_before=before.newest,
            oldest_after=after.oldest,
            newest_after=after.newest,
            backup_table=done.backup or None,
            status=str(done.status),
            error_message=done.error or None,
            cleaned_at=self.clock(),
        )
        values = CLEANUP_LOG.from_json(row._fields, "r")
        self.warehouse.execute(
            f"{CLEANUP_LOG.insert(self.pipeline.ledger, values)}\nFROM UNNEST(JSON_QUERY_ARRAY(@rows)) AS r",
            {"rows": as_json([row])},
            purpose="cleanup_log",
        )

    def table(self, name: str) -> str:
        """A table of the ledger, with its dataset."""
        return ledger.table(self.pipeline.ledger, name)

    def _quoted(self, name: str) -> str:
        return quoted(self.table(name))
