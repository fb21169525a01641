"""The SQL of backups, deletions and restores; every value is a parameter."""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from datetime import date

from gapless import ledger
from gapless.declare.pipeline import Pipeline
from gapless.declare.processor import Processor
from gapless.warehouse.names import quoted

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
    day = processor.date_column
    return (
        f"SELECT {day} AS day, COUNT(*) AS n, CURRENT_DATE(@zone) AS today "
        f"FROM {quoted(table)} WHERE {day} IS NOT NULL GROUP BY day"
    )


def _chosen(processor: Processor, where: str) -> str:
    """The condition on a row t that is to go: its date, and `where`. Reads @cutoff, @days and what `where` does."""
    day = processor.date_column
    return f"t.{day} < @cutoff AND t.{day} IN UNNEST(@days)" + (f"\n  AND {where}" if where else "")


def back_up(processor: Processor, backup: str, where: str = "") -> str:
    """Copy the chosen rows into a new table that expires; every column, declared or not."""
    return (
        f"CREATE TABLE {quoted(backup)}\n"
        f"OPTIONS (expiration_timestamp = TIMESTAMP_ADD(CURRENT_TIMESTAMP(), INTERVAL {BACKUP_DAYS} DAY)) AS\n"
        f"SELECT * FROM {quoted(processor.table)} AS t\nWHERE {_chosen(processor, where)}"
    )


def compare(processor: Processor, backup: str, where: str = "") -> str:
    """Count a backup and the rows that it should hold, at one moment."""
    return (
        f"SELECT (SELECT COUNT(*) FROM {quoted(backup)}) AS copied,\n"
        f"(SELECT COUNT(*) FROM {quoted(processor.table)} AS t\nWHERE {_chosen(processor, where)}) AS present"
    )


def delete(processor: Processor, backup: str, attempts: str, where: str = "") -> str:
    """Delete the chosen rows that stand in the backup exactly as they are, unless a newer claim than @claim exists.

    A row that changed or came after the backup was made stays. Reads @processor, @claim too.
    """
    return (
        f"DELETE FROM {quoted(processor.table)} AS t\n"
        f"WHERE {_chosen(processor, where)}\n"
        f"  AND TO_JSON_STRING(t) IN (SELECT TO_JSON_STRING(b) FROM {quoted(backup)} AS b)\n"
        f"  AND {_fence(attempts)}"
    )


def absent(processor: Processor, backup: str) -> str:
    """The backup's rows whose keys the table does not have, as a FROM clause with the alias b. Reads @first, @last."""
    day = processor.date_column
    keys = list(dict.fromkeys((day, *processor.key)))
    same = " AND ".join(f"t.{name} = b.{name}" for name in keys)
    return (
        f"{quoted(backup)} AS b\n"
        f"LEFT JOIN (SELECT DISTINCT {', '.join(keys)} FROM {quoted(processor.table)} "
        f"WHERE {day} BETWEEN @first AND @last) AS t ON {same}\n"
        f"WHERE t.{day} IS NULL"
    )


def bring_back(processor: Processor, backup: str, names: Sequence[str], attempts: str) -> str:
    """Insert what `absent` finds, unless a newer claim than @claim exists.

    Reads @first, @last, @days, @processor, @claim.
    """
    columns = [f"`{name}`" for name in names]
    return (
        f"INSERT INTO {quoted(processor.table)} ({', '.join(columns)})\n"
        f"SELECT {', '.join('b.' + column for column in columns)} FROM {absent(processor, backup)}\n"
        f"  AND {_fence(attempts)}"
    )


def _fence(attempts: str) -> str:
    return (
        f"NOT EXISTS (SELECT 1 FROM {quoted(attempts)} AS a WHERE a.processor_name = @processor "
        "AND a.target_date IN UNNEST(@days) AND a.claim_number > @claim)"
    )
