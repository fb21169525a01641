"""A pipeline on a warehouse, with what tests do to it: damage, repair, compare, and watch what is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from gapless import ledger
from gapless.declare.pipeline import Pipeline
from gapless.declare.processor import Processor
from gapless.engine import ApplyReport, Engine, Look
from gapless.model import Policy, Scope, Target
from gapless.warehouse.fingerprints import version_of
from gapless.warehouse.names import quoted
from gapless.warehouse.ports import Param, Warehouse
from gapless.wiring import Gapless, InProcessBus

ROOT = Path(__file__).parents[2]


class Clock:
    """A clock that tests set; it moves on by a millisecond whenever it is read, so that events have an order."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        self.now += timedelta(milliseconds=1)
        return self.now


class Part(NamedTuple):
    """What one partition of a derived table holds."""

    rows: int
    version: int


@dataclass
class Watched:
    """A warehouse that writes down what is asked of it, and fails where a test says so."""

    real: Warehouse
    calls: list[tuple[str, str]] = field(default_factory=list)  # method, purpose
    statements: list[tuple[str, Mapping[str, Param]]] = field(default_factory=list)
    before: Callable[[str], None] = lambda _purpose: None
    after: Callable[[str], None] = lambda _purpose: None

    def _done(
        self, method: str, purpose: str, sql: str, params: Mapping[str, Param] | None, call: Callable[[], Any]
    ) -> Any:
        self.calls.append((method, purpose))
        if sql:
            self.statements.append((sql, params or {}))
        self.before(purpose)
        result = call()
        self.after(purpose)
        return result

    def rows(self, sql: str, params: Mapping[str, Param] | None = None, *, purpose: str) -> Any:
        return self._done("rows", purpose, sql, params, lambda: self.real.rows(sql, params, purpose=purpose))

    def execute(
        self,
        sql: str,
        params: Mapping[str, Param] | None = None,
        *,
        purpose: str,
        job_id: str | None = None,
        patience: float | None = None,
    ) -> int:
        call = lambda: self.real.execute(sql, params, purpose=purpose, job_id=job_id, patience=patience)  # noqa: E731
        return self._done("execute", purpose, sql, params, call)  # type: ignore[no-any-return]

    def job_state(self, job_id: str) -> str:
        return self._done("job_state", "job", "", None, lambda: self.real.job_state(job_id))  # type: ignore[no-any-return]

    def price(self, sql: str, params: Mapping[str, Param] | None = None) -> int:
        return self._done("price", "price", sql, params, lambda: self.real.price(sql, params))  # type: ignore[no-any-return]

    def upload(self, table: str, parquet: Any) -> int:
        return self._done("upload", "upload", "", None, lambda: self.real.upload(table, parquet))  # type: ignore[no-any-return]

    def drop(self, table: str) -> None:
        self._done("drop", "drop", "", None, lambda: self.real.drop(table))

    def tables(self, dataset: str) -> Mapping[str, Sequence[str]]:
        return self._done("tables", "tables", "", None, lambda: self.real.tables(dataset))  # type: ignore[no-any-return]

    def create_dataset(self, dataset: str) -> None:
        self._done("create_dataset", "create", "", None, lambda: self.real.create_dataset(dataset))


