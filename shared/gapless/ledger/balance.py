"""What the ledger adds up to: a part of the observing query, as rows of four kinds."""

from __future__ import annotations

from datetime import date
from typing import NamedTuple

from gapless.errors import CannotObserve
from gapless.ledger.tables import ACKNOWLEDGED_GAPS, ATTEMPTS, OUTCOMES, table
from gapless.warehouse.names import quoted
from gapless.warehouse.rows import Kind
from gapless.warehouse.template import template


class HistoryRow(NamedTuple):
    """A target whose newest attempt did not land or is still open. Times are microseconds since 1970."""

    name: str
    day: date
    attempts: int
    failures: int
    inputs_hash: int | None
    last_attempt: int | None
    last_complete: int | None
    claim_number: int
    lease_until: int | None  # of an open attempt; whether it counts is decided by the reader
    note: str  # the last error, or the owner of an open attempt


class LandedRow(NamedTuple):
    """The quiet rest, because most of a pipeline is quiet: the dates of one processor and claim."""

    name: str
    claim_number: int
    last_complete: int | None  # the newest; without it they were skipped before they ever landed
    days: str  # days since 1970, with commas between


class AcknowledgedRow(NamedTuple):
    """A gap that a person declared unrecoverable. Dates are days since 1970, but for the first."""

    name: str
    day: date
    last_date: int
    expires_on: int | None
    acknowledged_at: int
    reason_and_owner: str  # the owner is the last line


class HeadRow(NamedTuple):
    """Where the log of claims ends, and which ledger it is."""

    newest_claim: int | None
    generation: str | None


HISTORY = Kind("history", HistoryRow, text="note")
LANDED = Kind("landed", LandedRow, text="days")
ACKNOWLEDGED = Kind("acknowledged", AcknowledgedRow, text="reason_and_owner")
HEAD = Kind("head", HeadRow, text="generation")

_HISTORY = template(__file__, "history")
_UNLANDED = """SELECT processor_name AS name, target_date AS day, attempts, failures, inputs_hash,
  UNIX_MICROS(last_attempt) AS last_attempt, UNIX_MICROS(last_complete) AS last_complete, claim_number,
  UNIX_MICROS(lease_until) AS lease_until, note
FROM history WHERE attempts > 0 OR lease_until IS NOT NULL"""
_LANDED = """SELECT processor_name AS name, claim_number, UNIX_MICROS(MAX(last_complete)) AS last_complete,
  STRING_AGG(CAST(UNIX_DATE(target_date) AS STRING), ',') AS days
FROM history WHERE attempts = 0 AND lease_until IS NULL
GROUP BY processor_name, claim_number, last_complete IS NULL"""


def state(dataset: str) -> str:
    """A SELECT of what the ledger adds up to, in the shared columns. Reads @first, @last."""
    attempts = quoted(table(dataset, ATTEMPTS.name))
    outcomes = quoted(table(dataset, OUTCOMES.name))
    gaps = quoted(table(dataset, ACKNOWLEDGED_GAPS.name))
    acknowledged = f"""SELECT processor_name AS name, first_date AS day, UNIX_DATE(last_date) AS last_date,
  UNIX_DATE(expires_on) AS expires_on, UNIX_MICROS(acknowledged_at) AS acknowledged_at,
  CONCAT(reason, CODE_POINTS_TO_STRING([10]), owner) AS reason_and_owner
FROM (
  SELECT * FROM {gaps} WHERE first_date <= @last AND last_date >= @first
  QUALIFY ROW_NUMBER() OVER (
    PARTITION BY processor_name, first_date, last_date ORDER BY acknowledged_at DESC) = 1
) WHERE NOT withdrawn"""
    head = f"""SELECT MAX(claim_number) AS newest_claim, MIN(IF(claim_number = 0, run_id, NULL)) AS generation
FROM {attempts}"""
    return f"""SELECT * FROM (
WITH history AS (
{_HISTORY.fill(attempts=attempts, outcomes=outcomes)}
)
{HISTORY.select(_UNLANDED)}
UNION ALL
{LANDED.select(_LANDED)}
)
UNION ALL
{ACKNOWLEDGED.select(acknowledged)}
UNION ALL
{HEAD.select(head)}"""


def generation_of(told: str | None) -> str:
    """The generation as the log of claims tells it; raises `CannotObserve` when the ledger was not created."""
    if told is None:
        raise CannotObserve("the ledger is empty; create it with: gapless init")
    return told
