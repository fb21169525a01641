"""One contract for two servers: the stack's own Pub/Sub, and Google's official emulator where it is installed.

What they do differently is said in the test where it shows.
"""

from __future__ import annotations

import base64
import json
import os
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from google.api_core import exceptions as api
from google.cloud import pubsub_v1

from gapless.errors import BadInput, CannotObserve
from gapless.gcp.pubsub import PubSubBus
from gapless.stack import choice
from gapless.stack.processes import Program, launch, stop, tail, wait_until_ready
from gapless.stack.pubsub.backlog import Backlog, Delivery, Message, SubscriptionRules
from gapless.stack.pubsub.broker import Broker, Subscription
from tests.conftest import ROOT
from tests.deploy.conftest import free_port

pytestmark = pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")


@pytest.fixture(scope="session")
def own_pubsub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the stack's own Pub/Sub, which ends cleanly."""
    port, log = free_port(), tmp_path_factory.mktemp("pubsub") / "log"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    running = launch(Program("pubsub", choice.command("own", port), environment, port), log)
    try:
        wait_until_ready("pubsub", running, log)
        yield f"127.0.0.1:{port}"
    finally:
        stop(running)
    assert '"action": "stopped"' in tail(log, 1)
    assert "Traceback" not in log.read_text()


@pytest.fixture(params=["own", "official"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@dataclass
class Place:
    """A project on one of the servers, with Google's own clients."""

    address: str
    project: str
    publisher: Any
    subscriber: Any
    made: list[str] = field(default_factory=list)

    def path(self, kind: str, name: str) -> str:
        return f"projects/{self.project}/{kind}/{name}"

    def topic(self, name: str = "news") -> str:
        return str(self.publisher.create_topic(name=self.path("topics", name)).name)

    def subscribe(self, name: str, topic: str, endpoint: str = "", **rules: Any) -> str:
        push = {"push_endpoint": endpoint}
        wanted = {"name": self.path("subscriptions", name), "topic": topic, "push_config": push, **rules}
        self.made.append(str(self.subscriber.create_subscription(request=wanted).name))
        return self.made[-1]

    def publish(self, topic: str, data: bytes, **attributes: str) -> str:
        return str(self.publisher.publish(topic, data, **attributes).result(timeout=20))

    def pull(self, subscription: str, seconds: float = 20) -> list[Any]:
        """What waits, as soon as something does; the official emulator may also answer with nothing."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            found = self.subscriber.pull(subscription=subscription, max_messages=10, timeout=seconds)
            if found.received_messages:
                return list(found.received_messages)
        raise AssertionError(f"nothing on {subscription} within {seconds:g} s")

    def rest(self, method: str, path: str, body: object) -> Any:
        request = urllib.request.Request(
            f"http://{self.address}/v1/projects/{self.project}/{path}", json.dumps(body).encode(),
            {"Content-Type": "application/json"}, method=method,
        )  # fmt: skip
        with urllib.request.urlopen(request, timeout=20) as response:
            return json.loads(response.read())


def settled(address: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", address)
    place = Place(address, f"test-{uuid.uuid4().hex[:8]}", pubsub_v1.PublisherClient(), pubsub_v1.SubscriberClient())
    yield place
    for name in place.made:
        place.subscriber.delete_subscription(subscription=name)
    place.publisher.stop()
    place.subscriber.close()


@pytest.fixture
def place(kind: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    address = request.getfixturevalue("own_pubsub" if kind == "own" else "_pubsub_emulator")
    yield from settled(address, monkeypatch)


@pytest.fixture
def own(own_pubsub: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    yield from settled(own_pubsub, monkeypatch)


@dataclass
class Push:
    """One request that arrived at an endpoint."""

    path: str
    headers: dict[str, str]
    told: dict[str, Any]

    @property
    def number(self) -> str:
        return str(self.told["message"]["messageId"])

    @property
    def data(self) -> bytes:
        return base64.b64decode(self.told["message"]["data"])


class Endpoint:
    """Takes pushes; `answer` gives the status for the n-th of them, from 1 on."""

    def __init__(self, answer: Callable[[int], int] = lambda _number: 200, port: int = 0) -> None:
        self.got: list[Push] = []
        endpoint, lock = self, threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with lock:
                    endpoint.got.append(Push(self.path, dict(self.headers), body))
                    number = len(endpoint.got)
                self.send_response(answer(number))
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def wait_for(self, count: int, seconds: float = 40) -> list[Push]:
        end = time.monotonic() + seconds
        while len(self.got) < count:
            assert time.monotonic() < end, f"{len(self.got)} of {count} pushes within {seconds:g} s"
            time.sleep(0.02)
        return self.got

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


Endpoints = Callable[..., Endpoint]


@pytest.fixture
def endpoint() -> Iterator[Endpoints]:
    made: list[Endpoint] = []

    def make(answer: Callable[[int], int] = lambda _number: 200, port: int = 0) -> Endpoint:
        made.append(Endpoint(answer, port))
        return made[-1]

    yield make
    for each in made:
        each.close()


# ------------------------------------------------------------------------------------------------ the contract


def test_a_message_arrives_wrapped_with_its_number_attributes_and_subscription(
    place: Place, endpoint: Endpoints
) -> None:
    there, topic = endpoint(), place.topic()
    name = place.subscribe("listener", topic, f"{there.url}/deliver?to=me")
    number = place.publish(topic, '{"day": "Zürich"}'.encode(), origin="test", empty="")
    (push,) = there.wait_for(1)
    assert push.path == "/deliver?to=me"
    assert push.headers["Content-Type"] == "application/json"
    assert push.told["subscription"] == name
    assert push.data == '{"day": "Zürich"}'.encode()
    message = push.told["message"]
    assert message["messageId"] == message["message_id"] == number
    assert message["publishTime"] == message["publish_time"]
    assert message["publishTime"].endswith("Z")
    assert message["attributes"] == {"origin": "test", "empty": ""}
    assert set(push.told) == {"subscription", "message"}
    assert set(message) == {"attributes", "data", "messageId", "message_id", "publishTime", "publish_time"}


def test_what_was_answered_with_an_error_comes_again_until_it_is_taken(place: Place, endpoint: Endpoints) -> None:
    there = endpoint(lambda number: {1: 500, 2: 404}.get(number, 204))
    topic = place.topic()
    place.subscribe("listener", topic, there.url)
    number = place.publish(topic, b"again")
    there.wait_for(3)
    time.sleep(1.5)  # more than the time between two attempts
    assert [push.number for push in there.got] == [number] * 3


def test_a_message_waits_for_an_endpoint_that_is_not_there_yet(place: Place, endpoint: Endpoints) -> None:
    port, topic = free_port(), place.topic()
    place.subscribe("listener", topic, f"http://127.0.0.1:{port}")
    numbers = {place.publish(topic, b"early"), place.publish(topic, b"too")}
    time.sleep(1.5)
    there = endpoint(port=port)
    there.wait_for(2)
    assert {push.number for push in there.got} == numbers


def test_what_is_not_answered_within_the_deadline_comes_again(place: Place, endpoint: Endpoints) -> None:
    go_on = threading.Event()
    there, topic = endpoint(lambda _number: 200 if go_on.wait(30) else 500), place.topic()
    place.subscribe("listener", topic, there.url, ack_deadline_seconds=5)
    number = place.publish(topic, b"slow")
    there.wait_for(2)
    go_on.set()
    assert [push.number for push in there.got] == [number] * 2


def test_with_a_backoff_there_are_fewer_deliveries(place: Place, endpoint: Endpoints) -> None:
    """Counted against a subscription without one, to which both servers deliver once a second.

    The official emulator makes the second delivery after a second, whatever is declared, and waits from then on.
    """
    eager, patient = endpoint(lambda _number: 503), endpoint(lambda _number: 503)
    topic = place.topic()
    place.subscribe("eager", topic, eager.url)
    backoff = {"minimum_backoff": {"seconds": 3}, "maximum_backoff": {"seconds": 60}}
    place.subscribe("patient", topic, patient.url, retry_policy=backoff)
    place.publish(topic, b"never taken")
    eager.wait_for(7)
    assert 2 <= len(patient.got) <= 3


def test_after_the_last_attempt_a_message_is_a_dead_letter(place: Place, kind: str, endpoint: Endpoints) -> None:
    """The official emulator tells nobody which attempt it is; the cloud does, and so does the stack's own server."""
    there, topic, dead = endpoint(lambda _number: 500), place.topic(), place.topic("dead")
    kept = place.subscribe("kept", dead)
    policy = {"dead_letter_topic": dead, "max_delivery_attempts": 5}
    place.subscribe("listener", topic, there.url, dead_letter_policy=policy)
    place.publish(topic, b"poison", origin="test")
    (received,) = place.pull(kept, 40)
    assert len(there.got) == 5
    attempts = [push.told.get("deliveryAttempt") for push in there.got]
    assert attempts == ([1, 2, 3, 4, 5] if kind == "own" else [None] * 5)
    assert received.message.data == b"poison"
    attributes = dict(received.message.attributes)
    assert attributes.pop("CloudPubSubDeadLetterSourceTopicPublishTime").endswith("Z")
    assert attributes == {
        "origin": "test",
        "CloudPubSubDeadLetterSourceDeliveryCount": "5",
        "CloudPubSubDeadLetterSourceSubscription": "listener",
        "CloudPubSubDeadLetterSourceSubscriptionProject": place.project,
    }
    time.sleep(1.5)
    assert len(there.got) == 5, "set aside means not delivered any more"


def test_every_subscription_gets_every_message(place: Place, endpoint: Endpoints) -> None:
    first, second, topic = endpoint(), endpoint(lambda number: 500 if number == 1 else 200), place.topic()
    place.subscribe("first", topic, first.url)
    place.subscribe("second", topic, second.url)
    pulled = place.subscribe("pulled", topic)
    numbers = {place.publish(topic, b"%d" % n) for n in range(20)}
    first.wait_for(20)
    second.wait_for(21)
    assert {push.number for push in first.got} == {push.number for push in second.got} == numbers
    found: set[str] = set()
    while len(found) < 20:
        found |= {each.message.message_id for each in place.pull(pulled)}
    assert found == numbers


def test_a_subscription_has_two_pushes_under_way_at_a_time(place: Place, endpoint: Endpoints) -> None:
    go_on = threading.Event()
    there, topic = endpoint(lambda _number: 200 if go_on.wait(30) else 500), place.topic()
    place.subscribe("listener", topic, there.url)
    for n in range(6):
        place.publish(topic, b"%d" % n)
    there.wait_for(2)
    time.sleep(1.5)
    assert len(there.got) == 2
    go_on.set()
    there.wait_for(6)


def test_a_subscription_that_is_pointed_elsewhere_delivers_there(place: Place, endpoint: Endpoints) -> None:
    old, new, topic = endpoint(lambda _number: 500), endpoint(), place.topic()
    name = place.subscribe("listener", topic, old.url)
    number = place.publish(topic, b"moved")
    old.wait_for(1)
    place.subscriber.modify_push_config(subscription=name, push_config={"push_endpoint": new.url})
    (push,) = new.wait_for(1)
    assert push.number == number
    assert place.subscriber.get_subscription(subscription=name).push_config.push_endpoint == new.url


def test_an_acknowledged_message_is_not_pulled_again(place: Place) -> None:
    topic = place.topic()
    name = place.subscribe("pulled", topic, ack_deadline_seconds=10)
    place.publish(topic, b"once", a="b")
    (received,) = place.pull(name)
    assert (received.message.data, dict(received.message.attributes)) == (b"once", {"a": "b"})
    place.subscriber.acknowledge(subscription=name, ack_ids=[received.ack_id])
    place.publish(topic, b"next")
    (received,) = place.pull(name)
    assert received.message.data == b"next"


def test_what_does_not_exist_is_not_found_and_what_exists_is_not_made_twice(place: Place) -> None:
    topic = place.topic()
    name = place.subscribe("listener", topic)
    with pytest.raises(api.AlreadyExists):
        place.topic()
    with pytest.raises(api.AlreadyExists):
        place.subscriber.create_subscription(request={"name": name, "topic": topic})
    with pytest.raises(api.NotFound):
        place.publish(place.path("topics", "nothing"), b"x")
    with pytest.raises(CannotObserve, match="there is no topic"):
        PubSubBus(place.project).publish("nothing", {})
    for call in (
        lambda: place.publisher.get_topic(topic=place.path("topics", "nothing")),
        lambda: place.publisher.delete_topic(topic=place.path("topics", "nothing")),
        lambda: place.subscriber.get_subscription(subscription=f"{name}-x"),
        lambda: place.subscriber.delete_subscription(subscription=f"{name}-x"),
        lambda: place.subscriber.pull(subscription=f"{name}-x", max_messages=1),
        lambda: place.subscriber.create_subscription(
            request={"name": f"{name}-x", "topic": place.path("topics", "nothing")}
        ),
        lambda: place.subscribe("dead", topic, dead_letter_policy={
            "dead_letter_topic": place.path("topics", "nothing"), "max_delivery_attempts": 5,
        }),
    ):  # fmt: skip
        with pytest.raises(api.NotFound):
            call()
    for wrong in ({"ack_deadline_seconds": 601}, {"push_config": {"push_endpoint": "no address"}}):
        with pytest.raises(api.InvalidArgument):
            place.subscriber.create_subscription(request={"name": f"{name}-x", "topic": topic, **wrong})
    with pytest.raises(api.InvalidArgument):
        place.topic("x")  # three letters are needed
    assert [each.name for each in place.publisher.list_topics(project=f"projects/{place.project}")] == [topic]


def test_a_subscription_outlives_its_topic(place: Place) -> None:
    topic = place.topic()
    name = place.subscribe("pulled", topic)
    place.publish(topic, b"last")
    place.publisher.delete_topic(topic=topic)
    with pytest.raises(api.NotFound):
        place.publish(topic, b"too late")
    assert place.subscriber.get_subscription(subscription=name).topic == "_deleted-topic_"
    assert [each.message.data for each in place.pull(name)] == [b"last"]


def test_a_subscription_is_described_as_it_was_declared(place: Place) -> None:
    topic, dead = place.topic(), place.topic("dead")
    name = place.subscribe(
        "listener", topic, "http://127.0.0.1:9/x", ack_deadline_seconds=600,
        retry_policy={"minimum_backoff": {"seconds": 10}, "maximum_backoff": {"seconds": 600}},
        dead_letter_policy={"dead_letter_topic": dead, "max_delivery_attempts": 20},
    )  # fmt: skip
    for told in (
        place.subscriber.get_subscription(subscription=name),
        next(iter(place.subscriber.list_subscriptions(project=f"projects/{place.project}"))),
    ):
        assert (told.name, told.topic, told.ack_deadline_seconds) == (name, topic, 600)
        assert told.push_config.push_endpoint == "http://127.0.0.1:9/x"
        assert (told.retry_policy.minimum_backoff.seconds, told.retry_policy.maximum_backoff.seconds) == (10, 600)
        assert (told.dead_letter_policy.dead_letter_topic, told.dead_letter_policy.max_delivery_attempts) == (dead, 20)


def test_the_same_over_rest_as_people_call_it_with_curl(place: Place) -> None:
    topic = place.rest("PUT", "topics/news", {})["name"]
    name = place.rest("PUT", "subscriptions/pulled", {"topic": topic})["name"]
    content = {"data": base64.b64encode(b"{}").decode(), "attributes": {"a": "b"}}
    (number,) = place.rest("POST", "topics/news:publish", {"messages": [content]})["messageIds"]
    (received,) = place.rest("POST", "subscriptions/pulled:pull", {"maxMessages": 10})["receivedMessages"]
    assert received["message"].items() >= ({"messageId": number} | content).items()
    assert place.rest("POST", "subscriptions/pulled:acknowledge", {"ackIds": [received["ackId"]]}) == {}
    assert place.rest("POST", "subscriptions/pulled:pull", {"maxMessages": 10, "returnImmediately": True}) == {}
    push = {"pushConfig": {"pushEndpoint": "http://127.0.0.1:9/x"}}
    assert place.rest("POST", "subscriptions/pulled:modifyPushConfig", push) == {}
    assert place.subscriber.get_subscription(subscription=name).push_config.push_endpoint == "http://127.0.0.1:9/x"
    assert place.rest("DELETE", "subscriptions/pulled", {}) == {}
    assert [each.name for each in place.subscriber.list_subscriptions(project=f"projects/{place.project}")] == []
    with pytest.raises(urllib.error.HTTPError) as caught:
        place.rest("POST", "topics/nothing:publish", {"messages": [content]})
    assert (caught.value.code, json.loads(caught.value.read())["error"]["status"]) == (404, "NOT_FOUND")
    with pytest.raises(urllib.error.HTTPError) as caught:
        place.rest("POST", "topics/news:publish", {"massages": []})
    assert (caught.value.code, json.loads(caught.value.read())["error"]["status"]) == (400, "INVALID_ARGUMENT")


# ------------------------------------------------------------------------------------- the stack's own, alone


def test_a_method_that_is_missing_is_answered_with_a_sentence(own: Place) -> None:
    name = own.subscribe("pulled", own.topic())
    for call in (
        lambda: own.subscriber.create_snapshot(name=own.path("snapshots", "snap"), subscription=name),
        lambda: own.publisher.get_iam_policy(request={"resource": own.path("topics", "news")}),
        lambda: list(own.subscriber.streaming_pull(iter([pubsub_v1.types.StreamingPullRequest(subscription=name)]))),
    ):
        with pytest.raises(api.MethodNotImplemented, match="the stack's own Pub/Sub has no google"):
            call()


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("filter", 'attributes.a = "b"'),
        ("enable_exactly_once_delivery", True),
        ("enable_message_ordering", True),
        ("push_config", {"push_endpoint": "http://127.0.0.1:9", "oidc_token": {"service_account_email": "a@b"}}),
    ],
)
def test_a_setting_that_would_have_no_effect_is_refused(own: Place, setting: str, value: object) -> None:
    topic = own.topic()
    with pytest.raises(api.MethodNotImplemented, match="has no effect on the stack's own Pub/Sub"):
        own.subscriber.create_subscription(
            request={"name": own.path("subscriptions", "odd"), "topic": topic, setting: value}
        )


