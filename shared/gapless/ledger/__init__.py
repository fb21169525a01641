"""The ledger: append-only tables in one dataset, written by batch INSERTs, and the views that people query.

Claims are numbered 1, 2, 3, … for the whole pipeline, and a claim is the INSERT of its rows under a job id made from
its number. BigQuery accepts a job id once, so of two runs that read the same newest number only one gets the next. A
run that wins therefore knows every claim before its own, and its number is the fence that `publishing.publish` checks.
"""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from gapless.errors import CannotObserve, ClaimLost, TransientFailure
from gapless.model import Acknowledged, Claim, Outcome, Target, Wanted
from gapless.warehouse.names import quoted
from gapless.warehouse.ports import Warehouse

TABLES: dict[str, str] = {
    # one row per claimed target; the row of claim 0 names this ledger's generation
    "attempts": """
  claim_number INT64 NOT NULL, run_id STRING NOT NULL, processor_name STRING NOT NULL, target_date DATE,
  inputs_hash INT64, reason STRING, owner STRING NOT NULL, claimed_at TIMESTAMP NOT NULL,
  lease_until TIMESTAMP NOT NULL
) CLUSTER BY processor_name, target_date""",
    # one row per target and attempt: what was measured in the table after the write
    "backfill_date_outcomes": """
  backfill_run_id STRING NOT NULL, analysis_date DATE NOT NULL, processor_name STRING NOT NULL,
  claim_number INT64 NOT NULL, phase INT64, expected_count INT64, actual_count INT64, completeness_pct FLOAT64,
  upstream_available BOOL, status STRING NOT NULL, data_source STRING, inputs_hash INT64, error_message STRING,
  checks_lifted STRING, started_at TIMESTAMP, processed_at TIMESTAMP NOT NULL,
  failure_category STRING, permanent BOOL, upcoming_count INT64, upcoming_pct FLOAT64, source_reason STRING
) PARTITION BY analysis_date CLUSTER BY processor_name, status""",
    # one row per open gap and daily report
    "gap_history": """
  reported_on DATE NOT NULL, gap_id STRING NOT NULL, processor_name STRING NOT NULL, target_date DATE NOT NULL,
  verdict STRING NOT NULL, expected_count INT64, actual_count INT64, age_days FLOAT64, detail STRING,
  reported_at TIMESTAMP NOT NULL
) PARTITION BY reported_on CLUSTER BY processor_name""",
    # gaps that a person declared unrecoverable; the newest row of a processor and range counts
    "acknowledged_gaps": """
  processor_name STRING NOT NULL, first_date DATE NOT NULL, last_date DATE NOT NULL, reason STRING NOT NULL,
  owner STRING NOT NULL, expires_on DATE, withdrawn BOOL NOT NULL, acknowledged_at TIMESTAMP NOT NULL
) CLUSTER BY processor_name""",
    "cleanup_log": """
  run_id STRING NOT NULL, table_name STRING NOT NULL, cutoff_date DATE NOT NULL, rows_before INT64,
  rows_deleted INT64, oldest_before DATE, newest_before DATE, oldest_after DATE, newest_after DATE,
  backup_table STRING, status STRING NOT NULL, error_message STRING, cleaned_at TIMESTAMP NOT NULL
) PARTITION BY cutoff_date CLUSTER BY table_name""",
    "alert_log": """
  alert_key STRING NOT NULL, severity STRING NOT NULL, channel STRING NOT NULL, state STRING NOT NULL,
  message STRING, sent_at TIMESTAMP NOT NULL
) CLUSTER BY alert_key""",
    "table_backups": """
  backup_table STRING NOT NULL, source_table STRING NOT NULL, row_count INT64 NOT NULL, reason STRING,
  created_at TIMESTAMP NOT NULL, expires_at TIMESTAMP
) CLUSTER BY source_table""",
    # what other systems' run trackers report; never believed over a table
    "reported_runs": """
  processor_name STRING NOT NULL, data_date DATE, run_id STRING, status STRING, started_at TIMESTAMP,
  processed_at TIMESTAMP, phase STRING, records_processed INT64
) PARTITION BY data_date CLUSTER BY processor_name""",
}

