"""The ledger: append-only tables in one dataset, and the views that people query.

`tables` declares them, `creation` makes them, `book` writes claims and outcomes, `balance` is what these add up to,
`views` is what people read, and `owner` tells whether the process that holds a claim may still be alive.
"""

from __future__ import annotations

from gapless.ledger.balance import generation_of, state
from gapless.ledger.book import SqlLedger
from gapless.ledger.creation import create
from gapless.ledger.owner import owner_is_gone, this_process
from gapless.ledger.tables import TABLES, table
from gapless.ledger.views import VIEWS, view_body

__all__ = [
    "TABLES",
    "VIEWS",
    "SqlLedger",
    "create",
    "generation_of",
    "owner_is_gone",
    "state",
    "table",
    "this_process",
    "view_body",
]
