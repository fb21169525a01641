"""The generated season keeps the league's rules, adds up, and depends on nothing but its seed."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from statistics import mean
from typing import Any

import pyarrow.parquet as pq
import pytest

from gapless.errors import BadInput
from gapless.nba.sample.days import SeasonDays
from gapless.nba.sample.files import BOX, PROPS, SCHEDULE
from gapless.nba.sample.fixtures import pairings
from gapless.nba.sample.model import PLAYOFFS, REGULAR, SampleSeason
from gapless.nba.sample.people import FIRST_PLAYER_ID, player_lookup, rosters
from gapless.nba.sample.season import write_box_only, write_season
from gapless.nba.sample.teams import TEAM_IDS, TEAMS

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Written:
    season: SampleSeason
    box: Rows
    schedule: Rows
    props: Rows


def written(folder: Path, seed: int, year: int) -> Written:
    season = write_season(folder, seed, year)
    assert season.schedule is not None
    assert season.props is not None
    tables = (pq.read_table(path).to_pylist() for path in (season.box, season.schedule, season.props))
    return Written(season, *tables)


@pytest.fixture(scope="module", params=[(7, 2022), (8, 2023), (1, 2024)], ids=lambda pair: f"seed{pair[0]}-{pair[1]}")
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Written:
    return written(tmp_path_factory.mktemp("season"), *request.param)


@pytest.fixture(scope="module")
def season_2022(tmp_path_factory: pytest.TempPathFactory) -> Written:
    return written(tmp_path_factory.mktemp("season"), 7, 2022)


def regular(made: Written) -> Rows:
    return [row for row in made.schedule if row["stage"] == REGULAR]


def days_by_team(rows: Rows) -> dict[str, list[date]]:
    days: dict[str, list[date]] = defaultdict(list)
    for row in rows:
        for team in (row["home"], row["away"]):
            days[team].append(row["game_date"])
    return days


def longest_run(days: list[date]) -> int:
    longest = run = 1
    for before, after in pairwise(sorted(days)):
        run = run + 1 if (after - before).days == 1 else 1
        longest = max(longest, run)
    return longest


# ---------------------------------------------------------------- the calendar


def test_each_team_plays_82_games_and_41_at_home(made: Written) -> None:
    games = regular(made)
    assert len(games) == 1230
    assert {team: len(days) for team, days in days_by_team(games).items()} == dict.fromkeys(TEAMS, 82)
    assert Counter(row["home"] for row in games) == dict.fromkeys(TEAMS, 41)


def test_opponents_meet_as_often_as_the_league_has_them_meet() -> None:
    meetings = Counter(frozenset(pair) for pair in pairings())
    assert Counter(meetings.values()) == {4: 60 + 90, 3: 60, 2: 225}


def test_no_team_plays_twice_a_day_or_four_days_in_a_row(made: Written) -> None:
    for team, days in days_by_team(made.schedule).items():
        assert len(days) == len(set(days)), team
        assert longest_run(days) <= 3, team


def test_nobody_plays_on_the_days_that_the_league_keeps_free(made: Written) -> None:
    played = set(made.season.game_dates)
    assert not played & made.season.days.off_days
    assert not played & set(made.season.days.postponed_slates)


def test_no_date_has_more_than_fifteen_games(made: Written) -> None:
    assert max(made.season.games_on.values()) == made.season.games_on[made.season.days.regular_end] == 15


def test_the_calendar_of_2022_23_is_the_real_one() -> None:
    days = SeasonDays(2022)
    assert days.label == "2022-23"
    assert (days.opening, days.regular_end) == (date(2022, 10, 18), date(2023, 4, 9))
    assert (days.playoffs_start, days.playoffs_end) == (date(2023, 4, 15), date(2023, 6, 12))
    assert (days.all_star_break[0], days.all_star_break[-1]) == (date(2023, 2, 17), date(2023, 2, 22))
    assert {date(2022, 11, 8), date(2022, 11, 24), date(2022, 12, 24), date(2023, 4, 3)} < days.off_days


@pytest.mark.parametrize(
    ("year", "opening", "end"),
    [
        (2021, date(2021, 10, 19), date(2022, 4, 10)),
        (2023, date(2023, 10, 24), date(2024, 4, 14)),
        (2024, date(2024, 10, 22), date(2025, 4, 13)),
        (2025, date(2025, 10, 21), date(2026, 4, 12)),
    ],
)
def test_other_seasons_begin_and_end_when_they_really_did(year: int, opening: date, end: date) -> None:
    assert (SeasonDays(year).opening, SeasonDays(year).regular_end) == (opening, end)


@pytest.mark.parametrize("year", [0, 1999, 2100])
def test_a_season_outside_the_calendar_is_refused(year: int) -> None:
    with pytest.raises(BadInput, match=str(year)):
        SeasonDays(year)


# ---------------------------------------------------------------- postponements


def test_eleven_games_are_postponed_and_played_in_the_new_year(made: Written) -> None:
    moved = [row for row in made.schedule if row["change_kind"] == "postponed"]
    days = made.season.days
    assert len(moved) == len(made.season.postponed) == 11
    for row in moved:
        assert row["date_changed"]
        assert days.in_season(12, 16) <= row["original_date"] <= days.in_season(12, 30)
        assert days.in_season(1, 12) <= row["game_date"] < days.regular_end
    others = [row for row in regular(made) if row["change_kind"] is None]
    assert all(row["original_date"] == row["game_date"] and not row["date_changed"] for row in others)


def test_some_dates_lost_all_their_games_and_some_only_one(made: Written) -> None:
    originals = {fixture.original_day for fixture in made.season.postponed if fixture.original_day}
    whole = [day for day in originals if day not in made.season.games_on]
    partly = [day for day in originals if day in made.season.games_on]
    assert sorted(whole) == sorted(made.season.days.postponed_slates)
    assert sorted(partly) == sorted(made.season.days.postponed_singles)
    assert (len(whole), len(partly)) == (4, 3)


def test_game_ids_follow_the_schedule_as_it_was_first_published(made: Written) -> None:
    games = sorted(regular(made), key=lambda row: row["game_id"])
    assert games[0]["game_id"] == f"002{made.season.season % 100:02d}00001"
    assert [row["original_date"] for row in games] == sorted(row["original_date"] for row in games)


# ---------------------------------------------------------------- playoffs


def test_playoffs_are_four_rounds_of_best_of_seven(made: Written) -> None:
    series: dict[str, Rows] = defaultdict(list)
    for row in made.schedule:
        if row["stage"] == PLAYOFFS:
            series[row["game_id"][:9]].append(row)
    assert Counter(key[7] for key in series) == {"1": 8, "2": 4, "3": 2, "4": 1}
    assert 82 <= sum(map(len, series.values())) <= 90
    for games in series.values():
        games.sort(key=lambda row: row["game_id"])
        wins = Counter(row["home"] if row["home_pts"] > row["away_pts"] else row["away"] for row in games)
        last = games[-1]
        assert max(wins.values()) == 4
        assert wins.most_common(1)[0][0] == (last["home"] if last["home_pts"] > last["away_pts"] else last["away"])
        assert len({frozenset((row["home"], row["away"])) for row in games}) == 1
        assert [row["game_date"] for row in games] == sorted({row["game_date"] for row in games})


def test_playoffs_stay_within_their_two_months(made: Written) -> None:
    assert made.season.playoff_dates[0] == made.season.days.playoffs_start
    assert made.season.playoff_dates[-1] <= made.season.days.playoffs_end


# ---------------------------------------------------------------- box scores


def test_every_box_score_adds_up(made: Written) -> None:
    for row in made.box:
        assert row["pts"] == 2 * row["fgm"] + row["fg3m"] + row["ftm"]
        assert row["reb"] == row["oreb"] + row["dreb"]
        assert 0 <= row["fg3m"] <= row["fgm"] <= row["fga"]
        assert row["fg3m"] <= row["fg3a"] <= row["fga"]
        assert row["fgm"] - row["fg3m"] <= row["fga"] - row["fg3a"]
        assert 0 <= row["ftm"] <= row["fta"]
        assert 0 < row["minutes"] <= 53
        assert min(row[name] for name in ("oreb", "dreb", "ast", "stl", "blk", "tov")) >= 0
        assert 0 <= row["pf"] <= 6


def test_players_and_schedule_agree_on_every_game(made: Written) -> None:
    points: Counter[tuple[str, str]] = Counter()
    minutes: Counter[tuple[str, str]] = Counter()
    assists: Counter[tuple[str, str]] = Counter()
    for row in made.box:
        key = (row["game_id"], row["team"])
        points[key] += row["pts"]
        minutes[key] += row["minutes"]
        assists[key] += row["ast"] - row["fgm"]
    for game in made.schedule:
        assert points[game["game_id"], game["home"]] == game["home_pts"]
        assert points[game["game_id"], game["away"]] == game["away_pts"]
        assert game["home_pts"] != game["away_pts"]
        assert minutes[game["game_id"], game["home"]] == minutes[game["game_id"], game["away"]]
    assert set(minutes.values()) <= {240, 265}
    assert max(assists.values()) <= 0
    facts = {game["game_id"]: game for game in made.schedule}
    for row in made.box:
        game = facts[row["game_id"]]
        assert (row["game_date"], row["season_type"]) == (game["game_date"], game["stage"])
        assert (row["team"], row["opponent"]) in ((game["home"], game["away"]), (game["away"], game["home"]))
        assert row["home"] == (row["team"] == game["home"])
        assert (row["wl"] == "W") == ((game["home_pts"] > game["away_pts"]) == row["home"])
        assert row["team_id"] == TEAM_IDS[row["team"]]


def test_nine_to_eleven_players_appear_for_a_team_and_none_twice(made: Written) -> None:
    appearing: dict[tuple[str, str], list[int]] = defaultdict(list)
    for row in made.box:
        appearing[row["game_id"], row["team"]].append(row["player_id"])
    assert {len(players) for players in appearing.values()} == {9, 10, 11}
    assert all(len(players) == len(set(players)) for players in appearing.values())


def test_totals_look_like_those_of_the_league(made: Written) -> None:
    games = 2 * len(made.schedule)
    a_team = {name: sum(row[name] for row in made.box) / games for name in ("pts", "fga", "fg3a", "fta", "reb", "ast")}
    assert a_team == pytest.approx(
        {"pts": 114.4, "fga": 88.2, "fg3a": 34.2, "fta": 23.4, "reb": 43.4, "ast": 25.2}, rel=0.06
    )
    assert 0.53 < mean(row["home_pts"] > row["away_pts"] for row in made.schedule) < 0.64
    assert max(row["pts"] for row in made.box) <= 80


def test_earlier_games_say_something_about_the_next(made: Written) -> None:
    """A mean of the last ten games must explain a good part of the points, or no forecast could be graded."""
    past: dict[int, list[int]] = defaultdict(list)
    pairs = []
    for row in sorted(made.box, key=lambda row: (row["game_date"], row["game_id"])):
        history = past[row["player_id"]]
        if len(history) >= 10:
            pairs.append((mean(history[-10:]), row["pts"]))
        history.append(row["pts"])
    forecast, actual = mean(pair[0] for pair in pairs), mean(pair[1] for pair in pairs)
    shared = sum((x - forecast) * (y - actual) for x, y in pairs)
    spread = sum((x - forecast) ** 2 for x, _ in pairs) * sum((y - actual) ** 2 for _, y in pairs)
    assert 0.5 < shared / spread**0.5 < 0.9


def test_the_two_dates_of_the_partial_backfill_have_187_and_175_players(made: Written) -> None:
    counts = Counter(row["game_date"] for row in made.box)
    assert [counts[day] for day in made.season.days.after_break] == [187, 175]
    assert made.season.players_on == counts
    assert made.season.player_rows == len(made.box)


def test_in_2022_23_these_dates_are_23_and_24_february(season_2022: Written) -> None:
    assert season_2022.season.players_on[date(2023, 2, 23)] == 187
    assert season_2022.season.players_on[date(2023, 2, 24)] == 175


def test_the_dates_that_incidents_name_have_games(made: Written) -> None:
    named = [(12, 4), (12, 23), (12, 31), (1, 8), (1, 9), (1, 10), (1, 11)]
    assert all(made.season.days.in_season(*day) in made.season.games_on for day in named)


# ---------------------------------------------------------------- points lines


def test_the_first_two_months_have_no_points_lines(made: Written) -> None:
    days = [row["game_date"] for row in made.props]
    assert made.season.days.opening + timedelta(days=50) < min(days) == made.season.days.first_odds
    assert max(days) == made.season.days.regular_end
    assert len(made.props) == made.season.prop_rows > 10_000


def test_a_points_line_is_unique_and_near_what_the_player_scores(made: Written) -> None:
    keys = [(row["nba_game_id"], row["game_date"], row["player_id"], row["bookmaker"]) for row in made.props]
    assert len(keys) == len(set(keys))
    assert all(row["line"] % 1 == 0.5 for row in made.props)
    points = {(row["game_id"], row["player_id"]): row["pts"] for row in made.box}
    errors = [
        points[row["nba_game_id"], row["player_id"]] - row["line"]
        for row in made.props
        if (row["nba_game_id"], row["player_id"]) in points
    ]
    assert len(errors) > 0.9 * len(made.props)
    assert abs(mean(errors)) < 1.5


def test_a_postponed_game_had_lines_on_the_day_first_published(made: Written) -> None:
    called_off = {(row["nba_game_id"], row["game_date"]) for row in made.props if row["postponed_that_day"]}
    expected = {
        (fixture.game_id, fixture.original_day)
        for fixture in made.season.postponed
        if fixture.original_day is not None and fixture.original_day >= made.season.days.first_odds
    }
    assert called_off == expected != set()
    assert all(0 <= (row["commence_utc"].date() - row["game_date"]).days <= 1 for row in made.props)


# ---------------------------------------------------------------- files and people


def test_the_files_have_the_columns_of_public_nba_data(made: Written) -> None:
    season = made.season
    assert [path.name for path in (season.box, season.schedule, season.props) if path] == [
        f"player_box_{season.label}.parquet",
        "schedule.parquet",
        f"player_props_{season.label}.parquet",
    ]
    for path, schema in ((season.box, BOX), (season.schedule, SCHEDULE), (season.props, PROPS)):
        assert pq.read_schema(path).equals(schema)


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path, season_2022: Written) -> None:
    again = write_season(tmp_path, 7, 2022)
    for path, first in (
        (again.box, season_2022.season.box),
        (again.schedule, season_2022.season.schedule),
        (again.props, season_2022.season.props),
    ):
        assert path is not None
        assert first is not None
        assert path.read_bytes() == first.read_bytes()


def test_another_seed_gives_another_season(tmp_path: Path, season_2022: Written) -> None:
    assert write_box_only(tmp_path, 8, 2022).box.read_bytes() != season_2022.season.box.read_bytes()


def test_box_scores_alone_are_those_of_the_whole_season(tmp_path: Path, season_2022: Written) -> None:
    alone = write_box_only(tmp_path, 7, 2022)
    assert [path.name for path in tmp_path.iterdir()] == ["player_box_2022-23.parquet"]
    assert alone.box.read_bytes() == season_2022.season.box.read_bytes()
    assert (alone.schedule, alone.props, alone.prop_rows) == (None, None, 0)


def test_a_folder_keeps_the_schedules_of_all_its_seasons(tmp_path: Path) -> None:
    for year in (2023, 2022, 2023):
        season = write_season(tmp_path, 7, year)
    assert season.schedule is not None
    rows = pq.read_table(season.schedule).to_pylist()
    assert set(Counter(row["season"] for row in rows)) == {"2022-23", "2023-24"}
    assert len({row["game_id"] for row in rows}) == len(rows) > 2 * 1300
    assert len(list(tmp_path.glob("player_box_*"))) == 2


def test_a_foreign_schedule_is_left_alone(tmp_path: Path) -> None:
    foreign = tmp_path / "schedule.parquet"
    pq.write_table(pq.read_table(write_box_only(tmp_path / "other").box), foreign)
    before = foreign.read_bytes()
    with pytest.raises(BadInput, match="folder of its own"):
        write_season(tmp_path)
    assert foreign.read_bytes() == before


def test_players_keep_their_ids_and_most_keep_their_team() -> None:
    before, after = rosters(2022, 7), rosters(2023, 7)
    team_before = {player.player_id: (player.name, team) for team in TEAMS for player in before[team].players}
    team_after = {player.player_id: (player.name, team) for team in TEAMS for player in after[team].players}
    both = team_before.keys() & team_after.keys()
    assert all(team_before[player][0] == team_after[player][0] for player in both)
    assert len(both) > 0.8 * len(team_before)
    stayed = sum(team_before[player][1] == team_after[player][1] for player in both) / len(both)
    assert 0.6 < stayed < 1


def test_no_two_players_share_a_name_and_none_has_the_id_of_a_real_one() -> None:
    players = [player for team in rosters(2024, 7).values() for player in team.players]
    assert len({player_lookup(player.name) for player in players}) == len(players)
    assert min(player.player_id for player in players) >= FIRST_PLAYER_ID
    assert {len(team.players) for team in rosters(2024, 7).values()} == {13, 14, 15}
