"""The ledger on BigQuery: claims, outcomes, acknowledgements, written by batch INSERTs.

Claims are numbered 1, 2, 3, … for the whole pipeline, and a claim is the INSERT of its rows under a job id made from
its number. BigQuery accepts a job id once, so of two runs that read the same newest number only one gets the next. A
run that wins therefore knows every claim before its own, and its number is the fence that `publish` checks.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import NamedTuple

from gapless.errors import ClaimLost
from gapless.ledger.owner import this_process
from gapless.ledger.tables import ACKNOWLEDGED_GAPS, ATTEMPTS, OUTCOMES, LedgerTable, as_json, table
from gapless.model import Acknowledged, Claim, Outcome, Target, Wanted
from gapless.warehouse.names import quoted
from gapless.warehouse.ports import Warehouse
from gapless.warehouse.rows import decoded

_PATIENCE = 30  # seconds for a job that this account may not look at


class ClaimedRow(NamedTuple):
    """What a claim writes of each target. A fingerprint goes as text: JSON numbers are not trusted to keep it."""

    processor_name: str
    target_date: date
    inputs_hash: str
    reason: str


class OutcomeRow(NamedTuple):
    """What is written of each outcome."""

    analysis_date: date
    processor_name: str
    claim_number: int
    phase: int
    expected_count: int
    actual_count: int
    completeness_pct: float
    upstream_available: bool
    status: str
    data_source: str
    inputs_hash: str
    error_message: str
    checks_lifted: str
    started_at: datetime
    processed_at: datetime
    failure_category: str | None
    permanent: bool | None
    upcoming_count: int | None
    upcoming_pct: float | None
    source_reason: str | None


class SpokenRow(NamedTuple):
    """What is written of each acknowledgement, or of its end."""

    processor_name: str
    first_date: date
    last_date: date
    reason: str
    owner: str
    expires_on: date | None
    acknowledged_at: datetime


class TakenRow(NamedTuple):
    """A target that somebody claimed."""

    claim_number: int
    processor_name: str
    target_date: date


class OpenRow(NamedTuple):
    """A target of a claim that has no outcome yet."""

    target_date: date
    inputs_hash: int
    reason: str | None


@dataclass
class SqlLedger:
    """The ledger on BigQuery."""

    warehouse: Warehouse
    dataset: str
    phases: Mapping[str, int]
    clock: Callable[[], datetime]
    lease: timedelta
    owner: str
    outside_lease: timedelta = timedelta(hours=1)
    wait: Callable[[float], None] = time.sleep

    def claim(
        self, wanted: Sequence[Wanted], newest: int, generation: str, run_id: str, *, outside: bool = False
    ) -> Claim:
        """Claim targets after having seen claim number `newest`; the claim is of nothing when nothing is left.

        Targets that anybody claimed since then are dropped whatever became of them: what this run knows of them is old.
        """
        left = tuple(wanted)
        others: frozenset[Target] = frozenset()
        for _ in range(20):
            if not left:
                return Claim(newest, (), others)
            number = newest + 1
            try:
                self._insert(number, left, generation, run_id, outside)
                return Claim(number, left, others)
            except ClaimLost as lost:
                rows = self._claims_after(newest)
                for _ in range(0 if lost.settled else _PATIENCE):
                    if rows:
                        break
                    self.wait(1.0)  # the winner's job may be running still, and its rows be on their way
                    rows = self._claims_after(newest)
                others |= {Target(row.processor_name, row.target_date) for row in rows}
                left = tuple(w for w in left if w.target not in others)
                # A number whose INSERT failed stays without rows; its job id is used up, so the next one is tried.
                newest = max((row.claim_number for row in rows), default=number)
        raise ClaimLost(f"20 other claims came first while {len(left)} targets were claimed; try again later")

    def open_targets(self, number: int, processor: str) -> Sequence[Wanted]:
        """The targets of a claim that have no outcome yet."""
        answer = self.warehouse.rows(
            f"""SELECT {", ".join(OpenRow._fields)} FROM {self._quoted(ATTEMPTS)} AS a
WHERE claim_number = @number AND processor_name = @processor AND NOT EXISTS (
  SELECT 1 FROM {self._quoted(OUTCOMES)} AS o
  WHERE o.processor_name = a.processor_name AND o.analysis_date = a.target_date
    AND o.claim_number = a.claim_number
)
ORDER BY target_date""",
            {"number": number, "processor": processor},
            purpose="open",
        )
        rows = decoded(OpenRow, answer)
        return [Wanted(Target(processor, row.target_date), row.inputs_hash, row.reason or "") for row in rows]

    def _claims_after(self, newest: int) -> Sequence[TakenRow]:
        answer = self.warehouse.rows(
            f"SELECT {', '.join(TakenRow._fields)} FROM {self._quoted(ATTEMPTS)} WHERE claim_number > @newest",
            {"newest": newest},
            purpose="claims",
        )
        return decoded(TakenRow, answer)

    def _insert(
        self, number: int, wanted: Sequence[Wanted], generation: str, run_id: str, outside: bool = False
    ) -> None:
        now = self.clock()
        rows = [ClaimedRow(w.target.processor, w.target.day, str(w.inputs), w.reason) for w in wanted]
        values = {
            "claim_number": "@number",
            "run_id": "@run_id",
            **ATTEMPTS.from_json(ClaimedRow._fields, "t"),
            "owner": "@owner",
            "claimed_at": "@now",
            "lease_until": "@until",
        }
        # The condition is for the emulator, which accepts a job id twice but runs statements one after the other. On
        # BigQuery the job id decides; there two such INSERTs under different ids would both see nothing and both write.
        changed = self.warehouse.execute(
            f"""{ATTEMPTS.insert(self.dataset, values)}
