"""Rows of what did not take place: proposed, removed after a counted backup, brought back; and what is left alone."""

from __future__ import annotations

import json
import shlex
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

import pytest

from gapless.engine import Look
from gapless.errors import Halted
from gapless.model import Target, Verdict, Wanted
from gapless.tasks.cleanup.outcome import Cleaned, Ended
from gapless.tasks.cleanup.phantoms import PhantomCleaner, Proposals, proposals
from gapless.warehouse.fingerprints import row_hash
from gapless.warehouse.names import quoted
from tests.conftest import Bench, Result, Shop

FIRST, LAST = date(2024, 2, 1), date(2024, 2, 6)
DAY, QUIET = date(2024, 2, 3), date(2024, 2, 8)  # a day of work, and one on which nothing was sold
NOW = "2024-02-12T11:00Z"


class Death(BaseException):
    """The process is gone: nobody catches it."""


@dataclass
class Yard:
    """The shop with six days that went through everything, and words to add what nobody expects."""

    shop: Shop

    def add(self, name: str, day: date, branches: str = "Z") -> int:
        """Rows of branches that sold nothing that day, written as a processor would have."""
        p = self.shop.pipeline.processor(name)
        for branch in branches:
            self.shop.copy_rows(Target(name, DAY), day, "branch = 'A'", branch=f"'{branch}'")
        self.shop.run(f"UPDATE {quoted(p.table)} SET row_hash = {row_hash(p.content)} WHERE day = @day", day=day)
        return len(branches)

    def found(self, *named: str) -> tuple[Look, Proposals]:
        look = self.shop.scan()
        return look, proposals(self.shop.pipeline, look, named)

    def clean(self, bench: Bench | None = None, *named: str, **options: Any) -> list[Cleaned]:
        gapless = (bench or self.shop).gapless
        look, found = self.found(*named)
        cleaner = PhantomCleaner(gapless.pipeline, gapless.warehouse, gapless.clock, gapless.settings)
        return cleaner.remove(found, look, **{"dry_run": False, **options})

    def restore(self, backup: str) -> Cleaned:
        gapless = self.shop.gapless
        cleaner = PhantomCleaner(gapless.pipeline, gapless.warehouse, gapless.clock, gapless.settings)
        return cleaner.restore(backup, dry_run=False)

    def rows(self, table: str = "shop_mart.standing") -> list[tuple[Any, ...]]:
        return self.shop.rows(f"SELECT * FROM `{table}` ORDER BY day, branch")

    def log(self) -> list[tuple[Any, ...]]:
        return self.shop.rows(
            f"SELECT table_name, status, rows_deleted FROM {self.shop.ledger_table('cleanup_log')} ORDER BY cleaned_at"
        )


@pytest.fixture
def yard(chain: Shop) -> Iterator[Yard]:
    chain.built(FIRST, LAST)
    yard = Yard(chain)
    chain.forget_backups()
    yield yard
    chain.forget_backups()


# -- what goes, and what stays -----------------------------------------------------------------------------------------


def test_exactly_the_rows_that_nobody_expects_go_and_come_back_from_their_backup(yard: Yard) -> None:
    before = yard.rows()
    yard.add("standing", DAY)
    yard.add("standing", QUIET, "AB")
    damaged = yard.rows()
    (done,) = yard.clean()
    assert (done.status, done.dates, done.old_rows, done.deleted) == (Ended.DONE, 2, 3, 3)
    assert yard.rows() == before
    assert yard.rows(done.backup) == [row for row in damaged if row not in before]
    look, found = yard.found()
    assert (look.judgement.complete, look.judgement.phantoms, found) == (True, [], ([], []))
    assert yard.log() == [("shop_mart.standing", "done", 3)]

    assert yard.restore(done.backup).status is Ended.RESTORED
    assert yard.rows() == damaged
    assert [t.processor.name for t in yard.found()[1].tables] == ["standing"]
    (again,) = yard.clean()
    assert (again.deleted, yard.rows()) == (3, before)
    assert yard.clean() == []  # and then there is nothing to do


def test_a_dry_run_counts_and_shows_and_changes_nothing(yard: Yard) -> None:
    yard.add("standing", QUIET, "AB")
    before = yard.rows()
    look, found = yard.found()
    cleaner = PhantomCleaner(
        yard.shop.pipeline, yard.shop.gapless.warehouse, yard.shop.gapless.clock, yard.shop.gapless.settings
    )
    (done,) = cleaner.remove(found, look, dry_run=True)
    assert (done.status, done.old_rows, done.deleted) == (Ended.DRY_RUN, 2, 0)
    ((phantom,),) = [proposal.phantoms for proposal in found.tables]
    assert (phantom.day, phantom.rows, phantom.stay, phantom.example) == (QUIET, 2, 0, "A")
    assert (yard.rows(), yard.shop.backups()) == (before, [])
    assert yard.log() == [("shop_mart.standing", "dry_run", 0)]


