"""Prop lines on points: one quote per game, player, bookmaker and line."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

from gapless.files import cells
from gapless.files.arrow import Array, Table, all_of, any_of, flat, pa, pc, truly
from gapless.files.contract import Processor
from gapless.files.kinds import Kind, Notes
from gapless.files.layouts import Layout
from gapless.files.sheet import Sheet
from gapless.nba.files.games import A_GAME_ID, analytics_ids, game_id_of, lookups, read_day, read_team

_LAYOUTS = (
    Layout(
        "player prop lines",
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
_MARKET = "player_points"
_AHEAD = timedelta(days=60)  # lines are quoted days ahead; later is a typing error
_KEY = ("game_id", "player_lookup", "bookmaker", "points_line")


def _parse(sheet: Sheet, declared: Processor, today: date) -> tuple[Table, Notes]:
    """The points lines of one file, checked one by one, with notes on what was left out."""
    sheet, notes = _left_out(sheet)
    columns = declared.columns
    too_late = f"is more than {_AHEAD.days} days after today ({today}); correct the year"
    days = read_day(sheet, "game_date", today + _AHEAD, too_late)
    home, away = read_team(sheet, "home"), read_team(sheet, "away")
    sheet.blame(pc.equal(home, away), "away", "is the home team too; correct one of them")
    names, keys = _players(sheet)
    quotes = {
        "game_id": analytics_ids(days, away, home),
        "game_date": days,
        "nba_game_id": _game_ids(sheet),
        "player_lookup": keys,
        "player_name": names,
        "bookmaker": sheet.read("bookmaker", cells.text, "a name", required=True),
        "points_line": sheet.read("points_line", cells.number, "a number", declared=columns.get("points_line")),
        "over_price": _price(sheet, "over_price", declared),
        "under_price": _price(sheet, "under_price", declared),
        "snapshot": _snapshots(sheet),
    }
    return pa.table(quotes), notes


def _players(sheet: Sheet) -> tuple[Array, Array]:
    """The players' names and keys."""
    names = sheet.read("player_name", cells.text, "a name", required=True)
    if sheet.has("player_id"):
        ids = sheet.read("player_id", cells.whole, "a player id")
    else:
        ids = pa.nulls(len(names), pa.int64())
    keys = lookups(names, ids)
    unnamed = all_of(pc.is_valid(names), pc.is_null(keys))
    sheet.blame(unnamed, "player_name", "has no letter of the Latin alphabet, and there is no player id; correct it")
    return names, keys


def _game_ids(sheet: Sheet) -> Array:
    if not sheet.has("nba_game_id"):
        return pa.nulls(sheet.table.num_rows, pa.string())
    return sheet.words("nba_game_id", game_id_of, pa.string(), A_GAME_ID, required=False)


def _price(sheet: Sheet, field: str, declared: Processor) -> Array:
    return sheet.read(field, cells.whole, "a whole number of American odds", declared=declared.columns.get(field))


def _snapshots(sheet: Sheet) -> Array:
    if not sheet.has("snapshot"):
        return pa.nulls(sheet.table.num_rows, pa.timestamp("us", "UTC"))
    return sheet.read("snapshot", cells.moment, "a time such as 2024-10-24T23:05:39Z")


def _left_out(sheet: Sheet) -> tuple[Sheet, Notes]:
    """The rows to load: points only, not of a game postponed that day, and with a player and a line."""
    notes: Notes = []
    market = sheet.read("market", cells.text, "a market's name", required=True)
    if count := pc.sum(pc.not_equal(market, _MARKET)).as_py():
        notes.append(f"{sheet.file}: {count:,} rows of other markets than {_MARKET} left out")
    sheet = sheet.keep(pc.equal(market, _MARKET))
    if sheet.has("postponed"):
        postponed = truly(sheet.read("postponed", cells.flag, "true or false"))
        if count := pc.sum(postponed).as_py():
            notes.append(f"{sheet.file}: {count:,} lines on games postponed that day left out")
            sheet = sheet.keep(pc.invert(postponed))
    line, bad_line = cells.number(sheet.raw("points_line"))
    nobody = pc.is_null(cells.text(sheet.raw("player_name")).values)
    nothing = all_of(pc.is_null(line), pc.invert(truly(bad_line)))
    incomplete = truly(any_of(nobody, nothing))
    if count := pc.sum(incomplete).as_py():
        notes.append(f"{sheet.file}: {count:,} rows without a player or a line left out")
        sheet = sheet.keep(pc.invert(incomplete))
    return sheet, notes


def _settle(quotes: Table, _sheets: Sequence[Sheet]) -> tuple[Table, Notes]:
    """One quote per key over all files: the latest snapshot, then the smallest over price, then whatever differs."""
    ordered = quotes.sort_by(
        [
            *((column, "ascending") for column in _KEY),
            ("snapshot", "descending"),
            *((column, "ascending") for column in ("over_price", "under_price", "player_name", "nba_game_id")),
        ]
    )
    numbered = ordered.append_column("#", pa.array(range(ordered.num_rows), pa.int64()))
    first = flat(numbered.group_by(list(_KEY)).aggregate([("#", "min")])["#_min"]).sort()
    replaced = quotes.num_rows - len(first)
    notes = [f"{replaced:,} quotes replaced by a later or cheaper one of the same line"] if replaced else []
    return ordered.take(first), notes


def _as_prop_lines(quotes: Table) -> dict[str, Array]:
    """The columns of the prop line table."""
    return {name: flat(quotes[name]) for name in quotes.column_names if name != "snapshot"}


KIND = Kind(
    processor="prop_lines",
    layouts=_LAYOUTS,
    parse=_parse,
    settle=_settle,
    rows={"prop_lines": _as_prop_lines},
)
