"""The messages: what is announced when targets are complete, and what is asked of `run_processor`.

The names of phases and of the fields with dates are those that the pipeline's producers and consumers use: the pipeline
file declares them, and both who writes and who reads goes by this contract. A completion is a hint about which dates
to look at; nobody decides anything from it, so whatever its producer says of success is kept and not believed. A range
of dates travels as one message, so that downstream runs once. Both ends of every topic are in this module.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from gapless.declare.processor import Processor
from gapless.declare.words import Contract
from gapless.errors import BadField
from gapless.model import days_between

RUN_TOPIC = "gapless-run"
DEAD_LETTER_TOPIC = "gapless-dead-letter"
MOST_DAYS = 4000  # of one message; more than ten years


def completion(
    contract: Contract, processor: Processor, days: Sequence[date], records: int, run_id: str, now: datetime
) -> dict[str, Any]:
    """The message for one processor's complete dates: a single date or a range, never empty."""
    dataset, table = processor.table.split(".")
    message: dict[str, Any] = {
        "event_type": "processor_complete" if len(days) == 1 else "backfill_complete",
        "processor_name": processor.name,
        "phase": contract.phase(processor.phase),
        "execution_id": run_id,
        "correlation_id": run_id,
        "output_dataset": dataset,
        "output_table": table,
        "status": "success",
        "record_count": records,
        "timestamp": now.isoformat(),
        **contract.of_dates(sorted(days)),
        "trigger_source": "gapless",
    }
    if len(days) == 1:
        message[contract.date] = days[0].isoformat()
    return message


def range_completion(
    contract: Contract,
    phase: int,
    processors: Sequence[str],
    days: Sequence[date],
    records: int,
    run_id: str,
    now: datetime,
) -> dict[str, Any]:
    """The one message for all dates of a phase that a backfill completed; `days` sorted, never empty."""
    return {
        "event_type": "backfill_complete",
        "processor_name": processors[0] if len(processors) == 1 else "backfill",
        "processors": list(processors),
        "phase": contract.phase(phase),
        "execution_id": run_id,
        "correlation_id": run_id,
        "status": "success",
        "record_count": records,
        "timestamp": now.isoformat(),
        **contract.of_dates(days),
        "trigger_source": "gapless",
    }


_STATUSES = frozenset({"success", "partial", "no_data", "failed", "skipped", "error", "completed", "complete"})


@dataclass(frozen=True)
class Completion:
    """What a producer announced: the dates to look at, and what it said of them."""

    days: tuple[date, ...]
    processor: str = ""
    status: str = ""


@dataclass(frozen=True)
class RunRequest:
    """Asks `run_processor` to run one processor for a batch of dates, if these still ask for it."""

    processor: str
    days: tuple[date, ...]
    force: bool = False
    requested_by: str = ""

    def message(self) -> dict[str, Any]:
        return {
            "processor": self.processor,
            "dates": [day.isoformat() for day in self.days],
            "force": self.force,
            "requested_by": self.requested_by,
        }


def read_completion(contract: Contract, message: Mapping[str, Any]) -> Completion:
    """A completion event, from our own processors or from the existing producers; raises `BadInput` naming the field.

    Fields that it does not know are passed over, because producers add some. Needed is a date: the contract's list, or
    `start_date` with `end_date`, or one of the single dates.
    """
    status = message.get("status", "")
    if status is None or status == "":
        status = "success" if message.get("success") is True else ""  # phase 4's trigger has it so
    if not isinstance(status, str) or (status and status.lower() not in _STATUSES):
        raise BadField("status", f"{_shown(status)} is none of {', '.join(sorted(_STATUSES))}")
    processor = message.get("processor_name") or message.get("processor") or message.get("source_table") or ""
    if not isinstance(processor, str):
        raise BadField("processor_name", f"{_shown(processor)} is not a text")
    return Completion(_days(contract, message), processor, status.lower())


