"""Box scores: one row per player and game, and the finished games that they imply."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from gapless.files import cells
from gapless.files.arrow import Array, Table, any_of, flat, pa, pc, repeated
from gapless.files.contract import Processor
from gapless.files.kinds import Kind, Notes
from gapless.files.layouts import Layout, Lookalike
from gapless.files.merge import one_row_per_key
from gapless.files.sheet import Sheet
from gapless.nba.files.games import (
    PLAYOFFS,
    REGULAR,
    analytics_ids,
    lookups,
    read_games,
    read_team,
    without_exhibitions,
)

_SIDES = pa.struct([("team", pa.string()), ("opponent", pa.string()), ("home", pa.bool_())])
_SHOTS = ("field_goals", "three_pointers", "free_throws")
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
_GAME_LOG = {
    "season": "season_id|season_year",
    "nba_game_id": "game_id",
    "game_date": "game_date",
    "bdl_player_id": "player_id",
    "matchup": "matchup",
    "minutes": "min",
    **_COUNTS,
}

_LAYOUTS = (
    Layout(
        "player box scores",
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
        {**_GAME_LOG, "player_full_name": "player_name", "team": "team_abbreviation"},
        marks=frozenset({"player_id", "player_name"}),
    ),
    Layout(
        "nba_api PlayerGameLog",
        _GAME_LOG,
        may={"player_full_name": "player_name"},
        marks=frozenset({"player_id"}),
        # A league log that lost a column must not pass as a player's own log.
        never=frozenset({"team_abbreviation", "team_id", "team_name"}),
    ),
)
# The same source's log of teams has the same statistics.
_TEAM_LOG = Lookalike(
    has=frozenset({"matchup", "pts"}),
    has_none_of=frozenset({"player_id", "player_name"}),
    sentence="is a game log of teams, which has no players; fetch LeagueGameLog with player_or_team_abbreviation='P'",
)
_LONGEST = 100  # minutes; the longest game ever, with six overtimes, had 78
_KEY = ("nba_game_id", "bdl_player_id")


def _parse(sheet: Sheet, declared: Processor, today: date) -> tuple[Table, Notes]:
    """The rows of one file, checked one by one, with notes on what was left out."""
    sheet, notes = without_exhibitions(sheet)
    columns = declared.columns
    game = read_games(
        sheet,
        columns.get("season_year"),
        today,
        f"is after today ({today}), and a box score is of a played game; correct the date",
    )
    players = sheet.read("bdl_player_id", cells.whole, "a player id", required=True)
    sheet.blame(pc.less_equal(players, 0), "bdl_player_id", "is not a player id; correct it")
    team, opponent, home = _sides(sheet)
    counts = {name: sheet.read(name, cells.whole, "a whole number", declared=columns.get(name)) for name in _COUNTS}
    for kind in _SHOTS:
        made, attempted = counts[f"{kind}_made"], counts[f"{kind}_attempted"]
        sheet.blame(pc.greater(made, attempted), f"{kind}_made", _more_than(sheet, f"{kind}_attempted", attempted))
    lines = {
        "sheet": pa.repeat(pa.scalar(sheet.number, pa.int64()), len(players)),
        "row": sheet.rows,
        **game._asdict(),
        "bdl_player_id": players,
        "player_full_name": _names(sheet, players),
        "team": team,
        "opponent": opponent,
        "home": home,
        "home_team": pc.if_else(home, team, opponent),
        "away_team": pc.if_else(home, opponent, team),
        "minutes": sheet.words(
            "minutes",
            _minutes,
            pa.string(),
            f"minutes from 0 to {_LONGEST}, as 34 or 34:12",
            required=False,
            spelling=cells.number_text,
        ),
        **counts,
    }
    return pa.table(lines), notes


def _more_than(sheet: Sheet, field: str, attempted: Array) -> Any:
    return lambda row: (
        f"made is more than the {attempted[row]} attempted in {sheet.spelled(field)}; correct one of them"
    )


def _names(sheet: Sheet, players: Array) -> Array:
    by_id = pc.binary_join_element_wise("Player", players.cast(pa.string()), " ")
    if not sheet.has("player_full_name"):
        return by_id  # a player's own log does not say whose it is but by id
    return sheet.read("player_full_name", cells.text, "a name", required=True)


def _sides(sheet: Sheet) -> tuple[Array, Array, Array]:
    """Team, opponent and whether the team is at home."""
    if not sheet.has("matchup"):
        team, opponent = read_team(sheet, "team"), read_team(sheet, "opponent")
        sheet.blame(pc.equal(team, opponent), "opponent", "is the player's own team; correct one of them")
        return team, opponent, sheet.read("home", cells.flag, "true or false", required=True)
    sides = sheet.words("matchup", _matchup, _SIDES, "a matchup such as 'DEN vs. LAL' or 'LAL @ DEN'")
    team, opponent, home = (pc.struct_field(sides, name) for name in ("team", "opponent", "home"))
    if sheet.has("team"):
        said = read_team(sheet, "team")
        matchups = sheet.raw("matchup")
        sheet.blame(
            pc.not_equal(said, team),
            "team",
            lambda row: f"is not the first team of the matchup '{matchups[row]}'; correct one of them",
        )
    return team, opponent, home


def _matchup(word: str) -> Mapping[str, Any] | None:
    match = re.fullmatch(r"([A-Z]{3})\s+(VS\.?|@)\s+([A-Z]{3})", word.upper())
    if not match or match[1] == match[3]:
        return None
    return {"team": match[1], "opponent": match[3], "home": match[2] != "@"}


def _minutes(word: str) -> str | None:
    """Minutes played as '34' or '34:12'; None for what is neither or is out of reach."""
    if clock := re.fullmatch(r"(\d{1,3})(?:\.0+)?:(\d{1,2})(?:\.\d+)?", word):
        whole_minutes, seconds = int(clock[1]), int(clock[2])
    elif iso := re.fullmatch(r"PT(\d{1,3})M(\d{1,2})(?:\.\d+)?S", word):
        whole_minutes, seconds = int(iso[1]), int(iso[2])
    elif decimal := re.fullmatch(r"\d{1,3}(?:\.\d*)?", word):
        value = float(decimal[0])
        if value == math.floor(value):
            return f"{int(value)}" if value <= _LONGEST else None
        whole_minutes, seconds = divmod(round(value * 60), 60)
    else:
        return None
    return f"{whole_minutes}:{seconds:02d}" if seconds < 60 and whole_minutes < _LONGEST else None


def _settle(lines: Table, sheets: Sequence[Sheet]) -> tuple[Table, Notes]:
    """One row per player and game over all files, in whole games; what contradicts is blamed in its sheet."""
    lines = one_row_per_key(
        lines, _KEY, sheets, lambda row: f"player {row['bdl_player_id']} in game {row['nba_game_id']}"
    )
    _check_games(lines, sheets)
    return lines, []


def _check_games(lines: Table, sheets: Sequence[Sheet]) -> None:
    """Two teams, one of them at home, on one date, and no second game of the same teams on that date."""
    seen = lines.group_by("nba_game_id").aggregate(
        [(column, "count_distinct") for column in ("team", "home_team", "away_team", "game_date")]
    )
    odd = any_of(
        pc.not_equal(seen["team_count_distinct"], 2),
        pc.not_equal(seen["home_team_count_distinct"], 1),
        pc.not_equal(seen["away_team_count_distinct"], 1),
        pc.not_equal(seen["game_date_count_distinct"], 1),
    )
    wrong = seen["nba_game_id"].filter(odd)
    if len(wrong):
        _blame_odd_games(lines.filter(pc.is_in(lines["nba_game_id"], value_set=flat(wrong))), sheets)
    else:
        _blame_twins(lines, sheets)


def _blame_odd_games(lines: Table, sheets: Sequence[Sheet]) -> None:
    columns = ["sheet", "row", "nba_game_id", "game_date", "team", "opponent", "home_team", "away_team"]
    games: dict[str, list[dict[str, Any]]] = {}
    for row in lines.select(columns).to_pylist():
        games.setdefault(row["nba_game_id"], []).append(row)
    for rows in games.values():
        _explain(rows, sheets)


def _blame_twins(lines: Table, sheets: Sequence[Sheet]) -> None:
    """Blame two games of the same teams on a date."""
    firsts = lines.group_by("nba_game_id", use_threads=False).aggregate(
        [(column, "min") for column in ("sheet", "row", "game_date", "away_team", "home_team")]
    )
    parts = [flat(firsts[f"{column}_min"]) for column in ("game_date", "away_team", "home_team")]
    for row in firsts.filter(repeated(*parts)).to_pylist():
        sheet = sheets[row["sheet_min"]]
        game = f"{row['away_team_min']} at {row['home_team_min']} on {row['game_date_min']}"
        told = f"is one of two games {game}; correct the id or the date"
        sheet.problems.add(row["row_min"], sheet.spelled("nba_game_id"), row["nba_game_id"], told)


def _explain(rows: Sequence[Mapping[str, Any]], sheets: Sequence[Sheet]) -> None:
    """Blame the rows that disagree with most rows of their game, or the game if all agree and a team is missing."""
    (day, _), *other_days = Counter(row["game_date"] for row in rows).most_common()
    (pair, _), *other_pairs = Counter((row["away_team"], row["home_team"]) for row in rows).most_common()
    if not other_days and not other_pairs:
        _blame_missing_team(rows, sheets)
        return
    for row in rows:
        sheet = sheets[row["sheet"]]
        if row["game_date"] != day:
            game = row["nba_game_id"]
            told = f"is not the date of game {game}, which is {day} in most of its rows; correct one of them"
            sheet.problems.add(row["row"], sheet.spelled("game_date"), row["game_date"].isoformat(), told)
        if (row["away_team"], row["home_team"]) != pair:
            _blame_teams(row, pair, sheet)


def _blame_teams(row: Mapping[str, Any], usual: tuple[str, str], sheet: Sheet) -> None:
    """Blame the one cell of a row by which it tells its game's teams other than most rows do."""
    away, home = usual
    game = row["nba_game_id"]
    strangers = [side for side in ("team", "opponent") if row[side] not in usual]
    if strangers:
        field = strangers[0]
        value = row[field]
        told = f"is neither the home team {home} nor the away team {away} of game {game}; correct it"
    else:
        field = "home"
        value = _home_as_written(row, sheet)
        told = f"makes {row['home_team']} the home team of game {game}, where most rows say {home}; correct it"
    column = sheet.spelled(field if sheet.has(field) else "matchup")
    sheet.problems.add(row["row"], column, value, told)


