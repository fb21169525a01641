"""Files into rows: what is recognised, what comes out, what is rejected and in which words."""

from __future__ import annotations

import csv
import gzip
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gapless.declare.pipeline import load_pipeline
from gapless.errors import RejectedFile
from gapless.files import Intake, RawRows, read
from gapless.files.kinds import declared_kinds

Row = dict[str, Any]
TODAY = date(2024, 6, 30)
COUNTS = ("fgm", "fga", "fg3m", "fg3a", "ftm", "fta", "oreb", "dreb", "reb", "ast", "stl", "blk", "tov", "pf", "pts")


PIPELINE = load_pipeline()


def box_row(player: int, team: str, **changes: Any) -> Row:
    """One row of the player box layout, of LAL at DEN on the first day of 2023-24."""
    opponent = {"DEN": "LAL", "LAL": "DEN"}.get(team, "DEN")
    row: Row = {
        "season": "2023-24",
        "season_type": "Regular Season",
        "game_id": "0022300061",
        "game_date": date(2023, 10, 24),
        "player_id": player,
        "player_name": f"Player Number {player}",
        "team": team,
        "opponent": opponent,
        "home": team == "DEN",
        "minutes": 30,
        **dict.fromkeys(COUNTS, 2),
        "plus_minus": 3,
    }
    return row | changes


def box_game(**changes: Any) -> list[Row]:
    """Four rows of one game; a change with a list gives one value per row."""
    rows = [box_row(1, "DEN"), box_row(2, "DEN"), box_row(3, "LAL"), box_row(4, "LAL")]
    return [row | {k: v[i] if isinstance(v, list) else v for k, v in changes.items()} for i, row in enumerate(rows)]


def log_row(player: int, team: str, **changes: Any) -> Row:
    """One row as nba_api's LeagueGameLog returns it."""
    row: Row = {
        "SEASON_ID": "22023",
        "PLAYER_ID": player,
        "PLAYER_NAME": f"Player Number {player}",
        "TEAM_ID": 1610612743,
        "TEAM_ABBREVIATION": team,
        "TEAM_NAME": "A Team",
        "GAME_ID": "0022300061",
        "GAME_DATE": "2023-10-24",
        "MATCHUP": "DEN vs. LAL" if team == "DEN" else "LAL @ DEN",
        "WL": "W",
        "MIN": 30,
        **{name.upper(): 2 for name in COUNTS},
        "PLUS_MINUS": 3,
        "FANTASY_PTS": 20.5,
        "VIDEO_AVAILABLE": 1,
    }
    return row | changes


def log_game(**changes: Any) -> list[Row]:
    return [log_row(1, "DEN", **changes), log_row(2, "DEN"), log_row(3, "LAL"), log_row(4, "LAL")]


def schedule_row(number: int, home: str, away: str, **changes: Any) -> Row:
    row: Row = {
        "season": "2023-24",
        "stage": "Regular Season",
        "game_id": f"002230{number:04d}",
        "game_date": date(2023, 11, 1),
        "original_date": date(2023, 11, 1),
        "scheduled_tipoff_utc": datetime(2023, 11, 1, 23, 30, tzinfo=UTC),
        "home": home,
        "away": away,
        "home_pts": 110,
        "away_pts": 100,
        "status": "Final",
    }
    return row | changes


def snapshot_row(number: int, home: str | None, away: str | None, **changes: Any) -> Row:
    row: Row = {
        "game_id": f"002230{number:04d}",
        "season_year": 2023,
        "game_status": 1,
        "game_status_text": "7:30 pm ET",
        "game_date": date(2024, 7, 10),
        "tipoff_utc": datetime(2024, 7, 10, 23, 30, tzinfo=UTC),
        "home": home,
        "away": away,
    }
    return row | changes


def shot_row(player: int, period: int, left: int, **changes: Any) -> Row:
    row: Row = {
        "season": "2023-24",
        "game_id": "0022300061",
        "game_date": date(2023, 10, 24),
        "player_id": player,
        "period": period,
        "secs_left": left,
        "made": True,
        "three": False,
        "basic_zone": "Mid-Range",
        "distance_ft": 12,
    }
    return row | changes


def prop_row(player: str | None, line: float | None, **changes: Any) -> Row:
    row: Row = {
        "season": "2023-24",
        "game_date": date(2023, 10, 24),
        "nba_game_id": "0022300061",
        "postponed_that_day": False,
        "home": "DEN",
        "away": "LAL",
        "player_id": 7,
        "player_name": player,
        "market": "player_points",
        "bookmaker": "prizepicks",
        "line": line,
        "over_odds": -110,
        "under_odds": -120,
        "snapshot": "2023-10-24T20:00:00Z",
    }
    return row | changes


def as_parquet(path: Path, rows: Sequence[Mapping[str, Any]], **kinds: pa.DataType) -> Path:
    table = pa.Table.from_pylist([dict(row) for row in rows])
    for name, kind in kinds.items():
        table = table.set_column(table.column_names.index(name), name, table[name].cast(kind))
    pq.write_table(table, path)
    return path


def as_csv(path: Path, rows: Sequence[Mapping[str, Any]], **options: Any) -> Path:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]), **options)
        writer.writeheader()
        writer.writerows({k: "" if v is None else v for k, v in row.items()} for row in rows)
    return path


def take(path: Path, today: date = TODAY) -> Intake:
    return read(path, PIPELINE, declared_kinds(PIPELINE), today)


def rows_of(intake: Intake, processor: str) -> RawRows:
    return next(raw for raw in intake.rows if raw.processor == processor)


def dicts(intake: Intake, processor: str) -> list[Row]:
    found: list[Row] = rows_of(intake, processor).rows.to_pylist()
    return found


@contextmanager
def rejected(*parts: str) -> Iterator[None]:
    """The block raises `RejectedFile` whose message holds all the parts."""
    with pytest.raises(RejectedFile) as caught:
        yield
    message = str(caught.value)
    for part in parts:
        assert part in message, message


# ------------------------------------------------------------------------------------------ what comes out


