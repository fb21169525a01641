"""Pub/Sub: the `Bus` port, and topics and subscriptions for an emulator."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from google.api_core import exceptions as api
from google.auth.exceptions import DefaultCredentialsError, TransportError

from gapless.errors import CannotObserve, TransientFailure
from gapless.gcp.words import short


class PubSubBus:
    """The `Bus` port on Pub/Sub; the client reads `PUBSUB_EMULATOR_HOST` itself, when it is made."""

    def __init__(self, project: str, seconds: float = 30.0) -> None:
        self._project = project
        self._seconds = seconds
        self._client: Any = None

    def publish(self, topic: str, message: Mapping[str, Any]) -> str:
        from google.cloud import pubsub_v1  # type: ignore[attr-defined]  # most calls of a function publish nothing

        self._client = self._client or pubsub_v1.PublisherClient()
        path = f"projects/{self._project}/topics/{topic}"
        data = json.dumps(message, ensure_ascii=False).encode()
        try:
            return str(self._client.publish(path, data, timeout=self._seconds).result(timeout=self._seconds))
        except api.NotFound as error:
            raise CannotObserve(f"publish: there is no topic {path}; create it with: terraform apply") from error
        except (api.Forbidden, api.Unauthorized, DefaultCredentialsError) as error:
            raise CannotObserve(
                f"publish: no permission for {path}: {short(error)}; roles/pubsub.publisher is needed"
            ) from error
        except (api.GoogleAPICallError, api.RetryError, TransportError, TimeoutError) as error:
            raise TransientFailure(f"publish: {path} did not take the message: {short(error)}; try again") from error


class PubSubSetup:
    """Topics and subscriptions for an emulator, with the settings that Terraform gives them in the cloud."""

    def __init__(self, project: str, seconds: float = 10.0) -> None:
        from google.cloud import pubsub_v1  # type: ignore[attr-defined]

        self._project = project
        self._seconds = seconds
        self._publisher: Any = pubsub_v1.PublisherClient()
        self._subscriber: Any = pubsub_v1.SubscriberClient()

    def topic(self, name: str) -> None:
        """Create a topic that is not there."""
        self._once(lambda: self._publisher.create_topic(name=self._path("topics", name), timeout=self._seconds))

    def push(self, name: str, topic: str, endpoint: str, dead_letters: str) -> None:
        """Let a topic's messages be pushed to an address: again after 10 to 600 s, set aside after 20 deliveries."""
        wanted = {
            "name": self._path("subscriptions", name),
            "topic": self._path("topics", topic),
            "push_config": {"push_endpoint": endpoint},
            "ack_deadline_seconds": 600,
            "retry_policy": {"minimum_backoff": {"seconds": 10}, "maximum_backoff": {"seconds": 600}},
            "dead_letter_policy": {
                "dead_letter_topic": self._path("topics", dead_letters),
                "max_delivery_attempts": 20,
            },
        }
        if not self._once(lambda: self._subscriber.create_subscription(request=wanted, timeout=self._seconds)):
            change = {"subscription": wanted["name"], "push_config": wanted["push_config"]}
            self._subscriber.modify_push_config(request=change, timeout=self._seconds)

    def pull(self, name: str, topic: str) -> None:
        """Keep a topic's messages for whoever asks for them."""
        wanted = {
            "name": self._path("subscriptions", name),
            "topic": self._path("topics", topic),
            "ack_deadline_seconds": 60,
        }
        self._once(lambda: self._subscriber.create_subscription(request=wanted, timeout=self._seconds))

    def _path(self, kind: str, name: str) -> str:
        return f"projects/{self._project}/{kind}/{name}"

    @staticmethod
    def _once(create: Callable[[], object]) -> bool:
        """Whether it was created; False where it is there already."""
        try:
            create()
        except api.AlreadyExists:
            return False
        except api.GoogleAPICallError as error:
            raise TransientFailure(f"Pub/Sub did not answer: {short(error)}; try again") from error
        return True
