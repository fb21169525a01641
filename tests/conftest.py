"""What the integration tests share: two real warehouses and a few words to damage, repair and compare them.

`shop` is a small pipeline on an empty embedded warehouse, for mechanics. `built_season` is a generated season that went
through every phase of the shipped pipeline; it is built once, and a test that does not leave it as it found it gets the
next one a fresh copy. Everything runs on real SQL: nothing is mocked.
"""

from __future__ import annotations

import fcntl
import json
import os
import pickle
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import hypothesis
import pytest
import yaml

from gapless import ledger
from gapless.declare.pipeline import Pipeline, build_pipeline, load_pipeline
from gapless.declare.processor import Processor
from gapless.declare.settings import read_settings
from gapless.engine import ApplyReport, Engine, Look
from gapless.errors import CannotObserve
from gapless.files import read
from gapless.files.kinds import declared_kinds
from gapless.local import warehouse as local
from gapless.model import Policy, Scope, Target, days_between
from gapless.nba.sample.model import SampleSeason
from gapless.nba.sample.season import write_season
from gapless.tasks.load import load
from gapless.warehouse.fingerprints import version_of
from gapless.warehouse.names import quoted
from gapless.warehouse.ports import Param, Warehouse
from gapless.wiring import Gapless, InProcessBus, connect, utcnow

# Speed belongs in the benchmark: a busy machine is no failure.
hypothesis.settings.register_profile("gapless", deadline=None)
hypothesis.settings.load_profile("gapless")

if os.environ.get("PYTEST_XDIST_WORKER"):  # there are as many warehouses as cores
    os.environ.setdefault("GAPLESS_WAREHOUSE_THREADS", "1")

ROOT = Path(__file__).parents[1]
TINY = ROOT / "tests" / "tiny"
SEASON = 2022


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


# ---------------------------------------------------------------------------------------------------- the shop