@pytest.mark.parametrize("name", ["schedule", "boxscores", "shots", "prop_lines"])
def test_it_hands_over_exactly_the_declared_columns_and_types(tmp_path: Path, name: str) -> None:
    as_parquet(tmp_path / "a.parquet", box_game())
    as_parquet(tmp_path / "b.parquet", [shot_row(1, 1, 700)])
    as_parquet(tmp_path / "c.parquet", [prop_row("Nikola Jokić", 24.5)])
    wanted = {
        "STRING": pa.string(),
        "INT64": pa.int64(),
        "FLOAT64": pa.float64(),
        "BOOL": pa.bool_(),
        "DATE": pa.date32(),
        "TIMESTAMP": pa.timestamp("us", "UTC"),
    }
    rows = rows_of(take(tmp_path), name).rows
    declared = PIPELINE.processor(name).columns
    assert {field.name: field.type for field in rows.schema} == {c.name: wanted[c.type] for c in declared.values()}
    assert rows.column_names == list(declared)


def test_it_reads_player_box_scores_as_boxscores(tmp_path: Path) -> None:
    intake = take(as_parquet(tmp_path / "box.parquet", box_game(minutes=[34, 0, 12, None], oreb=[1, None, 3, 4])))
    raw = rows_of(intake, "boxscores")
    assert (raw.dates, raw.source) == ((date(2023, 10, 24),), "box.parquet")
    first = dicts(intake, "boxscores")[0]
    assert first["game_id"] == "20231024_LAL_DEN"
    assert first["nba_game_id"] == "0022300061"
    assert (first["home_team_abbr"], first["away_team_abbr"], first["team_abbr"]) == ("DEN", "LAL", "DEN")
    assert (first["season_year"], first["is_playoffs"], first["game_status"]) == (2023, False, "Final")
    assert (first["player_lookup"], first["bdl_player_id"]) == ("playernumber1", 1)
    by_player = {row["bdl_player_id"]: row for row in dicts(intake, "boxscores")}
    assert [by_player[p]["minutes"] for p in (1, 2, 3, 4)] == ["34", "0", "12", None]
    assert [by_player[p]["offensive_rebounds"] for p in (1, 2, 3, 4)] == [1, None, 3, 4]


def test_box_scores_bring_their_own_schedule(tmp_path: Path) -> None:
    game = dicts(take(as_parquet(tmp_path / "box.parquet", box_game(pts=[20, 11, 30, 2]))), "schedule")
    assert len(game) == 1
    assert game[0] == game[0] | {
        "game_id": "0022300061",
        "data_source": "boxscores",
        "game_status": 3,
        "game_status_text": "Final",
        "home_team_tricode": "DEN",
        "home_team_score": 31,
        "away_team_score": 32,
        "is_regular_season": True,
        "is_playoffs": False,
        "is_all_star": False,
        "tipoff_utc": None,
    }


@pytest.mark.parametrize(
    ("name", "lookup"),
    [
        ("Bojan Bogdanović", "bojanbogdanovic"),
        ("Shaquille O'Neal", "shaquilleoneal"),
        ("Jimmy Butler III", "jimmybutleriii"),
        ("姚明", "player1"),
    ],
)
def test_a_player_key_has_ascii_letters_and_digits_only(tmp_path: Path, name: str, lookup: str) -> None:
    rows = box_game(player_name=[name, "b", "c", "d"])
    found = {r["bdl_player_id"]: r for r in dicts(take(as_csv(tmp_path / "x.csv", rows)), "boxscores")}
    assert (found[1]["player_lookup"], found[1]["player_full_name"]) == (lookup, name)


def test_two_players_of_one_name_in_a_game_both_get_their_id(tmp_path: Path) -> None:
    rows = box_game(player_name=["Jalen Williams", "x", "Jalen Williams", "y"])
    found = dicts(take(as_parquet(tmp_path / "x.parquet", rows)), "boxscores")
    assert {r["player_lookup"] for r in found} == {"jalenwilliams_1", "jalenwilliams_3", "x", "y"}


@pytest.mark.parametrize("day", ["2023-10-24", "OCT 24, 2023", "2023-10-24T00:00:00", "2023-10-24 00:00:00"])
def test_it_reads_a_league_game_log_in_every_spelling_of_its_date(tmp_path: Path, day: str) -> None:
    rows = [row | {"GAME_DATE": day} for row in log_game()]
    intake = take(as_csv(tmp_path / "log.csv", rows))
    assert rows_of(intake, "boxscores").dates == (date(2023, 10, 24),)
    assert {r["game_id"] for r in dicts(intake, "boxscores")} == {"20231024_LAL_DEN"}
    assert dicts(intake, "schedule")[0]["home_team_score"] == 4


def test_the_season_comes_from_the_season_id_and_not_from_the_month(tmp_path: Path) -> None:
    # The season 2019-20 ended in October 2020.
    rows = [row | {"SEASON_ID": "42019", "GAME_ID": "0041900406", "GAME_DATE": "2020-10-11"} for row in log_game()]
    found = dicts(take(as_csv(tmp_path / "log.csv", rows)), "boxscores")[0]
    assert (found["season_year"], found["is_playoffs"]) == (2019, True)


def test_teams_of_older_seasons_are_taken_as_given(tmp_path: Path) -> None:
    rows = [
        log_row(p, t, TEAM_ABBREVIATION=t, MATCHUP=m, GAME_ID="0029900001", SEASON_ID="21999", GAME_DATE="1999-11-02")
        for p, t, m in ((1, "SEA", "SEA vs. VAN"), (2, "VAN", "VAN @ SEA"))
    ]
    assert dicts(take(as_csv(tmp_path / "old.csv", rows)), "boxscores")[0]["game_id"] == "19991102_VAN_SEA"


def test_preseason_and_all_star_rows_are_left_out_and_counted(tmp_path: Path) -> None:
    extra = [
        log_row(8, "DEN", SEASON_ID="12023", GAME_ID="0012300001", GAME_DATE="2023-10-08", PTS=""),
        log_row(9, "DEN", SEASON_ID="32023", GAME_ID="0032300001", GAME_DATE="2024-02-18"),
    ]
    intake = take(as_csv(tmp_path / "log.csv", extra + log_game()))
    assert len(dicts(intake, "boxscores")) == 4
    assert intake.notes == ("log.csv: 2 preseason and all-star rows left out",)


