"""History: what a table holds now against what the ledger says that it held. Pure but for the text of the query."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import NamedTuple

from gapless import ledger
from gapless.model import Target, from_micros
from gapless.observe.observer import EPOCH
from gapless.warehouse.names import quoted
from gapless.warehouse.ports import Answer
from gapless.warehouse.rows import decoded
from gapless.warehouse.template import template

_STATEMENT = template(__file__, "history")


class _BestRow(NamedTuple):
    """The dates of one processor and run, as JSON lists of days since 1970, keys, and seconds since 1970."""

    processor_name: str
    backfill_run_id: str
    dates: str


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


def parse(answer: Answer) -> dict[Target, Earlier]:
    """The best outcomes of a result."""
    found: dict[Target, Earlier] = {}
    for row in decoded(_BestRow, answer):
        for number, keys, seconds in json.loads(f"[{row.dates}]"):
            target = Target(row.processor_name, EPOCH + timedelta(days=number))
            found[target] = Earlier(keys, row.backfill_run_id, from_micros(seconds * 1_000_000))
    return found
