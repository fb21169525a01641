"""The small interfaces between decisions and the world. `gcp` and `local.py` implement them.

A parameter's BigQuery type follows from its Python value: bool, int, float, str, date, datetime, and lists of dates or
strings. A list of dictionaries becomes an ARRAY of STRUCTs; all of them have the same keys and a value's type is that
of the first dictionary that holds something other than None.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, BinaryIO, NamedTuple, Protocol

from gapless.declare.processor import Processor
from gapless.model import Batch, Claim, Observation, Outcome, Scope, Seen, Target, Wanted

Scalar = bool | int | float | str | date | datetime
Param = Scalar | Sequence[date] | Sequence[str] | Sequence[Mapping[str, Scalar | None]]

MOST_DATES = 2000  # of one statement that changes a table; BigQuery lets a job touch 4,000 partitions


class Answer(NamedTuple):
    """What one SELECT returned and what it cost."""

    rows: Sequence[tuple[Any, ...]]  # in the order of the SELECT list
    bytes_processed: int
    columns: tuple[str, ...] = ()  # their names; none where the warehouse does not tell them


class Warehouse(Protocol):
    """BigQuery, or something that speaks its protocol. Every method raises `CannotObserve` or a child of it."""

    def rows(self, sql: str, params: Mapping[str, Param] | None = None, *, purpose: str) -> Answer:
        """Run one SELECT and return all its rows; `purpose` labels the job."""
        ...

    def execute(
        self,
        sql: str,
        params: Mapping[str, Param] | None = None,
        *,
        purpose: str,
        job_id: str | None = None,
        patience: float | None = None,
    ) -> int:
        """Run one statement and return the number of rows that it changed.

        With a `job_id` the statement runs at most once, ever, under that id: raises `ClaimLost` when the id is taken
        by somebody else, and succeeds when it is taken by an earlier try of this very call. With `patience` besides,
        raises `StillRunning` after so many seconds, and the statement goes on.
        """
        ...

    def job_state(self, job_id: str) -> str:
        """`missing`, `running`, `done`, or the error that a job ended with."""
        ...

    def price(self, sql: str, params: Mapping[str, Param] | None = None) -> int:
        """The bytes that one statement would read, from a dry run."""
        ...

    def upload(self, table: str, parquet: BinaryIO) -> int:
        """Append a parquet file to an existing table and return the rows written."""
        ...

    def drop(self, table: str) -> None:
        """Remove a table if it is there."""
        ...

    def tables(self, dataset: str) -> Mapping[str, Sequence[str]]:
        """The tables of a dataset with their column names; empty when the dataset does not exist."""
        ...

    def create_dataset(self, dataset: str) -> None:
        """Create a dataset if it is missing."""
        ...


class Bus(Protocol):
    """Delivers completion messages at least once."""

    def publish(self, topic: str, message: Mapping[str, Any]) -> str:
        """Send one message and return its id; raises `TransientFailure` when the topic did not take it."""
        ...


class Observer(Protocol):
    """Looks at targets."""

    def observe(self, scope: Scope, today: date) -> Observation:
        """Everything in scope, what it reads, the calendar and the ledger, from one snapshot."""
        ...

    def look_again(self, targets: Sequence[Target], today: date) -> Observation:
        """The named targets only, after a write."""
        ...


class Workshop(Protocol):
    """Where a processor's result is made, looked at and published; nothing staged is readable by anybody else."""

    def stage(self, batch: Batch, today: date) -> None:
        """Run the processor for the batch's dates into a place of its own."""
        ...

    def state(self, batch: Batch) -> str:
        """What became of a batch that an earlier call began: `missing`, `running`, `done`, or its error.

        `missing` too when it is done and what it staged is gone: then there is nothing to pick up.
        """
        ...

    def price(self, batch: Batch, today: date) -> int:
        """The bytes that making this batch would read."""
        ...

    def audit(self, batches: Sequence[Batch], today: date) -> Mapping[Target, Seen]:
        """What was staged, measured against what is expected."""
        ...

    def publish(self, batch: Batch, days: Sequence[date], run_id: str, now: datetime) -> None:
        """Replace the partitions of these days, all at once; days with a newer claim stay as they are."""
        ...

    def discard(self, batch: Batch) -> None:
        """Remove what was staged."""
        ...


class Dispatcher(Protocol):
    """Asks another service for a run."""

    def start(self, processor: Processor, days: Sequence[date], run_id: str) -> str:
        """Ask, and return what the service or the topic answered; raises `GaplessError` when it did not take it."""
        ...


class LedgerBook(Protocol):
    """Where claims are won and outcomes kept."""

    def claim(
        self, wanted: Sequence[Wanted], newest: int, generation: str, run_id: str, *, outside: bool = False
    ) -> Claim:
        """Claim targets after having seen claim number `newest`; what others claimed since is dropped, and named.

        `outside`: for a run by another service, which goes on when this process ends.
        """
        ...

    def open_targets(self, number: int, processor: str) -> Sequence[Wanted]:
        """The targets of a claim that have no outcome yet."""
        ...

    def record(self, outcomes: Sequence[Outcome], run_id: str) -> None:
        """Keep what was measured."""
        ...
