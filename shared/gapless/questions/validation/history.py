"""History: what a table holds now against what the ledger says that it held. Pure but for the text of the query."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from gapless import ledger
from gapless.model import Target, from_micros
from gapless.observe.observer import EPOCH
from gapless.warehouse.names import quoted
from gapless.warehouse.template import template

_STATEMENT = template(__file__, "history")


class Earlier(NamedTuple):
    """The most that a target was ever complete with."""

    keys: int
    run: str
    at: datetime


def statement(dataset: str) -> str:
    """The best complete outcome of every target; for a date before @today, of those measured after that date.

    What is prepared for a date to come is about another set of keys than what then took place. One row per processor
    and run, because thousands cost the client more time than the query: its dates as JSON lists of days since 1970,
    keys, and seconds since 1970. Reads @first, @last, @today, @zone.
    """
    return _STATEMENT.fill(outcomes=quoted(ledger.table(dataset, "backfill_date_outcomes")))


def parse(rows: Sequence[tuple[Any, ...]]) -> dict[Target, Earlier]:
    """The best outcomes of a result."""
    return {
        Target(name, EPOCH + timedelta(days=number)): Earlier(keys, run, from_micros(seconds * 1_000_000))
        for name, run, dates in rows
        for number, keys, seconds in json.loads(f"[{dates}]")
    }
