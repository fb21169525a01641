"""What an observation means: every verdict with its evidence, and which of two goes first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import reduce
from operator import xor
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gapless.declare.pipeline import Pipeline
from gapless.judge.verdicts import Judgement, civil_today, judge
from gapless.model import (
    IS_A_GAP,
    Acknowledged,
    Day,
    Gap,
    History,
    Ledger,
    Observation,
    Policy,
    Scope,
    Seen,
    Target,
    Verdict,
    days_between,
    gap_id,
)
from tests.support.observations import sparse
from tests.twin import declare

NOW = datetime(2024, 1, 20, 17, tzinfo=UTC)
FIRST = date(2024, 1, 1)
DAY = date(2024, 1, 5)
MONTH = 31
PLAYED = Day(scheduled=5, final=5, opening=date(2023, 10, 24))
LOADED = 1_704_500_000_000_000  # when upstream rows were published: 2024-01-06 00:13:20 UTC

NBA: Mapping[str, Mapping[str, Any]] = {
    "games": {"run": "none"},
    "summary": {
        "due": "when_over",
        "expect": {"keys_of": "games"},
        "suspect": "score = 0",
        "upstream": {"games": {"own_day": True}},
    },
    "rolling": {
        "bootstrap_days": 14,
        "expect": {"keys_of": "summary"},
        "upstream": {"summary": {"own_day": True, "lookback_days": 3}},
    },
}


def whole(keys: int = 10, version: int = 1, inputs: int | None = 0, changed_at: int = LOADED) -> Seen:
    return Seen(keys, keys, keys, version=version, inputs=inputs, changed_at=changed_at)


def court(
    columns: Mapping[str, Mapping[date, Seen]],
    *,
    processors: Mapping[str, Mapping[str, Any]] = NBA,
    calendar: Mapping[date, Day] | None = None,
    ledger: Ledger | None = None,
    policy: Policy | None = None,
    scope: Scope | None = None,
    now: datetime = NOW,
    days: int = MONTH,
    first: date = FIRST,
) -> Judgement:
    """Judge sparse columns; a date that is not given holds nothing and expects nothing."""
    pipeline = declare(processors)
    last = first + timedelta(days=days - 1)
    observation = sparse(processors, columns, first, last, calendar=calendar, ledger=ledger)
    return judge(pipeline, observation, policy or Policy(), scope or Scope(first, last), now)


def summary_day(seen: Seen | None, **more: Any) -> Judgement:
    """One date on which the games are loaded (version 7) and the summary is as given."""
    columns = {"games": {DAY: whole(10, version=7)}, "summary": {DAY: seen} if seen else {}}
    return court(columns, **{"calendar": {DAY: PLAYED}, **more})


def gap_of(judgement: Judgement, name: str, day: date = DAY) -> Gap:
    return next(gap for gap in judgement.gaps if gap.target == Target(name, day))


SUMMARY = Target("summary", DAY)
ROLLING = Target("rolling", DAY)


# -- what the tables alone say --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seen", "verdict"),
    [
        (whole(10, inputs=7), Verdict.COMPLETE),
        (Seen(10, 9, 9, inputs=7), Verdict.COMPLETE),
        (Seen(10, 0), Verdict.MISSING),
        (Seen(187, 1, 1, inputs=7), Verdict.PARTIAL),
        (Seen(10, 8, 8, inputs=7), Verdict.PARTIAL),
        (Seen(187, 0, 187, extra=187, inputs=7), Verdict.MISSING),
        (Seen(10, 10, 10, suspect=1, inputs=7), Verdict.CONTAMINATED),
        (Seen(10, 10, 10, altered=1, inputs=7), Verdict.CONTAMINATED),
        (Seen(10, 10, 11, duplicates=1, inputs=7), Verdict.CONTAMINATED),
        (Seen(10, 10, 10, inputs=8), Verdict.CONTAMINATED),
        (Seen(10, 10, 10, inputs=None), Verdict.CONTAMINATED),
        (Seen(10, 5, 5, suspect=1, inputs=7), Verdict.CONTAMINATED),
        (Seen(10, 10, 11, extra=1, inputs=7), Verdict.PHANTOM),
        (Seen(10, 10, 11, extra=1, inputs=8), Verdict.CONTAMINATED),
        (Seen(0, 0, 3, extra=3, inputs=7), Verdict.PHANTOM),
    ],
)
def test_a_target_with_a_complete_upstream_is_judged_by_its_keys_and_what_it_was_built_on(
    seen: Seen, verdict: Verdict
) -> None:
    assert summary_day(seen).verdict(SUMMARY) is verdict


def test_187_rows_of_the_wrong_players_cover_nothing() -> None:
    gap = gap_of(summary_day(Seen(187, 0, 187, extra=187, inputs=7)), "summary")
    assert gap.seen.coverage_pct == 0
    assert gap.verdict is Verdict.MISSING


@pytest.mark.parametrize(("covered", "warned"), [(89, False), (90, True), (94, True), (95, False), (100, False)])
def test_it_warns_between_the_gate_and_the_warning_threshold(covered: int, warned: bool) -> None:
    judgement = summary_day(Seen(100, covered, covered, inputs=7))
    assert [gap.target for gap in judgement.warnings] == ([SUMMARY] if warned else [])
    assert judgement.verdict(SUMMARY) is (Verdict.COMPLETE if covered >= 90 else Verdict.PARTIAL)


def test_a_gate_can_differ_by_processor() -> None:
    strict = {**NBA, "summary": {**NBA["summary"], "gate_pct": 100, "warn_pct": 100}}
    assert summary_day(Seen(10, 9, 9, inputs=7), processors=strict).verdict(SUMMARY) is Verdict.PARTIAL


def test_a_date_without_games_and_without_rows_is_an_off_day() -> None:
    judgement = court({})
    assert judgement.verdict(SUMMARY) is Verdict.OFF_DAY
    assert judgement.complete


def test_nothing_expected_on_a_date_with_games_is_the_bootstrap_below_minimum_games() -> None:
    columns = {"games": {DAY: whole()}}
    assert court(columns, calendar={DAY: PLAYED}).verdict(SUMMARY) is Verdict.BOOTSTRAP


def test_a_source_without_games_is_an_off_day_and_never_a_bootstrap() -> None:
    assert court({}, calendar={DAY: PLAYED}).verdict(Target("games", DAY)) is Verdict.OFF_DAY


def test_rows_of_a_postponed_date_are_phantoms_and_no_gap() -> None:
    judgement = court({"summary": {DAY: Seen(0, 0, 3, extra=3)}}, calendar={DAY: Day(0, 0)})
    assert judgement.verdict(SUMMARY) is Verdict.PHANTOM
    assert [gap.target for gap in judgement.phantoms] == [SUMMARY]
    assert not judgement.gaps


def test_others_may_build_on_a_phantom() -> None:
    columns = {
        "games": {DAY: whole(version=7)},
        "summary": {DAY: Seen(10, 10, 11, extra=1, inputs=7)},
        "rolling": {DAY: Seen(10, 0)},
    }
    assert court(columns).verdict(ROLLING) is Verdict.MISSING


def test_a_record_is_not_contaminated_by_a_later_change_upstream() -> None:
    record = {**NBA, "summary": {**NBA["summary"], "restate": "never"}}
    assert summary_day(whole(10, inputs=8), processors=record).verdict(SUMMARY) is Verdict.COMPLETE


def test_a_change_of_an_upstream_that_only_says_what_is_expected_contaminates_nothing() -> None:
    loose = {**NBA, "summary": {**NBA["summary"], "upstream": {"games": {"own_day": True, "version": False}}}}
    assert summary_day(whole(10, inputs=0), processors=loose).verdict(SUMMARY) is Verdict.COMPLETE


# -- blocked --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "downstream", [None, Seen(10, 0), Seen(3, 3, 3, inputs=7), whole(10, inputs=7), Seen(0, 0, 4, extra=4)]
)
def test_whatever_is_there_is_blocked_while_its_upstream_is_missing(downstream: Seen | None) -> None:
    """The expectation comes from that upstream, so it is not trusted: zero expected keys are not 100 %."""
    columns = {"games": {DAY: whole()}, "summary": {DAY: Seen(10, 0)}}
    if downstream:
        columns["rolling"] = {DAY: downstream}
    judgement = court(columns)
    assert judgement.verdict(ROLLING) is Verdict.BLOCKED
    assert gap_of(judgement, "rolling").blockers == (SUMMARY,)
    assert gap_of(judgement, "rolling").fillable_since is None


def test_it_never_calls_a_target_a_bootstrap_because_its_upstream_is_missing() -> None:
    """Nothing is expected on a date with games, but only because what is expected is not there."""
    columns = {"games": {DAY: whole()}, "summary": {DAY: Seen(10, 0)}}
    assert court(columns, calendar={DAY: PLAYED}).verdict(ROLLING) is Verdict.BLOCKED


def test_nothing_expected_is_not_trusted_while_the_window_that_it_follows_from_has_a_hole() -> None:
    before = DAY - timedelta(days=2)
    columns = {"games": {d: whole(version=7) for d in (before, DAY)}, "summary": {before: Seen(10, 0)}}
    columns["summary"][DAY] = whole(version=5, inputs=7)
    assert court(columns, calendar={DAY: PLAYED}).verdict(ROLLING) is Verdict.BLOCKED


def test_a_missing_optional_upstream_blocks_nothing() -> None:
    optional = {**NBA, "summary": {**NBA["summary"], "optional": True}}
    columns = {"games": {DAY: whole()}, "summary": {DAY: Seen(10, 0)}, "rolling": {DAY: Seen(10, 0)}}
    assert court(columns, processors=optional).verdict(ROLLING) is Verdict.MISSING


def test_a_missing_target_is_not_blocked_by_a_hole_in_its_look_back_but_says_so() -> None:
    """Half a window is better than nothing; when the hole is filled the target is stale and runs again."""
    before = DAY - timedelta(days=2)
    columns = {
        "games": {d: whole(version=7) for d in (before, DAY)},
        "summary": {before: Seen(10, 0), DAY: whole(inputs=7)},
        "rolling": {DAY: Seen(10, 0)},
    }
    gap = gap_of(court(columns), "rolling")
    assert gap.verdict is Verdict.MISSING
    assert f"summary {before}" in gap.detail


@pytest.mark.parametrize("wrong", [{"altered": 1}, {"duplicates": 2}])
@pytest.mark.parametrize("optional", [False, True])
def test_nothing_is_built_on_rows_that_are_not_what_their_version_says(wrong: dict[str, int], optional: bool) -> None:
    """Their repair brings the version back that they have now: what was built on them would look up to date."""
    before = DAY - timedelta(days=2)
    processors = {**NBA, "summary": {**NBA["summary"], "optional": optional}}
    for downstream in (Seen(10, 0), Seen(10, 4, 4, inputs=1), whole(inputs=1)):
        columns = {
            "games": {d: whole(version=7) for d in (before, DAY)},
            "summary": {before: whole(version=3, inputs=7)._replace(**wrong), DAY: whole(version=5, inputs=7)},
            "rolling": {DAY: downstream},
        }
        assert court(columns, processors=processors).verdict(ROLLING) is Verdict.BLOCKED


EITHER: Mapping[str, Mapping[str, Any]] = {
    "games": {"run": "none"},
    "listed": {"expect": {"keys_of": "games"}, "upstream": {"games": {"own_day": True}}},
    "factors": {
        "expect": {"keys_of": "games"},
        "upstream": {
            "games": {"own_day": True, "lookback_days": 2},
            "listed": {"own_day": True, "fallback": "games"},
        },
    },
}
FACTORS = Target("factors", DAY)


@pytest.mark.parametrize("listed", [None, Seen(10, 0), Seen(10, 4, 4, version=2, inputs=7)])
def test_an_upstream_with_a_fallback_blocks_nothing_while_it_is_missing_or_partial(listed: Seen | None) -> None:
    columns = {"games": {DAY: whole(version=7)}, "listed": {DAY: listed} if listed else {}}
    there = listed.version if listed else 0
    for factors, verdict in (
        (Seen(10, 0), Verdict.MISSING),
        (Seen(10, 4, 4, inputs=7 ^ there), Verdict.PARTIAL),
        (whole(inputs=7 ^ there), Verdict.COMPLETE),
        (whole(inputs=1), Verdict.CONTAMINATED),
    ):
        found = court({**columns, "factors": {DAY: factors}}, processors=EITHER)
        assert found.verdict(FACTORS) is verdict
        assert not [gap for gap in found.gaps if gap.target == FACTORS and gap.blockers]


def test_when_an_upstream_with_a_fallback_lands_what_was_made_without_it_is_stale() -> None:
    columns = {"games": {DAY: whole(version=7)}, "listed": {DAY: whole(version=3, inputs=7)}}
    for inputs, verdict in ((7, Verdict.CONTAMINATED), (7 ^ 3, Verdict.COMPLETE)):
        found = court({**columns, "factors": {DAY: whole(inputs=inputs)}}, processors=EITHER)
        assert found.verdict(FACTORS) is verdict


def test_what_reads_an_upstream_with_a_fallback_waits_only_while_that_is_not_what_its_version_says() -> None:
    columns = {
        "games": {DAY: whole(version=7)},
        "listed": {DAY: whole(version=3, inputs=7)._replace(altered=1)},
        "factors": {DAY: Seen(10, 0)},
    }
    gap = gap_of(court(columns, processors=EITHER), "factors")
    assert (gap.verdict, gap.blockers) == (Verdict.BLOCKED, (Target("listed", DAY),))
    in_flight = Ledger({Target("listed", DAY): History(1, lease_until=NOW + timedelta(minutes=5))})
    missing = {**columns, "listed": {DAY: Seen(10, 0)}}
    assert gap_of(court(missing, processors=EITHER, ledger=in_flight), "factors").verdict is Verdict.BLOCKED


def test_a_fallback_is_for_its_own_upstream_only() -> None:
    """What stands in has to be there."""
    columns = {"games": {}, "listed": {DAY: Seen(10, 0)}, "factors": {DAY: Seen(10, 0)}}
    raw = {**EITHER, "games": {"expect": {"keys_of": "source"}, "upstream": {"source": {"own_day": True}}}}
    judgement = court(
        {**columns, "source": {DAY: whole()}, "games": {DAY: Seen(10, 0)}},
        processors={"source": {"run": "none"}, **raw},
    )
    assert gap_of(judgement, "factors").blockers == (Target("games", DAY),)


@pytest.mark.parametrize(("covered", "verdict"), [(98, Verdict.PARTIAL), (99, Verdict.COMPLETE)])
def test_exactly_the_gate_is_enough(covered: int, verdict: Verdict) -> None:
    """99 of 110 is 90 %, however a machine rounds it."""
    assert summary_day(Seen(110, covered, covered, inputs=7)).verdict(SUMMARY) is verdict


def test_nothing_is_built_on_phantoms_that_somebody_else_wrote() -> None:
    before = DAY - timedelta(days=2)
    columns = {
        "games": {DAY: whole(version=7)},
        "summary": {before: Seen(0, 0, 2, extra=2, altered=2), DAY: whole(version=5, inputs=7)},
        "rolling": {DAY: Seen(10, 0)},
    }
    assert court(columns).verdict(ROLLING) is Verdict.BLOCKED
    columns["summary"][before] = Seen(0, 0, 2, extra=2)
    assert court(columns).verdict(ROLLING) is Verdict.MISSING


@pytest.mark.parametrize(("settled", "verdict"), [(True, Verdict.CONTAMINATED), (False, Verdict.BLOCKED)])
def test_stale_rows_are_rebuilt_only_when_their_whole_window_is_settled(settled: bool, verdict: Verdict) -> None:
    before = DAY - timedelta(days=2)
    hole = whole(version=3, inputs=7) if settled else Seen(10, 0)
    columns = {
        "games": {d: whole(version=7) for d in (before, DAY)},
        "summary": {before: hole, DAY: whole(version=5, inputs=7)},
        "rolling": {DAY: whole(inputs=4)},
    }
    judgement = court(columns)
    assert judgement.verdict(ROLLING) is verdict
    if not settled:
        assert gap_of(judgement, "rolling").blockers == (Target("summary", before),)


def test_a_window_ends_where_its_look_back_does() -> None:
    """The hole is four days back, the window three: the rows are right."""
    before = DAY - timedelta(days=4)
    columns = {
        "games": {d: whole(version=7) for d in (before, DAY)},
        "summary": {before: Seen(10, 0), DAY: whole(version=5, inputs=7)},
        "rolling": {DAY: whole(inputs=5)},
    }
    assert court(columns).verdict(ROLLING) is Verdict.COMPLETE


def test_no_more_than_ten_blockers_of_a_window_are_named_newest_first() -> None:
    wide = {**NBA, "rolling": {**NBA["rolling"], "upstream": {"summary": {"own_day": True, "lookback_days": 20}}}}
    day = date(2024, 1, 19)
    holes = list(days_between(date(2024, 1, 2), date(2024, 1, 18)))
    columns = {
        "games": {d: whole(version=7) for d in (*holes, day)},
        "summary": {**{d: Seen(10, 0) for d in holes}, day: whole(version=5, inputs=7)},
        "rolling": {day: whole(inputs=4)},
    }
    gap = gap_of(court(columns, processors=wide), "rolling", day)
    assert gap.blockers == tuple(Target("summary", d) for d in reversed(holes))[:10]


@pytest.mark.parametrize("covered", [10, 9])
def test_the_days_before_the_scope_are_not_judged_by_windows_that_were_cut_off(covered: int) -> None:
    columns = {
        "games": {DAY: whole(version=7)},
        # its own inputs lie outside what was looked at
        "summary": {DAY: Seen(10, covered, covered, version=5, inputs=99)},
        "rolling": {DAY + timedelta(days=1): Seen(10, 0)},
    }
    judgement = court(columns, scope=Scope(DAY + timedelta(days=1), FIRST + timedelta(days=MONTH - 1)))
    assert judgement.verdict(SUMMARY) is Verdict.COMPLETE
    assert all(gap.target.day > DAY for gap in judgement.gaps)


# -- in time --------------------------------------------------------------------------------------------------------

NEW_YORK = ZoneInfo("America/New_York")


def tip(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=NEW_YORK).astimezone(UTC)  # as a query returns it


@pytest.mark.parametrize(
    ("day", "last_start", "due"),
    [
        ("2024-01-10", "2024-01-10T22:30", "2024-01-11T08:30Z"),  # a late game in the west: at 3:30 in the east
        ("2024-01-10", "2024-01-10T13:00", "2024-01-10T23:00Z"),
        ("2024-01-10", None, "2024-01-11T11:00Z"),  # 6 in the morning, eastern standard time
        ("2024-02-29", None, "2024-03-01T11:00Z"),
        ("2024-03-09", None, "2024-03-10T10:00Z"),  # the clocks went forward in that night
        ("2024-03-09", "2024-03-09T22:00", "2024-03-10T08:00Z"),
        ("2024-11-02", None, "2024-11-03T11:00Z"),  # and back in that one
        ("2024-11-02", "2024-11-02T22:30", "2024-11-03T07:30Z"),
    ],
)
def test_a_date_is_not_due_until_five_hours_after_the_last_tip_off(day: str, last_start: str | None, due: str) -> None:
    that = date.fromisoformat(day)
    calendar = {that: Day(5, 4, None, tip(last_start) if last_start else None)}
    columns = {"games": {that: whole(version=7)}, "summary": {that: Seen(10, 0)}}

    def verdict(now: datetime) -> Verdict | None:
        return court(columns, calendar=calendar, now=now, first=that, days=3).verdict(Target("summary", that))

    moment = datetime.fromisoformat(due)
    assert verdict(moment - timedelta(seconds=1)) is Verdict.NOT_DUE
    assert verdict(moment) is Verdict.MISSING


def test_a_date_is_due_as_soon_as_every_game_is_final() -> None:
    evening = datetime(2024, 1, 6, 3, tzinfo=UTC)
    unplayed = {DAY: Day(5, 4, None, tip("2024-01-05T22:30"))}
    over = {DAY: Day(5, 5, None, tip("2024-01-05T22:30"))}
    assert summary_day(Seen(10, 0), calendar=unplayed, now=evening).verdict(SUMMARY) is Verdict.NOT_DUE
    assert summary_day(Seen(10, 0), calendar=over, now=evening).verdict(SUMMARY) is Verdict.MISSING


def test_what_builds_on_a_date_that_is_not_due_is_not_due_either() -> None:
    calendar = {DAY: Day(5, 4, None, tip("2024-01-05T22:30"))}
    columns = {"games": {DAY: whole(version=7)}, "summary": {DAY: Seen(10, 4, 4)}, "rolling": {DAY: Seen(4, 0)}}
    judgement = court(columns, calendar=calendar, now=datetime(2024, 1, 6, 3, tzinfo=UTC))
    assert judgement.verdict(SUMMARY) is Verdict.NOT_DUE
    assert judgement.verdict(ROLLING) is Verdict.NOT_DUE
    assert judgement.complete


def test_a_game_that_never_ends_keeps_its_date_open_for_four_days_at_most() -> None:
    never = tip("2030-01-01T00:00")
    calendar = {day: Day(5, 4, None, never) for day in days_between(date(2024, 1, 10), date(2024, 1, 20))}
    columns = {
        "games": {day: whole(version=7) for day in calendar},
        "summary": {day: Seen(10, 0) for day in calendar},
    }
    judgement = court(columns, calendar=calendar)
    open_days = [day for day in calendar if judgement.verdict(Target("summary", day)) is Verdict.NOT_DUE]
    assert open_days == list(days_between(date(2024, 1, 16), date(2024, 1, 20)))


@pytest.mark.parametrize(
    ("now", "today"),
    [
        ("2024-01-10T04:59:59Z", "2024-01-09"),
        ("2024-01-10T05:00:00Z", "2024-01-10"),
        ("2024-07-10T03:59:59Z", "2024-07-09"),
        ("2024-07-10T04:00:00Z", "2024-07-10"),
        ("2024-03-10T04:59:59Z", "2024-03-09"),
        ("2024-03-11T03:59:59Z", "2024-03-10"),  # that day has 23 hours
        ("2024-11-03T04:00:00Z", "2024-11-03"),
        ("2024-11-04T04:59:59Z", "2024-11-03"),  # and that one 25
        ("2024-02-29T12:00:00Z", "2024-02-29"),
        ("2025-01-01T04:59:59Z", "2024-12-31"),
    ],
)
def test_today_is_the_date_in_the_pipelines_zone(now: str, today: str) -> None:
    assert civil_today(declare(NBA), datetime.fromisoformat(now)) == date.fromisoformat(today)


@pytest.mark.parametrize(
    ("applies_to", "first", "last"),
    [("historical", 1, 19), ("upcoming", 20, 21), ("all", 1, 21)],
)
def test_a_processor_is_judged_on_the_dates_that_are_its_business(applies_to: str, first: int, last: int) -> None:
    only = {"games": {"run": "none", "applies_to": applies_to}}
    pipeline = replace(declare(only), horizon_days=1)
    observation = Observation(FIRST, {"games": [None] * MONTH}, [None] * MONTH)
    judgement = judge(pipeline, observation, Policy(), Scope(FIRST, FIRST + timedelta(days=MONTH - 1)), NOW)
    judged = [day for day in days_between(FIRST, judgement.scope.last) if judgement.verdict(Target("games", day))]
    assert judged == list(days_between(date(2024, 1, first), date(2024, 1, last)))


@pytest.mark.parametrize(
    ("day", "verdict"),
    [
        ("2023-06-12", Verdict.MISSING),  # the last game of the season before: no first days
        ("2023-10-24", Verdict.BOOTSTRAP),  # opening night
        ("2023-11-06", Verdict.BOOTSTRAP),  # day 13
        ("2023-11-07", Verdict.MISSING),
    ],
)
def test_the_first_days_of_a_season_are_counted_from_its_own_opening(day: str, verdict: Verdict) -> None:
    that = date.fromisoformat(day)
    opening = date(2023, 10, 24) if that >= date(2023, 10, 1) else date(2022, 10, 18)
    columns = {"summary": {that: whole(inputs=0)}, "rolling": {that: Seen(10, 0)}}
    judgement = court(columns, calendar={that: Day(1, 1, opening)}, first=that, days=1)
    assert judgement.verdict(Target("rolling", that)) is verdict


def test_rows_inside_the_bootstrap_are_judged_like_any_others() -> None:
    columns = {"summary": {DAY: whole(version=5, inputs=0)}, "rolling": {DAY: Seen(10, 3, 3, inputs=5)}}
    assert court(columns, calendar={DAY: Day(5, 5, DAY)}).verdict(ROLLING) is Verdict.PARTIAL


# -- what the ledger adds -------------------------------------------------------------------------------------------


def known(history: History, seen: Seen | None = None, **more: Any) -> Judgement:
    return summary_day(seen or Seen(10, 0), ledger=Ledger({SUMMARY: history}), **more)


def test_a_claimed_target_is_in_flight_until_its_lease_ends() -> None:
    assert known(History(1, lease_until=NOW + timedelta(seconds=1))).verdict(SUMMARY) is Verdict.IN_FLIGHT
    assert known(History(1, lease_until=NOW)).verdict(SUMMARY) is Verdict.MISSING


def test_a_claim_does_not_hide_that_the_data_is_there() -> None:
    claimed = History(1, lease_until=NOW + timedelta(minutes=5))
    assert known(claimed, whole(inputs=7)).verdict(SUMMARY) is Verdict.COMPLETE


def test_nothing_is_built_on_what_another_run_is_rewriting() -> None:
    claimed = Ledger({Target("summary", DAY - timedelta(days=1)): History(1, lease_until=NOW + timedelta(minutes=5))})
    columns = {
        "games": {d: whole(version=7) for d in (DAY - timedelta(days=1), DAY)},
        "summary": {DAY - timedelta(days=1): Seen(10, 10, 10, suspect=1, inputs=7), DAY: whole(inputs=7)},
        "rolling": {DAY: Seen(10, 0)},
    }
    assert court(columns, ledger=claimed).verdict(ROLLING) is Verdict.BLOCKED
    assert court(columns).verdict(ROLLING) is Verdict.MISSING


@pytest.mark.parametrize(
    ("history", "verdict"),
    [
        (History(2, 2, inputs=7), Verdict.MISSING),
        (History(3, 3, inputs=7), Verdict.EXHAUSTED),
        (History(3, 3, inputs=8), Verdict.MISSING),  # something else is there to be read: a new reason to try
        (History(11, 0, inputs=7), Verdict.MISSING),
        (History(12, 0, inputs=7), Verdict.EXHAUSTED),  # killed runs leave no outcome
        (History(14, 2, inputs=7), Verdict.EXHAUSTED),
        (History(13, 2, inputs=7), Verdict.MISSING),
    ],
)
def test_the_retry_budget_is_spent_by_failures_and_by_runs_without_an_outcome(
    history: History, verdict: Verdict
) -> None:
    assert known(history).verdict(SUMMARY) is verdict


def test_an_exhausted_target_says_what_was_tried_and_the_last_error() -> None:
    gap = gap_of(known(History(3, 3, inputs=7, last_error="division by zero")), "summary")
    assert "3 attempts" in gap.detail
    assert "division by zero" in gap.detail


def test_force_gives_an_exhausted_target_another_try() -> None:
    spent = History(9, 9, inputs=7)
    assert known(spent, policy=Policy(force=True)).verdict(SUMMARY) is Verdict.MISSING


def test_a_target_whose_data_landed_is_complete_whatever_its_attempts_were() -> None:
    assert known(History(9, 9, inputs=7), whole(inputs=7)).verdict(SUMMARY) is Verdict.COMPLETE


def word(**more: Any) -> Acknowledged:
    return Acknowledged("summary", DAY, DAY, "the arena lost the box score", "ana", **more)


@pytest.mark.parametrize(
    ("given_up", "verdict"),
    [
        (word(), Verdict.ACKNOWLEDGED),
        (word(expires=date(2024, 1, 20)), Verdict.ACKNOWLEDGED),
        (word(expires=date(2024, 1, 19)), Verdict.MISSING),
        (word(since=datetime.fromtimestamp(LOADED / 1e6, UTC)), Verdict.ACKNOWLEDGED),
        (word(since=datetime.fromtimestamp(LOADED / 1e6, UTC) - timedelta(seconds=1)), Verdict.MISSING),
        (word()._replace(processor="rolling"), Verdict.MISSING),
        (word()._replace(first=DAY + timedelta(days=1), last=DAY + timedelta(days=9)), Verdict.MISSING),
    ],
    ids=["for ever", "on its last day", "expired", "source is older", "source came back", "other", "other days"],
)
def test_a_gap_that_was_given_up_is_left_alone_until_it_expires_or_its_source_reappears(
    given_up: Acknowledged, verdict: Verdict
) -> None:
    assert summary_day(Seen(10, 0), ledger=Ledger(acknowledged=[given_up])).verdict(SUMMARY) is verdict


def test_others_build_on_what_was_given_up() -> None:
    columns = {"games": {DAY: whole(version=7)}, "summary": {DAY: Seen(10, 0)}, "rolling": {DAY: Seen(10, 0)}}
    assert court(columns, ledger=Ledger(acknowledged=[word()])).verdict(ROLLING) is Verdict.MISSING


def test_a_given_up_gap_does_not_hide_data_that_is_there() -> None:
    judgement = summary_day(whole(inputs=7), ledger=Ledger(acknowledged=[word()]))
    assert judgement.verdict(SUMMARY) is Verdict.COMPLETE


# -- evidence -------------------------------------------------------------------------------------------------------


def test_the_age_of_a_gap_counts_from_its_newest_upstream() -> None:
    newest = LOADED + 3_600_000_000
    columns = {
        "games": {DAY: whole(version=7)},
        "summary": {DAY - timedelta(days=1): whole(inputs=0, changed_at=newest), DAY: whole(inputs=7)},
        "rolling": {DAY: Seen(10, 0)},
    }
    gap = gap_of(court(columns), "rolling")
    assert gap.fillable_since == datetime.fromtimestamp(newest / 1e6, UTC)
    assert gap.age(NOW) == NOW - datetime.fromtimestamp(newest / 1e6, UTC)


def test_a_loss_of_what_was_complete_is_new_however_old_the_data() -> None:
    """Nobody knows since when it is gone; the age limit is for gaps that stood open."""
    gap = gap_of(known(History(last_complete=NOW - timedelta(days=400))), "summary")
    assert gap.age(NOW) == timedelta(0)


def test_the_age_of_a_source_counts_from_the_end_of_its_day_in_the_pipelines_zone() -> None:
    source = {
        "feed": {"run": "none"},
        "sources": {
            "run": "none",
            "expect": {"keys_of": "feed"},
            "upstream": {"feed": {"own_day": True, "version": False}},
        },
    }
    columns = {"feed": {DAY: whole(changed_at=0)}, "sources": {DAY: Seen(10, 0)}}
    gap = gap_of(court(columns, processors=source), "sources")
    assert gap.fillable_since == datetime(2024, 1, 6, 5, tzinfo=UTC)


def test_a_gap_keeps_its_id_whatever_its_verdict() -> None:
    missing = gap_of(summary_day(Seen(10, 0)), "summary")
    partial = gap_of(summary_day(Seen(10, 5, 5, inputs=7)), "summary")
    assert missing.verdict is not partial.verdict
    assert missing.id == partial.id == gap_id(SUMMARY) != gap_id(ROLLING)
    assert len(missing.id) == 12


def test_gaps_are_listed_for_the_scope_only_but_judged_with_what_they_read() -> None:
    columns = {"games": {DAY: whole()}, "summary": {DAY: Seen(10, 0)}}
    judgement = court(columns, scope=Scope(FIRST, FIRST + timedelta(days=30), frozenset({"rolling"})))
    assert [gap.target for gap in judgement.gaps] == [ROLLING]
    assert judgement.counts()[Verdict.BLOCKED] == 1
    named = court(columns, scope=Scope(FIRST, FIRST + timedelta(days=30), dates=frozenset({FIRST})))
    assert not named.gaps
    assert named.counts() == {Verdict.OFF_DAY: 3}


# -- properties -----------------------------------------------------------------------------------------------------

SEEN = st.one_of(
    st.none(),
    st.builds(
        lambda expected, share, extra, bad, version, inputs, changed: Seen(
            expected,
            expected * share // 4,
            expected * share // 4 + extra,
            extra,
            bad == 1,
            bad == 2,
            bad == 3,
            version,
            inputs,
            changed,
        ),
        st.integers(0, 5),
        st.integers(0, 4),
        st.integers(0, 1),
        st.integers(0, 6),
        st.integers(0, 7),
        st.one_of(st.none(), st.integers(0, 7)),
        st.integers(0, LOADED),
    ),
)
DAYS = st.one_of(st.none(), st.builds(Day, st.integers(0, 3), st.integers(0, 3), st.just(FIRST), st.none()))
OWN_DAY = st.sampled_from(["always", "never", "historical", "upcoming"])


@st.composite
def observed(draw: st.DrawFn) -> tuple[Pipeline, Observation, Scope, datetime]:
    """Anything that a query could return, for any small pipeline and any moment."""
    names = [f"p{i}" for i in range(draw(st.integers(2, 4)))]
    processors: dict[str, Mapping[str, Any]] = {}
    for number, name in enumerate(names):
        upstream = (
            {
                other: {
                    "own_day": draw(OWN_DAY),
                    "lookback_days": draw(st.integers(0, 9)),
                    "version": draw(st.booleans()),
                }
                for other in draw(st.sets(st.sampled_from(names[:number]), max_size=3))
            }
            if number
            else {}
        )
        processors[name] = {
            "run": "sql" if upstream else "none",
            "upstream": upstream,
            "optional": draw(st.booleans()),
            "due": draw(st.sampled_from(["day", "when_over"])),
            "applies_to": draw(st.sampled_from(["all", "historical", "upcoming"])),
            "bootstrap_days": draw(st.sampled_from([0, 3])),
            "restate": draw(st.sampled_from(["on_upstream_change", "never"])),
        }
    length = draw(st.integers(1, 12))
    columns = {name: draw(st.lists(SEEN, min_size=length, max_size=length)) for name in names}
    calendar = draw(st.lists(DAYS, min_size=length, max_size=length))
    history = {
        Target(name, FIRST + timedelta(days=draw(st.integers(0, length - 1)))): History(
            draw(st.integers(0, 13)),
            draw(st.integers(0, 4)),
            draw(st.integers(0, 7)),
            lease_until=draw(st.sampled_from([None, NOW - timedelta(days=1), NOW + timedelta(days=99)])),
        )
        for name in names
    }
    low, high = sorted((draw(st.integers(0, length - 1)), draw(st.integers(0, length - 1))))
    chosen = frozenset(draw(st.sets(st.sampled_from(names))))
    scope = Scope(FIRST + timedelta(days=low), FIRST + timedelta(days=high), chosen)
    now = datetime(2024, 1, 1, 12, tzinfo=UTC) + timedelta(hours=draw(st.integers(-72, 400)))
    pipeline = replace(declare(processors), horizon_days=draw(st.integers(0, 3)))
    return pipeline, Observation(FIRST, columns, calendar, Ledger(history)), scope, now


@settings(deadline=None)
@given(observed())
def test_the_fingerprint_of_a_window_is_the_xor_of_everything_in_it(
    case: tuple[Pipeline, Observation, Scope, datetime],
) -> None:
    pipeline, observation, scope, now = case
    judgement = judge(pipeline, observation, Policy(), scope, now)
    today = civil_today(pipeline, now)
    for p in pipeline.processors.values():
        for i, day in enumerate(days_between(observation.first, observation.last)):
            read: list[Seen | None] = []
            for name, edge in p.upstream.items():
                column: Sequence[Seen | None] = observation.columns[name]
                own = edge.own_day == "always" or edge.own_day == ("historical" if day < today else "upcoming")
                if edge.version:
                    read += column[max(i - edge.lookback_days, 0) : i] + ([column[i]] if own else [])
            assert judgement.inputs[p.name][i] == reduce(xor, (seen.version for seen in read if seen), 0)
            assert judgement.inputs_of(Target(p.name, day)) == judgement.inputs[p.name][i]


@settings(deadline=None, max_examples=200)
@given(observed())
def test_every_target_in_scope_has_exactly_one_verdict_and_every_gap_one_entry(
    case: tuple[Pipeline, Observation, Scope, datetime],
) -> None:
    pipeline, observation, scope, now = case
    judgement = judge(pipeline, observation, Policy(), scope, now)
    today = civil_today(pipeline, now)
    targets = [
        Target(p.name, day)
        for p in pipeline.processors.values()
        for day in days_between(observation.first, observation.last)
        if scope.holds(Target(p.name, day))
        and p.applies(day < today)
        and day <= today + timedelta(days=pipeline.horizon_days)
    ]
    verdicts = {target: judgement.verdict(target) for target in targets}
    assert None not in verdicts.values()
    assert sum(judgement.counts().values()) == len(targets)
    for listed, wanted in ((judgement.gaps, IS_A_GAP), (judgement.phantoms, {Verdict.PHANTOM})):
        assert sorted(gap.target for gap in listed) == sorted(t for t, v in verdicts.items() if v in wanted)
    for gap in judgement.gaps:
        assert gap.verdict is verdicts[gap.target]
        assert (gap.fillable_since is None) == (gap.verdict is Verdict.BLOCKED)


@settings(deadline=None, max_examples=50)
@given(observed())
def test_judging_twice_says_the_same(case: tuple[Pipeline, Observation, Scope, datetime]) -> None:
    pipeline, observation, scope, now = case
    assert judge(pipeline, observation, Policy(), scope, now) == judge(pipeline, observation, Policy(), scope, now)
