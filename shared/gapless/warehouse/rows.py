"""Rows with names: what a SELECT returns, as NamedTuples whose fields are its columns.

Where rows of several kinds travel in one result, all of them have the columns of `SHARED`. Which field of a kind stands
in which of these is told by its `Kind` alone: the SELECT list and the decoder follow from it, and nobody counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from operator import itemgetter
from typing import Any, Generic, TypeVar

from gapless.errors import CannotObserve
from gapless.warehouse.ports import Answer

NUMBERS = tuple(f"number_{i}" for i in range(1, 11))
SHARED = ("kind", "name", "day", *NUMBERS, "note")
_NOTHING = {
    "name": "''",
    "day": "CAST(NULL AS DATE)",
    **dict.fromkeys(NUMBERS, "CAST(NULL AS INT64)"),
    "note": "''",
}

kind_of = itemgetter(SHARED.index("kind"))
day_of = itemgetter(SHARED.index("day"))


R = TypeVar("R", bound=tuple[Any, ...])  # a NamedTuple, for which there is no bound


def fields(kind: type[tuple[Any, ...]]) -> tuple[str, ...]:
    """The fields of a NamedTuple, in order."""
    return kind._fields  # type: ignore[attr-defined, no-any-return]


def _maker(kind: type[R]) -> Callable[[Iterable[Any]], R]:
    return kind._make  # type: ignore[attr-defined, no-any-return]


def decoded(kind: type[R], answer: Answer) -> list[R]:
    """The rows of an answer; raises `CannotObserve` where its columns are not the fields of the kind."""
    _compare(kind.__name__, fields(kind), answer)
    return list(map(_maker(kind), answer.rows))


def shared(answer: Answer) -> Sequence[tuple[Any, ...]]:
    """The rows of several kinds in an answer, which `Kind.decode` reads."""
    _compare("a row of several kinds", SHARED, answer)
    return answer.rows


def _compare(what: str, wanted: tuple[str, ...], answer: Answer) -> None:
    if answer.columns and answer.columns != wanted:
        there = ", ".join(answer.columns)
        raise CannotObserve(f"the columns of {what} are {', '.join(wanted)}; the query returned {there}")
    if answer.rows and len(answer.rows[0]) != len(wanted):
        raise CannotObserve(f"{what} has {len(wanted)} columns; the query returned {len(answer.rows[0])}")


class Kind(Generic[R]):
    """A kind of row in a UNION of several.

    Its fields `name` and `day` stand in the columns of these names and the one called `text` in `note`; the others are
    integers, and each stands in a number column of its own.
    """

    def __init__(self, kind: str, row: type[R], *, text: str = "") -> None:
        self.kind = kind
        own = {"name": "name", "day": "day", text: "note"}
        self._fields = fields(row)
        integers = [field for field in self._fields if field not in own]
        numbers = dict(zip(integers, NUMBERS, strict=False))
        if len(numbers) < len(integers):
            raise ValueError(f"a row of kind '{kind}' has {len(integers)} numbers, and {len(NUMBERS)} have a place")
        self._column = own | numbers
        self._values = self.getter(*self._fields)
        self._make = _maker(row)

    def select(self, query: str, **given: str) -> str:
        """A SELECT of the shared columns over a query whose columns are the fields, but for those that are given."""
        stands = _NOTHING | {"kind": f"'{self.kind}'"}
        for field in self._fields:
            stands[self._column[field]] = given.get(field, field)
        listed = ", ".join(f"{stands[column]} AS {column}" for column in SHARED)
        return f"SELECT {listed} FROM (\n{query}\n)"

    def decode(self, row: tuple[Any, ...]) -> R:
        """The value in a shared row of this kind."""
        return self._make(self._values(row))

    def getter(self, *names: str) -> Callable[[tuple[Any, ...]], Any]:
        """What takes the values of these fields out of a shared row, without a value of their own in between."""
        return itemgetter(*(SHARED.index(self._column[name]) for name in names))

    def encode(self, value: R) -> tuple[Any, ...]:
        """The shared row that holds a value, as the warehouse would return it."""
        row: dict[str, Any] = dict.fromkeys(SHARED) | {"kind": self.kind, "name": "", "note": ""}
        row |= {self._column[field]: item for field, item in zip(self._fields, value, strict=True)}
        return tuple(row.values())
