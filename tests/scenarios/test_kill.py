"""A run may die at any moment: nothing half-written is ever readable, and the next run finishes the work."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest

from gapless.model import Policy, Target, days_between
from tests.conftest import ROOT, Part, Season, Shop

FIRST, LAST = date(2024, 2, 1), date(2024, 2, 8)
KILLS = 10


class Death(BaseException):
    """The process is gone: nobody catches it."""


def newest_claim(season: Season) -> int:
    return int(season.rows(f"SELECT MAX(claim_number) FROM {season.ledger_table('attempts')}")[0][0])


def wait_for_a_claim(process: subprocess.Popen[bytes], season: Season, before: int) -> None:
    while process.poll() is None and newest_claim(season) == before:
        time.sleep(0.05)


def test_a_backfill_that_is_killed_again_and_again_ends_with_what_an_undisturbed_one_builds(
    built_season: Season,
) -> None:
    """`gapless backfill` in a process of its own, killed at ten random moments of its work, and repeated."""
    chance = random.Random("kill")
    first = built_season.season.days.in_season(1, 20)
    last = first + timedelta(days=3)
    for p in built_season.pipeline.processors.values():
        if p.run == "sql":
            built_season.run(
                f"DELETE FROM `{p.table}` WHERE {p.date_column} BETWEEN @first AND @last", first=first, last=last
            )
    damaged = set(built_season.differences())
    assert len(damaged) >= 30
    words = ["--start-date", str(first), "--end-date", str(last), "--home", str(built_season.home), "--json"]
    command = [sys.executable, "-m", "gapless.cli.main", "backfill", *words]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GAPLESS_")}
    killed, code = 0, None
    for attempt in range(KILLS + 4):
        before = newest_claim(built_season)
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
        )
        if attempt < KILLS:
            wait_for_a_claim(process, built_season, before)
            time.sleep(chance.uniform(0, 0.8))
            if process.poll() is None:
                os.kill(process.pid, signal.SIGKILL)
                killed += 1
        out, err = process.communicate()
        code = process.returncode
        assert code in (0, 1, -signal.SIGKILL), err.decode()
        assert built_season.torn(first, last) == []
        different = set(built_season.differences())
        # a partition is either not there yet or what it was
        there = built_season.versions(first, last)
        assert different == damaged - there.keys(), out.decode()[-500:]
        if code == 0:
            break
    assert killed >= 3
    assert code == 0
    assert built_season.differences() == []
    assert built_season.scan(first, last).plan.size == 0
    # what dead runs had staged expires by itself, and is never read
    for name in built_season.staged():
        built_season.gapless.warehouse.drop(f"{built_season.pipeline.staging}.{name}")


STEPS = ("claim", "stage", "audit", "publish", "measure", "outcomes", "drop")


# a run that dies after one step dies before the next: once before the first, and then after each
@pytest.mark.parametrize(("when", "step"), [("before", STEPS[0]), *(("after", step) for step in STEPS)])
def test_a_run_that_dies_around_any_step_is_finished_by_the_next(
    chain: Shop, undisturbed: dict[Target, Part], when: str, step: str
) -> None:
    if not undisturbed:
        chain.sell(FIRST, LAST)
        chain.apply()
        undisturbed.update(chain.versions())
        chain.empty()
    chain.sell(FIRST, LAST)
    # the second wave: there is data of this run already, and more to come
    bench, watched = chain.watched()
    met = 0

    def die(purpose: str) -> None:
        nonlocal met
        met += purpose == step
        if met == 2:
            raise Death

    setattr(watched, when, die)
    with pytest.raises(Death):
        bench.apply()
    assert_every_partition_is_whole(chain)
    finish(chain)
    assert chain.versions() == undisturbed


@pytest.mark.parametrize("message", range(1, 4))
def test_a_run_that_dies_while_it_announces_is_finished_by_the_next(chain: Shop, message: int) -> None:
    chain.sell(FIRST, LAST)

    class Dying:
        sent = 0

        def publish(self, topic: str, content: Mapping[str, Any]) -> str:
            self.sent += 1
            if self.sent == message:
                raise Death
            return f"{topic} {len(content)}"

    dying = replace(chain, gapless=replace(chain.gapless, bus=Dying()))
    with pytest.raises(Death):
        dying.apply()
    assert_every_partition_is_whole(chain)
    # the work of that wave was done and recorded: only what follows is left
    done = len(chain.versions())
    assert done == 8 * message
    report = finish(chain)
    assert report == 24 - done


@pytest.fixture(scope="module")
def undisturbed() -> dict[Target, Part]:
    """What a build without any accident makes of the same orders; filled by the first test."""
    return {}


def assert_every_partition_is_whole(chain: Shop) -> None:
    """Rows of one run, built on the same inputs, each with the hash of its content; all keys or none."""
    assert chain.torn() == []
    for target, part in chain.versions().items():
        assert part.rows == 3, target
    look = chain.scan()
    assert not [gap for gap in look.judgement.gaps if gap.seen.altered or gap.seen.duplicates or gap.seen.extra]


def finish(chain: Shop) -> int:
    """The next run, after the dead one's lease; returns how many targets it worked on."""
    chain.clock.now += Policy().lease
    report = chain.apply()
    assert not report.failed
    assert report.after is not None
    assert report.after.judgement.complete
    ended = chain.versions()
    assert set(ended) == {Target(n, d) for n in ("revenue", "forecast", "standing") for d in days_between(FIRST, LAST)}
    assert chain.torn() == []
    return len(report.outcomes)
