"""What a processor wrote is looked at before anybody else sees it; a date that fails keeps its old data."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from gapless.model import Status, Target, Verdict, days_between
from tests.conftest import TINY, Shop

FIRST, LAST = date(2024, 2, 1), date(2024, 2, 10)
BAD = (date(2024, 2, 3), date(2024, 2, 7))
GOOD = tuple(day for day in days_between(FIRST, LAST) if day not in BAD)
REVENUE = (TINY / "sql" / "revenue.sql").read_text(encoding="utf-8")
IS_BAD = "day IN ('2024-02-03', '2024-02-07')"
NAMES = ("day", "branch", "orders_today", "orders_7_days", "amount_cents_7_days")


def spoiled(where: str = "TRUE", more: str = "", **values: str) -> str:
    """The processor's SQL with other values on the two bad dates, fewer rows, or more of them."""
    columns = ", ".join(f"IF({IS_BAD}, {values[n]}, {n}) AS {n}" if n in values else n for n in NAMES)
    rows = f"SELECT {columns} FROM good WHERE {where}"
    return f"WITH good AS (\n{REVENUE}\n)\n{rows}" + (f"\nUNION ALL\n{more}" if more else "")


FAULTS = {
    "empty": (spoiled(f"NOT {IS_BAD}"), "0 of 3 expected keys were written"),
    "partial": (spoiled(f"NOT ({IS_BAD} AND branch = 'A')"), "2 of 3 expected keys (66.7 %), below the gate of 90 %"),
    "suspect": (
        spoiled(orders_7_days="1", orders_today="2"),
        "3 of 3 rows are built on missing inputs (orders_7_days < orders_today)",
    ),
    "out of range": (spoiled(amount_cents_7_days="-1"), "3 of 3 rows lack a required value or are out of range"),
    "null required": (
        spoiled(amount_cents_7_days="CAST(NULL AS INT64)"),
        "3 of 3 rows lack a required value or are out of range",
    ),
    "duplicate keys": (spoiled(more=f"SELECT * FROM good WHERE {IS_BAD} AND branch = 'B'"), "1 rows repeat a key"),
    "unexpected keys": (
        spoiled(
            more=f"SELECT day, 'Z', orders_today, orders_7_days, amount_cents_7_days FROM good "
            f"WHERE {IS_BAD} AND branch = 'B'"
        ),
        "1 keys are not expected on that date",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_dates_that_fail_keep_their_old_data_and_the_others_are_published(
    chain: Shop, tmp_path: Path, fault: str
) -> None:
    sql, why = FAULTS[fault]
    chain.built(FIRST, LAST)
    chain.run("UPDATE `shop_raw.orders` SET amount_cents = amount_cents + 1 WHERE TRUE")
    old = {day: chain.content(Target("revenue", day)) for day in days_between(FIRST, LAST)}
    faulty = chain.variant(tmp_path, sql={"revenue": sql})

    report = faulty.apply(FIRST, LAST, "revenue")

    new = {day: chain.content(Target("revenue", day)) for day in days_between(FIRST, LAST)}
    assert [day for day in old if new[day] == old[day]] == list(BAD)
    assert {o.target.day for o in report.failed} == set(BAD)
    assert {o.error for o in report.failed} == {why}
    recorded = chain.rows(
        "SELECT analysis_date, status, error_message FROM `shop_gapless.backfill_date_outcomes` "
        "WHERE backfill_run_id = @run ORDER BY analysis_date",
        run=report.run_id,
    )
    assert [(day, status) for day, status, _ in recorded if day in GOOD] == [(day, "complete") for day in GOOD]
    assert [error for day, _, error in recorded if day in BAD] == [why, why]
    assert all(status in ("partial", "failed") for day, status, _ in recorded if day in BAD)
    ((topic, message),) = faulty.bus.sent
    assert (topic, message["processor_name"]) == ("shop-2", "revenue")
    assert message["dates"] == [day.isoformat() for day in GOOD]
    assert chain.staged() == []


@pytest.mark.parametrize("fault", ["empty", "duplicate keys"])
def test_a_first_build_that_fails_leaves_its_date_empty_and_what_builds_on_it_waiting(
    chain: Shop, tmp_path: Path, fault: str
) -> None:
    sql, why = FAULTS[fault]
    chain.sell(FIRST, LAST)
    faulty = chain.variant(tmp_path, sql={"revenue": sql})
    report = faulty.apply()
    assert {(o.target, o.status) for o in report.failed} == {(Target("revenue", day), Status.FAILED) for day in BAD}
    built = chain.versions()
    for day in BAD:
        assert not [target for target in built if target.day == day]
    # standing looks two days back, so more than the bad dates wait
    assert {t.day for t in built if t.processor == "forecast"} == set(GOOD)
    assert set(report.waiting) >= {Target(name, day) for name in ("forecast", "standing") for day in BAD}
    assert report.after is not None
    assert report.after.judgement.verdict(Target("standing", BAD[0])) is Verdict.BLOCKED

    chain.clock.now = chain.clock.now.replace(hour=18)  # the back-off after a failure is over
    healed = chain.apply()
    assert not healed.failed
    assert healed.after is not None
    assert healed.after.judgement.complete
    assert why not in {o.error for o in healed.outcomes}


def test_a_statement_that_breaks_fails_its_batch_only(chain: Shop, tmp_path: Path) -> None:
    chain.sell(FIRST, LAST)
    faulty = chain.variant(
        tmp_path,
        sql={
            "standing": "SELECT d AS day, ERROR('cracked') AS branch, 1 AS cents_3_days, 1 AS forecast_cents "
            "FROM UNNEST(@dates) AS d JOIN {revenue} AS r ON r.day = d"
        },
    )
    report = faulty.apply()
    assert {o.target.processor for o in report.failed} == {"standing"}
    assert {o.target.processor for o in report.outcomes if o.status is Status.COMPLETE} == {"revenue", "forecast"}
    assert all("stage" in o.error for o in report.failed)
    assert not [message for _, message in faulty.bus.sent if message["processor_name"] == "standing"]


def test_a_processor_that_writes_rows_for_other_dates_changes_only_its_own(chain: Shop, tmp_path: Path) -> None:
    """A run for one date that also returns the day before: that day's partition is not replaced."""
    chain.built(FIRST, LAST)
    day = date(2024, 2, 5)
    before = chain.versions()
    chain.delete(Target("revenue", day))
    more = "SELECT DATE_SUB(day, INTERVAL 1 DAY), branch, orders_today, orders_7_days, 7 FROM good"
    faulty = chain.variant(tmp_path, sql={"revenue": spoiled(more=more)})
    report = faulty.apply(day, day, "revenue")
    assert not report.failed
    assert chain.versions() == before