def test_the_backoff_doubles_up_to_the_most() -> None:
    rules = SubscriptionRules(least_backoff=10, most_backoff=600)
    assert [rules.backoff(n) for n in (1, 2, 3, 6, 7, 8, 1000)] == [10, 20, 40, 320, 600, 600, 600]


def taken(delivery: Delivery | None) -> tuple[str, int]:
    assert delivery is not None
    return delivery.message.number, delivery.attempt


def test_a_backlog_delivers_in_order_and_until_it_is_acknowledged() -> None:
    backlog = Backlog()
    for n in range(2):
        backlog.add(Message(f"m{n}", b"", {}, 0), now=0)
    first = backlog.take(0, ack_seconds=10)
    second = backlog.take(0, ack_seconds=10)
    assert first is not None
    assert second is not None
    assert (taken(first), taken(second)) == (("m0", 1), ("m1", 1))
    assert backlog.take(9.9, ack_seconds=10) is None
    assert backlog.due() == 10
    backlog.ack(second.token)
    assert len(backlog) == 1
    again = backlog.take(10, ack_seconds=10)
    assert again is not None
    assert taken(again) == ("m0", 2)
    backlog.ack(first.token)
    backlog.postpone(first.token, 0)
    assert (len(backlog), backlog.due()) == (1, 20), "an answer that comes too late changes nothing"
    backlog.postpone(again.token, 15)
    assert backlog.take(14, ack_seconds=10) is None
    assert taken(backlog.take(15, ack_seconds=10)) == ("m0", 3)
    backlog.ack("no such word")
    assert len(backlog) == 1


