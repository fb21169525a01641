"""The facts of a season that a warehouse already holds, so that the incidents can be staged on real data too."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, date, datetime
from pathlib import Path

from gapless.declare.pipeline import Pipeline
from gapless.errors import BadInput
from gapless.nba.sample.days import SeasonDays
from gapless.nba.sample.model import PLAYOFFS, REGULAR, Fixture, Game, SampleSeason
from gapless.warehouse.names import quoted
from gapless.warehouse.ports import Warehouse


def read_season(warehouse: Warehouse, pipeline: Pipeline, season: int) -> SampleSeason:
    """The season as its schedule and box scores say; raises `BadInput` when it is not loaded."""
    schedule, box = pipeline.processor("schedule").table, pipeline.processor("boxscores").table
    rows = warehouse.rows(
        f"SELECT game_id, game_date, home_team_tricode, away_team_tricode, IFNULL(home_team_score, 0), "
        f"IFNULL(away_team_score, 0), is_playoffs, game_status, game_status_text FROM {quoted(schedule)} "
        "WHERE season_year = @season AND game_date BETWEEN @first AND @last "
        "AND data_source = 'schedule' ORDER BY game_date, game_id",
        {"season": season, "first": date(season, 7, 1), "last": date(season + 1, 12, 31)},
        purpose="season",
    ).rows
    postponed: dict[str, date] = {row[0]: row[1] for row in rows if row[8] == "Postponed"}
    games = tuple(
        Game(
            Fixture(
                game_id,
                PLAYOFFS if playoffs else REGULAR,
                day,
                postponed.get(game_id),
                home,
                away,
                datetime(day.year, day.month, day.day, 23, 30, tzinfo=UTC),
            ),
            home_points,
            away_points,
        )
        for game_id, day, home, away, home_points, away_points, playoffs, status, _ in rows
        if status == 3
    )
    if not games:
        raise BadInput(f"the season {season}-{(season + 1) % 100:02d} is not loaded; load its schedule and box scores")
    players: dict[date, int] = defaultdict(int)
    for day, count in warehouse.rows(
        f"SELECT game_date, COUNT(*) FROM {quoted(box)} WHERE season_year = @season "
        "AND game_date BETWEEN @first AND @last GROUP BY game_date",
        {"season": season, "first": games[0].fixture.day, "last": games[-1].fixture.day},
        purpose="season",
    ).rows:
        players[day] = count
    return SampleSeason(season, 0, SeasonDays(season), games, dict(players), 0, Path())