@dataclass
class Shop(Bench):
    """The second pipeline. `variant` gives it other processors on the same warehouse."""

    @property
    def clock(self) -> Clock:
        assert isinstance(self.gapless.clock, Clock)
        return self.gapless.clock

    def sell(self, first: date, last: date, branches: str = "ABC", orders: int = 2) -> None:
        """Orders of every branch on every day; the amounts follow from day, branch and number."""
        rows = [
            {"id": f"{day:%m%d}-{b}{n}", "day": day, "branch": b, "cents": 1000 + 7 * day.day + 100 * i + n}
            for day in days_between(first, last)
            for i, b in enumerate(branches)
            for n in range(orders)
        ]
        self.run(
            "INSERT INTO `shop_raw.orders` (order_id, order_day, branch, amount_cents, processed_at) "
            "SELECT o.id, o.day, o.branch, o.cents, @now FROM UNNEST(@rows) AS o",
            rows=rows,
            now=self.clock(),
        )

    def built(self, first: date, last: date) -> None:
        """The orders of `sell`, gone through every processor; built once, and copied from then on."""
        p = self.pipeline
        names = [q.table for q in p.processors.values()]
        names += [ledger.table(p.ledger, name) for name in ("attempts", "backfill_date_outcomes")]
        kept_in, ending = f"{p.staging}_kept", f"{len(names)}_{first:%m%d}_{last:%m%d}"
        kept = {name: f"{kept_in}.{name.replace('.', '_')}_{ending}" for name in names}
        self.gapless.warehouse.create_dataset(kept_in)
        if kept[names[0]].split(".")[1] in self.gapless.warehouse.tables(kept_in):
            for name in names:
                # Not the head of the ledger: its generation is part of the ids of jobs, which are accepted once.
                claims = "claim_number > 0" if name == ledger.table(p.ledger, "attempts") else "TRUE"
                self.run(f"INSERT INTO {quoted(name)} SELECT * FROM {quoted(kept[name])} WHERE {claims}")
            self.clock.now += timedelta(minutes=1)  # later than all that was copied
            return
        self.sell(first, last)
        report = self.apply()
        assert report.after is not None
        assert report.after.judgement.complete
        for name in reversed(names):
            self.run(f"CREATE TABLE {quoted(kept[name])} AS SELECT * FROM {quoted(name)}")

    def variant(
        self, folder: Path, sql: Mapping[str, str] | None = None, change: Mapping[str, Mapping[str, Any]] | None = None
    ) -> Shop:
        """The same shop with other SQL and other fields of its processors."""
        pipeline = shop_pipeline(folder, sql, change)
        return replace(self, gapless=replace(self.gapless, pipeline=pipeline, bus=InProcessBus()))

    def backups(self) -> list[str]:
        """The backup tables that are there, written down or not."""
        dataset = self.pipeline.ledger
        return [f"{dataset}.{name}" for name in self.gapless.warehouse.tables(dataset) if name.startswith("backup_")]

    def forget_backups(self) -> None:
        """Drop them, and everything that is written of clean-ups."""
        for name in self.backups():
            self.gapless.warehouse.drop(name)
        for name in ("cleanup_log", "table_backups"):
            self.run(f"DELETE FROM {self.ledger_table(name)} WHERE TRUE")

    def empty(self) -> None:
        """Everything gone, and a new ledger."""
        for p in self.pipeline.processors.values():
            self.run(f"DELETE FROM {quoted(p.table)} WHERE TRUE")
        for name in ("attempts", "backfill_date_outcomes", "acknowledged_gaps", "reported_runs"):
            self.run(f"DELETE FROM `{self.pipeline.ledger}.{name}` WHERE TRUE")
        self.run(
            f"INSERT INTO `{self.pipeline.ledger}.attempts` (claim_number, run_id, processor_name, owner, claimed_at, "
            "lease_until) VALUES (0, @generation, '', '', CURRENT_TIMESTAMP(), CURRENT_TIMESTAMP())",
            generation=os.urandom(6).hex(),
        )
        for name in self.staged():
            self.gapless.warehouse.drop(f"{self.pipeline.staging}.{name}")
        self.bus.sent.clear()


CHAIN: dict[str, dict[str, Any]] = {
    # a record of what was expected of a day: made once, never remade
    "forecast": {
        "phase": 3,
        "table": "shop_mart.forecast",
        "date_column": "day",
        "key": ["branch"],
        "expect": {"keys_of": "revenue"},
        "restate": "never",
        "upstream": {"revenue": {"own_day": True}},
        "columns": {"day": "DATE required", "branch": "STRING required", "cents": "INT64 required 0..1000000000"},
    },
    "standing": {
        "phase": 4,
        "table": "shop_mart.standing",
        "date_column": "day",
        "key": ["branch"],
        "expect": {"keys_of": "revenue"},
        "upstream": {"revenue": {"own_day": True, "lookback_days": 2}, "forecast": {"own_day": True}},
        "columns": {
            "day": "DATE required",
            "branch": "STRING required",
            "cents_3_days": "INT64 required",
            "forecast_cents": "INT64",
        },
    },
}
CHAIN_SQL = {
    "forecast": "SELECT day, branch, DIV(amount_cents_7_days, 7) AS cents FROM {revenue} WHERE day IN UNNEST(@dates)",
    "standing": """
SELECT d AS day, r.branch, SUM(r.amount_cents_7_days) AS cents_3_days, MAX(f.cents) AS forecast_cents
FROM UNNEST(@dates) AS d
JOIN {revenue} AS r ON r.day BETWEEN DATE_SUB(d, INTERVAL {revenue.lookback} DAY) AND d
LEFT JOIN {forecast} AS f ON f.day = d AND f.branch = r.branch
GROUP BY d, r.branch
HAVING COUNTIF(r.day = d) > 0""",
}


