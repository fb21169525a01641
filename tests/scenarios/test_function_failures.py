"""Failures of the production pipeline's functions that must not happen again, by their number in the list of failures.

17 (alerts) is in tests/unit/test_alerts.py and tests/emulator/test_detector.py, 19 (drift) in tests/unit/test_doctor.py
and tests/deploy, the rest of 1, 3, 8, 10 and 18 in tests/functions.
"""

from __future__ import annotations

import importlib
import json
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import flask
import pytest

from gapless.functions import web
from gapless.messages import RUN_TOPIC
from gapless.model import Target, Verdict, Wanted
from gapless.wiring import Gapless, InProcessBus
from tests.conftest import Season, Shop
from tests.functions.conftest import push

FIRST, LAST = date(2024, 2, 1), date(2024, 2, 8)
DAY = date(2024, 2, 4)
STANDING = Target("standing", DAY)


@pytest.fixture
def post(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Gapless, Mapping[str, Any]], dict[str, Any]]:
    """Calls a function as the framework does, from any thread."""
    app = flask.Flask(web.__name__)

    def call(name: str, gapless: Gapless, body: Mapping[str, Any]) -> dict[str, Any]:
        monkeypatch.setattr(web, "gapless", lambda: gapless)
        function = getattr(importlib.import_module(f"functions.{name}.main"), name)
        with app.test_request_context("/", method="POST", data=json.dumps(body), content_type="application/json"):
            response = function(flask.request)
        told: dict[str, Any] = json.loads(response.get_data())
        return told | {"http": response.status_code}

    return call


Post = Callable[[str, Gapless, Mapping[str, Any]], dict[str, Any]]


def test_a_run_that_never_ended_is_no_failure_and_its_start_no_run(chain: Shop, post: Post) -> None:
    """4. Phantom failures: start and end are one row, written at the end; who died left none, and is called nothing."""
    chain.built(FIRST, LAST)
    history = chain.pipeline.views["processor_run_history"]
    before = chain.rows(f"SELECT COUNT(*) FROM `{history}`")
    chain.delete(STANDING)
    look = chain.scan()
    ledger = look.observation.ledger
    chain.book("//gone").claim([Wanted(STANDING, 0, "missing")], ledger.newest_claim, ledger.generation, "dead")
    assert chain.rows(f"SELECT COUNT(*) FROM `{history}`") == before
    assert chain.scan().judgement.verdict(STANDING) is Verdict.IN_FLIGHT
    chain.clock.now += timedelta(minutes=16)
    told = post("run_processor", chain.gapless, push({"processor": "standing", "dates": [DAY.isoformat()]}))
    assert told["outcomes"] == {"complete": 1}
    rows = chain.rows(f"SELECT status FROM `{history}` WHERE run_id = @run", run=told["run_id"])
    assert rows == [("success",)]
    assert chain.rows(f"SELECT COUNT(*) FROM `{history}` WHERE status = 'failed'") == [(0,)]


def test_what_a_phase_waits_for_is_declared_and_not_who_happens_to_report(chain: Shop, post: Post) -> None:
    """9. Expected-list drift: a producer that nobody declared is heard, and one that stays silent is not waited for."""
    chain.built(FIRST, LAST)
    chain.delete(STANDING)
    event = {"processor_name": "a_sixth_processor", "date": DAY.isoformat(), "status": "success"}
    told = post("phase3_to_phase4", chain.gapless, push(event))
    assert told["triggered"] == 1
    assert [message["processor"] for topic, message in chain.bus.sent if topic == RUN_TOPIC] == ["standing"]


def test_a_run_of_many_dates_is_as_many_jobs_as_a_run_of_one(chain: Shop, post: Post) -> None:
    """16. Quotas: nothing is written row by row or date by date; a table is written once a batch."""
    chain.built(FIRST, LAST)
    jobs = []
    for days in ([DAY], [DAY + timedelta(days=n) for n in range(5)]):
        for day in days:
            chain.delete(Target("standing", day))
        watching, watched = chain.watched()
        request = {"processor": "standing", "dates": [day.isoformat() for day in days]}
        assert post("run_processor", watching.gapless, push(request))["outcomes"] == {"complete": len(days)}
        jobs.append([purpose for _, purpose in watched.calls])
    assert jobs[0] == jobs[1]
    assert Counter(jobs[0])["publish"] == 1


def test_two_scans_a_detector_a_person_and_a_clean_up_at_once_have_one_winner_per_target(
    built_season: Season, post: Post
) -> None:
    """8. Double triggering: whoever asks, and however often, a target is claimed and run once."""
    season = built_season
    days = season.season.game_dates[100:103]
    for day in days:
        season.delete(Target("team_defense_zone_analysis", day))
        season.delete(Target("player_shot_zone_analysis", day))
    table = season.ledger_table("attempts")
    count = f"SELECT processor_name, target_date, COUNT(*) FROM {table} WHERE target_date IS NOT NULL GROUP BY 1, 2"
    before = {(name, day): n for name, day, n in season.rows(count)}
    gapless = replace(season.gapless, bus=InProcessBus())
    asked: list[tuple[str, Mapping[str, Any]]] = [
        ("phase3_to_phase4", {"scan_for_gaps": True}),
        ("phase3_to_phase4", {"scan_for_gaps": True}),
        ("gap_detector", {}),
        ("phase3_to_phase4", {"start_date": days[0].isoformat(), "end_date": days[-1].isoformat()}),
        ("upcoming_cleanup", {}),
    ]
    with ThreadPoolExecutor(5) as pool:
        answers = list(pool.map(lambda one: post(one[0], gapless, one[1]), asked))
    assert {told["http"] for told in answers} == {200}
    assert isinstance(gapless.bus, InProcessBus)
    requests = [message for topic, message in gapless.bus.sent if topic == RUN_TOPIC]
    assert len(requests) >= 8  # four callers, two processors
    with ThreadPoolExecutor(4) as pool:
        ran = list(pool.map(lambda request: post("run_processor", gapless, push(request)), requests))
    assert {told["http"] for told in ran} <= {200, 503}
    after = {(name, day): n for name, day, n in season.rows(count)}
    claimed = {key: n - before.get(key, 0) for key, n in after.items() if n != before.get(key, 0)}
    assert set(claimed.values()) == {1}
    assert {day for _, day in claimed} == set(days)
    assert not season.torn()
    season.engine(lift_storm=True).apply(season.engine().scan(season.scope()))
    assert season.differences() == []
