"""Rows of several files as one set: a key once, and two files may repeat each other but not contradict."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gapless.files.arrow import Table, flat, holds_any, pa, repeated
from gapless.files.sheet import Sheet

_ORIGIN = ("sheet", "row")


def one_row_per_key(
    lines: Table, key: Sequence[str], sheets: Sequence[Sheet], name: Callable[[Mapping[str, Any]], str]
) -> Table:
    """The rows without the copies that a second file brings; a repeated key of any other kind is blamed."""
    again = repeated(*(flat(lines[column]) for column in key))
    if not holds_any(again):
        return lines
    within = repeated(flat(lines["sheet"]), *(flat(lines[column]) for column in key))
    if holds_any(within):
        _blame_repeats(lines.filter(within), key, sheets, name)
        return lines
    content = [column for column in lines.column_names if column not in _ORIGIN]
    numbered = lines.append_column("#", pa.array(range(lines.num_rows), pa.int64()))
    kept = numbered.group_by(content).aggregate([("#", "min")])
    distinct = lines.take(flat(kept["#_min"]).sort())
    still = repeated(*(flat(distinct[column]) for column in key))
    if holds_any(still):
        _blame_contradictions(distinct.filter(still), key, sheets, name, content)
    return distinct


def _blame_repeats(
    rows: Table, key: Sequence[str], sheets: Sequence[Sheet], name: Callable[[Mapping[str, Any]], str]
) -> None:
    first: dict[tuple[Any, ...], int] = {}
    for row in rows.sort_by([("sheet", "ascending"), ("row", "ascending")]).to_pylist():
        sheet = sheets[row["sheet"]]
        earlier = first.setdefault((row["sheet"], *(row[column] for column in key)), row["row"])
        if earlier != row["row"]:
            told = f"repeats row {earlier}: {name(row)} is there twice; remove one"
            sheet.problems.add(row["row"], sheet.spelled(key[-1]), row[key[-1]], told)


def _blame_contradictions(
    rows: Table,
    key: Sequence[str],
    sheets: Sequence[Sheet],
    name: Callable[[Mapping[str, Any]], str],
    content: Sequence[str],
) -> None:
    first: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in rows.sort_by([("sheet", "ascending"), ("row", "ascending")]).to_pylist():
        earlier = first.setdefault(tuple(row[column] for column in key), row)
        if earlier is row:
            continue
        field = next(column for column in content if earlier[column] != row[column])
        sheet, other = sheets[row["sheet"]], sheets[earlier["sheet"]]
        sheet.problems.add(
            row["row"],
            sheet.spelled(field) if sheet.has(field) else field,
            row[field],
            f"contradicts row {earlier['row']} of {other.file}, which has {earlier[field]} for {name(row)}; "
            "load the right file only",
        )
