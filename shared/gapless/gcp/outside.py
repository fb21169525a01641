"""Runs of processors that are somebody else's service."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import requests
from google.auth.exceptions import DefaultCredentialsError, TransportError

from gapless.declare.processor import Processor
from gapless.declare.words import Contract
from gapless.errors import CannotObserve, GaplessError, TransientFailure
from gapless.gcp.words import short
from gapless.warehouse.ports import Bus


class OutsideRuns:
    """The `Dispatcher` port: a POST with an identity token, or a message on the processor's own topic."""

    def __init__(self, bus: Bus, contract: Contract, tries: int = 3, seconds: float = 30.0) -> None:
        self._bus = bus
        self._contract = contract
        self._tries = tries
        self._seconds = seconds

    def start(self, processor: Processor, days: Sequence[date], run_id: str) -> str:
        told = {
            "processor_name": processor.name,
            **self._contract.of_dates(sorted(days)),
            "correlation_id": run_id,
            "trigger_source": "gapless",
        }
        if processor.run == "pubsub":
            return f"message {self._bus.publish(str(processor.run_topic), told)}"
        return self._post(str(processor.endpoint), told)

    def _post(self, endpoint: str, told: Mapping[str, Any]) -> str:
        where = f"POST {endpoint}"
        for attempt in range(1, self._tries + 1):
            try:
                headers = {"Authorization": f"Bearer {token}"} if (token := _identity_token(endpoint)) else {}
                response = requests.post(
                    endpoint, json=told, headers=headers, timeout=self._seconds, allow_redirects=False
                )
            except requests.RequestException as error:
                problem: GaplessError = TransientFailure(f"{where}: no answer ({type(error).__name__}); try again")
            else:
                if response.status_code in range(200, 300):
                    return f"HTTP {response.status_code}"
                if response.status_code not in (408, 425, 429) and response.status_code < 500:
                    raise CannotObserve(f"{where} answered {response.status_code}; asking again will not help")
                problem = TransientFailure(f"{where} answered {response.status_code} {attempt} times; try again")
            if attempt < self._tries:
                time.sleep(0.2 * 2**attempt)
        raise problem


def _identity_token(endpoint: str) -> str:
    """A token for a private service; none for one on this machine."""
    if endpoint.startswith("http://"):
        return ""
    from google.auth.transport.requests import Request
    from google.oauth2 import id_token

    audience = "/".join(endpoint.split("/")[:3])
    try:
        return str(id_token.fetch_id_token(Request(), audience))  # type: ignore[no-untyped-call]
    except (DefaultCredentialsError, TransportError) as error:
        raise CannotObserve(f"POST {endpoint}: there is no identity to call it with: {short(error)}") from error
