"""Clean-up and restore on a real warehouse: nothing is deleted twice, nothing is lost, nothing is said to be done."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gapless.errors import Halted, Refused, TransientFailure
from gapless.model import Target, Verdict, Wanted
from gapless.tasks.cleanup.cleaner import Cleaner
from gapless.tasks.cleanup.decision import CleanupRules
from gapless.tasks.cleanup.outcome import Cleaned, Ended
from tests.conftest import ROOT, Bench, Clock, Season, Shop, Watched, plain

Gapless = Callable[..., Any]
TODAY = date(2024, 2, 12)
CUTOFF = date(2024, 2, 5)
OLD = [date(2024, 2, day) for day in (1, 2, 3, 4)]
KEPT = [date(2024, 2, day) for day in (5, 8, 12, 13)]
COLUMNS = "(day, branch, cents_3_days, forecast_cents, row_hash, inputs_hash, run_id, processed_at)"


class Death(BaseException):
    """The process is gone: nobody catches it."""


@dataclass
class Yard:
    """The shop with one table about the days to come, and words to look at what a clean-up does to it."""

    shop: Shop

    def cleaner(self, bench: Bench | None = None) -> Cleaner:
        gapless = (bench or self.shop).gapless
        return Cleaner(gapless.pipeline, gapless.warehouse, gapless.clock, gapless.settings)

    def clean(self, bench: Bench | None = None, *, dry_run: bool = False, **rules: Any) -> Cleaned:
        (done,) = self.cleaner(bench).clean_up(CleanupRules(**rules), dry_run=dry_run)
        return done

    def watched(self) -> tuple[Shop, Watched]:
        bench, watched = self.shop.watched()
        assert isinstance(bench, Shop)
        return bench, watched

    def fill(self, *days: date, branches: str = "ABC", cents: int = 100) -> None:
        self.shop.run(
            f"INSERT INTO `shop_mart.standing` {COLUMNS} "
            "SELECT d, b, @cents + EXTRACT(DAY FROM d), IF(b = 'A', NULL, 7), EXTRACT(DAY FROM d), 5, 'before', @now "
            "FROM UNNEST(@days) AS d CROSS JOIN UNNEST(@branches) AS b",
            days=list(days), branches=list(branches), cents=cents, now=datetime(2024, 1, 31, 9, 8, 7, 654321, UTC),
        )  # fmt: skip

    def rows(self, table: str = "shop_mart.standing") -> list[tuple[Any, ...]]:
        return self.shop.rows(f"SELECT * FROM `{table}` ORDER BY day, branch, cents_3_days")

    def log(self) -> list[tuple[Any, ...]]:
        """status, rows before, rows deleted, error, of every row of the log, the oldest first."""
        return self.shop.rows(
            "SELECT status, rows_before, rows_deleted, IFNULL(error_message, '') FROM "
            f"{self.shop.ledger_table('cleanup_log')} ORDER BY cleaned_at"
        )

    def claims(self) -> int:
        found = self.shop.rows(f"SELECT COUNT(*) FROM {self.shop.ledger_table('attempts')} WHERE claim_number > 0")
        return int(found[0][0])


@pytest.fixture
def yard(chain: Shop, tmp_path: Path) -> Iterator[Yard]:
    """Three branches on eight dates, four of them more than a week ago."""
    upcoming = chain.variant(tmp_path, change={"standing": {"applies_to": "upcoming"}})
    yard = Yard(upcoming)
    yard.shop.forget_backups()
    yard.fill(*OLD, *KEPT)
    yield yard
    yard.shop.forget_backups()


# -- what goes, and what is kept ---------------------------------------------------------------------------------------


def test_old_rows_go_the_boundary_day_stays_and_the_backup_holds_what_went(yard: Yard) -> None:
    before = yard.rows()
    done = yard.clean()
    assert done.status is Ended.DONE
    assert (done.cutoff, done.dates, done.old_rows, done.deleted) == (CUTOFF, 4, 12, 12)
    assert done.before == (24, OLD[0], KEPT[-1])
    assert done.after == (12, KEPT[0], KEPT[-1])
    assert yard.shop.backups() == [done.backup]
    assert yard.rows() == [row for row in before if row[0] >= CUTOFF]
    assert yard.rows(done.backup) == [row for row in before if row[0] < CUTOFF]


def test_the_audit_row_and_the_backup_say_what_happened(yard: Yard) -> None:
    done = yard.clean()
    ((*told, at),) = yard.shop.rows(f"SELECT * FROM {yard.shop.ledger_table('cleanup_log')}")
    assert told == [
        done.run_id, "shop_mart.standing", CUTOFF, 24, 12, OLD[0], KEPT[-1], KEPT[0], KEPT[-1], done.backup, "done",
        None,
    ]  # fmt: skip
    assert at.date() == TODAY
    (backup,) = yard.cleaner().backups()
    assert (backup.table, backup.source, backup.rows, backup.exists) == (done.backup, "shop_mart.standing", 12, True)
    assert backup.expires_at is not None
    assert backup.expires_at - backup.created_at == timedelta(days=30)
    assert done.run_id in backup.reason


def test_the_claim_on_the_dates_is_closed_with_an_outcome(yard: Yard) -> None:
    done = yard.clean()
    outcomes = yard.shop.rows(
        "SELECT analysis_date, status, data_source, backfill_run_id FROM "
        f"{yard.shop.ledger_table('backfill_date_outcomes')} ORDER BY 1"
    )
    assert outcomes == [(day, "complete", "cleanup", done.run_id) for day in OLD]


def test_a_dry_run_counts_and_changes_nothing(yard: Yard) -> None:
    before = yard.rows()
    done = yard.clean(dry_run=True)
    assert (done.status, done.old_rows, done.deleted) == (Ended.DRY_RUN, 12, 0)
    assert yard.rows() == before
    assert (yard.shop.backups(), yard.claims()) == ([], 0)
    assert [row[0] for row in yard.log()] == ["dry_run"]


def test_the_second_time_there_is_nothing_to_do(yard: Yard) -> None:
    yard.clean()
    after = yard.rows()
    done = yard.clean()
    assert (done.status, done.deleted) == (Ended.NOTHING, 0)
    assert yard.rows() == after
    assert len(yard.shop.backups()) == 1
    assert [row[:3] for row in yard.log()] == [("done", 24, 12), ("nothing_to_do", 12, 0)]


def test_an_empty_table_and_one_without_old_rows_are_left_alone(yard: Yard) -> None:
    yard.shop.run("DELETE FROM `shop_mart.standing` WHERE day < @cutoff", cutoff=CUTOFF)
    assert yard.clean().status is Ended.NOTHING
    yard.shop.run("DELETE FROM `shop_mart.standing` WHERE TRUE")
    assert yard.clean().status is Ended.NOTHING
    assert yard.shop.backups() == []


@pytest.mark.parametrize(
    ("now", "today"),
    [
        (datetime(2024, 2, 11, 22, 59, tzinfo=UTC), date(2024, 2, 11)),  # a minute before midnight in Berlin
        (datetime(2024, 2, 11, 23, 1, tzinfo=UTC), date(2024, 2, 12)),
        (datetime(2024, 4, 1, 21, 59, tzinfo=UTC), date(2024, 4, 1)),  # the day after the clocks went forward
        (datetime(2024, 4, 1, 22, 1, tzinfo=UTC), date(2024, 4, 2)),
        (datetime(2024, 10, 28, 22, 59, tzinfo=UTC), date(2024, 10, 28)),  # and back
        (datetime(2024, 10, 28, 23, 1, tzinfo=UTC), date(2024, 10, 29)),
    ],
)
def test_the_boundary_is_that_of_the_pipelines_own_time_zone(yard: Yard, now: datetime, today: date) -> None:
    yard.shop.run("DELETE FROM `shop_mart.standing` WHERE TRUE")
    yard.fill(*(today - timedelta(days=n) for n in (0, 6, 7, 8, 9)))
    yard.shop.clock.now = now
    assert yard.clean().status is Ended.DONE
    assert sorted({row[0] for row in yard.rows()}) == [today - timedelta(days=n) for n in (7, 6, 0)]


def test_columns_that_nobody_declared_are_backed_up_and_brought_back(yard: Yard) -> None:
    keep, table = "`shop_gapless_staging.kept_standing`", "`shop_mart.standing`"
    yard.shop.run(f"CREATE OR REPLACE TABLE {keep} AS SELECT * FROM {table}")
    yard.shop.run(f"CREATE OR REPLACE TABLE {table} AS SELECT *, CONCAT('é \"', branch) AS remark FROM {keep}")
    try:
        before = yard.rows()
        done = yard.clean()
        assert (done.deleted, len(before[0])) == (12, 9)
        assert yard.cleaner().restore(done.backup, dry_run=False).error == ""
        assert yard.rows() == before
        backup = yard.clean().backup
        yard.shop.run(f"CREATE OR REPLACE TABLE {table} AS SELECT * FROM {keep}")
        assert "has no column 'remark'" in yard.cleaner().restore(backup, dry_run=False).error
    finally:
        yard.shop.run(f"CREATE OR REPLACE TABLE {table} AS SELECT * FROM {keep}")
        yard.shop.gapless.warehouse.drop("shop_gapless_staging.kept_standing")


# -- two at once -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("at", ["claims", "count", "leases", "claim", "backup", "compare", "register", "cleanup"])
def test_a_second_run_in_the_middle_of_a_first_deletes_nothing_twice_and_loses_nothing(yard: Yard, at: str) -> None:
    """The second runs from beginning to end just before a step of the first."""
    before = yard.rows()
    bench, watched = yard.watched()
    second: list[Cleaned] = []

    def interrupt(purpose: str) -> None:
        if purpose == at and not second:
            second.append(Cleaned("", "", TODAY))  # so that it is interrupted once only
            second[0] = yard.clean()

    watched.before = interrupt
    first = yard.clean(bench)
    ended = sorted([first.status, second[0].status])
    assert ended in (["done", "refused"], ["done", "nothing_to_do"])
    assert [each.deleted for each in (first, second[0]) if each.status is Ended.DONE] == [12]
    (backup,) = yard.cleaner().backups()
    assert yard.shop.backups() == [backup.table]
    assert sorted([*yard.rows(), *yard.rows(backup.table)], key=str) == sorted(before, key=str)
    told = " ".join(each.error for each in (first, second[0]))
    assert "refused" not in ended or "another run is at work" in told or "being worked on (cleanup" in told


def test_runs_that_start_at_the_same_moment_delete_once_and_lose_nothing(yard: Yard) -> None:
    for _ in range(3):
        before = yard.rows()
        gate = threading.Barrier(4)

        def one(gate: threading.Barrier = gate) -> Cleaned:
            gate.wait()
            return yard.clean()

        with ThreadPoolExecutor(4) as pool:
            results = [future.result() for future in [pool.submit(one) for _ in range(4)]]
        done = [each for each in results if each.status is Ended.DONE]
        assert len(done) == 1
        assert {each.status for each in results} <= {Ended.DONE, Ended.REFUSED, Ended.NOTHING}
        assert sum(each.deleted or 0 for each in results) == 12
        assert yard.shop.backups() == [done[0].backup]
        assert sorted([*yard.rows(), *yard.rows(done[0].backup)], key=str) == sorted(before, key=str)
        yard.shop.forget_backups()
        yard.fill(*OLD)


def test_a_slow_run_whose_lease_has_ended_deletes_nothing_once_another_has_claimed(yard: Yard) -> None:
    before = yard.rows()
    bench, watched = yard.watched()

    def overtaken(purpose: str) -> None:
        if purpose == "cleanup":
            yard.shop.book("other").claim([Wanted(Target("standing", OLD[0]), 0, "cleanup")], 1, generation, "other")

    ((generation,),) = yard.shop.rows(f"SELECT run_id FROM {yard.shop.ledger_table('attempts')} WHERE claim_number = 0")
    watched.before = overtaken
    done = yard.clean(bench)
    assert (done.status, done.deleted) == (Ended.FAILED, 0)
    assert "0 of 12 rows were deleted" in done.error
    assert yard.rows() == before
    assert [row[0] for row in yard.log()] == ["failed"]


# -- what goes wrong ---------------------------------------------------------------------------------------------------


def test_a_backup_that_is_not_whole_stops_everything_before_anything_is_deleted(yard: Yard) -> None:
    before = yard.rows()
    bench, watched = yard.watched()

    def damage(purpose: str) -> None:
        if purpose == "backup":
            (name,) = yard.shop.backups()
            yard.shop.run(f"DELETE FROM `{name}` WHERE day = @day AND branch = 'A'", day=OLD[0])

    watched.after = damage
    done = yard.clean(bench)
    assert done.status is Ended.FAILED
    assert isinstance(done.failure, TransientFailure)
    assert "the backup holds 11 rows, the table 12" in done.error
    assert ("execute", "cleanup") not in watched.calls
    assert yard.rows() == before
    assert (yard.shop.backups(), yard.cleaner().backups()) == ([], [])
    assert [row[0] for row in yard.log()] == ["failed"]
    assert yard.clean().status is Ended.DONE  # the claim was given back


def test_rows_that_come_between_counting_and_backup_stop_it_too(yard: Yard) -> None:
    bench, watched = yard.watched()
    late = iter([OLD[1]])
    watched.before = lambda purpose: yard.fill(next(late), branches="Z") if purpose == "backup" else None
    done = yard.clean(bench)
    assert done.status is Ended.FAILED
    assert "13 rows, the table 13, and 12 were counted before" in plain(done.error)
    assert len(yard.rows()) == 25


def test_a_row_that_changes_after_the_backup_stays_and_that_is_said_loudly(yard: Yard) -> None:
    bench, watched = yard.watched()

    def change(purpose: str) -> None:
        if purpose == "cleanup":
            yard.shop.update(Target("standing", OLD[2]), "cents_3_days = 999", "branch = 'B'")
            yard.fill(OLD[2], branches="Z")

    watched.before = change
    done = yard.clean(bench)
    assert (done.status, done.deleted) == (Ended.FAILED, 11)
    assert "11 of 12 rows were deleted" in done.error
    assert [(row[1], row[2]) for row in yard.rows() if row[0] < CUTOFF] == [("B", 999), ("Z", 103)]
    assert [row[:3] for row in yard.log()] == [("failed", 24, 11)]
    assert yard.clean().deleted == 2


@pytest.mark.parametrize("step", ["claim", "backup", "compare", "register", "cleanup"])
def test_a_run_that_dies_loses_nothing_and_the_next_one_finishes(yard: Yard, step: str) -> None:
    """It dies before each step; its lease is of a process that still lives, and so has to end first."""
    before = yard.rows()
    bench, watched = yard.watched()

    def die(purpose: str) -> None:
        if purpose == step:
            raise Death

    watched.before = die
    with pytest.raises(Death):
        yard.clean(bench)
    assert yard.rows() == before
    if step != "claim":
        refused = yard.clean()
        assert refused.status is Ended.REFUSED
        assert "being worked on (cleanup" in refused.error
        yard.shop.clock.now += timedelta(minutes=31)
    done = yard.clean()
    assert (done.status, done.deleted) == (Ended.DONE, 12)
    assert yard.rows() == [row for row in before if row[0] >= CUTOFF]
    assert yard.rows(done.backup) == [row for row in before if row[0] < CUTOFF]


def test_a_run_that_dies_after_the_deletion_leaves_a_backup_that_can_be_found(yard: Yard) -> None:
    before = yard.rows()
    bench, watched = yard.watched()

    def die(purpose: str) -> None:
        if purpose == "cleanup":
            raise Death

    watched.after = die
    with pytest.raises(Death):
        yard.clean(bench)
    (backup,) = yard.cleaner().backups()
    yard.shop.clock.now += timedelta(minutes=31)
    assert yard.clean().status is Ended.NOTHING
    assert yard.cleaner().restore(backup.table, dry_run=False).status is Ended.RESTORED
    assert yard.rows() == before


KILLED = """
import os, sys
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from gapless.tasks.cleanup.cleaner import Cleaner
from gapless.tasks.cleanup.decision import CleanupRules
from gapless.declare.settings import read_settings
from gapless.wiring import connect
from tests.conftest import Watched
home, pipeline, now = sys.argv[1:]
settings = replace(read_settings({}, home=Path(home)), pipeline=Path(pipeline))
gapless = connect(settings, lambda: datetime.fromisoformat(now))
watched = Watched(gapless.warehouse)
watched.before = lambda purpose: os.kill(os.getpid(), 9) if purpose == "cleanup" else None
Cleaner(gapless.pipeline, watched, gapless.clock, settings).clean_up(CleanupRules(), dry_run=False)
"""


def test_the_lease_of_a_killed_process_does_not_keep_the_next_run_waiting(yard: Yard, tmp_path: Path) -> None:
    before = yard.rows()
    words = [str(yard.shop.home), str(tmp_path / "pipeline.yaml"), yard.shop.clock().isoformat()]
    killed = subprocess.run([sys.executable, "-c", KILLED, *words], cwd=ROOT, capture_output=True, check=False)
    assert killed.returncode == -9, killed.stderr.decode()[-800:]
    assert yard.rows() == before
    assert len(yard.cleaner().backups()) == 1
    done = yard.clean()
    assert (done.status, done.deleted) == (Ended.DONE, 12)


def test_a_warehouse_that_does_not_answer_is_a_failure_with_its_reason(yard: Yard) -> None:
    before = yard.rows()
    bench, watched = yard.watched()

    def fail(purpose: str) -> None:
        if purpose == "cleanup":
            raise TransientFailure("cleanup: BigQuery did not answer; try again")

    watched.before = fail
    done = yard.clean(bench)
    assert (done.status, done.error) == (Ended.FAILED, "cleanup: BigQuery did not answer; try again")
    assert yard.rows() == before
    assert [row[0] for row in yard.log()] == ["failed"]
    assert yard.clean().status is Ended.DONE


def test_what_the_log_did_not_take_is_not_called_done(yard: Yard) -> None:
    bench, watched = yard.watched()

    def fail(purpose: str) -> None:
        if purpose == "cleanup_log":
            raise TransientFailure("no answer")

    watched.before = fail
    done = yard.clean(bench)
    assert done.status is Ended.FAILED
    assert "12 rows deleted, and cleanup_log did not take it" in done.error


# -- refusals ----------------------------------------------------------------------------------------------------------


def refused(yard: Yard, **rules: Any) -> str:
    """The reason of a refusal that left everything as it was, and a row in the log."""
    before = yard.rows()
    done = yard.clean(**rules)
    assert done.status is Ended.REFUSED
    assert isinstance(done.failure, Refused)
    assert yard.rows() == before
    assert yard.shop.backups() == []
    assert [(row[0], row[3]) for row in yard.log()][-1] == ("refused", done.error)
    return done.error


def test_a_cutoff_that_reaches_today_is_refused(yard: Yard) -> None:
    assert "not over yet" in refused(yard, keep_days=0)
    assert "not over yet" in refused(yard, keep_days=-3, all_history=True)


def test_a_clock_ahead_of_the_warehouse_is_refused(yard: Yard) -> None:
    yard.shop.clock.now = datetime(2124, 2, 12, tzinfo=UTC)
    assert "look at the clock, or at --now" in refused(yard, all_history=True)


def test_a_date_under_repair_is_refused_until_its_lease_ends(yard: Yard) -> None:
    generation = yard.shop.scan().observation.ledger.generation
    yard.shop.book("//elsewhere").claim([Wanted(Target("standing", OLD[3]), 0, "missing")], 0, generation, "repair")
    assert "2024-02-04 is being worked on (missing" in refused(yard)
    yard.shop.clock.now += timedelta(minutes=16)
    assert yard.clean().status is Ended.DONE


def test_a_repair_of_another_table_or_of_a_date_that_stays_does_not_matter(yard: Yard) -> None:
    generation = yard.shop.scan().observation.ledger.generation
    others = [Wanted(Target("revenue", OLD[0]), 0, "missing"), Wanted(Target("standing", KEPT[0]), 0, "missing")]
    yard.shop.book("//elsewhere").claim(others, 0, generation, "repair")
    assert yard.clean().status is Ended.DONE


def test_an_implausible_share_is_refused_and_lifted_by_asking_for_all_history(yard: Yard) -> None:
    yard.fill(*OLD, branches="".join(chr(0x4E00 + n) for n in range(250)))
    assert "1,012 of 1,024 rows (98.8 %)" in refused(yard)
    done = yard.clean(all_history=True)
    assert (done.status, done.deleted) == (Ended.DONE, 1012)
    assert len(yard.rows(done.backup)) == 1012


def test_one_table_that_is_refused_does_not_keep_the_others_waiting(yard: Yard, tmp_path: Path) -> None:
    both = yard.shop.variant(
        tmp_path / "two", change={"standing": {"applies_to": "upcoming"}, "forecast": {"applies_to": "upcoming"}}
    )
    both.run(
        "INSERT INTO `shop_mart.forecast` (day, branch, cents, processed_at) "
        "SELECT d, 'A', 1, @now FROM UNNEST(@days) AS d",
        days=OLD, now=both.clock(),
    )  # fmt: skip
    generation = both.scan().observation.ledger.generation
    both.book("//elsewhere").claim([Wanted(Target("forecast", OLD[0]), 0, "missing")], 0, generation, "repair")
    results = yard.cleaner(both).clean_up(CleanupRules(), dry_run=False)
    assert [(each.table, each.status) for each in results] == [
        ("shop_mart.forecast", Ended.REFUSED), ("shop_mart.standing", Ended.DONE),
    ]  # fmt: skip


def test_nothing_is_changed_when_changes_are_switched_off(yard: Yard) -> None:
    cleaner = yard.cleaner()
    for switch in ({"halted": True}, {"report_only": True}):
        cleaner.settings = replace(yard.shop.gapless.settings, **switch)
        with pytest.raises(Halted, match="GAPLESS_"):
            cleaner.clean_up(CleanupRules(), dry_run=False)
        with pytest.raises(Halted, match="GAPLESS_"):
            cleaner.restore("x", dry_run=False)
        assert [each.status for each in cleaner.clean_up(CleanupRules(), dry_run=True)] == [Ended.DRY_RUN]


# -- restore -----------------------------------------------------------------------------------------------------------


def test_a_restore_brings_back_every_byte(yard: Yard) -> None:
    before = yard.rows()
    backup = yard.clean().backup
    done = yard.cleaner().restore(backup, dry_run=False)
    assert (done.status, done.old_rows, done.deleted) == (Ended.RESTORED, 12, -12)
    assert yard.rows() == before
    assert [row[:3] for row in yard.log()] == [("done", 24, 12), ("restored", 12, -12)]


def test_a_restore_can_be_repeated_and_named_without_its_dataset(yard: Yard) -> None:
    before = yard.rows()
    name = yard.clean().backup.split(".")[1]
    assert yard.cleaner().restore(name, dry_run=True).status is Ended.DRY_RUN
    assert len(yard.rows()) == 12
    assert yard.cleaner().restore(name, dry_run=False).status is Ended.RESTORED
    assert yard.cleaner().restore(name, dry_run=False).status is Ended.NOTHING
    assert yard.rows() == before


def test_a_restore_leaves_newer_rows_as_they_are(yard: Yard) -> None:
    backup = yard.clean().backup
    yard.fill(OLD[0], branches="AZ", cents=5000)
    newer = yard.rows()
    done = yard.cleaner().restore(backup, dry_run=False)
    assert (done.status, done.old_rows) == (Ended.RESTORED, 11)
    now = yard.rows()
    assert [row for row in now if row in newer] == newer
    assert len(now) == 25


@pytest.mark.parametrize("at", ["claims", "count", "compare", "claim", "restore"])
def test_a_second_restore_in_the_middle_of_a_first_brings_nothing_back_twice(yard: Yard, at: str) -> None:
    before = yard.rows()
    backup = yard.clean().backup
    bench, watched = yard.watched()
    second: list[Any] = []

    def interrupt(purpose: str) -> None:
        if purpose == at and not second:
            second.append(None)
            second[0] = yard.cleaner().restore(backup, dry_run=False)

    watched.before = interrupt
    first = yard.cleaner(bench).restore(backup, dry_run=False)
    assert sorted([first.status, second[0].status]) in (["refused", "restored"], ["nothing_to_do", "restored"])
    assert yard.rows() == before


def test_a_restore_waits_for_who_works_on_the_dates(yard: Yard) -> None:
    backup = yard.clean().backup
    generation = yard.shop.scan().observation.ledger.generation
    yard.shop.book("//elsewhere").claim([Wanted(Target("standing", OLD[1]), 0, "missing")], 1, generation, "repair")
    done = yard.cleaner().restore(backup, dry_run=False)
    assert (done.status, len(yard.rows())) == (Ended.REFUSED, 12)
    assert [row[0] for row in yard.log()] == ["done", "refused"]


def test_an_unknown_expired_or_lost_backup_is_refused_with_those_that_exist(yard: Yard) -> None:
    with pytest.raises(Refused, match=r"there is no backup 'nope'; there is none at all"):
        yard.cleaner().restore("nope", dry_run=True)
    first = yard.clean().backup
    yard.fill(*OLD)
    second = yard.clean().backup
    with pytest.raises(Refused) as refusal:
        yard.cleaner().restore("`x`; DROP TABLE y", dry_run=False)
    assert all(name.split(".")[1] in str(refusal.value) for name in (first, second))
    yard.shop.gapless.warehouse.drop(first)
    with pytest.raises(Refused, match=f"is gone; there is {second.split('.')[1]}"):
        yard.cleaner().restore(first, dry_run=False)
    yard.shop.clock.now += timedelta(days=30, seconds=1)
    with pytest.raises(Refused, match="is expired; there is none at all"):
        yard.cleaner().restore(second, dry_run=False)
    assert len(yard.rows()) == 12


def test_a_backup_that_is_not_what_was_written_down_is_not_brought_back(yard: Yard) -> None:
    backup = yard.clean().backup
    yard.shop.run(f"DELETE FROM `{backup}` WHERE branch = 'A'")
    done = yard.cleaner().restore(backup, dry_run=False)
    assert (done.status, len(yard.rows())) == (Ended.FAILED, 12)
    assert "holds 8 rows, 12 were backed up" in done.error


@pytest.mark.parametrize(
    ("backup", "source"),
    [
        ("shop_raw.orders", "shop_mart.standing"),
        ("shop_gapless.attempts", "shop_mart.standing"),
        ("shop_gapless.backup_standing_20240212_12345678", "shop_raw.orders"),
        ("shop_gapless.backup_standing_20240212_12345678", "elsewhere.table"),
    ],
)
def test_only_a_backup_of_a_declared_table_is_read(yard: Yard, backup: str, source: str) -> None:
    """What stands in table_backups is not believed."""
    if backup.startswith("shop_gapless.backup"):
        yard.shop.run(f"CREATE TABLE `{backup}` AS SELECT * FROM `shop_mart.standing`")
    yard.shop.run(
        f"INSERT INTO {yard.shop.ledger_table('table_backups')} (backup_table, source_table, row_count, created_at) "
        "VALUES (@backup, @source, 24, @now)",
        backup=backup, source=source, now=yard.shop.clock(),
    )  # fmt: skip
    with pytest.raises(Refused):
        yard.cleaner().restore(backup, dry_run=False)


# -- gates and scans ---------------------------------------------------------------------------------------------------


def test_what_was_removed_is_never_a_gap(built_season: Season) -> None:
    """Tables about the days to come are built in the season, cleaned eight days later, and once more years later."""
    season, names = built_season, ("upcoming_player_game_context", "upcoming_team_game_context")
    day = date(2023, 1, 10)
    boundary = day + timedelta(days=1)
    then = replace(season, gapless=replace(season.gapless, clock=Clock(datetime(2023, 1, 10, 20, tzinfo=UTC))))
    later = replace(season, gapless=replace(season.gapless, clock=Clock(datetime(2023, 1, 18, 9, tzinfo=UTC))))

    def clean(bench: Bench, **rules: Any) -> list[Cleaned]:
        gapless = bench.gapless
        cleaner = Cleaner(gapless.pipeline, gapless.warehouse, gapless.clock, gapless.settings)
        return cleaner.clean_up(CleanupRules(**rules), dry_run=False)

    def verdicts(bench: Bench, last: date) -> dict[Target, Verdict | None]:
        look = bench.scan(season.pipeline.history_start, last)
        assert look.judgement.complete
        assert look.plan.size == 0
        assert all(look.judgement.verdict(Target(name, day)) is None for name in names)
        return {
            Target(p, d): look.judgement.verdict(Target(p, d)) for p in season.pipeline.processors
            for d in season.season.game_dates
        }  # fmt: skip

    assert not then.apply(day, boundary, *names).failed
    counts = {(name, d): season.count(Target(name, d)) for name in names for d in (day, boundary)}
    assert all(counts.values())
    before, before_now = verdicts(later, boundary), verdicts(season, season.season.game_dates[-1])
    # on 18 January the 10th is older than 7 days, and the 11th is not
    assert [(each.status, each.deleted) for each in clean(later)] == [(Ended.DONE, counts[name, day]) for name in names]
    assert [season.count(Target(name, boundary)) for name in names] == [counts[name, boundary] for name in names]
    assert verdicts(later, boundary) == before
    assert [each.deleted for each in clean(season)] == [counts[name, boundary] for name in names]
    assert verdicts(season, season.season.game_dates[-1]) == before_now
    look = season.scan()
    assert look.judgement.complete
    assert look.plan.size == 0
    assert season.differences() == []
    for name in season.gapless.warehouse.tables(season.pipeline.ledger):
        if name.startswith("backup_"):
            season.gapless.warehouse.drop(f"{season.pipeline.ledger}.{name}")
    for name in ("cleanup_log", "table_backups"):
        season.run(f"DELETE FROM {season.ledger_table(name)} WHERE TRUE")


# -- the commands ------------------------------------------------------------------------------------------------------


@pytest.fixture
def run(yard: Yard, tmp_path: Path, gapless: Gapless, monkeypatch: pytest.MonkeyPatch) -> Gapless:
    """A command on the yard, at its moment."""
    monkeypatch.setenv("GAPLESS_PIPELINE", str(tmp_path / "pipeline.yaml"))
    return lambda *words: gapless(*words, "--home", yard.shop.home, "--now", yard.shop.clock().isoformat())


def test_the_command_looks_first_and_deletes_when_told(yard: Yard, run: Gapless) -> None:
    looked = run("cleanup")
    assert (looked.code, len(yard.rows())) == (0, 24)
    assert "12 rows of 4 dates before 2024-02-05 would be deleted" in looked.out
    assert "Nothing was deleted. Do it with: gapless cleanup --apply --home" in looked.out
    done = run("cleanup", "--apply")
    assert (done.code, len(yard.rows())) == (0, 12)
    assert "24 rows (2024-02-01 to 2024-02-13) before, 12 rows (2024-02-05 to 2024-02-13) after" in done.out
    again = run("cleanup", "--apply")
    assert (again.code, "nothing is older than 2024-02-05" in again.out) == (0, True)


def test_a_refusal_of_the_command_is_code_3_with_its_numbers(yard: Yard, run: Gapless) -> None:
    ended = run("cleanup", "--apply", "--older-than", "0")
    assert (ended.code, len(yard.rows())) == (3, 24)
    assert "not over yet" in ended.err
    assert run("cleanup", "--older-than", "-1").code == 2
    told = run("cleanup", "--apply", "--older-than", "0", "--json")
    assert (told.code, json.loads(told.out)["tables"][0]["status"]) == (3, "refused")
    assert run("cleanup", "--older-than", "week").code == 2


def test_the_printed_command_brings_a_backup_back(yard: Yard, run: Gapless) -> None:
    assert "there are no backups" in run("restore").out
    before = yard.rows()
    run("cleanup", "--apply")
    (name,) = (name.split(".")[1] for name in yard.shop.backups())
    listed = run("restore")
    assert (listed.code, f"{name}: 12 rows of shop_mart.standing, here, until 2024-03-13" in listed.out) == (0, True)
    looked = run("restore", name)
    assert (looked.code, len(yard.rows())) == (0, 12)
    assert f"Do it with: gapless restore {name} --apply" in looked.out
    assert run("restore", name, "--apply").code == 0
    assert yard.rows() == before


def test_wrong_use_of_restore(run: Gapless) -> None:
    assert run("restore", "--apply").code == 2
    unknown = run("restore", "nope")
    assert (unknown.code, "there is no backup 'nope'" in unknown.err) == (3, True)


def test_json_is_one_document_with_every_fact(run: Gapless) -> None:
    looked = json.loads(run("cleanup", "--json").out)
    assert looked["dry_run"] is True
    assert looked["tables"][0] | {"status": "dry_run", "rows_old": 12, "rows_before": 24} == looked["tables"][0]
    done = json.loads(run("cleanup", "--apply", "--json").out)["tables"][0]
    assert (done["status"], done["rows_deleted"], done["rows_after"]) == ("done", 12, 12)
    assert (run("restore", "nope", "--json").code, run("restore", "nope", "--json").out) == (3, "")
    (backup,) = json.loads(run("restore", "--json").out)["backups"]
    assert (backup["table"], backup["rows"], backup["state"]) == (done["backup_table"], 12, "here")
    restored = json.loads(run("restore", backup["table"], "--apply", "--json").out)
    assert (restored["status"], restored["rows_deleted"]) == ("restored", -12)


def test_the_switches_hold_for_the_commands_too(yard: Yard, run: Gapless, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "GAPLESS_HALT", "1")
    ended = run("cleanup", "--apply")
    assert (ended.code, len(yard.rows())) == (3, 24)
    assert "GAPLESS_HALT" in ended.err
    assert run("cleanup").code == 0
