"""Fixtures of the integration tests: two real warehouses, and the command line. What they give is in `tests/support`.

`shop` is a small pipeline on an empty embedded warehouse, for mechanics. `built_season` is a generated season that went
through every phase of the shipped pipeline; it is built once, and a test that does not leave it as it found it gets the
next one a fresh copy. Everything runs on real SQL: nothing is mocked.
"""

from __future__ import annotations

import os
import pickle
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import hypothesis
import pytest

from gapless.declare.pipeline import Pipeline, build_pipeline, load_pipeline
from gapless.declare.settings import read_settings
from gapless.errors import CannotObserve
from gapless.local import warehouse as local
from gapless.wiring import Gapless, InProcessBus, connect
from tests.support.bench import ROOT, Bench, Clock, Part, Watched, processors_that_run
from tests.support.commands import Result, Run, parsed, plain
from tests.support.season import SEASON, Season, build_season, only_one
from tests.support.shop import CHAIN, CHAIN_SQL, TINY, Shop, shop_pipeline

# Speed belongs in the benchmark: a busy machine is no failure.
hypothesis.settings.register_profile("gapless", deadline=None)
hypothesis.settings.load_profile("gapless")

if os.environ.get("PYTEST_XDIST_WORKER"):  # there are as many warehouses as cores
    os.environ.setdefault("GAPLESS_WAREHOUSE_THREADS", "1")

# The modules that take longest, longest first: begun last, they would leave the other workers idle at the end.
LONGEST = (
    "cli/test_documents.py", "functions/test_transitions.py", "scenarios/test_repair.py", "scenarios/test_incidents.py",
    "scenarios/test_damage.py", "scenarios/test_validators.py", "scenarios/test_failures.py", "scenarios/test_kill.py",
    "scenarios/test_function_failures.py", "emulator/test_cleanup.py", "emulator/test_fallback.py",
    "emulator/test_upcoming.py", "simulation/test_convergence.py", "functions/test_following.py",
)  # fmt: skip


def pytest_configure(config: pytest.Config) -> None:
    said = (
        "run(command, now, sold, built): what `run` begins and ends with; orders between two dates, or all that is made"
    )
    config.addinivalue_line("markers", said)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    rank = {ROOT / "tests" / name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.path, len(rank)))


# ---------------------------------------------------------------------------------------------------- the shop


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


@pytest.fixture
def gapless(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
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


@pytest.fixture
def run(request: pytest.FixtureRequest, chain: Shop, gapless: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs commands on the shop with all its phases, as the mark `run` of a test or its module says."""
    mark = request.node.get_closest_marker("run")
    said = mark.kwargs if mark else {}
    if "sold" in said:
        chain.sell(*said["sold"])
    if "built" in said:
        chain.built(*said["built"])
    monkeypatch.setenv("GAPLESS_PIPELINE", str(chain.pipeline.sql_folder.parent / "pipeline.yaml"))
    begin = [said["command"]] if "command" in said else []
    end = ["--home", chain.home, *(["--now", said["now"]] if "now" in said else [])]
    return lambda *words: gapless(*begin, *words, *end)


__all__ = [  # a test may name them from here, too
    "CHAIN", "CHAIN_SQL", "ROOT", "SEASON", "TINY", "Bench", "Clock", "Part", "Result", "Season", "Shop", "Watched",
    "build_pipeline", "build_season", "only_one", "parsed", "plain", "processors_that_run", "shop_pipeline",
]  # fmt: skip
