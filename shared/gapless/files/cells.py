"""Cells of any spelling into values of one type, with a mask of the ones that cannot be read.

Files from the wild write the same number as 12, '12', '12.0' and ' 12', and nothing as '', 'None' and 'nan'.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any, NamedTuple

from gapless.files.arrow import Array, DataType, all_of, any_of, flat, holds_any, over_distinct, pa, pc, truly

_NOTHING = pa.array(
    ["", "None", "none", "NONE", "nan", "NaN", "NAN", "null", "Null", "NULL", "<NA>", "NA", "N/A", "n/a", "NaT"]
)
_EXACT = 2**53  # above it a float no longer holds every whole number
_DAMAGED = "\ufffd"  # stands where a letter was lost in a conversion
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_ISO_DAY = re.compile(r"(\d{4}-\d{2}-\d{2})(?:[T ]00:00(?::00(?:\.0+)?)?(?:Z|[+-]00:?00)?)?")
_NAMED_DAY = re.compile(r"([A-Za-z]{3})[a-z]*\.? (\d{1,2}), ?(\d{4})")
_FLAGS = {"true": True, "t": True, "yes": True, "y": True, "1": True, "1.0": True}
_FLAGS |= {"false": False, "f": False, "no": False, "n": False, "0": False, "0.0": False}


class Read(NamedTuple):
    """Values of one type, and where a cell held something else."""

    values: Array
    bad: Array


Reader = Callable[[Array], Read]


def text(column: Array) -> Read:
    """Trimmed text; whole numbers are text too, for ids that a spreadsheet has turned into numbers."""
    column = _plain(column)
    kind = column.type
    if pa.types.is_string(kind):
        values = _something(column)
        return Read(values, truly(pc.match_substring(values, _DAMAGED)))
    if pa.types.is_null(kind):
        return _nothing(column, pa.string())
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        numbers = whole(column)
        return Read(numbers.values.cast(pa.string()), numbers.bad)
    return _unreadable(column, pa.string())


def number_text(column: Array) -> Read:
    """Text that may also be a number with decimals, such as a duration."""
    column = _plain(column)
    if pa.types.is_floating(column.type):
        values = _without_nan(column.cast(pa.float64()))
        return Read(over_distinct(values, lambda value: f"{value:.6f}", pa.string()), _none_of(values))
    return text(column)


def whole(column: Array) -> Read:
    """Whole numbers; 12.0 is one, 12.5 and True are not."""
    column = _plain(column)
    kind = column.type
    if pa.types.is_null(kind):
        return _nothing(column, pa.int64())
    if pa.types.is_integer(kind):
        bad = pc.greater(column, 2**63 - 1) if kind == pa.uint64() else _none_of(column)
        return Read(_null_where(column, bad).cast(pa.int64()), bad)
    if pa.types.is_decimal(kind):
        column = column.cast(pa.float64())
        kind = column.type
    if pa.types.is_floating(kind):
        numbers = _without_nan(column.cast(pa.float64()))
        bad = truly(any_of(pc.not_equal(numbers, pc.floor(numbers)), pc.greater(pc.abs(numbers), _EXACT)))
        return Read(_null_where(numbers, bad).cast(pa.int64()), bad)
    if pa.types.is_string(kind):
        words = _something(column)
        bad = truly(pc.invert(pc.match_substring_regex(words, r"^[+-]?[0-9]{1,15}(\.0*)?$")))
        digits = pc.replace_substring_regex(_null_where(words, bad), r"^\+|\.0*$", "")
        return Read(digits.cast(pa.int64()), bad)
    return _unreadable(column, pa.int64())


def number(column: Array) -> Read:
    """Finite numbers."""
    column = _plain(column)
    kind = column.type
    if pa.types.is_null(kind):
        return _nothing(column, pa.float64())
    if pa.types.is_string(kind):
        words = _something(column)
        bad = truly(pc.invert(pc.match_substring_regex(words, r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)$")))
        digits = pc.replace_substring_regex(_null_where(words, bad), r"^\+", "")
        return Read(digits.cast(pa.float64()), bad)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        numbers = _without_nan(column.cast(pa.float64(), safe=False))
        bad = truly(pc.is_inf(numbers))
        return Read(_null_where(numbers, bad), bad)
    return _unreadable(column, pa.float64())


def flag(column: Array) -> Read:
    """True or false, also as 1 and 0, yes and no."""
    column = _plain(column)
    kind = column.type
    if pa.types.is_null(kind):
        return _nothing(column, pa.bool_())
    if pa.types.is_boolean(kind):
        return Read(column, _none_of(column))
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        column = whole(column).values.cast(pa.string())
    if pa.types.is_string(column.type):
        return _by_rule(_something(column), lambda word: _FLAGS.get(word.lower()), pa.bool_())
    return _unreadable(column, pa.bool_())


def day(column: Array) -> Read:
    """Civil dates: date columns, timestamps at midnight, '2023-10-24' and 'OCT 24, 2023'."""
    column = _plain(column)
    kind = column.type
    if pa.types.is_null(kind):
        return _nothing(column, pa.date32())
    if pa.types.is_date(kind):
        return Read(column.cast(pa.date32()), _none_of(column))
    if pa.types.is_timestamp(kind):
        local = pc.local_timestamp(column) if kind.tz else column
        days = pc.floor_temporal(local, unit="day")
        # A time of day makes it a moment, and a moment in UTC is often the next day of where it was.
        bad = truly(pc.not_equal(days, local))
        return Read(_null_where(days, bad).cast(pa.date32(), safe=False), bad)
    if pa.types.is_string(kind):
        return _by_rule(_something(column), _day, pa.date32())
    return _unreadable(column, pa.date32())


def moment(column: Array) -> Read:
    """Moments in UTC; one that names no zone is taken as UTC, which is what the columns' names say."""
    column = _plain(column)
    kind = column.type
    wanted = pa.timestamp("us", "UTC")
    if pa.types.is_null(kind):
        return _nothing(column, wanted)
    if pa.types.is_timestamp(kind):
        return Read(column.cast(pa.timestamp("us", kind.tz or "UTC"), safe=False).cast(wanted), _none_of(column))
    if pa.types.is_string(kind):
        return _by_rule(_something(column), _moment, wanted)
    return _unreadable(column, wanted)


