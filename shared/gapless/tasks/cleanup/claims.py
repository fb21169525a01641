"""The dates of a table, held in the ledger while they are removed or brought back, like those of a repair."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from typing import Any

from gapless import ledger
from gapless.declare.processor import Processor
from gapless.errors import ClaimLost, GaplessError, Refused
from gapless.model import Claim, Outcome, Status, Target, Upkeep, Wanted
from gapless.tasks.cleanup.records import Head


class Claimed:
    """The targets of one table, claimed for as long as a `with` lasts: all of them, or `Refused`."""

    def __init__(
        self, book: ledger.SqlLedger, clock: Callable[[], datetime], processor: Processor, days: Sequence[date],
        head: Head, run_id: str, work: Upkeep,
    ) -> None:  # fmt: skip
        self._book, self._clock = book, clock
        self._table, self._run_id = processor.table, run_id
        self._wanted = [Wanted(Target(processor.name, day), 0, work.value) for day in days]
        self._head = head
        self._claim = Claim(0, ())
        self._begin = self._clock()
        self._rows: Mapping[date, int] | None = None

    def __enter__(self) -> int:
        try:
            self._claim = self._book.claim(self._wanted, self._head.newest, self._head.generation, self._run_id)
        except ClaimLost as lost:
            raise Refused(f"{self._table}: {lost}") from lost
        missed = len(self._wanted) - len(self._claim.wanted)
        if missed:
            self._close(Status.SKIPPED, "another run claimed some of these dates")
            raise Refused(
                f"{self._table}: another run is at work on {missed} of {len(self._wanted)} dates; "
                "it does what this one would"
            )
        return self._claim.number

    def landed(self, rows: Mapping[date, int]) -> None:
        """What was wanted is done; on each date so many rows are expected and there, 0 where none is named."""
        self._rows = rows

    def __exit__(self, _kind: Any, error: BaseException | None, _trace: Any) -> None:
        if error is None and self._rows is not None:
            self._close(Status.COMPLETE, "")
        elif isinstance(error, GaplessError):
            try:
                self._close(Status.FAILED, str(error))
            except GaplessError:
                pass  # the lease ends by itself; the error that led here is the one to tell

    def _close(self, status: Status, error: str) -> None:
        now, number, rows = self._clock(), self._claim.number, self._rows or {}
        outcomes = []
        for target, _, reason in self._claim.wanted:
            n = rows.get(target.day, 0)
            outcomes.append(Outcome(target, status, n, n, number, 0, self._begin, now, error, reason))
        self._book.record(outcomes, self._run_id)
