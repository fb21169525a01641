"""What a request is understood as, and how the ones that are not understood are refused."""

from __future__ import annotations

import base64
import json
from contextlib import suppress
from datetime import UTC, date, datetime
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapless.declare.pipeline import load_pipeline
from gapless.declare.words import Contract
from gapless.errors import BadInput
from gapless.messages import (
    MOST_DAYS,
    RunRequest,
    completion,
    payload,
    range_completion,
    read_completion,
    read_run_request,
)
from gapless.messages.triggers import (
    MOST_BYTES,
    BadRequest,
    Poison,
    Push,
    Range,
    ScanForGaps,
    read_body,
    read_push,
    read_trigger,
    understood,
)

DAY = date(2024, 1, 15)
PGS = load_pipeline().processor("PGS")
CONTRACT = load_pipeline().messages
JSON = {"content-type": "application/json"}


def encoded(message: Any) -> str:
    return base64.b64encode(json.dumps(message).encode()).decode()


# -- what arrives ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrapped", ["push", "structured CloudEvent"])
def test_a_push_is_understood_in_both_forms(wrapped: str) -> None:
    message = {"data": encoded({"game_date": "2024-01-15"}), "messageId": "9"}
    body: dict[str, Any] = {"message": message, "subscription": "s"}
    if wrapped != "push":
        kind = "google.cloud.pubsub.topic.v1.messagePublished"
        body = {"specversion": "1.0", "id": "1", "source": "//pubsub", "type": kind, "data": body}
    trigger = read_trigger(body)
    assert isinstance(trigger, Push)
    assert (trigger.message, trigger.message_id) == ({"game_date": "2024-01-15"}, "9")


def test_the_hourly_body_is_a_scan() -> None:
    assert read_trigger({"scan_for_gaps": True}) == ScanForGaps()


def test_a_range_has_its_options() -> None:
    body = {"start_date": "2024-01-15", "end_date": "2024-01-16", "processors": ["PCF"], "force": True, "dry_run": True}
    assert read_trigger(body) == Range(DAY, date(2024, 1, 16), ("PCF",), True, True)


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({}, "body: send"),
    ({"hello": 1}, "'hello' is none of these"),
    ({"scan_for_gaps": False}, "scan_for_gaps: only true"),
    ({"scan_for_gaps": "yes"}, "scan_for_gaps: only true"),
    ({"scan_for_gaps": True, "start_date": "2024-01-01"}, "start_date: unknown field"),
    ({"start_date": "2024-01-15"}, "end_date: None is not a date"),
    ({"start_date": "2024-02-30", "end_date": "2024-03-01"}, "start_date: '2024-02-30' is not a date that exists"),
    ({"start_date": "2024-01-16", "end_date": "2024-01-15"}, "start_date: 2024-01-16 is after end_date 2024-01-15"),
    ({"start_date": "1950-01-01", "end_date": "2024-01-15"}, "2,000 at most; split it"),
    ({"start_date": 20240115, "end_date": "2024-01-15"}, "start_date: 20240115 is not a date"),
    ({"start_date": "2024-01-15", "end_date": "2024-01-15", "processors": "PCF"}, "processors: a list"),
    ({"start_date": "2024-01-15", "end_date": "2024-01-15", "force": "true"}, "force: 'true' is neither"),
    ({"start_date": "2024-01-15", "end_date": "2024-01-15", "drop": 1}, "drop: unknown field"),
    ({"start_date": "2024-01-15'; DROP TABLE x", "end_date": "2024-01-15"}, "start_date: "),
    ({"specversion": "1.0", "data": 3}, "data: the CloudEvent carries no"),
    ({"message": 3}, "message: an object is needed"),
]


@pytest.mark.parametrize(("body", "said"), REFUSED, ids=[said[:40] for _, said in REFUSED])
def test_what_is_malformed_is_refused_with_field_and_value(body: dict[str, Any], said: str) -> None:
    with pytest.raises(BadRequest) as refused:
        read_trigger(body)
    assert said in str(refused.value)
    assert refused.value.status == 400
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize(
    ("method", "headers", "body", "status"),
    [
        ("GET", JSON, b"{}", 405),
        ("DELETE", JSON, b"{}", 405),
        ("POST", {"content-type": "text/plain"}, b"{}", 415),
        ("POST", {}, b"{}", 415),
        ("POST", JSON | {"content-encoding": "gzip"}, b"{}", 415),
        ("POST", JSON, b" " * (MOST_BYTES + 1), 413),
        ("POST", JSON, b"", 400),
        ("POST", JSON, b"\xff\xfe{", 400),
        ("POST", JSON, b"[1]", 400),
        ("POST", JSON, b"[" * 100_000, 400),
        ("POST", JSON, b'{"a": 1, "a": 2}', 400),
        ("POST", JSON, b'{"a": NaN}', 400),
        ("POST", JSON, b'{"a": ' + b"9" * 100_000 + b"}", 400),
    ],
)
def test_http_that_is_wrong_has_its_status(method: str, headers: dict[str, str], body: bytes, status: int) -> None:
    with pytest.raises(BadRequest) as refused:
        read_body(method, headers, body)
    assert refused.value.status == status


