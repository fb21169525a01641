"""The parquet files of a season, with the columns and types of public NBA data."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from gapless.errors import BadInput
from gapless.nba.sample.days import SeasonDays
from gapless.nba.sample.model import PLAYOFFS, Game
from gapless.nba.sample.odds import PointsLine
from gapless.nba.sample.play import Line
from gapless.nba.sample.teams import TEAM_IDS

SOURCE = "gapless sample"

_COUNTS = ("fgm", "fga", "fg3m", "fg3a", "ftm", "fta", "oreb", "dreb", "reb", "ast", "stl", "blk", "tov", "pf", "pts")

BOX = pa.schema(
    [
        ("season", pa.string()),
        ("season_type", pa.string()),
        ("game_id", pa.string()),
        ("game_date", pa.date32()),
        ("player_id", pa.int32()),
        ("player_name", pa.string()),
        ("team_id", pa.int32()),
        ("team", pa.string()),
        ("opponent", pa.string()),
        ("home", pa.bool_()),
        ("wl", pa.string()),
        ("minutes", pa.int16()),
        ("seconds_played", pa.int16()),
        ("starter", pa.bool_()),
        *((name, pa.int16()) for name in (*_COUNTS, "plus_minus")),
        ("source", pa.string()),
    ]
)
SCHEDULE = pa.schema(
    [
        ("season", pa.string()),
        ("stage", pa.string()),
        ("game_id", pa.string()),
        ("game_date", pa.date32()),
        ("original_date", pa.date32()),
        ("date_changed", pa.bool_()),
        ("change_kind", pa.string()),
        ("scheduled_tipoff_utc", pa.timestamp("us", tz="UTC")),
        ("home_team_id", pa.int32()),
        ("home", pa.string()),
        ("away_team_id", pa.int32()),
        ("away", pa.string()),
        ("home_pts", pa.int16()),
        ("away_pts", pa.int16()),
        ("status", pa.string()),
        ("neutral_site", pa.bool_()),
        ("arena", pa.string()),
        ("original_date_basis", pa.string()),
        ("source", pa.string()),
    ]
)
PROPS = pa.schema(
    [
        ("season", pa.string()),
        ("game_date", pa.date32()),
        ("nba_game_id", pa.string()),
        ("postponed_that_day", pa.bool_()),
        ("home", pa.string()),
        ("away", pa.string()),
        ("player_id", pa.int32()),
        ("player_name", pa.string()),
        ("market", pa.string()),
        ("bookmaker", pa.string()),
        ("line", pa.float32()),
        ("over_odds", pa.int32()),
        ("under_odds", pa.int32()),
        ("commence_utc", pa.timestamp("us", tz="UTC")),
        ("snapshot", pa.string()),
        ("event_id", pa.string()),
        ("source", pa.string()),
    ]
)


def write_box(folder: Path, days: SeasonDays, lines: Iterable[Line]) -> Path:
    """Write one row for every player who appeared."""
    return _write(folder / f"player_box_{days.label}.parquet", BOX, [_box_row(days.label, line) for line in lines])


def write_schedule(folder: Path, days: SeasonDays, games: Iterable[Game]) -> Path:
    """Write one row a game; seasons that the folder's schedule holds already stay in it."""
    path = folder / "schedule.parquet"
    rows = [_schedule_row(days.label, game) for game in games]
    if path.exists():
        kept = pq.read_table(path)
        if not kept.schema.equals(SCHEDULE):
            raise BadInput(f"{path} has other columns than a schedule; give a folder of its own to the sample")
        rows += [tuple(row.values()) for row in kept.to_pylist() if row["season"] != days.label]
        rows.sort(key=lambda row: (row[0], -len(row[1]), row[2]))
    return _write(path, SCHEDULE, rows)


def write_props(folder: Path, days: SeasonDays, lines: Iterable[PointsLine]) -> Path:
    """Write one row for every line of a bookmaker."""
    path = folder / f"player_props_{days.label}.parquet"
    return _write(path, PROPS, [_props_row(days.label, line) for line in lines])


def _write(path: Path, schema: pa.Schema, rows: Sequence[tuple[Any, ...]]) -> Path:
    columns = list(zip(*rows, strict=True)) or [()] * len(schema)
    arrays = [pa.array(values, kind.type) for values, kind in zip(columns, schema, strict=True)]
    pq.write_table(pa.Table.from_arrays(arrays, schema=schema), path, compression="zstd")
    return path


def _box_row(season: str, line: Line) -> tuple[Any, ...]:
    fixture = line.fixture
    return (
        season,
        fixture.stage,
        fixture.game_id,
        fixture.day,
        line.player.player_id,
        line.player.name,
        TEAM_IDS[line.team],
        line.team,
        line.opponent,
        line.home,
        "W" if line.won else "L",
        line.minutes,
        None,
        line.starter if fixture.stage == PLAYOFFS else None,
        line.fgm,
        line.fga,
        line.fg3m,
        line.fg3a,
        line.ftm,
        line.fta,
        line.oreb,
        line.dreb,
        line.oreb + line.dreb,
        line.ast,
        line.stl,
        line.blk,
        line.tov,
        line.pf,
        line.pts,
        line.plus_minus,
        SOURCE,
    )


def _schedule_row(season: str, game: Game) -> tuple[Any, ...]:
    fixture = game.fixture
    playoffs = fixture.stage == PLAYOFFS
    return (
        season,
        fixture.stage,
        fixture.game_id,
        fixture.day,
        fixture.original_day,
        fixture.was_postponed,
        "postponed" if fixture.was_postponed else None,
        None if playoffs else fixture.tipoff,
        TEAM_IDS[fixture.home],
        fixture.home,
        TEAM_IDS[fixture.away],
        fixture.away,
        game.home_points,
        game.away_points,
        "Final",
        False,
        None,
        None if playoffs else "fixture list",
        SOURCE,
    )


def _props_row(season: str, line: PointsLine) -> tuple[Any, ...]:
    fixture = line.fixture
    event = hashlib.md5(f"{fixture.game_id}:{line.day}".encode(), usedforsecurity=False).hexdigest()
    return (
        season,
        line.day,
        fixture.game_id,
        line.postponed_that_day,
        fixture.home,
        fixture.away,
        line.player.player_id,
        line.player.name,
        "player_points",
        line.bookmaker,
        line.line,
        line.over,
        line.under,
        line.commences,
        None,
        event,
        SOURCE,
    )