def test_a_file_with_nothing_but_preseason_is_refused_and_not_a_silent_success(tmp_path: Path) -> None:
    rows = [row | {"SEASON_ID": "12023", "GAME_ID": "0012300061"} for row in log_game()]
    with rejected("holds nothing to load", "4 preseason and all-star rows left out"):
        take(as_csv(tmp_path / "log.csv", rows))


def test_play_in_games_are_neither_regular_season_nor_playoffs(tmp_path: Path) -> None:
    rows = [row | {"SEASON_ID": "52023", "GAME_ID": "0052300101", "GAME_DATE": "2024-04-16"} for row in log_game()]
    game = dicts(take(as_csv(tmp_path / "log.csv", rows)), "schedule")[0]
    assert (game["is_regular_season"], game["is_playoffs"], game["is_all_star"]) == (False, False, False)


def test_players_own_logs_of_both_teams_load_together_from_a_folder(tmp_path: Path) -> None:
    for number, team in ((1, "DEN"), (3, "LAL")):
        row = log_row(number, team, GAME_DATE="OCT 24, 2023")
        own = {k: v for k, v in row.items() if not k.startswith("TEAM") and k != "PLAYER_NAME"}
        own = {"Player_ID" if k == "PLAYER_ID" else "Game_ID" if k == "GAME_ID" else k: v for k, v in own.items()}
        as_csv(tmp_path / f"{number}.csv", [own])
    found = dicts(take(tmp_path), "boxscores")
    assert [(r["player_lookup"], r["team_abbr"]) for r in found] == [("player1", "DEN"), ("player3", "LAL")]
    with rejected("1.csv, row 1, column Game_ID", "has players of DEN only"):
        take(tmp_path / "1.csv")


@pytest.mark.parametrize(
    ("given_as", "wanted"),
    [("34", "34"), ("34:12", "34:12"), ("34.0", "34"), ("34:5", "34:05"), ("34.5", "34:30"), ("PT34M12.00S", "34:12")],
)
def test_minutes_keep_their_meaning(tmp_path: Path, given_as: str, wanted: str) -> None:
    rows = [row | {"MIN": given_as} for row in log_game()]
    assert {r["minutes"] for r in dicts(take(as_csv(tmp_path / "x.csv", rows)), "boxscores")} == {wanted}


# ------------------------------------------------------------------------------------------ schedule


def test_a_postponed_game_is_on_both_dates(tmp_path: Path) -> None:
    moved = schedule_row(1, "CHI", "DET", game_date=date(2024, 1, 11), original_date=date(2023, 12, 14))
    intake = take(as_parquet(tmp_path / "s.parquet", [moved, schedule_row(2, "BOS", "NYK")]))
    found = {(r["game_id"], r["game_date"]): r for r in dicts(intake, "schedule")}
    assert len(found) == 3
    first = found["0022300001", date(2023, 12, 14)]
    assert (first["game_status"], first["game_status_text"]) == (1, "Postponed")
    assert (first["home_team_score"], first["away_team_score"]) == (None, None)
    assert first["tipoff_utc"] == datetime(2023, 11, 1, 23, 30, tzinfo=UTC)
    played = found["0022300001", date(2024, 1, 11)]
    assert (played["game_status"], played["home_team_score"], played["tipoff_utc"]) == (3, 110, None)
    assert {r["data_source"] for r in found.values()} == {"schedule"}
    assert rows_of(intake, "schedule").dates == (date(2023, 11, 1), date(2023, 12, 14), date(2024, 1, 11))


def test_a_game_that_is_not_final_keeps_its_text_and_has_no_score(tmp_path: Path) -> None:
    rows = [schedule_row(1, "CHI", "DET", status="8:00 pm ET", game_date=date(2024, 7, 1), home_pts=0, away_pts=0)]
    rows += [schedule_row(2, "BOS", "NYK", status="Final/OT")]
    found = {r["home_team_tricode"]: r for r in dicts(take(as_csv(tmp_path / "s.csv", rows)), "schedule")}
    game = found["CHI"]
    assert (game["game_status"], game["game_status_text"], game["home_team_score"]) == (1, "8:00 pm ET", None)
    assert (found["BOS"]["game_status"], found["BOS"]["home_team_score"]) == (3, 110)


def test_a_snapshot_brings_games_to_come_and_leaves_out_undecided_ones(tmp_path: Path) -> None:
    rows = [snapshot_row(1, "CHI", "DET"), snapshot_row(2, None, None), snapshot_row(3, "TBD", "BOS")]
    intake = take(as_parquet(tmp_path / "s.parquet", rows))
    (game,) = dicts(intake, "schedule")
    assert (game["game_id"], game["game_status"], game["season_year"]) == ("0022300001", 1, 2023)
    assert game["tipoff_utc"] == datetime(2024, 7, 10, 23, 30, tzinfo=UTC)
    assert intake.notes == ("s.parquet: 2 games whose teams are not decided yet left out",)


def test_it_rejects_a_final_game_in_the_future(tmp_path: Path) -> None:
    with rejected("s.csv, row 1, column game_date: '2024-07-01'", "said to be final"):
        take(as_csv(tmp_path / "s.csv", [schedule_row(1, "CHI", "DET", game_date=date(2024, 7, 1))]))


def test_it_rejects_a_schedule_that_has_a_game_twice(tmp_path: Path) -> None:
    rows = [schedule_row(1, "CHI", "DET"), schedule_row(1, "CHI", "DET")]
    with rejected("s.csv, row 2, column game_id: '0022300001' repeats row 1"):
        take(as_csv(tmp_path / "s.csv", rows))


def test_it_rejects_two_ids_for_one_game(tmp_path: Path) -> None:
    rows = [schedule_row(1, "CHI", "DET"), schedule_row(2, "CHI", "DET")]
    with rejected("row 1, column game_id", "is one of two games DET at CHI on 2023-11-01"):
        take(as_csv(tmp_path / "s.csv", rows))


def test_it_rejects_a_tip_off_that_cannot_be(tmp_path: Path) -> None:
    rows = [snapshot_row(1, "CHI", "DET"), snapshot_row(2, "BOS", "NYK", tipoff_utc=datetime(9999, 1, 1, tzinfo=UTC))]
    with rejected("s.parquet, row 2, column tipoff_utc: 9999-01-01", "more than 500 days after today"):
        take(as_parquet(tmp_path / "s.parquet", rows))


