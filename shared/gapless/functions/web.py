"""Between HTTP and the engine: a request in, one call, a typed answer out. Everything that a function shares.

Statuses: 200 looked and did what the counts say; 400, 405, 413, 415 malformed; 409 refused for safety, or work that a
person asked for was not all done; 424 the tables cannot be read, and trying again will not help; 503 try again.
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
from gapless.errors import BadInput, GaplessError, Refused
from gapless.logs import Log, trace_of
from gapless.messages import DEAD_LETTER_TOPIC
from gapless.messages.triggers import BadRequest, Poison, read_body
from gapless.wiring import Gapless, connect

Work = Callable[[Gapless, dict[str, Any], Log], "tuple[int, dict[str, Any]]"]


@lru_cache(maxsize=1)
def gapless() -> Gapless:
    """The pipeline on its warehouse; connected once per instance."""
    return connect(read_settings())


def serve(name: str, work: Work, request: flask.Request) -> flask.Response:
    """Answer one request; nothing but this function knows about HTTP responses."""
    begin = time.monotonic()
    headers = {key.lower(): value for key, value in request.headers.items()}
    log = Log(name, trace_of(headers, _project()))
    try:
        body = read_body(request.method, headers, request.get_data())
        status, told = work(gapless(), body, log)
    except BadInput as error:
        return _problem(log, error.status if isinstance(error, BadRequest) else 400, error)
    except Refused as error:
        return _problem(log, 409, error)
    except GaplessError as error:
        return _problem(log, 424 if error.permanent else 503, error)
    except Exception as error:  # noqa: BLE001  (the outermost edge: the stack is for the log, not for the caller)
        log("bug", f"{type(error).__name__}: {error}", "ERROR", stack_trace=traceback.format_exc())
        return _response(500, {"title": "a bug in Gapless", "status": 500}, "application/problem+json")
    told["duration_ms"] = round(1000 * (time.monotonic() - begin))
    return _response(status, told, "application/json")


def set_aside(engine: Gapless, poison: Poison, log: Log) -> tuple[int, dict[str, Any]]:
    """Acknowledge a message that delivering again cannot help, once it is on the dead-letter topic and in the log."""
    number = engine.bus.publish(
        DEAD_LETTER_TOPIC,
        {"reason": poison.reason, "function": log.function, "message_id": poison.message_id, "data": poison.data},
    )
    log("poison_message", f"set aside: {poison.reason}", "ERROR", message_id=poison.message_id, dead_letter_id=number)
    return 200, {"status": "set_aside", "reason": poison.reason, "dead_letter_id": number, "triggered": 0}


def _project() -> str:
    return read_settings().project


def _problem(log: Log, status: int, error: GaplessError) -> flask.Response:
    """Problem details, RFC 9457."""
    title = {
        400: "the request is malformed", 405: "use POST", 409: "refused for safety", 413: "the request is too large",
        415: "send JSON", 424: "the tables cannot be read", 503: "try again",
    }[status]  # fmt: skip
    log("request_failed", str(error), "ERROR" if status == 424 else "WARNING", status=status)
    field = str(error).partition(":")[0] if status in (400, 413, 415) else None
    told = {"type": "about:blank", "title": title, "status": status, "detail": str(error)}
    response = _response(status, told | ({"field": field} if field else {}), "application/problem+json")
    if status == 405:
        response.headers["Allow"] = "POST"
    if status == 503:
        response.headers["Retry-After"] = "30"
    return response


def _response(status: int, told: Mapping[str, Any], kind: str) -> flask.Response:
    return flask.Response(json.dumps(told, default=str), status, content_type=kind)
