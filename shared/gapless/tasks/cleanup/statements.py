"""The SQL of backups, deletions and restores; every value is a parameter."""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from datetime import date

from gapless import ledger
from gapless.declare.pipeline import Pipeline
from gapless.declare.processor import Processor
from gapless.warehouse.names import listed, quoted, same
from gapless.warehouse.template import Template, template

_COUNT = template(__file__, "count")
_BACK_UP = template(__file__, "back_up")
_COMPARE = template(__file__, "compare")
_DELETE = template(__file__, "delete")
_ABSENT = template(__file__, "absent")
_BRING_BACK = template(__file__, "bring_back")
_FENCE = Template("""
NOT EXISTS (
  SELECT 1 FROM {attempts} AS a
  WHERE a.processor_name = @processor AND a.target_date IN UNNEST(@days) AND a.claim_number > @claim
)
""")
BACKUP_DAYS = 30
_DATE = "%Y%m%d"


def backup_name(pipeline: Pipeline, processor: Processor, today: date) -> str:
    """A name that no other backup has, in the dataset of the ledger: what is staged goes after a day."""
    table = processor.table.split(".")[1]
    return ledger.table(pipeline.ledger, f"backup_{table}_{today.strftime(_DATE)}_{uuid.uuid4().hex[:8]}")


def is_backup(pipeline: Pipeline, name: str) -> bool:
    """Whether `backup_name` could have given this name."""
    return bool(re.fullmatch(rf"{re.escape(pipeline.ledger)}\.backup_[a-z][a-z0-9_]*_\d{{8}}_[0-9a-f]{{8}}", name))


def count(processor: Processor, table: str) -> str:
    """Count the rows of a table, or of its backup, per date, and say what the warehouse calls today. Reads @zone."""
    return _COUNT.fill(day=processor.date_column, table=quoted(table))


def _chosen(processor: Processor, where: str) -> str:
    """The condition on a row t that is to go: its date, and `where`. Reads @cutoff, @days and what `where` does."""
    day = processor.date_column
    return f"t.{day} < @cutoff AND t.{day} IN UNNEST(@days)" + (f"\n  AND {where}" if where else "")


def back_up(processor: Processor, backup: str, where: str = "") -> str:
    """Copy the chosen rows into a new table that expires; every column, declared or not."""
    return _BACK_UP.fill(
        backup=quoted(backup),
        days=str(BACKUP_DAYS),
        table=quoted(processor.table),
        chosen=_chosen(processor, where),
    )


def compare(processor: Processor, backup: str, where: str = "") -> str:
    """Count a backup and the rows that it should hold, at one moment."""
    return _COMPARE.fill(backup=quoted(backup), table=quoted(processor.table), chosen=_chosen(processor, where))


def delete(processor: Processor, backup: str, attempts: str, where: str = "") -> str:
    """Delete the chosen rows that stand in the backup exactly as they are, unless a newer claim than @claim exists.

    A row that changed or came after the backup was made stays. Reads @processor, @claim too.
    """
    return _DELETE.fill(
        table=quoted(processor.table),
        chosen=_chosen(processor, where),
        backup=quoted(backup),
        fence=_fence(attempts),
    )


def absent(processor: Processor, backup: str) -> str:
    """The backup's rows whose keys the table does not have, as a FROM clause with the alias b. Reads @first, @last."""
    day = processor.date_column
    keys = list(dict.fromkeys((day, *processor.key)))
    return _ABSENT.fill(
        backup=quoted(backup),
        keys=listed(keys),
        table=quoted(processor.table),
        day=day,
        same_key=same(keys, "t", "b"),
    )


def bring_back(processor: Processor, backup: str, names: Sequence[str], attempts: str) -> str:
    """Insert what `absent` finds, unless a newer claim than @claim exists.

    Reads @first, @last, @days, @processor, @claim.
    """
    columns = [f"`{name}`" for name in names]
    return _BRING_BACK.fill(
        table=quoted(processor.table),
        columns=listed(columns),
        values=listed(columns, "b"),
        absent=absent(processor, backup),
        fence=_fence(attempts),
    )


def _fence(attempts: str) -> str:
    return _FENCE.fill(attempts=quoted(attempts))
