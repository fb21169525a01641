"""Clean-up of the tables about the days to come: what a game's evening has overtaken is removed a week later.

A row of such a table is a forecast. Once its date is past nothing reads it and no verdict rests on it
(`applies_to: upcoming`), but whoever counts rows by hand still finds it. So each table is measured, a pure decision
says which dates may go, their targets are claimed in the ledger like those of a repair, a backup is made and counted,
and only rows that are in the backup, exactly as they are, are deleted. A run that dies in between leaves a table whole
or cleaned, and the next run finishes. `restore` brings back what is not there.

Every attempt on a table leaves a row in `cleanup_log`, whatever came out.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum
from functools import partial
from typing import Any, NamedTuple

from shared import ledger
from shared.errors import CannotObserve, ClaimLost, GaplessError, Halted, Refused, TransientFailure
from shared.model import Claim, Outcome, Status, Target, Wanted
from shared.pipeline import Pipeline, Processor
from shared.ports import Param, Warehouse
from shared.settings import Settings
from shared.statements import quoted
from shared.verdicts import civil_today

BACKUP_DAYS = 30
_MOST_DATES = 2000  # a job may touch 4,000 partitions
_LEASE = timedelta(minutes=30)  # a backup and a deletion, each with the time that a statement may take
_DATE = "%Y%m%d"


class Ended(StrEnum):
    """How an attempt on a table ended."""

    DONE = "done"
    RESTORED = "restored"
    NOTHING = "nothing_to_do"
    DRY_RUN = "dry_run"
    REFUSED = "refused"
    FAILED = "failed"


@dataclass(frozen=True)
class Rules:
    """What a clean-up may remove."""

    keep_days: int = 7
    most_share_pct: float = 50.0  # refused above this share of a table …
    share_least: int = 1000  # … if it is at least so many rows
    all_history: bool = False  # the one-time clean-up: that share is what was asked for


class Report(NamedTuple):
    """What a table held at one moment."""

    rows: int
    oldest: date | None
    newest: date | None

    def __str__(self) -> str:
        return f"{self.rows:,} rows" + (f" ({self.oldest} to {self.newest})" if self.rows else "")


@dataclass(frozen=True)
class Counts:
    """The rows of a table per date, and what the warehouse calls today."""

    days: Mapping[date, int]
    today: date | None = None

    @property
    def report(self) -> Report:
        return Report(sum(self.days.values()), min(self.days, default=None), max(self.days, default=None))

    def before(self, cutoff: date) -> dict[date, int]:
        return {day: n for day, n in sorted(self.days.items()) if day < cutoff}


class Lease(NamedTuple):
    """A claim on a date that may still be worked on."""

    day: date
    reason: str
    until: datetime


@dataclass(frozen=True)
class Decision:
    """The dates that may go, or why none may."""

    cutoff: date  # rows of dates before it are old
    days: Mapping[date, int] = field(default_factory=dict)
    refusal: str = ""

    @property
    def rows(self) -> int:
        return sum(self.days.values())


def decide(
    pipeline: Pipeline, processor: Processor, counts: Counts, leases: Sequence[Lease], rules: Rules, now: datetime
) -> Decision:
    """Which dates of a table are removed: those before the civil date `keep_days` ago, or none with a reason."""
    cutoff = civil_today(pipeline, now) - timedelta(days=rules.keep_days)
    old = counts.before(cutoff)
    return Decision(cutoff, old, _refusal(pipeline, processor, counts, leases, rules, cutoff, old))


def _refusal(
    pipeline: Pipeline,
    processor: Processor,
    counts: Counts,
    leases: Sequence[Lease],
    rules: Rules,
    cutoff: date,
    old: Mapping[date, int],
) -> str:
    table, rows, whole = processor.table, sum(old.values()), counts.report.rows
    if rules.keep_days < 1:
        return (
            f"{table}: with {rules.keep_days} days kept, games that are played today or are not over yet would go; "
            "keep 1 day at least"
        )
    reader = reader_of_the_past(pipeline, processor, rules.keep_days)
    if reader:
        return f"{table}: {reader}; what is read must stay"
    if not old:
        return ""
    if counts.today and cutoff > counts.today:
        return (
            f"{table}: rows before {cutoff} would go, and for the warehouse it is {counts.today} only; "
            "look at the clock, or at --now"
        )
    open_on = [lease for lease in leases if lease.day in old]
    if open_on:
        first = open_on[0]
        return (
            f"{table}: {first.day} is being worked on ({first.reason or 'claimed'}, until "
            f"{first.until:%Y-%m-%d %H:%M} UTC at the latest), {len(open_on)} of {len(old)} dates in all; "
            "try again afterwards"
        )
    if len(old) > _MOST_DATES:
        return (
            f"{table}: {len(old):,} dates, {_MOST_DATES:,} at most at a time; "
            "begin with the oldest by a larger --older-than"
        )
    if not rules.all_history and rows >= rules.share_least and 100 * rows > rules.most_share_pct * whole:
        return (
            f"{table}: {rows:,} of {whole:,} rows ({100 * rows / whole:.1f} %) are older than {cutoff}, "
            f"{rules.most_share_pct:g} % at most go unasked; if that is what should happen, lift the limit with "
            "--all-history"
        )
    return ""


def reader_of_the_past(pipeline: Pipeline, processor: Processor, keep_days: int) -> str:
    """Who reads rows of the table that a clean-up would remove, as a half sentence; empty if nobody does."""
    for reader in pipeline.processors.values():
        edge = reader.upstream.get(processor.name)
        if not edge:
            continue
        of_the_past = reader.applies(True) and (edge.reads_own_day(True) or edge.lookback_days > 0)
        if of_the_past or edge.lookback_days > keep_days:
            return f"{reader.name} reads its past rows ({edge.lookback_days} days back)"
    return ""


@dataclass
class Cleaned:
    """What became of one table."""

    run_id: str
    table: str
    cutoff: date
    status: Ended = Ended.FAILED
    before: Report | None = None
    after: Report | None = None
    dates: int = 0
    old_rows: int = 0  # that were, or would be, removed or brought back
    deleted: int | None = None  # below zero: rows brought back
    backup: str = ""
    error: str = ""
    failure: GaplessError | None = None

    def summary(self) -> str:
        """One sentence with its numbers."""
        if self.failure or not self.before or not self.after:
            return f"{self.status}: {self.error}"
        what = f"{self.old_rows:,} rows of {self.dates:,} dates"
        now = f"{self.table}: {self.before} before, {self.after} after"
        return {
            Ended.DONE: f"{now}; {what} before {self.cutoff} deleted, backup {self.backup}",
            Ended.RESTORED: f"{now}; {self.old_rows:,} rows brought back from {self.backup}",
            Ended.NOTHING: f"{self.table}: {self.before}; "
            + (f"nothing of {self.backup} is missing" if self.backup else f"nothing is older than {self.cutoff}"),
            Ended.DRY_RUN: f"{self.table}: {self.before}; "
            + (
                f"{self.old_rows:,} rows would come back from {self.backup}"
                if self.backup
                else f"{what} before {self.cutoff} would be deleted"
            ),
        }[self.status]

    def as_json(self) -> dict[str, Any]:
        """The facts by name, without what is not known."""
        facts: dict[str, Any] = {
            "table": self.table, "status": str(self.status), "cutoff_date": self.cutoff.isoformat(),
            "dates": self.dates, "rows_old": self.old_rows, "rows_deleted": self.deleted,
            "backup_table": self.backup or None, "error": self.error or None,
        }  # fmt: skip
        for when, report in (("before", self.before), ("after", self.after)):
            if report:
                facts |= {f"rows_{when}": report.rows, f"oldest_{when}": report.oldest, f"newest_{when}": report.newest}
        return {name: value for name, value in facts.items() if value is not None}


class Backup(NamedTuple):
    """A row of `table_backups`, and whether its table is still there."""

    table: str
    source: str
    rows: int
    reason: str
    created_at: datetime
    expires_at: datetime | None
    exists: bool

    def expired(self, now: datetime) -> bool:
        return self.expires_at is not None and self.expires_at <= now

    def state(self, now: datetime) -> str:
        return "expired" if self.expired(now) else "here" if self.exists else "gone"


@dataclass
class Cleaner:
    """Removes old rows of the tables about the days to come, and brings them back."""

    pipeline: Pipeline
    warehouse: Warehouse
    clock: Callable[[], datetime]
    settings: Settings

    @property
    def switched_off(self) -> str:
        """The switch in the environment that forbids any change, or nothing."""
        return "GAPLESS_HALT" if self.settings.halted else "GAPLESS_REPORT_ONLY" if self.settings.report_only else ""

    def _allow(self, dry_run: bool) -> None:
        if self.switched_off and not dry_run:
            raise Halted(f"nothing was changed: {self.switched_off} is set; unset it, or make a dry run")

    # -- clean-up ------------------------------------------------------------------------------------------------------

    def clean_up(self, rules: Rules, *, dry_run: bool) -> list[Cleaned]:
        """Clean every table about the days to come; what goes wrong with one does not keep the others waiting.

        Raises `Halted` when changes are switched off.
        """
        self._allow(dry_run)
        run_id = uuid.uuid4().hex[:12]
        return [
            self._attempted(run_id, p, rules.keep_days, partial(self._clean, p, rules, dry_run))
            for p in self.pipeline.processors.values()
            if p.applies_to == "upcoming" and p.run != "none"
        ]

    def _clean(self, processor: Processor, rules: Rules, dry_run: bool, done: Cleaned) -> None:
        now = self.clock()
        # In this order: who claims after the head was read is met by the claim, who did before is among the leases.
        newest, generation = self._head()
        counts = self._counts(processor)
        leases = self._leases(processor, date.min, done.cutoff, now)
        decision = decide(self.pipeline, processor, counts, leases, rules, now)
        done.cutoff, done.before = decision.cutoff, counts.report
        done.dates, done.old_rows = len(decision.days), decision.rows
        if decision.refusal:
            raise Refused(decision.refusal)
        if dry_run or not decision.days:
            done.status, done.after = (Ended.DRY_RUN if decision.days else Ended.NOTHING), counts.report
            done.deleted = 0
            return
        targets = _Claimed(self, processor, tuple(decision.days), newest, generation, done.run_id, "cleanup")
        with targets as claim:
            self._remove(done, processor, decision, claim)
            done.after = self._counts(processor).report
            targets.landed({})
        done.status = Ended.DONE

    def _remove(self, done: Cleaned, processor: Processor, decision: Decision, claim: int) -> None:
        """Back up, count, write the backup down, delete, count."""
        days = list(decision.days)
        backup = backup_name(self.pipeline, processor, civil_today(self.pipeline, self.clock()))
        chosen: dict[str, Param] = {"cutoff": decision.cutoff, "days": days}
        self.warehouse.execute(back_up(processor, backup), chosen, purpose="backup")
        copied, present = self._compared(processor, backup, chosen)
        if not copied == present == decision.rows:
            self.warehouse.drop(backup)
            raise TransientFailure(
                f"{processor.table}: the backup holds {copied:,} rows, the table {present:,}, and {decision.rows:,} "
                "were counted before; nothing was deleted; try again when nobody writes to it"
            )
        self._register(backup, processor, copied, f"cleanup {done.run_id}: dates before {decision.cutoff}")
        done.backup = backup
        done.deleted = self.warehouse.execute(
            delete(processor, backup, self._ledger("attempts")),
            {**chosen, "processor": processor.name, "claim": claim},
            purpose="cleanup",
        )
        if done.deleted != copied:
            raise TransientFailure(
                f"{processor.table}: {done.deleted:,} of {copied:,} rows were deleted; the others changed after the "
                f"backup, or another run claimed their dates, and stayed; the backup is {backup}"
            )

    def _compared(self, processor: Processor, backup: str, chosen: Mapping[str, Param]) -> tuple[int, int]:
        """The rows of a backup, and those that it should hold, counted in one statement."""
        day = processor.date_column
        ((copied, present),) = self.warehouse.rows(
            f"SELECT (SELECT COUNT(*) FROM {quoted(backup)}) AS copied, (SELECT COUNT(*) FROM "
            f"{quoted(processor.table)} WHERE {day} < @cutoff AND {day} IN UNNEST(@days)) AS present",
            chosen,
            purpose="compare",
        ).rows
        return copied, present

    # -- restore -------------------------------------------------------------------------------------------------------

    def backups(self) -> list[Backup]:
        """Every backup that was written down, the newest first."""
        there = self.warehouse.tables(self.pipeline.ledger)
        found = self.warehouse.rows(
            "SELECT backup_table, source_table, row_count, IFNULL(reason, ''), created_at, expires_at "
            f"FROM {quoted(self._ledger('table_backups'))} ORDER BY created_at DESC, backup_table",
            purpose="backups",
        ).rows
        return [
            Backup(table, source, rows, reason, created, expires, table.split(".")[-1] in there)
            for table, source, rows, reason, created, expires in found
        ]

    def restore(self, name: str, *, dry_run: bool) -> Cleaned:
        """Bring back the rows of a backup whose keys are not in its table; rows that are there stay as they are.

        Raises `Refused` with the backups that exist when there is none of that name, or no longer; `Halted` when
        changes are switched off.
        """
        self._allow(dry_run)
        backup = self._chosen(name)
        processor = next((p for p in self.pipeline.processors.values() if p.table == backup.source), None)
        if not processor or processor.row_hash != "stored" or not _is_backup(self.pipeline, backup.table):
            raise Refused(f"{backup.table}: its source {backup.source} is not a table of this pipeline's processors")
        run_id = uuid.uuid4().hex[:12]
        return self._attempted(run_id, processor, 0, partial(self._restore, processor, backup, dry_run))

    def _chosen(self, name: str) -> Backup:
        """The backup of that name, with or without its dataset."""
        now, every = self.clock(), self.backups()
        full = name if "." in name else ledger.table(self.pipeline.ledger, name)
        found = next((b for b in every if b.table == full), None)
        if found and found.state(now) == "here":
            return found
        problem = f"'{name[:120]}' is {found.state(now)}" if found else f"there is no backup '{name[:120]}'"
        here = [b.table.split(".")[-1] for b in every if b.state(now) == "here"]
        raise Refused(f"{problem}; there is {', '.join(here[:10]) if here else 'none at all'}")

    def _restore(self, processor: Processor, backup: Backup, dry_run: bool, done: Cleaned) -> None:
        done.backup = backup.table
        newest, generation = self._head()
        kept = self._counts(processor, backup.table)
        first, last = kept.report.oldest, kept.report.newest
        if kept.report.rows != backup.rows or not first or not last:
            raise CannotObserve(f"{backup.table} holds {kept.report.rows:,} rows, {backup.rows:,} were backed up")
        done.cutoff, done.dates = last + timedelta(days=1), len(kept.days)
        done.before = self._counts(processor).report
        leases = self._leases(processor, first, done.cutoff, self.clock())
        if leases:
            raise Refused(
                f"{processor.table}: {leases[0].day} is being worked on ({leases[0].reason or 'claimed'}, until "
                f"{leases[0].until:%Y-%m-%d %H:%M} UTC at the latest); try again afterwards"
            )
        names = self._columns(processor, backup.table)
        limits: dict[str, Param] = {"first": first, "last": last}
        done.old_rows = self._absent(processor, backup.table, limits)
        if dry_run or not done.old_rows:
            done.status, done.after = (Ended.DRY_RUN if done.old_rows else Ended.NOTHING), done.before
            done.deleted = 0
            return
        targets = _Claimed(self, processor, tuple(kept.days), newest, generation, done.run_id, "restore")
        with targets as claim:
            written = self.warehouse.execute(
                bring_back(processor, backup.table, names, self._ledger("attempts")),
                {**limits, "processor": processor.name, "claim": claim, "days": list(kept.days)},
                purpose="restore",
            )
            done.deleted = -written
            left = self._absent(processor, backup.table, limits)
            if written != done.old_rows or left:
                raise TransientFailure(
                    f"{processor.table}: {written:,} of {done.old_rows:,} rows were brought back from {backup.table}, "
                    f"{left:,} are not there; repeat it"
                )
            done.after = self._counts(processor).report
            targets.landed(kept.days)
        done.status = Ended.RESTORED

    def _columns(self, processor: Processor, backup: str) -> list[str]:
        """The columns of a backup; raises `Refused` when the table has lost one of them since."""
        dataset, _, table = processor.table.partition(".")
        names = list(self.warehouse.tables(self.pipeline.ledger)[backup.split(".")[1]])
        lost = sorted(set(names) - set(self.warehouse.tables(dataset).get(table, ())))
        odd = [name for name in names if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,299}", name)]
        if lost or odd:
            raise Refused(
                f"{processor.table} has no column '{(lost or odd)[0]}', {backup} has: it cannot take its rows"
            )
        return names

    def _absent(self, processor: Processor, backup: str, limits: Mapping[str, Param]) -> int:
        sql = f"SELECT COUNT(*) FROM {absent(processor, backup)}"
        return int(self.warehouse.rows(sql, limits, purpose="compare").rows[0][0])

    # -- both ----------------------------------------------------------------------------------------------------------

    def _attempted(
        self, run_id: str, processor: Processor, keep_days: int, work: Callable[[Cleaned], None]
    ) -> Cleaned:
        """Do the work on one table, and write down what came out of it."""
        cutoff = civil_today(self.pipeline, self.clock()) - timedelta(days=keep_days)
        done = Cleaned(run_id, processor.table, cutoff)
        try:
            work(done)
        except GaplessError as error:
            done.error, done.failure = str(error), error
            done.status = Ended.REFUSED if isinstance(error, Refused) else Ended.FAILED
        try:
            self._record(done)
        except GaplessError as error:
            if done.failure:  # most likely for the same reason; the first is the one to tell
                return done
            done.status, done.failure = Ended.FAILED, error
            done.error = f"{done.table}: {done.deleted or 0:,} rows deleted, and cleanup_log did not take it: {error}"
        return done

    def _head(self) -> tuple[int, str]:
        """The number of the newest claim, and the ledger's generation."""
        ((newest, generation),) = self.warehouse.rows(
            "SELECT MAX(claim_number) AS newest, MIN(IF(claim_number = 0, run_id, NULL)) AS generation "
            f"FROM {quoted(self._ledger('attempts'))}",
            purpose="claims",
        ).rows
        return newest or 0, ledger.generation_of([(generation,)])

    def _counts(self, processor: Processor, table: str = "") -> Counts:
        found = self.warehouse.rows(
            f"SELECT {processor.date_column} AS day, COUNT(*) AS n, CURRENT_DATE(@zone) AS today "
            f"FROM {quoted(table or processor.table)} WHERE {processor.date_column} IS NOT NULL GROUP BY day",
            {"zone": self.pipeline.timezone.key},
            purpose="count",
        ).rows
        return Counts({day: n for day, n, _ in found}, found[0][2] if found else None)

    def _leases(self, processor: Processor, first: date, before: date, now: datetime) -> list[Lease]:
        """The claims on dates of a processor that have no outcome yet and whose owner may still work."""
        found = self.warehouse.rows(
            f"""SELECT a.target_date, IFNULL(a.reason, '') AS reason, a.lease_until, a.owner
FROM {quoted(self._ledger("attempts"))} AS a
LEFT JOIN {quoted(self._ledger("backfill_date_outcomes"))} AS o
  ON o.processor_name = a.processor_name AND o.analysis_date = a.target_date AND o.claim_number = a.claim_number
WHERE a.processor_name = @processor AND a.target_date >= @first AND a.target_date < @before
  AND a.lease_until > @now AND o.claim_number IS NULL
ORDER BY a.target_date, a.claim_number""",
            {"processor": processor.name, "first": first, "before": before, "now": now},
            purpose="leases",
        ).rows
        return [Lease(day, reason, until) for day, reason, until, owner in found if not ledger.owner_is_gone(owner)]

    def book(self) -> ledger.SqlLedger:
        """The ledger, where targets are claimed as for a repair."""
        phases = {p.name: p.phase for p in self.pipeline.processors.values()}
        owner = ledger.this_process(findable=not self.settings.serverless)
        return ledger.SqlLedger(self.warehouse, self.pipeline.ledger, phases, self.clock, _LEASE, owner)

    def _register(self, backup: str, processor: Processor, rows: int, reason: str) -> None:
        now = self.clock()
        self.warehouse.execute(
            f"INSERT INTO {quoted(self._ledger('table_backups'))} "
            "(backup_table, source_table, row_count, reason, created_at, expires_at) "
            "SELECT @backup, @source, @n, @reason, @now, @expires",
            {
                "backup": backup, "source": processor.table, "n": rows, "reason": reason, "now": now,
                "expires": now + timedelta(days=BACKUP_DAYS),
            },
            purpose="register",
        )  # fmt: skip

    def _record(self, done: Cleaned) -> None:
        before, after = done.before or Report(0, None, None), done.after or Report(0, None, None)
        values: dict[str, tuple[str, Any]] = {
            "run_id": ("STRING", done.run_id), "table_name": ("STRING", done.table),
            "cutoff_date": ("DATE", done.cutoff), "rows_before": ("INT64", before.rows if done.before else None),
            "rows_deleted": ("INT64", done.deleted), "oldest_before": ("DATE", before.oldest),
            "newest_before": ("DATE", before.newest), "oldest_after": ("DATE", after.oldest),
            "newest_after": ("DATE", after.newest), "backup_table": ("STRING", done.backup or None),
            "status": ("STRING", str(done.status)), "error_message": ("STRING", done.error or None),
            "cleaned_at": ("TIMESTAMP", self.clock().isoformat()),
        }  # fmt: skip
        casts = ", ".join(f"CAST(JSON_VALUE(@row, '$.{name}') AS {kind})" for name, (kind, _) in values.items())
        self.warehouse.execute(
            f"INSERT INTO {quoted(self._ledger('cleanup_log'))} ({', '.join(values)}) SELECT {casts}",
            {"row": json.dumps({name: value for name, (_, value) in values.items()}, default=str)},
            purpose="cleanup_log",
        )

    def _ledger(self, name: str) -> str:
        return ledger.table(self.pipeline.ledger, name)


