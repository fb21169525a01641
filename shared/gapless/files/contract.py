"""What the reader needs to know of a declared pipeline, and the check that a finished table keeps it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Protocol

from gapless.errors import BadInput
from gapless.files.arrow import Array, DataType, Table, any_of, flat, holds_any, pa, pc, positions
from gapless.files.problems import Problems, refuse

TYPES: Mapping[str, DataType] = {
    "STRING": pa.string(),
    "INT64": pa.int64(),
    "FLOAT64": pa.float64(),
    "BOOL": pa.bool_(),
    "DATE": pa.date32(),
    "TIMESTAMP": pa.timestamp("us", "UTC"),
}


class Column(Protocol):
    """One declared column."""

    @property
    def name(self) -> str: ...
    @property
    def type(self) -> str: ...
    @property
    def required(self) -> bool: ...
    @property
    def low(self) -> float | None: ...
    @property
    def high(self) -> float | None: ...


class Processor(Protocol):
    """One declared table."""

    @property
    def columns(self) -> Mapping[str, Column]: ...
    @property
    def key(self) -> tuple[str, ...]: ...
    @property
    def date_column(self) -> str: ...


class Pipeline(Protocol):
    """The declared tables by name, and the module with the kinds of files that fill them."""

    @property
    def name(self) -> str: ...
    @property
    def files(self) -> str | None: ...
    def processor(self, name: str, /) -> Processor: ...


def out_of_range(values: Array, declared: Column) -> Array:
    """Where a value lies outside the declared range."""
    outside = pa.repeat(pa.scalar(False), len(values))
    # Whole numbers are compared as such: a float cannot hold every damaged one.
    whole = pa.types.is_integer(values.type)
    if declared.low is not None:
        outside = any_of(outside, pc.less(values, math.ceil(declared.low) if whole else declared.low))
    if declared.high is not None:
        outside = any_of(outside, pc.greater(values, math.floor(declared.high) if whole else declared.high))
    return outside


def range_of(declared: Column) -> str:
    """The declared range in words."""
    low, high = ("" if bound is None else f"{bound:g}" for bound in (declared.low, declared.high))
    return f"{low}..{high}"


def conform(name: str, declared: Processor, columns: Mapping[str, Array], source: str) -> Table:
    """The columns as the declared table; raises `RejectedFile` where the result breaks the declaration.

    The files were checked cell by cell before; this catches what only shows in what was made of them, such as sums.
    """
    length = len(next(iter(columns.values())))
    arrays, fields = [], []
    for column in declared.columns.values():
        if column.type not in TYPES:
            raise BadInput(f"{name}.{column.name} is declared {column.type}; files can fill {', '.join(TYPES)}")
        wanted = TYPES[column.type]
        if column.name not in columns and column.required:
            raise BadInput(f"{name}.{column.name} is declared required, and no file layout fills it; drop 'required'")
        arrays.append(columns[column.name].cast(wanted) if column.name in columns else pa.nulls(length, wanted))
        fields.append(pa.field(column.name, wanted))
    table = pa.table(arrays, schema=pa.schema(fields))
    _audit(declared, table, source)
    order = dict.fromkeys((declared.date_column, *declared.key))
    return table.sort_by([(column, "ascending") for column in order]).combine_chunks()


def _audit(declared: Processor, table: Table, source: str) -> None:
    problems = Problems(source)
    for column in declared.columns.values():
        values = flat(table[column.name])
        wrong = pc.is_null(values) if column.required else pa.repeat(pa.scalar(False), len(values))
        if column.low is not None or column.high is not None:
            wrong = any_of(wrong, out_of_range(values, column))
        if not holds_any(wrong):
            continue
        for position in positions(wrong):
            key = ", ".join(str(table[part][position].as_py()) for part in declared.key)
            expected = f"{range_of(column)}" if column.low is not None or column.high is not None else "a value"
            problems.add(
                None, column.name, values[position].as_py(), f"came out for {key}, where the table takes {expected}"
            )
    refuse([problems])
