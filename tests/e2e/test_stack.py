"""The whole system on the local stack: real functions, Pub/Sub's official emulator, pushes. The tests build on each
other, in this order: history by scans alone, a date by events alone, what goes wrong, and the rest of the season."""

from __future__ import annotations

import os
import random
import time
from datetime import date, timedelta

from shared.model import Target, Verdict
from tests.e2e.conftest import PHASES, Running

OPENING = date(2022, 10, 18)
HISTORY = date(2022, 11, 4)  # the first 14 days are bootstrap, so the last of these has every phase
EVENT_DAY = HISTORY + timedelta(days=1)
DAY = timedelta(days=1)
LAST = date(2023, 6, 30)


def test_everything_runs_and_up_again_changes_nothing(running: Running) -> None:
    assert all(running.stack.status().values())
    before = running.stack.processes()
    running.up()
    assert running.stack.processes() == before


def test_scans_alone_complete_a_history_when_every_event_is_lost(running: Running) -> None:
    running.load(OPENING, HISTORY)
    running.lose_events()
    begin = time.monotonic()
    calls = running.scan_until_complete()
    assert running.look(OPENING, HISTORY).judgement.complete
    assert running.bench.count(Target("prediction_accuracy", HISTORY)) > 0
    running.told.append(f"history by scans alone: {calls} scans, {time.monotonic() - begin:.0f} s")
    running.up()


def test_one_event_carries_a_date_to_the_last_phase(running: Running) -> None:
    running.load(EVENT_DAY, EVENT_DAY)
    calls = {name: len(running.lines(name, "scan_done")) for name in PHASES}
    begin = time.monotonic()
    running.publish("nba-phase2-raw-complete", {"game_date": EVENT_DAY.isoformat()})
    running.wait_until("export", lambda: running.bench.count(Target("export", EVENT_DAY)) > 0, 90)
    running.wait_for(EVENT_DAY)
    assert calls == {name: len(running.lines(name, "scan_done")) for name in PHASES}
    running.told.append(f"one date by events alone: {time.monotonic() - begin:.0f} s")


def test_a_person_gets_an_answer_that_says_what_is_wrong(running: Running) -> None:
    status, told = running.post("phase2_to_phase3", {"start_date": "2022-02-30", "end_date": "2022-03-01"})
    assert (status, told["field"]) == (400, "start_date")
    status, told = running.post(
        "phase3_to_phase4", {"start_date": f"{EVENT_DAY}", "end_date": f"{EVENT_DAY}", "dry_run": True}
    )
    assert (status, told["complete"], told["triggered"]) == (200, True, 0)


def test_a_message_that_nobody_can_use_is_set_aside_and_not_delivered_again(running: Running) -> None:
    running.dead_letters()
    running.publish("nba-phase4-precompute-complete", b"not json", {"status": "success"})
    running.publish("gapless-run", {"processor": "nobody", "dates": [f"{EVENT_DAY}"]}, b"[]")
    listeners = sorted([*running.listeners("nba-phase4-precompute-complete"), *running.listeners("gapless-run")] * 2)
    found: list[str] = []

    def all_there() -> bool:
        found.extend(str(each["function"]) for each in running.dead_letters())
        return len(found) >= len(listeners)

    running.wait_until("dead letters", all_there, 30)
    assert sorted(found) == listeners


def test_repeated_and_reordered_deliveries_change_nothing(running: Running) -> None:
    """GAPLESS_DELIVERIES says how many; `make e2e` sends few, for each of them is a look at the tables."""
    deliveries = int(os.environ.get("GAPLESS_DELIVERIES", "16"))
    new = EVENT_DAY + DAY
    running.load(new, new)
    # half of them ask for the same run at once, half are news of a date that is complete or is not
    run = ("gapless-run", {"processor": "player_game_summary", "dates": [f"{new}"]})
    raw = [("nba-phase2-raw-complete", {"game_date": f"{day}"}) for day in (new, EVENT_DAY, HISTORY)]
    sent = [run if n % 2 else raw[n // 2 % len(raw)] for n in range(deliveries)]
    random.Random(7).shuffle(sent)
    memory, begin = running.memory(), time.monotonic()
    for topic, message in sent:
        running.publish(topic, message)
    asked = sent.count(run)
    running.wait_until(
        "an answer to every request",
        lambda: len([line for line in running.lines("run_processor", "run_done") if line["first_date"] == f"{new}"
                     and line["processor"] == "player_game_summary"]) >= asked,
        90 + 5 * deliveries,
    )  # fmt: skip
    assert running.look(new).judgement.verdict(Target("player_game_summary", new)) is Verdict.COMPLETE
    assert running.doubles() == []
    told = f"{time.monotonic() - begin:.0f} s, memory {memory} MB before, {running.memory()} MB after"
    running.told.append(f"{deliveries} messages about the same targets: {told}")


def test_a_season_is_completed_by_the_next_tick_whatever_is_killed(running: Running) -> None:
    begin = time.monotonic()
    running.load(EVENT_DAY + 2 * DAY, LAST, announced=True)
    running.wait_until("a claim", lambda: running.claims_under_way() > 0, 60)
    assert running.stack.kill("run_processor")
    assert not running.stack.status()["run_processor"]
    running.up()

    running.wait_until("the next claim", lambda: running.claims_under_way() > 0, 60)
    before = running.addresses
    running.power_failure()
    assert not any(running.stack.status().values())
    running.up()
    assert running.addresses == before, "who has the addresses can go on"

    # every event is gone with Pub/Sub, so this is the next tick's work
    if "gap_detector" in running.addresses.functions:
        status, told = running.post("gap_detector", {})
        assert status == 200, told
        assert told["triggered"] > 0, told
        running.told.append(f"the detector found {told['gaps_found']} gaps and triggered {told['triggered']}")
    else:
        running.told.append("the detector was left out: it is not there yet")
    running.settle(120)
    calls = running.scan_until_complete()
    assert running.look().judgement.complete
    assert running.doubles() == []
    assert running.bench.torn() == []
    running.told.append(f"the season: {calls} scans after the events, {time.monotonic() - begin:.0f} s")
