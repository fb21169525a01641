"""Four real seasons, where the folder with them is there."""

from __future__ import annotations

import os
import time
from datetime import date
from pathlib import Path

import pyarrow.compute
import pytest

from gapless.declare.pipeline import load_pipeline
from gapless.files import Intake, RawRows, read
from gapless.files.kinds import declared_kinds

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("GAPLESS_DATA", ROOT.parent / "shared" / "data" / "nba"))
pc = pyarrow.compute

pytestmark = pytest.mark.skipif(
    not (DATA / "schedule.parquet").is_file(), reason=f"no real seasons in {DATA}; set GAPLESS_DATA to their folder"
)


@pytest.fixture(scope="module")
def taken() -> tuple[Intake, float]:
    pipeline = load_pipeline()
    started = time.process_time()
    return read(DATA, pipeline, declared_kinds(pipeline), date(2026, 1, 1)), time.process_time() - started


@pytest.fixture(scope="module")
def rows(taken: tuple[Intake, float]) -> dict[str, RawRows]:
    return {raw.processor: raw for raw in taken[0].rows}


def test_four_seasons_are_read_whole(rows: dict[str, RawRows]) -> None:
    assert {name: raw.rows.num_rows for name, raw in rows.items()} == {
        "schedule": 2 * 5257 + 44,
        "boxscores": 111_750,
        "shots": 435_921,
        "prop_lines": 11_151,
    }
    assert len(rows["boxscores"].dates) == 833


def test_the_scores_in_the_box_scores_are_those_of_the_schedule(rows: dict[str, RawRows]) -> None:
    scores: dict[str, set[tuple[object, ...]]] = {}
    columns = ["data_source", "game_id", "game_date", "home_team_tricode", "home_team_score", "away_team_score"]
    for row in rows["schedule"].rows.filter(pc.field("game_status") == 3).select(columns).to_pylist():
        scores.setdefault(row.pop("data_source"), set()).add(tuple(row.values()))
    assert scores["boxscores"] == scores["schedule"]
    assert len(scores["schedule"]) == 5257


def test_no_key_is_there_twice(rows: dict[str, RawRows]) -> None:
    keys = {
        "schedule": ["game_date", "game_id", "data_source"],
        "boxscores": ["game_id", "player_lookup"],
        "shots": ["nba_game_id", "shot_number"],
        "prop_lines": ["game_id", "player_lookup", "bookmaker", "points_line"],
    }
    for name, key in keys.items():
        table = rows[name].rows
        assert table.group_by(key).aggregate([]).num_rows == table.num_rows, name


def test_the_files_that_are_not_loaded_are_listed(taken: tuple[Intake, float]) -> None:
    expected = {"README.md", "game_lines_consensus.parquet", "player_shot_zones_by_season.parquet"}
    expected |= {"schedule_changes.parquet", "team_box.parquet"}
    assert {each.file for each in taken[0].skipped} == expected


def test_reading_and_checking_stays_quick(taken: tuple[Intake, float]) -> None:
    assert taken[1] < 12, "processor seconds on a loaded machine; about 2 on an idle one"