class Hand:
    """A clock that is moved by hand."""

    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def dead_lettering(broker: Broker, project: str = "projects/p") -> tuple[Subscription, Subscription]:
    for topic in ("news", "dead"):
        broker.create_topic(f"{project}/topics/{topic}", None)
    rules = SubscriptionRules(ack_seconds=10, least_backoff=10, most_backoff=600, dead_letters=f"{project}/topics/dead")
    return (
        broker.subscribe(f"{project}/subscriptions/listener", f"{project}/topics/news", rules, None),
        broker.subscribe(f"{project}/subscriptions/kept", f"{project}/topics/dead", SubscriptionRules(), None),
    )


def test_attempts_that_nobody_answers_count_too() -> None:
    clock = Hand()
    broker = Broker(clock=clock)
    listener, kept = dead_lettering(broker)
    broker.publish("projects/p/topics/news", [(b"x", {})])
    for attempt in range(1, 6):
        assert taken(broker.next(listener, 0)) == ("1", attempt)
        clock.now += 10
    assert broker.next(listener, 0) is None
    assert (len(listener), len(kept)) == (0, 1)


def test_without_its_dead_letter_topic_a_message_is_delivered_on() -> None:
    broker = Broker(clock=Hand())
    listener, _ = dead_lettering(broker)
    broker.delete_topic("projects/p/topics/dead")
    broker.publish("projects/p/topics/news", [(b"x", {})])
    for attempt in range(1, 8):
        delivery = broker.next(listener, 0)
        assert delivery is not None
        assert delivery.attempt == attempt
        listener.postpone(delivery.token, 0)
    assert broker.undelivered() == 1