def test_the_same_schedule_twice_is_taken_once_and_another_result_is_rejected(tmp_path: Path) -> None:
    as_csv(tmp_path / "a.csv", [schedule_row(1, "CHI", "DET")])
    as_csv(tmp_path / "b.csv", [schedule_row(1, "CHI", "DET"), schedule_row(2, "BOS", "NYK")])
    assert len(dicts(take(tmp_path), "schedule")) == 2
    as_csv(tmp_path / "c.csv", [schedule_row(2, "BOS", "NYK", home_pts=99)])
    with rejected("c.csv, row 1, column home_pts: 99 contradicts row 2 of b.csv, which has 110 for game 0022300002"):
        take(tmp_path)


# ------------------------------------------------------------------------------------------ shots and lines


@given(st.permutations(range(6)))
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_shot_numbers_do_not_depend_on_the_order_in_the_file(tmp_path: Path, order: list[int]) -> None:
    shots = [
        shot_row(5, 1, 700),
        shot_row(5, 1, 650),
        shot_row(4, 1, 650),
        shot_row(4, 2, 719, made=False),
        shot_row(4, 2, 719),
        shot_row(9, 1, 700, game_id="0022300062"),
    ]
    found = dicts(take(as_parquet(tmp_path / "s.parquet", [shots[i] for i in order])), "shots")
    keys = ("nba_game_id", "shot_number", "bdl_player_id", "period", "seconds_left", "is_made")
    assert [tuple(row[k] for k in keys) for row in found] == [
        ("0022300061", 1, 5, 1, 700, True),
        ("0022300061", 2, 4, 1, 650, True),
        ("0022300061", 3, 5, 1, 650, True),
        ("0022300061", 4, 4, 2, 719, False),
        ("0022300061", 5, 4, 2, 719, True),
        ("0022300062", 1, 9, 1, 700, True),
    ]


def test_a_game_of_shots_in_two_files_is_taken_once_if_it_is_the_same(tmp_path: Path) -> None:
    as_parquet(tmp_path / "a.parquet", [shot_row(1, 1, 700), shot_row(2, 1, 600)])
    as_parquet(tmp_path / "b.parquet", [shot_row(2, 1, 600), shot_row(1, 1, 700)])
    assert len(dicts(take(tmp_path), "shots")) == 2
    as_parquet(tmp_path / "c.parquet", [shot_row(2, 1, 600)])
    with rejected("c.parquet, row 1, column game_id: '0022300061' has 1 shots here", "a.parquet"):
        take(tmp_path)


def test_it_rejects_a_shot_on_another_date_than_its_game(tmp_path: Path) -> None:
    rows = [shot_row(1, 1, 700), shot_row(1, 1, 600, game_date=date(2023, 10, 25)), shot_row(1, 1, 500)]
    with rejected("row 2, column game_date: '2023-10-25'", "which is 2023-10-24"):
        take(as_parquet(tmp_path / "s.parquet", rows))


OTHER_BAD_CELLS = [
    ("shots", "period", 0, "'0' is outside 1..20"),
    ("shots", "secs_left", 721, "'721' is outside 0..720"),
    ("shots", "distance_ft", -1, "'-1' is outside 0..100"),
    ("shots", "made", "maybe", "'maybe' is not true or false"),
    ("shots", "three", "", "stands where a value is required"),
    ("shots", "basic_zone", None, "no value stands where a value is required"),
    ("shots", "player_id", "x", "'x' is not a player id"),
    ("shots", "season", "2022-23", "is not the season of game 0022300061"),
    ("shots", "game_date", "2024-07-01", "is after today"),
    ("schedule", "home_pts", "251", "'251' is outside 0..250"),
    ("schedule", "away_pts", "-1", "'-1' is outside 0..250"),
    ("schedule", "game_date", "2024-02-30", "is not a date that exists"),
    ("schedule", "original_date", "0023-11-01", "before the league's first game"),
    ("schedule", "home", "", "stands where a value is required"),
    ("schedule", "away", "CHI", "is the home team too"),
    ("schedule", "status", "", "stands where a value is required"),
    ("schedule", "game_id", "0042300001", ""),
    ("schedule", "scheduled_tipoff_utc", "soon", "'soon' is not a time"),
    ("snapshot", "game_status", 4, "'4' is outside 1..3"),
    ("snapshot", "game_date", "2034-07-10", "is more than 500 days after today"),
    ("props", "line", "many", "'many' is not a number"),
    ("props", "line", -0.5, "is outside 0..100"),
    ("props", "line", "inf", "'inf' is not a number"),
    ("props", "over_odds", 1.91, "1.91' is not a whole number of American odds"),
    ("props", "home", "Denver", "is not a team code of three letters"),
    ("props", "bookmaker", "", "stands where a value is required"),
    ("props", "market", "", "stands where a value is required"),
    ("props", "nba_game_id", "7", "is not a ten-digit NBA game id"),
    ("props", "snapshot", "late", "'late' is not a time"),
    ("props", "game_date", "2024-12-24", "is more than 60 days after today"),
    ("props", "postponed_that_day", "?", "is not true or false"),
]


@pytest.mark.parametrize(("layout", "column", "value", "sentence"), OTHER_BAD_CELLS)
def test_a_bad_cell_is_named_in_every_layout(
    tmp_path: Path, layout: str, column: str, value: Any, sentence: str
) -> None:
    rows = {
        "shots": [shot_row(1, 1, left) for left in (700, 650, 600)],
        "schedule": [schedule_row(number, "CHI", "DET", game_date=date(2023, 11, number)) for number in (1, 2, 3)],
        "snapshot": [snapshot_row(number, "CHI", "DET", game_date=date(2024, 7, number)) for number in (1, 2, 3)],
        "props": [prop_row("A B", 20.5 + number) for number in range(3)],
    }[layout]
    rows[1] |= {column: value}
    named = "stage" if column == "game_id" else column  # of two cells that contradict each other, one is named
    with rejected(f"x.csv, row 2, column {named}: ", sentence):
        take(as_csv(tmp_path / "x.csv", rows))