def shop_pipeline(
    folder: Path,
    sql: Mapping[str, str] | None = None,
    change: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    chain: bool = True,
) -> Pipeline:
    """The pipeline of tests/tiny, with two more phases and the given changes, read from files in a folder."""
    raw = yaml.safe_load((TINY / "pipeline.yaml").read_text(encoding="utf-8"))
    raw["topics"] = {2: "shop-2", 3: "shop-3", 4: "shop-4"}
    texts = {path.stem: path.read_text(encoding="utf-8") for path in (TINY / "sql").glob("*.sql")}
    if chain:
        raw["processors"] |= {name: dict(fields) for name, fields in CHAIN.items()}
        texts |= CHAIN_SQL
    for name, fields in (change or {}).items():
        raw["processors"][name] = {**raw["processors"][name], **fields}
    (folder / "sql").mkdir(parents=True, exist_ok=True)
    for name, text in (texts | dict(sql or {})).items():
        (folder / "sql" / f"{name}.sql").write_text(text, encoding="utf-8")
    (folder / "pipeline.yaml").write_text(yaml.safe_dump(raw, sort_keys=False), encoding="utf-8")
    return load_pipeline(folder / "pipeline.yaml")


@pytest.fixture(scope="session")
def _shop_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    home = tmp_path_factory.mktemp("shop")
    yield home
    local.stop(home)


@pytest.fixture(scope="session")
def _shop_server(_shop_home: Path) -> Gapless:
    shop_pipeline(_shop_home / "chain")
    settings = replace(read_settings({}, home=_shop_home), pipeline=_shop_home / "chain" / "pipeline.yaml")
    gapless = connect(settings, Clock(datetime(2024, 2, 12, 11, tzinfo=UTC)))
    gapless.create()
    return gapless


def _fresh(server: Gapless, pipeline: Pipeline, home: Path) -> Shop:
    clock = Clock(datetime(2024, 2, 12, 11, tzinfo=UTC))
    Shop(server, home).empty()
    return Shop(replace(server, pipeline=pipeline, clock=clock, bus=InProcessBus()), home)


@pytest.fixture
def shop(_shop_server: Gapless, _shop_home: Path) -> Shop:
    """The pipeline of tests/tiny on empty tables: today is 12 February 2024, noon in Berlin."""
    return _fresh(_shop_server, load_pipeline(TINY / "pipeline.yaml"), _shop_home)


@pytest.fixture
def chain(_shop_server: Gapless, _shop_home: Path) -> Shop:
    """The shop with two more phases on empty tables: orders -> revenue -> forecast (never restated) -> standing."""
    return _fresh(_shop_server, _shop_server.pipeline, _shop_home)


# -------------------------------------------------------------------------------------------------- the season


@dataclass
class Season(Bench):
    """A season that went through every phase."""

    season: SampleSeason
    pristine: Path
    built: dict[Target, Part]

    def restore(self) -> None:
        """Replace the warehouse by the one that was built first."""
        local.stop(self.home)
        shutil.copyfile(self.pristine / "bqemulator.duckdb", self.home / "bqemulator.duckdb")
        self.gapless = connect(read_settings({}, home=self.home))

    def changed(self) -> bool:
        """Whether anything is not as it was built: other rows, or the same rows of several runs."""
        parts = self._partitions(date.min, date.max)
        whole = all(one and "+" not in run for _, _, _, run, one in parts)
        return not whole or {target: Part(rows, version) for target, rows, version, _, _ in parts} != self.built

    def differences(self) -> list[Target]:
        """The partitions that are not what was built first."""
        now = self.versions()
        return sorted(t for t in now.keys() | self.built.keys() if now.get(t) != self.built.get(t))


