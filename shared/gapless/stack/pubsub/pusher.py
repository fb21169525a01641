"""Delivers to push subscriptions: an HTTP POST for each message, as Pub/Sub's official emulator sends it.

Any 2xx acknowledges. Anything else, and no answer within the ack deadline, means that the message comes again. Each
subscription has as many pushes under way at a time as the official emulator has.
"""

from __future__ import annotations

import base64
import contextlib
import json
import threading
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

from gapless.logs import Log
from gapless.stack.pubsub.backlog import Delivery
from gapless.stack.pubsub.broker import Broker, Subscription, stamp

PUSHES = 2  # at a time, of one subscription


def start(broker: Broker, subscription: Subscription, log: Log) -> None:
    """Push from now on whatever the subscription gets, while it has an endpoint; ends when it is deleted."""
    for number in range(PUSHES):
        threading.Thread(
            target=_work, args=(broker, subscription, log), name=f"{subscription.name} {number}", daemon=True
        ).start()


def _work(broker: Broker, subscription: Subscription, log: Log) -> None:
    while delivery := broker.next(subscription, to_push=True):
        rules = subscription.rules
        problem = push(rules.endpoint, body(subscription, delivery), rules.ack_seconds)
        if not problem:
            subscription.ack(delivery.token)
            continue
        seconds = subscription.refuse(delivery)
        log(
            "refused",
            f"{subscription.name.rpartition('/')[2]}: {problem}; "
            + (f"again in {seconds:g} s" if seconds else "that was the last attempt"),
            "WARNING", message_id=delivery.message.number, attempt=delivery.attempt,
        )  # fmt: skip


def body(subscription: Subscription, delivery: Delivery) -> bytes:
    """The wrapped message. The number of the attempt is there where there are dead letters, as in the cloud."""
    message = delivery.message
    published = stamp(message.published)
    told: dict[str, Any] = {
        "subscription": subscription.name,
        "message": {
            "attributes": dict(message.attributes),
            "data": base64.b64encode(message.data).decode(),
            "messageId": message.number,
            "message_id": message.number,
            "publishTime": published,
            "publish_time": published,
        },
    }
    if subscription.rules.dead_letters:
        told["deliveryAttempt"] = delivery.attempt
    return json.dumps(told, separators=(",", ":")).encode()


def push(endpoint: str, content: bytes, seconds: float) -> str:
    """POST to an address, without redirects and proxies; why it was not taken, empty if it was."""
    where = urlsplit(endpoint)
    kind = HTTPSConnection if where.scheme == "https" else HTTPConnection
    path = (where.path or "/") + (f"?{where.query}" if where.query else "")
    headers = {"Content-Type": "application/json", "User-Agent": "gapless-local-pubsub"}
    try:
        with contextlib.closing(kind(where.netloc, timeout=seconds)) as connection:
            connection.request("POST", path, content, headers)
            response = connection.getresponse()
            response.read()
    except (OSError, HTTPException) as error:
        return f"{endpoint} did not answer: {type(error).__name__}: {error}"
    return "" if response.status in range(200, 300) else f"{endpoint} answered {response.status}"