# What ledgers of earlier versions lack; `create` adds it.
ADDED: dict[str, tuple[str, ...]] = {
    "backfill_date_outcomes": (
        "failure_category STRING", "permanent BOOL", "upcoming_count INT64", "upcoming_pct FLOAT64",
        "source_reason STRING",
    ),
}  # fmt: skip

# The views that people query, over the datasets' own names. A run that a person stopped before it came to a target has
# left an outcome `skipped`: it ends the claim, and is neither an attempt nor a failure.
VIEWS: dict[str, str] = {
    "processing_metadata": """
SELECT processor_name, backfill_run_id AS run_id, analysis_date, expected_count AS expected_players,
  actual_count AS actual_players, completeness_pct AS coverage_pct, data_source,
  IF(status = 'complete', 'COMPLETE', 'INCOMPLETE') AS status, processed_at AS created_at,
  upcoming_count, upcoming_pct, source_reason
FROM {outcomes} WHERE status != 'skipped'""",
    "precompute_failures": """
SELECT processor_name, backfill_run_id AS run_id, analysis_date,
  CONCAT('coverage_', CAST(analysis_date AS STRING)) AS entity_id, 'DATE' AS entity_type,
  IFNULL(failure_category, IF(status = 'partial', 'INCOMPLETE_COVERAGE', 'PROCESSING_ERROR')) AS failure_category,
  error_message AS failure_reason, NOT IFNULL(permanent, FALSE) AS can_retry, status AS failure_type,
  NOT IFNULL(permanent, FALSE) AS is_correctable,
  expected_count AS expected_game_count, actual_count AS actual_game_count,
  IF(EXISTS(
    SELECT 1 FROM {outcomes} AS later
    WHERE later.processor_name = o.processor_name AND later.analysis_date = o.analysis_date
      AND later.status = 'complete' AND later.processed_at > o.processed_at
  ), 'resolved', 'open') AS resolution_status, processed_at AS created_at
FROM {outcomes} AS o WHERE status IN ('partial', 'failed')""",
    "processor_run_history": """
SELECT processor_name, analysis_date AS data_date, backfill_run_id AS run_id,
  IF(status = 'complete', 'success', status) AS status, started_at, processed_at,
  CONCAT('phase_', CAST(phase AS STRING)) AS phase, actual_count AS records_processed,
  IF(status IN ('partial', 'failed'), IFNULL(failure_category, status), NULL) AS failure_category,
  IF(status = 'skipped', error_message, NULL) AS skip_reason, claim_number AS retry_attempt, error_message AS errors
FROM {outcomes}
UNION ALL
SELECT processor_name, data_date, run_id, status, started_at, processed_at, phase, records_processed,
  CAST(NULL AS STRING), CAST(NULL AS STRING), CAST(NULL AS INT64), CAST(NULL AS STRING)
FROM {reported_runs}""",
}


_PATIENCE = 30  # seconds for a job that this account may not look at


def table(dataset: str, name: str) -> str:
    """The full name of one of `TABLES`."""
    return f"{dataset}.{name}"


