"""Topics, subscriptions, and what travels between them. Thread-safe; knows neither protocol nor network."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from gapless.stack.pubsub.backlog import Backlog, Delivery, Message, SubscriptionRules

DELETED_TOPIC = "_deleted-topic_"
Clock = Callable[[], float]
Tell = Callable[[str, str], None]  # an action and a sentence, for the log


class Rejected(Exception):
    """What was asked for cannot be done; `status` is the name of Google's status code."""

    def __init__(self, status: str, message: str) -> None:
        super().__init__(message)
        self.status = status


class Subscription:
    """One backlog and whoever waits for it. `described` is what the protocol says of it."""

    def __init__(self, name: str, topic: str, rules: SubscriptionRules, described: Any, clock: Clock) -> None:
        self.name = name
        self.topic = topic
        self.rules = rules
        self.described = described
        self._clock = clock
        self._backlog = Backlog()
        self._changed = threading.Condition()
        self._is_closed = False

    def __len__(self) -> int:
        return len(self._backlog)

    def add(self, messages: Sequence[Message]) -> None:
        with self._changed:
            for message in messages:
                self._backlog.add(message, self._clock())
            self._changed.notify_all()

    def next(self, patience: float = float("inf"), *, to_push: bool = False) -> Delivery | None:
        """The next delivery, as soon as there is one; None when the patience ends, or the subscription is deleted.

        Who pushes gets nothing while there is no endpoint.
        """
        with self._changed:
            end = self._clock() + patience
            while not self._is_closed:
                now = self._clock()
                is_idle = to_push and not self.rules.endpoint
                if not is_idle and (delivery := self._backlog.take(now, self.rules.ack_seconds)):
                    return delivery
                if now >= end:
                    break
                self._changed.wait(min(end, now + 60, now + 60 if is_idle else self._backlog.due()) - now)
            return None

    def ack(self, token: str) -> None:
        with self._changed:
            self._backlog.ack(token)

    def postpone(self, token: str, seconds: float) -> None:
        with self._changed:
            self._backlog.postpone(token, self._clock() + seconds)
            self._changed.notify_all()

    def refuse(self, delivery: Delivery) -> float:
        """Deliver again after a while, and after the last attempt set aside at once; how many seconds until then."""
        rules = self.rules
        is_last = bool(rules.dead_letters) and delivery.attempt >= rules.most_attempts
        seconds = 0.0 if is_last else rules.backoff(delivery.attempt)
        self.postpone(delivery.token, seconds)
        return seconds

    def change(self, rules: SubscriptionRules) -> None:
        with self._changed:
            self.rules = rules
            self._changed.notify_all()

    def close(self) -> None:
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()


class Broker:
    """Everything there is, by full name."""

    def __init__(self, tell: Tell = lambda _action, _text: None, clock: Clock = time.time) -> None:
        self._tell = tell
        self._clock = clock
        self._topics: dict[str, Any] = {}  # name -> what the protocol says of it
        self._subscriptions: dict[str, Subscription] = {}
        self._numbers = itertools.count(1)
        self._lock = threading.RLock()

    # ---------------------------------------------------------------------------------------------- topics

    def create_topic(self, name: str, described: Any) -> None:
        with self._lock:
            if name in self._topics:
                raise Rejected("ALREADY_EXISTS", "Topic already exists")
            self._topics[name] = described
        self._tell("topic_created", name)

    def topic(self, name: str) -> Any:
        with self._lock:
            if name not in self._topics:
                raise Rejected("NOT_FOUND", f"Topic not found: {name}")
            return self._topics[name]

    def topics(self, project: str) -> list[Any]:
        with self._lock:
            return [self._topics[name] for name in sorted(self._topics) if name.startswith(f"{project}/")]

    def delete_topic(self, name: str) -> None:
        """Its subscriptions stay, and get nothing more."""
        with self._lock:
            self.topic(name)
            del self._topics[name]
            for subscription in self._of(name):
                subscription.topic = DELETED_TOPIC
        self._tell("topic_deleted", name)

    def publish(self, topic: str, contents: Sequence[tuple[bytes, Mapping[str, str]]]) -> list[str]:
        """Keep messages for every subscription of a topic; their numbers."""
        with self._lock:
            self.topic(topic)
            messages = [
                Message(str(next(self._numbers)), data, attributes, self._clock()) for data, attributes in contents
            ]
            listeners = self._of(topic)
            for subscription in listeners:
                subscription.add(messages)
        self._tell("published", f"{_last(topic)}: {len(messages)} for {len(listeners)} subscriptions")
        return [message.number for message in messages]

    # --------------------------------------------------------------------------------------- subscriptions

    def subscribe(self, name: str, topic: str, rules: SubscriptionRules, described: Any) -> Subscription:
        with self._lock:
            self.topic(topic)
            if rules.dead_letters:
                self.topic(rules.dead_letters)
            if name in self._subscriptions:
                raise Rejected("ALREADY_EXISTS", "Subscription already exists")
            made = self._subscriptions[name] = Subscription(name, topic, rules, described, self._clock)
        self._tell("subscribed", f"{name} to {_last(topic)}, {rules.endpoint or 'pulled'}")
        return made

    def subscription(self, name: str) -> Subscription:
        with self._lock:
            if name not in self._subscriptions:
                raise Rejected("NOT_FOUND", f"Subscription does not exist: {name}")
            return self._subscriptions[name]

    def subscriptions(self, project: str) -> list[Subscription]:
        with self._lock:
            return [s for name, s in sorted(self._subscriptions.items()) if name.startswith(f"{project}/")]

    def unsubscribe(self, name: str) -> None:
        """The messages that it has not delivered are gone."""
        with self._lock:
            subscription = self.subscription(name)
            del self._subscriptions[name]
        subscription.close()
        self._tell("unsubscribed", f"{name}, with {len(subscription)} messages")

    def next(
        self, subscription: Subscription, patience: float = float("inf"), *, to_push: bool = False
    ) -> Delivery | None:
        """As `Subscription.next`; what was delivered too often goes to the dead letters instead, if there are any."""
        end = self._clock() + patience
        while delivery := subscription.next(max(0.0, end - self._clock()), to_push=to_push):
            if not self._set_aside(subscription, delivery):
                return delivery
        return None

    def undelivered(self) -> int:
        with self._lock:
            return sum(map(len, self._subscriptions.values()))

    def _set_aside(self, subscription: Subscription, delivery: Delivery) -> bool:
        rules, message = subscription.rules, delivery.message
        if not rules.dead_letters or delivery.attempt <= rules.most_attempts:
            return False
        _, project, _, name = subscription.name.split("/")
        attributes = {
            **message.attributes,
            "CloudPubSubDeadLetterSourceDeliveryCount": str(delivery.attempt - 1),
            "CloudPubSubDeadLetterSourceSubscription": name,
            "CloudPubSubDeadLetterSourceSubscriptionProject": project,
            "CloudPubSubDeadLetterSourceTopicPublishTime": stamp(message.published),
        }
        try:
            self.publish(rules.dead_letters, [(message.data, attributes)])
        except Rejected:
            return False  # deleted since: there is no end to the attempts
        subscription.ack(delivery.token)
        self._tell("dead_letter", f"{name}: message {message.number} after {delivery.attempt - 1} attempts")
        return True

    def _of(self, topic: str) -> list[Subscription]:
        return [s for s in self._subscriptions.values() if s.topic == topic]


def stamp(when: float) -> str:
    """A time as Pub/Sub writes it."""
    return f"{datetime.fromtimestamp(when, UTC):%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z"


def _last(name: str) -> str:
    return name.rpartition("/")[2]