@dataclass
class Bench:
    """A pipeline on a warehouse, with what tests do to it."""

    gapless: Gapless
    home: Path

    @property
    def pipeline(self) -> Pipeline:
        return self.gapless.pipeline

    @property
    def bus(self) -> InProcessBus:
        assert isinstance(self.gapless.bus, InProcessBus)
        return self.gapless.bus

    def rows(self, sql: str, **params: Param) -> list[tuple[Any, ...]]:
        return list(self.gapless.warehouse.rows(sql, params, purpose="test").rows)

    def run(self, sql: str, **params: Param) -> int:
        return self.gapless.warehouse.execute(sql, params, purpose="test")

    def ledger_table(self, name: str) -> str:
        """A table of the ledger, quoted."""
        return quoted(ledger.table(self.pipeline.ledger, name))

    def book(self, owner: str = "test") -> ledger.SqlLedger:
        """The ledger as one run sees it."""
        gapless = self.gapless
        phases = {p.name: p.phase for p in self.pipeline.processors.values()}
        return ledger.SqlLedger(gapless.warehouse, self.pipeline.ledger, phases, gapless.clock, Policy().lease, owner)

    def staged(self) -> list[str]:
        """The tables that are not published yet."""
        return list(self.gapless.warehouse.tables(self.pipeline.staging))

    def delete(self, target: Target, where: str = "TRUE") -> int:
        p = self.pipeline.processor(target.processor)
        return self.run(f"DELETE FROM {quoted(p.table)} WHERE {p.date_column} = @day AND {where}", day=target.day)

    def update(self, target: Target, change: str, where: str = "TRUE") -> int:
        p = self.pipeline.processor(target.processor)
        return self.run(
            f"UPDATE {quoted(p.table)} SET {change} WHERE {p.date_column} = @day AND {where}", day=target.day
        )

    def copy_rows(self, source: Target, day: date, where: str = "TRUE", **changes: str) -> int:
        """Insert a target's rows into a date of the same table; `changes` gives columns other values."""
        p = self.pipeline.processor(source.processor)
        names = [*p.columns, *p.engine_columns]
        values = {name: name for name in names} | {p.date_column: "@to"} | changes
        return self.run(
            f"INSERT INTO {quoted(p.table)} ({', '.join(names)}) SELECT {', '.join(values[n] for n in names)} "
            f"FROM {quoted(p.table)} WHERE {p.date_column} = @day AND {where}",
            day=source.day,
            to=day,
        )

    def count(self, target: Target, where: str = "TRUE") -> int:
        p = self.pipeline.processor(target.processor)
        found = self.rows(
            f"SELECT COUNT(*) FROM {quoted(p.table)} WHERE {p.date_column} = @day AND {where}", day=target.day
        )
        return int(found[0][0])

    def content(self, target: Target) -> list[tuple[Any, ...]]:
        """Every column of every row of a partition, in the order of its key."""
        p = self.pipeline.processor(target.processor)
        return self.rows(
            f"SELECT * FROM {quoted(p.table)} WHERE {p.date_column} = @day ORDER BY {', '.join(p.key)}", day=target.day
        )

    def scope(self, first: date | None = None, last: date | None = None, *processors: str) -> Scope:
        everything = self.gapless.everything()
        return Scope(
            first or everything.first,
            last or first or everything.last,
            frozenset(self.pipeline.processor(name).name for name in processors),
            explicit=first is not None,
        )

    def engine(self, **policy: Any) -> Engine:
        return self.gapless.engine(Policy(**policy))

    def scan(self, first: date | None = None, last: date | None = None, *processors: str, **policy: Any) -> Look:
        return self.engine(**policy).scan(self.scope(first, last, *processors))

    def apply(
        self, first: date | None = None, last: date | None = None, *processors: str, **policy: Any
    ) -> ApplyReport:
        engine = self.engine(**policy)
        return engine.apply(engine.scan(self.scope(first, last, *processors)))

    def versions(self, first: date = date.min, last: date = date.max) -> dict[Target, Part]:
        """Every partition of every derived table, measured from the rows themselves."""
        return {target: Part(rows, version) for target, rows, version, _, _ in self._partitions(first, last)}

    def runs(self, first: date = date.min, last: date = date.max) -> dict[Target, str]:
        """Which run wrote each partition; runs joined by a plus sign where rows disagree."""
        return {target: run for target, _, _, run, _ in self._partitions(first, last)}

    def torn(self, first: date = date.min, last: date = date.max) -> list[Target]:
        """Partitions that are not whole: rows of several runs or inputs, or rows that are not what their hash says."""
        return [target for target, _, _, run, whole in self._partitions(first, last) if "+" in run or not whole]

    def _partitions(self, first: date, last: date) -> list[tuple[Target, int, int, str, bool]]:
        parts = [
            f"SELECT '{p.name}' AS name, {p.date_column} AS day, COUNT(*) AS n, BIT_XOR({version_of(p)}) AS version, "
            "MIN(run_id) AS a, MAX(run_id) AS z, MIN(inputs_hash) = MAX(inputs_hash) AS whole "
            f"FROM {quoted(p.table)} WHERE {p.date_column} BETWEEN @first AND @last GROUP BY day"
            for p in self.pipeline.processors.values()
            if p.run == "sql"
        ]
        found = self.rows("\nUNION ALL\n".join(parts), first=first, last=last)
        return [
            (Target(name, day), n, version, a if a == z else f"{a}+{z}", bool(whole))
            for name, day, n, version, a, z, whole in found
        ]

    def watched(self) -> tuple[Bench, Watched]:
        """This bench through a warehouse that writes down what is asked of it."""
        watched = Watched(self.gapless.warehouse)
        return replace(self, gapless=replace(self.gapless, warehouse=watched, bus=InProcessBus())), watched


def processors_that_run(pipeline: Pipeline) -> Iterable[Processor]:
    return (p for p in pipeline.processors.values() if p.run == "sql")