def state(dataset: str) -> str:
    """A SELECT of what the ledger adds up to; its columns are those of `observe.statement`.

    Rows of kind `history` are targets whose newest attempt did not land or is still open; whether its lease counts is
    decided by the reader. Rows of kind `landed` are the quiet rest, the dates of one processor and claim as one list of
    days since 1970, because most of a pipeline is quiet; without a time they were skipped before they ever landed. Then
    acknowledgements, and the newest claim. Reads @first, @last.
    """
    nulls = ", ".join(["NULL"] * 8)
    return f"""
SELECT * FROM (
WITH history AS (
  SELECT a.processor_name, a.target_date,
    COUNTIF(a.is_counted AND IFNULL(o.status != 'skipped', TRUE)
      AND IFNULL(a.claimed_at > done.last_complete, TRUE)) AS attempts,
    COUNTIF(a.is_counted AND o.status NOT IN ('complete', 'skipped')
      AND IFNULL(a.claimed_at > done.last_complete, TRUE)) AS failures,
    ANY_VALUE(a.newest_inputs) AS inputs_hash,
    MAX(IF(o.status = 'skipped', NULL, IFNULL(o.processed_at, a.claimed_at))) AS last_attempt,
    MAX(done.last_complete) AS last_complete,
    MAX(a.claim_number) AS claim_number,
    ARRAY_AGG(IF(o.status IS NULL, a.lease_until, NULL) ORDER BY a.claim_number DESC LIMIT 1)[OFFSET(0)]
      AS lease_until,
    ARRAY_AGG(IFNULL(o.error_message, IF(o.status IS NULL, a.owner, ''))
      ORDER BY IFNULL(o.status = 'skipped', FALSE), a.claim_number DESC LIMIT 1)[OFFSET(0)] AS note
  FROM (
    -- other inputs are another matter: only attempts on the newest ones count
    SELECT *, IFNULL(inputs_hash = newest_inputs, newest_inputs IS NULL) AS is_counted
    FROM (
      SELECT *, FIRST_VALUE(inputs_hash) OVER (
        PARTITION BY processor_name, target_date ORDER BY claim_number DESC) AS newest_inputs
      FROM {quoted(table(dataset, "attempts"))} WHERE target_date BETWEEN @first AND @last
    )
  ) AS a
  LEFT JOIN (
    SELECT processor_name, analysis_date, claim_number, ANY_VALUE(status) AS status,
      MAX(processed_at) AS processed_at, ANY_VALUE(error_message) AS error_message
    FROM {quoted(table(dataset, "backfill_date_outcomes"))} WHERE analysis_date BETWEEN @first AND @last
    GROUP BY processor_name, analysis_date, claim_number
  ) AS o
    ON o.processor_name = a.processor_name AND o.analysis_date = a.target_date AND o.claim_number = a.claim_number
  LEFT JOIN (
    SELECT processor_name, analysis_date, MAX(processed_at) AS last_complete
    FROM {quoted(table(dataset, "backfill_date_outcomes"))}
    WHERE analysis_date BETWEEN @first AND @last AND status = 'complete' GROUP BY processor_name, analysis_date
  ) AS done ON done.processor_name = a.processor_name AND done.analysis_date = a.target_date
  GROUP BY a.processor_name, a.target_date
)
SELECT 'history' AS kind, processor_name AS name, target_date AS day, attempts AS a, failures AS b, inputs_hash AS c,
  UNIX_MICROS(last_attempt) AS d, UNIX_MICROS(last_complete) AS e, claim_number AS f, UNIX_MICROS(lease_until) AS g,
  CAST(NULL AS INT64) AS h, CAST(NULL AS INT64) AS i, CAST(NULL AS INT64) AS j, note
FROM history WHERE attempts > 0 OR lease_until IS NOT NULL
UNION ALL
SELECT 'landed', processor_name, CAST(NULL AS DATE), claim_number, UNIX_MICROS(MAX(last_complete)), {nulls},
  STRING_AGG(CAST(UNIX_DATE(target_date) AS STRING), ',')
FROM history WHERE attempts = 0 AND lease_until IS NULL
GROUP BY processor_name, claim_number, last_complete IS NULL
)
UNION ALL
SELECT 'acknowledged', processor_name, first_date, UNIX_DATE(last_date), UNIX_DATE(expires_on),
  UNIX_MICROS(acknowledged_at), NULL, NULL, NULL, NULL, NULL, NULL, NULL,
  CONCAT(reason, CODE_POINTS_TO_STRING([10]), owner)
FROM (
  SELECT * FROM {quoted(table(dataset, "acknowledged_gaps"))} WHERE first_date <= @last AND last_date >= @first
  QUALIFY ROW_NUMBER() OVER (
    PARTITION BY processor_name, first_date, last_date ORDER BY acknowledged_at DESC) = 1
) WHERE NOT withdrawn
UNION ALL
SELECT 'head', '', CAST(NULL AS DATE), MAX(claim_number), NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
  MIN(IF(claim_number = 0, run_id, NULL))
FROM {quoted(table(dataset, "attempts"))}"""


