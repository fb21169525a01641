"""Coverage: how much of what should be there is there, for any group of targets."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from gapless.declare.pipeline import Pipeline
from gapless.declare.processor import Processor
from gapless.engine import Look
from gapless.judge.verdicts import NOTHING
from gapless.model import IS_A_GAP, Seen, Verdict


class Coverage(NamedTuple):
    """Keys that should be there and those that are, over some targets."""

    expected: int = 0
    covered: int = 0
    targets: int = 0  # that something is expected of
    gaps: int = 0  # of these, the ones that ask for something

    @property
    def pct(self) -> float | None:
        """Share of the expected keys in percent, rounded down: never 100 while a key is missing or a gap is open."""
        if not self.expected:
            return None if not self.gaps else 0.0
        share = math.floor(1000 * self.covered / self.expected) / 10
        return min(share, 99.9) if self.gaps else share


def places(look: Look) -> range:
    """The days in scope as places in the look's columns."""
    first, scope = look.judgement.first, look.judgement.scope
    return range(max((scope.first - first).days, 0), (scope.last - first).days + 1)


def judged(look: Look, name: str, days: Iterable[int]) -> Iterator[tuple[int, Verdict, Seen]]:
    """The targets of a processor among some days, with what was seen of them."""
    verdicts = look.judgement.verdicts.get(name, ())
    column = look.observation.columns.get(name, ())
    for i in days:
        verdict = verdicts[i] if i < len(verdicts) else None
        if verdict is not None:
            yield i, verdict, column[i] or NOTHING


def has_data(p: Processor, seen: Seen) -> bool:
    """Whether the table holds the date: enough of the expected keys, or any row where nothing is expected."""
    if p.expect and seen.expected:
        return seen.covered > 0 and p.has_enough(seen.covered, seen.expected)
    return seen.rows > 0


def typical_keys(look: Look) -> dict[str, int]:
    """How many keys a date of each processor has on average, over everything that was looked at."""
    found = {}
    for name, column in look.observation.columns.items():
        known = [seen.expected for seen in column if seen and seen.expected]
        found[name] = round(sum(known) / len(known)) if known else 1
    return found


def coverage(
    pipeline: Pipeline, look: Look, names: Iterable[str], days: Sequence[int], typical: Mapping[str, int]
) -> Coverage:
    """The coverage of some processors on some days; sources of which nothing is expected are left out.

    What is expected of a gap behind a hole is not known. It counts as empty with its processor's `typical_keys`: else a
    layer would look complete because the one before it is not.
    """
    expected = covered = targets = gaps = 0
    for name in names:
        if not pipeline.processors[name].expect:
            continue
        for _, verdict, seen in judged(look, name, days):
            if not verdict.meaning.counts:
                continue
            is_gap = verdict in IS_A_GAP
            gaps += is_gap
            targets += is_gap or seen.expected > 0
            expected += seen.expected or is_gap * typical[name]
            covered += seen.covered
    return Coverage(expected, covered, targets, gaps)


def phases_of(pipeline: Pipeline, look: Look) -> dict[int, list[str]]:
    """The processors in scope by phase."""
    chosen = look.judgement.scope.processors
    found: dict[int, list[str]] = {}
    for name, p in pipeline.processors.items():
        if name in look.judgement.verdicts and (not chosen or name in chosen):
            found.setdefault(p.phase, []).append(name)
    return found