def _home_as_written(row: Mapping[str, Any], sheet: Sheet) -> str | bool:
    at_home: bool = row["team"] == row["home_team"]
    if not sheet.has("matchup"):
        return at_home
    return f"{row['team']} {'vs.' if at_home else '@'} {row['opponent']}"


def _blame_missing_team(rows: Sequence[Mapping[str, Any]], sheets: Sequence[Sheet]) -> None:
    teams = sorted({row["team"] for row in rows})
    first = min(rows, key=lambda row: (row["sheet"], row["row"]))
    sheet = sheets[first["sheet"]]
    told = f"has players of {', '.join(teams)} only, and a game has two teams; load all rows of the game together"
    sheet.problems.add(first["row"], sheet.spelled("nba_game_id"), first["nba_game_id"], told)


def _as_boxscores(lines: Table) -> dict[str, Array]:
    """The columns of the box score table."""
    columns = {name: flat(lines[name]) for name in lines.column_names}
    as_read = (*_KEY, "game_date", "season_year", "player_full_name", "minutes", *_COUNTS)
    return {
        **{name: columns[name] for name in as_read},
        "game_id": analytics_ids(columns["game_date"], columns["away_team"], columns["home_team"]),
        "is_playoffs": pc.equal(columns["kind"], PLAYOFFS),
        "game_status": pa.repeat(pa.scalar("Final"), lines.num_rows),
        "player_lookup": _lookups(columns),
        "team_abbr": columns["team"],
        "home_team_abbr": columns["home_team"],
        "away_team_abbr": columns["away_team"],
    }


