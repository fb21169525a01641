"""Which game a row belongs to: ids, season, kind, date and teams, in the spellings of all layouts."""

from __future__ import annotations

import re
import unicodedata
from datetime import date
from typing import NamedTuple

from gapless.files import cells
from gapless.files.arrow import Array, all_of, any_of, holds_any, over_distinct, pa, pc, truly
from gapless.files.contract import Column
from gapless.files.kinds import Notes
from gapless.files.sheet import Sheet

FIRST_GAME = date(1946, 11, 1)  # the league's first; anything earlier is a typing error
_EXHIBITIONS = pa.array(["1", "3"])  # preseason and all-star: no part of a season's statistics
_KINDS = {
    "preseason": "1",
    "regularseason": "2",
    "allstar": "3",
    "allstargame": "3",
    "playoffs": "4",
    "playoff": "4",
    "playin": "5",
    "playintournament": "5",
    "cupfinal": "6",
    "nbacup": "6",
}
REGULAR, PLAYOFFS, _CUP_FINAL = "2", "4", "6"
A_GAME_ID = "a ten-digit NBA game id such as 0022300061"
_A_SEASON = "a season such as 2023-24 or 22023"


class Game(NamedTuple):
    """The game of every row."""

    nba_game_id: Array
    kind: Array  # the third digit of the game id
    season_year: Array
    game_date: Array


def game_id_of(word: str) -> str | None:
    """A ten-character id; spreadsheets drop the leading zeros, which are put back."""
    match = re.fullmatch(r"(?:00)?([1-6]\d{7})(?:\.0+)?", word)
    return f"00{match[1]}" if match else None


def season_of(word: str) -> int | None:
    """The starting year of '2021-22', '2021-2022', '22021' or '2021'."""
    if years := re.fullmatch(r"(\d{4})-(\d{2}|\d{4})", word):
        first = int(years[1])
        return first if years[2] in (f"{(first + 1) % 100:02d}", f"{first + 1}") else None
    year = re.fullmatch(r"[1-6]?(\d{4})(?:\.0+)?", word)
    return int(year[1]) if year else None


def kind_of(word: str) -> str | None:
    """The kind of game that a season id such as '42021' or a word such as 'Playoffs' names."""
    if re.fullmatch(r"[1-6]\d{4}(\.0+)?", word):
        return word[0]
    return _KINDS.get(re.sub(r"[^a-z]", "", word.lower()))


def team_of(word: str) -> str | None:
    """A team's three letters; older seasons have teams of their own, so no list is kept."""
    return word.upper() if re.fullmatch(r"[A-Za-z]{3}", word) else None


def lookup_of(name: str) -> str:
    """A player's name as a key: ASCII letters and digits, lower case."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode("ascii")
    return re.sub(r"[^a-z0-9]", "", plain.lower())


def lookups(names: Array, ids: Array) -> Array:
    """The players' keys; a name without ASCII letters gives 'player' and the id."""
    keys = over_distinct(names, lookup_of, pa.string())
    by_id = pc.binary_join_element_wise("player", ids.cast(pa.string()), "")
    return pc.if_else(truly(pc.equal(keys, "")), by_id, keys)


def analytics_ids(days: Array, away: Array, home: Array) -> Array:
    """Game ids in the form YYYYMMDD_AWAY_HOME."""
    written = over_distinct(days, lambda day: f"{day:%Y%m%d}" if day.year > 999 else None, pa.string())
    return pc.binary_join_element_wise(written, away, home, "_")


def without_exhibitions(sheet: Sheet) -> tuple[Sheet, Notes]:
    """The rows of real games, with a note on how many preseason and all-star rows were left out."""
    words = cells.text(sheet.raw("nba_game_id")).values
    kinds = over_distinct(words, lambda word: (game_id_of(word) or "0000")[2], pa.string())
    left_out = pc.is_in(kinds, value_set=_EXHIBITIONS)
    if (said := _said_kind(sheet)) is not None:
        left_out = pc.or_(left_out, pc.is_in(said, value_set=_EXHIBITIONS))
    count = pc.sum(left_out).as_py() or 0
    if not count:
        return sheet, []
    return sheet.keep(pc.invert(left_out)), [f"{sheet.file}: {count:,} preseason and all-star rows left out"]


