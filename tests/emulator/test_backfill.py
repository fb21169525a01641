"""Backfill on real SQL: phase by phase, what stops and what goes on, what a lifted rule leaves, how it resumes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from gapless.declare.words import Contract
from gapless.errors import TransientFailure
from gapless.messages import read_completion
from gapless.model import Policy, Status, Target, Verdict
from gapless.tasks.backfill import BackfillReport, backfill, unready
from tests.conftest import TINY, Shop

FIRST, LAST = date(2024, 2, 1), date(2024, 2, 8)
DAY = date(2024, 2, 4)
REVENUE, FORECAST, STANDING = (Target(name, DAY) for name in ("revenue", "forecast", "standing"))
OTHERS = 7  # dates of the range beside DAY
DEFECT = "HAVING COUNTIF(o.order_day = d) > 0"


def without(tmp_path: Path, chain: Shop, *branches: str) -> Shop:
    """The shop with a revenue that leaves branches out on DAY."""
    left_out = ", ".join(f"'{branch}'" for branch in branches)
    text = (TINY / "sql" / "revenue.sql").read_text(encoding="utf-8")
    assert DEFECT in text
    sql = text.replace(DEFECT, f"{DEFECT} AND NOT (d = DATE '{DAY}' AND o.branch IN ({left_out}))")
    return chain.variant(tmp_path, {"revenue": sql})


def run(shop: Shop, *processors: str, stop_on_failure: bool = False, **policy: Any) -> BackfillReport:
    engine = shop.engine(**policy)
    look = engine.scan(shop.scope(FIRST, LAST, *processors))
    return backfill(engine, look, stop_on_failure=stop_on_failure)


def verdicts(shop: Shop, *targets: Target) -> list[Verdict | None]:
    judgement = shop.scan(FIRST, LAST).judgement
    return [judgement.verdict(target) for target in targets]


def lifted(shop: Shop) -> Mapping[str, int]:
    rows = shop.rows(f"SELECT checks_lifted FROM {shop.ledger_table('backfill_date_outcomes')}")
    return Counter(row[0] for row in rows)


def test_a_range_goes_through_every_phase_and_each_is_announced_once(chain: Shop) -> None:
    chain.sell(FIRST, LAST)
    report = run(chain)
    assert [(done.phase, done.complete, done.open) for done in report.phases] == [(2, 8, ()), (3, 8, ()), (4, 8, ())]
    assert {outcome.status for outcome in report.outcomes} == {Status.COMPLETE}
    assert [topic for topic, _ in chain.bus.sent] == ["shop-2", "shop-3", "shop-4"]
    for phase, (_, message) in zip((2, 3, 4), chain.bus.sent, strict=True):
        assert (message["event_type"], message["execution_id"]) == ("backfill_complete", report.run_id)
        assert message["phase"].startswith(f"phase_{phase}")
        days = [(FIRST + timedelta(days=i)).isoformat() for i in range(8)]
        assert (message["start_date"], message["end_date"], message["dates"]) == (days[0], days[-1], days)
        assert len(read_completion(Contract(), message).days) == 8
    runs = chain.rows(f"SELECT DISTINCT backfill_run_id FROM {chain.ledger_table('backfill_date_outcomes')}")
    assert runs == [(report.run_id,)]


def test_what_is_complete_is_not_run_again_and_not_announced_again(chain: Shop) -> None:
    chain.sell(FIRST, LAST)
    run(chain)
    chain.bus.sent.clear()
    chain.delete(STANDING)
    report = run(chain)
    assert [outcome.target for outcome in report.outcomes] == [STANDING]
    assert [(topic, message["dates"]) for topic, message in chain.bus.sent] == [("shop-4", [DAY.isoformat()])]
    again = run(chain)
    assert (again.phases, again.outcomes) == ([], [])


def test_a_phase_that_is_not_complete_stops_its_dates_and_not_the_others(chain: Shop, tmp_path: Path) -> None:
    shop = without(tmp_path, chain, "C")  # 2 of 3: below the gate
    shop.sell(FIRST, LAST)
    report = run(shop)
    done = Counter((o.target.processor, str(o.status)) for o in report.outcomes)
    # a standing reads the two days before it
    assert done == {
        ("revenue", "complete"): OTHERS, ("revenue", "failed"): 1, ("forecast", "complete"): OTHERS,
        ("standing", "complete"): done["standing", "complete"],
    }  # fmt: skip
    assert done["standing", "complete"] >= 5
    assert [gap.target for gap in report.phases[0].open] == [REVENUE]
    assert shop.count(REVENUE) == shop.count(FORECAST) == shop.count(STANDING) == 0
    for topic, message in shop.bus.sent:
        assert DAY.isoformat() not in message["dates"], topic


def test_stop_on_failure_ends_after_the_phase(chain: Shop, tmp_path: Path) -> None:
    shop = without(tmp_path, chain, "C")
    shop.sell(FIRST, LAST)
    report = run(shop, stop_on_failure=True)
    assert [done.phase for done in report.phases] == [2]
    assert "phase 2 is not complete for 1 dates" in report.stopped
    assert shop.count(Target("forecast", FIRST)) == 0


def test_a_failed_batch_leaves_the_old_data(chain: Shop, tmp_path: Path) -> None:
    chain.built(FIRST, LAST)
    before = chain.content(REVENUE)
    shop = without(tmp_path, chain, "B", "C")
    report = run(shop, "revenue", force=True)
    assert [o.target for o in report.failed] == [REVENUE]
    assert shop.content(REVENUE) == before
    assert [row[:4] for row in shop.content(Target("revenue", FIRST))]  # the others were made anew
    assert lifted(shop)["force"] == 8


def test_below_the_gate_is_published_and_built_on_where_validation_is_skipped(chain: Shop, tmp_path: Path) -> None:
    shop = without(tmp_path, chain, "C")
    shop.sell(FIRST, LAST)
    report = run(shop, lift_gate=True)
    outcomes = {o.target: o for o in report.outcomes}
    partly = outcomes[REVENUE]
    assert (partly.status, partly.covered, partly.expected) == (Status.PARTIAL, 2, 3)
    assert "below the gate of 90 %" in partly.error
    assert "the gate was lifted" in partly.error
    assert outcomes[FORECAST].status is outcomes[STANDING].status is Status.COMPLETE
    assert set(lifted(shop)) == {"gate"}
    assert verdicts(shop, REVENUE) == [Verdict.PARTIAL]  # it stays a gap, and is told of


def test_less_than_half_is_told_of_even_where_the_gate_is_lifted(chain: Shop, tmp_path: Path) -> None:
    shop = without(tmp_path, chain, "B", "C")
    shop.sell(FIRST, LAST)
    report = run(shop, lift_gate=True)
    assert f"low completeness: revenue {DAY} has 1 of 3 keys" in report.notes


def test_nothing_of_n_is_a_failure_whatever_is_lifted(chain: Shop, tmp_path: Path) -> None:
    shop = without(tmp_path, chain, "A", "B", "C")
    shop.sell(FIRST, LAST)
    report = run(shop, lift_gate=True, force=True)
    failed = {o.target: o for o in report.failed}
    assert (failed[REVENUE].status, failed[REVENUE].error) == (Status.FAILED, "0 of 3 expected keys were written")
    assert shop.count(FORECAST) == shop.count(STANDING) == 0


@pytest.mark.parametrize("policy", [{}, {"force": True}, {"lift_gate": True}, {"force": True, "lift_gate": True}])
def test_no_mode_skips_the_check_that_upstream_is_there(chain: Shop, policy: Mapping[str, Any]) -> None:
    chain.built(FIRST, LAST)
    for target in (REVENUE, STANDING):
        chain.delete(target)
    report = run(chain, "standing", **policy)
    assert STANDING not in {o.target for o in report.outcomes}
    assert chain.count(STANDING) == 0
    after = chain.scan(FIRST, LAST, "standing")
    assert unready(chain.pipeline, after) == {"revenue": [DAY]}


def test_a_stopped_backfill_ends_at_a_batch_and_the_next_goes_on(chain: Shop, tmp_path: Path) -> None:
    shop = chain.variant(tmp_path, change={"revenue": {"max_dates_per_run": 2}})  # four batches
    shop.sell(FIRST, LAST)
    engine = shop.gapless.engine(Policy(), parallel=1)
    asked = iter([False, False])
    look = engine.scan(shop.scope(FIRST, LAST))
    report = backfill(engine, look, stopped=lambda: next(asked, True))
    assert (report.by_hand, [done.phase for done in report.phases]) == (True, [2])
    assert Counter(str(o.status) for o in report.outcomes) == {"complete": 4, "skipped": 4}
    assert shop.staged() == []
    # what was not begun is no attempt: nothing of the retry budget is used, and nothing is waited for
    history = shop.scan(FIRST, LAST).observation.ledger.history
    skipped = [o.target for o in report.outcomes if o.status is Status.SKIPPED]
    assert all(not (history.get(t) and history[t].attempts) for t in skipped)
    again = run(shop)
    assert {o.target for o in again.outcomes} & {o.target for o in report.outcomes} == set(skipped)
    assert shop.scan(FIRST, LAST).judgement.complete


def test_a_topic_that_takes_nothing_costs_no_data(chain: Shop) -> None:
    chain.sell(FIRST, LAST)

    class Down:
        def publish(self, topic: str, message: Mapping[str, Any]) -> str:
            raise TransientFailure(f"{topic} did not take {message['event_type']}")

    engine = replace(chain.gapless, bus=Down()).engine(Policy())
    report = backfill(engine, engine.scan(chain.scope(FIRST, LAST)))
    assert report.failed == []
    assert "completion of phase 2 was not announced on shop-2: shop-2 did not take backfill_complete" in report.notes
    assert chain.scan(FIRST, LAST).judgement.complete


def test_progress_adds_up_to_the_plan(chain: Shop) -> None:
    chain.sell(FIRST, LAST)
    engine = chain.engine()
    look = engine.scan(chain.scope(FIRST, LAST))
    heard: list[tuple[str, int]] = []
    backfill(engine, look, progress=lambda text, done: heard.append((text, done)))
    assert sum(done for _, done in heard) == look.plan.reach == 24
    assert next(text for text, _ in heard if text) == "phase 2, wave 1 of 1: revenue"
