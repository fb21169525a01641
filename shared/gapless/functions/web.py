"""Between HTTP and the engine: a request in, one call, a typed answer out. Everything that a function shares.

Statuses: 200 looked and did what the counts say; 400, 405, 413, 415 malformed; 409 refused for safety, or work that a
person asked for was not all done; 424 the tables cannot be read, and trying again will not help; 500 the installation
is wrong or Gapless has a bug; 503 try again.
"""

from __future__ import annotations

import json
import time
import traceback
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import flask

from gapless.declare.settings import read_settings
from gapless.errors import BadConfiguration, BadField, BadInput, GaplessError, Refused
from gapless.logs import Log, trace_of
from gapless.messages import DEAD_LETTER_TOPIC
from gapless.messages.triggers import BadRequest, Poison, read_body
from gapless.wiring import Gapless, connect

PROBLEM = "application/problem+json"
_TITLES = {
    400: "the request is malformed",
    405: "use POST",
    409: "refused for safety",
    413: "the request is too large",
    415: "send JSON",
    424: "the tables cannot be read",
    500: "the function is misconfigured",
    503: "try again",
}
Work = Callable[[Gapless, dict[str, Any], Log], "tuple[int, dict[str, Any]]"]


@lru_cache(maxsize=1)
def gapless() -> Gapless:
    """The pipeline on its warehouse; connected once per instance."""
    return connect(read_settings())


def serve(name: str, work: Work, request: flask.Request) -> flask.Response:
    """Answer one request; nothing but this function knows about HTTP responses."""
    begin = time.monotonic()
    headers = {key.lower(): value for key, value in request.headers.items()}
    log = Log(name)
    try:
        log = Log(name, trace_of(headers, read_settings().project))
        body = read_body(request.method, headers, request.get_data())
        status, told = _worked(work, body, log)
    except BadConfiguration as error:
        return _problem(log, 500, error)
    except BadInput as error:
        return _problem(log, error.status if isinstance(error, BadRequest) else 400, error)
    except Refused as error:
        return _problem(log, 409, error)
    except GaplessError as error:
        return _problem(log, 424 if error.permanent else 503, error)
    except Exception as error:  # noqa: BLE001  (the outermost edge: the stack is for the log, not for the caller)
        log("bug", f"{type(error).__name__}: {error}", "ERROR", stack_trace=traceback.format_exc())
        return _response(500, {"title": "a bug in Gapless", "status": 500}, PROBLEM)
    told["duration_ms"] = round(1000 * (time.monotonic() - begin))
    return _response(status, told, "application/json")


def _worked(work: Work, body: dict[str, Any], log: Log) -> tuple[int, dict[str, Any]]:
    """The work's answer; a message that delivering again cannot help is set aside here and nowhere else."""
    running = gapless()
    try:
        return work(running, body, log)
    except Poison as poison:
        return _set_aside(running, poison, log)


def _set_aside(running: Gapless, poison: Poison, log: Log) -> tuple[int, dict[str, Any]]:
    """Acknowledge a message once it is on the dead-letter topic and in the log."""
    reason = str(poison)
    number = running.bus.publish(
        DEAD_LETTER_TOPIC,
        {"reason": reason, "function": log.function, "message_id": poison.message_id, "data": poison.data},
    )
    log("poison_message", f"set aside: {reason}", "ERROR", message_id=poison.message_id, dead_letter_id=number)
    return 200, {"status": "set_aside", "reason": reason, "dead_letter_id": number, "triggered": 0}


def _problem(log: Log, status: int, error: GaplessError) -> flask.Response:
    """Problem details, RFC 9457; the field of a bad input is a member of its own."""
    is_ours_to_mend = status in (424, 500)
    log("request_failed", str(error), "ERROR" if is_ours_to_mend else "WARNING", status=status)
    told: dict[str, Any] = {"type": "about:blank", "title": _TITLES[status], "status": status, "detail": str(error)}
    if isinstance(error, BadField):
        told["field"] = error.field
    if error.reason:
        told["reason"] = error.reason
    response = _response(status, told, PROBLEM)
    if status == 405:
        response.headers["Allow"] = "POST"
    if status == 503:
        response.headers["Retry-After"] = "30"
    return response


def _response(status: int, told: Mapping[str, Any], kind: str) -> flask.Response:
    return flask.Response(json.dumps(told, default=str), status, content_type=kind)
