"""The whole system on the local stack: real functions, Pub/Sub's official emulator, pushes. The tests build on each
other, in this order: history by scans alone, a date by events alone, what goes wrong, and the rest of the season."""

from __future__ import annotations

import time
from datetime import date, timedelta

from shared.model import Target
from tests.e2e.conftest import PHASES, Running

OPENING = date(2022, 10, 18)
HISTORY = date(2022, 11, 4)  # the first 14 days are bootstrap, so the last of these has every phase
EVENT_DAY = HISTORY + timedelta(days=1)
DAY = timedelta(days=1)


def test_everything_runs_and_up_again_changes_nothing(running: Running) -> None:
    assert all(running.stack.status().values())
    before = running.stack.processes()
    running.up()
    assert running.stack.processes() == before


def test_scans_alone_complete_a_history_when_every_event_is_lost(running: Running) -> None:
    running.load(OPENING, HISTORY)
    running.lose_events()
    begin = time.monotonic()
    rounds = running.scan_until_complete()
    assert running.look(OPENING, HISTORY).judgement.complete
    assert running.bench.count(Target("prediction_accuracy", HISTORY)) > 0
    running.told.append(f"history by scans alone: {rounds} rounds, {time.monotonic() - begin:.0f} s")
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