def this_process(*, findable: bool = True) -> str:
    """A token for the running process that another process on the same machine can check.

    Serverless instances may share all that a container sees of its machine; they are not `findable`, and their leases
    end by time alone.
    """
    if not findable:
        return f"//{uuid.uuid4().hex}"
    return f"{_machine()}/{os.getpid()}/{_started(os.getpid())}/{uuid.uuid4().hex[:8]}"


def _machine() -> str:
    """This boot of this machine, and this space of process numbers in it; empty where that cannot be told."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as boot:  # noqa: PTH123
            return f"{boot.read().strip()}:{os.stat('/proc/self/ns/pid').st_ino}"  # noqa: PTH116
    except OSError:
        return ""


def _started(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:  # noqa: PTH123
            fields = stat.read().rsplit(")", 1)[1].split()
    except OSError:
        return "?"
    return "?" if fields[0] in "ZX" else fields[19]  # dead, and only not yet fetched by its parent


def owner_is_gone(owner: str) -> bool:
    """Whether the process that made a claim is known to be dead: it ran on this machine, and runs no more.

    So a command that was killed can be repeated at once. An owner elsewhere is never known to be dead; its lease ends.
    """
    machine, _, rest = owner.partition("/")
    pid, _, rest = rest.partition("/")
    started = rest.partition("/")[0]
    if not machine or machine != _machine() or not pid.isdigit() or started in ("", "?"):
        return False
    return _started(int(pid)) != started


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
                others |= {Target(name, day) for _, name, day in rows}
                left = tuple(w for w in left if w.target not in others)
                # A number whose INSERT failed stays without rows; its job id is used up, so the next one is tried.
                newest = max((row[0] for row in rows), default=number)
        raise ClaimLost(f"20 other claims came first while {len(left)} targets were claimed; try again later")

    def open_targets(self, number: int, processor: str) -> Sequence[Wanted]:
        """The targets of a claim that have no outcome yet."""
        rows = self.warehouse.rows(
            f"SELECT target_date, inputs_hash, reason FROM {quoted(table(self.dataset, 'attempts'))} AS a\n"
            "WHERE claim_number = @number AND processor_name = @processor AND NOT EXISTS (\n"
            f"  SELECT 1 FROM {quoted(table(self.dataset, 'backfill_date_outcomes'))} AS o\n"
            "  WHERE o.processor_name = a.processor_name AND o.analysis_date = a.target_date\n"
            "    AND o.claim_number = a.claim_number)\nORDER BY target_date",
            {"number": number, "processor": processor},
            purpose="open",
        ).rows
        return [Wanted(Target(processor, day), inputs, reason or "") for day, inputs, reason in rows]

    def _claims_after(self, newest: int) -> Sequence[tuple[Any, ...]]:
        return self.warehouse.rows(
            f"SELECT claim_number, processor_name, target_date FROM {quoted(table(self.dataset, 'attempts'))} "
            "WHERE claim_number > @newest",
            {"newest": newest},
            purpose="claims",
        ).rows

    def _insert(
        self, number: int, wanted: Sequence[Wanted], generation: str, run_id: str, outside: bool = False
    ) -> None:
        now = self.clock()
        # A fingerprint goes as text: it may be longer than what JSON numbers are trusted to keep.
        rows = [(w.target.processor, w.target.day.isoformat(), str(w.inputs), w.reason) for w in wanted]
        # The condition is for the emulator, which accepts a job id twice but runs statements one after the other. On
        # BigQuery the job id decides; there two such INSERTs under different ids would both see nothing and both write.
        changed = self.warehouse.execute(
            f"""INSERT INTO {quoted(table(self.dataset, "attempts"))}
  (claim_number, run_id, processor_name, target_date, inputs_hash, reason, owner, claimed_at, lease_until)
