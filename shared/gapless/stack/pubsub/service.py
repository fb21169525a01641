"""The methods of `google.pubsub.v1.Publisher` and `Subscriber` that the stack uses, once for gRPC and for REST.

A method that is missing, and a setting that would not be honoured, is answered with UNIMPLEMENTED and a sentence: a
test must not pass because something was silently left out.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from gapless.stack.pubsub.backlog import Delivery, SubscriptionRules
from gapless.stack.pubsub.broker import Broker, Rejected, Subscription

# Google's own messages, by name: an import contract keeps `import google` to shared/gapless/gcp, which is about calling
# Google's services. This is the other end of the line, and nothing that is deployed.
types: Any = importlib.import_module("google.pubsub_v1.types")

_NAME = re.compile(r"projects/[^/]+/(topics|subscriptions)/[A-Za-z][\w.~+%-]{2,254}", re.ASCII)
_HONOURED = {
    "Topic": {"name", "labels"},
    "Subscription": {
        "name", "topic", "push_config", "ack_deadline_seconds", "retry_policy", "dead_letter_policy", "labels",
        "message_retention_duration", "expiration_policy",  # nothing is kept for days, and nothing expires
    },
    "PushConfig": {"push_endpoint"},
    "PubsubMessage": {"data", "attributes", "message_id", "publish_time"},  # the last two are ours to give
}  # fmt: skip
_PULL_SECONDS = 20.0  # that a pull waits for a message

Started = Callable[[Subscription], None]


@dataclass(frozen=True)
class Method:
    """One method: its path in gRPC, its verb and path in REST, and what it does."""

    name: str
    verb: str
    path: str  # the named group is a field of the request
    request: Any
    answer: Any  # None for google.protobuf.Empty
    call: Callable[[Any, float], Any]  # the request, and for how many seconds the caller waits


class Service:
    """Pub/Sub's methods on a broker. `started` is told of every new subscription."""

    def __init__(self, broker: Broker, started: Started) -> None:
        self._broker = broker
        self._started = started

    def methods(self) -> list[Method]:
        t = types
        topic, subscription = r"projects/[^/]+/topics/[^/:]+", r"projects/[^/]+/subscriptions/[^/:]+"
        of_project, of_topic = r"(?P<project>projects/[^/]+)", f"(?P<topic>{topic})"
        one = f"(?P<subscription>{subscription})"
        publisher = [
            ("CreateTopic", "PUT", f"(?P<name>{topic})", t.Topic, t.Topic, self.create_topic),
            ("GetTopic", "GET", of_topic, t.GetTopicRequest, t.Topic, self.get_topic),
            ("ListTopics", "GET", f"{of_project}/topics", t.ListTopicsRequest, t.ListTopicsResponse, self.list_topics),
            ("DeleteTopic", "DELETE", of_topic, t.DeleteTopicRequest, None, self.delete_topic),
            ("Publish", "POST", f"{of_topic}:publish", t.PublishRequest, t.PublishResponse, self.publish),
        ]
        subscriber = [
            ("CreateSubscription", "PUT", f"(?P<name>{subscription})", t.Subscription, t.Subscription, self.subscribe),
            ("GetSubscription", "GET", one, t.GetSubscriptionRequest, t.Subscription, self.get_subscription),
            ("ListSubscriptions", "GET", f"{of_project}/subscriptions", t.ListSubscriptionsRequest,
             t.ListSubscriptionsResponse, self.list_subscriptions),
            ("DeleteSubscription", "DELETE", one, t.DeleteSubscriptionRequest, None, self.unsubscribe),
            ("ModifyPushConfig", "POST", f"{one}:modifyPushConfig", t.ModifyPushConfigRequest, None,
             self.modify_push_config),
            ("Pull", "POST", f"{one}:pull", t.PullRequest, t.PullResponse, self.pull),
            ("Acknowledge", "POST", f"{one}:acknowledge", t.AcknowledgeRequest, None, self.acknowledge),
        ]  # fmt: skip
        return [
            Method(f"/google.pubsub.v1.{service}/{name}", *rest)
            for service, rows in (("Publisher", publisher), ("Subscriber", subscriber))
            for name, *rest in rows
        ]

    # ---------------------------------------------------------------------------------------------- topics

    def create_topic(self, request: Any, _seconds: float) -> Any:
        _refuse_others(request)
        _check_name(request.name)
        self._broker.create_topic(request.name, request)
        return request

    def get_topic(self, request: Any, _seconds: float) -> Any:
        return self._broker.topic(request.topic)

    def list_topics(self, request: Any, _seconds: float) -> Any:
        return types.ListTopicsResponse(topics=self._broker.topics(request.project))

    def delete_topic(self, request: Any, _seconds: float) -> None:
        self._broker.delete_topic(request.topic)

    def publish(self, request: Any, _seconds: float) -> Any:
        if not request.messages:
            raise Rejected("INVALID_ARGUMENT", "No messages to publish")
        for message in request.messages:
            _refuse_others(message)
            if not message.data and not message.attributes:
                raise Rejected("INVALID_ARGUMENT", "Some messages are empty")
        contents = [(message.data, dict(message.attributes)) for message in request.messages]
        return types.PublishResponse(message_ids=self._broker.publish(request.topic, contents))

    # --------------------------------------------------------------------------------------- subscriptions

    def subscribe(self, request: Any, _seconds: float) -> Any:
        _refuse_others(request)
        _refuse_others(request.push_config)
        _check_name(request.name)
        request.ack_deadline_seconds = request.ack_deadline_seconds or 10
        request.message_retention_duration = request.message_retention_duration or timedelta(days=7)
        request.push_config = request.push_config
        if request.dead_letter_policy:
            request.dead_letter_policy.max_delivery_attempts = request.dead_letter_policy.max_delivery_attempts or 5
        self._started(self._broker.subscribe(request.name, request.topic, _rules(request), request))
        return request

    def get_subscription(self, request: Any, _seconds: float) -> Any:
        return _described(self._broker.subscription(request.subscription))

    def list_subscriptions(self, request: Any, _seconds: float) -> Any:
        found = self._broker.subscriptions(request.project)
        return types.ListSubscriptionsResponse(subscriptions=[_described(each) for each in found])

    def unsubscribe(self, request: Any, _seconds: float) -> None:
        self._broker.unsubscribe(request.subscription)

    def modify_push_config(self, request: Any, _seconds: float) -> None:
        _refuse_others(request.push_config)
        subscription = self._broker.subscription(request.subscription)
        subscription.change(replace(subscription.rules, endpoint=_endpoint(request)))
        subscription.described.push_config = request.push_config

    def pull(self, request: Any, seconds: float) -> Any:
        """Wait for one message, and take those that are there with it."""
        subscription = self._broker.subscription(request.subscription)
        if request.max_messages < 1:
            raise Rejected("INVALID_ARGUMENT", "No max_messages specified")
        patience = 0.0 if request.return_immediately else min(seconds * 0.9, _PULL_SECONDS)
        taken: list[Any] = []
        while len(taken) < request.max_messages and (
            delivery := self._broker.next(subscription, 0.0 if taken else patience)
        ):
            taken.append(_received(subscription, delivery))
        return types.PullResponse(received_messages=taken)

    def acknowledge(self, request: Any, _seconds: float) -> None:
        subscription = self._broker.subscription(request.subscription)
        for word in request.ack_ids:
            subscription.ack(_token(subscription, word))