class _Claimed:
    """The targets of one table, claimed for as long as a `with` lasts: all of them, or `Refused`."""

    def __init__(
        self, cleaner: Cleaner, processor: Processor, days: Sequence[date], newest: int, generation: str, run_id: str,
        reason: str,
    ) -> None:  # fmt: skip
        self._book, self._clock = cleaner.book(), cleaner.clock
        self._table, self._run_id = processor.table, run_id
        self._wanted = [Wanted(Target(processor.name, day), 0, reason) for day in days]
        self._head = (newest, generation)
        self._claim = Claim(0, ())
        self._begin = self._clock()
        self._rows: Mapping[date, int] | None = None

    def __enter__(self) -> int:
        try:
            self._claim = self._book.claim(self._wanted, *self._head, self._run_id)
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


def raise_first(results: Sequence[Cleaned]) -> None:
    """Raise what kept a table from its clean-up, a failure before a refusal; several of a kind in one message."""
    for status in (Ended.FAILED, Ended.REFUSED):
        found = [each for each in results if each.status is status and each.failure]
        if found and found[0].failure:
            kind = type(found[0].failure) if status is Ended.FAILED else Refused
            raise kind("; ".join(each.error for each in found)) from found[0].failure


# -- statements --------------------------------------------------------------------------------------------------------


