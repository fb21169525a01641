"""The daily clean-up, called as the scheduler and people call it, on a real warehouse."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from gapless.declare.catalogue import load_catalogue
from gapless.errors import TransientFailure
from gapless.model import Target, Wanted
from gapless.wiring import Gapless
from tests.conftest import Shop
from tests.emulator import test_cleanup
from tests.emulator.test_cleanup import OLD, Yard
from tests.functions.conftest import Call, Reply, push

NAME = "upcoming_cleanup"
yard = test_cleanup.yard  # the fixture


def actions(reply: Reply) -> list[str]:
    return [line["action"] for line in reply.log]


def lines(reply: Reply, action: str) -> list[dict[str, Any]]:
    return [line for line in reply.log if line["action"] == action]


def switched(gapless: Gapless, **settings: Any) -> Gapless:
    return replace(gapless, settings=replace(gapless.settings, **settings))


def test_the_daily_call_cleans_and_answers_with_counts_per_table(call: Call, yard: Yard) -> None:
    reply = call(NAME, yard.shop.gapless, {})
    assert reply.status == 200
    (table,) = reply.body.pop("tables")
    assert {key: value for key, value in reply.body.items() if key != "duration_ms"} == {
        "dry_run": False, "report_only": False, "tables_cleaned": 1, "rows_deleted": 12, "rows_old": 12,
    }  # fmt: skip
    assert table == {
        "table": "shop_mart.standing", "status": "done", "cutoff_date": "2024-02-05", "dates": 4, "rows_old": 12,
        "rows_deleted": 12, "backup_table": yard.shop.backups()[0],
        "rows_before": 24, "oldest_before": "2024-02-01", "newest_before": "2024-02-13",
        "rows_after": 12, "oldest_after": "2024-02-05", "newest_after": "2024-02-13",
    }  # fmt: skip


def test_success_is_logged_with_numbers_which_is_the_heartbeat(call: Call, yard: Yard) -> None:
    reply = call(NAME, yard.shop.gapless, {})
    assert actions(reply) == ["cleanup_table", "cleanup_done"]
    (line,) = lines(reply, "cleanup_done")
    assert (line["severity"], line["function"], line["dry_run"]) == ("INFO", NAME, False)
    assert (line["rows_deleted"], line["rows_old"], line["tables_cleaned"]) == (12, 12, 1)
    again = call(NAME, yard.shop.gapless, {})
    assert (again.status, again.body["rows_deleted"], actions(again)[-1]) == (200, 0, "cleanup_done")


def test_a_dry_run_and_report_only_delete_nothing_and_say_so(call: Call, yard: Yard) -> None:
    before = yard.rows()
    for gapless, body, report_only in (
        (yard.shop.gapless, {"dry_run": True}, False),
        (switched(yard.shop.gapless, report_only=True), {}, True),
        (switched(yard.shop.gapless, halted=True), {}, True),
    ):
        reply = call(NAME, gapless, body)
        assert (reply.status, reply.body["dry_run"], reply.body["report_only"]) == (200, True, report_only)
        assert (reply.body["rows_deleted"], reply.body["rows_old"]) == (0, 12)
    assert yard.rows() == before


def test_a_refusal_is_409_and_no_heartbeat(call: Call, yard: Yard) -> None:
    yard.fill(*OLD, branches="".join(chr(0x4E00 + n) for n in range(250)))
    reply = call(NAME, yard.shop.gapless, {})
    assert reply.status == 409
    assert "1,012 of 1,024 rows" in reply.body["detail"]
    assert "cleanup_done" not in actions(reply)
    assert lines(reply, "cleanup_table")[0]["severity"] == "WARNING"
    lifted = call(NAME, yard.shop.gapless, {"all_history": True})
    assert (lifted.status, lifted.body["rows_deleted"]) == (200, 1012)


def test_who_comes_second_at_the_same_moment_is_refused(call: Call, yard: Yard) -> None:
    generation = yard.shop.scan().observation.ledger.generation
    yard.shop.book("//elsewhere").claim([Wanted(Target("standing", OLD[0]), 0, "cleanup")], 0, generation, "first")
    reply = call(NAME, yard.shop.gapless, {})
    assert (reply.status, "is being worked on (cleanup" in reply.body["detail"]) == (409, True)
    yard.shop.clock.now += timedelta(minutes=31)
    assert call(NAME, yard.shop.gapless, {}).body["rows_deleted"] == 12


def test_what_passes_is_503_so_that_the_scheduler_tries_again(call: Call, yard: Yard) -> None:
    bench, watched = yard.watched()

    def fail(purpose: str) -> None:
        if purpose == "cleanup":
            raise TransientFailure("cleanup: BigQuery did not answer; try again")

    watched.before = fail
    reply = call(NAME, bench.gapless, {})
    assert (reply.status, "Retry-After" in reply.headers) == (503, True)
    assert "cleanup_done" not in actions(reply)
    assert call(NAME, yard.shop.gapless, {}).body["rows_deleted"] == 12


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"dryrun": True}, "dryrun"),
        ({"dry_run": "yes"}, "dry_run"),
        ({"all_history": 1}, "all_history"),
        ({"scan_for_gaps": True}, "scan_for_gaps"),
        (push({}), "message"),
    ],
)
def test_a_body_that_nobody_understands_is_400_and_nothing_happens(
    call: Call, yard: Yard, body: dict[str, Any], field: str
) -> None:
    before = yard.rows()
    reply = call(NAME, yard.shop.gapless, body)
    assert (reply.status, reply.body["field"]) == (400, field)
    assert yard.rows() == before
    assert yard.log() == []


def test_a_pipeline_without_tables_about_the_days_to_come_has_nothing_to_clean(call: Call, chain: Shop) -> None:
    reply = call(NAME, chain.gapless, {})
    assert (reply.status, reply.body["tables"], reply.body["rows_deleted"]) == (200, [], 0)


def test_removed_dates_start_nothing(call: Call, yard: Yard) -> None:
    """The gates of every phase before and after: the same answer."""
    yard.shop.sell(OLD[0], OLD[-1] + timedelta(days=7))
    assert not yard.shop.apply().failed
    yard.fill(*OLD)

    def told() -> tuple[int, int, bool]:
        look = yard.shop.scan()
        return len(look.judgement.gaps), look.plan.size, look.judgement.complete

    before = told()
    assert before == (0, 0, True)
    assert call(NAME, yard.shop.gapless, {}).body["rows_deleted"] > 0
    assert told() == before


def test_the_file_is_where_the_catalogue_says() -> None:
    function = load_catalogue().functions[NAME]
    assert Path(function.source).as_posix() == "gapless/functions/upcoming_cleanup.py"
    assert {"nba_analytics", "nba_orchestration"} <= set(function.writes)
