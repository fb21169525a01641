"""What repairs a target: one value for the command line, alerts, the validator and explanations."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from gapless.declare.words import Words
from gapless.judge.remedies import remake, remedy_for, rerun
from gapless.model import IS_A_GAP, Target
from gapless.verdict import Asks, Repair, Verdict
from tests.twin import declare

DAY, LAST = date(2024, 1, 5), date(2024, 1, 9)
SHOP = declare(
    {
        "orders": {"run": "none"},
        "revenue": {"alias": "REV", "upstream": {"orders": {"own_day": True}}, "expect": {"keys_of": "orders"}},
        "forecast": {"run": "http", "upstream": {"revenue": {"own_day": True}}, "expect": {"keys_of": "revenue"}},
    }
)
SPAN = "--start-date 2024-01-05 --end-date 2024-01-05"


@pytest.mark.parametrize(
    ("name", "verdict", "told"),
    [
        ("revenue", Verdict.MISSING, f"gapless apply {SPAN}"),
        ("revenue", Verdict.EXHAUSTED, f"mend the cause, then: gapless apply --force {SPAN} --processors REV"),
        ("revenue", Verdict.IN_FLIGHT, "nothing; look again later: gapless explain 2024-01-05 REV"),
        (
            "revenue",
            Verdict.PHANTOM,
            f"look at them, then remove them: gapless clean-phantoms {SPAN} --processors REV",
        ),
        ("revenue", Verdict.COMPLETE, f"to make it anew: gapless apply --force {SPAN} --processors REV"),
        ("revenue", Verdict.UNKNOWN, "look at its evidence: gapless explain 2024-01-05 REV"),
        ("revenue", Verdict.OFF_DAY, ""),
        ("orders", Verdict.MISSING, "load the file that holds 2024-01-05: gapless load FILE"),
        (
            "orders",
            Verdict.PHANTOM,
            "look at the rows of 2024-01-05; load the file that is right about it: gapless load FILE",
        ),
        (
            "forecast",
            Verdict.PHANTOM,
            "look at the rows of 2024-01-05; the service that wrote them has to remove them: "
            "gapless explain 2024-01-05 forecast",
        ),
    ],
)
def test_every_verdict_says_what_repairs_it(name: str, verdict: Verdict, told: str) -> None:
    assert remedy_for(SHOP, Target(name, DAY), verdict).told() == told


@pytest.mark.parametrize(
    ("verdict", "told"),
    [
        (
            Verdict.MISSING,
            "fill 2024-01-05 by the means by which this source is filled: gapless explain 2024-01-05 orders",
        ),
        (
            Verdict.PHANTOM,
            "look at the rows of 2024-01-05; who fills this source has to put them right: "
            "gapless explain 2024-01-05 orders",
        ),
    ],
)
def test_no_file_is_asked_for_where_no_kind_of_file_is_declared(verdict: Verdict, told: str) -> None:
    by_hand = replace(SHOP, words=Words(loads=False))
    assert remedy_for(by_hand, Target("orders", DAY), verdict).told() == told


def test_a_range_of_dates_has_one_remedy_and_the_warehouse_stands_in_its_command() -> None:
    remedy = remedy_for(SHOP, Target("orders", DAY), Verdict.MISSING).over(DAY, LAST)
    held = "2024-01-05 to 2024-01-09"
    assert remedy.told(" --home DIR") == f"load the file that holds {held}: gapless load FILE --home DIR"
    assert remedy.typed(" --home DIR") == f"gapless load FILE --home DIR  # a file with orders of {held}"
    later = remedy_for(SHOP, Target("revenue", DAY), Verdict.PARTIAL).over(LAST, LAST)
    assert later.typed() == "gapless apply --start-date 2024-01-05 --end-date 2024-01-09"


def test_every_gap_and_every_clean_up_has_a_remedy() -> None:
    for verdict in Verdict:
        asks = verdict in IS_A_GAP or verdict.meaning.asks is Asks.CLEAN_UP
        for name in SHOP.processors:
            assert not asks or remedy_for(SHOP, Target(name, DAY), verdict).told()


def test_what_looks_complete_is_made_anew_by_force_and_a_source_is_loaded() -> None:
    kinds = [remake(SHOP, Target(name, DAY)).kind for name in SHOP.processors]
    assert kinds == [Repair.LOAD, Repair.FORCE, Repair.FORCE]


def test_several_targets_are_run_at_once() -> None:
    targets = [Target("revenue", LAST), Target("forecast", DAY)]
    span = "--start-date 2024-01-05 --end-date 2024-01-09"
    assert rerun(SHOP, targets, force=False).typed() == f"gapless apply {span}"
    assert rerun(SHOP, targets, force=True).typed() == f"gapless apply --force {span} --processors forecast,REV"
