"""What called a function: an event, the hourly scan, or a person with a range of dates. No framework, no decisions.

A request that is malformed raises `BadRequest` with field and value. A Pub/Sub push whose content is malformed raises
`Poison`: delivering it again cannot help, so it is acknowledged, written down and set aside.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, TypeVar

from gapless.errors import BadField, BadInput, GaplessError
from gapless.messages import day_of, days_of_range, parse_object, payload

MOST_BYTES = 1 << 20
MOST_DAYS_BY_HAND = 2000
Content = TypeVar("Content")
_JSON = frozenset({"application/json", "application/cloudevents+json"})


class BadRequest(BadField):
    """A request that cannot be understood; `status` is the HTTP status that says so."""

    def __init__(self, field: str, sentence: str, status: int = 400) -> None:
        super().__init__(field, sentence)
        self.status = status


class Poison(GaplessError):
    """A Pub/Sub message that nobody can do anything with: delivering it again cannot help."""

    def __init__(self, reason: str, *, message_id: str, data: str = "") -> None:
        super().__init__(reason)
        self.message_id = message_id
        self.data = data


@dataclass(frozen=True)
class Push:
    """A Pub/Sub message with its content."""

    message: Mapping[str, Any]
    message_id: str
    attempt: int


@dataclass(frozen=True)
class ScanForGaps:
    """Look at everything."""


@dataclass(frozen=True)
class Range:
    """A person's request for a range of dates."""

    first: date
    last: date
    processors: tuple[str, ...] = ()
    force: bool = False
    dry_run: bool = False


Trigger = Push | ScanForGaps | Range


def read_body(method: str, headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
    """The JSON object of a POST; raises `BadRequest` with 405, 413, 415 or 400."""
    if method != "POST":
        raise BadRequest("method", f"{method} is not possible here; use POST", 405)
    kind = headers.get("content-type", "").split(";")[0].strip().lower()
    if kind not in _JSON:
        raise BadRequest("content-type", f"'{kind[:60]}' is not understood; send application/json", 415)
    if headers.get("content-encoding", "identity").lower() not in ("", "identity"):
        raise BadRequest("content-encoding", "send the body as it is, not compressed", 415)
    if len(body) > MOST_BYTES:
        raise BadRequest("body", f"{len(body):,} bytes, {MOST_BYTES:,} at most", 413)
    try:
        return parse_object(body)
    except BadField as error:
        raise BadRequest(error.field, error.sentence) from error


def read_trigger(body: Mapping[str, Any]) -> Trigger:
    """What a request's JSON object asks for; raises `BadRequest` naming field and value."""
    envelope = body.get("data") if "specversion" in body else body
    if isinstance(envelope, Mapping) and "message" in envelope:
        return _push(envelope)
    if "specversion" in body:
        raise BadRequest("data", "the CloudEvent carries no Pub/Sub message")
    if "scan_for_gaps" in body:
        only_known(body, {"scan_for_gaps"})
        if body["scan_for_gaps"] is not True:
            raise BadRequest("scan_for_gaps", "only true can be asked for")
        return ScanForGaps()
    return _range(body)


def read_push(body: Mapping[str, Any]) -> Push:
    """A Pub/Sub message and nothing else."""
    trigger = read_trigger(body) if "message" in body or "specversion" in body else None
    if isinstance(trigger, Push):
        return trigger
    raise BadRequest("message", "a Pub/Sub push is needed")


def understood(push: Push, read: Callable[[Mapping[str, Any]], Content]) -> Content:
    """What a push's message says; raises `Poison` where it breaks the contract."""
    try:
        return read(push.message)
    except BadInput as error:
        raise Poison(str(error), message_id=push.message_id) from error


def _push(envelope: Mapping[str, Any]) -> Push:
    message = envelope["message"]
    if not isinstance(message, Mapping):
        raise BadRequest("message", "an object is needed")
    number = str(message.get("messageId") or message.get("message_id") or "")
    attempt = envelope.get("deliveryAttempt")
    data = message.get("data", "")
    try:
        return Push(payload(data), number, attempt if isinstance(attempt, int) else 1)
    except BadField as error:
        raise Poison(str(error), message_id=number, data=data if isinstance(data, str) else "") from error


def _range(body: Mapping[str, Any]) -> Range:
    if not body.keys() & {"start_date", "end_date"}:
        raise BadRequest(
            "body",
            "send {'scan_for_gaps': true}, {'start_date': …, 'end_date': …}, or a Pub/Sub push"
            + (f"; '{str(next(iter(body)))[:60]}' is none of these" if body else ""),
        )
    only_known(body, {"start_date", "end_date", "processors", "force", "dry_run"})
    try:
        first, last = day_of("start_date", body.get("start_date")), day_of("end_date", body.get("end_date"))
        days_of_range(first, last, MOST_DAYS_BY_HAND)
    except BadField as error:
        raise BadRequest(error.field, error.sentence) from error
    names = body.get("processors", [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names) or len(names) > 100:
        raise BadRequest("processors", "a list of names is needed")
    return Range(first, last, tuple(names), flag(body, "force"), flag(body, "dry_run"))


def flag(body: Mapping[str, Any], field: str) -> bool:
    """A field that is true or false, false where it is not there."""
    value = body.get(field, False)
    if not isinstance(value, bool):
        raise BadRequest(field, f"{str(value)[:60]!r} is neither true nor false")
    return value


def only_known(body: Mapping[str, Any], known: set[str]) -> None:
    """Refuse fields that nobody would read; raises `BadRequest` naming the first."""
    unknown = sorted(set(body) - known)
    if unknown:
        raise BadRequest(unknown[0][:60], f"unknown field; known here are {', '.join(sorted(known))}")
