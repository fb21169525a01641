"""A night in the life of the pipeline: a forecast by day, games in the evening, box scores and grades afterwards.

The season is cut after the afternoon of one day: nothing of that day's games is known, and they are on the schedule.
One of them is called off in the evening.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gapless.declare.settings import read_settings
from gapless.files import RawRows, read
from gapless.files.kinds import declared_kinds
from gapless.local import warehouse as local
from gapless.model import Target, Verdict
from gapless.nba.sample.season import write_season
from gapless.tasks.load import load
from gapless.wiring import connect
from tests.conftest import SEASON, Bench, Clock

pa = pytest.importorskip("pyarrow")
pc = pytest.importorskip("pyarrow.compute")

TODAY, TOMORROW = date(2022, 12, 21), date(2022, 12, 22)
AFTERNOON = datetime(2022, 12, 21, 20, tzinfo=UTC)  # 15:00 in New York
NEXT_MORNING = datetime(2022, 12, 22, 13, tzinfo=UTC)
UPCOMING = ("upcoming_player_game_context", "upcoming_team_game_context")
FORECAST = ("player_composite_factors", "player_daily_cache", "ml_feature_store_v2", "player_prop_predictions")


@dataclass
class Life:
    """The warehouse, what was loaded later, and what the tables held at each stage."""

    bench: Bench
    counts: dict[str, dict[str, int]]
    sources: dict[str, dict[str, set[str]]]
    predictions: dict[str, list[tuple[Any, ...]]]
    complete: dict[str, bool]
    verdicts: dict[str, dict[Target, Verdict | None]]
    messages: dict[str, list[tuple[str, Any]]]


def cut(raw: RawRows, rows: Any) -> RawRows:
    return RawRows(raw.processor, rows, raw.source, tuple(sorted(set(rows.column("game_date").to_pylist()))))


def on(rows: Any, first: date, last: date) -> Any:
    days = rows.column("game_date")
    return rows.filter(pc.and_(pc.greater_equal(days, pa.scalar(first)), pc.less_equal(days, pa.scalar(last))))


def to_come(rows: Any) -> Any:
    """Schedule rows as they are before a game: status 1, no score."""
    own = rows.filter(pc.equal(rows.column("data_source"), "schedule"))
    n = own.num_rows
    own = own.set_column(own.schema.get_field_index("game_status"), "game_status", pa.array([1] * n, pa.int64()))
    text = pa.array(["7:30 pm ET"] * n)
    own = own.set_column(own.schema.get_field_index("game_status_text"), "game_status_text", text)
    for side in ("home_team_score", "away_team_score"):
        own = own.set_column(own.schema.get_field_index(side), side, pa.nulls(n, pa.int64()))
    return own


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    home = tmp_path_factory.mktemp("night")
    clock = Clock(AFTERNOON)
    bench = Bench(connect(read_settings({}, home=home), clock), home)
    try:
        bench.gapless.create()
        with tempfile.TemporaryDirectory() as folder:
            write_season(Path(folder), season=SEASON)
            files = {
                raw.processor: raw
                for raw in read(Path(folder), bench.pipeline, declared_kinds(bench.pipeline), date(2024, 1, 1)).rows
            }
        life = Life(bench, {}, {}, {}, {}, {}, {})

        def put(name: str, rows: Any) -> None:
            load(bench.gapless.warehouse, bench.pipeline, cut(files[name], rows), clock())

        def step(stage: str) -> None:
            sent = len(bench.bus.sent)
            report = bench.apply()
            assert not report.failed, stage
            assert report.after is not None
            life.complete[stage] = report.after.judgement.complete
            life.verdicts[stage] = {
                Target(p.name, day): report.after.judgement.verdict(Target(p.name, day))
                for p in bench.pipeline.processors.values()
                for day in (TODAY, TOMORROW)
            }
            life.messages[stage] = bench.bus.sent[sent:]
            life.counts[stage] = {name: bench.count(Target(name, TODAY)) for name in bench.pipeline.processors}
            life.sources[stage] = {
                name: {
                    source
                    for (source,) in bench.rows(
                        f"SELECT DISTINCT data_source FROM `{p.table}` WHERE {p.date_column} = @day", day=TODAY
                    )
                }
                for name, p in bench.pipeline.processors.items()
                if p.run == "sql"
            }
            life.predictions[stage] = bench.content(Target("player_prop_predictions", TODAY))

        yesterday, opening = TODAY - timedelta(days=1), date(2022, 11, 15)
        schedule, boxes, props = (files[name].rows for name in ("schedule", "boxscores", "prop_lines"))
        put("schedule", pa.concat_tables([on(schedule, opening, yesterday), to_come(on(schedule, TODAY, TOMORROW))]))
        put("boxscores", on(boxes, opening, yesterday))
        put("prop_lines", on(props, opening, TODAY))
        step("afternoon")
        put("schedule", on(schedule, TODAY, TODAY))
        put("boxscores", on(boxes, TODAY, TODAY))
        clock.now = NEXT_MORNING
        step("morning after")
        yield life
    finally:
        local.stop(home)


def test_everything_that_can_be_known_in_the_afternoon_is_built(life: Life) -> None:
    assert life.complete["afternoon"]
    verdicts = life.verdicts["afternoon"]
    for name in (*UPCOMING, *FORECAST):
        assert verdicts[Target(name, TODAY)] is Verdict.COMPLETE, name
        assert life.counts["afternoon"][name] > 0, name
    assert verdicts[Target("boxscores", TODAY)] in (Verdict.NOT_DUE, Verdict.OFF_DAY)
    for name in ("player_game_summary", "prediction_accuracy", "export"):
        assert verdicts[Target(name, TODAY)] is None  # about dates before today
        assert life.counts["afternoon"][name] == 0


def test_features_and_predictions_of_today_come_from_the_upcoming_context(life: Life) -> None:
    for name in FORECAST:
        assert life.sources["afternoon"][name] == {"UPCG"}, name


def test_tomorrow_is_prepared_too(life: Life) -> None:
    verdicts = life.verdicts["afternoon"]
    for name in (*UPCOMING, *FORECAST):
        assert verdicts[Target(name, TOMORROW)] is Verdict.COMPLETE, name


def test_who_is_expected_to_play_follows_from_the_teams_last_games(life: Life) -> None:
    """Every team of the evening has its players, and nobody plays for two teams."""
    bench = life.bench
    rows = bench.rows(
        "SELECT team_abbr, COUNT(*), COUNT(DISTINCT universal_player_id) "
        "FROM `nba_analytics.upcoming_player_game_context` WHERE game_date = @day GROUP BY 1",
        day=TODAY,
    )
    teams = {
        team
        for pair in bench.rows(
            "SELECT DISTINCT home_team_tricode, away_team_tricode FROM `nba_raw.nbac_schedule` WHERE game_date = @day",
            day=TODAY,
        )
        for team in pair
    }
    assert {team for team, _, _ in rows} == teams
    assert all(players == different and 8 <= players <= 20 for _, players, different in rows)


def test_after_the_games_features_are_rebuilt_from_the_box_scores(life: Life) -> None:
    assert life.complete["morning after"]
    assert life.counts["morning after"]["player_game_summary"] > 0
    for name in ("player_composite_factors", "ml_feature_store_v2", "player_daily_cache"):
        assert life.sources["morning after"][name] == {"PGS_SYNTHETIC"}, name
    features, summary = (life.counts["morning after"][n] for n in ("ml_feature_store_v2", "player_game_summary"))
    assert features == summary


def test_a_prediction_made_before_the_game_is_never_touched(life: Life) -> None:
    """Byte for byte, with the run and the time that made it; who played unexpectedly gets one beside it."""
    before, after = life.predictions["afternoon"], life.predictions["morning after"]
    assert before
    assert [row for row in after if row in before] == before
    assert len({row[0] for row in after}) == len(after)


def test_predictions_are_graded_against_what_was_scored(life: Life) -> None:
    bench = life.bench
    rows = bench.rows(
        "SELECT a.player_lookup, a.actual_points, s.points, a.predicted_points, p.predicted_points, p.data_source "
        "FROM `nba_predictions.prediction_accuracy` AS a "
        "JOIN `nba_analytics.player_game_summary` AS s USING (game_date, game_id, player_lookup) "
        "JOIN `nba_predictions.player_prop_predictions` AS p USING (game_date, game_id, player_lookup, system_id) "
        "WHERE a.game_date = @day",
        day=TODAY,
    )
    assert len(rows) == life.counts["morning after"]["prediction_accuracy"] > 0
    assert all(actual == scored and graded == predicted for _, actual, scored, graded, predicted, _ in rows)
    assert "UPCG" in {row[5] for row in rows}


def test_a_game_called_off_in_the_evening_leaves_its_predictions_ungraded_and_nothing_else(life: Life) -> None:
    bench = life.bench
    ((away, home),) = bench.rows(
        "SELECT away_team_tricode, home_team_tricode FROM `nba_raw.nbac_schedule` "
        "WHERE game_date = @day AND game_status_text = 'Postponed'",
        day=TODAY,
    )
    game = f"game_id = '20221221_{away}_{home}'"
    for name in ("player_composite_factors", "ml_feature_store_v2", "prediction_accuracy", "player_game_summary"):
        assert bench.count(Target(name, TODAY), game) == 0, name
    assert bench.count(Target("player_prop_predictions", TODAY), game) > 0


def test_the_completion_of_every_phase_is_announced(life: Life) -> None:
    for stage, names in (("afternoon", (*UPCOMING, *FORECAST)), ("morning after", ("prediction_accuracy", "export"))):
        announced = {
            message["processor_name"]
            for _, message in life.messages[stage]
            if TODAY.isoformat() in message["game_dates"]
        }
        assert announced >= set(names), stage


def test_the_next_look_is_quiet(life: Life) -> None:
    look = life.bench.scan()
    assert look.judgement.complete
    assert look.plan.size == 0


def test_upcoming_rows_of_the_past_are_nobodys_business_any_more(life: Life) -> None:
    """They are a forecast that the evening overtook: read by nothing, judged by nothing, cleaned up after a week."""
    assert life.counts["morning after"]["upcoming_player_game_context"] > 0
    for name in UPCOMING:
        assert life.verdicts["morning after"][Target(name, TODAY)] is None