def test_of_several_quotes_of_a_line_the_latest_and_then_the_cheapest_stays(tmp_path: Path) -> None:
    rows = [
        prop_row("A B", 24.5, over_odds=-130, snapshot=None),
        prop_row("A B", 24.5, over_odds=-105, snapshot="2023-10-24T21:00:00Z"),
        prop_row("A B", 24.5, over_odds=-115, snapshot="2023-10-24T21:00:00Z"),
        prop_row("A B", 25.5, over_odds=100),
        prop_row("A B", 24.5, bookmaker="underdog"),
    ]
    for name in ("a", "b"):  # also over files
        as_csv(tmp_path / f"{name}.csv", rows)
    intake = take(tmp_path)
    found = {(r["bookmaker"], r["points_line"]): r["over_price"] for r in dicts(intake, "prop_lines")}
    assert found == {("prizepicks", 24.5): -115, ("prizepicks", 25.5): 100, ("underdog", 24.5): -110}
    assert intake.notes == ("7 quotes replaced by a later or cheaper one of the same line",)


def test_lines_left_out_are_counted(tmp_path: Path) -> None:
    rows = [
        prop_row("Nikola Jokić", 24.5),
        prop_row("X", 5.5, market="player_assists"),
        prop_row("X", 20.5, postponed_that_day=True),
        prop_row(None, 20.5),
        prop_row("X", None),
    ]
    intake = take(as_parquet(tmp_path / "p.parquet", rows))
    (line,) = dicts(intake, "prop_lines")
    assert (line["game_id"], line["player_lookup"]) == ("20231024_LAL_DEN", "nikolajokic")
    assert intake.notes == (
        "p.parquet: 1 rows of other markets than player_points left out",
        "p.parquet: 1 lines on games postponed that day left out",
        "p.parquet: 2 rows without a player or a line left out",
    )


# ------------------------------------------------------------------------------------------ cells of the wild


@pytest.mark.parametrize("nothing", ["", "None", "nan", "NaN", "null", "<NA>", "NA", "  "])
def test_every_spelling_of_nothing_is_nothing(tmp_path: Path, nothing: str) -> None:
    rows = [row | {"OREB": nothing} for row in log_game()]
    assert {r["offensive_rebounds"] for r in dicts(take(as_csv(tmp_path / "x.csv", rows)), "boxscores")} == {None}


def test_numbers_that_went_through_a_spreadsheet_are_read(tmp_path: Path) -> None:
    changes = {"PTS": "12.0", "PLAYER_ID": "1.0", "GAME_ID": "22300061.0", "SEASON_ID": "22023.0", "MIN": "30.0"}
    rows = [row | changes | {"PLAYER_ID": f"{row['PLAYER_ID']}.0"} for row in log_game()]
    found = dicts(take(as_csv(tmp_path / "x.csv", rows)), "boxscores")[0]
    assert (found["nba_game_id"], found["points"], found["season_year"]) == ("0022300061", 12, 2023)
    floats = [
        row | {"GAME_ID": 22300061.0, "PTS": 12.0, "SEASON_ID": 22023, "OREB": float("nan")} for row in log_game()
    ]
    assert dicts(take(as_parquet(tmp_path / "x.parquet", floats)), "boxscores")[0] == found | {
        "offensive_rebounds": None
    }


@pytest.mark.parametrize(
    "shape", ["bom", "crlf", "gzip", "semicolons", "blank lines", "shuffled", "lower case", "extra"]
)
def test_the_dress_of_a_csv_does_not_matter(tmp_path: Path, shape: str) -> None:
    plain = dicts(take(as_csv(tmp_path / "plain.csv", log_game(), lineterminator="\n")), "boxscores")
    path = tmp_path / "dressed.csv"
    text = (tmp_path / "plain.csv").read_text(encoding="utf-8")
    if shape == "bom":
        path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    elif shape == "crlf":
        path.write_bytes(text.replace("\n", "\r\n").encode())
    elif shape == "gzip":
        path = tmp_path / "dressed.csv.gz"
        path.write_bytes(gzip.compress(text.encode()))
    elif shape == "semicolons":
        as_csv(path, log_game(), delimiter=";")
    elif shape == "blank lines":
        path.write_text("\n" + text.replace("\n", "\n\n"), encoding="utf-8")
    elif shape == "shuffled":
        as_csv(path, [dict(reversed(row.items())) for row in log_game()])
    elif shape == "lower case":
        as_csv(path, [{f" {k.lower()}": v for k, v in row.items()} for row in log_game()])
    else:
        as_csv(path, [{"": i, "Unnamed: 0": i, **row, "note": "a, b"} for i, row in enumerate(log_game())])
    assert dicts(take(path), "boxscores") == plain


def test_parquet_with_dictionaries_large_strings_and_timestamps_is_read(tmp_path: Path) -> None:
    path = as_parquet(
        tmp_path / "x.parquet",
        box_game(),
        team=pa.dictionary(pa.int8(), pa.string()),
        player_name=pa.large_string(),
        game_date=pa.timestamp("ns"),
        opponent=pa.binary(),
        pts=pa.float64(),
        fgm=pa.decimal128(20, 0),
        player_id=pa.string(),
        home=pa.int8(),
        ast=pa.uint64(),
    )
    plain = as_parquet(tmp_path / "y.parquet", box_game())
    assert dicts(take(path), "boxscores") == dicts(take(plain), "boxscores")


# ------------------------------------------------------------------------------------------ bad cells