def build_season(home: Path) -> None:
    """Write, load and build the season, and leave the stopped warehouse with its facts in a folder."""
    season = write_season(home / "files", season=SEASON)
    gapless = connect(read_settings({}, home=home))
    try:
        gapless.create()
        for raw in read(home / "files", gapless.pipeline, declared_kinds(gapless.pipeline), utcnow().date()).rows:
            load(gapless.warehouse, gapless.pipeline, raw, gapless.clock())
        engine = gapless.engine(Policy())
        report = engine.apply(engine.scan(gapless.everything()))
        assert not report.failed
        assert report.after is not None
        assert report.after.judgement.complete
        built = Bench(gapless, home).versions()
    finally:
        local.stop(home)
    facts = replace(season, players_on=dict(season.players_on))
    (home / "facts.pickle").write_bytes(pickle.dumps((facts, built)))


@contextmanager
def only_one(path: Path) -> Iterator[None]:
    """One process of several at a time."""
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def pristine_season(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a stopped warehouse with a complete season; the workers of pytest-xdist share it."""
    base = tmp_path_factory.getbasetemp()
    shared_folder = base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base
    home = shared_folder / "pristine-season"
    with only_one(shared_folder / "pristine-season.lock"):
        if not (home / "facts.pickle").exists():
            build_season(home)
    return home


@pytest.fixture(scope="session")
def _season_bench(pristine_season: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Season]:
    home = tmp_path_factory.mktemp("season")
    season, built = pickle.loads((pristine_season / "facts.pickle").read_bytes())
    shutil.copyfile(pristine_season / "bqemulator.duckdb", home / "bqemulator.duckdb")
    gapless = connect(read_settings({}, home=home))
    yield Season(gapless, home, season, pristine_season, built)
    local.stop(home)


@pytest.fixture
def built_season(_season_bench: Season) -> Iterator[Season]:
    """The built season, running. A test that damages it has to repair it; if it does not, the next gets a new copy."""
    _season_bench.gapless = replace(_season_bench.gapless, bus=InProcessBus())
    yield _season_bench
    tables = ("acknowledged_gaps", "reported_runs")
    words = " + ".join(f"(SELECT COUNT(*) FROM {_season_bench.ledger_table(name)})" for name in tables)
    try:
        dirty = _season_bench.changed() or _season_bench.rows(f"SELECT {words}")[0][0] > 0
    except CannotObserve:
        dirty = True
    if dirty:
        _season_bench.restore()


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with real results of four seasons; tests that need it are skipped where it is not there."""
    named = os.environ.get("GAPLESS_DATA")
    folder = Path(named) if named else ROOT.parent / "shared" / "data" / "nba"
    if not (folder / "schedule.parquet").exists():
        pytest.skip(f"no real data in {folder}; name its folder with GAPLESS_DATA")
    return folder


# ------------------------------------------------------------------------------------------------ the command line


class Result(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def gapless(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """Runs a command of the command line in this process, exactly as the installed program does."""
    from gapless.cli.main import main

    for name in [name for name in os.environ if name.startswith("GAPLESS_") and name != "GAPLESS_DATA"]:
        monkeypatch.delenv(name)
    monkeypatch.delenv("BIGQUERY_EMULATOR_HOST", raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    # click names a program after the module that python was started with: here pytest, there the installed script
    monkeypatch.setattr(sys.modules["__main__"], "__package__", None)

    def call(*words: object) -> Result:
        monkeypatch.setattr(sys, "argv", ["gapless", *map(str, words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main()
        return Result(int(end.value.code or 0), *capsys.readouterr())

    return call


def parsed(result: Result) -> Any:
    """The one JSON document that a command printed, and nothing beside it."""
    assert result.err == ""
    return json.loads(result.out)


def plain(text: str) -> str:
    """Text on one line, as a person reads it."""
    return re.sub(r"\s+", " ", text)


def processors_that_run(pipeline: Pipeline) -> Iterable[Processor]:
    return (p for p in pipeline.processors.values() if p.run == "sql")


__all__ = ["ROOT", "Bench", "Clock", "Season", "Shop", "Watched", "build_pipeline", "plain", "processors_that_run"]