FROM UNNEST(JSON_QUERY_ARRAY(@targets)) AS t
WHERE NOT EXISTS (SELECT 1 FROM {self._quoted(ATTEMPTS)} WHERE claim_number = @number)""",
            {
                "number": number,
                "run_id": run_id,
                "owner": this_process(findable=False) if outside else self.owner,
                "now": now,
                "until": now + (self.outside_lease if outside else self.lease),
                "targets": as_json(rows),
            },
            purpose="claim",
            job_id=f"gapless-claim-{generation}-{number:09d}",
        )
        if not changed:
            raise ClaimLost(f"claim {number} belongs to another run")

    def record(self, outcomes: Sequence[Outcome], run_id: str) -> None:
        """Append what was measured, one row per target."""
        if not outcomes:
            return
        rows = [self._row(outcome) for outcome in outcomes]
        values = {"backfill_run_id": "@run_id", **OUTCOMES.from_json(OutcomeRow._fields, "r")}
        self.warehouse.execute(
            f"{OUTCOMES.insert(self.dataset, values)}\nFROM UNNEST(JSON_QUERY_ARRAY(@outcomes)) AS r",
            {"run_id": run_id, "outcomes": as_json(rows)},
            purpose="outcomes",
        )

    def _row(self, o: Outcome) -> OutcomeRow:
        choice, share = o.choice, None
        if choice and o.expected:
            share = round(100.0 * choice.covered / o.expected, 2)
        return OutcomeRow(
            analysis_date=o.target.day,
            processor_name=o.target.processor,
            claim_number=o.claim,
            phase=self.phases[o.target.processor],
            expected_count=o.expected,
            actual_count=o.covered,
            completeness_pct=round(o.coverage_pct, 2),
            upstream_available=o.upstream_available,
            status=str(o.status),
            data_source=o.data_source,
            inputs_hash=str(o.inputs),
            error_message=o.error,
            checks_lifted=o.lifted,
            started_at=o.started_at,
            processed_at=o.finished_at,
            failure_category=o.cause,
            permanent=o.permanent if o.cause else None,
            upcoming_count=choice.covered if choice else None,
            upcoming_pct=share,
            source_reason=choice.reason if choice else None,
        )

    def acknowledge(
        self, processor: str, first: date, last: date, reason: str, owner: str, expires: date | None
    ) -> None:
        """Declare gaps unrecoverable until a date."""
        self.declare([Acknowledged(processor, first, last, reason, owner, expires)])

    def declare(self, words: Sequence[Acknowledged]) -> None:
        """Declare gaps unrecoverable, each since the time that it carries, or else since now."""
        self._speak(words, withdrawn=False)

    def withdraw(self, words: Sequence[Acknowledged]) -> None:
        """Take back what was declared of these processors and ranges."""
        self._speak([word._replace(since=None) for word in words], withdrawn=True)

    def _speak(self, words: Sequence[Acknowledged], *, withdrawn: bool) -> None:
        """Append one row per word. The newest row of a processor and range counts, so a row is never older than one
        that is there."""
        if not words:
            return
        now = self.clock()
        rows = [
            SpokenRow(
                processor_name=word.processor,
                first_date=word.first,
                last_date=word.last,
                reason=word.reason,
                owner=word.owner,
                expires_on=word.expires,
                acknowledged_at=word.since or now,
            )
            for word in words
        ]
        read = ACKNOWLEDGED_GAPS.from_json(SpokenRow._fields, "r")
        values = {name: f"w.{name}" for name in read} | {
            "withdrawn": "@withdrawn",
            "acknowledged_at": "GREATEST(w.acknowledged_at, "
            "IFNULL(TIMESTAMP_ADD(said.newest, INTERVAL 1 MICROSECOND), w.acknowledged_at))",
        }
        spoken = ", ".join(f"{expression} AS {name}" for name, expression in read.items())
        self.warehouse.execute(
            f"""{ACKNOWLEDGED_GAPS.insert(self.dataset, values)}
FROM (SELECT {spoken} FROM UNNEST(JSON_QUERY_ARRAY(@words)) AS r) AS w
LEFT JOIN (
  SELECT processor_name, first_date, last_date, MAX(acknowledged_at) AS newest
  FROM {self._quoted(ACKNOWLEDGED_GAPS)}
  GROUP BY processor_name, first_date, last_date
) AS said
  ON said.processor_name = w.processor_name AND said.first_date = w.first_date AND said.last_date = w.last_date""",
            {"words": as_json(rows), "withdrawn": withdrawn},
            purpose="acknowledge",
        )

    def _quoted(self, declared: LedgerTable) -> str:
        return quoted(table(self.dataset, declared.name))