@pytest.mark.parametrize("data", ["", "no base64!", encoded([1]), base64.b64encode(b"{").decode(), None, 7])
def test_a_message_that_delivering_again_cannot_help_is_poison(data: Any) -> None:
    with pytest.raises(Poison) as poison:
        read_trigger({"message": {"data": data, "message_id": "3"}})
    assert poison.value.message_id == "3"
    assert str(poison.value)
    assert poison.value.permanent


def test_a_message_whose_content_breaks_the_contract_is_poison_with_its_number() -> None:
    push = read_push({"message": {"data": encoded({"game_date": "yesterday"}), "messageId": "9"}})
    with pytest.raises(Poison, match="'yesterday' is not a date that exists") as poison:
        understood(push, partial(read_completion, CONTRACT))
    assert poison.value.message_id == "9"


def test_the_field_of_a_bad_request_is_a_field_and_no_prefix_of_its_sentence() -> None:
    with pytest.raises(BadRequest) as refused:
        read_trigger({"start_date": "2024-13-01", "end_date": "2024-01-15"})
    assert refused.value.field == "start_date"
    assert refused.value.sentence == "'2024-13-01' is not a date that exists; write it as YYYY-MM-DD"


def test_a_processor_is_run_by_messages_only() -> None:
    with pytest.raises(BadRequest, match="Pub/Sub push"):
        read_push({"start_date": "2024-01-15", "end_date": "2024-01-15"})


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
FIELDS = st.sampled_from(
    ["message", "data", "specversion", "scan_for_gaps", "start_date", "end_date", "processors", "force", "game_date"]
)


@given(st.dictionaries(FIELDS | st.text(max_size=8), JSON_VALUES, max_size=6))
def test_no_object_is_answered_with_another_error(body: dict[str, Any]) -> None:
    with suppress(BadRequest, Poison):
        assert read_trigger(body) is not None


MORE_FIELDS = FIELDS | st.sampled_from(["game_dates", "status", "dates", "processor"])


@given(st.dictionaries(MORE_FIELDS, JSON_VALUES, max_size=6))
def test_no_message_is_answered_with_another_error(message: dict[str, Any]) -> None:
    for read in (partial(read_completion, CONTRACT), read_run_request):
        with suppress(BadInput):
            assert read(message).days


# -- messages ----------------------------------------------------------------------------------------------------------

# As the pipeline's existing producers publish them.
RECORDED: list[tuple[dict[str, Any], tuple[str, ...], str]] = [
    ({"processor_name": "NbacBoxscoresProcessor", "phase": "phase_2_raw", "execution_id": "e", "correlation_id": "c",
      "game_date": "2024-01-15", "output_table": "bdl_player_boxscores", "output_dataset": "nba_raw",
      "status": "success", "record_count": 240, "records_failed": 0, "timestamp": "2024-01-16T05:00:00+00:00",
      "duration_seconds": 12.5, "trigger_source": "pubsub", "metadata": {"is_incremental": True}},
     ("2024-01-15",), "success"),
    ({"processor_name": "P", "phase": "phase_2_raw", "game_date": "2024-01-15", "status": "no_data"},
     ("2024-01-15",), "no_data"),
    ({"processor_name": "P", "game_date": "2024-01-15", "status": "partial", "records_failed": 3},
     ("2024-01-15",), "partial"),
    ({"processor_name": "P", "game_date": "2024-01-15", "status": "failed", "error_message": "boom"},
     ("2024-01-15",), "failed"),
    ({"processor_name": "P", "game_date": "2024-01-15", "status": "skipped"}, ("2024-01-15",), "skipped"),
    # phase 4's trigger, with the date under the precompute tables' own name
    ({"source_table": "player_game_summary", "analysis_date": "2024-01-15", "success": True, "mode": "overnight",
      "trigger_reason": "all_complete"}, ("2024-01-15",), "success"),
    # phase 6's trigger
    ({"export_types": ["results"], "target_date": "2024-01-15", "update_latest": True}, ("2024-01-15",), ""),
    # a backfill's range
    ({"event_type": "backfill_complete", "phase": "phase_3_analytics", "start_date": "2024-01-15",
      "end_date": "2024-01-17", "game_dates": ["2024-01-15", "2024-01-17"], "status": "success"},
     ("2024-01-15", "2024-01-17"), "success"),
    ({"event_type": "backfill_complete", "start_date": "2024-01-15", "end_date": "2024-01-17"},
     ("2024-01-15", "2024-01-16", "2024-01-17"), ""),
]  # fmt: skip