def backup_name(pipeline: Pipeline, processor: Processor, today: date) -> str:
    """A name that no other backup has, in the dataset of the ledger: what is staged goes after a day."""
    table = processor.table.split(".")[1]
    return ledger.table(pipeline.ledger, f"backup_{table}_{today.strftime(_DATE)}_{uuid.uuid4().hex[:8]}")


def _is_backup(pipeline: Pipeline, name: str) -> bool:
    return bool(re.fullmatch(rf"{re.escape(pipeline.ledger)}\.backup_[a-z][a-z0-9_]*_\d{{8}}_[0-9a-f]{{8}}", name))


def back_up(processor: Processor, backup: str) -> str:
    """Copy the rows of @days into a new table that expires; every column, declared or not. Reads @cutoff, @days."""
    day = processor.date_column
    return (
        f"CREATE TABLE {quoted(backup)}\n"
        f"OPTIONS (expiration_timestamp = TIMESTAMP_ADD(CURRENT_TIMESTAMP(), INTERVAL {BACKUP_DAYS} DAY)) AS\n"
        f"SELECT * FROM {quoted(processor.table)} WHERE {day} < @cutoff AND {day} IN UNNEST(@days)"
    )


def delete(processor: Processor, backup: str, attempts: str) -> str:
    """Delete the rows of @days that stand in the backup exactly as they are, unless a newer claim than @claim exists.

    A row that changed or came after the backup was made stays. Reads @cutoff, @days, @processor, @claim.
    """
    day = processor.date_column
    return (
        f"DELETE FROM {quoted(processor.table)} AS t\n"
        f"WHERE t.{day} < @cutoff AND t.{day} IN UNNEST(@days)\n"
        f"  AND TO_JSON_STRING(t) IN (SELECT TO_JSON_STRING(b) FROM {quoted(backup)} AS b)\n"
        f"  AND {_fence(attempts)}"
    )


