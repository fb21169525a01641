"""The shipped processors on a whole season: what they write does not depend on how they were run."""

from __future__ import annotations

import random
from datetime import date, timedelta

import pytest

from gapless.declare.pipeline import DEFAULT_FILE, load_pipeline
from gapless.execute.workshop import SqlWorkshop, staging_table
from gapless.judge.verdicts import civil_today
from gapless.model import Batch, Target, Verdict, days_between
from gapless.warehouse.fingerprints import row_hash
from gapless.warehouse.names import quoted
from tests.conftest import Part, Season

HISTORICAL = [p.name for p in load_pipeline(DEFAULT_FILE).processors.values() if p.run == "sql" and p.applies(True)]
UPCOMING_ONLY = {"upcoming_player_game_context", "upcoming_team_game_context"}


def staged(season: Season, batch: Batch) -> dict[date, tuple[Part, int]]:
    """Version and inputs of what a processor makes of these dates, without publishing it."""
    p = season.pipeline.processors[batch.processor]
    workshop = SqlWorkshop(season.gapless.warehouse, season.pipeline)
    workshop.stage(batch, civil_today(season.pipeline, season.gapless.clock()))
    try:
        rows = season.rows(
            f"SELECT {p.date_column}, COUNT(*), BIT_XOR({row_hash(p.content)}), MIN(inputs_hash), MAX(inputs_hash) "
            f"FROM {quoted(staging_table(season.pipeline, batch))} GROUP BY 1"
        )
    finally:
        workshop.discard(batch)
    assert all(least == most for _, _, _, least, most in rows)
    return {day: (Part(n, version), inputs) for day, n, version, inputs, _ in rows}


def published_inputs(season: Season, target: Target) -> int:
    p = season.pipeline.processors[target.processor]
    ((inputs,),) = season.rows(
        f"SELECT DISTINCT inputs_hash FROM {quoted(p.table)} WHERE {p.date_column} = @day", day=target.day
    )
    return int(inputs)


@pytest.mark.parametrize("name", HISTORICAL)
def test_a_date_run_alone_gives_the_bytes_that_it_has_in_a_batch(built_season: Season, name: str) -> None:
    """The season was built in batches of up to 400 dates; a date alone, and two far apart, come out the same."""
    chance = random.Random(f"alone:{name}")
    days = sorted(t.day for t in built_season.built if t.processor == name)
    alone = chance.choice(days)
    apart = (chance.choice(days[:30]), chance.choice(days[-30:]))
    for number, chosen in enumerate(((alone,), apart)):
        made = staged(built_season, Batch(name, chosen, 900_000_000, number))
        assert {day: part for day, (part, _) in made.items()} == {
            day: built_season.built[Target(name, day)] for day in chosen
        }
    assert made[apart[1]][1] == published_inputs(built_season, Target(name, apart[1]))


def test_every_game_date_has_every_target_and_the_first_two_weeks_are_expected_to_be_thin(
    built_season: Season,
) -> None:
    season, look = built_season.season, built_season.scan()
    verdicts = {
        (name, day): look.judgement.verdict(Target(name, day)) for name in HISTORICAL for day in season.game_dates
    }
    assert set(verdicts.values()) == {Verdict.COMPLETE, Verdict.BOOTSTRAP}
    early = {day for (_, day), verdict in verdicts.items() if verdict is Verdict.BOOTSTRAP}
    assert max(early) < season.days.opening + timedelta(days=14)
    summary = {day: built_season.built[Target("player_game_summary", day)].rows for day in season.game_dates}
    assert summary == dict(season.players_on)


def test_a_forced_rebuild_of_a_week_writes_it_again_and_changes_nothing(built_season: Season) -> None:
    first = built_season.season.days.in_season(1, 9)
    last = first + timedelta(days=6)
    runs = built_season.runs()
    report = built_season.apply(first, last, force=True)
    assert not report.failed
    assert built_season.differences() == []
    after = built_season.runs()
    rewritten = {target for target in runs if runs[target] != after[target]}
    week = {t for t in built_season.built if first <= t.day <= last and t.processor not in UPCOMING_ONLY}
    # predictions are a record: a forced run finds nothing to add to them
    assert rewritten == {t for t in week if t.processor != "player_prop_predictions"}
    assert {o.target for o in report.outcomes} == week
    assert report.after is not None
    assert report.after.judgement.complete


def test_the_views_that_people_query_have_their_names(built_season: Season) -> None:
    columns = {
        "nba_processing.processing_metadata": "analysis_date, expected_players, actual_players, coverage_pct, status",
        "nba_processing.precompute_failures": "analysis_date, entity_id, failure_category, can_retry",
        "nba_reference.processor_run_history": "data_date, status, records_processed, phase",
    }
    for name, listed in columns.items():
        built_season.rows(f"SELECT {listed} FROM `{name}` LIMIT 1")
    ((dates,),) = built_season.rows(
        "SELECT COUNT(DISTINCT analysis_date) FROM `nba_processing.processing_metadata` "
        "WHERE processor_name = 'player_game_summary' AND status = 'COMPLETE' AND data_source = 'BOXSCORE'"
    )
    assert dates == len(built_season.season.game_dates)


def test_off_days_ask_for_nothing(built_season: Season) -> None:
    days = built_season.season.days
    look = built_season.scan(days.opening, days.regular_end)
    for day in sorted(days.off_days):
        verdicts = {look.judgement.verdict(Target(name, day)) for name in HISTORICAL}
        assert verdicts == {Verdict.OFF_DAY}, day


def test_the_months_before_and_after_a_season_ask_for_nothing(built_season: Season) -> None:
    for first in (date(2022, 7, 1), date(2023, 7, 1)):
        look = built_season.scan(first, first + timedelta(days=60))
        assert set(look.judgement.counts()) == {Verdict.OFF_DAY}
        assert look.plan.size == 0


def test_a_game_that_was_moved_is_expected_on_its_new_date_only(built_season: Season) -> None:
    season = built_season.season
    look = built_season.scan(season.days.in_season(12, 10), season.days.in_season(12, 31))
    for day in days_between(season.days.in_season(12, 10), season.days.in_season(12, 31)):
        calendar = look.observation.calendar[(day - look.observation.first).days]
        games = season.games_on.get(day, 0)
        assert (calendar.scheduled if calendar else 0) == games, day
        box = look.observation.seen(Target("boxscores", day))
        assert (box.expected if box else 0) == games, day
    for day in season.days.postponed_slates:
        assert look.judgement.verdict(Target("boxscores", day)) is Verdict.OFF_DAY
