"""The whole system on the local stack: real functions, pushes, whichever Pub/Sub it chose. The tests build on each
other, in this order: history by scans alone, a date by events alone, what goes wrong, the rest of the season, and
losses in it that are mended while something is killed."""

from __future__ import annotations

import os
import random
import time
from datetime import date, timedelta

from gapless.model import Target, Verdict
from tests.e2e.conftest import LONG, Running

OPENING = date(2022, 10, 18)
HISTORY = date(2022, 11, 4)  # the first 14 days are bootstrap, so the last of these has every phase
EVENT_DAY = HISTORY + timedelta(days=1)
DAY = timedelta(days=1)
AWAY = 24  # seconds: back sooner, the warehouse would not be missed, for the client asks again for 20
SPRING = (date(2023, 2, 1), date(2023, 4, 9))
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
    running.stack.kill("scheduler")  # whose hour may come
    begin = time.monotonic()
    running.publish("nba-phase2-raw-complete", {"game_date": EVENT_DAY.isoformat()})
    running.wait_until("export", lambda: running.has_run("export", EVENT_DAY), LONG)
    running.wait_for(EVENT_DAY)
    assert running.bench.count(Target("export", EVENT_DAY)) > 0
    running.told.append(f"one date by events alone: {time.monotonic() - begin:.0f} s")
    running.up()


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

    running.wait_until("dead letters", all_there, LONG)
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
        LONG + 5 * deliveries,
    )  # fmt: skip
    assert running.look(new).judgement.verdict(Target("player_game_summary", new)) is Verdict.COMPLETE
    assert running.doubles() == []
    told = f"{time.monotonic() - begin:.0f} s, memory {memory} MB before, {running.memory()} MB after"
    running.told.append(f"{deliveries} messages about the same targets: {told}")


def test_a_season_is_completed_by_the_next_tick_whatever_is_killed(running: Running) -> None:
    begin, before = time.monotonic(), running.newest_claim()
    running.load(EVENT_DAY + 2 * DAY, LAST, announced=True)
    running.wait_for_claim(before)
    assert running.stack.kill("run_processor")
    assert not running.stack.status()["run_processor"]
    killed = running.newest_claim()
    running.up()

    running.wait_for_claim(killed)
    addresses = running.addresses
    running.power_failure()
    assert not any(running.stack.status().values())
    running.up()
    assert running.addresses == addresses, "who has the addresses can go on"

    # every event is gone with Pub/Sub, so this is the next tick's work
    status, told = running.post("gap_detector", {})
    assert status == 200, told
    assert told["triggered"] > 0, told
    running.told.append(f"the detector found {told['gaps_found']} gaps and triggered {told['triggered']}")
    running.settle()
    calls = running.scan_until_complete()
    all_is_well(running)
    running.told.append(f"the season: {calls} scans after the events, {time.monotonic() - begin:.0f} s")


def test_the_warehouse_dies_alone_in_the_middle_of_a_run(running: Running) -> None:
    """The functions live on, and so do the claims of their runs: the scan after their leases takes them up."""
    begin, before = time.monotonic(), running.newest_claim()
    lost, made = running.damage("player_game_summary", *SPRING), len(running.lines("run_processor", "run_progress"))
    assert running.post("phase2_to_phase3", {"scan_for_gaps": True})[1]["triggered"] == lost
    running.wait_until(
        "rows that are made and not published",
        lambda: len(running.lines("run_processor", "run_progress")) > made, LONG, every=0.02,
    )  # fmt: skip
    others, ended = running.stack.processes(), running.calls_ended("run_processor")
    running.kill_warehouse()
    assert running.dead() == ["warehouse"]
    time.sleep(AWAY)
    running.up()
    assert running.stack.processes() == others, "nothing else was started again"
    running.wait_until("the end of the call", lambda: running.calls_ended("run_processor") > ended, LONG)
    interrupted = len(running.unfinished())
    assert interrupted, "the run had come to its end before"
    running.an_hour_passes()
    calls = running.scan_until_complete()
    all_is_well(running, before)
    told = f"{interrupted} of {lost} targets interrupted, {calls} scans, {time.monotonic() - begin:.0f} s"
    running.told.append(f"warehouse killed: {told}")


def test_pubsub_dies_alone_in_the_middle_of_a_flow(running: Running) -> None:
    """The run under way comes to its end; what would have followed is started by the scan, where nobody heard of it."""
    begin, before = time.monotonic(), running.newest_claim()
    lost = running.damage("prediction_accuracy", *SPRING) + running.damage("export", *SPRING)
    running.post("phase4_to_phase5", {"scan_for_gaps": True})
    running.wait_for_claim(before)
    others = running.stack.processes()
    assert running.stack.kill("pubsub")
    assert running.dead() == ["pubsub"]
    running.wait_until("the end of the run", lambda: running.claims_under_way(before) == 0, LONG)
    running.up()
    now = running.stack.processes()
    assert {name for name in now if now[name] != others[name]} == {"pubsub"}
    running.settle()
    unheard = len(running.look().judgement.gaps)
    calls = running.scan_until_complete()
    all_is_well(running, before)
    told = f"{unheard} of {lost} targets not heard of, {calls} scans, {time.monotonic() - begin:.0f} s"
    running.told.append(f"Pub/Sub killed: {told}")


def all_is_well(running: Running, after: int = 0) -> None:
    """Everything is there, whole and once, no claim was left without its end, and none after a number was repeated."""
    assert running.look().judgement.complete
    assert running.unfinished() == []
    assert running.doubles(after) == []
    assert running.bench.torn() == []
