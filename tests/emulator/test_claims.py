"""One target, one worker: claims are numbered, dead owners are known, live ones are respected."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta

import pytest

from gapless import ledger
from gapless.errors import ClaimLost
from gapless.model import Policy, Target, Verdict, Wanted
from tests.conftest import Shop

FIRST, LAST = date(2024, 2, 1), date(2024, 2, 6)
T1, T2, T3 = (Target("revenue", date(2024, 2, day)) for day in (1, 2, 3))


def wanted(*targets: Target) -> list[Wanted]:
    return [Wanted(target, 7, "missing") for target in targets]


def book(shop: Shop, owner: str = "me") -> ledger.SqlLedger:
    return shop.book(owner)


def owners(shop: Shop) -> dict[Target, list[str]]:
    found: dict[Target, list[str]] = {}
    for name, day, owner in shop.rows(
        "SELECT processor_name, target_date, owner FROM `shop_gapless.attempts` WHERE claim_number > 0"
    ):
        found.setdefault(Target(name, day), []).append(owner)
    return found


def test_who_comes_second_gets_only_what_is_left(shop: Shop) -> None:
    generation = shop.scan().observation.ledger.generation
    first = book(shop, "first").claim(wanted(T1, T2), 0, generation, "run-1")
    second = book(shop, "second").claim(wanted(T2, T3), 0, generation, "run-2")
    assert (first.number, [w.target for w in first.wanted]) == (1, [T1, T2])
    assert (second.number, [w.target for w in second.wanted]) == (2, [T3])
    assert owners(shop) == {T1: ["first"], T2: ["first"], T3: ["second"]}


def test_who_finds_everything_taken_gets_nothing_and_writes_nothing(shop: Shop) -> None:
    generation = shop.scan().observation.ledger.generation
    book(shop, "first").claim(wanted(T1, T2), 0, generation, "run-1")
    second = book(shop, "second").claim(wanted(T1, T2), 0, generation, "run-2")
    assert not second.wanted
    assert owners(shop) == {T1: ["first"], T2: ["first"]}


def test_of_many_who_claim_at_once_exactly_one_wins_each_target(shop: Shop) -> None:
    generation = shop.scan().observation.ledger.generation
    sets = [(T1, T2), (T2, T3), (T1, T3), (T1, T2, T3)]

    def compete(number: int) -> list[Target]:
        claim = book(shop, f"owner-{number}").claim(wanted(*sets[number % 4]), 0, generation, f"run-{number}")
        return [w.target for w in claim.wanted]

    with ThreadPoolExecutor(8) as pool:
        won = Counter(target for targets in pool.map(compete, range(8)) for target in targets)
    assert won == {T1: 1, T2: 1, T3: 1}
    assert {target: len(names) for target, names in owners(shop).items()} == {T1: 1, T2: 1, T3: 1}
    numbers = shop.rows("SELECT claim_number, COUNT(DISTINCT owner) FROM `shop_gapless.attempts` GROUP BY 1")
    assert {count for _, count in numbers} == {1}


def test_a_number_is_taken_once_even_where_the_server_takes_a_job_id_twice(shop: Shop) -> None:
    """The emulator runs a repeated job id again; the condition in the statement still lets only one of them write."""
    generation = shop.scan().observation.ledger.generation
    one, other = book(shop, "one"), book(shop, "other")
    one._insert(1, tuple(wanted(T1)), generation, "run-1")
    with pytest.raises(ClaimLost):
        other._insert(1, tuple(wanted(T2)), generation, "run-2")
    assert owners(shop) == {T1: ["one"]}


def claimed_by(shop: Shop, owner: str) -> Verdict | None:
    """The verdict on a target that an owner has just claimed."""
    shop.sell(FIRST, LAST)
    seen = shop.scan().observation.ledger
    book(shop, owner).claim(wanted(T1), seen.newest_claim, seen.generation, "somebody")
    return shop.scan().judgement.verdict(T1)


def test_the_lease_of_a_dead_process_is_void_at_once(shop: Shop) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", "from gapless.ledger import this_process; print(this_process())"],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    owner = process.communicate()[0].strip()
    assert ledger.owner_is_gone(owner)
    assert claimed_by(shop, owner) is Verdict.MISSING
    report = shop.apply()
    assert T1 in {o.target for o in report.outcomes}


def test_the_lease_of_a_process_with_a_reused_number_is_void(shop: Shop) -> None:
    host, pid, _, token = ledger.this_process().split("/")
    assert claimed_by(shop, f"{host}/{pid}/1/{token}") is Verdict.MISSING


@pytest.mark.parametrize("where", ["alive here", "elsewhere"])
def test_a_lease_that_may_be_alive_is_respected_until_it_ends(shop: Shop, where: str) -> None:
    owner = ledger.this_process() if where == "alive here" else f"not-{socket.gethostname()}/1/1/x"
    assert claimed_by(shop, owner) is Verdict.IN_FLIGHT
    report = shop.apply()
    assert T1 not in {o.target for o in report.outcomes}
    assert T2 in {o.target for o in report.outcomes}
    shop.clock.now += Policy().lease
    assert shop.scan().judgement.verdict(T1) is Verdict.MISSING
    assert {o.target for o in shop.apply().outcomes} == {T1}


def test_a_plan_made_before_another_run_claimed_leaves_those_targets_to_it(shop: Shop) -> None:
    shop.sell(FIRST, LAST)
    engine = shop.engine()
    look = engine.scan(shop.scope())
    seen = look.observation.ledger
    book(shop, ledger.this_process()).claim(wanted(T1, T3), seen.newest_claim, seen.generation, "the-other-run")
    report = engine.apply(look)
    assert {t for t, why in report.waiting.items() if why == "another run claimed it"} == {T1, T3}
    assert {o.target.day.day for o in report.outcomes} == {2, 4, 5, 6}
    assert {t.day.day for t in shop.versions()} == {2, 4, 5, 6}


def test_a_lease_is_fifteen_minutes_from_the_claim(shop: Shop) -> None:
    generation = shop.scan().observation.ledger.generation
    book(shop).claim(wanted(T1), 0, generation, "run")
    ((since, until),) = shop.rows("SELECT claimed_at, lease_until FROM `shop_gapless.attempts` WHERE claim_number = 1")
    assert until - since == timedelta(minutes=15)
