"""Carries a clean-up or a restore out: measure, decide, claim, back up, count, delete, count, write down."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from typing import NamedTuple

from gapless import ledger
from gapless.declare.pipeline import Pipeline
from gapless.declare.processor import Processor
from gapless.declare.settings import Settings
from gapless.errors import CannotObserve, GaplessError, Halted, Refused, TransientFailure
from gapless.judge.verdicts import civil_today
from gapless.model import Upkeep
from gapless.tasks.cleanup import statements
from gapless.tasks.cleanup.claims import Claimed
from gapless.tasks.cleanup.decision import CleanupRules, Decision, RowCounts, decide
from gapless.tasks.cleanup.outcome import Cleaned, Ended
from gapless.tasks.cleanup.records import Backup, Head, Records
from gapless.warehouse.ports import Param, Warehouse
from gapless.warehouse.rows import decoded

_LEASE = timedelta(minutes=30)  # a backup and a deletion, each with the time that a statement may take


class _CountedRow(NamedTuple):
    """The rows of one date, and what the warehouse calls today."""

    day: date
    n: int
    today: date


class _ComparedRow(NamedTuple):
    """The rows of a backup, and those that it should hold."""

    copied: int
    present: int


class _AbsentRow(NamedTuple):
    """How many rows of a backup its table does not have."""

    absent: int


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

    @property
    def records(self) -> Records:
        """What the ledger knows of clean-ups."""
        return Records(self.pipeline, self.warehouse, self.clock)

    def book(self) -> ledger.SqlLedger:
        """The ledger, where targets are claimed as for a repair."""
        phases = {p.name: p.phase for p in self.pipeline.processors.values()}
        owner = ledger.this_process(findable=not self.settings.serverless)
        return ledger.SqlLedger(self.warehouse, self.pipeline.ledger, phases, self.clock, _LEASE, owner)

    def backups(self) -> list[Backup]:
        """Every backup that was written down, the newest first."""
        return self.records.backups()

    # -- clean-up ------------------------------------------------------------------------------------------------------

    def clean_up(self, rules: CleanupRules, *, dry_run: bool) -> list[Cleaned]:
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

    def _clean(self, processor: Processor, rules: CleanupRules, dry_run: bool, done: Cleaned) -> None:
        now = self.clock()
        # In this order: who claims after the head was read is met by the claim, who did before is among the leases.
        head = self.records.head()
        counts = self._counts(processor)
        leases = self.records.leases(processor, date.min, done.cutoff, now)
        decision = decide(self.pipeline, processor, counts, leases, rules, now)
        done.cutoff, done.before = decision.cutoff, counts.report
        done.dates, done.old_rows = len(decision.days), decision.rows
        if decision.refusal:
            raise Refused(decision.refusal)
        if dry_run or not decision.days:
            done.status, done.after = (Ended.DRY_RUN if decision.days else Ended.NOTHING), counts.report
            done.deleted = 0
            return
        targets = self._claimed(processor, tuple(decision.days), head, done.run_id, Upkeep.CLEAN_UP)
        with targets as claim:
            self._remove(done, processor, decision, claim)
            done.after = self._counts(processor).report
            targets.landed({})
        done.status = Ended.DONE

    def _remove(
        self,
        done: Cleaned,
        processor: Processor,
        decision: Decision,
        claim: int,
        *,
        where: str = "",
        params: Mapping[str, Param] | None = None,
        why: str = "",
    ) -> None:
        """Back up, count, write the backup down, delete, count; `where` and its `params` narrow the dates' rows."""
        why = why or f"{Upkeep.CLEAN_UP} {done.run_id}: dates before {decision.cutoff}"
        backup = statements.backup_name(self.pipeline, processor, civil_today(self.pipeline, self.clock()))
        chosen: dict[str, Param] = {"cutoff": decision.cutoff, "days": list(decision.days), **(params or {})}
        self.warehouse.execute(statements.back_up(processor, backup, where), chosen, purpose="backup")
        copied, present = self._compared(processor, backup, where, chosen)
        if not copied == present == decision.rows:
            self.warehouse.drop(backup)
            raise TransientFailure(
                f"{processor.table}: the backup holds {copied:,} rows, the table {present:,}, and {decision.rows:,} "
                "were counted before; nothing was deleted; try again when nobody writes to it"
            )
        self.records.register(backup, processor, copied, why)
        done.backup = backup
        done.deleted = self.warehouse.execute(
            statements.delete(processor, backup, self.records.table("attempts"), where),
            {**chosen, "processor": processor.name, "claim": claim},
            purpose="cleanup",
        )
        if done.deleted != copied:
            raise TransientFailure(
                f"{processor.table}: {done.deleted:,} of {copied:,} rows were deleted; the others changed after the "
                f"backup, or another run claimed their dates, and stayed; the backup is {backup}"
            )

    def _compared(self, processor: Processor, backup: str, where: str, chosen: Mapping[str, Param]) -> tuple[int, int]:
        """The rows of a backup, and those that it should hold."""
        answer = self.warehouse.rows(statements.compare(processor, backup, where), chosen, purpose="compare")
        (row,) = decoded(_ComparedRow, answer)
        return row.copied, row.present

    # -- restore -------------------------------------------------------------------------------------------------------

    def restore(self, name: str, *, dry_run: bool) -> Cleaned:
        """Bring back the rows of a backup whose keys are not in its table; rows that are there stay as they are.

        Raises `Refused` with the backups that exist when there is none of that name, or no longer; `Halted` when
        changes are switched off.
        """
        self._allow(dry_run)
        backup = self.records.backup(name)
        processor = next((p for p in self.pipeline.processors.values() if p.table == backup.source), None)
        if not processor or processor.row_hash != "stored" or not statements.is_backup(self.pipeline, backup.table):
            raise Refused(f"{backup.table}: its source {backup.source} is not a table of this pipeline's processors")
        run_id = uuid.uuid4().hex[:12]
        return self._attempted(run_id, processor, 0, partial(self._restore, processor, backup, dry_run))

    def _restore(self, processor: Processor, backup: Backup, dry_run: bool, done: Cleaned) -> None:
        done.backup = backup.table
        head = self.records.head()
        kept = self._counts(processor, backup.table)
        first, last = kept.report.oldest, kept.report.newest
        if kept.report.rows != backup.rows or not first or not last:
            raise CannotObserve(f"{backup.table} holds {kept.report.rows:,} rows, {backup.rows:,} were backed up")
        done.cutoff, done.dates = last + timedelta(days=1), len(kept.days)
        done.before = self._counts(processor).report
        leases = self.records.leases(processor, first, done.cutoff, self.clock())
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
        targets = self._claimed(processor, tuple(kept.days), head, done.run_id, Upkeep.RESTORE)
        with targets as claim:
            written = self.warehouse.execute(
                statements.bring_back(processor, backup.table, names, self.records.table("attempts")),
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
        sql = f"SELECT COUNT(*) AS absent FROM {statements.absent(processor, backup)}"
        (row,) = decoded(_AbsentRow, self.warehouse.rows(sql, limits, purpose="compare"))
        return row.absent

    # -- both ----------------------------------------------------------------------------------------------------------

    def _allow(self, dry_run: bool) -> None:
        if self.switched_off and not dry_run:
            raise Halted(f"nothing was changed: {self.switched_off} is set; unset it, or make a dry run")

    def _attempted(self, run_id: str, processor: Processor, keep_days: int, work: Callable[[Cleaned], None]) -> Cleaned:
        """Do the work on one table, and write down what came out of it."""
        cutoff = civil_today(self.pipeline, self.clock()) - timedelta(days=keep_days)
        done = Cleaned(run_id, processor.table, cutoff)
        try:
            work(done)
        except GaplessError as error:
            done.error, done.failure = str(error), error
            done.status = Ended.REFUSED if isinstance(error, Refused) else Ended.FAILED
        try:
            self.records.log(done)
        except GaplessError as error:
            if done.failure:  # most likely for the same reason; the first is the one to tell
                return done
            done.status, done.failure = Ended.FAILED, error
            done.error = f"{done.table}: {done.deleted or 0:,} rows deleted, and cleanup_log did not take it: {error}"
        return done

    def _counts(self, processor: Processor, table: str = "") -> RowCounts:
        zone = {"zone": self.pipeline.timezone.key}
        answer = self.warehouse.rows(statements.count(processor, table or processor.table), zone, purpose="count")
        rows = decoded(_CountedRow, answer)
        return RowCounts({row.day: row.n for row in rows}, rows[0].today if rows else None)

    def _claimed(self, processor: Processor, days: Sequence[date], head: Head, run_id: str, work: Upkeep) -> Claimed:
        return Claimed(self.book(), self.clock, processor, days, head, run_id, work)
