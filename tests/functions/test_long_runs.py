"""Statements that outlive the call that began them: a later call picks up what they made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Any

import pytest

from gapless.errors import StillRunning
from gapless.model import Batch, Policy, Target, Verdict
from gapless.warehouse.ports import Warehouse
from tests.conftest import Shop
from tests.functions.conftest import Call, Reply, push

FIRST, LAST = date(2024, 2, 1), date(2024, 2, 8)
DAY = date(2024, 2, 4)
STANDING = Target("standing", DAY)


@dataclass
class Slow:
    """A warehouse on which making a batch takes longer than a call has: it goes on, and `states` says how far it is."""

    real: Warehouse
    states: list[str] = field(default_factory=list)
    begun: list[str] = field(default_factory=list)

    def execute(self, sql: str, params: Any = None, *, purpose: str, job_id: str | None = None, **more: Any) -> int:
        if purpose != "stage":
            return self.real.execute(sql, params, purpose=purpose, job_id=job_id)
        assert job_id
        assert more["patience"] < 540
        self.begun.append(job_id)
        self.real.execute(sql, params, purpose=purpose)
        raise StillRunning(f"job {job_id} goes on")

    def job_state(self, job_id: str) -> str:
        return (self.states.pop(0) if self.states else "done") if job_id in self.begun else "missing"

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


@pytest.fixture
def slow(chain: Shop) -> tuple[Shop, Slow]:
    chain.built(FIRST, LAST)
    chain.delete(STANDING)
    warehouse = Slow(chain.gapless.warehouse)
    settings = replace(chain.gapless.settings, serverless=True)
    return replace(chain, gapless=replace(chain.gapless, warehouse=warehouse, settings=settings)), warehouse


def ask(call: Call, shop: Shop) -> Reply:
    request: Mapping[str, Any] = {"processor": "standing", "dates": [DAY.isoformat()]}
    return call("run_processor", shop.gapless, push(request))


def test_a_statement_that_takes_longer_than_a_call_is_finished_by_a_later_one(
    call: Call, chain: Shop, slow: tuple[Shop, Slow]
) -> None:
    shop, warehouse = slow
    warehouse.states = ["running", "running"]
    first = ask(call, shop)
    assert first.status == 503  # Pub/Sub delivers again
    assert "goes on" in first.body["detail"]
    assert shop.count(STANDING) == 0
    assert shop.scan().judgement.verdict(STANDING) is Verdict.IN_FLIGHT
    assert ask(call, shop).status == 503  # the first call may be at work still
    shop.clock.now += timedelta(minutes=10)
    assert ask(call, shop).status == 503  # its statement is running still
    last = ask(call, shop)
    assert (last.status, last.body["outcomes"], last.body["complete"]) == (200, {"complete": 1}, True)
    assert len(warehouse.begun) == 1
    assert chain.scan().judgement.complete
    assert [message["dates"] for topic, message in shop.bus.sent if topic == "shop-4"][-1:] == [[DAY.isoformat()]]


def test_a_running_statement_is_not_begun_twice_when_its_lease_is_over(call: Call, slow: tuple[Shop, Slow]) -> None:
    shop, warehouse = slow
    warehouse.states = ["running"]
    ask(call, shop)
    shop.clock.now += timedelta(minutes=20)
    assert shop.scan().judgement.verdict(STANDING) is Verdict.MISSING
    assert ask(call, shop).status == 503
    assert ask(call, shop).body["outcomes"] == {"complete": 1}
    assert len(warehouse.begun) == 1


def test_two_calls_that_pick_up_the_same_statement_publish_the_same_rows(
    call: Call, chain: Shop, slow: tuple[Shop, Slow]
) -> None:
    shop, _ = slow
    ask(call, shop)
    shop.clock.now += timedelta(minutes=10)
    engine = shop.engine()
    look = engine.scan(shop.scope(DAY, DAY, "standing"))
    assert ask(call, shop).body["outcomes"] == {"complete": 1}
    content = chain.content(STANDING)
    engine.pick_up(look, timedelta(0))
    assert [row[:4] for row in chain.content(STANDING)] == [row[:4] for row in content]
    assert chain.scan().judgement.complete


def test_a_statement_that_failed_after_its_call_is_a_failure_with_its_error(
    call: Call, slow: tuple[Shop, Slow]
) -> None:
    shop, warehouse = slow
    ask(call, shop)
    warehouse.states = ["Resources exceeded"]
    shop.clock.now += timedelta(minutes=10)
    told = ask(call, shop).body
    assert told["outcomes"] == {"failed": 1}
    assert "Resources exceeded" in told["failed"][0]["error"]


def test_a_later_claim_fences_off_what_an_older_statement_made(
    call: Call, chain: Shop, slow: tuple[Shop, Slow]
) -> None:
    """The forgotten statement ends after somebody else repaired the date: nothing is published twice."""
    shop, _ = slow
    ask(call, shop)
    shop.clock.now += timedelta(minutes=20)
    chain.clock.now = shop.clock.now
    chain.apply(DAY, DAY)  # by hand, without patience
    assert chain.scan().judgement.complete
    runs = chain.runs()
    assert ask(call, shop).status == 200
    assert chain.runs() == runs


def test_a_statement_is_found_again_by_its_claim(chain: Shop) -> None:
    """On the real wire: a batch that is waited for has an id that follows from its claim."""
    chain.built(FIRST, LAST)
    chain.delete(STANDING)
    workshop = chain.gapless.engine(Policy(), patience=60.0).executor.workshop
    head = chain.scan().observation.ledger
    batch = Batch("standing", (DAY,), head.newest_claim + 1, 0, head.generation)
    assert workshop.state(batch) == "missing"
    workshop.stage(batch, chain.clock().date())
    assert workshop.state(batch) == "done"
    assert workshop.state(batch._replace(part=1)) == "missing"
    workshop.discard(batch)
    assert workshop.state(batch) == "missing"  # nothing is left that could be picked up


def test_a_call_that_died_after_publishing_and_before_its_outcome_is_no_dead_end(call: Call, chain: Shop) -> None:
    """Its statement is done and what it staged is gone: the date is judged by its table, and run again if need be."""
    chain.built(FIRST, LAST)
    chain.delete(STANDING)
    dying, warehouse = chain.watched()

    def dies(purpose: str) -> None:
        if purpose == "outcomes":
            raise SystemExit

    warehouse.before = dies
    with pytest.raises(SystemExit):
        ask(call, dying)
    assert chain.staged() == []
    chain.delete(STANDING)  # and the date is lost once more
    chain.clock.now += timedelta(minutes=20)
    assert ask(call, chain).body["outcomes"] == {"complete": 1}
    assert chain.scan().judgement.complete
