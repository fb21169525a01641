"""What became of one table, in a sentence and as facts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Any

from gapless.errors import GaplessError, Refused
from gapless.tasks.cleanup.decision import TableState


class Ended(StrEnum):
    """How an attempt on a table ended."""

    DONE = "done"
    RESTORED = "restored"
    NOTHING = "nothing_to_do"
    DRY_RUN = "dry_run"
    REFUSED = "refused"
    FAILED = "failed"


@dataclass
class Cleaned:
    """What became of one table."""

    run_id: str
    table: str
    cutoff: date
    status: Ended = Ended.FAILED
    before: TableState | None = None
    after: TableState | None = None
    dates: int = 0
    old_rows: int = 0  # that were, or would be, removed or brought back
    deleted: int | None = None  # below zero: rows brought back
    backup: str = ""
    error: str = ""
    failure: GaplessError | None = None

    def summary(self) -> str:
        """One sentence with its numbers."""
        if self.failure or not self.before or not self.after:
            return f"{self.status}: {self.error}"
        what = f"{self.old_rows:,} rows of {self.dates:,} dates"
        now = f"{self.table}: {self.before} before, {self.after} after"
        return {
            Ended.DONE: f"{now}; {what} before {self.cutoff} deleted, backup {self.backup}",
            Ended.RESTORED: f"{now}; {self.old_rows:,} rows brought back from {self.backup}",
            Ended.NOTHING: f"{self.table}: {self.before}; "
            + (f"nothing of {self.backup} is missing" if self.backup else f"nothing is older than {self.cutoff}"),
            Ended.DRY_RUN: f"{self.table}: {self.before}; "
            + (
                f"{self.old_rows:,} rows would come back from {self.backup}"
                if self.backup
                else f"{what} before {self.cutoff} would be deleted"
            ),
        }[self.status]

    def as_json(self) -> dict[str, Any]:
        """The facts by name, without what is not known."""
        facts: dict[str, Any] = {
            "table": self.table, "status": str(self.status), "cutoff_date": self.cutoff.isoformat(),
            "dates": self.dates, "rows_old": self.old_rows, "rows_deleted": self.deleted,
            "backup_table": self.backup or None, "error": self.error or None,
        }  # fmt: skip
        for when, report in (("before", self.before), ("after", self.after)):
            if report:
                facts |= {f"rows_{when}": report.rows, f"oldest_{when}": report.oldest, f"newest_{when}": report.newest}
        return {name: value for name, value in facts.items() if value is not None}


def raise_first(results: Sequence[Cleaned]) -> None:
    """Raise what kept a table from its clean-up, a failure before a refusal; several of a kind in one message."""
    for status in (Ended.FAILED, Ended.REFUSED):
        found = [each for each in results if each.status is status and each.failure]
        if found and found[0].failure:
            kind = type(found[0].failure) if status is Ended.FAILED else Refused
            raise kind("; ".join(each.error for each in found)) from found[0].failure