def absent(processor: Processor, backup: str) -> str:
    """The backup's rows whose keys the table does not have, as a FROM clause with the alias b. Reads @first, @last."""
    day = processor.date_column
    keys = list(dict.fromkeys((day, *processor.key)))
    same = " AND ".join(f"t.{name} = b.{name}" for name in keys)
    return (
        f"{quoted(backup)} AS b\n"
        f"LEFT JOIN (SELECT DISTINCT {', '.join(keys)} FROM {quoted(processor.table)} "
        f"WHERE {day} BETWEEN @first AND @last) AS t ON {same}\n"
        f"WHERE t.{day} IS NULL"
    )


def bring_back(processor: Processor, backup: str, names: Sequence[str], attempts: str) -> str:
    """Insert what `absent` finds, unless a newer claim than @claim exists.

    Reads @first, @last, @days, @processor, @claim.
    """
    columns = [f"`{name}`" for name in names]
    return (
        f"INSERT INTO {quoted(processor.table)} ({', '.join(columns)})\n"
        f"SELECT {', '.join('b.' + column for column in columns)} FROM {absent(processor, backup)}\n"
        f"  AND {_fence(attempts)}"
    )


def _fence(attempts: str) -> str:
    return (
        f"NOT EXISTS (SELECT 1 FROM {quoted(attempts)} AS a WHERE a.processor_name = @processor "
        "AND a.target_date IN UNNEST(@days) AND a.claim_number > @claim)"
    )