BAD_CELLS = [
    ("PTS", "abc", "'abc' is not a whole number"),
    ("PTS", "12.5", "'12.5' is not a whole number"),
    ("PTS", "0x1F", "'0x1F' is not a whole number"),
    ("PTS", "", "no value stands where a value is required"),
    ("PTS", "nan", "'nan' stands where a value is required"),
    ("PTS", "-4", "'-4' is outside 0..120"),
    ("PTS", "121", "'121' is outside 0..120"),
    ("PTS", "99999999999999999999", "is not a whole number"),
    ("AST", "-1", "'-1' is outside 0..50"),
    ("PLUS_MINUS", "-121", "'-121' is outside -120..120"),
    ("FGM", "3", "'3' made is more than the 2 attempted in FGA"),
    ("FG3M", "3", "attempted in FG3A"),
    ("FTM", "3", "attempted in FTA"),
    ("MIN", "-3", "'-3' is not minutes"),
    ("MIN", "12:75", "'12:75' is not minutes"),
    ("MIN", "101", "'101' is not minutes"),
    ("GAME_DATE", "2023-02-30", "is not a date that exists"),
    ("GAME_DATE", "0023-10-24", "before the league's first game"),
    ("GAME_DATE", "10/24/2023", "is not a date that exists"),
    ("GAME_DATE", "2023-10-24T23:30:00Z", "without a time of day"),
    ("GAME_DATE", "2024-07-01", "is after today (2024-06-30)"),
    ("GAME_DATE", "2022-10-24", "is not in the season that began in 2023"),
    ("GAME_DATE", "2023-10-25", "is not the date of game 0022300061, which is 2023-10-24"),
    ("GAME_DATE", "", "stands where a value is required"),
    ("GAME_ID", "61", "is not a ten-digit NBA game id"),
    ("GAME_ID", "1022300061", "is not a ten-digit NBA game id"),
    ("SEASON_ID", "99", "is not a season"),
    ("SEASON_ID", "22022", "is not the season of game 0022300061"),
    ("SEASON_ID", "42023", "contradicts game id 0022300061"),
    ("PLAYER_ID", "x", "is not a player id"),
    ("PLAYER_ID", "-1", "is not a player id"),
    ("PLAYER_ID", "", "stands where a value is required"),
    ("PLAYER_NAME", "", "stands where a value is required"),
    ("PLAYER_NAME", "Joki\ufffd", "is not a name"),
    ("TEAM_ABBREVIATION", "XXX", "is not the first team of the matchup"),
    ("TEAM_ABBREVIATION", "DENVER", "is not a team code of three letters"),
    ("MATCHUP", "DEN - LAL", "is not a matchup"),
    ("MATCHUP", "DEN vs. DEN", "is not a matchup"),
    ("MATCHUP", "DEN @ LAL", "'DEN @ LAL' makes LAL the home team of game 0022300061, where most rows say DEN"),
]


@pytest.mark.parametrize(("column", "value", "sentence"), BAD_CELLS)
def test_it_rejects_a_bad_cell_and_names_row_and_column(tmp_path: Path, column: str, value: str, sentence: str) -> None:
    rows = log_game()
    rows[1] |= {column: value}
    with rejected(f"log.csv, row 2, column {column}: ", sentence):
        take(as_csv(tmp_path / "log.csv", rows))


def test_it_rejects_a_file_with_negative_minutes_and_names_the_row(tmp_path: Path) -> None:
    with rejected("box.parquet, row 3, column minutes: -5 is not minutes from 0 to 100"):
        take(as_parquet(tmp_path / "box.parquet", box_game(minutes=[5, 6, -5, 7])))


def test_rows_are_counted_in_the_file_even_after_rows_were_left_out(tmp_path: Path) -> None:
    rows = [log_row(8, "DEN", SEASON_ID="12023", GAME_ID="0012300001"), *log_game(PTS="abc")]
    with rejected("log.csv, row 2, column PTS: 'abc'"):
        take(as_csv(tmp_path / "log.csv", rows))


def test_it_rejects_a_player_twice_in_a_game(tmp_path: Path) -> None:
    rows = [*log_game(), log_row(1, "DEN")]
    with rejected("row 5, column PLAYER_ID: 1 repeats row 1: player 1 in game 0022300061 is there twice"):
        take(as_csv(tmp_path / "log.csv", rows))


def test_it_rejects_a_game_with_one_team(tmp_path: Path) -> None:
    with rejected("row 1, column GAME_ID: '0022300061' has players of DEN only"):
        take(as_csv(tmp_path / "log.csv", log_game()[:2]))


def test_it_rejects_a_row_of_a_team_that_does_not_play(tmp_path: Path) -> None:
    with rejected("row 4, column team: 'BOS' is neither the home team DEN nor the away team LAL of game 0022300061"):
        take(as_parquet(tmp_path / "x.parquet", [*box_game()[:3], box_row(4, "BOS", home=False)]))


def test_it_rejects_a_row_with_a_wrong_opponent(tmp_path: Path) -> None:
    with rejected("row 4, column opponent: 'BOS' is neither"):
        take(as_parquet(tmp_path / "x.parquet", box_game(opponent=["LAL", "LAL", "DEN", "BOS"])))


def test_it_rejects_a_game_with_two_home_teams(tmp_path: Path) -> None:
    with rejected("row 4, column home: True makes LAL the home team of game 0022300061, where most rows say DEN"):
        take(as_parquet(tmp_path / "x.parquet", box_game(home=[True, True, False, True])))


def test_it_rejects_a_score_that_only_the_sum_shows_to_be_impossible(tmp_path: Path) -> None:
    with rejected("column home_team_score: 420 came out for 0022300061, boxscores, where the table takes 0..250"):
        take(
            as_parquet(tmp_path / "x.parquet", [box_row(9, "LAL"), *(box_row(p, "DEN", pts=105) for p in range(1, 5))])
        )


def test_it_lists_ten_problems_and_counts_the_rest(tmp_path: Path) -> None:
    rows = [log_row(p, "DEN" if p % 2 else "LAL", PTS=-1) for p in range(1, 26)]
    with pytest.raises(RejectedFile) as caught:
        take(as_csv(tmp_path / "log.csv", rows))
    lines = str(caught.value).splitlines()
    assert [re.search(r"row (\d+)", line)[1] for line in lines[:10]] == [str(n) for n in range(1, 11)]  # type: ignore[index]
    assert lines[10:] == ["log.csv: and 15 more problems of this file"]


def test_every_bad_file_of_a_folder_is_named(tmp_path: Path) -> None:
    as_csv(tmp_path / "a.csv", log_game(PTS="abc"))
    (tmp_path / "b.csv").write_bytes(b"")
    with rejected("a.csv, row 1, column PTS", "b.csv: is empty (0 bytes)"):
        take(tmp_path)


# ------------------------------------------------------------------------------------------ several files


def test_the_same_rows_in_two_files_are_taken_once(tmp_path: Path) -> None:
    as_csv(tmp_path / "a.csv", log_game())
    as_parquet(tmp_path / "b.parquet", log_game())
    raw = rows_of(take(tmp_path), "boxscores")
    assert (raw.rows.num_rows, raw.source) == (4, "a.csv, b.parquet")


