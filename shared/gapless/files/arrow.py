"""Arrow columns as flat arrays, and a Python rule applied once per distinct value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import pyarrow as _pyarrow
import pyarrow.compute as _compute
import pyarrow.csv as _csv
import pyarrow.parquet as _parquet

# pyarrow is compiled and makes its functions when it is imported, where no type checker sees them. Said once here.
pa: Any = _pyarrow
pc: Any = _compute
arrow_csv: Any = _csv
arrow_parquet: Any = _parquet
Array: TypeAlias = Any  # pyarrow.Array
ChunkedArray: TypeAlias = Any  # pyarrow.ChunkedArray
Table: TypeAlias = Any  # pyarrow.Table
DataType: TypeAlias = Any  # pyarrow.DataType


def flat(column: ChunkedArray | Array) -> Array:
    """The column as one array of a plain type: no dictionaries, no large or binary strings."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if pa.types.is_large_string(array.type) or pa.types.is_string_view(array.type):
        array = array.cast(pa.string())
    return array


def over_distinct(column: Array, rule: Callable[[Any], Any], to: DataType) -> Array:
    """Apply a rule to every distinct value: a large file has few of them."""
    encoded = column.dictionary_encode()
    results = [None if value is None else rule(value) for value in encoded.dictionary.to_pylist()]
    return pa.array(results, to).take(encoded.indices)


def truly(mask: Array) -> Array:
    """The mask with unknown read as false: what is not known to be wrong is left to the check for missing values."""
    return pc.fill_null(mask, False)


def positions(mask: Array) -> list[int]:
    """Where the mask is true."""
    found: list[int] = pc.indices_nonzero(truly(mask)).to_pylist()
    return found


def holds_any(mask: Array) -> bool:
    """Whether the mask is true anywhere."""
    return bool(pc.any(mask).as_py())


def all_of(*masks: Array) -> Array:
    """Where every mask is true."""
    result = masks[0]
    for mask in masks[1:]:
        result = pc.and_kleene(result, mask)
    return result


def any_of(*masks: Array) -> Array:
    """Where at least one mask is true."""
    result = masks[0]
    for mask in masks[1:]:
        result = pc.or_kleene(result, mask)
    return result


def repeated(*columns: Array) -> Array:
    """Where the row's values in these columns occur in another row too."""
    names = [str(number) for number in range(len(columns))]
    rows = pa.table({**dict(zip(names, columns, strict=True)), "#": pa.array(range(len(columns[0])), pa.int64())})
    counted = rows.group_by(names).aggregate([("#", "count")])
    if counted.num_rows == rows.num_rows:
        return pa.repeat(pa.scalar(False), rows.num_rows)
    # A join keeps no order and refuses null keys, so every row is given the first position of its group instead.
    first = rows.group_by(names, use_threads=False).aggregate([("#", "list")])
    several = first.filter(pc.greater(pc.list_value_length(first["#_list"]), 1))
    return pc.is_in(flat(rows["#"]), value_set=flat(pc.list_flatten(flat(several["#_list"]))))
