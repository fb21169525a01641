"""Which rows a clean-up may remove: dates, clocks and limits, without a warehouse."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapless.declare.catalogue import load_catalogue
from gapless.declare.pipeline import load_pipeline
from gapless.declare.processor import Processor
from gapless.errors import Refused, TransientFailure
from gapless.model import days_between
from gapless.tasks.cleanup.decision import CleanupRules, Decision, Lease, RowCounts, decide, reader_of_the_past
from gapless.tasks.cleanup.outcome import Cleaned, Ended, raise_first
from gapless.tasks.cleanup.statements import absent, back_up, backup_name, bring_back, compare, count, delete
from tests.conftest import shop_pipeline

NBA = load_pipeline()
UPCG = NBA.processor("UPCG")
EASTERN = ZoneInfo("America/New_York")
NOON = datetime(2026, 1, 12, 17, tzinfo=UTC)
TODAY = date(2026, 1, 12)


DEFAULT = CleanupRules()


def decided(
    days: Mapping[date, int],
    rules: CleanupRules = DEFAULT,
    now: datetime = NOON,
    leases: tuple[Lease, ...] = (),
) -> Decision:
    return decide(NBA, UPCG, RowCounts(days), leases, rules, now)


def daily(first: date, last: date, rows: int = 200) -> dict[date, int]:
    return dict.fromkeys(days_between(first, last), rows)


# -- dates and clocks --------------------------------------------------------------------------------------------------


def test_the_day_a_week_ago_stays_and_the_one_before_goes() -> None:
    decision = decided(daily(TODAY - timedelta(days=9), TODAY + timedelta(days=1)))
    assert decision.cutoff == date(2026, 1, 5)
    assert list(decision.days) == [date(2026, 1, 3), date(2026, 1, 4)]
    assert decision.rows == 400
    assert not decision.refusal


@pytest.mark.parametrize(
    "day",
    [
        *(date(2026, 3, 8) + timedelta(days=n) for n in range(-1, 9)),  # clocks go forward on 8 March
        *(date(2026, 11, 1) + timedelta(days=n) for n in range(-1, 9)),  # and back on 1 November
    ],
)
def test_the_boundary_day_stays_across_both_clock_changes(day: date) -> None:
    four_in_the_morning = datetime(day.year, day.month, day.day, 4, tzinfo=EASTERN)
    decision = decided(daily(day - timedelta(days=10), day), now=four_in_the_morning.astimezone(UTC))
    assert decision.cutoff == day - timedelta(days=7)
    assert max(decision.days) == day - timedelta(days=8)


@pytest.mark.parametrize("month", [1, 7])
def test_late_in_the_evening_the_date_is_that_of_the_east_coast_and_not_of_utc(month: int) -> None:
    evening = datetime(2026, month, 12, 23, 30, tzinfo=EASTERN).astimezone(UTC)
    assert evening.date() == date(2026, month, 13)
    assert decided({}, now=evening).cutoff == date(2026, month, 5)
    assert decided({}, now=evening + timedelta(hours=1)).cutoff == date(2026, month, 6)


def test_the_daily_schedule_is_four_in_the_morning_on_the_east_coast() -> None:
    (schedule,) = load_catalogue().functions["upcoming_cleanup"].schedules.values()
    assert (schedule.cron, schedule.zone, schedule.body) == ("0 4 * * *", "America/New_York", {})


@given(
    st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC)),
    st.integers(-5, 60),
    st.booleans(),
    st.lists(st.integers(-400, 40), unique=True, max_size=30),
)
def test_whatever_is_asked_no_date_of_today_or_later_goes(
    now: datetime, keep: int, all_history: bool, offsets: list[int]
) -> None:
    today = now.astimezone(EASTERN).date()
    days = {today + timedelta(days=n): 5 for n in offsets}
    decision = decided(days, CleanupRules(keep, all_history=all_history), now)
    if not decision.refusal:
        assert all(day < today for day in decision.days)
        assert set(decision.days) == {day for day in days if day < today - timedelta(days=keep)}


# -- refusals ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("keep", [0, -1, -30])
def test_games_of_today_or_later_are_never_touched_even_in_an_empty_table(keep: int) -> None:
    assert "not over yet" in decided({}, CleanupRules(keep)).refusal
    assert "not over yet" in decided(daily(TODAY, TODAY), CleanupRules(keep, all_history=True)).refusal


def test_a_clock_that_runs_ahead_of_the_warehouse_is_not_believed() -> None:
    there = RowCounts(daily(date(2026, 1, 1), date(2026, 1, 20), 5), today=date(2026, 1, 12))
    ahead = decide(NBA, UPCG, there, (), CleanupRules(), NOON + timedelta(days=30))
    assert "for the warehouse it is 2026-01-12 only" in ahead.refusal
    assert not decide(NBA, UPCG, there, (), CleanupRules(), NOON).refusal


def test_a_date_under_repair_keeps_the_whole_table_waiting() -> None:
    until = NOON + timedelta(minutes=10)
    decision = decided(daily(date(2026, 1, 1), TODAY), leases=(Lease(date(2026, 1, 3), "missing", until),))
    assert "2026-01-03 is being worked on (missing, until 2026-01-12 17:10 UTC" in decision.refusal


def test_work_on_dates_that_stay_or_hold_nothing_does_not_matter() -> None:
    until = NOON + timedelta(minutes=10)
    leases = tuple(Lease(day, "missing", until) for day in (date(2026, 1, 5), date(2025, 12, 1), TODAY))
    assert not decided(daily(date(2026, 1, 3), TODAY), leases=leases).refusal


@pytest.mark.parametrize(
    ("old", "kept", "refused"),
    [
        (1000, 999, True),  # just above half
        (1000, 1000, False),  # exactly half
        (999, 0, False),  # everything, but few: the end of a season
        (1000, 0, True),
        (200, 1800, False),  # any morning of a season
        (1400, 2000, False),  # the morning after a week without a run
        (150_000, 400, True),  # the history that nobody ever cleaned
    ],
)
def test_an_implausible_share_is_refused_unless_all_history_was_asked_for(old: int, kept: int, refused: bool) -> None:
    days = {date(2025, 12, 1): old, TODAY: kept}
    refusal = decided(days).refusal
    assert bool(refusal) == refused
    if refused:
        assert f"{old:,} of {old + kept:,} rows" in refusal
        assert "--all-history" in refusal
    assert not decided(days, CleanupRules(all_history=True)).refusal


def test_a_season_of_mornings_is_never_refused_and_ends_with_an_empty_table() -> None:
    """Games from October to June with a break in February, and the mornings until a month after the last one."""
    first, last = date(2025, 10, 21), date(2026, 6, 20)
    pause = set(days_between(date(2026, 2, 13), date(2026, 2, 18)))
    table: dict[date, int] = {}
    for today in days_between(first, last + timedelta(days=30)):
        for day in (today, today + timedelta(days=1)):
            if first <= day <= last and day not in pause:
                table[day] = 400
        decision = decided(table, now=datetime(today.year, today.month, today.day, 4, tzinfo=EASTERN))
        assert not decision.refusal
        for day in decision.days:
            del table[day]
        assert len(table) <= 9
    assert not table


def test_more_dates_than_a_job_may_touch_are_taken_in_parts() -> None:
    days = daily(date(2018, 1, 1), date(2025, 12, 31), 1)
    assert "--older-than" in decided(days, CleanupRules(all_history=True)).refusal
    assert not decided(days, CleanupRules(keep_days=1500, all_history=True)).refusal


def test_in_the_shipped_pipeline_nothing_reads_what_a_clean_up_removes() -> None:
    upcoming = [p for p in NBA.processors.values() if p.applies_to == "upcoming"]
    assert {p.name for p in upcoming} == {"upcoming_player_game_context", "upcoming_team_game_context"}
    assert [reader_of_the_past(NBA, p, 7) for p in upcoming] == ["", ""]


@pytest.mark.parametrize(
    ("reader", "edge", "reads"),
    [
        ("all", {"own_day": "upcoming"}, False),
        ("all", {"own_day": True}, True),
        ("historical", {"own_day": "historical"}, True),
        ("all", {"own_day": "upcoming", "lookback_days": 1}, True),
        ("upcoming", {"own_day": True}, False),
        ("upcoming", {"own_day": True, "lookback_days": 7}, False),
        ("upcoming", {"own_day": True, "lookback_days": 8}, True),
    ],
)
def test_a_table_whose_past_is_read_is_not_cleaned(
    tmp_path: Path, reader: str, edge: dict[str, object], reads: bool
) -> None:
    change = {
        "forecast": {"applies_to": "upcoming"},
        "standing": {"applies_to": reader, "upstream": {"revenue": {"own_day": True, "lookback_days": 2},
                                                        "forecast": edge}},
    }  # fmt: skip
    pipeline = shop_pipeline(tmp_path, change=change)
    forecast = pipeline.processor("forecast")
    assert bool(reader_of_the_past(pipeline, forecast, 7)) == reads
    refusal = decide(pipeline, forecast, RowCounts({}), (), CleanupRules(), NOON).refusal
    assert ("standing reads its past rows" in refusal) == reads


# -- what is told ------------------------------------------------------------------------------------------------------


def ended(status: Ended, failure: Exception | None = None) -> Cleaned:
    done = Cleaned("r", "a.b", TODAY, status)
    if isinstance(failure, (Refused, TransientFailure)):
        done.failure, done.error = failure, str(failure)
    return done


def test_a_failure_is_told_before_a_refusal_and_nothing_is_swallowed() -> None:
    raise_first([ended(Ended.DONE), ended(Ended.NOTHING), ended(Ended.DRY_RUN)])
    refused, failed = ended(Ended.REFUSED, Refused("no")), ended(Ended.FAILED, TransientFailure("later"))
    with pytest.raises(Refused, match="no; no"):
        raise_first([ended(Ended.DONE), refused, refused])
    with pytest.raises(TransientFailure, match="later"):
        raise_first([refused, failed])


# -- statements --------------------------------------------------------------------------------------------------------


def statements(p: Processor) -> dict[str, str]:
    backup = backup_name(NBA, p, TODAY)
    return {
        "count": count(p, p.table),
        "compare": compare(p, backup),
        "back up": back_up(p, backup),
        "delete": delete(p, backup, "o.attempts"),
        "absent": f"SELECT COUNT(*) FROM {absent(p, backup)}",
        "bring back": bring_back(p, backup, list(p.columns), "o.attempts"),
    }


@pytest.mark.parametrize("name", ["UPCG", "UTCG"])
def test_every_statement_is_googlesql_and_takes_its_values_as_parameters(name: str) -> None:
    sqlglot = pytest.importorskip("sqlglot")
    allowed = {"cutoff", "days", "first", "last", "processor", "claim", "zone"}
    for sql in statements(NBA.processor(name)).values():
        (tree,) = sqlglot.parse(sql, read="bigquery")
        assert not isinstance(tree, sqlglot.exp.Command), sql
        found = {p.name for p in tree.find_all(sqlglot.exp.Parameter)}
        assert found
        assert found <= allowed
        assert "2026-01" not in sql


def test_a_backup_is_beside_the_ledger_and_no_two_have_one_name() -> None:
    names = {backup_name(NBA, UPCG, TODAY) for _ in range(50)}
    assert len(names) == 50
    assert all(name.startswith("nba_orchestration.backup_upcoming_player_game_context_20260112_") for name in names)
    assert all(replace(NBA, ledger="x").staging not in name for name in names)