def test_two_files_that_contradict_each_other_are_rejected(tmp_path: Path) -> None:
    as_csv(tmp_path / "a.csv", log_game())
    as_csv(tmp_path / "b.csv", log_game(PTS=7))
    with rejected(
        "b.csv, row 1, column PTS: 7 contradicts row 1 of a.csv, which has 2 for player 1 in game 0022300061"
    ):
        take(tmp_path)


def test_a_schedule_and_box_scores_stand_side_by_side(tmp_path: Path) -> None:
    as_parquet(tmp_path / "a.parquet", box_game())
    as_parquet(
        tmp_path / "b.parquet", [schedule_row(61, "DEN", "LAL", game_date=date(2023, 10, 24), original_date=None)]
    )
    found = dicts(take(tmp_path), "schedule")
    assert [(r["game_id"], r["data_source"]) for r in found] == [
        ("0022300061", "boxscores"),
        ("0022300061", "schedule"),
    ]


def test_what_a_folder_holds_besides_is_listed_with_the_reason(tmp_path: Path) -> None:
    as_csv(tmp_path / "box.csv", log_game())
    as_csv(tmp_path / "other.csv", [{"team": "DEN", "wins": 3}])
    as_csv(tmp_path / "teams.csv", [{k: v for k, v in log_row(1, "DEN").items() if not k.startswith("PLAYER")}])
    (tmp_path / "README.md").write_text("hello", encoding="utf-8")
    (tmp_path / "old").mkdir()
    reasons = {each.file: each.reason for each in take(tmp_path).skipped}
    assert set(reasons) == {"other.csv", "teams.csv", "README.md", "old"}
    assert "layout that is not known" in reasons["other.csv"]
    assert "game log of teams" in reasons["teams.csv"]


def test_a_file_that_lacks_a_column_is_rejected_in_a_folder_too(tmp_path: Path) -> None:
    as_csv(tmp_path / "box.csv", log_game())
    as_csv(tmp_path / "more.csv", [{k: v for k, v in row.items() if k not in ("PTS", "MIN")} for row in log_game()])
    with rejected("more.csv: looks like nba_api LeagueGameLog (players) and lacks the columns min, pts"):
        take(tmp_path)


# ------------------------------------------------------------------------------------------ bad files


def test_a_league_log_without_names_does_not_pass_as_a_players_own_log(tmp_path: Path) -> None:
    rows = [{k: v for k, v in row.items() if k != "PLAYER_NAME"} for row in log_game()]
    with rejected("lacks the column player_name"):
        take(as_csv(tmp_path / "x.csv", rows))


def test_a_game_log_of_teams_is_refused_with_the_way_to_get_players(tmp_path: Path) -> None:
    rows = [{k: v for k, v in row.items() if not k.startswith("PLAYER")} for row in log_game()]
    with rejected("teams.csv: is a game log of teams", "player_or_team_abbreviation='P'"):
        take(as_csv(tmp_path / "teams.csv", rows))


def test_an_unknown_layout_is_compared_with_the_nearest_known_one(tmp_path: Path) -> None:
    with rejected("x.csv: has a layout that is not known; the nearest is shots", "basic_zone"):
        take(
            as_csv(tmp_path / "x.csv", [{"game_id": 1, "game_date": 1, "period": 1, "player_id": 2, "distance_ft": 3}])
        )


def test_a_column_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    with rejected("x.csv: has the column pts 2 times"):
        take(as_csv(tmp_path / "x.csv", [row | {"pts": 3} for row in log_game()]))


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("x.csv", b"", "is empty (0 bytes)"),
        ("x.csv", b"\xef\xbb\xbf\r\n\r\n", "is empty (no header and no rows)"),
        ("x.parquet", b"", "is empty (0 bytes)"),
        ("x.parquet", b"PAR1 and then nothing", "truncated or damaged parquet"),
        ("x.parquet", b"a,b\n1,2\n", "is not a parquet file"),
        ("x.csv", b"PK\x03\x04rest", "zip or Excel"),
        ("x.csv", "a,b\n1,2\n".encode("utf-16"), "UTF-16"),
        ("x.csv", b"a,b\n1,\x00\n", "zero bytes"),
        ("x.csv.gz", gzip.compress(b"a,b\n1,2\n" * 99, mtime=0)[:-9], "truncated or damaged gzip"),
    ],
)
def test_a_file_that_cannot_be_read_is_rejected(tmp_path: Path, name: str, content: bytes, sentence: str) -> None:
    (tmp_path / name).write_bytes(content)
    with rejected(f"{name}: ", sentence):
        take(tmp_path / name)


def test_a_parquet_file_cut_anywhere_is_rejected(tmp_path: Path) -> None:
    whole = as_parquet(tmp_path / "whole.parquet", box_game()).read_bytes()
    for length in range(4, len(whole), 97):
        (tmp_path / "cut.parquet").write_bytes(whole[:length])
        with rejected("cut.parquet: "):
            take(tmp_path / "cut.parquet")


def test_a_parquet_file_with_a_flipped_byte_never_ends_in_another_error(tmp_path: Path) -> None:
    whole = as_parquet(tmp_path / "whole.parquet", box_game()).read_bytes()
    for position in range(4, len(whole), 41):
        (tmp_path / "bad.parquet").write_bytes(
            whole[:position] + bytes([whole[position] ^ 0x5A]) + whole[position + 1 :]
        )
        try:
            take(tmp_path / "bad.parquet")
        except RejectedFile as error:
            assert "bad.parquet" in str(error)  # noqa: PT017 - a flip in a statistic is harmless, so no error is fine


def test_a_header_without_rows_is_rejected(tmp_path: Path) -> None:
    path = as_csv(tmp_path / "x.csv", log_game())
    path.write_text(path.read_text(encoding="utf-8").splitlines()[0], encoding="utf-8")
    with rejected("x.csv: has a header and no rows"):
        take(path)
    with rejected("y.parquet: has a header and no rows"):
        empty = pa.Table.from_pylist(box_game()).slice(0, 0)
        pq.write_table(empty, tmp_path / "y.parquet")
        take(tmp_path / "y.parquet")


