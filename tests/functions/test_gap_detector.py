"""The daily detector, called as the framework calls it, with a server in Slack's place."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest

from gapless.declare.catalogue import load_catalogue
from gapless.errors import TransientFailure
from gapless.messages import RUN_TOPIC
from gapless.model import Target
from gapless.wiring import Gapless
from tests.conftest import Season, Shop, processors_that_run
from tests.emulator.test_detector import forgotten
from tests.functions.conftest import Call, Reply
from tests.unit.test_alerts import Endpoint, endpoint

__all__ = ["endpoint"]
FIRST, LAST = date(2024, 2, 1), date(2024, 2, 6)
ANSWER = {
    "gaps_found", "triggered", "blocked", "in_flight", "alerts", "paged", "recovered", "bytes_processed",
    "duration_ms", "summary",
}  # fmt: skip


@pytest.fixture
def old(chain: Shop) -> Shop:
    """Six dates that stood open for a month."""
    forgotten(chain)
    chain.sell(FIRST, LAST)
    chain.clock.now += timedelta(days=31)
    return chain


def with_slack(gapless: Gapless, endpoint: Endpoint) -> Gapless:
    settings = replace(gapless.settings, slack_webhook=endpoint.url, logs_url="https://logs.example/x")
    return replace(gapless, settings=settings)


def texts(endpoint: Endpoint) -> list[str]:
    return [json.loads(body)["text"] for _, _, body in endpoint.got]


def lines(reply: Reply, action: str) -> list[dict[str, Any]]:
    return [line for line in reply.log if line["action"] == action]


def test_what_the_schedule_sends_is_taken(call: Call, old: Shop) -> None:
    for schedule in load_catalogue().functions["gap_detector"].schedules.values():
        assert call("gap_detector", old.gapless, schedule.body).status == 200


def test_that_nothing_is_loaded_yet_is_said_in_a_word_for_programs(call: Call, shop: Shop) -> None:
    reply = call("gap_detector", shop.gapless, {"dry_run": True})
    assert (reply.status, reply.body["title"], reply.body["reason"]) == (424, "the tables cannot be read", "no_data")


def test_it_answers_and_logs_the_numbers_and_the_summary(call: Call, old: Shop) -> None:
    reply = call("gap_detector", old.gapless, {})
    assert reply.status == 200
    assert reply.body.keys() >= ANSWER
    expected = {"gaps_found": 6, "triggered": 0, "blocked": 12, "alerts": 1, "paged": 0, "channel": "log"}
    assert {name: reply.body[name] for name in expected} == expected
    line = lines(reply, "detector_done")[0]
    assert (line["gaps_found"], line["blocked"], line["alerts"], line["severity"]) == (6, 12, 1, "INFO")
    assert line["summary"] == reply.body["summary"]
    assert line["message"] == "2024-02-01 to 2024-02-06: 25.0 % complete, 18 gaps, 12 of them blocked"
    alert = lines(reply, "alert")[0]
    assert (alert["severity"], alert["key"]) == ("WARNING", "gaps/old/revenue")


def test_slack_reads_the_dates_and_the_link_once(call: Call, old: Shop, endpoint: Endpoint) -> None:
    gapless = with_slack(old.gapless, endpoint)
    first, second = call("gap_detector", gapless, {}), call("gap_detector", gapless, {})
    assert (first.status, first.body["channel"], first.body["undelivered"]) == (200, "slack", None)
    assert len(texts(endpoint)) == 1
    assert "2024-02-01, 2024-02-02" in texts(endpoint)[0]
    assert texts(endpoint)[0].endswith("Logs: https://logs.example/x")
    assert (first.body["reported"], second.body["reported"], second.body["notices"]) == (True, False, [])
    old.apply(FIRST, LAST)
    assert call("gap_detector", gapless, {}).body["recovered"] == 1
    assert "OVER: revenue" in texts(endpoint)[1]


@pytest.mark.parametrize(("slack", "status"), [(404, 424), (500, 503)])
def test_an_alert_that_nobody_got_is_no_success(
    call: Call, old: Shop, endpoint: Endpoint, slack: int, status: int
) -> None:
    endpoint.status, endpoint.answer = slack, b"no_service"
    reply = call("gap_detector", with_slack(old.gapless, endpoint), {})
    assert reply.status == status
    assert reply.body.keys() >= ANSWER
    assert str(slack) in reply.body["undelivered"]
    assert lines(reply, "alert_undelivered")[0]["severity"] == "ERROR"
    assert "s3cret" not in json.dumps([reply.body, reply.log])
    endpoint.status = 200
    assert call("gap_detector", with_slack(old.gapless, endpoint), {}).status == 200


def test_the_self_test_sends_one_message_and_looks_at_no_table(call: Call, old: Shop, endpoint: Endpoint) -> None:
    watching, watched = old.watched()
    reply = call("gap_detector", with_slack(watching.gapless, endpoint), {"self_test": True})
    assert (reply.status, reply.body["delivered"], reply.body["channel"]) == (200, True, "slack")
    assert texts(endpoint) == ["Gapless (shop): this is a test of the alert channel; nothing is wrong"]
    assert watched.calls == []


def test_the_self_test_says_that_the_channel_is_dead(call: Call, old: Shop, endpoint: Endpoint) -> None:
    endpoint.status, endpoint.answer = 404, b"no_service"
    reply = call("gap_detector", with_slack(old.gapless, endpoint), {"self_test": True})
    assert (reply.status, reply.body["delivered"]) == (424, False)
    assert "404 (no_service)" in reply.body["undelivered"]
    assert lines(reply, "alert_undelivered")


def test_the_self_test_says_that_there_is_no_channel_but_the_log(call: Call, old: Shop) -> None:
    reply = call("gap_detector", old.gapless, {"self_test": True})
    assert (reply.status, reply.body["channel"]) == (200, "log")
    assert "GAPLESS_SLACK_WEBHOOK is not set" in reply.body["note"]


def test_a_dry_run_tells_what_it_would_do(call: Call, old: Shop, endpoint: Endpoint) -> None:
    old.sell(date(2024, 3, 10), date(2024, 3, 10))
    reply = call("gap_detector", with_slack(old.gapless, endpoint), {"dry_run": True})
    assert (reply.status, reply.body["dry_run"], reply.body["triggered"], reply.body["ready"]) == (200, True, 0, 1)
    assert [notice["key"] for notice in reply.body["notices"]] == ["gaps/old/revenue"]
    assert (endpoint.got, old.bus.sent) == ([], [])


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"scan_for_gaps": True}, "scan_for_gaps"),
        ({"dry_run": "yes"}, "dry_run"),
        ({"self_test": 1}, "self_test"),
        ({"self_test": True, "dry_run": True}, "self_test"),
    ],
)
def test_what_it_does_not_understand_is_refused_with_the_field(
    call: Call, old: Shop, body: dict[str, Any], field: str
) -> None:
    reply = call("gap_detector", old.gapless, body)
    assert (reply.status, reply.body["field"], old.bus.sent) == (400, field, [])


def test_tables_that_do_not_answer_are_told_and_tried_again(call: Call, old: Shop, endpoint: Endpoint) -> None:
    watching, watched = old.watched()

    def fail(purpose: str) -> None:
        if purpose == "observe":
            raise TransientFailure("timed out")

    watched.before = fail
    reply = call("gap_detector", with_slack(watching.gapless, endpoint), {})
    assert (reply.status, reply.body["detail"]) == (503, "timed out")
    assert "the tables could not be looked at" in texts(endpoint)[0]


# -- a season ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def season(built_season: Season) -> Iterator[Season]:
    forgotten(built_season)
    yield built_season
    forgotten(built_season)


def test_a_lost_day_of_a_season_is_started_reported_and_healed(call: Call, season: Season, endpoint: Endpoint) -> None:
    gapless = with_slack(season.gapless, endpoint)
    quiet = call("gap_detector", gapless, {})
    assert (quiet.status, quiet.body["gaps_found"], quiet.body["complete"]) == (200, 0, True)
    assert [n for n in quiet.body["notices"] if n["severity"] != "info"] == []
    informed = len(endpoint.got)
    season.run(f"DELETE FROM {season.ledger_table('alert_log')} WHERE STARTS_WITH(alert_key, 'report/')")
    day = season.season.game_dates[60]
    for p in processors_that_run(season.pipeline):
        season.delete(Target(p.name, day))
    reply = call("gap_detector", gapless, {})
    assert reply.body["triggered"] > 0
    assert 0 < reply.body["gaps_found"] <= 100 < reply.body["blocked"]  # one lost day is no flood
    assert (reply.body["alerts"], len(endpoint.got)) == (quiet.body["alerts"], informed)
    table = season.ledger_table("gap_history")
    rows = season.rows(f"SELECT DISTINCT target_date FROM {table} WHERE verdict IN ('missing', 'blocked')")
    assert (day,) in rows
    sent = [message for topic, message in season.bus.sent if topic == RUN_TOPIC]
    assert len(sent) == len(reply.body["dispatched"])
    season.apply(day, day)
    assert call("gap_detector", gapless, {}).body["complete"]
