"""What reports make of a look and of a run history: seasons, recent days, freshness, comparison, causes, trend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from gapless.declare.pipeline import DEFAULT_FILE, Pipeline, load_pipeline
from gapless.engine import Look
from gapless.errors import BadPipeline
from gapless.judge.verdicts import judge
from gapless.model import (
    Acknowledged,
    Day,
    History,
    Ledger,
    Plan,
    Policy,
    Scope,
    Seen,
    Target,
    Verdict,
)
from gapless.questions.reports.comparison import Confirmation, compare, resolved, runs_of_days, says
from gapless.questions.reports.coverage import Coverage, coverage, typical_keys
from gapless.questions.reports.failures import cause_of, causes, direction, half, halves, newest_between
from gapless.questions.reports.freshness import Freshness, TableStanding, freshness
from gapless.questions.reports.periods import label_of, periods
from gapless.questions.reports.recent import last_eventful, recent
from gapless.questions.reports.run_history import DayOfRuns, Failure, RunHistory, Tracked, Tracker, Word
from tests.support.observations import sparse
from tests.twin import declare
from tests.unit.test_pipeline import TINY, build, raw_shop

NOW = datetime(2024, 1, 20, 17, tzinfo=UTC)
FIRST = date(2024, 1, 1)
OPENING = date(2023, 10, 24)
PLAYED = Day(scheduled=5, final=5, opening=OPENING)
WRITTEN = 1_704_500_000_000_000  # 2024-01-06 00:13:20 UTC

PROCESSORS: Mapping[str, Mapping[str, Any]] = {
    "lines": {"run": "none", "phase": 2},
    "games": {"run": "none", "phase": 2, "expect": {"query": "expect_games"}},
    "summary": {"phase": 3, "alias": "SUM", "expect": {"keys_of": "games"}, "upstream": {"games": {"own_day": True}}},
    "cache": {"phase": 4, "lag_days": 1, "expect": {"keys_of": "summary"}, "upstream": {"summary": {"own_day": True}}},
}


def whole(keys: int = 10) -> Seen:
    return Seen(keys, keys, keys, version=1, inputs=0, changed_at=WRITTEN)


def nothing(keys: int = 10) -> Seen:
    return Seen(keys, 0)


def look_at(
    columns: Mapping[str, Mapping[date, Seen]],
    *,
    days: int = 20,
    first: date = FIRST,
    calendar: Mapping[date, Day] | None = None,
    ledger: Ledger | None = None,
    now: datetime = NOW,
    scope: Scope | None = None,
    pipeline: Pipeline | None = None,
) -> tuple[Pipeline, Look]:
    """A look at sparse columns: every version is 0, so nothing is stale."""
    pipeline = pipeline or declare(PROCESSORS, calendar="calendar")
    last = first + timedelta(days=days - 1)
    fresh = {name: {day: seen._replace(version=0) for day, seen in given.items()} for name, given in columns.items()}
    observation = sparse(pipeline.processors, fresh, first, last, calendar=calendar, ledger=ledger)
    scope = scope or Scope(first, last)
    return pipeline, Look(observation, judge(pipeline, observation, Policy(), scope, now), Plan(), now)


def filled(*days: date, names: Sequence[str] = ("games", "summary", "cache"), keys: int = 10) -> dict[str, Any]:
    return {name: {day: whole(keys) for day in days} for name in names}


def day(number: int) -> date:
    return date(2024, 1, number)


# ------------------------------------------------------------------------------------------------ the declaration


def test_the_daily_cache_may_be_one_day_behind() -> None:
    processors = load_pipeline(DEFAULT_FILE).processors
    assert {name: p.lag_days for name, p in processors.items() if p.lag_days} == {"player_daily_cache": 1}


@pytest.mark.parametrize("value", [-1, 31, "soon"])
def test_a_lag_that_makes_no_sense_is_named(value: Any) -> None:
    raw = raw_shop()
    raw["processors"]["revenue"]["lag_days"] = value
    with pytest.raises(BadPipeline, match="processor 'revenue': lag_days"):
        build(raw, TINY.parent / "sql")


# ----------------------------------------------------------------------------------------------------- coverage


def test_coverage_is_rounded_down_and_never_100_while_a_key_is_missing_or_a_gap_open() -> None:
    assert Coverage(100, 100, 1, 0).pct == 100.0
    assert Coverage(100_000, 99_999, 5, 0).pct == 99.9
    assert Coverage(100, 100, 2, 1).pct == 99.9
    assert Coverage(187, 1, 1, 1).pct == 0.5
    assert Coverage().pct is None
    assert Coverage(0, 0, 1, 1).pct == 0.0


def test_a_gap_behind_a_hole_counts_as_empty_although_nothing_is_expected_of_it_yet() -> None:
    """Else phase 4 would look complete because phase 3 is missing."""
    columns = filled(day(3), day(4), day(5))
    columns["summary"][day(5)] = nothing()
    del columns["cache"][day(5)]
    pipeline, look = look_at(columns, calendar={day(n): PLAYED for n in (3, 4, 5)})
    assert look.judgement.verdict(Target("cache", day(5))) is Verdict.BLOCKED
    found = coverage(pipeline, look, ["cache"], range(20), typical_keys(look))
    assert found == Coverage(expected=30, covered=20, targets=3, gaps=1)
    assert found.pct == 66.6


def test_sources_of_which_nothing_is_expected_are_no_part_of_coverage() -> None:
    pipeline, look = look_at(filled(day(3), names=("lines",)))
    assert coverage(pipeline, look, ["lines"], range(20), typical_keys(look)) == Coverage()


# ------------------------------------------------------------------------------------------------------ seasons


@pytest.mark.parametrize(
    ("opening", "last", "label"),
    [
        (date(2021, 10, 19), date(2022, 6, 16), "2021-22"),
        (date(2024, 10, 22), date(2024, 11, 2), "2024-25"),  # it has only begun
        (date(1999, 11, 2), date(2000, 6, 19), "1999-00"),
        (date(2024, 3, 28), date(2024, 9, 29), "2024"),  # within one year
        (date(2024, 3, 28), date(2024, 4, 1), "2024"),
    ],
)
def test_a_season_is_labelled_by_its_opening_and_its_last_date(opening: date, last: date, label: str) -> None:
    assert label_of(opening, last, 150) == label


def test_a_season_has_dates_units_coverage_per_phase_and_health_per_processor() -> None:
    columns = filled(day(3), day(4))
    columns["summary"][day(4)] = Seen(10, 5, 5, inputs=0, changed_at=WRITTEN)
    columns["lines"] = {day(3): whole(7)}
    pipeline, look = look_at(columns, calendar={day(3): PLAYED, day(4): PLAYED})
    (season,) = periods(pipeline, look)
    assert (season.label, season.first, season.last) == ("2023-24", day(3), day(4))
    assert (season.dates, season.units, season.unfinished) == (2, 10, 0)
    assert {phase: layer.pct for phase, layer in season.layers.items()} == {2: 100.0, 3: 75.0, 4: 99.9}
    assert season.health["summary"] == {Verdict.COMPLETE: 1, Verdict.PARTIAL: 1, Verdict.OFF_DAY: 18}
    assert season.health["cache"][Verdict.BLOCKED] == 1
    assert season.filled == {"lines": 1}


def test_the_first_days_of_a_season_are_not_held_against_its_coverage() -> None:
    processors = {**PROCESSORS, "cache": {**PROCESSORS["cache"], "bootstrap_days": 14}}
    pipeline = declare(processors, calendar="calendar")
    opening = Day(5, 5, day(3))
    columns = filled(day(3), day(18))
    columns["cache"][day(3)] = nothing()
    _, look = look_at(columns, calendar={day(3): opening, day(18): opening}, pipeline=pipeline)
    (season,) = periods(pipeline, look)
    assert season.health["cache"][Verdict.BOOTSTRAP] == 1
    assert season.layers[4] == Coverage(10, 10, 1, 0)


def test_dates_between_two_seasons_belong_to_the_first_and_each_opening_begins_another() -> None:
    other = Day(3, 3, day(15))
    pipeline, look = look_at(filled(day(3), day(15)), calendar={day(3): PLAYED, day(15): other})
    first, second = periods(pipeline, look)
    assert (first.first, first.last, second.first) == (day(3), day(3), day(15))
    assert first.health["cache"].total() == 14  # off days before and after it, up to the next opening
    assert sum(season.health["cache"].total() for season in (first, second)) == 20


def test_units_of_past_dates_that_are_not_over_are_counted() -> None:
    calendar = {day(3): Day(5, 3, OPENING), day(20): Day(4, 0, OPENING)}
    pipeline, look = look_at(filled(day(3)), calendar=calendar)
    (season,) = periods(pipeline, look)
    assert (season.dates, season.units, season.unfinished) == (1, 3, 2)  # today's games are not


def test_a_pipeline_without_a_calendar_is_one_season() -> None:
    pipeline, look = look_at(filled(day(3), day(9)), pipeline=declare(PROCESSORS))
    (season,) = periods(pipeline, look)
    assert (season.label, season.dates, season.units) == ("2024-01-03 to 2024-01-09", 2, None)


def test_what_a_person_gave_up_is_no_gap_and_still_not_there() -> None:
    columns = filled(day(3), day(4))
    columns["cache"][day(3)] = nothing()
    words = (Acknowledged("cache", day(3), day(4), "inputs lost", "me"),)
    calendar = {day(3): PLAYED, day(4): PLAYED}
    pipeline, look = look_at(columns, calendar=calendar, ledger=Ledger(acknowledged=words))
    (season,) = periods(pipeline, look)
    assert season.health["cache"][Verdict.ACKNOWLEDGED] == 1
    assert (season.layers[4].pct, season.layers[4].gaps) == (50.0, 0)


# ------------------------------------------------------------------------------------------------------- recent


def test_recent_days_are_complete_in_progress_off_or_have_so_many_gaps() -> None:
    processors = {**PROCESSORS, "games": {**PROCESSORS["games"], "due": "when_over"}}
    pipeline = declare(processors, calendar="calendar")
    columns = filled(day(17), day(19))
    columns["summary"][day(19)] = nothing()
    del columns["cache"][day(19)]
    tipoff = datetime(2024, 1, 20, 23, tzinfo=UTC)
    calendar = {day(17): PLAYED, day(19): PLAYED, day(20): Day(3, 0, OPENING, tipoff)}
    _, look = look_at(columns, calendar=calendar, pipeline=pipeline, scope=Scope(day(17), day(20)))
    found = recent(pipeline, look)
    assert [(each.day, each.status) for each in found] == [
        (day(17), "complete"), (day(18), "off day"), (day(19), "2 gaps"), (day(20), "in progress"),
    ]  # fmt: skip
    assert [(each.scheduled, each.final) for each in found] == [(5, 5), (0, 0), (5, 5), (3, 0)]
    assert found[2].layers[3].pct == 0.0
    assert found[2].targets["summary"] == (Verdict.MISSING, nothing())
    assert last_eventful(look) == day(19)


def test_days_before_everything_that_is_known_are_off_days() -> None:
    pipeline, look = look_at({}, first=day(20), days=1, scope=Scope(day(14), day(20)))
    assert [each.status for each in recent(pipeline, look)] == ["off day"] * 7
    assert last_eventful(look) is None


# ---------------------------------------------------------------------------------------------------- freshness


def table(name: str, columns: Mapping[str, Mapping[date, Seen]], **options: Any) -> Freshness:
    calendar = dict.fromkeys(columns["games"], PLAYED)
    pipeline, look = look_at(columns, calendar=calendar, **options)
    return next(each for each in freshness(pipeline, look) if each.processor == name)


def test_a_table_that_holds_the_latest_expected_date_is_current() -> None:
    found = table("summary", filled(day(3), day(19)))
    assert (found.latest, found.complete, found.expected, found.behind) == (day(19), day(19), day(19), 0)
    assert found.standing is TableStanding.CURRENT
    assert found.written == datetime(2024, 1, 6, 0, 13, 20, tzinfo=UTC)


def test_one_day_behind_is_normal_for_a_table_with_that_lag_and_not_for_others() -> None:
    columns = filled(day(18), day(19))
    columns["cache"][day(19)] = nothing()
    assert (found := table("cache", columns)).standing is TableStanding.NORMAL_LAG
    assert (found.complete, found.expected, found.behind, found.lag) == (day(18), day(19), 1, 1)
    columns = filled(day(18), day(19))
    columns["summary"][day(19)] = nothing()
    assert table("summary", columns).standing is TableStanding.BEHIND


def test_a_lag_is_a_matter_of_time_not_of_how_many_dates_had_games() -> None:
    """One missing date is normal on the morning after, and not a week later; a pause before it changes nothing."""
    columns = filled(day(5), day(19))
    columns["cache"][day(19)] = nothing()
    assert (found := table("cache", columns)).standing is TableStanding.NORMAL_LAG
    assert found.behind == 14
    later = datetime(2024, 1, 26, 17, tzinfo=UTC)
    assert table("cache", columns, now=later).standing is TableStanding.BEHIND


def test_a_latest_date_that_is_partial_does_not_count_as_there() -> None:
    columns = filled(day(18), day(19))
    columns["summary"][day(19)] = Seen(187, 1, 1, inputs=0, changed_at=WRITTEN)
    found = table("summary", columns)
    assert (found.latest, found.complete, found.standing) == (day(19), day(18), TableStanding.BEHIND)


def test_an_older_hole_is_no_matter_of_freshness_and_a_source_without_a_rule_is_never_behind() -> None:
    columns = filled(day(3), day(18), day(19))
    columns["summary"][day(3)] = nothing()
    assert table("summary", columns).standing is TableStanding.CURRENT
    columns["lines"] = {day(3): whole()}
    found = table("lines", columns)
    assert (found.latest, found.expected, found.standing) == (day(3), None, TableStanding.NO_RULE)


def test_a_table_that_never_held_anything_is_behind_since_the_first_date_that_it_lacks() -> None:
    columns = filled(day(10), day(12))
    columns["summary"] = {day(10): nothing(), day(12): nothing()}
    found = table("summary", columns)
    assert (found.complete, found.expected, found.behind, found.standing) == (None, day(12), 3, TableStanding.BEHIND)


# --------------------------------------------------------------------------------------------------- comparison


def told(name: str, number: int, records: int | None = 0, word: Word = Word.SUCCESS, **fields: Any) -> Tracked:
    ended = fields.pop("ended_at", datetime(2024, 1, 6, 1, tzinfo=UTC))
    return Tracked(fields.pop("teller", Tracker.TRACKER), name, day(number), word, records, ended, **fields)


def compared(columns: Mapping[str, Mapping[date, Seen]], *words: Tracked, ledger: Ledger | None = None) -> Any:
    calendar = dict.fromkeys(columns.get("games", {}), PLAYED)
    pipeline, look = look_at(columns, calendar=calendar, ledger=ledger)
    return compare(pipeline, look, RunHistory(words))


@pytest.mark.parametrize(
    ("word", "seen", "finding"),
    [
        # history says nothing came, and the table holds the date
        (told("summary", 5), whole(), Confirmation.FAULT),
        (told("summary", 5, None, Word.FAILED), whole(), Confirmation.FAULT),
        (told("summary", 5, None, Word.NOTHING), whole(), Confirmation.FAULT),
        (told("summary", 5, None, Word.NEVER_ENDED, never_ended=1), whole(), Confirmation.FAULT),
        # the table lacks it, whatever is said
        (told("summary", 5), nothing(), Confirmation.LOSS),
        (told("summary", 5, 348), nothing(), Confirmation.LOSS),
        (told("summary", 5, 1), Seen(187, 1, 1), Confirmation.LOSS),
        # both say the same
        (told("summary", 5, 10), whole(), Confirmation.AGREES),
        (told("summary", 5, None), whole(), Confirmation.AGREES),
        (told("summary", 5, 7, Word.PARTIAL), whole(), Confirmation.AGREES),
        (told("summary", 5, None, Word.NEVER_ENDED, running=1), whole(), Confirmation.AGREES),
        # nothing is expected and nothing there
        (told("summary", 5), None, Confirmation.AGREES),
        (told("summary", 5, 348), None, Confirmation.UNCONFIRMED),
        # of a source without a rule, the tracker's count is all there is to go by
        (told("lines", 5, 412), None, Confirmation.LOSS),
        (told("lines", 5), None, Confirmation.AGREES),
    ],
)
def test_a_history_is_held_against_the_table(word: Tracked, seen: Seen | None, finding: Confirmation) -> None:
    columns = filled(day(5), names=("games",)) if seen else {}
    if seen:
        columns["summary"] = {day(5): seen}
    found = compared(columns, word)
    assert found.findings[Tracker.TRACKER] == {finding: 1}
    assert bool(found.faults) == (finding is Confirmation.FAULT)
    assert {loss.gap.target for loss in found.losses if loss.gap.target.processor == word.processor} == (
        {Target(word.processor, day(5))} if finding is Confirmation.LOSS else set()
    )


def test_the_inventory_lists_what_no_history_mentions_and_nothing_that_waits() -> None:
    columns = filled(day(5), names=("games",))
    columns["summary"] = {day(5): nothing()}
    found = compared(columns, told("cache", 5))
    assert [(loss.gap.target, says(loss.says)) for loss in found.losses] == [(Target("summary", day(5)), "no run")]
    assert found.waiting == {"cache": 1}
    assert found.findings[Tracker.TRACKER] == {Confirmation.WAITING: 1}


def test_a_date_that_holds_its_keys_and_has_to_be_made_anew_is_no_loss() -> None:
    columns = filled(day(5))
    columns["summary"][day(5)] = whole()._replace(suspect=3)
    found = compared(columns, told("summary", 5, 10))
    assert (found.losses, found.spoilt) == ([], {"summary": 1, "cache": 1})


def test_rows_that_came_after_the_run_are_told_apart_from_rows_that_were_there() -> None:
    early, late = datetime(2024, 1, 5, tzinfo=UTC), datetime(2024, 1, 7, tzinfo=UTC)
    found = compared(filled(day(5)), told("summary", 5, ended_at=early), told("cache", 5, ended_at=late))
    assert {fault.target.processor: fault.written_after for fault in found.faults} == {"summary": True, "cache": False}
    assert {fault.units for fault in found.faults} == {5}


def test_what_a_person_gave_up_is_no_loss() -> None:
    columns = filled(day(5))
    columns["cache"][day(5)] = nothing()
    ledger = Ledger(acknowledged=(Acknowledged("cache", day(5), day(5), "lost", "me"),))
    found = compared(columns, told("cache", 5), ledger=ledger)
    assert (found.losses, found.faults) == ([], [])


def test_runs_are_counted_per_processor_and_names_that_nobody_declared_apart() -> None:
    found = compared(
        filled(day(5)),
        told("summary", 5, 10, runs=3, never_ended=1, false_failures=1),
        told("SummaryProcessor", 6, runs=2, empty=2),
        told("elsewhere", 5, runs=4),
    )
    counted = found.processors["summary"]
    assert (counted.runs, counted.never_ended, counted.false_failures, counted.empty) == (5, 1, 1, 2)
    assert found.unknown == {"elsewhere": 4}


def test_a_claim_whose_run_died_is_told() -> None:
    gone = History(attempts=1, is_open=True, claim=3)
    alive = History(attempts=1, is_open=True, claim=4, lease_until=NOW + timedelta(minutes=5))
    ledger = Ledger(history={Target("summary", day(5)): gone, Target("cache", day(5)): alive})
    assert compared(filled(day(5)), ledger=ledger).abandoned == [Target("summary", day(5))]


def test_losses_of_close_dates_of_which_the_same_is_said_are_one_group() -> None:
    dates = [day(n) for n in (3, 4, 6, 15)]
    columns = filled(*dates, names=("games",))
    columns["summary"] = {each: nothing() for each in dates}
    found = compared(columns, told("summary", 4, 12))
    groups = [[loss.gap.target.day for loss in group] for group in runs_of_days(found.losses)]
    assert groups == [[day(3), day(6)], [day(4)], [day(15)]]


@pytest.mark.parametrize(
    ("name", "processor"),
    [
        ("player_composite_factors", "player_composite_factors"),
        ("PCF", "player_composite_factors"),
        ("pcf", "player_composite_factors"),
        ("PlayerCompositeFactorsProcessor", "player_composite_factors"),
        ("player_composite_factors_processor", "player_composite_factors"),
        ("MLFeatureStoreV2Processor", "ml_feature_store_v2"),
        ("bdl_player_boxscores", "boxscores"),
        ("BdlPlayerBoxscoresProcessor", "boxscores"),
        ("nba_raw.nbac_schedule", "schedule"),
        ("NbacGamebookProcessor", None),
        ("", None),
    ],
)
def test_a_processor_is_known_under_the_names_that_trackers_give_it(name: str, processor: str | None) -> None:
    found = resolved(load_pipeline(DEFAULT_FILE), name)
    assert (found.name if found else None) == processor


# ---------------------------------------------------------------------------------------------- causes and trend


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("1 of 187 expected keys (0.5 %), below the gate of 90 %", "N of N expected keys (N %), below the gate of N %"),
        ("no rows for 2023-02-23", "no rows for DATE"),
        ("since 2026-01-06T19:37:00Z", "since DATE"),
        ("job gapless-stage-3f2b9c1e-77 did not end", "job ID did not end"),
        ("run 26e16cc6180f: Unrecognized name: usage_rat at [12:33]", "run ID: Unrecognized name: usage_rat at [N:N]"),
        ("id 3f2b9c1e-7a54-4d0b-9e61-52c8a7d4e013 is taken", "id ID is taken"),
        ("table ml_feature_store_v2 is away", "table ml_feature_store_v2 is away"),
        ("it failed  \n twice", "it failed twice"),
    ],
)
def test_a_cause_is_a_text_without_dates_numbers_and_ids(text: str, cause: str) -> None:
    assert cause_of(text) == cause


def test_two_dates_and_counts_with_the_same_fault_have_the_same_cause() -> None:
    assert cause_of("12 of 30 rows of 2024-01-05") == cause_of("1,234 of 2,000 rows of 2023-12-31")


def failure(name: str, number: int, text: str, *, permanent: bool = False, is_open: bool = True) -> Failure:
    at = datetime(2024, 1, number, tzinfo=UTC)
    days = frozenset({day(number)})
    return Failure(name, "PROCESSING_ERROR", permanent, text, 2, at, at, days, days if is_open else frozenset())


def test_failures_are_grouped_by_cause_and_permanent_ones_are_others() -> None:
    listed = [
        failure("a", 3, "3 rows are bad"),
        failure("b", 5, "7 rows are bad"),
        failure("a", 4, "4 rows are bad", permanent=True),
        failure("a", 6, "no answer", is_open=False),
    ]
    lacking = {Target("a", day(3)), Target("a", day(4))}
    first, second, third = causes(listed, lacking)
    assert (first.text, first.permanent, first.times, first.processors) == ("N rows are bad", False, 4, ("a", "b"))
    assert (first.first_seen.day, first.last_seen.day, first.example) == (3, 5, "7 rows are bad")
    assert first.open == {Target("a", day(3))}  # b's table holds it by now
    assert (second.permanent, second.resolved) == (True, False)
    assert (third.text, third.resolved) == ("no answer", True)


def test_a_range_is_cut_in_two_and_each_half_has_its_outcomes() -> None:
    early, late = halves(day(1), day(5))
    assert (early, late) == ((day(1), day(2)), (day(3), day(5)))
    days = [
        DayOfRuns(day(1), 1, 8, 1, 1, 90.0),
        DayOfRuns(day(4), 2, 30, 0, 0, 100.0),
        DayOfRuns(day(5), 1, 10, 0, 0, 96.0),
    ]
    before, after = half(days, *early), half(days, *late)
    assert (before.targets, before.failed, before.complete_pct, before.coverage_pct) == (10, 2, 80.0, 90.0)
    assert (after.targets, after.complete_pct, after.coverage_pct) == (40, 100.0, 99.0)
    assert half([], *early).complete_pct is None
    assert newest_between({day(1): 9, day(2): 4}, *early) == 4
    assert newest_between({}, *early) is None


@pytest.mark.parametrize(
    ("before", "after", "more_is_better", "words"),
    [
        (90.0, 99.0, True, "↑ better"),
        (99.0, 90.0, True, "↓ worse"),
        (100, 4, False, "↓ better"),
        (4, 100, False, "↑ worse"),
        (99.99, 100.0, True, "→ level"),
        (None, 5.0, True, "nothing before"),
        (5.0, None, True, "nothing lately"),
        (None, None, True, None),
    ],
)
def test_a_trend_is_an_arrow_with_a_word(
    before: float | None, after: float | None, more_is_better: bool, words: str | None
) -> None:
    assert direction(before, after, more_is_better=more_is_better) == words
