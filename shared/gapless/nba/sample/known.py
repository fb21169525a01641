"""The facts of a season that a warehouse already holds, so that the incidents can be staged on real data too."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import NamedTuple

from gapless.declare.pipeline import Pipeline
from gapless.errors import BadInput
from gapless.nba.sample.days import SeasonDays
from gapless.nba.sample.model import PLAYOFFS, REGULAR, Fixture, Game, SampleSeason
from gapless.warehouse.names import quoted
from gapless.warehouse.ports import Warehouse
from gapless.warehouse.rows import decoded


class _GameRow(NamedTuple):
    game_id: str
    game_date: date
    home_team_tricode: str
    away_team_tricode: str
    home_points: int
    away_points: int
    is_playoffs: bool
    game_status: int
    game_status_text: str


class _PlayersRow(NamedTuple):
    game_date: date
    players: int


def read_season(warehouse: Warehouse, pipeline: Pipeline, season: int) -> SampleSeason:
    """The season as its schedule and box scores say; raises `BadInput` when it is not loaded."""
    schedule, box = pipeline.processor("schedule").table, pipeline.processor("boxscores").table
    answer = warehouse.rows(
        f"""SELECT game_id, game_date, home_team_tricode, away_team_tricode, IFNULL(home_team_score, 0) AS home_points,
  IFNULL(away_team_score, 0) AS away_points, is_playoffs, game_status, game_status_text
FROM {quoted(schedule)}
WHERE season_year = @season AND game_date BETWEEN @first AND @last AND data_source = 'schedule'
ORDER BY game_date, game_id""",
        {"season": season, "first": date(season, 7, 1), "last": date(season + 1, 12, 31)},
        purpose="season",
    )
    rows = decoded(_GameRow, answer)
    postponed = {row.game_id: row.game_date for row in rows if row.game_status_text == "Postponed"}
    games = tuple(_game(row, postponed.get(row.game_id)) for row in rows if row.game_status == 3)
    if not games:
        raise BadInput(f"the season {season}-{(season + 1) % 100:02d} is not loaded; load its schedule and box scores")
    answer = warehouse.rows(
        f"SELECT game_date, COUNT(*) AS players FROM {quoted(box)} WHERE season_year = @season "
        "AND game_date BETWEEN @first AND @last GROUP BY game_date",
        {"season": season, "first": games[0].fixture.day, "last": games[-1].fixture.day},
        purpose="season",
    )
    players = {row.game_date: row.players for row in decoded(_PlayersRow, answer)}
    return SampleSeason(season, 0, SeasonDays(season), games, players, 0, Path())


def _game(row: _GameRow, postponed_from: date | None) -> Game:
    day = row.game_date
    fixture = Fixture(
        row.game_id,
        PLAYOFFS if row.is_playoffs else REGULAR,
        day,
        postponed_from,
        row.home_team_tricode,
        row.away_team_tricode,
        datetime(day.year, day.month, day.day, 23, 30, tzinfo=UTC),
    )
    return Game(fixture, row.home_points, row.away_points)
