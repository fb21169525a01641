"""Datasets, tables and views: whether they are there, with the declared columns, partitions and clusters, and rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from gapless import ledger
from gapless.declare.pipeline import Pipeline
from gapless.doctor.declared import Declared, declared_datasets, declared_tables
from gapless.doctor.facts import NotChecked, Table, TableColumn
from gapless.doctor.finding import APPLY, Difference
from gapless.warehouse.names import quoted
from gapless.warehouse.ports import Warehouse
from gapless.warehouse.rows import decoded


class _ColumnRow(NamedTuple):
    """A column as INFORMATION_SCHEMA.COLUMNS tells it."""

    table_name: str
    column_name: str
    data_type: str
    is_nullable: str
    is_partitioning_column: str
    clustering_ordinal_position: int | None


class _CountRow(NamedTuple):
    """How many rows a table has."""

    name: str
    n: int


def warehouse_tables(warehouse: Warehouse, pipeline: Pipeline, *, keeps_clustering: bool) -> dict[str, Table]:
    """The tables and views of every dataset that the pipeline declares."""
    found: dict[str, Table] = {}
    for dataset in declared_datasets(pipeline):
        if not warehouse.tables(dataset):
            continue  # INFORMATION_SCHEMA of a dataset that does not exist is an error
        answer = warehouse.rows(
            f"SELECT {', '.join(_ColumnRow._fields)} FROM `{dataset}`.INFORMATION_SCHEMA.COLUMNS "
            "ORDER BY table_name, ordinal_position",
            purpose="doctor",
        )
        by_table: dict[str, list[_ColumnRow]] = {}
        for row in decoded(_ColumnRow, answer):
            by_table.setdefault(row.table_name, []).append(row)
        for name, own in by_table.items():
            found[f"{dataset}.{name}"] = _read(own, keeps_clustering=keeps_clustering)
    return found | {name: replace(found[name], rows=n) for name, n in _counted(warehouse, pipeline, found).items()}


def _read(rows: Sequence[_ColumnRow], *, keeps_clustering: bool) -> Table:
    """A table as the catalogue has its columns."""
    columns = {row.column_name: TableColumn(row.data_type.replace(" ", ""), row.is_nullable == "NO") for row in rows}
    partitioned_by = next((row.column_name for row in rows if row.is_partitioning_column == "YES"), "")
    if not keeps_clustering:
        return Table(columns, partitioned_by, None)
    places = {row.column_name: row.clustering_ordinal_position for row in rows}
    clustered = sorted((place, name) for name, place in places.items() if place is not None)
    return Table(columns, partitioned_by, tuple(name for _, name in clustered))


def _counted(warehouse: Warehouse, pipeline: Pipeline, seen: Mapping[str, Table]) -> dict[str, int]:
    """The rows of processors' tables and of the log of claims, which BigQuery tells without reading them."""
    # The condition is for tables that take no statement without one on their partitions.
    conditions = {
        p.table: f"{p.date_column} >= DATE '0001-01-01'"
        for p in pipeline.processors.values()
        if p.table in seen and seen[p.table].columns.get(p.date_column, TableColumn("")).type == "DATE"
    }
    claims = ledger.table(pipeline.ledger, "attempts")
    if claims in seen:
        conditions[claims] = "TRUE"
    parts = [
        f"SELECT '{name}' AS name, COUNT(*) AS n FROM {quoted(name)} WHERE {condition}"
        for name, condition in conditions.items()
    ]
    if not parts:
        return {}
    answer = warehouse.rows("\nUNION ALL\n".join(parts), purpose="doctor")
    return {row.name: row.n for row in decoded(_CountRow, answer)}


def check(declared: Declared, seen: Mapping[str, Table], datasets: frozenset[str] | NotChecked) -> Iterator[Difference]:
    """Every difference of datasets, tables and views; a dataset without any is one, not one for each table."""
    create = f"gapless init{declared.place}"
    tables, views = declared_tables(declared.pipeline), list(declared.pipeline.views.values())
    bare: set[str] = set()
    but = ""
    if not isinstance(datasets, NotChecked):
        bare = set(declared_datasets(declared.pipeline)) - {_dataset_of(name) for name in seen}
        but = ", its dataset does"
        for dataset in sorted(bare):
            own = [name for name in (*tables, *views) if _dataset_of(name) == dataset]
            yield from _bare(declared, dataset, own, there=dataset in datasets)
    for name, wanted in tables.items():
        if name in seen:
            yield from _table(name, wanted, seen[name], altering=not declared.emulator)
        elif _dataset_of(name) not in bare:
            yield Difference("tables", f"{name} does not exist{but}", "error", create)
    for name in views:
        if name not in seen and _dataset_of(name) not in bare:
            yield Difference("tables", f"the view {name} does not exist{but}", "error", create)
    yield from _empty(declared, seen)


def _bare(declared: Declared, dataset: str, own: Sequence[str], *, there: bool) -> Iterator[Difference]:
    """A dataset in which nothing is; that is as it should be where nothing is declared but what is staged."""
    create = f"gapless init{declared.place}"
    names = ", ".join(name.partition(".")[2] for name in own)
    if not there:
        lost = f"declared are in it {names}" if own else "no repair can be staged"
        fix = create if declared.emulator else f"{APPLY}, then: {create}"
        yield Difference("tables", f"the dataset {dataset} does not exist; {lost}", "error", fix)
    elif own:
        yield Difference(
            "tables", f"the dataset {dataset} is there, and nothing in it; declared are {names}", "error", create
        )