def _described(subscription: Subscription) -> Any:
    subscription.described.topic = subscription.topic  # which may have been deleted since
    return subscription.described


def _rules(request: Any) -> SubscriptionRules:
    if not 5 <= request.ack_deadline_seconds <= 600:
        raise Rejected("INVALID_ARGUMENT", "ack_deadline_secs out of bounds")
    rules = SubscriptionRules(endpoint=_endpoint(request), ack_seconds=request.ack_deadline_seconds)
    if request.retry_policy:
        least = _seconds(request.retry_policy.minimum_backoff, 10.0)
        most = _seconds(request.retry_policy.maximum_backoff, 600.0)
        if not 0 <= least <= most <= 600:
            raise Rejected("INVALID_ARGUMENT", f"a retry policy from {least:g} to {most:g} s is not from 0 to 600 s")
        rules = replace(rules, least_backoff=least, most_backoff=most)
    if request.dead_letter_policy:
        policy = request.dead_letter_policy
        if not 5 <= policy.max_delivery_attempts <= 100:
            raise Rejected("OUT_OF_RANGE", f"max_delivery_attempts is {policy.max_delivery_attempts}; 5 to 100 can be")
        rules = replace(rules, dead_letters=policy.dead_letter_topic, most_attempts=policy.max_delivery_attempts)
    return rules


def _seconds(duration: Any, default: float) -> float:
    return float(duration.total_seconds()) if duration is not None else default


def _endpoint(request: Any) -> str:
    endpoint = str(request.push_config.push_endpoint)
    if endpoint and not re.match(r"https?://[\w.-]+(:\d+)?(/|\?|$)", endpoint):
        raise Rejected("INVALID_ARGUMENT", f"Unsupported push_endpoint: {endpoint}")
    return endpoint


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise Rejected("INVALID_ARGUMENT", f"Invalid resource name: (name={name})")


def _refuse_others(request: Any) -> None:
    """Raise for a field that is set and would have no effect."""
    kind = type(request)
    others = {field.name for field, _ in kind.pb(request).ListFields()} - _HONOURED[kind.__name__]
    if others:
        raise Rejected("UNIMPLEMENTED", f"{kind.__name__}.{min(others)} has no effect on the stack's own Pub/Sub")


def _received(subscription: Subscription, delivery: Delivery) -> Any:
    message = delivery.message
    return types.ReceivedMessage(
        ack_id=f"{subscription.name}:{delivery.token}",
        message=types.PubsubMessage(
            data=message.data,
            attributes=dict(message.attributes),
            message_id=message.number,
            publish_time=datetime.fromtimestamp(message.published, UTC),
        ),
        delivery_attempt=delivery.attempt if subscription.rules.dead_letters else 0,
    )


def _token(subscription: Subscription, word: str) -> str:
    name, _, token = word.rpartition(":")
    if name != subscription.name:
        raise Rejected("INVALID_ARGUMENT", f"Invalid ack id (ack_id={word})")
    return token
