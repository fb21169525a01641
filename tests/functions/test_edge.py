"""The HTTP edge: what is wrong with the installation is no fault of the request, and says so once in the log."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import flask
import pytest

from gapless.declare.catalogue import load_catalogue
from gapless.functions import web

FUNCTIONS = list(load_catalogue().functions)


@pytest.fixture(autouse=True)
def _not_connected() -> Iterator[None]:
    web.gapless.cache_clear()
    yield
    web.gapless.cache_clear()


def answered(
    name: str, body: bytes, capsys: pytest.CaptureFixture[str]
) -> tuple[int, dict[str, Any], list[dict[str, Any]]]:
    """Status and body of a function's answer, and the lines of its log."""
    function = getattr(importlib.import_module(f"functions.{name}.main"), name)
    app = flask.Flask("edge")
    with app.test_request_context("/", method="POST", data=body, content_type="application/json"):
        response = function(flask.request)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return response.status_code, json.loads(response.get_data()), lines


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_broken_pipeline_file_is_500_and_one_error_in_the_log(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "pipeline.yaml"
    broken.write_text("name: shop\ntimezone: Mars/Olympus\nhistory_start: 2024-01-01\nledger: x\nprocessors: {}\n")
    monkeypatch.setenv("GAPLESS_PIPELINE", str(broken))
    status, told, log = answered(name, b"{}", capsys)
    assert (status, told["title"]) == (500, "the function is misconfigured")
    assert told["detail"] == "pipeline.yaml: timezone: there is no time zone 'Mars/Olympus'"
    assert "field" not in told
    assert [(line["severity"], line["action"], line["message"]) for line in log] == [
        ("ERROR", "request_failed", told["detail"])
    ]


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("GAPLESS_TIMEOUT_SECONDS", "soon", "GAPLESS_TIMEOUT_SECONDS is 'soon'"),
        ("GAPLESS_HALT", "perhaps", "GAPLESS_HALT is 'perhaps'"),
        ("GAPLESS_SLACK_WEBHOOK", "a secret", "its value is a secret and not shown"),
    ],
)
def test_a_bad_environment_variable_is_500_with_its_sentence(
    variable: str, value: str, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(variable, value)
    status, told, log = answered("run_processor", b"{}", capsys)
    assert (status, told["title"]) == (500, "the function is misconfigured")
    assert said in told["detail"]
    assert [(line["severity"], line["status"]) for line in log] == [("ERROR", 500)]


def test_the_field_of_a_bad_body_is_a_member_of_the_problem(capsys: pytest.CaptureFixture[str]) -> None:
    status, told, log = answered("phase2_to_phase3", b"[1]", capsys)
    assert (status, told["field"], told["detail"]) == (400, "body", "body: an object is needed, not [1]")
    assert [line["severity"] for line in log] == ["WARNING"]
