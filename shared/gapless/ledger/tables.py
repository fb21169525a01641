"""The ledger's tables, declared once.

The statements that create and extend them, the column lists of every INSERT and `terraform/ledger.yaml` follow from
here; so does what a test's warehouse reads out of an INSERT.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, NamedTuple

from gapless.warehouse.names import quoted

_MARKS = frozenset({"required", "added"})


class LedgerColumn(NamedTuple):
    """One column of a table."""

    name: str
    type: str
    required: bool
    added: bool  # ledgers of earlier versions lack it; `create` adds it


@dataclass(frozen=True)
class LedgerTable:
    """One append-only table."""

    name: str
    holds: str  # what a row is, in a line
    columns: Mapping[str, LedgerColumn]
    cluster: tuple[str, ...]
    partition: str = ""

    @property
    def added(self) -> tuple[LedgerColumn, ...]:
        return tuple(column for column in self.columns.values() if column.added)

    def create(self, dataset: str) -> str:
        """The statement that creates it where it is missing."""
        columns = [f"  {c.name} {c.type}{' NOT NULL' if c.required else ''}" for c in self.columns.values()]
        lines = [f"CREATE TABLE IF NOT EXISTS {quoted(table(dataset, self.name))} (", ",\n".join(columns), ")"]
        if self.partition:
            lines.append(f"PARTITION BY {self.partition}")
        lines.append(f"CLUSTER BY {', '.join(self.cluster)}")
        return "\n".join(lines)

    def insert(self, dataset: str, values: Mapping[str, str]) -> str:
        """The beginning of an INSERT that takes an expression for each column that it fills.

        Raises `ValueError` for a column that the table lacks, and for a required one that is not filled.
        """
        required = {column.name for column in self.columns.values() if column.required}
        wrong = sorted(values.keys() - self.columns.keys()) + sorted(required - values.keys())
        if wrong:
            raise ValueError(f"{self.name} is not written like this: {', '.join(wrong)}")
        names, expressions = ", ".join(values), ",\n  ".join(values.values())
        return f"INSERT INTO {quoted(table(dataset, self.name))}\n  ({names})\nSELECT\n  {expressions}"

    def from_json(self, fields: Sequence[str], array: str) -> dict[str, str]:
        """Per column, the expression that takes it out of a JSON array: a row of `as_json` with these fields."""
        return {name: self._read(name, f"JSON_VALUE({array}, '$[{i}]')") for i, name in enumerate(fields)}

    def _read(self, name: str, text: str) -> str:
        kind = self.columns[name].type
        return text if kind == "STRING" else f"CAST({text} AS {kind})"


def as_json(rows: Sequence[tuple[Any, ...]]) -> str:
    """Rows as one JSON text: a tenth of the time of an array of structs on the emulator, the same on BigQuery."""
    return json.dumps(rows, default=_iso)


def _iso(value: object) -> str:
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"{value!r} does not go into the ledger")


def table(dataset: str, name: str) -> str:
    """The full name of one of `TABLES`."""
    return f"{dataset}.{name}"


def _declared(name: str, holds: str, columns: str, *, cluster: str, partition: str = "") -> LedgerTable:
    """A table whose columns are written as in the pipeline file, one in a line: name TYPE [required] [added]."""
    found = {}
    for line in columns.split("\n"):
        if not line.strip():
            continue
        column, kind, *marks = line.split()
        if not _MARKS.issuperset(marks):
            raise ValueError(f"{name}.{column} is marked {' '.join(marks)}")
        found[column] = LedgerColumn(column, kind, "required" in marks, "added" in marks)
    return LedgerTable(name, holds, found, tuple(cluster.split()), partition)


ATTEMPTS = _declared(
    "attempts",
    "one row per claimed target; the row of claim 0 names this ledger's generation",
    """
    claim_number INT64 required
    run_id STRING required
    processor_name STRING required
    target_date DATE
    inputs_hash INT64
    reason STRING
    owner STRING required
    claimed_at TIMESTAMP required
    lease_until TIMESTAMP required
    """,
    cluster="processor_name target_date",
)

OUTCOMES = _declared(
    "backfill_date_outcomes",
    "one row per target and attempt: what was measured in the table after the write",
    """
    backfill_run_id STRING required
    analysis_date DATE required
    processor_name STRING required
    claim_number INT64 required
    phase INT64
    expected_count INT64
    actual_count INT64
    completeness_pct FLOAT64
    upstream_available BOOL
    status STRING required
    data_source STRING
    inputs_hash INT64
    error_message STRING
    checks_lifted STRING
    started_at TIMESTAMP
    processed_at TIMESTAMP required
    failure_category STRING added
    permanent BOOL added
    upcoming_count INT64 added
    upcoming_pct FLOAT64 added
    source_reason STRING added
    """,
    partition="analysis_date",
    cluster="processor_name status",
)

GAP_HISTORY = _declared(
    "gap_history",
    "one row per open gap and daily report",
    """
    reported_on DATE required
    gap_id STRING required
    processor_name STRING required
    target_date DATE required
    verdict STRING required
    expected_count INT64
    actual_count INT64
    age_days FLOAT64
    detail STRING
    reported_at TIMESTAMP required
    """,
    partition="reported_on",
    cluster="processor_name",
)

ACKNOWLEDGED_GAPS = _declared(
    "acknowledged_gaps",
    "gaps that a person declared unrecoverable; the newest row of a processor and range counts",
    """
    processor_name STRING required
    first_date DATE required
    last_date DATE required
    reason STRING required
    owner STRING required
    expires_on DATE
    withdrawn BOOL required
    acknowledged_at TIMESTAMP required
    """,
    cluster="processor_name",
)

CLEANUP_LOG = _declared(
    "cleanup_log",
    "one row per table that a clean-up or a restore worked on",
    """
    run_id STRING required
    table_name STRING required
    cutoff_date DATE required
    rows_before INT64
    rows_deleted INT64
    oldest_before DATE
    newest_before DATE
    oldest_after DATE
    newest_after DATE
    backup_table STRING
    status STRING required
    error_message STRING
    cleaned_at TIMESTAMP required
    """,
    partition="cutoff_date",
    cluster="table_name",
)

ALERT_LOG = _declared(
    "alert_log",
    "one row per notice and state: claimed, sent, undelivered, recovered; and one per daily report",
    """
    alert_key STRING required
    severity STRING required
    channel STRING required
    state STRING required
    message STRING
    sent_at TIMESTAMP required
    """,
    cluster="alert_key",
)

TABLE_BACKUPS = _declared(
    "table_backups",
    "one row per copy that was made before rows were removed",
    """
    backup_table STRING required
    source_table STRING required
    row_count INT64 required
    reason STRING
    created_at TIMESTAMP required
    expires_at TIMESTAMP
    """,
    cluster="source_table",
)

REPORTED_RUNS = _declared(
    "reported_runs",
    "what other systems' run trackers report; never believed over a table",
    """
    processor_name STRING required
    data_date DATE
    run_id STRING
    status STRING
    started_at TIMESTAMP
    processed_at TIMESTAMP
    phase STRING
    records_processed INT64
    """,
    partition="data_date",
    cluster="processor_name",
)

TABLES: Mapping[str, LedgerTable] = {
    declared.name: declared
    for declared in (
        ATTEMPTS,
        OUTCOMES,
        GAP_HISTORY,
        ACKNOWLEDGED_GAPS,
        CLEANUP_LOG,
        ALERT_LOG,
        TABLE_BACKUPS,
        REPORTED_RUNS,
    )
}
