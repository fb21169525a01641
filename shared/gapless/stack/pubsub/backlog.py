"""What one subscription was sent and nobody has acknowledged, and when each message is to be delivered again.

Pure: time is an argument. A delivery is a lease on a message: acknowledged before it ends, the message is done with;
refused, it waits for its backoff; not answered, it is due again when the lease ends. So a message is delivered until
it is acknowledged, and after so many attempts it is dead.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Message:
    """As it was published."""

    number: str
    data: bytes
    attributes: Mapping[str, str]
    published: float  # seconds since 1970


@dataclass(frozen=True)
class SubscriptionRules:
    """How a subscription delivers. Without a dead-letter topic there is no end to the attempts."""

    endpoint: str = ""  # where messages are pushed to; empty: they are pulled
    ack_seconds: float = 10.0  # also how long a push may take
    least_backoff: float = 1.0
    most_backoff: float = 1.0
    dead_letters: str = ""
    most_attempts: int = 5

    def backoff(self, attempt: int) -> float:
        """How long a message waits after its n-th delivery was refused: twice as long each time, up to the most."""
        return min(self.most_backoff, self.least_backoff * 2.0 ** min(attempt - 1, 60))


@dataclass(frozen=True)
class Delivery:
    """One attempt: the message, which attempt it is, and the word that answers it."""

    message: Message
    attempt: int
    token: str


@dataclass
class _Held:
    message: Message
    order: int  # of arrival
    attempts: int = 0
    token: str = ""  # of the delivery that is out; empty while it waits
    turn: int = 0  # entries of the heap with another one are void


class Backlog:
    """The messages of one subscription."""

    def __init__(self) -> None:
        self._orders = itertools.count()
        self._due: list[tuple[float, int, int, _Held]] = []  # when, order, turn
        self._out: dict[str, _Held] = {}
        self._waiting = 0

    def __len__(self) -> int:
        return self._waiting

    def add(self, message: Message, now: float) -> None:
        self._waiting += 1
        self._schedule(_Held(message, next(self._orders)), now)

    def take(self, now: float, ack_seconds: float) -> Delivery | None:
        """The message that is due first, leased until it is answered or so many seconds are over; None if none is."""
        if self.due() > now:
            return None
        held = heapq.heappop(self._due)[-1]
        self._out.pop(held.token, None)  # whoever had it did not answer in time
        held.attempts += 1
        held.token = f"{held.order}-{held.attempts}"
        self._out[held.token] = held
        self._schedule(held, now + ack_seconds)
        return Delivery(held.message, held.attempts, held.token)

    def due(self) -> float:
        """When the next message is due; infinite where none waits."""
        while self._due and self._due[0][2] != self._due[0][-1].turn:
            heapq.heappop(self._due)
        return self._due[0][0] if self._due else float("inf")

    def ack(self, token: str) -> None:
        """Done with; an answer that comes too late changes nothing."""
        held = self._out.pop(token, None)
        if held:
            held.turn += 1
            self._waiting -= 1

    def postpone(self, token: str, until: float) -> None:
        """Due again at another time than the end of its lease, whoever has it; too late an answer changes nothing."""
        held = self._out.get(token)
        if held:
            self._schedule(held, until)

    def _schedule(self, held: _Held, when: float) -> None:
        held.turn += 1
        heapq.heappush(self._due, (when, held.order, held.turn, held))