def _day(word: str) -> date | None:
    try:
        if iso := _ISO_DAY.fullmatch(word):
            return date.fromisoformat(iso[1])
        if (named := _NAMED_DAY.fullmatch(word)) and named[1].upper() in _MONTHS:
            return date(int(named[3]), _MONTHS.index(named[1].upper()) + 1, int(named[2]))
    except ValueError:
        return None
    return None


def _moment(word: str) -> datetime | None:
    try:
        read = datetime.fromisoformat(word)
        return read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _plain(column: Array) -> Array:
    column = flat(column)
    if pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type):
        return over_distinct(column, _decoded, pa.string())
    return column


def _decoded(raw: bytes) -> str:
    return raw.decode("utf-8", errors="replace")


def _something(column: Array) -> Array:
    trimmed = pc.utf8_trim_whitespace(column)
    return _null_where(trimmed, pc.is_in(trimmed, value_set=_NOTHING))


def _by_rule(words: Array, rule: Callable[[str], Any], to: DataType) -> Read:
    values = over_distinct(words, rule, to)
    return Read(values, all_of(pc.is_valid(words), pc.is_null(values)))


def _without_nan(numbers: Array) -> Array:
    return _null_where(numbers, pc.is_nan(numbers))


def _null_where(values: Array, mask: Array) -> Array:
    if not holds_any(mask):
        return values
    return pc.if_else(truly(mask), pa.scalar(None, values.type), values)


def _none_of(column: Array) -> Array:
    return pa.repeat(pa.scalar(False), len(column))


def _nothing(column: Array, to: DataType) -> Read:
    return Read(pa.nulls(len(column), to), _none_of(column))


def _unreadable(column: Array, to: DataType) -> Read:
    return Read(pa.nulls(len(column), to), pc.is_valid(column))