def _dataset_of(name: str) -> str:
    return name.partition(".")[0]


def _empty(declared: Declared, seen: Mapping[str, Table]) -> Iterator[Difference]:
    """Tables that are there and hold nothing. Before the first load that is as it should be."""
    claims = ledger.table(declared.pipeline.ledger, "attempts")
    if claims in seen and seen[claims].rows == 0:
        yield Difference(
            "tables",
            f"{claims} is there and empty: without its first row nothing can be claimed",
            "error",
            f"gapless init{declared.place}",
        )
    # a table about the days to come is empty all summer
    lasting = [p for p in declared.pipeline.processors.values() if p.applies_to != "upcoming" and p.table in seen]
    empty = [p for p in lasting if seen[p.table].rows == 0]
    loads = declared.pipeline.words.loads
    load = f"gapless load FILES{declared.place}" if loads else "fill the sources, by whatever fills them"
    if empty and len(empty) == len(lasting):
        yield Difference(
            "tables", f"all {len(empty)} tables of processors are there and empty: nothing was loaded yet", "note", load
        )
        return
    for processor in empty:
        yield Difference(
            "tables",
            f"{processor.table} is there and empty, others have rows",
            "note",
            load if processor.run == "none" else f"gapless scan{declared.place}",
        )


def _table(name: str, wanted: Table, there: Table, *, altering: bool) -> Iterator[Difference]:
    """The differences of one table. The emulator's catalogue does not follow ALTER TABLE: there it is made anew."""
    for column, declared in wanted.columns.items():
        found = there.columns.get(column)
        if found is None:
            yield Difference(
                "tables",
                f"{name} has no column {column} {declared.type}",
                "error",
                f"ALTER TABLE `{name}` ADD COLUMN {column} {declared.type}"
                if altering
                else _remake(name, wanted, f"*, CAST(NULL AS {declared.type}) AS {column}"),
            )
        elif not _same_type(declared.type, found.type):
            yield Difference(
                "tables",
                f"{name}.{column} is {found.type}, declared is {declared.type}",
                "error",
                f"ALTER TABLE `{name}` ALTER COLUMN {column} SET DATA TYPE {declared.type}"
                if altering and _widens(found.type, declared.type)
                else _remake(name, wanted, f"* REPLACE (CAST({column} AS {declared.type}) AS {column})"),
            )
        elif found.required and not declared.required:
            yield Difference(
                "tables",
                f"{name}.{column} refuses NULL, which the declaration allows",
                "error",
                f"ALTER TABLE `{name}` ALTER COLUMN {column} DROP NOT NULL",
            )
    for column, state in there.columns.items():
        if column not in wanted.columns and state.required:
            yield Difference(
                "tables",
                f"{name}.{column} is not declared and refuses NULL: no row can be written",
                "error",
                f"ALTER TABLE `{name}` ALTER COLUMN {column} DROP NOT NULL",
            )
    if there.partitioned_by != wanted.partitioned_by:
        has, should = there.partitioned_by or "nothing", wanted.partitioned_by or "nothing"
        yield Difference(
            "tables",
            f"{name} is partitioned by {has}, declared is {should}: every look reads more than it has to",
            "warning",
            _remake(name, wanted),
        )
    if there.clustered_by is not None and there.clustered_by != wanted.clustered_by:
        has, should = ", ".join(there.clustered_by) or "nothing", ", ".join(wanted.clustered_by or ()) or "nothing"
        project, _, table = name.rpartition(".")
        yield Difference(
            "tables",
            f"{name} is clustered by {has}, declared is {should}",
            "warning",
            f"bq update --clustering_fields={','.join(wanted.clustered_by or ())} {project}.{table}",
        )


def _same_type(declared: str, found: str) -> bool:
    """Whether two types are one; a NUMERIC without a size, as the emulator tells it, agrees with one of any size."""
    if declared.startswith("NUMERIC") and found == "NUMERIC":
        return True
    return declared == found


_WIDER = {"INT64": ("NUMERIC", "FLOAT64"), "NUMERIC": ("FLOAT64",)}


def _widens(found: str, wanted: str) -> bool:
    """Whether BigQuery changes the type in place."""
    return any(wanted.startswith(kind) for kind in _WIDER.get(found.partition("(")[0], ()))


def _remake(table: str, declared: Table, select: str = "*") -> str:
    """A table can change neither a type to a narrower one nor its partitions: a copy takes its place."""
    by = f" PARTITION BY {declared.partitioned_by}" if declared.partitioned_by else ""
    by += f" CLUSTER BY {', '.join(declared.clustered_by)}" if declared.clustered_by else ""
    return (
        f"CREATE TABLE `{table}_anew` AS SELECT {select} FROM `{table}`; DROP TABLE `{table}`; "
        f"CREATE TABLE `{table}`{by} AS SELECT * FROM `{table}_anew`; DROP TABLE `{table}_anew`"
    )
