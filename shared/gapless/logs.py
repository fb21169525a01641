"""Logs as Cloud Logging reads them: one JSON object a line, with a stable `action` and numbers as numbers."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import IO, Any

_TRACE = re.compile(r"^([0-9a-f]{32})(?:/([0-9]{1,20}))?")
_PARENT = re.compile(r"^00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}$")


@dataclass
class Log:
    """Writes the lines of one request."""

    function: str
    trace: Mapping[str, str] = field(default_factory=dict)
    out: IO[str] | None = None  # standard output, unless a test looks

    def __call__(self, action: str, message: str, severity: str = "INFO", **facts: Any) -> None:
        """Write one line; facts are numbers, texts and dates, never whole messages."""
        line = {
            "severity": severity,
            "message": message,
            "action": action,
            "function": self.function,
            "time": datetime.now(UTC).isoformat(),
            **self.trace,
            **{name: value for name, value in facts.items() if value is not None},
        }
        print(json.dumps(line, default=str, ensure_ascii=False), file=self.out or sys.stdout, flush=True)


def trace_of(headers: Mapping[str, str], project: str) -> dict[str, str]:
    """The fields that tie a line to its request in Cloud Trace; empty where the request carries no trace."""
    google = _TRACE.match(headers.get("x-cloud-trace-context", ""))
    parent = _PARENT.match(headers.get("traceparent", ""))
    if google:
        span = f"{int(google[2]):016x}" if google[2] else ""
        found = (google[1], span)
    elif parent:
        found = (parent[1], parent[2])
    else:
        return {}
    fields = {"logging.googleapis.com/trace": f"projects/{project}/traces/{found[0]}"}
    return fields | ({"logging.googleapis.com/spanId": found[1]} if found[1] else {})
