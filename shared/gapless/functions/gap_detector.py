"""Looks at all dates once a day: heals what is recent, tells people of the rest, and writes the daily report."""

from __future__ import annotations

from typing import Any

import flask

from gapless.declare.settings import Settings
from gapless.engine import Engine
from gapless.errors import GaplessError
from gapless.functions import web
from gapless.logs import Log
from gapless.messages.triggers import BadRequest, flag, only_known
from gapless.model import Policy
from gapless.tasks.advance import answer
from gapless.tasks.detect.detector import PREFIX, Detection, GapHistory, detect
from gapless.tell.alerts import Channel, LogChannel, SqlAlertBook, Teller, console_url
from gapless.tell.slack import SlackChannel
from gapless.wiring import Gapless

_NUMBERS = (
    "gaps_found", "ready", "triggered", "blocked", "in_flight", "alerts", "paged", "recovered", "bytes_processed",
)  # fmt: skip


def work(gapless: Gapless, body: dict[str, Any], log: Log) -> tuple[int, dict[str, Any]]:
    only_known(body, {"dry_run", "self_test"})
    dry_run, self_test = flag(body, "dry_run"), flag(body, "self_test")
    if dry_run and self_test:
        raise BadRequest("self_test", "a test that sends nothing tests nothing; leave out dry_run")
    settings, dataset = gapless.settings, gapless.pipeline.ledger
    book = SqlAlertBook(gapless.warehouse, dataset, PREFIX, gapless.clock)
    teller = Teller(book, _channel(settings), log, gapless.pipeline.name, _logs_url(settings, log.function))
    if self_test:
        return _test(teller)
    engine = gapless.engine(Policy())
    history = GapHistory(gapless.warehouse, dataset, gapless.clock)
    detection = detect(engine, gapless.everything(), gapless.bus, teller, history, dry_run=dry_run)
    told = {"mode": "detect", "dry_run": dry_run, **_told(detection, engine, teller.channel)}
    numbers = {name: told[name] for name in _NUMBERS}
    log("detector_done", detection.summary[0], channel=teller.channel.name, summary=detection.summary, **numbers)
    if detection.advance.failure:
        raise detection.advance.failure  # people know it; what was not asked for is asked for again
    return _status(detection.delivery.failure), told


def _told(detection: Detection, engine: Engine, channel: Channel) -> dict[str, Any]:
    delivery = detection.delivery
    return answer(detection.advance, engine) | {
        "alerts": len(detection.alerts),
        "paged": delivery.paged,
        "recovered": delivery.recovered,
        "notices": [
            {"key": alert.key, "severity": alert.severity, "news": news, "size": alert.size, "headline": alert.headline}
            for alert, news in delivery.notices
        ],
        "channel": channel.name,
        "undelivered": str(delivery.failure) if delivery.failure else None,
        "reported": detection.reported,
        "summary": detection.summary,
    }


def _test(teller: Teller) -> tuple[int, dict[str, Any]]:
    """One message, to see whether the channel takes it."""
    failure: GaplessError | None = None
    try:
        teller.channel.send(f"Gapless ({teller.pipeline}): this is a test of the alert channel; nothing is wrong")
    except GaplessError as error:
        failure = error
        teller.undelivered(error, ["self_test"])
    else:
        teller.log("self_test_done", f"{teller.channel.name} took the test message", channel=teller.channel.name)
    told = {
        "mode": "self_test",
        "channel": teller.channel.name,
        "delivered": failure is None,
        "undelivered": str(failure) if failure else None,
    }
    if isinstance(teller.channel, LogChannel):
        told["note"] = "GAPLESS_SLACK_WEBHOOK is not set: alerts are in the log and nowhere else"
    return _status(failure), told


def _status(failure: GaplessError | None) -> int:
    """An alert that nobody got is no success, however well the rest went."""
    if failure is None:
        return 200
    return 424 if failure.permanent else 503


def _channel(settings: Settings) -> Channel:
    return SlackChannel(settings.slack_webhook) if settings.slack_webhook else LogChannel()


def _logs_url(settings: Settings, function: str) -> str:
    if settings.logs_url or settings.local or settings.emulator:
        return settings.logs_url
    return console_url(settings.project, function)


def gap_detector(request: flask.Request) -> flask.Response:
    return web.serve("gap_detector", work, request)