def _lookups(columns: Mapping[str, Array]) -> Array:
    """The players' keys; players of one name all get their id appended, also where they never met in a game.

    Tables that hold one row a player and date would otherwise have two rows of one key.
    """
    ids = columns["bdl_player_id"]
    keys = lookups(columns["player_full_name"], ids)
    bearers = pa.table({"key": keys, "id": ids}).group_by("key").aggregate([("id", "count_distinct")])
    shared = flat(bearers["key"]).filter(pc.greater(flat(bearers["id_count_distinct"]), 1))
    if not len(shared):
        return keys
    namesakes = pc.is_in(keys, value_set=shared)
    return pc.if_else(namesakes, pc.binary_join_element_wise(keys, ids.cast(pa.string()), "_"), keys)


def _as_schedule(lines: Table) -> dict[str, Array]:
    """The finished games that the box scores imply, with the sums of the players' points as scores."""
    at_home = pc.equal(lines["team"], lines["home_team"])
    scored = lines.select(["nba_game_id", "game_date", "season_year", "kind", "home_team", "away_team"])
    scored = scored.append_column("home_score", pc.if_else(at_home, lines["points"], 0))
    scored = scored.append_column("away_score", pc.if_else(at_home, 0, lines["points"]))
    facts = ("game_date", "season_year", "kind", "home_team", "away_team")
    games = scored.group_by("nba_game_id").aggregate(
        [*((fact, "min") for fact in facts), ("home_score", "sum"), ("away_score", "sum")]
    )
    day, season, kind, home, away = (flat(games[f"{fact}_min"]) for fact in facts)
    return {
        "game_id": flat(games["nba_game_id"]),
        "game_date": day,
        "data_source": pa.repeat(pa.scalar("boxscores"), len(day)),
        "season_year": season,
        "game_status": pa.repeat(pa.scalar(3, pa.int64()), len(day)),
        "game_status_text": pa.repeat(pa.scalar("Final"), len(day)),
        "home_team_tricode": home,
        "away_team_tricode": away,
        "home_team_score": flat(games["home_score_sum"]),
        "away_team_score": flat(games["away_score_sum"]),
        "is_regular_season": pc.equal(kind, REGULAR),
        "is_playoffs": pc.equal(kind, PLAYOFFS),
        "is_all_star": pa.repeat(pa.scalar(False), len(day)),
    }


KIND = Kind(
    processor="boxscores",
    layouts=_LAYOUTS,
    parse=_parse,
    settle=_settle,
    rows={"schedule": _as_schedule, "boxscores": _as_boxscores},
    lookalikes=(_TEAM_LOG,),
)