def test_a_record_goes_only_where_it_is_named_and_nothing_took_place_at_all(yard: Yard) -> None:
    """Beside a day's expected rows a record may hold more; then nothing is proposed at all."""
    yard.add("forecast", QUIET)
    record = yard.rows("shop_mart.forecast")
    _, found = yard.found()
    assert found.tables == []
    assert found.left == [(Target("forecast", QUIET), "a record; name it to remove it: --processors forecast")]
    assert yard.clean() == []
    assert yard.rows("shop_mart.forecast") == record
    (done,) = yard.clean(None, "forecast")
    assert (done.status, done.deleted) == (Ended.DONE, 1)

    yard.add("forecast", DAY)
    look, found = yard.found("forecast")
    assert look.judgement.verdict(Target("forecast", DAY)) is Verdict.COMPLETE
    assert found.tables == []


def test_what_may_yet_take_place_is_left_alone(yard: Yard) -> None:
    today = date(2024, 2, 12)
    yard.add("standing", today)
    _, found = yard.found()
    assert found.tables == []
    assert found.left == [(Target("standing", today), "today or later: it may yet take place")]


def test_rows_are_no_phantoms_while_their_expectation_is_not_whole(yard: Yard) -> None:
    """Revenue of the day is lost: every row that rests on it has no expected key, and not one of them may go."""
    yard.shop.delete(Target("revenue", DAY))
    look, found = yard.found()
    assert look.judgement.verdict(Target("standing", DAY)) is Verdict.BLOCKED
    assert (found.tables, found.left) == ([], [])


def test_sources_and_other_services_are_told_what_to_do_themselves(yard: Yard) -> None:
    yard.add("standing", QUIET)
    look = yard.shop.scan()
    pipeline = yard.shop.pipeline
    for kind, told in (("none", "a source; who fills it has to"), ("http", "another service fills it")):
        standing = pipeline.processor("standing").model_copy(update={"run": kind})
        other = replace(pipeline, processors={**pipeline.processors, "standing": standing})
        found = proposals(other, look)
        assert found.tables == []
        assert [reason.startswith(told) for _, reason in found.left] == [True]


# -- refusals ----------------------------------------------------------------------------------------------------------


