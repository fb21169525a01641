"""What the reader needs to know of a declared pipeline, and the check that a finished table keeps it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Protocol

from gapless.errors import BadInput
from gapless.files.arrow import Array, DataType, Table, any_of, flat, pa, pc, positions
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
        is_filled = column.name in columns
        if column.required and not is_filled:
            raise BadInput(f"{name}.{column.name} is declared required, and no file layout fills it; drop 'required'")
        arrays.append(columns[column.name].cast(wanted) if is_filled else pa.nulls(length, wanted))
        fields.append(pa.field(column.name, wanted))
    table = pa.table(arrays, schema=pa.schema(fields))
    _audit(declared, table, source)
    order = dict.fromkeys((declared.date_column, *declared.key))
    return table.sort_by([(column, "ascending") for column in order]).combine_chunks()


def _audit(declared: Processor, table: Table, source: str) -> None:
    problems = Problems(source)
    for column in declared.columns.values():
        has_range = column.low is not None or column.high is not None
        expected = range_of(column) if has_range else "a value"
        values = flat(table[column.name])
        for position in positions(_wrong(values, column)):
            key = ", ".join(str(table[part][position].as_py()) for part in declared.key)
            told = f"came out for {key}, where the table takes {expected}"
            problems.add(None, column.name, values[position].as_py(), told)
    refuse([problems])


def _wrong(values: Array, declared: Column) -> Array:
    """Where a value is missing that is required, or lies outside the declared range."""
    if declared.low is None and declared.high is None:
        outside = pa.repeat(pa.scalar(False), len(values))
    else:
        outside = out_of_range(values, declared)
    return any_of(pc.is_null(values), outside) if declared.required else outside
