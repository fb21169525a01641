"""Shots: every attempt of a game, numbered in an order that does not depend on the order in the file."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from gapless.files import cells
from gapless.files.arrow import Array, ChunkedArray, Table, flat, pa, pc
from gapless.files.contract import Processor
from gapless.files.kinds import Kind, Notes
from gapless.files.layouts import Layout
from gapless.files.sheet import Sheet
from gapless.nba.files.games import read_games, without_exhibitions

_LAYOUTS = (
    Layout(
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
)
_CONTENT = ("bdl_player_id", "period", "seconds_left", "is_made", "is_three", "basic_zone", "distance_ft")


def _parse(sheet: Sheet, declared: Processor, today: date) -> tuple[Table, Notes]:
    """The shots of one file, checked one by one, with notes on what was left out."""
    sheet, notes = without_exhibitions(sheet)
    game = read_games(sheet, None, today, f"is after today ({today}), and a shot is of a played game; correct the date")
    columns = declared.columns
    shots = {
        "sheet": pa.repeat(pa.scalar(sheet.number, pa.int64()), len(game.nba_game_id)),
        "row": sheet.rows,
        "nba_game_id": game.nba_game_id,
        "game_date": game.game_date,
        "bdl_player_id": sheet.read("bdl_player_id", cells.whole, "a player id", required=True),
        **{
            name: sheet.read(name, cells.whole, "a whole number", declared=columns.get(name))
            for name in ("period", "seconds_left", "distance_ft")
        },
        **{name: sheet.read(name, cells.flag, "true or false", required=True) for name in ("is_made", "is_three")},
        "basic_zone": sheet.read("basic_zone", cells.text, "text", required=True),
    }
    return pa.table(shots), notes


def _settle(shots: Table, sheets: Sequence[Sheet]) -> tuple[Table, Notes]:
    """Every game once over all files and on one date; what contradicts is blamed in its sheet."""
    seen = shots.group_by("nba_game_id").aggregate([("game_date", "count_distinct"), ("sheet", "count_distinct")])
    torn = seen.filter(pc.greater(seen["game_date_count_distinct"], 1))
    for game in torn["nba_game_id"].to_pylist():
        _blame_dates(shots.filter(pc.equal(shots["nba_game_id"], game)), sheets)
    shared = seen.filter(pc.greater(seen["sheet_count_distinct"], 1))
    if torn.num_rows or not shared.num_rows:
        return shots, []
    return _without_copies(shots, shared["nba_game_id"], sheets), []


def _blame_dates(rows: Table, sheets: Sequence[Sheet]) -> None:
    days = rows.group_by("game_date").aggregate([("row", "count")]).sort_by([("row_count", "descending")])
    usual = days["game_date"][0].as_py()
    for row in rows.filter(pc.not_equal(rows["game_date"], pa.scalar(usual))).to_pylist():
        sheet = sheets[row["sheet"]]
        told = (
            f"is not the date of game {row['nba_game_id']}, which is {usual} in most of its rows; correct one of them"
        )
        sheet.problems.add(row["row"], sheet.spelled("game_date"), row["game_date"].isoformat(), told)


def _without_copies(shots: Table, games: ChunkedArray, sheets: Sequence[Sheet]) -> Table:
    """Drop a game's copies in later files; a game that two files tell differently is blamed."""
    rows = shots.filter(pc.is_in(shots["nba_game_id"], value_set=flat(games)))
    by_game: dict[str, dict[int, list[tuple[object, ...]]]] = {}
    first_row: dict[tuple[str, int], int] = {}
    content = zip(*(rows[name].to_pylist() for name in _CONTENT), strict=True)
    origin = (rows[name].to_pylist() for name in ("nba_game_id", "sheet", "row"))
    for game, number, row, shot in zip(*origin, content, strict=True):
        by_game.setdefault(game, {}).setdefault(number, []).append(shot)
        first_row.setdefault((game, number), row)
    copies = set()
    for game, told in by_game.items():
        first, *others = sorted(told)
        for number in others:
            if sorted(told[number], key=repr) == sorted(told[first], key=repr):
                copies.add(f"{number}/{game}")
                continue
            sheet = sheets[number]
            sheet.problems.add(
                first_row[game, number],
                sheet.spelled("nba_game_id"),
                game,
                f"has {len(told[number])} shots here that are not those {len(told[first])} of {sheets[first].file}; "
                "keep each game's shots in one file",
            )
    where = pc.binary_join_element_wise(shots["sheet"].cast(pa.string()), shots["nba_game_id"], "/")
    return shots.filter(pc.invert(pc.is_in(where, value_set=pa.array(sorted(copies), pa.string()))))


def _as_shots(shots: Table) -> dict[str, Array]:
    """The columns of the shot table: by period, seconds left downwards, player, and then whatever else differs."""
    ordered = shots.sort_by(
        [
            ("nba_game_id", "ascending"),
            ("period", "ascending"),
            ("seconds_left", "descending"),
            *((name, "ascending") for name in ("bdl_player_id", "is_made", "is_three", "basic_zone", "distance_ft")),
        ]
    )
    ids = flat(ordered["nba_game_id"])
    games = pc.value_counts(ids)  # in the order of their first row
    counts = pc.struct_field(games, "counts")
    starts = pc.subtract(pc.cumulative_sum(counts), counts)
    start = starts.take(pc.index_in(ids, value_set=pc.struct_field(games, "values")))
    numbers = pc.add(pc.subtract(pa.array(range(len(ids)), pa.int64()), start), 1)
    return {
        **{name: flat(ordered[name]) for name in ("nba_game_id", "game_date", *_CONTENT)},
        "shot_number": numbers,
    }


KIND = Kind(
    processor="shots",
    layouts=_LAYOUTS,
    parse=_parse,
    settle=_settle,
    rows={"shots": _as_shots},
)
