"""The phase transitions and run_processor, called as the framework calls them, on a real warehouse."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from gapless.declare.catalogue import load_catalogue
from gapless.declare.words import Contract
from gapless.errors import CannotObserve, TransientFailure
from gapless.messages import DEAD_LETTER_TOPIC, RUN_TOPIC, read_completion, read_run_request
from gapless.model import Policy, Target
from gapless.wiring import Gapless, InProcessBus
from tests.conftest import Season, Shop, processors_that_run
from tests.emulator.test_audit import spoiled
from tests.functions.conftest import Call, Reply, push

FIRST, LAST = date(2024, 2, 1), date(2024, 2, 8)
DAY = date(2024, 2, 4)
PHASES = ("phase2_to_phase3", "phase3_to_phase4", "phase4_to_phase5", "phase5_to_phase6")
ANSWER = {"gaps_found", "triggered", "blocked", "in_flight", "alerts", "bytes_processed", "duration_ms"}


def messages(gapless: Gapless, topic: str) -> list[Mapping[str, Any]]:
    assert isinstance(gapless.bus, InProcessBus)
    return [message for name, message in gapless.bus.sent if name == topic]


def emptied(season: Season, day: date) -> Season:
    """A season with one date gone from every table that is derived."""
    for p in processors_that_run(season.pipeline):
        season.delete(Target(p.name, day))
    return season


# -- one function ------------------------------------------------------------------------------------------------------


def test_an_event_with_nothing_to_do_is_one_job_and_no_run(call: Call, built_season: Season) -> None:
    watching, watched = built_season.watched()
    day = built_season.season.game_dates[50]
    reply = call("phase2_to_phase3", watching.gapless, push({"game_date": day.isoformat(), "status": "success"}))
    assert reply.status == 200
    assert reply.body.keys() >= ANSWER
    assert (reply.body["mode"], reply.body["triggered"], reply.body["complete"]) == ("event", 0, True)
    assert watched.calls == [("rows", "observe")]
    assert messages(watching.gapless, RUN_TOPIC) == []


def test_a_scan_with_nothing_to_do_is_one_job_and_no_run(call: Call, built_season: Season) -> None:
    watching, watched = built_season.watched()
    for name in PHASES:
        reply = call(name, watching.gapless, {"scan_for_gaps": True})
        assert reply.status == 200
        assert reply.body.keys() >= ANSWER
        assert (reply.body["gaps_found"], reply.body["triggered"]) == (0, 0)
    assert watched.calls == [("rows", "observe")] * 4


@pytest.mark.parametrize("status", ["success", "partial", "no_data", "failed"])
def test_an_event_starts_what_is_ready_whatever_its_producer_says(
    call: Call, built_season: Season, status: str
) -> None:
    day = built_season.season.game_dates[60]
    emptied(built_season, day)
    reply = call("phase2_to_phase3", built_season.gapless, push({"game_date": day.isoformat(), "status": status}))
    asked = [read_run_request(m) for m in messages(built_season.gapless, RUN_TOPIC)]
    assert {each.processor for each in asked} == {
        "player_game_summary",
        "team_defense_game_summary",
        "team_offense_game_summary",
    }
    assert {each.days for each in asked} == {(day,)}
    assert reply.body["triggered"] == 3
    assert all(each["message_id"] for each in reply.body["dispatched"])


def test_a_gate_that_blocks_says_which_upstream_which_date_and_how_much(call: Call, built_season: Season) -> None:
    day = built_season.season.game_dates[60]
    built_season.delete(Target("team_defense_zone_analysis", day))
    built_season.delete(Target("player_composite_factors", day))
    reply = call("phase3_to_phase4", built_season.gapless, {"start_date": day.isoformat(), "end_date": day.isoformat()})
    waiting = {each["processor"]: each for each in reply.body["waiting"]}
    told = waiting["player_composite_factors"]
    assert (told["waits_for"], told["waits_for_date"]) == ("team_defense_zone_analysis", day.isoformat())
    assert (told["covered"], told["expected"], told["verdict"]) == (0, 30, "missing")
    asked = [read_run_request(m).processor for m in messages(built_season.gapless, RUN_TOPIC)]
    assert asked == ["team_defense_zone_analysis"]
    assert reply.body["blocked"] >= 1


def test_a_range_can_be_tried_without_running_anything(call: Call, chain: Shop) -> None:
    chain.built(FIRST, LAST)
    chain.delete(Target("standing", DAY))
    body = {"start_date": FIRST.isoformat(), "end_date": LAST.isoformat(), "dry_run": True}
    reply = call("phase3_to_phase4", chain.gapless, body)
    assert (reply.body["ready"], reply.body["triggered"], reply.body["dry_run"]) == (1, 0, True)
    assert messages(chain.gapless, RUN_TOPIC) == []
    forced = call("phase3_to_phase4", chain.gapless, body | {"force": True})
    assert forced.body["ready"] == 8


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"processors": ["nonsense"]}, "there is no processor 'nonsense'"),
        ({"processors": ["revenue"]}, "revenue is not of phase 4"),
        ({"processors": ["standing; DROP TABLE x"]}, "there is no processor"),
        ({"start_date": "1990-01-01", "end_date": "1990-01-02"}, "outside the pipeline's dates"),
        ({"start_date": "2024-02-31"}, "not a date that exists"),
    ],
)
def test_a_range_that_makes_no_sense_is_a_problem_with_its_field(
    call: Call, chain: Shop, change: dict[str, Any], said: str
) -> None:
    body = {"start_date": FIRST.isoformat(), "end_date": LAST.isoformat()} | change
    reply = call("phase3_to_phase4", chain.gapless, body)
    assert (reply.status, reply.headers["Content-Type"]) == (400, "application/problem+json")
    assert said in reply.body["detail"]
    assert reply.body["field"] in ("processors", "start_date")
    assert "Traceback" not in str(reply.body)


def test_a_wrong_method_says_which_one_is_right(call: Call, chain: Shop) -> None:
    reply = call("phase2_to_phase3", chain.gapless, method="GET")
    assert (reply.status, reply.headers["Allow"]) == (405, "POST")


def test_a_poison_message_is_acknowledged_logged_and_set_aside(call: Call, chain: Shop) -> None:
    """18. Permanent and transient: what delivering again cannot help is taken off the subscription, and kept."""
    for name, message in (("phase2_to_phase3", {"status": "success"}), ("run_processor", {"processor": "nobody"})):
        chain.bus.sent.clear()
        reply = call(name, chain.gapless, push(message))
        assert (reply.status, reply.body["status"], reply.body["triggered"]) == (200, "set_aside", 0)
        (kept,) = messages(chain.gapless, DEAD_LETTER_TOPIC)
        assert (kept["function"], kept["message_id"], bool(kept["reason"])) == (name, "7", True)
        assert [(line["action"], line["severity"]) for line in reply.log] == [("poison_message", "ERROR")]


class FailingBus:
    """A topic that takes so many messages and no more."""

    def __init__(self, taken: int) -> None:
        self.left = taken

    def publish(self, topic: str, message: Mapping[str, Any]) -> str:
        if not self.left:
            raise TransientFailure(f"{topic} is away ({len(message)} fields)")
        self.left -= 1
        return "1"


def test_what_a_topic_does_not_take_was_not_triggered(call: Call, built_season: Season) -> None:
    """1. Gate block recorded as success: triggered means a message id, and the caller is asked to come again."""
    day = built_season.season.game_dates[60]
    emptied(built_season, day)
    gapless = replace(built_season.gapless, bus=FailingBus(1))
    reply = call("phase2_to_phase3", gapless, push({"game_date": day.isoformat()}))
    assert (reply.status, reply.headers["Retry-After"]) == (503, "30")
    assert "is away" in reply.body["detail"]
    assert [line["action"] for line in reply.log] == ["event_done", "request_failed"]
    assert reply.log[0]["triggered"] == 1


@pytest.mark.parametrize(("error", "status"), [(TransientFailure("no answer"), 503), (CannotObserve("no table"), 424)])
def test_only_what_passes_asks_for_another_delivery(call: Call, chain: Shop, error: CannotObserve, status: int) -> None:
    watching, watched = chain.watched()

    def fail(_purpose: str) -> None:
        raise error

    watched.before = fail
    for name, message in (
        ("phase2_to_phase3", {"date": DAY.isoformat()}),
        ("run_processor", {"processor": "standing", "dates": [DAY.isoformat()]}),
    ):
        reply = call(name, watching.gapless, push(message))
        assert (reply.status, reply.body["detail"]) == (status, str(error))


def test_a_bug_is_a_500_whose_stack_is_in_the_log_only(call: Call, chain: Shop) -> None:
    watching, watched = chain.watched()

    def fail(_purpose: str) -> None:
        raise ZeroDivisionError("secret detail")

    watched.before = fail
    reply = call("phase2_to_phase3", watching.gapless, {"scan_for_gaps": True})
    assert reply.status == 500
    assert "secret" not in str(reply.body)
    assert "ZeroDivisionError" in reply.log[-1]["stack_trace"]


def test_in_report_only_mode_nothing_is_started(call: Call, chain: Shop) -> None:
    chain.built(FIRST, LAST)
    chain.delete(Target("standing", DAY))
    gapless = replace(chain.gapless, settings=replace(chain.gapless.settings, report_only=True))
    reply = call("phase3_to_phase4", gapless, {"scan_for_gaps": True})
    assert (reply.body["gaps_found"], reply.body["triggered"], reply.body["report_only"]) == (1, 0, True)
    assert messages(gapless, RUN_TOPIC) == []


def test_a_storm_is_refused_with_its_numbers(call: Call, chain: Shop, tmp_path: Path) -> None:
    chain.built(FIRST, LAST)
    for p in processors_that_run(chain.pipeline):
        chain.run(f"DELETE FROM `{p.table}` WHERE TRUE")
    strict = chain.variant(tmp_path)
    limits = Policy(storm_least=5)
    gapless = strict.gapless
    engine = gapless.engine
    gapless.engine = lambda policy: engine(replace(limits, force=policy.force))  # type: ignore[method-assign]
    reply = call("phase3_to_phase4", gapless, {"scan_for_gaps": True})
    assert (reply.status, reply.body["title"]) == (409, "refused for safety")
    assert "limit 50 %" in reply.body["detail"]


# -- run_processor -----------------------------------------------------------------------------------------------------


def test_a_run_that_comes_twice_runs_once(call: Call, chain: Shop) -> None:
    """8. Double triggering: the second delivery finds the table complete."""
    chain.built(FIRST, LAST)
    chain.delete(Target("standing", DAY))
    request = push({"processor": "standing", "dates": [DAY.isoformat()], "requested_by": "test"})
    first = call("run_processor", chain.gapless, request)
    again = call("run_processor", chain.gapless, request)
    assert (first.body["outcomes"], again.body["outcomes"]) == ({"complete": 1}, {})
    assert first.body["complete"]
    assert again.body["complete"]
    (told,) = messages(chain.gapless, "shop-4")
    assert read_completion(Contract(), told).days == (DAY,)


def test_a_run_that_does_not_land_is_acknowledged_with_its_error_and_announces_nothing(
    call: Call, chain: Shop, tmp_path: Path
) -> None:
    chain.built(FIRST, LAST)
    chain.delete(Target("revenue", DAY))
    faulty = chain.variant(tmp_path, sql={"revenue": spoiled("branch != 'A'")})
    reply = call("run_processor", faulty.gapless, push({"processor": "revenue", "dates": [DAY.isoformat()]}))
    assert (reply.status, reply.body["complete"]) == (200, False)
    assert reply.body["outcomes"] == {"failed": 1}
    assert "below the gate" in reply.body["failed"][0]["error"]
    assert messages(faulty.gapless, "shop-2") == []
    made, line = (line for line in reply.log if line["action"] in ("run_progress", "run_done"))
    assert (made["action"], made["made"], made["dates"]) == ("run_progress", 1, 1), "before it is audited"
    assert (line["severity"], line["failed"]) == ("WARNING", 1)


# -- together ----------------------------------------------------------------------------------------------------------


class Delivery:
    """Delivers what is published to the functions that the catalogue subscribes to its topic; some of it twice."""

    def __init__(self, call: Call, gapless: Gapless, chance: random.Random) -> None:
        self.call, self.gapless, self.chance = call, gapless, chance
        assert isinstance(gapless.bus, InProcessBus)
        self.bus = gapless.bus
        self.waiting: list[tuple[str, Mapping[str, Any]]] = []
        self.replies: list[tuple[str, Reply]] = []
        self.taken = 0

    def collect(self) -> None:
        for topic, message in self.bus.sent[self.taken :]:
            for function in load_catalogue().functions.values():
                if topic in function.topics:
                    self.waiting += [(function.name, message)] * self.chance.choice((1, 1, 2))
        self.taken = len(self.bus.sent)

    def run(self) -> None:
        self.collect()
        while self.waiting:
            name, message = self.waiting.pop(self.chance.randrange(len(self.waiting)))
            self.replies.append((name, self.call(name, self.gapless, push(message))))
            self.collect()


@pytest.fixture
def delivery(call: Call, built_season: Season) -> Delivery:
    return Delivery(call, built_season.gapless, random.Random(4))


def claims(season: Season) -> Counter[tuple[str, date]]:
    table = season.ledger_table("attempts")
    rows = season.rows(f"SELECT processor_name, target_date FROM {table} WHERE target_date IS NOT NULL")
    return Counter((name, day) for name, day in rows)


def test_one_event_carries_a_date_through_phase_6_by_events_alone(built_season: Season, delivery: Delivery) -> None:
    """Messages come in any order, some twice; each target is claimed and run once."""
    day = built_season.season.game_dates[60]
    before = claims(built_season)
    emptied(built_season, day)
    built_season.bus.publish("nba-phase2-raw-complete", {"game_date": day.isoformat(), "status": "success"})
    delivery.run()
    assert {reply.status for _, reply in delivery.replies} == {200}
    assert built_season.differences() == []
    fresh = claims(built_season) - before
    historical = [p.name for p in processors_that_run(built_season.pipeline) if p.applies_to != "upcoming"]
    assert {name for name, on in fresh if on == day} == set(historical)
    assert set(fresh.values()) == {1}


def scanned(call: Call, season: Season) -> None:
    """One scan of every phase, in their order. Runs that these ask for are delivered; completions go nowhere."""
    sent = season.bus.sent
    for name in PHASES:
        assert call(name, season.gapless, {"scan_for_gaps": True}).body["triggered"] > 0
        while sent:
            topic, message = sent.pop(0)
            if topic == RUN_TOPIC:
                assert call("run_processor", season.gapless, push(message)).status == 200


def test_with_every_event_lost_one_scan_per_phase_carries_a_date_through_phase_6(
    call: Call, built_season: Season
) -> None:
    """A4: what stands in a row inside a phase follows by its runs, so no phase waits for a second scan."""
    day = built_season.season.game_dates[90]
    before = claims(built_season)
    emptied(built_season, day)
    scanned(call, built_season)
    assert built_season.differences() == []
    assert built_season.scan().judgement.complete
    assert set((claims(built_season) - before).values()) == {1}


def test_with_every_event_lost_a_correction_far_back_takes_one_scan_per_phase_too(
    call: Call, built_season: Season
) -> None:
    """Months are stale through their look-back; some waits for what turns out to need no run."""
    day = built_season.season.game_dates[60]
    before = claims(built_season)
    changed = "points = points + 1, field_goals_attempted = field_goals_attempted + 1"
    assert built_season.update(Target("boxscores", day), changed, "minutes IS NOT NULL")
    scanned(call, built_season)
    assert built_season.scan().judgement.complete
    fresh = claims(built_season) - before
    assert len(fresh) > 200
    assert set(fresh.values()) == {1}
