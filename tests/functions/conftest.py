"""Functions called as the framework calls them: a Flask request in, a response out, on a real warehouse."""

from __future__ import annotations

import base64
import importlib
import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import flask
import pytest

from gapless.functions import web
from gapless.wiring import Gapless


class Reply(NamedTuple):
    """What a function answered, and the lines that it logged."""

    status: int
    body: dict[str, Any]
    headers: Mapping[str, str]
    log: list[dict[str, Any]]


Call = Callable[..., Reply]


def push(message: Mapping[str, Any] | bytes, **envelope: Any) -> dict[str, Any]:
    """A Pub/Sub push that carries a message, as Pub/Sub wraps it."""
    data = message if isinstance(message, bytes) else json.dumps(message).encode()
    return {
        "message": {"data": base64.b64encode(data).decode(), "messageId": "7", "attributes": {}},
        "subscription": "projects/p/subscriptions/s",
        **envelope,
    }


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Calls a function by name on a given pipeline."""
    app = flask.Flask(web.__name__)

    def calls(
        name: str, gapless: Gapless, body: Any = None, *, raw: bytes | None = None, method: str = "POST",
        kind: str = "application/json", headers: Mapping[str, str] | None = None,
    ) -> Reply:  # fmt: skip
        monkeypatch.setattr(web, "gapless", lambda: gapless)
        function = getattr(importlib.import_module(f"functions.{name}.main"), name)
        data = json.dumps(body).encode() if raw is None else raw
        capsys.readouterr()
        with app.test_request_context("/", method=method, data=data, content_type=kind, headers=dict(headers or {})):
            response = function(flask.request)
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
        return Reply(response.status_code, json.loads(response.get_data()), dict(response.headers), lines)

    return calls