def _said_kind(sheet: Sheet) -> Array | None:
    if sheet.has("kind"):
        return over_distinct(cells.text(sheet.raw("kind")).values, kind_of, pa.string())
    if sheet.has("season"):
        return over_distinct(
            cells.text(sheet.raw("season")).values,
            lambda word: kind_of(word) if word[0].isdigit() else None,
            pa.string(),
        )
    return None


def read_games(sheet: Sheet, season: Column | None, latest: date, too_late: str) -> Game:
    """The game of every row, each cell checked and the id, season, kind and date checked against each other."""
    ids = sheet.words("nba_game_id", game_id_of, pa.string(), A_GAME_ID)
    kind = pc.utf8_slice_codeunits(ids, 2, 3)
    _check_kind(sheet, ids, kind)
    days = read_day(sheet, "game_date", latest, too_late)
    if not sheet.has("season"):
        return Game(ids, kind, pa.nulls(len(ids), pa.int64()), days)
    years = sheet.words("season", season_of, pa.int64(), _A_SEASON)
    if season is not None and (season.low is not None or season.high is not None):
        low, high = season.low or 0, season.high or 9999
        beyond = any_of(pc.less(years, int(low)), pc.greater(years, int(high)))
        sheet.blame(beyond, "season", f"is outside {low:g}..{high:g}; correct it")
    _check_season(sheet, ids, years, days)
    return Game(ids, kind, years, days)


def _check_kind(sheet: Sheet, ids: Array, kind: Array) -> None:
    """Blame a kind of game that is none, or another than the id's."""
    if sheet.has("kind"):
        sheet.words("kind", kind_of, pa.string(), "a kind of game such as Regular Season or Playoffs")
    said = _said_kind(sheet)
    if said is None:
        return
    # The final of the in-season cup has a kind of its own in the id and is called a regular game elsewhere.
    wrong = all_of(pc.not_equal(said, kind), pc.not_equal(kind, _CUP_FINAL))
    field = "kind" if sheet.has("kind") else "season"

    def told(row: int) -> str:
        return f"contradicts game id {ids[row]}, whose third digit tells the kind of game; correct one of them"

    sheet.blame(wrong, field, told)


def _check_season(sheet: Sheet, ids: Array, years: Array, days: Array) -> None:
    """Blame a season other than the id's, and a date outside a season that agrees with it."""
    stated = pc.utf8_slice_codeunits(ids, 3, 5).cast(pa.int64())
    century = pc.multiply(pc.divide(years, 100), 100)
    other_season = pc.not_equal(pc.subtract(years, century), stated)
    age = pc.subtract(pc.year(days).cast(pa.int64()), years)
    outside = all_of(pc.invert(other_season), any_of(pc.less(age, 0), pc.greater(age, 1)))

    def other(row: int) -> str:
        return f"is not the season of game {ids[row]}; correct one of them"

    def elsewhere(row: int) -> str:
        return f"is not in the season that began in {years[row]}; correct one of them"

    sheet.blame(other_season, "season", other)
    sheet.blame(outside, "game_date", elsewhere)


def read_day(sheet: Sheet, field: str, latest: date, too_late: str, *, required: bool = True) -> Array:
    """A field's dates; a day before the league's first game or after the latest is blamed and left empty."""
    days = sheet.read(
        field, cells.day, "a date that exists, written 2023-10-24 without a time of day", required=required
    )
    early = pc.less(days, pa.scalar(FIRST_GAME))
    late = pc.greater(days, pa.scalar(latest))
    sheet.blame(early, field, "is before the league's first game on 1946-11-01; correct the year")
    sheet.blame(late, field, too_late)
    wrong = truly(any_of(early, late))
    return pc.if_else(wrong, pa.scalar(None, pa.date32()), days) if holds_any(wrong) else days


def read_team(sheet: Sheet, field: str, *, required: bool = True) -> Array:
    """A field's team codes."""
    return sheet.words(field, team_of, pa.string(), "a team code of three letters", required=required)