SELECT @number, @run_id, JSON_VALUE(t, '$[0]'), CAST(JSON_VALUE(t, '$[1]') AS DATE),
  CAST(JSON_VALUE(t, '$[2]') AS INT64), JSON_VALUE(t, '$[3]'), @owner, @now, @until
FROM UNNEST(JSON_QUERY_ARRAY(@targets)) AS t
WHERE NOT EXISTS (SELECT 1 FROM {quoted(table(self.dataset, "attempts"))} WHERE claim_number = @number)""",
            {
                "number": number,
                "run_id": run_id,
                "owner": this_process(findable=False) if outside else self.owner,
                "now": now,
                "until": now + (self.outside_lease if outside else self.lease),
                "targets": json.dumps(rows),
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
        # One JSON text instead of an array of structs: a tenth of the time on the emulator, the same on BigQuery.
        rows = [
            (
                o.target.day.isoformat(), o.target.processor, o.claim, self.phases[o.target.processor], o.expected,
                o.covered, round(o.coverage_pct, 2), o.upstream_available, str(o.status), o.data_source, str(o.inputs),
                o.error, o.lifted, o.started_at.isoformat(), o.finished_at.isoformat(), o.cause,
                o.permanent if o.cause else None, *_choice(o),
            )
            for o in outcomes
        ]  # fmt: skip
        columns = (
            "analysis_date DATE, processor_name STRING, claim_number INT64, phase INT64, expected_count INT64, "
            "actual_count INT64, completeness_pct FLOAT64, upstream_available BOOL, status STRING, data_source STRING, "
            "inputs_hash INT64, error_message STRING, checks_lifted STRING, started_at TIMESTAMP, "
            "processed_at TIMESTAMP, failure_category STRING, permanent BOOL, upcoming_count INT64, "
            "upcoming_pct FLOAT64, source_reason STRING"
        )
        names = [column.split() for column in columns.split(", ")]
        values = ", ".join(f"CAST(JSON_VALUE(r, '$[{i}]') AS {kind})" for i, (_, kind) in enumerate(names))
        self.warehouse.execute(
            f"INSERT INTO {quoted(table(self.dataset, 'backfill_date_outcomes'))} "
            f"(backfill_run_id, {', '.join(name for name, _ in names)})\n"
            f"SELECT @run_id, {values} FROM UNNEST(JSON_QUERY_ARRAY(@outcomes)) AS r",
            {"run_id": run_id, "outcomes": json.dumps(rows)},
            purpose="outcomes",
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
            (
                word.processor, word.first.isoformat(), word.last.isoformat(), word.reason, word.owner,
                word.expires.isoformat() if word.expires else None, (word.since or now).isoformat(),
            )
            for word in words
        ]  # fmt: skip
        gaps = quoted(table(self.dataset, "acknowledged_gaps"))
        columns = (
            "processor_name STRING, first_date DATE, last_date DATE, reason STRING, owner STRING, expires_on DATE, "
            "said_at TIMESTAMP"
        )
        names = [column.split() for column in columns.split(", ")]
        values = ", ".join(f"CAST(JSON_VALUE(r, '$[{i}]') AS {kind}) AS {name}" for i, (name, kind) in enumerate(names))
        self.warehouse.execute(
            f"""INSERT INTO {gaps}
  (processor_name, first_date, last_date, reason, owner, expires_on, withdrawn, acknowledged_at)
