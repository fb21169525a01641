"""What one query sees: coverage by key, every kind of damage, and never a zero where it could not look."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from gapless.errors import CannotObserve, TransientFailure
from gapless.local import warehouse as local
from gapless.model import Gap, Scope, Target, Verdict
from tests.conftest import Result, Season, Shop

FIRST, LAST = date(2024, 2, 1), date(2024, 2, 10)
DAY = date(2024, 2, 5)
REVENUE = Target("revenue", DAY)


@pytest.fixture
def complete(shop: Shop) -> Shop:
    """Ten days of three branches, built."""
    shop.built(FIRST, LAST)
    return shop


def only_gap(shop: Shop) -> Gap:
    (gap,) = shop.scan().judgement.gaps
    return gap


@pytest.mark.parametrize("days", [1, 10, 400])
def test_a_scan_is_one_job_however_many_dates(shop: Shop, days: int) -> None:
    shop.sell(FIRST, LAST)
    bench, watched = shop.watched()
    bench.scan(LAST - timedelta(days=days - 1), LAST)
    assert watched.calls == [("rows", "observe")]


def test_a_scan_of_a_whole_season_with_all_its_processors_is_one_job(built_season: Season) -> None:
    bench, watched = built_season.watched()
    look = bench.scan()
    assert watched.calls == [("rows", "observe")]
    assert look.judgement.complete
    assert look.judgement.counts()[Verdict.COMPLETE] > 2000
    assert look.observation.bytes_processed >= 0


def test_the_jobs_of_a_repair_do_not_grow_with_its_dates(shop: Shop) -> None:
    calls = []
    for last in (FIRST, LAST):
        shop.empty()
        shop.sell(FIRST, last)
        bench, watched = shop.watched()
        report = bench.apply()
        assert len(report.outcomes) == (last - FIRST).days + 1
        calls.append(sorted(watched.calls))
    assert calls[0] == calls[1]


def test_rows_of_other_keys_cover_nothing(complete: Shop) -> None:
    """As many rows as expected, none of them expected: 187 rows of the wrong players are 0 %."""
    complete.update(REVENUE, "branch = CONCAT('other-', branch)")
    gap = only_gap(complete)
    assert gap.verdict is Verdict.MISSING
    assert (gap.seen.rows, gap.seen.expected, gap.seen.covered, gap.seen.extra) == (3, 3, 0, 3)
    assert gap.seen.coverage_pct == 0


def test_187_rows_of_the_wrong_players_are_0_percent(built_season: Season) -> None:
    day = built_season.season.days.after_break[0]
    target = Target("player_composite_factors", day)
    built_season.update(target, "player_lookup = CONCAT(player_lookup, 'x')")
    look = built_season.scan(day, day, "PCF")
    (gap,) = look.judgement.gaps
    assert (gap.seen.rows, gap.seen.expected, gap.seen.covered, gap.verdict) == (187, 187, 0, Verdict.MISSING)
    built_season.apply(day, day, "PCF")
    assert built_season.differences() == []


def test_a_missing_key_makes_a_partial_target_below_the_gate(complete: Shop) -> None:
    complete.delete(REVENUE, "branch = 'A'")
    gap = only_gap(complete)
    assert gap.verdict is Verdict.PARTIAL
    assert (gap.seen.covered, gap.seen.expected) == (2, 3)


def test_a_key_that_is_there_twice_is_contamination(complete: Shop) -> None:
    complete.copy_rows(REVENUE, DAY, "branch = 'A'")
    gap = only_gap(complete)
    assert gap.verdict is Verdict.CONTAMINATED
    assert (gap.seen.duplicates, gap.seen.covered, gap.seen.rows) == (1, 3, 4)


def test_a_value_changed_behind_the_pipelines_back_is_contamination(complete: Shop) -> None:
    complete.update(REVENUE, "amount_cents_7_days = amount_cents_7_days + 1", "branch = 'B'")
    gap = only_gap(complete)
    assert gap.verdict is Verdict.CONTAMINATED
    assert gap.seen.altered == 1


def test_a_row_without_its_hash_counts_as_altered(complete: Shop) -> None:
    complete.update(REVENUE, "row_hash = NULL", "branch = 'B'")
    assert only_gap(complete).seen.altered == 1


def test_rows_built_on_missing_inputs_are_suspect(complete: Shop) -> None:
    complete.update(REVENUE, "orders_7_days = 1, orders_today = 2", "branch = 'C'")
    gap = only_gap(complete)
    assert gap.verdict is Verdict.CONTAMINATED
    assert gap.seen.suspect == 1


def test_keys_that_nobody_expects_are_a_phantom_and_left_to_a_person(complete: Shop) -> None:
    before = complete.versions()
    complete.copy_rows(REVENUE, DAY, "branch = 'A'", branch="'Z'")
    complete.update(REVENUE, "row_hash = row_hash", "branch = 'Z'")
    look = complete.scan()
    # the copied hash is not that of the new content, so the foreign row is altered, too; its own scan says so
    (gap,) = (*look.judgement.gaps, *look.judgement.phantoms)
    assert (gap.seen.extra, gap.seen.altered) == (1, 1)
    complete.apply()
    assert complete.versions() == before


def test_rows_on_a_day_without_sales_are_a_phantom(complete: Shop) -> None:
    """Rows as a processor would have written them, for a day on which nothing happened: nothing is deleted unasked."""
    sunday = LAST + timedelta(days=1)
    complete.copy_rows(Target("revenue", LAST), sunday)
    hashed = complete.gapless.pipeline.processor("revenue")
    from gapless.warehouse.fingerprints import row_hash

    complete.update(Target("revenue", sunday), f"row_hash = {row_hash(hashed.content)}")
    look = complete.scan()
    (phantom,) = look.judgement.phantoms
    assert (phantom.target.day, phantom.seen.expected, phantom.seen.rows) == (sunday, 0, 3)
    assert look.judgement.complete
    assert look.plan.size == 0


def test_a_version_does_not_depend_on_the_order_of_rows(complete: Shop) -> None:
    seen = complete.scan().observation.seen(REVENUE)
    assert seen is not None
    table, columns = "`shop_mart.revenue`", "day, branch, orders_today, orders_7_days, amount_cents_7_days"
    kept = complete.rows(
        f"SELECT {columns}, row_hash, inputs_hash, run_id, processed_at FROM {table} WHERE day = @day "
        "ORDER BY branch DESC",
        day=DAY,
    )
    complete.delete(REVENUE)
    names = f"{columns}, row_hash, inputs_hash, run_id, processed_at"
    for row in kept:
        values = dict(zip("abcdefghi", row, strict=True))
        complete.run(f"INSERT INTO {table} ({names}) VALUES ({', '.join('@' + v for v in values)})", **values)
    assert complete.scan().observation.seen(REVENUE) == seen


def test_a_source_that_is_corrected_makes_what_reads_it_stale(complete: Shop) -> None:
    complete.run("UPDATE `shop_raw.orders` SET amount_cents = amount_cents + 1 WHERE order_id = '0205-A0'")
    look = complete.scan()
    assert [gap.target.day for gap in look.judgement.gaps] == [DAY + timedelta(days=i) for i in range(6)]
    assert {gap.verdict for gap in look.judgement.gaps} == {Verdict.CONTAMINATED}


# ------------------------------------------------------------------------------------- it could not be observed


def unobservable(shop: Shop, gapless: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, *said: str) -> None:
    """Neither the engine nor the command line turns it into a gap."""
    with pytest.raises(CannotObserve) as raised:
        shop.scan()
    for words in said:
        assert words in str(raised.value)
    monkeypatch.setenv("GAPLESS_PIPELINE", str(shop.pipeline.sql_folder.parent / "pipeline.yaml"))
    for command in ("scan", "plan", "apply"):
        result = gapless(command, "--home", shop.home, "--json", "--now", "2024-02-12T11:00Z")
        assert (result.code, result.out) == (4, ""), command
        assert result.err.startswith("gapless: ")
        for words in said:
            assert words in result.err


def test_a_table_that_is_not_there_is_not_a_gap(
    shop: Shop, tmp_path: Path, gapless: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.sell(FIRST, LAST)
    wrong = shop.variant(tmp_path, change={"revenue": {"table": "shop_mart.revenu"}})
    unobservable(wrong, gapless, monkeypatch, "revenu")


def test_a_column_that_is_not_there_is_not_a_gap(
    shop: Shop, tmp_path: Path, gapless: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.sell(FIRST, LAST)
    columns = dict.fromkeys(("orders_today", "orders_7_days", "amount_cents_7_days", "discount_cents"), "INT64")
    wrong = shop.variant(
        tmp_path,
        change={"revenue": {"columns": {"day": "DATE required", "branch": "STRING required", **columns}}},
    )
    unobservable(wrong, gapless, monkeypatch, "discount_cents")


def test_a_statement_that_is_refused_is_not_a_gap(
    shop: Shop, tmp_path: Path, gapless: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.sell(FIRST, LAST)
    wrong = shop.variant(tmp_path, sql={"expect_revenue": "SELECT FROM WHERE {orders} @first @last"})
    unobservable(wrong, gapless, monkeypatch, "refused")


def test_a_server_that_does_not_answer_is_not_a_gap(tmp_path: Path) -> None:
    from gapless.declare.settings import read_settings
    from gapless.model import Policy
    from gapless.wiring import connect

    port = local._free_port()
    settings = read_settings({"BIGQUERY_EMULATOR_HOST": f"http://127.0.0.1:{port}"}, home=tmp_path)
    unreachable = connect(settings, lambda: datetime(2024, 2, 12, tzinfo=UTC))
    # the client is patient by default; a test is not
    unreachable.warehouse._retry = unreachable.warehouse._retry.with_timeout(0.3)  # type: ignore[attr-defined]
    with pytest.raises(TransientFailure) as raised:
        unreachable.engine(Policy()).scan(Scope(FIRST, LAST))
    assert not raised.value.permanent
    assert str(port) in str(raised.value)


def test_an_embedded_warehouse_without_tables_says_what_to_do(shop: Shop, gapless: Callable[..., Result]) -> None:
    """The shop's warehouse does not hold the tables of the shipped pipeline."""
    result = gapless("scan", "--home", shop.home, "--json")
    assert (result.code, result.out) == (4, "")
    assert "gapless init" in result.err


def test_a_ledger_without_its_first_row_is_not_an_empty_history(shop: Shop) -> None:
    shop.sell(FIRST, LAST)
    shop.run("DELETE FROM `shop_gapless.attempts` WHERE TRUE")
    with pytest.raises(CannotObserve, match="gapless init"):
        shop.scan()