def test_an_implausible_share_of_a_table_is_refused_and_can_be_lifted(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gapless.tasks.cleanup.phantoms.SHARE_LEAST", 2)
    yard.add("standing", QUIET, "ABC")
    before = yard.rows()
    (done,) = yard.clean()
    assert done.status is Ended.REFUSED
    assert "3 of 21 rows (14.3 %) are expected by nobody, 10 % at most" in done.error
    assert (yard.rows(), yard.shop.backups()) == (before, [])
    (done,) = yard.clean(lift_share=True)
    assert done.deleted == 3


def test_a_date_under_repair_is_refused_until_the_repair_has_ended(yard: Yard) -> None:
    yard.add("standing", QUIET)
    newest = yard.shop.scan().observation.ledger
    claim = yard.shop.book().claim(
        [Wanted(Target("standing", QUIET), 0, "repair")], newest.newest_claim, newest.generation, "other"
    )
    assert claim.wanted
    (done,) = yard.clean()
    assert done.status is Ended.REFUSED
    assert "2024-02-08 is being worked on (repair, until" in done.error
    yard.shop.run(f"DELETE FROM {yard.shop.ledger_table('attempts')} WHERE claim_number = @n", n=claim.number)
    assert [each.deleted for each in yard.clean()] == [1]


def test_what_has_changed_since_the_look_is_refused(yard: Yard) -> None:
    yard.add("standing", QUIET)
    look, found = yard.found()
    yard.add("standing", QUIET, "B")
    gapless = yard.shop.gapless
    cleaner = PhantomCleaner(gapless.pipeline, gapless.warehouse, gapless.clock, gapless.settings)
    (done,) = cleaner.remove(found, look, dry_run=False)
    assert done.status is Ended.REFUSED
    assert "2024-02-08 has changed since the look: 2 keys that nobody expects among 2 rows, and 1 among 1" in done.error


def test_switched_off_means_that_only_looking_is_allowed(yard: Yard) -> None:
    yard.add("standing", QUIET)
    for switch in ("halted", "report_only"):
        settings = replace(yard.shop.gapless.settings, **{switch: True})
        bench = replace(yard.shop, gapless=replace(yard.shop.gapless, settings=settings))
        with pytest.raises(Halted):
            yard.clean(bench)
        assert [each.status for each in yard.clean(bench, dry_run=True)] == [Ended.DRY_RUN]


# -- two at once, and what goes wrong ----------------------------------------------------------------------------------


def test_two_at_the_same_moment_delete_once_and_lose_nothing(yard: Yard) -> None:
    yard.add("standing", DAY)
    yard.add("standing", QUIET, "AB")
    before = yard.rows()
    gate = threading.Barrier(3)

    def one() -> Cleaned | None:
        gate.wait()
        return next(iter(yard.clean()), None)

    with ThreadPoolExecutor(3) as pool:
        results = [future.result() for future in [pool.submit(one) for _ in range(3)]]
    done = [each for each in results if each and each.status is Ended.DONE]
    assert [each.deleted for each in done] == [3]
    assert all(each is None or each.status in (Ended.DONE, Ended.REFUSED, Ended.NOTHING) for each in results)
    assert yard.shop.backups() == [done[0].backup]
    assert sorted([*yard.rows(), *yard.rows(done[0].backup)], key=str) == sorted(before, key=str)


def test_rows_that_come_after_the_backup_stay_and_that_is_said(yard: Yard) -> None:
    yard.add("standing", QUIET)
    bench, watched = yard.shop.watched()
    watched.before = lambda purpose: yard.add("standing", QUIET, "Y") and None if purpose == "cleanup" else None
    (done,) = yard.clean(bench)
    assert done.status is Ended.FAILED
    assert "1 rows that nobody expects came meanwhile, 2024-02-08 first" in done.error
    assert [row[1] for row in yard.rows() if row[0] == QUIET] == ["Y"]
    assert [each.deleted for each in yard.clean()] == [1]


def test_a_key_that_is_expected_after_all_stays(yard: Yard) -> None:
    """Its orders come in between the backup and the deletion: what is deleted is decided at that moment."""
    yard.add("standing", QUIET, "A")
    bench, watched = yard.shop.watched()

    def found_after_all(purpose: str) -> None:
        if purpose == "cleanup":
            yard.shop.copy_rows(Target("revenue", DAY), QUIET, "branch = 'A'")

    watched.before = found_after_all
    (done,) = yard.clean(bench)
    assert (done.status, done.deleted) == (Ended.FAILED, 0)
    assert yard.shop.count(Target("standing", QUIET)) == 1


@pytest.mark.parametrize("step", ["backup", "cleanup"])
def test_a_run_that_dies_loses_nothing_and_the_next_one_finishes(yard: Yard, step: str) -> None:
    built = yard.rows()
    yard.add("standing", QUIET)
    before = yard.rows()
    bench, watched = yard.shop.watched()

    def die(purpose: str) -> None:
        if purpose == step:
            raise Death

    watched.before = die
    with pytest.raises(Death):
        yard.clean(bench)
    assert yard.rows() == before
    yard.shop.clock.now += timedelta(minutes=31)  # the lease of a process that still lives has to end first
    (done,) = yard.clean()
    assert (done.status, done.deleted, yard.rows()) == (Ended.DONE, 1, built)


# -- the command -------------------------------------------------------------------------------------------------------


def test_the_command_proposes_removes_and_says_how_to_bring_back(
    yard: Yard, gapless: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GAPLESS_PIPELINE", str(yard.shop.pipeline.sql_folder.parent / "pipeline.yaml"))
    where = ("--home", yard.shop.home, "--now", NOW)
    none = gapless("clean-phantoms", *where)
    assert (none.code, none.out) == (0, "There are no rows of units that did not take place.\n")
    built = yard.rows()
    yard.add("standing", QUIET, "AB")
    yard.add("forecast", QUIET)
    (gap,) = [g for g in json.loads(gapless("scan", "--json", *where).out)["phantoms"] if g["processor"] == "standing"]
    assert gap["fix"].startswith("look at them, then remove them: gapless clean-phantoms --start-date 2024-02-08 ")
    shown = gapless(*shlex.split(gap["fix"].partition(": gapless ")[2]))
    assert shown.code == 0
    assert "Rows that nobody expects: 2" in shown.out
    assert yard.shop.backups() == []
    done = gapless(*shlex.split(shown.out.partition("Do it with: gapless ")[2]))
    assert (done.code, done.err) == (0, "")
    assert "shop_mart.standing: 2 rows of 1 dates removed, 18 of 20 left" in done.out
    assert yard.rows() == built
    back = gapless(*shlex.split(done.out.partition("bring them back with: gapless ")[2].splitlines()[0]))
    assert back.code == 0
    assert len(yard.rows()) == 20

    facts = json.loads(gapless("clean-phantoms", "--json", *where).out)
    assert [(each["processor"], each["rows"], each["stay"]) for each in facts["proposed"]] == [("standing", 2, 0)]
    assert facts["left_alone"] == [
        {"processor": "forecast", "date": "2024-02-08", "why": "a record; name it to remove it: --processors forecast"}
    ]
    assert "| standing | 2024-02-08 | 0 | 2 | 0 | A |" in gapless("clean-phantoms", "--markdown", *where).out
    monkeypatch.setattr("gapless.tasks.cleanup.phantoms.SHARE_LEAST", 2)
    monkeypatch.setattr("gapless.tasks.cleanup.phantoms.MOST_SHARE_PCT", 5.0)
    refused = gapless("clean-phantoms", "--apply", *where)
    assert refused.code == 3
    assert "lift the limit with --lift-share" in refused.err
    assert gapless("clean-phantoms", "--apply", "--lift-share", *where).code == 0
    assert yard.rows() == built