SELECT w.processor_name, w.first_date, w.last_date, w.reason, w.owner, w.expires_on, @withdrawn,
  GREATEST(w.said_at, IFNULL(TIMESTAMP_ADD(said.newest, INTERVAL 1 MICROSECOND), w.said_at))
FROM (SELECT {values} FROM UNNEST(JSON_QUERY_ARRAY(@words)) AS r) AS w
LEFT JOIN (
  SELECT processor_name, first_date, last_date, MAX(acknowledged_at) AS newest FROM {gaps}
  GROUP BY processor_name, first_date, last_date
) AS said
  ON said.processor_name = w.processor_name AND said.first_date = w.first_date AND said.last_date = w.last_date""",
            {"words": json.dumps(rows), "withdrawn": withdrawn},
            purpose="acknowledge",
        )


def _choice(o: Outcome) -> tuple[int | None, float | None, str | None]:
    """What an outcome says of a choice between two sources, for its row."""
    if not o.choice:
        return None, None, None
    share = round(100.0 * o.choice.covered / o.expected, 2) if o.expected else None
    return o.choice.covered, share, o.choice.reason


def create(warehouse: Warehouse, dataset: str, views: Mapping[str, str]) -> list[str]:
    """Create what is missing of the ledger: dataset, tables, generation, and its views under their names.

    Returns the columns that an older ledger lacked, as `table.column`.
    """
    for name in sorted({dataset, *(view.split(".")[0] for view in views.values())}):
        warehouse.create_dataset(name)
    for name, columns in TABLES.items():
        warehouse.execute(f"CREATE TABLE IF NOT EXISTS {quoted(table(dataset, name))} ({columns}", purpose="create")
    added = [f"{name}.{column}" for name in ADDED for column in _bring_up_to_date(warehouse, dataset, name)]
    attempts = quoted(table(dataset, "attempts"))
    warehouse.execute(
        f"""INSERT INTO {attempts} (claim_number, run_id, processor_name, owner, claimed_at, lease_until)
SELECT 0, @generation, '', '', CURRENT_TIMESTAMP(), CURRENT_TIMESTAMP() FROM (SELECT 1)
WHERE NOT EXISTS (SELECT 1 FROM {attempts} WHERE claim_number = 0)""",
        {"generation": uuid.uuid4().hex[:12]},
        purpose="create",
    )
    for view, name in views.items():
        warehouse.execute(f"CREATE OR REPLACE VIEW {quoted(name)} AS {view_body(dataset, view)}", purpose="create")
    return added


def _bring_up_to_date(warehouse: Warehouse, dataset: str, name: str) -> list[str]:
    """Add the columns of `ADDED` that a table lacks, and return their names.

    The table is asked itself: the emulator's catalogue does not hear of an ALTER TABLE.
    """
    wanted = [column.split()[0] for column in ADDED[name]]
    full = quoted(table(dataset, name))
    try:
        warehouse.rows(f"SELECT {', '.join(wanted)} FROM {full} LIMIT 0", purpose="create")
    except TransientFailure:
        raise
    except CannotObserve:
        for column in ADDED[name]:  # one at a time, for the emulator
            warehouse.execute(f"ALTER TABLE {full} ADD COLUMN IF NOT EXISTS {column}", purpose="create")
        return wanted
    return []


def view_body(dataset: str, view: str) -> str:
    """The SELECT of one of `VIEWS`."""
    return VIEWS[view].format(
        outcomes=quoted(table(dataset, "backfill_date_outcomes")),
        reported_runs=quoted(table(dataset, "reported_runs")),
    )


def generation_of(rows: Sequence[tuple[Any, ...]]) -> str:
    """The generation in a `head` row; raises `CannotObserve` when the ledger was not created."""
    if not rows or rows[0][-1] is None:
        raise CannotObserve("the ledger is empty; create it with: gapless init")
    return str(rows[0][-1])
