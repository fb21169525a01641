"""The rows of one file under judgement: every cell is read through here, so that every complaint names its row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from gapless.files import cells
from gapless.files.arrow import Array, DataType, Table, all_of, flat, over_distinct, pa, pc, positions, truly
from gapless.files.contract import Column, out_of_range, range_of
from gapless.files.layouts import Match
from gapless.files.problems import SHOWN, Problems

_ROW = "#"
Sentence = str | Callable[[int], str]


@dataclass(frozen=True)
class Sheet:
    """A file's rows by field, and the problems found in them so far."""

    number: int  # among the files that are read together
    match: Match
    table: Table
    problems: Problems

    @classmethod
    def of(cls, number: int, file: str, match: Match, raw: Table) -> Sheet:
        """The loaded columns of a file, whose rows count from 1."""
        table = raw.append_column(_ROW, pa.array(range(1, raw.num_rows + 1), pa.int64()))
        return cls(number, match, table, Problems(file))

    @property
    def file(self) -> str:
        return self.problems.file

    @property
    def rows(self) -> Array:
        """The data row of the file that each row comes from."""
        return flat(self.table[_ROW])

    def has(self, field: str) -> bool:
        return field in self.match.columns

    def spelled(self, field: str) -> str:
        """The column of a field as the file spells it."""
        return self.match.spelled[self.match.columns[field]]

    def raw(self, field: str) -> Array:
        """A field's cells as the file holds them."""
        return flat(self.table[self.spelled(field)])

    def keep(self, mask: Array) -> Sheet:
        """The rows where the mask is true, with their numbers."""
        return replace(self, table=self.table.filter(truly(mask)))

    def blame(self, mask: Array, field: str, sentence: Sentence) -> None:
        """Record a problem in a field wherever the mask is true."""
        wrong = positions(mask)
        if not wrong:
            return
        raw = self.raw(field)
        for position in wrong[:SHOWN]:
            told = sentence if isinstance(sentence, str) else sentence(position)
            value = _shown(raw[position])
            self.problems.add(self.table[_ROW][position].as_py(), self.spelled(field), value, told)
        self.problems.more(len(wrong) - SHOWN if len(wrong) > SHOWN else 0)

    def read(
        self, field: str, reader: cells.Reader, wanted: str, *, required: bool = False, declared: Column | None = None
    ) -> Array:
        """A field's values; whatever is unreadable, missing or out of its declared range is blamed."""
        values, bad = reader(self.raw(field))
        self.blame(bad, field, f"is not {wanted}; correct it")
        if required or (declared is not None and declared.required):
            missing = all_of(pc.is_null(values), pc.invert(truly(bad)))
            self.blame(missing, field, "stands where a value is required; fill it in or remove the row")
        if declared is not None and (declared.low is not None or declared.high is not None):
            self.blame(out_of_range(values, declared), field, f"is outside {range_of(declared)}; correct it")
        return values

    def words(
        self,
        field: str,
        rule: Callable[[str], Any],
        to: DataType,
        wanted: str,
        *,
        required: bool = True,
        spelling: cells.Reader = cells.text,
    ) -> Array:
        """A text field put through a rule that answers None for what it cannot read."""

        def reader(column: Array) -> cells.Read:
            words, bad = spelling(column)
            values = over_distinct(words, rule, to)
            return cells.Read(values, pc.or_(truly(bad), all_of(pc.is_valid(words), pc.is_null(values))))

        return self.read(field, reader, wanted, required=required)


def _shown(value: Any) -> Any:
    try:
        python = value.as_py()
    except (ValueError, OverflowError):  # Python has no date beyond the year 9999
        return f"a {value.type} out of reach"
    if isinstance(python, bytes):
        return python.decode("utf-8", errors="replace")
    if isinstance(python, str) and not python.strip():
        return None
    return python
