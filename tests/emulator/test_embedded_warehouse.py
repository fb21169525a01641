"""What the start of the embedded warehouse changes in it: its memory does not grow with the number of its jobs."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from google.api_core.exceptions import NotFound
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

from gapless.declare.settings import read_settings
from gapless.errors import BadInput
from gapless.gcp.bigquery import BigQueryWarehouse
from gapless.local import warehouse as local
from gapless.local.emulator import memory
from gapless.local.emulator.memory import RecentResults
from gapless.wiring import connect
from tests.conftest import Shop

WIDE = "SELECT " + ", ".join(f"{n} AS c{n}" for n in range(200))  # counts as 3 MB of the 64 that are kept


@pytest.fixture
def client(shop: Shop) -> Iterator[bigquery.Client]:
    settings = shop.gapless.settings
    credentials = AnonymousCredentials()  # type: ignore[no-untyped-call]
    options = {"api_endpoint": settings.emulator}
    with bigquery.Client(settings.project, credentials, client_options=options, location=settings.location) as found:
        yield found


def test_of_many_jobs_the_results_go_and_the_states_stay(shop: Shop, client: bigquery.Client) -> None:
    warehouse = shop.gapless.warehouse
    claim, failed = "a_claim_of_long_ago", "a_failure_of_long_ago"
    warehouse.execute(f"CREATE OR REPLACE TABLE `shop_mart.scratch` AS {WIDE}", purpose="test", job_id=claim)
    with pytest.raises(Exception, match="nobody"):
        warehouse.execute("SELECT * FROM `shop_mart.nobody`", purpose="test", job_id=failed)
    first = client.query(WIDE)
    pages = iter(client.query("SELECT n FROM UNNEST(GENERATE_ARRAY(1, 9)) AS n ORDER BY n").result(page_size=1).pages)
    read = [row.n for row in next(pages)]
    for number in range(75):
        last = client.query(f"{WIDE}, {number} AS number")
        if number % 25 == 24:
            read += [row.n for row in next(pages)]

    assert (warehouse.job_state(claim), "nobody" in warehouse.job_state(failed)) == ("done", True)
    assert warehouse.job_state(first.job_id) == "done"
    with pytest.raises(NotFound):
        list(client.get_job(first.job_id).result())
    assert [row.number for row in last.result()] == [74]
    assert read + [row.n for page in pages for row in page] == list(range(1, 10)), "it was being read all the time"
    warehouse.drop("shop_mart.scratch")


def test_a_long_result_of_several_branches_comes_to_its_end(shop: Shop) -> None:
    branch = "SELECT n, REPEAT('x', 200) AS text FROM UNNEST(GENERATE_ARRAY(1, 20000)) AS n"
    patient = BigQueryWarehouse(replace(shop.gapless.settings, timeout_seconds=10))
    rows = patient.rows("\nUNION ALL\n".join([branch] * 3), purpose="test").rows
    assert len(rows) == 60_000


def test_a_job_is_kept_without_its_text(client: bigquery.Client) -> None:
    long = "SELECT @n AS n --" + "x" * 50_000
    seven = [bigquery.ScalarQueryParameter("n", "INT64", 7)]
    job = client.query(long, bigquery.QueryJobConfig(query_parameters=seven))
    assert [row.n for row in job.result()] == [7]
    kept = client.get_job(job.job_id)
    assert (kept.state, kept.query) == ("DONE", long[:200])
    assert len(str(kept.to_api_repr())) < 2_000


def one(rows: int = 1) -> pa.Table:
    return pa.table({"n": pa.repeat(7, rows)})


def test_the_results_that_were_used_last_stay() -> None:
    results = RecentResults(schemas := {})
    for n in range(memory._KEPT_RESULTS):
        results[str(n)], schemas[str(n)] = one(), [n]
    assert results["0"] is results.get("0")
    results["new"], schemas["new"] = one(), ["new"]
    assert "0" in results
    assert "1" not in results, "the one that nobody asked for longest"
    assert results.get("1") is None
    assert results.pop("1", None) is None
    assert set(results) == set(schemas)


def test_large_results_count_by_their_bytes_and_the_newest_fifty_are_never_dropped() -> None:
    results = RecentResults({})
    for n in range(60):
        results[str(n)] = one(1_000_000)  # 8 MB
    assert list(results) == [str(n) for n in range(10, 60)]
    for n in range(60, 200):
        results[str(n)] = one()
    assert list(results)[-140:] == [str(n) for n in range(60, 200)]
    assert sum(result.nbytes for result in results.values()) <= memory._KEPT_BYTES


def test_another_emulator_is_not_started_as_if_it_were_this_one(monkeypatch: pytest.MonkeyPatch) -> None:
    executor = importlib.import_module("bqemulator.jobs.executor")
    monkeypatch.setattr(executor, "JOB_RESULTS", {"job": one()})
    with pytest.raises(ImportError, match="keep_few_results"):
        memory.keep_few_results()
    monkeypatch.setattr(executor, "JOB_RESULTS", {})
    importlib.import_module("bqemulator.api.routes.jobs")  # has taken the old dictionary
    with pytest.raises(ImportError, match="keep_few_results"):
        memory.keep_few_results()


def test_a_number_of_threads_that_is_none_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for said in ("0", "many", "-1", "9999"):
        monkeypatch.setenv("GAPLESS_WAREHOUSE_THREADS", said)
        with pytest.raises(BadInput, match=f"GAPLESS_WAREHOUSE_THREADS is '{said}'"):
            local.start(tmp_path)
    assert local.address(tmp_path) is None


def test_a_warehouse_has_its_limits_and_makes_a_result_ready_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last of them: with one season of four built, a scan of all of them never came back; see `memory.bound`."""
    monkeypatch.setattr(duckdb, "connect", duckdb.connect)  # put back after the test
    memory.bound(3)
    names = ("threads", "memory_limit", "streaming_buffer_size")
    with duckdb.connect() as connection:
        told = connection.execute("SELECT " + ", ".join(f"current_setting('{name}')" for name in names)).fetchall()
    assert told == [(3, "1.1 GiB", "931.3 GiB")]


def test_of_jobs_only_those_with_a_chosen_id_are_known_after_a_restart(tmp_path: Path) -> None:
    chosen = "gapless-a-claim-1"
    try:
        warehouse = connect(read_settings({}, home=tmp_path)).warehouse
        warehouse.execute("SELECT 1", purpose="test", job_id=chosen)
        warehouse.execute("SELECT 2", purpose="test")
        local.stop(tmp_path)
        again = connect(read_settings({}, home=tmp_path))
        assert again.warehouse.job_state(chosen) == "done"
        credentials = AnonymousCredentials()  # type: ignore[no-untyped-call]
        options = {"api_endpoint": again.settings.emulator or local.address(tmp_path)}
        with bigquery.Client(again.settings.project, credentials, client_options=options, location="US") as client:
            assert [job.job_id for job in client.list_jobs()] == [chosen]
    finally:
        local.stop(tmp_path)
