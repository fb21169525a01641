"""The file layouts that the intake knows, recognised by their columns and never by a file's name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gapless.errors import RejectedFile
from gapless.files.problems import reject

_LIKELY = 0.6  # with this share of a layout's columns a file was meant to be one, and the rest is missing


class UnknownLayout(RejectedFile):
    """The columns are those of no file that the intake loads."""


@dataclass(frozen=True)
class Layout:
    """One kind of file: which column holds which field. `a|b` stands for either column."""

    name: str
    processor: str
    needs: Mapping[str, str]
    may: Mapping[str, str] = field(default_factory=dict)
    marks: frozenset[str] = frozenset()  # without any of these it is some other kind of file
    never: frozenset[str] = frozenset()  # with one of these it is some other kind of file

    def fits(self, columns: frozenset[str]) -> bool:
        return bool(self.marks & columns) and not self.never & columns

    def lacks(self, columns: frozenset[str]) -> list[str]:
        """The needed columns that are not there."""
        return [column for column in self.needs.values() if not columns & set(column.split("|"))]

    def share(self, columns: frozenset[str]) -> float:
        return 1 - len(self.lacks(columns)) / len(self.needs)


_COUNTS = {
    "points": "pts",
    "field_goals_made": "fgm",
    "field_goals_attempted": "fga",
    "three_pointers_made": "fg3m",
    "three_pointers_attempted": "fg3a",
    "free_throws_made": "ftm",
    "free_throws_attempted": "fta",
    "offensive_rebounds": "oreb",
    "defensive_rebounds": "dreb",
    "rebounds": "reb",
    "assists": "ast",
    "steals": "stl",
    "blocks": "blk",
    "turnovers": "tov",
    "personal_fouls": "pf",
    "plus_minus": "plus_minus",
}
COUNTS = tuple(_COUNTS)
_GAME_LOG = {
    "season": "season_id|season_year",
    "nba_game_id": "game_id",
    "game_date": "game_date",
    "bdl_player_id": "player_id",
    "matchup": "matchup",
    "minutes": "min",
    **_COUNTS,
}

LAYOUTS = (
    Layout(
        "player box scores",
        "boxscores",
        {
            "season": "season",
            "nba_game_id": "game_id",
            "game_date": "game_date",
            "bdl_player_id": "player_id",
            "player_full_name": "player_name",
            "team": "team",
            "opponent": "opponent",
            "home": "home",
            "minutes": "minutes",
            **_COUNTS,
        },
        may={"kind": "season_type"},
        marks=frozenset({"player_id", "player_name"}),
    ),
    Layout(
        "nba_api LeagueGameLog (players)",
        "boxscores",
        {**_GAME_LOG, "player_full_name": "player_name", "team": "team_abbreviation"},
        marks=frozenset({"player_id", "player_name"}),
    ),
    Layout(
        "nba_api PlayerGameLog",
        "boxscores",
        _GAME_LOG,
        may={"player_full_name": "player_name"},
        marks=frozenset({"player_id"}),
        # A league log that lost a column must not pass as a player's own log.
        never=frozenset({"team_abbreviation", "team_id", "team_name"}),
    ),
    Layout(
        "schedule",
        "schedule",
        {
            "season": "season",
            "nba_game_id": "game_id",
            "game_date": "game_date",
            "home": "home",
            "away": "away",
            "home_team_score": "home_pts",
            "away_team_score": "away_pts",
            "status_text": "status",
        },
        may={"kind": "stage", "original_date": "original_date", "tipoff_utc": "scheduled_tipoff_utc"},
        marks=frozenset({"status", "home_pts", "away_pts"}),
    ),
    Layout(
        "schedule snapshot",
        "schedule",
        {
            "season": "season_year",
            "nba_game_id": "game_id",
            "game_date": "game_date",
            "home": "home",
            "away": "away",
            "status": "game_status",
            "status_text": "game_status_text",
        },
        may={"tipoff_utc": "tipoff_utc", "home_team_score": "home_pts", "away_team_score": "away_pts"},
        marks=frozenset({"game_status", "game_status_text"}),
    ),
    Layout(
        "shots",
        "shots",
        {
            "nba_game_id": "game_id",
            "game_date": "game_date",
            "bdl_player_id": "player_id",
            "period": "period",
            "seconds_left": "secs_left",
            "is_made": "made",
            "is_three": "three",
            "basic_zone": "basic_zone",
            "distance_ft": "distance_ft",
        },
        may={"season": "season"},
        marks=frozenset({"secs_left", "basic_zone", "made"}),
    ),
    Layout(
        "player prop lines",
        "prop_lines",
        {
            "game_date": "game_date",
            "home": "home",
            "away": "away",
            "player_name": "player_name",
            "market": "market",
            "bookmaker": "bookmaker",
            "points_line": "line",
            "over_price": "over_odds",
            "under_price": "under_odds",
        },
        may={
            "nba_game_id": "nba_game_id",
            "postponed": "postponed_that_day",
            "player_id": "player_id",
            "snapshot": "snapshot",
        },
        marks=frozenset({"market", "bookmaker"}),
    ),
)


@dataclass(frozen=True)
class Match:
    """A file's layout, with the column of every field that the file has."""

    layout: Layout
    columns: Mapping[str, str]  # field -> column in lower case
    spelled: Mapping[str, str]  # column in lower case -> as the file spells it


def recognise(file: str, header: Sequence[str]) -> Match:
    """Find the layout of a header; raises `UnknownLayout`, or `RejectedFile` naming what a known one lacks."""
    lowered: dict[str, list[str]] = {}
    for column in header:
        lowered.setdefault(column.strip().lower(), []).append(column)
    columns = frozenset(lowered)
    layout = _layout(file, columns)
    chosen: dict[str, str] = {}
    for name, choice in {**layout.may, **layout.needs}.items():
        there = [column for column in choice.split("|") if column in columns]
        if there:
            chosen[name] = there[0]
    for column in chosen.values():
        if len(lowered[column]) > 1:
            reject(file, f"has the column {column} {len(lowered[column])} times; keep the right one")
    return Match(layout, chosen, {column: lowered[column][0] for column in chosen.values()})


def _layout(file: str, columns: frozenset[str]) -> Layout:
    fitting = [layout for layout in LAYOUTS if layout.fits(columns)]
    complete = [layout for layout in fitting if not layout.lacks(columns)]
    if complete:
        return max(complete, key=lambda layout: len(layout.needs))
    if {"matchup", "pts"} <= columns and not {"player_id", "player_name"} & columns:
        raise UnknownLayout(
            f"{file}: is a game log of teams, which has no players; fetch LeagueGameLog with "
            "player_or_team_abbreviation='P'"
        )
    nearest = max(fitting or LAYOUTS, key=lambda layout: layout.share(columns))
    if fitting and nearest.share(columns) >= _LIKELY:
        plural = "s" if len(nearest.lacks(columns)) > 1 else ""
        reject(
            file,
            f"looks like {nearest.name} and lacks the column{plural} {_listed(nearest, columns)}; add what is missing",
        )
    nearest = max(LAYOUTS, key=lambda layout: layout.share(columns))
    raise UnknownLayout(
        f"{file}: has a layout that is not known; the nearest is {nearest.name}, "
        f"and for that it lacks {_listed(nearest, columns)}"
    )


def _listed(layout: Layout, columns: frozenset[str]) -> str:
    return ", ".join(column.replace("|", " or ") for column in layout.lacks(columns))
