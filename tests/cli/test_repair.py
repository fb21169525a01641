"""`gapless repair`: what it runs and what it leaves alone, what it prints, what it refuses."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from gapless.model import Target
from tests.conftest import Result, Shop, parsed, plain

FIRST, LAST = date(2024, 2, 1), date(2024, 2, 10)
DAY = date(2024, 2, 4)
NOW = "2024-02-12T11:00Z"
Run = Callable[..., Result]
pytestmark = pytest.mark.run(now=NOW, built=(FIRST, LAST))


def rewritten(shop: Shop, before: dict[Target, str]) -> set[Target]:
    """The partitions that another run wrote than before."""
    return {target for target, run in shop.runs().items() if before.get(target) != run}


def test_a_date_that_is_fine_is_left_alone_and_can_be_rebuilt_by_force(
    run: Run, gapless: Callable[..., Result], chain: Shop
) -> None:
    runs = chain.runs()
    fine = run("repair", "--date", DAY)
    assert (fine.code, fine.err) == (0, "")
    assert fine.out.startswith("2024-02-04: nothing to repair; 3 targets complete, and what rests on them")
    assert rewritten(chain, runs) == set()
    before = chain.versions()
    forced = gapless(*shlex.split(fine.out.partition("with: gapless ")[2]))
    assert (forced.code, forced.err) == (0, "")
    assert "Repaired: 2024-02-04 is complete, and so is what rests on this." in forced.out
    # the records of the forecast stay; the same rows come out, so nothing that rests on them is run
    assert rewritten(chain, runs) == {Target("revenue", DAY), Target("standing", DAY)}
    assert chain.versions() == before


def test_a_corrected_source_flows_through_the_date_and_every_window_that_holds_it(run: Run, chain: Shop) -> None:
    runs = chain.runs()
    chain.run("UPDATE `shop_raw.orders` SET amount_cents = amount_cents + 1 WHERE order_day = @day", day=DAY)
    result = run("repair", "--date", DAY, "--json")
    assert result.code == 0
    facts = parsed(result)
    assert (facts["complete"], facts["gaps"], facts["elsewhere"]) == (True, [], [])
    revenue = next(t for t in facts["targets"] if t["processor"] == "revenue")
    assert (revenue["before"]["verdict"], revenue["after"]["verdict"], revenue["rebuilt"]) == (
        "contaminated", "complete", True,
    )  # fmt: skip
    window = {t for t in runs if t.processor == "revenue" and DAY <= t.day <= DAY + timedelta(days=6)}
    assert rewritten(chain, runs) == window | {t for t in runs if t.processor == "standing" and t.day >= DAY}
    assert run("scan").code == 0


def test_what_was_built_on_a_date_is_found_when_the_date_itself_was_repaired_before(run: Run, chain: Shop) -> None:
    chain.run("UPDATE `shop_raw.orders` SET amount_cents = amount_cents + 1 WHERE order_day = @day", day=DAY)
    chain.apply(DAY, DAY)
    assert run("repair", "--date", DAY, "--dry-run").code == 1
    assert run("repair", "--date", DAY).code == 0
    assert run("scan").code == 0


def test_gaps_of_other_dates_are_left_to_themselves(run: Run, chain: Shop) -> None:
    """A date that was never built, and one that lost rows, are within reach and have nothing to do with this one."""
    chain.delete(Target("standing", DAY))
    chain.delete(Target("standing", date(2024, 2, 5)))
    chain.delete(Target("standing", date(2024, 2, 6)), "branch != 'A'")
    runs = chain.runs()
    result = run("repair", "--date", DAY)
    assert result.code == 0
    assert rewritten(chain, runs) == {Target("standing", DAY)}
    assert {gap["date"] for gap in parsed(run("scan", "--json"))["gaps"]} == {"2024-02-05", "2024-02-06"}


def test_several_dates_are_repaired_by_one_command(run: Run, chain: Shop) -> None:
    other = date(2024, 2, 8)
    for day in (DAY, other):
        chain.delete(Target("standing", day))
    result = run("repair", "--date", other, "--date", DAY)
    assert result.code == 0
    assert "2 complete" in result.out
    assert "Repaired: 2024-02-04, 2024-02-08 are complete" in result.out
    assert "and 6 targets in order" in result.out


def test_a_dry_run_shows_what_is_wrong_and_the_plan_and_changes_nothing(
    run: Run, gapless: Callable[..., Result], chain: Shop
) -> None:
    before = chain.versions()
    chain.delete(Target("revenue", DAY))
    gone = chain.versions()
    result = run("repair", "--date", DAY, "--dry-run")
    assert (result.code, result.err) == (1, "")
    text = plain(result.out)
    assert "revenue missing 0 of 3 0 none of 3 expected keys, upstream complete" in text
    assert "forecast blocked 3 rows 0 waits for revenue 2024-02-04" in text
    assert "1 revenue 1 2024-02-04 2024-02-04 missing 1" in text
    assert chain.versions() == gone
    facts = parsed(run("repair", "--date", DAY, "--dry-run", "--json"))
    assert (facts["dry_run"], facts["complete"], facts["plan"]["targets"]) == (True, False, 5)
    assert chain.versions() == gone
    done = gapless(*shlex.split(text.partition("Run it with: gapless ")[2]))
    assert done.code == 0
    assert "0 of 3 → 3 of 3" in done.out
    assert chain.versions() == before


def test_named_processors_are_repaired_with_what_rests_on_them(run: Run, chain: Shop) -> None:
    for name in ("revenue", "standing"):
        chain.delete(Target(name, DAY))
    held = run("repair", "--date", DAY, "--processors", "standing")
    assert held.code == 1
    assert "standing 2024-02-04: waits for revenue 2024-02-04, which is not among --processors: " in held.out
    assert f"gapless repair --date {DAY} --home {chain.home}" in held.out
    assert run("repair", "--date", DAY, "--processors", "revenue").code == 0
    assert run("scan").code == 0


def test_a_window_that_waits_for_another_date_names_it_and_its_command(run: Run, chain: Shop) -> None:
    """The day before lost its rows too: what reads both is rebuilt when both are there."""
    other = DAY - timedelta(days=1)
    for day in (DAY, other):
        chain.delete(Target("revenue", day))
    result = run("repair", "--date", DAY)
    assert f"gapless repair --date {other} --home {chain.home}" in result.out
    assert run("repair", "--date", other).code == 0
    assert run("scan").code == 0


def test_a_repair_that_does_not_land_says_why_and_what_to_do(
    run: Run, chain: Shop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    nothing = (
        "SELECT order_day AS day, branch, 1 AS orders_today, 1 AS orders_7_days, 1 AS amount_cents_7_days "
        "FROM {orders} WHERE FALSE"
    )
    good = chain.pipeline.sql_folder.parent / "pipeline.yaml"
    faulty = chain.variant(tmp_path, sql={"revenue": nothing})
    chain.delete(Target("revenue", DAY))
    monkeypatch.setenv("GAPLESS_PIPELINE", str(faulty.pipeline.sql_folder.parent / "pipeline.yaml"))
    failed = run("repair", "--date", DAY)
    assert failed.code == 1
    assert "failed revenue 2024-02-04: 0 of 3 expected keys were written" in plain(failed.out)
    assert "Not repaired yet: 3 targets still to be worked on." in failed.out
    assert "revenue 2024-02-04: it has failed lately; now rather than later: gapless repair" in plain(failed.out)
    for _ in range(2):
        run("repair", "--date", DAY, "--force", "--processors", "revenue")
    spent = run("repair", "--date", DAY)
    assert spent.code == 1
    assert "mend the cause (3 attempts without the data landing" in plain(spent.out)
    monkeypatch.setenv("GAPLESS_PIPELINE", str(good))
    assert run("repair", "--date", DAY, "--force").code == 0
    assert run("scan").code == 0


def test_switched_off_means_nothing_is_run(run: Run, chain: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    chain.delete(Target("standing", DAY))
    runs = chain.runs()
    for switch in ("GAPLESS_HALT", "GAPLESS_REPORT_ONLY"):
        monkeypatch.setenv(switch, "true")
        result = run("repair", "--date", DAY, "--json")
        assert (result.code, result.out) == (3, "")
        assert f"{switch} is set" in result.err
        assert run("repair", "--date", DAY, "--dry-run").code == 1
        monkeypatch.delenv(switch)
    assert chain.runs() == runs


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ("--date", "2024-02-13"),
            "--date 2024-02-13 lies in the future: the pipeline prepares dates up",
        ),
        (("--date", "2019-12-31"), "--date 2019-12-31 lies before the pipeline's history, which begins on 2020-01-01"),
        (("--date", "2020-01-01"), "nothing is known of 2020-01-01"),
        (("--date", "04.02.2024"), "'04.02.2024' is not a date"),
        ((), "Missing option '--date'"),
        (("--date", DAY, "--processors", "nope"), "there is no processor 'nope'"),
        (
            ("--date", DAY, "--processors", "orders"),
            "orders is a source: it is filled from outside, not repaired",
        ),
        (tuple(w for n in range(32) for w in ("--date", date(2024, 1, 1) + timedelta(days=n))), "32 dates were named"),
    ],
)
def test_wrong_use_is_one_sentence(run: Run, chain: Shop, words: tuple[Any, ...], said: str) -> None:
    runs = chain.runs()
    result = run("repair", *words)
    assert (result.code, result.out) == (2, "")
    assert said in plain(result.err)
    assert chain.runs() == runs


def test_a_date_without_anything_says_so(run: Run, chain: Shop) -> None:
    chain.sell(date(2024, 1, 20), date(2024, 1, 20))
    result = run("repair", "--date", "2024-01-25")
    assert result.code == 0
    assert "2024-01-25: nothing to repair; nothing took place, and nothing is there." in result.out
