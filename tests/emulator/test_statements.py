"""Every statement that Gapless writes is GoogleSQL, and values travel as parameters only."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path

import pytest

from gapless import ledger
from gapless.declare.pipeline import Pipeline, load_pipeline
from gapless.model import Target
from gapless.observe.observer import measuring_statement, statement
from gapless.tasks.load import load
from gapless.warehouse.coverage import coverage
from gapless.warehouse.ports import Param
from gapless.warehouse.publishing import publish
from gapless.warehouse.staging import stage
from gapless.warehouse.tables import create_table
from gapless.warehouse.texts import render
from tests.conftest import TINY, Shop, shop_pipeline

sqlglot = pytest.importorskip("sqlglot")
exp = sqlglot.exp

OBSERVING = {"first", "last", "today"}
BUILDING = {"dates", "first", "last", "today"}
PUBLISHING = {"dates", "first", "last", "now", "processor", "claim", "run_id"}
DATE = re.compile(r"\b(19|20)\d\d-\d\d-\d\d")


def parsed(sql: str) -> sqlglot.Expression:
    """The one statement in a text; raises what sqlglot cannot read as BigQuery's SQL."""
    (tree,) = sqlglot.parse(sql, read="bigquery")
    assert tree is not None
    assert not isinstance(tree, exp.Command), f"not understood: {sql[:200]}"
    return tree


def parameters(sql: str) -> set[str]:
    return {p.name for p in parsed(sql).find_all(exp.Parameter)}


def generated(pipeline: Pipeline) -> Iterator[tuple[str, str, set[str]]]:
    """What a pipeline comes to: a name, the statement, and the parameters that it may use."""
    every = list(pipeline.processors.values())
    yield "observe", statement(pipeline, every), OBSERVING
    yield "measure", measuring_statement(pipeline, every), OBSERVING
    yield "ledger", ledger.state(pipeline.ledger), OBSERVING
    if pipeline.calendar:
        yield "calendar", render(pipeline, pipeline.calendar, None), OBSERVING
    for p in every:
        yield f"create {p.name}", create_table(p), set()
        yield f"coverage {p.name}", coverage(pipeline, p, sources=True), OBSERVING
        yield f"audit {p.name}", coverage(pipeline, p, table="s.staged", only_dates=True), BUILDING
        if p.run == "sql":
            yield f"stage {p.name}", stage(pipeline, p, "s.staged"), BUILDING
            yield f"publish {p.name}", publish(p, "s.staged", "l.attempts"), PUBLISHING
        else:
            yield f"load {p.name}", publish(p, "s.staged", None), PUBLISHING | set(p.replace_by)


@pytest.fixture(scope="module", params=["nba", "tiny", "chain"])
def pipeline(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    if request.param == "nba":
        return load_pipeline()
    if request.param == "tiny":
        return load_pipeline(TINY / "pipeline.yaml")
    return shop_pipeline(tmp_path_factory.mktemp("chain"))


def test_every_generated_statement_is_one_googlesql_statement_with_known_parameters(pipeline: Pipeline) -> None:
    for name, sql, allowed in generated(pipeline):
        unknown = parameters(sql) - allowed
        assert not unknown, f"{name} uses {unknown}"


def test_no_generated_statement_contains_a_date(pipeline: Pipeline) -> None:
    for name, sql, _ in generated(pipeline):
        literals = [found.name for found in parsed(sql).find_all(exp.Literal)]
        assert not [text for text in literals if DATE.search(text)], name


def test_no_placeholder_is_left_and_every_text_compares_the_date_column_with_parameters(pipeline: Pipeline) -> None:
    """What prunes partitions is a filter on the date by parameters; a table read without one is read whole."""
    for name, sql, _ in generated(pipeline):
        assert not re.search(r"\{[a-z_]+(\.lookback)?\}", sql), name
        if name.split()[0] in ("coverage", "audit", "stage"):
            assert "BETWEEN @first AND @last" in sql or "@dates" in sql, name


def test_the_views_and_the_ledgers_own_tables_are_googlesql() -> None:
    for name in ledger.VIEWS:
        assert not parameters(ledger.view_body("d", name))
    for table in ledger.TABLES.values():
        parsed(table.create("d"))


def test_what_really_runs_has_its_values_in_parameters_and_none_in_its_text(chain: Shop) -> None:
    """A whole life on the emulator: load, scan, claim, stage, audit, publish, measure, record, acknowledge."""
    bench, watched = chain.watched()
    chain.sell(date(2024, 2, 1), date(2024, 2, 4))
    engine = bench.engine()
    report = engine.apply(engine.scan(bench.scope(date(2024, 2, 1), date(2024, 2, 4))))
    first, last, expires = date(2024, 1, 1), date(2024, 1, 2), date(2024, 3, 1)
    bench.book().acknowledge("revenue", first, last, 'it\'s "lost"; --', "o'neil", expires)
    assert len(report.outcomes) == 12
    assert {purpose for _, purpose in watched.calls} >= {
        "observe",
        "claim",
        "stage",
        "audit",
        "publish",
        "measure",
        "outcomes",
        "acknowledge",
        "drop",
    }
    for sql, params in watched.statements:
        # an observation brings @today even where no processor tells past from future
        assert parameters(sql) | {"today"} == set(params) | {"today"}, sql
        assert not DATE.search(sql), sql
        for value in values(params):
            assert value not in sql, f"{value!r} is part of: {sql}"


def test_a_load_has_its_values_in_parameters(chain: Shop, tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    from gapless.files import RawRows

    bench, watched = chain.variant(tmp_path, change={"orders": {"replace_by": ["branch"]}}).watched()
    day = date(2024, 2, 1)
    rows = pa.table({"order_id": ["x"], "order_day": [day], "branch": ["Q'"], "amount_cents": [5]})
    load(watched, bench.pipeline, RawRows("orders", rows, "orders.csv", (day,)), bench.gapless.clock())
    assert chain.rows("SELECT branch, amount_cents FROM `shop_raw.orders`") == [("Q'", 5)]
    for sql, params in watched.statements:
        # the load gives the range even where replacing by source does not need it
        assert parameters(sql) <= set(params), sql
        assert "Q'" not in sql


def values(params: Mapping[str, Param]) -> Iterator[str]:
    """The texts among the parameters that could not be part of a statement by chance."""
    for value in params.values():
        if isinstance(value, str) and len(value) >= 8 and value not in ("revenue", "forecast", "standing"):
            yield value
        elif isinstance(value, date):
            yield value.isoformat()[:10]


def test_a_hostile_reason_is_stored_as_it_was_given(chain: Shop) -> None:
    reason, owner = 'it\'s "lost"; DROP TABLE `x` -- \\', "o'neil"
    chain.book().acknowledge("revenue", date(2024, 2, 1), date(2024, 2, 1), reason, owner, None)
    chain.sell(date(2024, 2, 2), date(2024, 2, 2))
    (word,) = chain.scan().observation.ledger.acknowledged
    assert (word.reason, word.owner, word.expires) == (reason, owner, None)
    assert Target(word.processor, word.first) == Target("revenue", date(2024, 2, 1))
