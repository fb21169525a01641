"""Making the ledger, and bringing one of an earlier version up to date."""

from __future__ import annotations

import uuid
from collections.abc import Mapping

from gapless.declare.words import Counted
from gapless.errors import CannotObserve, TransientFailure
from gapless.ledger.tables import ATTEMPTS, TABLES, LedgerTable, table
from gapless.ledger.views import view_body
from gapless.warehouse.names import quoted
from gapless.warehouse.ports import Warehouse


def create(
    warehouse: Warehouse, dataset: str, views: Mapping[str, str], view_columns: Mapping[str, Counted]
) -> list[str]:
    """Create what is missing of the ledger: dataset, tables, generation, and its views under their names.

    Returns the columns that an older ledger lacked, as `table.column`.
    """
    for name in sorted({dataset, *(view.split(".")[0] for view in views.values())}):
        warehouse.create_dataset(name)
    for declared in TABLES.values():
        warehouse.execute(declared.create(dataset), purpose="create")
    added = []
    for declared in TABLES.values():
        if declared.added:
            added += [f"{declared.name}.{column}" for column in _bring_up_to_date(warehouse, dataset, declared)]
    first = {
        "claim_number": "0",
        "run_id": "@generation",
        "processor_name": "''",
        "owner": "''",
        "claimed_at": "CURRENT_TIMESTAMP()",
        "lease_until": "CURRENT_TIMESTAMP()",
    }
    warehouse.execute(
        f"""{ATTEMPTS.insert(dataset, first)}
FROM (SELECT 1)
WHERE NOT EXISTS (SELECT 1 FROM {quoted(table(dataset, ATTEMPTS.name))} WHERE claim_number = 0)""",
        {"generation": uuid.uuid4().hex[:12]},
        purpose="create",
    )
    for view, name in views.items():
        body = view_body(dataset, view, view_columns.get(view, Counted()))
        warehouse.execute(f"CREATE OR REPLACE VIEW {quoted(name)} AS {body}", purpose="create")
    return added


def _bring_up_to_date(warehouse: Warehouse, dataset: str, declared: LedgerTable) -> list[str]:
    """Add the columns that a table of an earlier version lacks, and return their names.

    The table is asked itself: the emulator's catalogue does not hear of an ALTER TABLE.
    """
    wanted = [column.name for column in declared.added]
    full = quoted(table(dataset, declared.name))
    try:
        warehouse.rows(f"SELECT {', '.join(wanted)} FROM {full} LIMIT 0", purpose="create")
    except TransientFailure:
        raise
    except CannotObserve:
        for column in declared.added:  # one at a time, for the emulator
            warehouse.execute(
                f"ALTER TABLE {full} ADD COLUMN IF NOT EXISTS {column.name} {column.type}", purpose="create"
            )
        return wanted
    return []
