"""The doctor against Pub/Sub, the stack's own and the official emulator: topics and subscriptions as they are."""

from __future__ import annotations

import json
import urllib.request
import uuid

import pytest

from gapless.declare.catalogue import load_catalogue
from gapless.declare.pipeline import load_pipeline
from gapless.doctor.declared import Declared, declared_topics
from gapless.doctor.diagnosis import findings
from gapless.doctor.facts import DeployedFunction, NotChecked, Observed, Subscription
from gapless.gcp.admin import PubSubAdmin
from gapless.gcp.pubsub import PubSubSetup
from tests.deploy.test_local_pubsub import own_pubsub  # noqa: F401  (a fixture)

CATALOGUE = load_catalogue()


@pytest.fixture(params=["own_pubsub", "_pubsub_emulator"])
def pubsub(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of a running Pub/Sub, which Google's client takes from the environment."""
    address = str(request.getfixturevalue(request.param))
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", address)
    return address


@pytest.fixture
def project() -> str:
    return f"test-{uuid.uuid4().hex[:8]}"


def url(name: str) -> str:
    return f"http://127.0.0.1:9/{name}"


def looked(project: str) -> Observed:
    admin = PubSubAdmin(project)
    none = NotChecked("not of this test", failed=False)
    running = {name: DeployedFunction(name, url(name)) for name in CATALOGUE.functions}
    return Observed(none, none, admin.topics(), admin.subscriptions(), none, running, none, none, none)


def declared(project: str, host: str) -> Declared:
    return Declared(CATALOGUE, load_pipeline(), project, "", f"http://{host}")


def build(project: str) -> None:
    setup = PubSubSetup(project)
    for topic in declared_topics(CATALOGUE):
        setup.topic(topic)
    for name, function in CATALOGUE.functions.items():
        for topic in function.topics:
            setup.push(f"{name.replace('_', '-')}.{topic}", topic, url(name), "gapless-dead-letter")
    setup.pull("gapless-dead-letter", "gapless-dead-letter")


def run_fix(fix: str, host: str) -> None:
    """A fix for the emulator is one curl command or several; this sends what they say."""
    for each in fix.split("; "):
        run_curl(each, host)


def run_curl(fix: str, host: str) -> None:
    words = fix.split()
    method, address = words[2], words[3].replace("$PUBSUB_EMULATOR_HOST", host)
    body = None if method == "DELETE" else b"{}"
    if " -d '" in fix:
        body = fix.split(" -d '", 1)[1].removesuffix("'").encode()
    headers = {"Content-Type": "application/json"}
    urllib.request.urlopen(urllib.request.Request(address, body, headers, method=method), timeout=10).close()


def test_an_empty_emulator_lacks_everything_and_the_fixes_mend_it(pubsub: str, project: str) -> None:
    found = findings(declared(project, pubsub), looked(project))
    assert {f.what for f in found if f.area == "topics"} == {
        f"the topic {topic} does not exist" for topic in declared_topics(CATALOGUE)
    }
    assert len([f for f in found if f.area == "subscriptions"]) == 1 + sum(
        len(f.topics) for f in CATALOGUE.functions.values()
    )
    for finding in found:
        run_fix(finding.fix, pubsub)
    assert findings(declared(project, pubsub), looked(project)) == []


def test_what_is_set_up_as_declared_is_fine(pubsub: str, project: str) -> None:
    build(project)
    assert findings(declared(project, pubsub), looked(project)) == []


@pytest.mark.usefixtures("pubsub")
def test_a_subscription_is_read_with_everything_that_matters(project: str) -> None:
    build(project)
    seen = PubSubAdmin(project).subscriptions()
    own = seen["run-processor.gapless-run"]
    assert (own.topic, own.endpoint, own.ack_seconds, own.dead_letter) == (
        "gapless-run", url("run_processor"), 600, "gapless-dead-letter",
    )  # fmt: skip
    assert (own.retry_seconds, own.attempts) == ((10.0, 600.0), 20)
    assert (seen["gapless-dead-letter"].retry_seconds, seen["gapless-dead-letter"].attempts) == (None, 0)
    assert isinstance(seen["gapless-dead-letter"], Subscription)
    assert seen["gapless-dead-letter"].endpoint == ""


def test_a_subscription_that_delivers_in_another_way_is_found_and_its_fix_mends_it(pubsub: str, project: str) -> None:
    """As somebody makes one by hand: no retry policy, dead letters after 5 deliveries, 20 s for an answer."""
    build(project)
    name = "run-processor.gapless-run"
    run_fix(f"curl -X DELETE http://{pubsub}/v1/projects/{project}/subscriptions/{name}", pubsub)
    body = {
        "topic": f"projects/{project}/topics/gapless-run", "pushConfig": {"pushEndpoint": url("run_processor")},
        "ackDeadlineSeconds": 20,
        "deadLetterPolicy": {"deadLetterTopic": f"projects/{project}/topics/gapless-dead-letter",
                             "maxDeliveryAttempts": 5},
    }  # fmt: skip
    run_fix(f"curl -X PUT http://{pubsub}/v1/projects/{project}/subscriptions/{name} -d '{json.dumps(body)}'", pubsub)
    found = findings(declared(project, pubsub), looked(project))
    assert [f.what.removeprefix(f"{name} ") for f in found] == [
        "delivers again after 20 s, while run_processor may take 540 s: the same message would be worked on twice; "
        "declared are 600 s",
        "delivers again at once when run_processor fails, declared is after 10 to 600 s",
        "sets a message aside after 5 deliveries, declared are 20",
    ]
    run_fix(found[1].fix, pubsub)
    assert findings(declared(project, pubsub), looked(project)) == []


def test_a_subscription_that_delivers_elsewhere_is_found_and_its_fix_mends_it(pubsub: str, project: str) -> None:
    build(project)
    name = "run-processor.gapless-run"
    request = urllib.request.Request(
        f"http://{pubsub}/v1/projects/{project}/subscriptions/{name}:modifyPushConfig",
        json.dumps({"pushConfig": {"pushEndpoint": "http://127.0.0.1:9/old"}}).encode(),
        {"Content-Type": "application/json"},
    )
    urllib.request.urlopen(request, timeout=10).close()
    found = findings(declared(project, pubsub), looked(project))
    assert [f.what for f in found] == [
        f"{name} delivers to http://127.0.0.1:9/old, but run_processor is at {url('run_processor')}"
    ]
    run_fix(found[0].fix, pubsub)
    assert findings(declared(project, pubsub), looked(project)) == []


def test_what_is_delivered_twice_is_found_and_its_fix_mends_it(pubsub: str, project: str) -> None:
    build(project)
    PubSubSetup(project).push("zz-again", "gapless-run", url("run_processor"), "gapless-dead-letter")
    found = findings(declared(project, pubsub), looked(project))
    assert len(found) == 1
    assert "run-processor.gapless-run and zz-again both deliver gapless-run to run_processor" in found[0].what
    run_fix(found[0].fix, pubsub)
    assert findings(declared(project, pubsub), looked(project)) == []
