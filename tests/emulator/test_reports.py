"""What the run history's two queries return, on real SQL, and that a report is a constant number of jobs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gapless.model import Target, Upkeep
from gapless.questions.reports.comparison import compare
from gapless.questions.reports.run_history import DayOfRuns, Tracked, Tracker, Word, read_outcomes, read_runs
from gapless.tasks.detect.detector import GapHistory
from tests.conftest import Shop
from tests.emulator.test_audit import spoiled

FIRST, LAST = date(2024, 2, 1), date(2024, 2, 8)
DAY = date(2024, 2, 3)
MORNING = datetime(2024, 2, 4, 11, tzinfo=UTC)


def report(shop: Shop, *runs: Mapping[str, Any]) -> None:
    """Rows of a tracker."""
    simple = {
        "processor_name": "revenue", "data_date": DAY, "run_id": "theirs", "status": "success", "started_at": MORNING,
        "processed_at": MORNING + timedelta(minutes=4), "phase": "phase_2", "records_processed": 3,
    }  # fmt: skip
    for run in runs:
        row = {name: value for name, value in (simple | run).items() if value is not None}
        shop.run(
            f"INSERT INTO {shop.ledger_table('reported_runs')} ({', '.join(row)}) "
            f"SELECT {', '.join('@' + name for name in row)}",
            **row,
        )


def told(shop: Shop, teller: Tracker = Tracker.TRACKER) -> dict[tuple[str, date], Tracked]:
    history = read_runs(shop.gapless.warehouse, shop.pipeline, FIRST, LAST, shop.clock())
    return {(each.processor, each.day): each for each in history.told if each.teller is teller}


def test_the_rows_of_a_run_are_one_run_whatever_a_clean_up_wrote_later(shop: Shop) -> None:
    began = {"status": "running", "records_processed": None, "processed_at": MORNING}
    late = {"status": "failed", "records_processed": 0, "processed_at": MORNING + timedelta(hours=4)}
    report(shop, began, {}, late)
    said = told(shop)[("revenue", DAY)]
    assert (said.word, said.records, said.runs, said.false_failures) == (Word.SUCCESS, 3, 1, 1)
    assert (said.never_ended, said.empty) == (0, 0)
    assert said.ended_at == MORNING + timedelta(minutes=4)


def test_a_run_that_failed_and_then_succeeded_was_not_falsely_called_failed(shop: Shop) -> None:
    report(shop, {"status": "failed", "records_processed": 0, "processed_at": MORNING - timedelta(hours=1)}, {})
    said = told(shop)[("revenue", DAY)]
    assert (said.word, said.runs, said.false_failures) == (Word.SUCCESS, 1, 0)


def test_a_run_that_began_and_never_ended_is_told_apart_from_one_that_began_lately(shop: Shop) -> None:
    dead = {"status": "running", "records_processed": None, "processed_at": None}
    lately = dead | {"data_date": LAST, "started_at": shop.clock() - timedelta(hours=1)}
    report(shop, dead, lately)
    old, new = told(shop)[("revenue", DAY)], told(shop)[("revenue", LAST)]
    assert (old.word, old.never_ended, old.running, old.ended_at) == (Word.NEVER_ENDED, 1, 0, None)
    assert (new.never_ended, new.running, new.is_running) == (0, 1, True)


def test_the_newest_run_that_ended_speaks_for_its_date(shop: Shop) -> None:
    later = MORNING + timedelta(days=1)
    report(
        shop,
        {"run_id": "first", "records_processed": 3},
        {"run_id": "second", "records_processed": 0, "processed_at": later},
        {"run_id": "third", "status": "running", "processed_at": None, "records_processed": None},
    )
    said = told(shop)[("revenue", DAY)]
    assert (said.word, said.records, said.runs, said.empty, said.never_ended) == (Word.SUCCESS, 0, 3, 1, 1)
    assert said.ended_at == later


@pytest.mark.parametrize(
    ("status", "records", "word", "expected"),
    [
        ("SUCCESS", 3, Word.SUCCESS, 3),
        ("completed", None, Word.SUCCESS, None),
        ("partial", 2, Word.SUCCESS, 2),
        ("error", None, Word.FAILED, None),
        ("no_data", 0, Word.NOTHING, 0),
        (None, 0, Word.NOTHING, 0),
    ],
)
def test_every_tracker_has_words_of_its_own(
    shop: Shop, status: str | None, records: int | None, word: Word, expected: int | None
) -> None:
    report(shop, {"status": status, "records_processed": records})
    said = told(shop)[("revenue", DAY)]
    assert (said.word, said.records) == (word, expected)


def test_runs_without_an_id_are_told_apart_by_their_begin_and_runs_without_a_date_are_counted(shop: Shop) -> None:
    other = MORNING + timedelta(hours=2)
    report(
        shop,
        {"run_id": None},
        {"run_id": None, "started_at": other, "processed_at": other},
        {"data_date": None, "run_id": "undated"},
    )
    history = read_runs(shop.gapless.warehouse, shop.pipeline, FIRST, LAST, shop.clock())
    assert [(each.day, each.runs) for each in history.told] == [(DAY, 2)]
    assert history.undated == 1


def test_own_outcomes_speak_too_and_a_partial_one_has_its_count(shop: Shop, tmp_path: Path) -> None:
    shop.sell(FIRST, LAST)
    shop.variant(tmp_path, sql={"revenue": spoiled("NOT (day = '2024-02-03' AND branch = 'A')")}).apply()
    own = {key: each for key, each in told(shop, Tracker.OWN).items() if each.processor == "revenue"}
    assert len(own) == 8
    assert (own["revenue", DAY].word, own["revenue", DAY].records, own["revenue", DAY].empty) == (Word.FAILED, 0, 1)
    assert (own["revenue", FIRST].word, own["revenue", FIRST].records) == (Word.SUCCESS, 3)


# --------------------------------------------------------------------------------------------------- day by day


def outcome(shop: Shop, at: datetime, status: str, **fields: Any) -> None:
    row = {
        "backfill_run_id": "run", "analysis_date": DAY, "processor_name": "revenue", "claim_number": 1, "phase": 2,
        "expected_count": 3, "actual_count": 3, "completeness_pct": 100.0, "status": status, "processed_at": at,
    } | fields  # fmt: skip
    shop.run(
        f"INSERT INTO {shop.ledger_table('backfill_date_outcomes')} ({', '.join(row)}) "
        f"SELECT {', '.join('@' + name for name in row)}",
        **row,
    )


def test_outcomes_are_counted_by_the_days_of_the_pipelines_zone(shop: Shop) -> None:
    """23:30 UTC is past midnight in Berlin."""
    outcome(shop, datetime(2024, 2, 5, 23, 30, tzinfo=UTC), "complete", data_source="UPCG")
    outcome(shop, datetime(2024, 2, 6, 12, tzinfo=UTC), "partial", actual_count=2, completeness_pct=66.7)
    outcome(shop, datetime(2024, 2, 6, 12, tzinfo=UTC), "complete", expected_count=0, backfill_run_id="other",
            data_source="UPCG")  # fmt: skip
    outcome(shop, datetime(2024, 2, 6, 12, tzinfo=UTC), "skipped")
    outcome(shop, datetime(2024, 1, 2, 12, tzinfo=UTC), "complete")
    found = read_outcomes(shop.gapless.warehouse, shop.pipeline, date(2024, 2, 1), date(2024, 2, 12))
    (only,) = found.days
    assert only[:5] == DayOfRuns(date(2024, 2, 6), 2, 2, 1, 0, None)[:5]
    assert only.coverage_pct == pytest.approx(83.35)  # nothing was expected of one of them
    assert found.sources == {"UPCG": {date(2024, 2, 6): 2}}


@pytest.mark.parametrize("work", Upkeep)
def test_clean_ups_and_restores_are_no_runs_in_the_history(shop: Shop, work: Upkeep) -> None:
    outcome(shop, datetime(2024, 2, 6, 12, tzinfo=UTC), "complete")
    outcome(
        shop, datetime(2024, 2, 6, 13, tzinfo=UTC), "complete", data_source=work.value, expected_count=0,
        backfill_run_id="cleaner",
    )  # fmt: skip
    found = read_outcomes(shop.gapless.warehouse, shop.pipeline, date(2024, 2, 1), date(2024, 2, 12))
    assert found.days == [DayOfRuns(date(2024, 2, 6), 1, 1, 0, 0, 100.0)]
    assert found.sources == {}


def test_failures_come_with_what_is_permanent_and_what_has_been_repaired_since(shop: Shop, tmp_path: Path) -> None:
    shop.sell(FIRST, LAST)
    broken = shop.variant(tmp_path / "a", sql={"revenue": "SELECT no_such_column FROM {orders}"})
    broken.apply(FIRST, DAY)
    shop.clock.now += timedelta(hours=1)
    shop.variant(tmp_path / "b", sql={"revenue": spoiled("NOT (day = '2024-02-03' AND branch = 'A')")}).apply(
        FIRST, LAST, force=True
    )
    found = read_outcomes(shop.gapless.warehouse, shop.pipeline, date(2024, 2, 1), date(2024, 2, 12))
    permanent = next(each for each in found.failures if each.permanent)
    passing = next(each for each in found.failures if not each.permanent)
    assert (permanent.times, len(permanent.days)) == (3, 3)
    assert "no_such_column" in permanent.text
    assert permanent.open_days == {DAY}  # the others landed
    assert (passing.text, passing.category) == (
        "2 of 3 expected keys (66.7 %), below the gate of 90 %", "INCOMPLETE_COVERAGE",
    )  # fmt: skip
    assert found.still_open == {Target("revenue", DAY)}


@pytest.fixture
def unreported(shop: Shop) -> Iterator[Shop]:
    """The shop before and after which no report was ever written."""

    def forget() -> None:
        for name in ("gap_history", "alert_log"):
            shop.run(f"DELETE FROM {shop.ledger_table(name)} WHERE TRUE")

    forget()
    yield shop
    forget()


def test_a_report_without_gaps_is_a_count_of_zero_and_a_day_without_a_report_is_none(unreported: Shop) -> None:
    shop = unreported
    history = GapHistory(shop.gapless.warehouse, shop.pipeline.ledger, shop.clock)
    shop.sell(FIRST, LAST)
    today = date(2024, 2, 12)
    history.write(shop.scan().judgement.gaps, today - timedelta(days=2), shop.clock(), "reports", [])
    history.write([], today, shop.clock(), "reports", [])
    found = read_outcomes(shop.gapless.warehouse, shop.pipeline, FIRST, today)
    assert found.open_gaps == {today - timedelta(days=2): 8, today: 0}


def test_both_readers_of_daily_reports_pass_over_a_key_without_a_date(unreported: Shop) -> None:
    shop = unreported
    shop.run(
        f"INSERT INTO {shop.ledger_table('alert_log')} (alert_key, severity, channel, state, message, sent_at) "
        "SELECT @key, 'info', 'log', 'sent', '', @now",
        key="report/the day after",
        now=MORNING,
    )
    history = GapHistory(shop.gapless.warehouse, shop.pipeline.ledger, shop.clock)
    assert history.before(date(2024, 2, 13)) is None
    history.write([], date(2024, 2, 12), shop.clock(), "g", [])
    found = history.before(date(2024, 2, 13))
    assert found is not None
    assert found.day == date(2024, 2, 12)
    told = read_outcomes(shop.gapless.warehouse, shop.pipeline, date(2024, 2, 1), date(2024, 2, 12))
    assert told.open_gaps == {date(2024, 2, 12): 0}


def test_comparing_is_two_jobs_however_many_dates_and_runs(shop: Shop) -> None:
    def jobs(last: date, days: Sequence[date]) -> int:
        report(shop, *({"data_date": day, "run_id": f"{day}"} for day in days))
        bench, watched = shop.watched()
        look = bench.scan(FIRST, last)
        compare(bench.pipeline, look, read_runs(bench.gapless.warehouse, bench.pipeline, FIRST, last, look.at))
        return len(watched.calls)

    shop.sell(FIRST, LAST)
    assert jobs(FIRST, []) == jobs(LAST, [FIRST, DAY, LAST]) == 2
