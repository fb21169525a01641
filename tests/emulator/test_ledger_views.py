"""The views that people already query have their names and columns, and say what happened."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gapless.ledger.tables import OUTCOMES
from gapless.model import Target, days_between
from tests.conftest import Shop
from tests.emulator.test_audit import spoiled

FIRST, LAST = date(2024, 2, 1), date(2024, 2, 4)
BAD = date(2024, 2, 3)


@pytest.fixture
def told(chain: Shop, tmp_path: Path) -> Shop:
    """Four days, of which one came out partial and was repaired later; of another system only what its tracker says."""
    chain.sell(FIRST, LAST)
    chain.variant(tmp_path, sql={"revenue": spoiled("NOT (day = '2024-02-03' AND branch = 'A')")}).apply(
        FIRST, LAST, "revenue"
    )
    return chain


def view(shop: Shop, name: str, columns: str, where: str = "TRUE") -> list[tuple[Any, ...]]:
    return shop.rows(f"SELECT {columns} FROM `{name}` WHERE {where} ORDER BY 1, 2")


def test_processing_metadata_has_coverage_and_status_per_date(told: Shop) -> None:
    columns = "analysis_date, processor_name, expected_count, actual_count, coverage_pct, status"
    rows = view(told, "shop_gapless.processing_metadata", columns)
    good = (3, 3, 100.0, "COMPLETE")
    assert [row[2:] for row in rows if row[0] != BAD] == [good] * 3
    # what counts is what the table holds: the failed date was never published, so there is nothing
    assert [row[2:] for row in rows if row[0] == BAD] == [(3, 0, 0.0, "INCOMPLETE")]
    assert all(view(told, "shop_gapless.processing_metadata", "run_id, created_at")[0])
    view(told, "shop_gapless.processing_metadata", "data_source, run_id")


def test_precompute_failures_lists_a_failure_until_it_is_repaired(told: Shop) -> None:
    columns = (
        "processor_name, analysis_date, entity_id, entity_type, failure_category, failure_reason, can_retry, "
        "failure_type, is_correctable, expected_count, actual_count, resolution_status"
    )
    ((name, day, entity, kind, category, why, retry, _, correctable, expected, actual, state),) = view(
        told, "shop_gapless.precompute_failures", columns
    )
    assert (name, day, entity, kind) == ("revenue", BAD, "coverage_2024-02-03", "DATE")
    assert why == "2 of 3 expected keys (66.7 %), below the gate of 90 %"
    assert (category, retry, correctable) == ("INCOMPLETE_COVERAGE", True, True)
    assert (expected, actual, state) == (3, 0, "open")

    told.clock.now = told.clock.now.replace(hour=18)
    assert not told.apply(FIRST, LAST, "revenue").failed
    assert view(told, "shop_gapless.precompute_failures", "processor_name, resolution_status") == [
        ("revenue", "resolved")
    ]


def test_a_statement_that_is_refused_is_permanent_and_rows_of_bad_values_are_not(chain: Shop, tmp_path: Path) -> None:
    chain.sell(FIRST, LAST)
    chain.variant(tmp_path / "a", sql={"revenue": "SELECT no_such_column FROM {orders}"}).apply(FIRST, FIRST, "revenue")
    bad = spoiled(amount_cents_7_days="-1")
    chain.variant(tmp_path / "b", sql={"revenue": bad}).apply(BAD, BAD, "revenue")
    columns = "analysis_date, failure_category, can_retry, is_correctable, failure_reason"
    rows = view(chain, "shop_gapless.precompute_failures", columns)
    assert [row[:4] for row in rows] == [
        (FIRST, "PERMANENT_ERROR", False, False),
        (BAD, "PROCESSING_ERROR", True, True),
    ]
    assert "no_such_column" in rows[0][4]


def test_what_a_stopped_run_did_not_come_to_is_no_failure_and_no_attempt(chain: Shop) -> None:
    chain.sell(FIRST, LAST)
    engine = chain.engine()
    look = engine.scan(chain.scope(FIRST, LAST, "revenue"))
    assert engine.apply(look, stopped=lambda: True).stopped
    assert not view(chain, "shop_gapless.precompute_failures", "processor_name, run_id")
    assert not view(chain, "shop_gapless.processing_metadata", "processor_name, run_id")
    told_of = view(chain, "shop_gapless.processor_run_history", "data_date, status, skip_reason, failure_category")
    assert told_of == [(day, "skipped", "stopped before it was begun", None) for day in days_between(FIRST, LAST)]
    history = chain.scan().observation.ledger.history
    assert {(h.attempts, h.failures, h.is_open, h.last_complete) for h in history.values()} == {(0, 0, False, None)}

    report = chain.apply()
    assert report.after is not None
    assert report.after.judgement.complete


def test_failures_before_a_stopped_run_count_on_with_their_own_error(chain: Shop, tmp_path: Path) -> None:
    chain.sell(FIRST, LAST)
    chain.variant(tmp_path, sql={"revenue": spoiled("NOT (day = '2024-02-03' AND branch = 'A')")}).apply(
        BAD, BAD, "revenue"
    )
    chain.clock.now += timedelta(hours=1)
    failed_at = chain.scan().observation.ledger.history[Target("revenue", BAD)].last_attempt
    engine = chain.engine()
    engine.apply(engine.scan(chain.scope(FIRST, LAST, "revenue")), stopped=lambda: True)
    history = chain.scan().observation.ledger.history[Target("revenue", BAD)]
    assert (history.attempts, history.failures, history.last_attempt) == (1, 1, failed_at)
    assert history.last_error == "2 of 3 expected keys (66.7 %), below the gate of 90 %"


def test_a_ledger_of_an_earlier_version_gets_the_columns_that_it_lacks(told: Shop) -> None:
    outcomes = f"`{told.pipeline.ledger}.backfill_date_outcomes`"
    try:
        for column in OUTCOMES.added:
            told.run(f"ALTER TABLE {outcomes} DROP COLUMN {column.name}")
        assert told.scan().judgement.counts()  # it can still be read
        added = told.gapless.create()
    finally:
        told.gapless.create()
    assert added == [f"backfill_date_outcomes.{column.name}" for column in OUTCOMES.added]
    assert told.gapless.create() == []
    rows = view(told, "shop_gapless.precompute_failures", "failure_category, can_retry")
    assert rows == [("PROCESSING_ERROR", True)]  # as far as its old rows say
    told.clock.now = told.clock.now.replace(hour=18)
    assert not told.apply(FIRST, LAST, "revenue").failed


def test_a_partial_date_whose_old_rows_stay_is_incomplete_coverage(told: Shop, tmp_path: Path) -> None:
    told.clock.now = told.clock.now.replace(hour=18)
    told.apply(FIRST, LAST, "revenue")
    told.run("UPDATE `shop_raw.orders` SET amount_cents = amount_cents + 1 WHERE TRUE")
    sql = spoiled("NOT (day = '2024-02-03' AND branch = 'A')")
    told.variant(tmp_path / "again", sql={"revenue": sql}).apply(FIRST, LAST, "revenue")
    rows = view(
        told, "shop_gapless.precompute_failures", "created_at, failure_category, resolution_status, actual_count"
    )
    assert rows[-1][1:] == ("INCOMPLETE_COVERAGE", "open", 3)


def test_run_history_holds_own_runs_and_what_other_trackers_reported(told: Shop) -> None:
    told.run(
        "INSERT INTO `shop_gapless.reported_runs` (processor_name, data_date, run_id, status, started_at, "
        "processed_at, phase, records_processed) VALUES ('revenue', @day, 'theirs', 'success', "
        "@now, @now, 'phase_2', 0)",
        day=FIRST,
        now=datetime(2024, 2, 2, tzinfo=UTC),
    )
    columns = (
        "data_date, run_id, processor_name, status, phase, records_processed, failure_category, skip_reason, "
        "retry_attempt, errors, started_at, processed_at"
    )
    rows = view(told, "shop_gapless.processor_run_history", columns)
    assert {row[1:6] for row in rows if row[1] == "theirs"} == {("theirs", "revenue", "success", "phase_2", 0)}
    own = [row for row in rows if row[1] != "theirs"]
    assert {(row[0], row[3], row[4], row[5]) for row in own} == {
        (date(2024, 2, day), "failed" if day == 3 else "success", "phase_2", 0 if day == 3 else 3)
        for day in range(1, 5)
    }
    assert all(row[10] <= row[11] for row in own)


def test_a_second_creation_of_the_tables_changes_nothing(told: Shop) -> None:
    before = told.rows("SELECT * FROM `shop_gapless.attempts` ORDER BY claim_number, target_date")
    assert before
    content = told.versions()
    told.gapless.create()
    assert told.rows("SELECT * FROM `shop_gapless.attempts` ORDER BY claim_number, target_date") == before
    assert told.versions() == content