def test_a_deleted_subscription_lets_those_go_who_wait_for_it(own: Place, endpoint: Endpoints) -> None:
    there, topic = endpoint(), own.topic()
    name = own.subscribe("listener", topic, there.url)
    own.publish(topic, b"before")
    there.wait_for(1)
    own.subscriber.delete_subscription(subscription=name)
    own.made.remove(name)
    own.publish(topic, b"after")
    own.subscribe("listener", topic, there.url)
    number = own.publish(topic, b"new")
    there.wait_for(2)
    assert [push.number for push in there.got][1:] == [number]


# --------------------------------------------------------------------------------------------- the choice


def test_the_official_emulator_is_taken_where_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(choice.VARIABLE, raising=False)
    (tmp_path / "there.jar").touch()
    monkeypatch.setenv("PUBSUB_EMULATOR_JAR", str(tmp_path / "there.jar"))
    monkeypatch.setattr(choice.shutil, "which", lambda name: f"/bin/{name}")
    assert choice.chosen() == "official"
    assert choice.told("official") == "Google's official emulator"
    monkeypatch.setenv(choice.VARIABLE, "own")
    assert choice.chosen() == "own"
    assert choice.told("own") == "the stack's own, as GAPLESS_PUBSUB says"


def test_without_java_or_the_emulator_the_stacks_own_is_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(choice.VARIABLE, raising=False)
    monkeypatch.setattr(choice.shutil, "which", lambda name: f"/bin/{name}")
    monkeypatch.setenv("PUBSUB_EMULATOR_JAR", str(tmp_path / "missing.jar"))
    assert choice.chosen() == "own"
    assert "gcloud components install pubsub-emulator" in choice.told("own")
    monkeypatch.setattr(choice.shutil, "which", lambda _name: None)
    assert choice.chosen() == "own"
    assert "apt-get install default-jre-headless" in choice.told("own")


def test_a_choice_that_cannot_be_had_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice.shutil, "which", lambda _name: None)
    monkeypatch.setenv(choice.VARIABLE, "official")
    with pytest.raises(CannotObserve, match=r"GAPLESS_PUBSUB is official, but .* needs Java.*apt-get install"):
        choice.chosen()
    monkeypatch.setenv(choice.VARIABLE, "kafka")
    with pytest.raises(BadInput, match="GAPLESS_PUBSUB is 'kafka'"):
        choice.chosen()