def _days(contract: Contract, message: Mapping[str, Any]) -> tuple[date, ...]:
    listed = message.get(contract.dates)
    if listed:
        return dates_of(contract.dates, listed)
    if message.get("start_date") or message.get("end_date"):
        first, last = day_of("start_date", message.get("start_date")), day_of("end_date", message.get("end_date"))
        return days_of_range(first, last)
    for field in contract.single:
        if message.get(field):
            return (day_of(field, message[field]),)
    names = ", ".join((contract.dates, "start_date", *contract.single))
    raise BadField(contract.date, f"there is no date; one of {names} is needed")


def read_run_request(message: Mapping[str, Any]) -> RunRequest:
    """A request of ours to run a processor; strict, for only we write them. Raises `BadInput` naming the field."""
    unknown = sorted(set(message) - {"processor", "dates", "force", "requested_by"})
    if unknown:
        raise BadField(_shown(unknown[0]), "unknown field")
    processor, force, by = message.get("processor"), message.get("force", False), message.get("requested_by", "")
    if not isinstance(processor, str) or not processor:
        raise BadField("processor", f"{_shown(processor)} is not a processor's name")
    if not isinstance(force, bool):
        raise BadField("force", f"{_shown(force)} is neither true nor false")
    if not isinstance(by, str):
        raise BadField("requested_by", f"{_shown(by)} is not a text")
    return RunRequest(processor, dates_of("dates", message.get("dates")), force, by[:100])


def day_of(field: str, value: object) -> date:
    """A date that exists, as YYYY-MM-DD; a time after it is passed over. Raises `BadInput` naming the field."""
    text = value[:10] if isinstance(value, str) and value[10:11] in ("", "T", " ") else ""
    try:
        if len(text) == 10:
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise BadField(field, f"{_shown(value)} is not a date that exists; write it as YYYY-MM-DD")


def days_of_range(first: date, last: date, most: int = MOST_DAYS) -> tuple[date, ...]:
    """Every day of a range; raises `BadInput` where it is reversed or longer than `most` days."""
    if first > last:
        raise BadField("start_date", f"{first} is after end_date {last}; exchange them")
    if last - first >= timedelta(days=most):
        raise BadField(
            "end_date", f"{first} to {last} are {(last - first).days + 1:,} days, {most:,} at most; split it"
        )
    return tuple(days_between(first, last))


def dates_of(field: str, value: object) -> tuple[date, ...]:
    """A list of dates, sorted and without repetition; raises `BadInput` naming the field."""
    if not isinstance(value, list) or not value:
        raise BadField(field, f"{_shown(value)} is not a list of dates")
    if len(value) > MOST_DAYS:
        raise BadField(field, f"{len(value):,} dates, {MOST_DAYS:,} at most; split it")
    return tuple(sorted({day_of(field, item) for item in value}))


def payload(data: object) -> dict[str, Any]:
    """The JSON object in a Pub/Sub message's base64 data; raises `BadInput` saying what it is instead."""
    if not isinstance(data, str) or not data:
        raise BadField("data", "the message is empty")
    try:
        text = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadField("data", f"not base64 ({error})") from error
    return parse_object(text)


def parse_object(text: bytes) -> dict[str, Any]:
    """A JSON object in UTF-8, without repeated names, NaN or absurd nesting; raises `BadInput`."""
    try:
        value = json.loads(text.decode("utf-8"), object_pairs_hook=_once, parse_constant=_no_constant)
    except UnicodeDecodeError as error:
        raise BadField("body", f"not UTF-8 (byte {error.start})") from error
    except RecursionError as error:
        raise BadField("body", "nested too deep") from error
    except ValueError as error:
        raise BadField("body", f"not JSON ({error})") from error
    if not isinstance(value, dict):
        raise BadField("body", f"an object is needed, not {_shown(value)}")
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{_shown(twice)} is there twice")
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a number in JSON")


def _shown(value: object) -> str:
    """A value for a message: short, and on one line."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"
