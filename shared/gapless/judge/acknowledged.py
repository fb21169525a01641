"""What people have declared unrecoverable: whether their word still holds, and what came back since. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, timedelta

from gapless.declare.pipeline import Pipeline
from gapless.model import Acknowledged, Observation, Target


def holds(word: Acknowledged, day: date, today: date) -> bool:
    """Whether an acknowledgement is about a date, and has not expired."""
    has_expired = word.expires is not None and today > word.expires
    return word.first <= day <= word.last and not has_expired


def reappeared(
    pipeline: Pipeline, observation: Observation, word: Acknowledged, day: date, today: date
) -> Target | None:
    """What came back after a gap was acknowledged: something that the target is made from and that was written since.

    That is its upstream of its own date; where it reads windows only, its upstream in them. A source is made from
    nothing here: it comes back by its own rows. What is read for the expectation only is no source.
    """
    if word.since is None:
        return None
    since = int(word.since.timestamp() * 1_000_000)
    for target in _made_from(pipeline, Target(word.processor, day), today):
        seen = observation.seen(target)
        if seen and seen.changed_at > since:
            return target
    return None


def _made_from(pipeline: Pipeline, target: Target, today: date) -> Iterator[Target]:
    processor, day = pipeline.processors[target.processor], target.day
    if processor.run == "none":
        yield target
        return
    edges = {name: edge for name, edge in processor.upstream.items() if edge.version}
    if any(edge.own_day != "never" for edge in edges.values()):
        for name, edge in edges.items():
            if edge.reads_own_day(day < today):
                yield Target(name, day)
        return
    for name, edge in edges.items():
        for back in range(1, edge.lookback_days + 1):
            yield Target(name, day - timedelta(days=back))


def by_processor(acknowledged: Sequence[Acknowledged]) -> dict[str, list[Acknowledged]]:
    """What was said of each processor."""
    found: dict[str, list[Acknowledged]] = {}
    for word in acknowledged:
        found.setdefault(word.processor, []).append(word)
    return found