def test_ragged_rows_are_rejected_with_their_numbers(tmp_path: Path) -> None:
    path = as_csv(tmp_path / "x.csv", log_game())
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join([*lines[:2], lines[2] + ",extra", lines[3], lines[4][:40]]), encoding="utf-8")
    with rejected("x.csv, row 2: has 30 cells where the header has 29", "x.csv, row 4: has "):
        take(path)


def test_a_wrong_encoding_is_rejected_with_the_row(tmp_path: Path) -> None:
    path = as_csv(tmp_path / "x.csv", log_game(PLAYER_NAME="Nikola Jokic"))
    path.write_bytes(path.read_bytes().replace(b"Player Number 3", "Dennis Schröder".encode("latin-1")))
    with rejected("x.csv: row 3 is not encoded in UTF-8", "Schr"):
        take(path)


def test_what_is_no_file_is_rejected(tmp_path: Path) -> None:
    with rejected("does not exist"):
        take(tmp_path / "nothing.csv")
    with rejected("holds nothing to load"):
        take(tmp_path)


def test_a_pipeline_that_declares_what_no_file_fills_is_refused() -> None:
    from gapless.errors import BadInput
    from gapless.files.contract import conform

    boxscores = PIPELINE.processor("boxscores")
    wanted = replace_columns(boxscores, {"points": "NUMERIC(5,1)"})
    with pytest.raises(BadInput, match="declared NUMERIC"):
        conform("boxscores", wanted, {"game_id": pa.array(["x"])}, "x.csv")


def replace_columns(processor: Any, types: Mapping[str, str]) -> Any:
    columns = {name: processor.columns[name]._replace(type=kind) for name, kind in types.items()}
    return processor.model_copy(update={"columns": columns})


# ------------------------------------------------------------------------------------------ properties

SMALL = st.integers(0, 10)
COUNTED = st.fixed_dictionaries(
    {name: SMALL for name in COUNTS if not name.startswith("f")}
    | {"plus_minus": st.integers(-60, 60), "minutes": st.integers(0, 60)}
)
NAMES = st.text(
    st.characters(codec="utf-8", categories=("L", "N"), exclude_characters="\ufffd"), min_size=1, max_size=12
)


@st.composite
def box_scores(draw: st.DrawFn) -> list[Row]:
    """One to three whole games of one season, with every count possible."""
    rows: list[Row] = []
    for game in range(draw(st.integers(1, 3))):
        day = date(2023, 11, 1 + draw(st.integers(0, 20)))
        home, away = (("DEN", "LAL"), ("NJN", "SEA"), ("BOS", "VAN"))[game]
        for team in (home, away):
            for number in range(draw(st.integers(1, 3))):
                counts = draw(COUNTED)
                for kind in ("fg", "fg3", "ft"):
                    counts[f"{kind}a"] = draw(SMALL)
                    counts[f"{kind}m"] = draw(st.integers(0, counts[f"{kind}a"]))
                identity = 1000 * game + 100 * (team == home) + number + 1
                facts = {"game_id": f"00223000{game:02d}", "game_date": day, "home": team == home, "team": team}
                facts |= {"opponent": away if team == home else home, "player_name": f"P{identity}{draw(NAMES)}"}
                rows.append(box_row(identity, team) | facts | counts)
    return draw(st.permutations(rows))


DAMAGE: dict[str, Sequence[Any]] = {
    **dict.fromkeys(COUNTS, ("abc", "-1", "1.5", "999")),
    "pts": ("abc", "-1", "1.5", "999", ""),
    "plus_minus": ("abc", "-999", "1.5"),
    "minutes": ("abc", "-1", "999", "12:99"),
    "game_date": ("2023-02-30", "0023-11-01", "2999-01-01", "yesterday", ""),
    "game_id": ("", "abc", "12", "9922300000"),
    "season": ("", "2023", "2023-25", "2021-22"),
    "season_type": ("Playoffs", "Summer"),
    "player_id": ("", "abc", "-3", "1.5"),
    "player_name": ("", "Jos\ufffd"),
    "team": ("", "DENVER", "D3N"),
    "opponent": ("", "LALA"),
    "home": ("", "perhaps", "2"),
}


@contextmanager
def folder() -> Iterator[Path]:
    with TemporaryDirectory() as name:
        yield Path(name)


@given(box_scores(), st.sampled_from(["csv", "parquet"]))
@settings(max_examples=40, deadline=None)
def test_whole_games_come_out_as_they_went_in(rows: list[Row], form: str) -> None:
    with folder() as here:
        path = (as_csv if form == "csv" else as_parquet)(here / f"x.{form}", rows)
        intake = take(path)
    out = {r["bdl_player_id"]: r for r in dicts(intake, "boxscores")}
    assert len(out) == len(rows)
    names = {"points": "pts", "field_goals_made": "fgm", "rebounds": "reb", "plus_minus": "plus_minus"}
    names |= {"player_full_name": "player_name", "nba_game_id": "game_id", "game_date": "game_date"}
    for row in rows:
        found = out[row["player_id"]]
        assert {k: found[k] for k in names} == {k: row[v] for k, v in names.items()}
        assert found["minutes"] == str(row["minutes"])
        assert found["home_team_abbr"] == (row["team"] if row["home"] else row["opponent"])
    games = dicts(intake, "schedule")
    assert sum(g["home_team_score"] + g["away_team_score"] for g in games) == sum(r["pts"] for r in rows)
    assert rows_of(intake, "boxscores").dates == tuple(sorted({r["game_date"] for r in rows}))


@given(box_scores(), st.data())
@settings(max_examples=150, deadline=None)
def test_one_damaged_cell_is_found_at_its_row_and_column(rows: list[Row], data: st.DataObject) -> None:
    number = data.draw(st.integers(0, len(rows) - 1))
    column = data.draw(st.sampled_from(sorted(DAMAGE)))
    value = data.draw(st.sampled_from(DAMAGE[column]))
    if column == "season" and value == "2023":
        value = "2024"
    damaged = [row | {column: value} if i == number else row for i, row in enumerate(rows)]
    with folder() as here, pytest.raises(RejectedFile) as caught:
        take(as_csv(here / "x.csv", damaged))
    message = str(caught.value)
    assert re.search(rf"^x\.csv, row {number + 1}, column {column}: ", message, re.MULTILINE), message
    assert all(line.startswith(f"x.csv, row {number + 1}, ") for line in message.splitlines()), message
