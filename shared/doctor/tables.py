"""Tables and views: whether they are there, with the declared columns, partitions and clusters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from shared.doctor.declared import Declared, declared_tables
from shared.doctor.facts import Column, Table
from shared.doctor.finding import Finding
from shared.pipeline import Pipeline
from shared.ports import Warehouse


def warehouse_tables(warehouse: Warehouse, pipeline: Pipeline, *, keeps_clustering: bool) -> dict[str, Table]:
    """The tables and views of every dataset that the pipeline declares."""
    found: dict[str, Table] = {}
    for dataset in sorted({name.split(".")[0] for name in [*declared_tables(pipeline), *pipeline.views.values()]}):
        if not warehouse.tables(dataset):
            continue  # INFORMATION_SCHEMA of a dataset that does not exist is an error
        rows = warehouse.rows(
            "SELECT table_name, column_name, data_type, is_nullable, is_partitioning_column, "
            f"clustering_ordinal_position FROM `{dataset}`.INFORMATION_SCHEMA.COLUMNS "
            "ORDER BY table_name, ordinal_position",
            purpose="doctor",
        ).rows
        for name in dict.fromkeys(row[0] for row in rows):
            own = [row for row in rows if row[0] == name]
            clustered = sorted((row[5], row[1]) for row in own if row[5] is not None)
            found[f"{dataset}.{name}"] = Table(
                {row[1]: Column(row[2].replace(" ", ""), row[3] == "NO") for row in own},
                next((row[1] for row in own if row[4] == "YES"), ""),
                tuple(column for _, column in clustered) if keeps_clustering else None,
            )
    return found


def check(declared: Declared, seen: Mapping[str, Table]) -> Iterator[Finding]:
    """Every difference of tables and views."""
    create = f"gapless init{declared.place}"
    for name, wanted in declared_tables(declared.pipeline).items():
        if name in seen:
            yield from _table(name, wanted, seen[name], altering=not declared.emulator)
        else:
            yield Finding("tables", f"{name} does not exist", "error", create)
    for name in declared.pipeline.views.values():
        if name not in seen:
            yield Finding("tables", f"the view {name} does not exist", "error", create)


def _table(name: str, wanted: Table, there: Table, *, altering: bool) -> Iterator[Finding]:
    """The differences of one table. The emulator's catalogue does not follow ALTER TABLE: there it is made anew."""
    for column, declared in wanted.columns.items():
        found = there.columns.get(column)
        if found is None:
            yield Finding(
                "tables", f"{name} has no column {column} {declared.type}", "error",
                f"ALTER TABLE `{name}` ADD COLUMN {column} {declared.type}"
                if altering else _remake(name, wanted, f"*, CAST(NULL AS {declared.type}) AS {column}"),
            )  # fmt: skip
        elif not _same_type(declared.type, found.type):
            yield Finding(
                "tables", f"{name}.{column} is {found.type}, declared is {declared.type}", "error",
                f"ALTER TABLE `{name}` ALTER COLUMN {column} SET DATA TYPE {declared.type}"
                if altering and _widens(found.type, declared.type)
                else _remake(name, wanted, f"* REPLACE (CAST({column} AS {declared.type}) AS {column})"),
            )  # fmt: skip
        elif found.required and not declared.required:
            yield Finding(
                "tables", f"{name}.{column} refuses NULL, which the declaration allows", "error",
                f"ALTER TABLE `{name}` ALTER COLUMN {column} DROP NOT NULL",
            )  # fmt: skip
    for column, state in there.columns.items():
        if column not in wanted.columns and state.required:
            yield Finding(
                "tables", f"{name}.{column} is not declared and refuses NULL: no row can be written", "error",
                f"ALTER TABLE `{name}` ALTER COLUMN {column} DROP NOT NULL",
            )  # fmt: skip
    if there.partitioned_by != wanted.partitioned_by:
        has, should = there.partitioned_by or "nothing", wanted.partitioned_by or "nothing"
        yield Finding(
            "tables", f"{name} is partitioned by {has}, declared is {should}: every look reads more than it has to",
            "warning", _remake(name, wanted),
        )  # fmt: skip
    if there.clustered_by is not None and there.clustered_by != wanted.clustered_by:
        has, should = ", ".join(there.clustered_by) or "nothing", ", ".join(wanted.clustered_by or ()) or "nothing"
        project, _, table = name.rpartition(".")
        yield Finding(
            "tables", f"{name} is clustered by {has}, declared is {should}", "warning",
            f"bq update --clustering_fields={','.join(wanted.clustered_by or ())} {project}.{table}",
        )  # fmt: skip


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
