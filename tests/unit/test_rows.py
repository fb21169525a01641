"""Rows with names: an answer is read by its columns' names, and shared columns by the kind of row."""

from __future__ import annotations

from datetime import date
from typing import Any, NamedTuple

import pytest

from gapless.errors import CannotObserve
from gapless.ledger import balance
from gapless.model import Seen, Target
from gapless.observe import observer
from gapless.warehouse.ports import Answer
from gapless.warehouse.rows import NUMBERS, SHARED, Kind, decoded, fields, shared

DAY = date(2024, 1, 3)


class Sold(NamedTuple):
    name: str
    day: date
    orders: int
    cents: int | None
    words: str


SOLD = Kind("sold", Sold, text="words")


def test_an_answer_becomes_values_with_names() -> None:
    (row,) = decoded(Sold, Answer([("a", DAY, 1, None, "x")], 0, Sold._fields))
    assert (row.orders, row.cents, row.words) == (1, None, "x")


@pytest.mark.parametrize("columns", [Sold._fields[:-1], ("name", "day", "cents", "orders", "words"), ("f0_",)])
def test_columns_of_other_names_or_in_another_order_are_an_error_even_without_rows(columns: tuple[str, ...]) -> None:
    with pytest.raises(CannotObserve, match="the columns of Sold are name, day, orders, cents, words; the query"):
        decoded(Sold, Answer([], 0, columns))


def test_a_row_of_another_width_is_an_error_where_the_names_are_not_told() -> None:
    with pytest.raises(CannotObserve, match="Sold has 5 columns; the query returned 2"):
        decoded(Sold, Answer([(1, 2)], 0))
    with pytest.raises(CannotObserve, match=f"a row of several kinds has {len(SHARED)} columns; the query returned 2"):
        shared(Answer([(1, 2)], 0))


def test_a_value_comes_out_of_the_shared_columns_as_it_went_in() -> None:
    sold = Sold("a", DAY, 1, None, "x")
    row = SOLD.encode(sold)
    assert len(row) == len(SHARED)
    assert row[0] == "sold"
    assert SOLD.decode(row) == sold


def test_the_select_list_names_every_shared_column_and_says_which_field_stands_in_it() -> None:
    sql = SOLD.select("SELECT 1", name="'a'")
    listed = sql.removeprefix("SELECT ").partition(" FROM (\n")[0].split(", ")
    assert [item.rpartition(" AS ")[2] for item in listed] == list(SHARED)
    assert listed[:5] == ["'sold' AS kind", "'a' AS name", "day AS day", "orders AS number_1", "cents AS number_2"]
    assert listed[5:] == [f"CAST(NULL AS INT64) AS {name}" for name in NUMBERS[2:]] + ["words AS note"]


def test_a_kind_with_more_numbers_than_there_are_columns_is_refused() -> None:
    many = NamedTuple("many", [(f"n{i}", int) for i in range(11)])  # type: ignore[misc]
    with pytest.raises(ValueError, match="'many' has 11 numbers, and 10 have a place"):
        Kind("many", many)


KINDS: list[Kind[Any]] = [
    balance.HISTORY, balance.LANDED, balance.ACKNOWLEDGED, balance.HEAD, observer.DAY, observer.TARGET,
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_every_kind_of_the_observation_comes_out_as_it_went_in(kind: Kind[Any]) -> None:
    names = fields(type(kind.decode(tuple(range(len(SHARED))))))
    value = kind.decode(kind.encode(tuple(names)))
    assert tuple(value) == names


def test_a_target_is_seen_by_the_names_of_its_columns() -> None:
    row = observer.TargetRow(
        name="a", day=DAY, expected=1, covered=2, n_rows=3, extra=4, suspect=5, altered=6, duplicates=7, version=8,
        inputs=9, changed_at=10, source="s",
    )  # fmt: skip
    head = balance.HEAD.encode(balance.HeadRow(1, "g"))
    seen = observer.parse([observer.TARGET.encode(row), head], ["a"], DAY, 0).seen(Target("a", DAY))
    assert seen == Seen(
        expected=1, covered=2, rows=3, extra=4, suspect=5, altered=6, duplicates=7, version=8, inputs=9, changed_at=10,
        source="s",
    )  # fmt: skip


def test_what_is_measured_is_what_is_observed_and_what_there_is_to_choose_from() -> None:
    assert observer.MeasuredRow._fields == (*observer.TargetRow._fields, "preferred")
