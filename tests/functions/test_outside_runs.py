"""Processors that other services run: what is asked, what is recorded, and that only data counts as done."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from gapless.gcp.outside import OutsideRuns
from gapless.model import Target, Verdict
from tests.conftest import Shop
from tests.functions.conftest import Call, push

FIRST, LAST = date(2024, 2, 1), date(2024, 2, 8)
DAY = date(2024, 2, 4)


class Service:
    """Somebody else's service: answers with the given statuses in turn, the last one for ever."""

    def __init__(self) -> None:
        self.statuses: list[int] = [202]
        self.asked: list[dict[str, Any]] = []
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                service.asked.append(json.loads(body))
                status = service.statuses.pop(0) if len(service.statuses) > 1 else service.statuses[0]
                self.send_response(status)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/start"


@pytest.fixture
def service() -> Iterator[Service]:
    started = Service()
    yield started
    started.server.shutdown()
    started.server.server_close()


def outside(chain: Shop, folder: Path, **how: Any) -> Shop:
    """The shop with its standing made by another service."""
    chain.built(FIRST, LAST)
    shop = chain.variant(folder, change={"standing": how})
    shop.gapless.dispatcher = OutsideRuns(shop.bus, shop.pipeline.messages, tries=2)
    chain.delete(Target("standing", DAY))
    return shop


def asked(call: Call, shop: Shop, days: Sequence[date] = (DAY,)) -> Any:
    request = {"processor": "standing", "dates": [day.isoformat() for day in days]}
    reply = call("run_processor", shop.gapless, push(request))
    assert reply.status == 200
    return reply.body


def rows_arrive(shop: Shop) -> None:
    """What the service writes: the day's rows, as those of the day before."""
    shop.copy_rows(Target("standing", DAY - timedelta(days=1)), DAY)


def test_what_another_service_was_asked_for_is_in_flight_until_its_data_lands(
    call: Call, chain: Shop, service: Service, tmp_path: Path
) -> None:
    """3. Self-heal treadmill: a call that returns OK is not done; the same date is not asked for twice meanwhile."""
    shop = outside(chain, tmp_path, run="http", endpoint=service.url)
    told = asked(call, shop)
    assert told["started"] == {f"standing {DAY}": "HTTP 202"}
    assert (told["complete"], told["outcomes"]) == (False, {})
    assert [message["dates"] for message in service.asked] == [[DAY.isoformat()]]
    assert shop.scan().judgement.verdict(Target("standing", DAY)) is Verdict.IN_FLIGHT
    again = asked(call, shop)
    assert again["started"] == {}
    assert len(service.asked) == 1
    rows_arrive(shop)
    assert shop.scan().judgement.verdict(Target("standing", DAY)) is Verdict.COMPLETE


def test_a_service_that_took_it_and_wrote_nothing_is_asked_again_after_the_lease_and_not_for_ever(
    call: Call, chain: Shop, service: Service, tmp_path: Path
) -> None:
    shop = outside(chain, tmp_path, run="http", endpoint=service.url)
    for _ in range(15):
        asked(call, shop)
        shop.clock.now += timedelta(minutes=61)
    assert len(service.asked) == 12  # the limit of attempts without any outcome
    assert shop.scan().judgement.verdict(Target("standing", DAY)) is Verdict.EXHAUSTED


@pytest.mark.parametrize(("statuses", "calls"), [([503, 202], 2), ([503], 2), ([404], 1), ([302], 1)])
def test_triggered_means_that_the_service_said_so(
    call: Call, chain: Shop, service: Service, tmp_path: Path, statuses: list[int], calls: int
) -> None:
    """18. Permanent and transient: what can pass is tried again, a refusal is not; neither counts as triggered."""
    shop = outside(chain, tmp_path, run="http", endpoint=service.url)
    service.statuses = statuses
    told = asked(call, shop)
    assert len(service.asked) == calls
    if statuses[-1] == 202:
        assert told["started"]
    else:
        assert told["started"] == {}
        assert told["outcomes"] == {"failed": 1}
        assert str(statuses[-1]) in told["failed"][0]["error"]


def test_a_processor_behind_a_topic_is_started_by_a_message_id(call: Call, chain: Shop, tmp_path: Path) -> None:
    shop = outside(chain, tmp_path, run="pubsub", run_topic="standing-trigger")
    told = asked(call, shop)
    assert told["started"] == {f"standing {DAY}": "message 1"}
    ((topic, message),) = shop.bus.sent
    assert (topic, message["dates"]) == ("standing-trigger", [DAY.isoformat()])


def test_partial_data_of_another_service_is_still_a_gap(
    call: Call, chain: Shop, service: Service, tmp_path: Path
) -> None:
    shop = outside(chain, tmp_path, run="http", endpoint=service.url)
    asked(call, shop)
    shop.copy_rows(Target("standing", DAY - timedelta(days=1)), DAY, "branch = 'A'")
    shop.clock.now += timedelta(minutes=61)
    assert shop.scan().judgement.verdict(Target("standing", DAY)) is Verdict.PARTIAL
    assert asked(call, shop)["started"]