@pytest.mark.parametrize(("message", "days", "status"), RECORDED)
def test_the_existing_producers_are_understood(message: dict[str, Any], days: tuple[str, ...], status: str) -> None:
    read = read_completion(CONTRACT, message)
    assert tuple(day.isoformat() for day in read.days) == days
    assert read.status == status


@given(st.sets(st.dates(date(1950, 1, 1), date(2090, 1, 1)), min_size=1, max_size=30))
def test_our_own_completion_is_read_as_it_was_meant(days: set[date]) -> None:
    told = completion(CONTRACT, PGS, sorted(days), 7, "run", datetime(2024, 1, 1, tzinfo=UTC))
    read = read_completion(CONTRACT, json.loads(json.dumps(told)))
    assert (read.processor, read.days, read.status) == ("player_game_summary", tuple(sorted(days)), "success")


def test_the_declared_names_are_those_of_the_existing_consumers() -> None:
    days, at = [date(2024, 1, 15), date(2024, 1, 17)], datetime(2024, 1, 18, tzinfo=UTC)
    told = {
        "event_type": "backfill_complete", "processor_name": "player_game_summary", "phase": "phase_3_analytics",
        "execution_id": "run", "correlation_id": "run", "output_dataset": "nba_analytics",
        "output_table": "player_game_summary", "status": "success", "record_count": 7,
        "timestamp": "2024-01-18T00:00:00+00:00", "start_date": "2024-01-15", "end_date": "2024-01-17",
        "game_dates": ["2024-01-15", "2024-01-17"], "trigger_source": "gapless",
    }  # fmt: skip
    assert list(completion(CONTRACT, PGS, days, 7, "run", at).items()) == list(told.items())
    assert completion(CONTRACT, PGS, days[:1], 7, "run", at)["game_date"] == "2024-01-15"
    assert range_completion(CONTRACT, 3, ["player_game_summary"], days, 7, "run", at)["phase"] == "phase_3_analytics"


def test_a_pipeline_that_declares_no_names_sends_and_reads_neutral_ones() -> None:
    days, at, neutral = [date(2024, 1, 15)], datetime(2024, 1, 18, tzinfo=UTC), Contract()
    for told in (
        completion(neutral, PGS, days, 7, "run", at),
        range_completion(neutral, 3, ["player_game_summary"], days, 7, "run", at),
    ):
        assert (told["phase"], told["dates"], told.get("date", "2024-01-15")) == (
            "phase_3",
            ["2024-01-15"],
            "2024-01-15",
        )
        assert not {"game_date", "game_dates"} & told.keys()
        assert read_completion(neutral, told).days == tuple(days)
    with pytest.raises(BadInput, match="date: there is no date; one of dates, start_date, date is needed"):
        read_completion(neutral, {"game_date": "2024-01-15", "analysis_date": "2024-01-15"})


@given(st.sets(st.dates(), min_size=1, max_size=30), st.booleans())
def test_a_run_request_is_read_as_it_was_meant(days: set[date], force: bool) -> None:
    request = RunRequest("export", tuple(sorted(days)), force, "phase5_to_phase6")
    assert read_run_request(payload(encoded(request.message()))) == request


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ({"status": "success"}, "game_date: there is no date"),
        ({"game_date": "yesterday"}, "game_date: 'yesterday' is not a date"),
        ({"game_date": "2024-01-15", "status": "great"}, "status: 'great' is none of"),
        ({"game_dates": "2024-01-15"}, "game_dates: '2024-01-15' is not a list"),
        ({"start_date": "1900-01-01", "end_date": "2024-01-15"}, f"{MOST_DAYS:,} at most"),
    ],
)
def test_an_event_that_cannot_be_used_names_its_field(message: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput) as refused:
        read_completion(CONTRACT, message)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    "message",
    [
        {}, {"processor": "export"}, {"processor": "export", "dates": []}, {"processor": 3, "dates": ["2024-01-15"]},
        {"processor": "export", "dates": ["2024-01-15"], "sql": "x"},
        {"processor": "export", "dates": ["2024-01-15"], "force": 1},
        {"processor": "export", "dates": ["2024-01-15"] * 5000},
    ],
)  # fmt: skip
def test_a_run_request_that_is_not_ours_is_refused(message: dict[str, Any]) -> None:
    with pytest.raises(BadInput):
        read_run_request(message)
