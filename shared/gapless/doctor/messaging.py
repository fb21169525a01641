"""Topics and subscriptions: whether every message reaches its function, once, and none is lost."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from gapless.declare.catalogue import Function
from gapless.doctor.addresses import canonical, is_local, is_named_for, owners, place_of
from gapless.doctor.declared import DELIVERY, Declared, declared_topics
from gapless.doctor.facts import DeployedFunction, Subscription
from gapless.doctor.finding import APPLY, Difference
from gapless.messages import DEAD_LETTER_TOPIC


def check_topics(declared: Declared, seen: frozenset[str]) -> Iterator[Difference]:
    """Every topic that is not there."""
    for name in declared_topics(declared.catalogue):
        if name not in seen:
            fix = f"curl -X PUT {declared.emulator}/v1/projects/{declared.project}/topics/{name}"
            yield Difference("topics", f"the topic {name} does not exist", "error", fix if declared.emulator else APPLY)


def check_subscriptions(
    declared: Declared, seen: Mapping[str, Subscription], running: Mapping[str, DeployedFunction]
) -> Iterator[Difference]:
    """Every delivery that is missing, doubled, wrong or astray."""
    owner = owners(running)
    for function in declared.catalogue.functions.values():
        place = place_of(function.name, running)
        for topic in function.topics:
            of_topic = {name: s for name, s in seen.items() if s.topic == topic and s.endpoint}
            own = {name: s for name, s in of_topic.items() if owner.get(canonical(s.endpoint)) == function.name}
            if not place:  # not deployed, which is a finding of its own, or not known
                continue
            if len(own) > 1:
                yield Difference(
                    "subscriptions",
                    f"{' and '.join(sorted(own))} both deliver {topic} to {function.name}: every "
                    "message is worked on twice",
                    "error",
                    _delete_subscription(declared, sorted(own)[1]),
                )
            for name, subscription in own.items():
                yield from _subscription(declared, name, subscription, function, place)
            if not own:
                astray = [name for name in of_topic if is_named_for(name, function.name)]
                for name in astray:
                    yield Difference(
                        "subscriptions",
                        f"{name} delivers to {of_topic[name].endpoint}, but {function.name} is at {place.url}",
                        "error",
                        _repoint(declared, name, place.url),
                    )
                if not astray:
                    yield Difference(
                        "subscriptions",
                        f"nothing delivers {topic} to {function.name}",
                        "error",
                        _subscribe(declared, f"{function.name.replace('_', '-')}.{topic}", topic, place.url),
                    )
    if running:
        yield from _strays(declared, seen, owner)
    if not any(s.topic == DEAD_LETTER_TOPIC for s in seen.values()):
        yield Difference(
            "subscriptions",
            f"nothing keeps what is sent to {DEAD_LETTER_TOPIC}: dead letters are lost",
            "error",
            _subscribe(declared, DEAD_LETTER_TOPIC, DEAD_LETTER_TOPIC, ""),
        )


def _subscription(
    declared: Declared, name: str, seen: Subscription, function: Function, place: DeployedFunction
) -> Iterator[Difference]:
    yield from _retries(declared, name, seen, function, place)
    update = f"gcloud pubsub subscriptions update {name} --project={declared.project}"
    if seen.expires_days is not None and not is_local(place.url):
        yield Difference(
            "subscriptions",
            f"{name} is deleted after {seen.expires_days:g} days without messages, as in summer",
            "warning",
            f"{update} --expiration-period=never",
        )
    if not is_local(place.url) and canonical(seen.audience) != canonical(place.url):
        yield Difference(
            "subscriptions",
            f"{name} has tokens for {seen.audience or 'nobody'}, {function.name} takes those for {place.url}",
            "error",
            f"{update} --push-endpoint={place.url} --push-auth-token-audience={place.url} "
            f"--push-auth-service-account={seen.account or 'ACCOUNT'}",
        )


def _retries(
    declared: Declared, name: str, seen: Subscription, function: Function, place: DeployedFunction
) -> Iterator[Difference]:
    """When a message is delivered again, and when it is set aside."""

    def mend(flags: str) -> str:
        if declared.emulator:  # which takes no such change
            again = _subscribe(declared, name, seen.topic, seen.endpoint)
            return f"{_delete_subscription(declared, name)}; {again}"
        return f"gcloud pubsub subscriptions update {name} --project={declared.project} {flags}"

    wanted, longest = DELIVERY, max(function.timeout_seconds, place.timeout_seconds)
    if seen.ack_seconds <= longest:
        yield Difference(
            "subscriptions",
            f"{name} delivers again after {seen.ack_seconds} s, while {function.name} may take "
            f"{longest} s: the same message would be worked on twice; declared are {wanted.ack_seconds} s",
            "error",
            mend(f"--ack-deadline={wanted.ack_seconds}"),
        )
    elif seen.ack_seconds != wanted.ack_seconds:
        yield Difference(
            "subscriptions",
            f"{name} waits {seen.ack_seconds} s for an answer, declared are {wanted.ack_seconds} s",
            "warning",
            mend(f"--ack-deadline={wanted.ack_seconds}"),
        )
    least, most = wanted.retry_seconds
    if seen.retry_seconds != wanted.retry_seconds:
        has = "at once" if seen.retry_seconds is None else "after {:g} to {:g} s".format(*seen.retry_seconds)
        yield Difference(
            "subscriptions",
            f"{name} delivers again {has} when {function.name} fails, declared is after {least} to {most} s",
            "warning",
            mend(f"--min-retry-delay={least}s --max-retry-delay={most}s"),
        )
    set_aside = mend(f"--dead-letter-topic={DEAD_LETTER_TOPIC} --max-delivery-attempts={wanted.attempts}")
    if seen.dead_letter != DEAD_LETTER_TOPIC:
        there = f"to {seen.dead_letter}" if seen.dead_letter else "nowhere"
        yield Difference(
            "subscriptions",
            f"{name} sends what cannot be delivered {there}, declared is {DEAD_LETTER_TOPIC}",
            "warning",
            set_aside,
        )
    elif seen.attempts != wanted.attempts:
        yield Difference(
            "subscriptions",
            f"{name} sets a message aside after {seen.attempts} deliveries, declared are {wanted.attempts}",
            "warning",
            set_aside,
        )


def _strays(declared: Declared, seen: Mapping[str, Subscription], owner: Mapping[str, str]) -> Iterator[Difference]:
    """Deliveries of ours to where no function is, or of a topic that the function does not listen to."""
    functions = declared.catalogue.functions
    for name, s in seen.items():
        if not s.endpoint:
            continue
        to = owner.get(canonical(s.endpoint))
        if to is None:
            named = [f for f in functions if is_named_for(name, f)]
            if s.topic in declared.catalogue.topics and not any(s.topic in functions[f].topics for f in named):
                yield Difference(
                    "subscriptions",
                    f"{name} delivers {s.topic} to {s.endpoint}, which is no function here",
                    "error",
                    _delete_subscription(declared, name),
                )
        elif to in functions and s.topic not in functions[to].topics:
            yield Difference(
                "subscriptions",
                f"{name} delivers {s.topic} to {to}, which does not listen to it",
                "error",
                _delete_subscription(declared, name),
            )


def _repoint(declared: Declared, name: str, url: str) -> str:
    if declared.emulator:
        return (
            f"curl -X POST {declared.emulator}/v1/projects/{declared.project}/subscriptions/{name}:modifyPushConfig "
            f"""-d '{{"pushConfig": {{"pushEndpoint": "{url}"}}}}'"""
        )
    return APPLY


def _subscribe(declared: Declared, name: str, topic: str, url: str) -> str:
    if not declared.emulator:
        return APPLY
    topics = f"projects/{declared.project}/topics"
    body: dict[str, Any] = {"topic": f"{topics}/{topic}"}
    if url:
        least, most = DELIVERY.retry_seconds
        body |= {
            "ackDeadlineSeconds": DELIVERY.ack_seconds,
            "retryPolicy": {"minimumBackoff": f"{least}s", "maximumBackoff": f"{most}s"},
            "deadLetterPolicy": {
                "deadLetterTopic": f"{topics}/{DEAD_LETTER_TOPIC}",
                "maxDeliveryAttempts": DELIVERY.attempts,
            },
            "pushConfig": {"pushEndpoint": url},
        }
    return (
        f"curl -X PUT {declared.emulator}/v1/projects/{declared.project}/subscriptions/{name} "
        f"-H 'Content-Type: application/json' -d '{json.dumps(body)}'"
    )


def _delete_subscription(declared: Declared, name: str) -> str:
    if declared.emulator:
        return f"curl -X DELETE {declared.emulator}/v1/projects/{declared.project}/subscriptions/{name}"
    return f"gcloud pubsub subscriptions delete {name} --project={declared.project}"
