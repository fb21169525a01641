"""The checks on real SQL: what the two queries count, and that there are three of them whatever is asked."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, timedelta
from pathlib import Path

import pytest

from gapless import ledger
from gapless.model import Scope, Target
from gapless.questions.classify import Category
from gapless.questions.validation import Check, Finding, Repair, Severity, ValidationReport, read_by, validate
from tests.conftest import Shop

FIRST, LAST = date(2024, 1, 15), date(2024, 2, 4)
DAY = date(2024, 1, 30)
BRANCHES = "ABCDEFGHIJ"


def look_over(
    shop: Shop, first: date | None = None, last: date | None = None, checks: Collection[Check] = tuple(Check)
) -> ValidationReport:
    return validate(shop.engine(lift_storm=True), shop.gapless.warehouse, shop.scope(first, last), checks)


def found(report: ValidationReport, check: Check) -> list[Finding]:
    return [finding for finding in report.findings if finding.check is check]


def tables(shop: Shop) -> list[str]:
    """Everything that a built shop consists of."""
    names = [p.table for p in shop.pipeline.processors.values()]
    return names + [ledger.table(shop.pipeline.ledger, name) for name in ("attempts", "backfill_date_outcomes")]


def kept_of(shop: Shop, name: str) -> str:
    return f"{shop.pipeline.staging}_ten.{name.replace('.', '_')}"


@pytest.fixture
def built(chain: Shop) -> Shop:
    """Three weeks of ten branches, gone through every processor; built once, and copied from then on."""
    chain.gapless.warehouse.create_dataset(f"{chain.pipeline.staging}_ten")
    names = tables(chain)
    if chain.gapless.warehouse.tables(f"{chain.pipeline.staging}_ten"):
        for name in names:
            # the head of the ledger is its own: its generation is part of the ids of jobs
            claims = "claim_number > 0" if name.endswith(".attempts") else "TRUE"
            chain.run(f"INSERT INTO `{name}` SELECT * FROM `{kept_of(chain, name)}` WHERE {claims}")
        chain.clock.now += timedelta(minutes=1)  # later than all that was copied
        return chain
    chain.sell(FIRST, LAST, BRANCHES)
    assert not chain.apply().failed
    for name in reversed(names):
        chain.run(f"CREATE TABLE `{kept_of(chain, name)}` AS SELECT * FROM `{name}`")
    return chain


def test_what_was_built_is_sound_and_takes_three_jobs_however_many_dates(built: Shop) -> None:
    bench, watched = built.watched()
    for first, last in ((None, None), (DAY, DAY), (FIRST, LAST)):
        watched.calls.clear()
        report = validate(bench.engine(), watched, bench.scope(first, last))
        assert report.findings == report.absences == ()
        assert sorted(watched.calls) == [("rows", "history"), ("rows", "observe"), ("rows", "quality")]


def test_a_null_in_a_required_column_and_a_value_out_of_range_are_counted(built: Shop, tmp_path: Path) -> None:
    columns = {
        "day": "DATE required", "branch": "STRING required", "cents_3_days": "INT64 required 0..1000000",
        "forecast_cents": "INT64 required",
    }  # fmt: skip
    shop = built.variant(tmp_path, change={"standing": {"columns": columns}})
    assert look_over(shop).findings == ()
    shop.update(Target("standing", DAY), "forecast_cents = NULL", "branch IN ('A', 'B')")
    shop.update(Target("standing", DAY + timedelta(days=1)), "cents_3_days = -1", "branch = 'C'")
    quality = {(f.rule, f.first): f for f in found(look_over(shop), Check.QUALITY)}
    assert set(quality) == {
        ("required forecast_cents", DAY), ("range of cents_3_days", DAY + timedelta(days=1)), ("changed rows", DAY),
    }  # fmt: skip
    null = quality["required forecast_cents", DAY]
    assert (null.expected, null.found, null.category) == (10, 8, Category.DAMAGED)
    assert null.evidence == "2 of 10 rows have no forecast_cents, which is required"
    assert quality["changed rows", DAY].days == (DAY, DAY + timedelta(days=1))


def test_a_null_that_was_published_as_it_is_needs_a_forced_run(built: Shop, tmp_path: Path) -> None:
    """The look sees nothing wrong with it, so a plain apply would do nothing."""
    built.delete(Target("forecast", DAY), "branch = 'A'")  # 9 of 10 are enough
    assert not built.apply(DAY, DAY, "standing").failed
    columns = {
        "day": "DATE required", "branch": "STRING required", "cents_3_days": "INT64 required",
        "forecast_cents": "INT64 required",
    }  # fmt: skip
    shop = built.variant(tmp_path, change={"standing": {"columns": columns}})
    (finding,) = found(look_over(shop), Check.QUALITY)
    assert (finding.rule, finding.found) == ("required forecast_cents", 9)
    assert (finding.remedy.kind, finding.remedy.at) == (Repair.FORCE, Target("standing", DAY))


def test_a_column_of_zeros_and_a_repeated_key_are_found(built: Shop) -> None:
    built.update(Target("revenue", DAY), "amount_cents_7_days = 0")
    built.copy_rows(Target("revenue", DAY), DAY, "branch = 'A'")
    quality = {f.rule: f for f in found(look_over(built), Check.QUALITY)}
    assert set(quality) == {"changed rows", "duplicate keys", "zeros in amount_cents_7_days"}
    assert quality["zeros in amount_cents_7_days"].evidence.startswith("all 11 values of amount_cents_7_days are 0")
    assert quality["duplicate keys"].evidence == "1 of 11 rows repeat a key (branch)"


def test_zeros_of_a_single_date_are_judged_by_the_dates_before_it(built: Shop) -> None:
    built.update(Target("revenue", DAY), "amount_cents_7_days = 0")
    assert "zeros in amount_cents_7_days" in {f.rule for f in look_over(built, DAY, DAY).findings}


def test_a_source_that_shrank_shows_in_the_history_though_everything_is_complete(built: Shop) -> None:
    built.run("DELETE FROM `shop_raw.orders` WHERE order_day = @day AND branch IN ('A', 'B')", day=DAY)
    assert built.apply().after.judgement.complete  # type: ignore[union-attr]
    report = look_over(built)
    assert {finding.check for finding in report.findings} == {Check.HISTORY}
    first = report.findings[0]
    assert (first.processor, first.days, first.found, first.expected) == ("revenue", (DAY,), 8, 10)
    assert (first.severity, first.remedy.kind, first.remedy.at) == (
        Severity.CRITICAL,
        Repair.LOOK,
        Target("revenue", DAY),
    )
    assert [f.follows for f in report.findings] == [False, True, True]
    built.book().acknowledge("revenue", DAY, DAY, "the shops were closed", "me", None)
    known = look_over(built)
    assert [absence.processor for absence in known.absences] == ["revenue"]


def test_what_was_measured_before_its_date_was_over_is_not_compared(built: Shop) -> None:
    """What is expected of a date to come is a forecast: others take part in the end."""
    outcomes = built.ledger_table("backfill_date_outcomes")
    columns = "backfill_run_id, analysis_date, processor_name, claim_number, actual_count, status, processed_at"
    # 23:30 in Berlin on the day itself, and half past midnight on the next
    for run, at, drops in (("early", "2024-01-30T22:30:00Z", 0), ("late", "2024-01-30T23:30:00Z", 1)):
        built.run(
            f"INSERT INTO {outcomes} ({columns}) SELECT @run, @day, 'revenue', 99, 30, 'complete', TIMESTAMP '{at}'",
            run=run,
            day=DAY,
        )
        losses = found(look_over(built), Check.HISTORY)
        assert len(losses) == drops, run
    assert "30 when run late landed on 2024-01-30 23:30 UTC" in losses[0].evidence


def test_rows_that_no_run_recorded_are_untracked(built: Shop) -> None:
    for name, column in (("attempts", "target_date"), ("backfill_date_outcomes", "analysis_date")):
        built.run(f"DELETE FROM {built.ledger_table(name)} WHERE processor_name = 'standing' AND {column} = @d", d=DAY)
    (finding,) = look_over(built).findings
    assert (finding.rule, finding.processor, finding.days) == ("untracked", "standing", (DAY,))
    assert finding.evidence == "10 rows, and no run has recorded anything for it"


def test_rows_built_over_a_hole_are_found_and_the_hole_named(built: Shop) -> None:
    """They were made while it was open: their fingerprint is that of what is there, and the judge has no objection."""
    after = DAY + timedelta(days=1)
    built.delete(Target("revenue", DAY))
    for day in (after, after + timedelta(days=1)):
        built.delete(Target("standing", day))
    assert not built.apply(after, after + timedelta(days=1), "standing").failed
    report = look_over(built, after, after + timedelta(days=1), (Check.CASCADE,))
    spans = [f for f in report.findings if f.rule == "window spans a gap"]
    assert [(f.processor, f.days) for f in spans] == [("standing", (after, after + timedelta(days=1)))]
    assert f"its look-back spans revenue {DAY} (missing)" in spans[0].evidence
    assert (spans[0].remedy.kind, spans[0].remedy.at) == (Repair.APPLY, Target("revenue", DAY))
    assert not spans[0].follows  # the hole lies before the dates that were asked about


def test_what_a_later_phase_reads_is_asked_with_its_look_back(built: Shop) -> None:
    reach = read_by(built.pipeline, 4, {"revenue"})
    assert reach.days == {"revenue": 2}
    built.delete(Target("revenue", DAY))
    built.delete(Target("revenue", DAY - timedelta(days=1)))
    scope = Scope(DAY + timedelta(days=1), DAY + timedelta(days=3), frozenset({"revenue"}), explicit=True)
    report = validate(built.engine(), built.gapless.warehouse, scope, (Check.COVERAGE,), reach)
    (finding,) = report.findings
    assert finding.days == (DAY - timedelta(days=1), DAY)
    later = Scope(DAY + timedelta(days=2), DAY + timedelta(days=3), frozenset({"revenue"}), explicit=True)
    (one,) = validate(built.engine(), built.gapless.warehouse, later, (Check.COVERAGE,), reach).findings
    assert one.days == (DAY,)
