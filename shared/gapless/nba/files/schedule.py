"""Schedules: the date on which a game was or will be played, and the date from which it was moved away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from gapless.files import cells
from gapless.files.arrow import Array, Table, all_of, any_of, flat, pa, pc, repeated, truly
from gapless.files.contract import Processor
from gapless.files.kinds import Kind, Notes
from gapless.files.layouts import Layout
from gapless.files.merge import one_row_per_key
from gapless.files.sheet import Sheet
from gapless.nba.files.games import (
    FIRST_GAME,
    PLAYOFFS,
    REGULAR,
    read_day,
    read_games,
    read_team,
    without_exhibitions,
)

_LAYOUTS = (
    Layout(
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
)
_AHEAD = timedelta(days=500)  # nobody publishes a schedule more than a season ahead; later is a typing error
_SCHEDULED, _FINAL = 1, 3
_NOBODY = pa.array(["TBD", "tbd", "TBA"])


def _parse(sheet: Sheet, declared: Processor, today: date) -> tuple[Table, Notes]:
    """The games of one file, checked one by one, with notes on what was left out."""
    sheet, notes = without_exhibitions(sheet)
    sheet, undecided = _with_teams(sheet)
    status = _status(sheet, declared)
    too_late = f"is more than {_AHEAD.days} days after today ({today}); correct the year"
    game = read_games(sheet, declared.columns.get("season_year"), today + _AHEAD, too_late)
    played = pc.equal(status, _FINAL)
    sheet.blame(
        all_of(played, pc.greater(game.game_date, pa.scalar(today))),
        "game_date",
        f"is after today ({today}), and the game is said to be final; correct the date or the status",
    )
    home, away = read_team(sheet, "home"), read_team(sheet, "away")
    sheet.blame(pc.equal(home, away), "away", "is the home team too; correct one of them")
    original_date = _original_date(sheet, today, too_late)
    home_score = _score(sheet, "home_team_score", declared, played)
    away_score = _score(sheet, "away_team_score", declared, played)
    tipoff = _tipoff(sheet, today, too_late)
    games = {
        "sheet": pa.repeat(pa.scalar(sheet.number, pa.int64()), len(home)),
        "row": sheet.rows,
        **game._asdict(),
        "original_date": original_date,
        "home": home,
        "away": away,
        "status": status,
        "status_text": sheet.read("status_text", cells.text, "text", required=True),
        "tipoff_utc": tipoff,
        "home_team_score": home_score,
        "away_team_score": away_score,
    }
    return pa.table(games), notes + undecided


def _original_date(sheet: Sheet, today: date, too_late: str) -> Array:
    if not sheet.has("original_date"):
        return pa.nulls(sheet.table.num_rows, pa.date32())
    return read_day(sheet, "original_date", today + _AHEAD, too_late, required=False)


def _tipoff(sheet: Sheet, today: date, too_late: str) -> Array:
    if not sheet.has("tipoff_utc"):
        return pa.nulls(sheet.table.num_rows, pa.timestamp("us", "UTC"))
    tipoff = sheet.read("tipoff_utc", cells.moment, "a time such as 2023-10-24T23:30:00Z")
    first, last = (datetime.combine(day, time(), UTC) for day in (FIRST_GAME, today + _AHEAD))
    sheet.blame(pc.less(tipoff, pa.scalar(first)), "tipoff_utc", "is before the league's first game; correct the year")
    sheet.blame(pc.greater(tipoff, pa.scalar(last)), "tipoff_utc", too_late)
    return tipoff


def _with_teams(sheet: Sheet) -> tuple[Sheet, Notes]:
    """Leave out the games to come whose teams are not decided yet; they have no id to be kept under."""
    unknown = [
        any_of(pc.is_null(words), pc.is_in(words, value_set=_NOBODY))
        for words in (cells.text(sheet.raw(field)).values for field in ("home", "away"))
    ]
    if sheet.has("status"):
        open_game = pc.equal(cells.whole(sheet.raw("status")).values, _SCHEDULED)
    else:
        open_game = pc.invert(_said_final(sheet))
    undecided = truly(all_of(any_of(*unknown), open_game))
    count = pc.sum(undecided).as_py() or 0
    if not count:
        return sheet, []
    return sheet.keep(pc.invert(undecided)), [f"{sheet.file}: {count:,} games whose teams are not decided yet left out"]


def _status(sheet: Sheet, declared: Processor) -> Array:
    if sheet.has("status"):
        return sheet.read("status", cells.whole, "a game status from 1 to 3", declared=declared.columns["game_status"])
    return pc.if_else(truly(_said_final(sheet)), pa.scalar(_FINAL, pa.int64()), pa.scalar(_SCHEDULED, pa.int64()))


def _said_final(sheet: Sheet) -> Array:
    """Where the text says that the game is over: 'Final', also as 'Final/OT'."""
    return pc.match_substring_regex(cells.text(sheet.raw("status_text")).values, r"(?i)^final\b")


def _score(sheet: Sheet, field: str, declared: Processor, played: Array) -> Array:
    """A score before the end is not a result; sources give 0 : 0 for games to come."""
    if not sheet.has(field):
        return pa.nulls(sheet.table.num_rows, pa.int64())
    scores = sheet.read(field, cells.whole, "a whole number", declared=declared.columns.get(field))
    return pc.if_else(truly(played), scores, pa.scalar(None, pa.int64()))


def _settle(games: Table, sheets: Sequence[Sheet]) -> tuple[Table, Notes]:
    """One row per game over all files; what contradicts is blamed in its sheet."""
    games = one_row_per_key(games, ("nba_game_id",), sheets, _name)
    twins = repeated(*(flat(games[column]) for column in ("game_date", "away", "home")))
    for row in games.filter(all_of(twins, pc.invert(repeated(flat(games["nba_game_id"]))))).to_pylist():
        sheet = sheets[row["sheet"]]
        told = f"is one of two games {row['away']} at {row['home']} on {row['game_date']}; remove one"
        sheet.problems.add(row["row"], sheet.spelled("nba_game_id"), row["nba_game_id"], told)
    return games, []


def _name(row: Mapping[str, Any]) -> str:
    return f"game {row['nba_game_id']}"


def _as_schedule(games: Table) -> dict[str, Array]:
    """The columns of the schedule table: every game on its date, and moved ones on their first date too."""
    columns = {name: flat(games[name]) for name in games.column_names}
    ids = columns["nba_game_id"]  # the league keeps it when a game is moved, so it ties the two dates together
    moved = truly(pc.not_equal(columns["original_date"], columns["game_date"]))
    no_tipoff = pa.scalar(None, columns["tipoff_utc"].type)
    # The published tip-off of a moved game is that of its first date.
    played = _rows(columns, ids, columns["game_date"], pc.if_else(moved, no_tipoff, columns["tipoff_utc"]))
    before = {name: column.filter(moved) for name, column in columns.items()}
    count = len(before["game_date"])
    postponed = _rows(before, ids.filter(moved), before["original_date"], before["tipoff_utc"]) | {
        "game_status": pa.repeat(pa.scalar(_SCHEDULED, pa.int64()), count),
        "game_status_text": pa.repeat(pa.scalar("Postponed"), count),
        "home_team_score": pa.nulls(count, pa.int64()),
        "away_team_score": pa.nulls(count, pa.int64()),
    }
    return {name: pa.concat_arrays([played[name], postponed[name]]) for name in played}


def _rows(columns: Mapping[str, Array], ids: Array, days: Array, tipoff: Array) -> dict[str, Array]:
    return {
        "game_id": ids,
        "game_date": days,
        "data_source": pa.repeat(pa.scalar("schedule"), len(ids)),
        "season_year": columns["season_year"],
        "game_status": columns["status"],
        "game_status_text": columns["status_text"],
        "home_team_tricode": columns["home"],
        "away_team_tricode": columns["away"],
        "home_team_score": columns["home_team_score"],
        "away_team_score": columns["away_team_score"],
        "is_regular_season": pc.equal(columns["kind"], REGULAR),
        "is_playoffs": pc.equal(columns["kind"], PLAYOFFS),
        "is_all_star": pa.repeat(pa.scalar(False), len(ids)),
        "tipoff_utc": tipoff,
    }


KIND = Kind(
    processor="schedule",
    layouts=_LAYOUTS,
    parse=_parse,
    settle=_settle,
    rows={"schedule": _as_schedule},
)
