"""Classify: which kind of trouble a target is in, in the words of operators. Pure; reads a look.

A verdict says what is to be done about a target, a category says how it came about. Four are those of the guide that
was written after December 2021: rows built on missing input (`cascading`), rows for what was postponed
(`stale_scheduled`), the first days of a period (`bootstrap`), dates that nothing ever filled (`true_gap`). Rows that
somebody changed or repeated are `damaged`. What is expected to be absent has categories of its own, and is no fault.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from enum import StrEnum
from typing import NamedTuple

from gapless.declare.pipeline import Pipeline
from gapless.declare.processor import Processor
from gapless.engine import Look
from gapless.judge.verdicts import NOTHING, civil_today
from gapless.model import IS_A_GAP, Day, Seen, Target, Verdict

LATE_START_DAYS = 7  # after the first days, a processor that needs more history than others may begin so much later


class Category(StrEnum):
    """How a target came to be as it is."""

    TRUE_GAP = "true_gap"
    CASCADING = "cascading"
    DAMAGED = "damaged"
    STALE_SCHEDULED = "stale_scheduled"
    UNTRACKED = "untracked"  # no run ever recorded anything for it
    BOOTSTRAP = "bootstrap"
    LATE_START = "late_start"  # its own rule expects nothing yet, a few days longer than that of others
    LAG = "lag"  # its date is not over, or its table is normally filled some days later
    NOT_DUE = "not_due"
    ACKNOWLEDGED = "acknowledged"


EXPECTED = frozenset({Category.BOOTSTRAP, Category.LATE_START, Category.LAG, Category.NOT_DUE, Category.ACKNOWLEDGED})


class Classifier:
    """Knows the category of every target in a look, and where the trouble of those that wait begins."""

    def __init__(self, pipeline: Pipeline, look: Look) -> None:
        self.pipeline = pipeline
        self.look = look
        self.today = civil_today(pipeline, look.at)
        self._roots: dict[Target, Target] = {}
        self._early: dict[str, int] = {}  # first days of a period in which a processor, or what it reads, has nothing
        for p in pipeline.processors.values():
            self._early[p.name] = max((p.bootstrap_days, *(self._early[name] for name in p.upstream)))

    def seen(self, target: Target) -> Seen:
        return self.look.observation.seen(target) or NOTHING

    def day(self, day: date) -> Day | None:
        """What the calendar says of a date."""
        return self.look.observation.day(day)

    def verdict(self, target: Target) -> Verdict | None:
        return self.look.judgement.verdict(target)

    def category(self, target: Target) -> Category | None:
        """The category of a target; None where nothing is wrong and nothing absent."""
        verdict = self.verdict(target)
        if verdict is Verdict.BOOTSTRAP:
            return self._beginning(target)
        if verdict is Verdict.PHANTOM:
            return Category.STALE_SCHEDULED
        if verdict is Verdict.NOT_DUE:
            return Category.NOT_DUE
        if verdict is Verdict.ACKNOWLEDGED:
            return Category.ACKNOWLEDGED
        if verdict not in IS_A_GAP:
            return None
        p, seen = self.pipeline.processors[target.processor], self.seen(target)
        if target.day > self.today or (self.is_short(p, seen) and self._lags(p, target)):
            return Category.LAG
        if verdict is Verdict.BLOCKED:
            return Category.CASCADING
        if not seen.covered:
            return Category.TRUE_GAP
        if seen.suspect:
            return Category.CASCADING
        if seen.altered or seen.duplicates:
            return Category.DAMAGED
        return Category.TRUE_GAP if self.is_short(p, seen) else Category.CASCADING

    @staticmethod
    def is_short(p: Processor, seen: Seen) -> bool:
        """Whether fewer keys are there than the processor's gate asks for, or none at all."""
        return not seen.rows or not p.has_enough(seen.covered, seen.expected)

    def _lags(self, p: Processor, target: Target) -> bool:
        return target.day > self.today - timedelta(days=p.lag_days)

    def _beginning(self, target: Target) -> Category | None:
        """Why nothing is there and nothing is missed: the period's first days, or a rule that expects nothing."""
        day = self.day(target.day)
        since = (target.day - day.opening).days if day and day.opening else 0
        early = self._early[target.processor]
        if since < early:
            return Category.BOOTSTRAP
        if since < early + LATE_START_DAYS:
            return Category.LATE_START
        # Later in a period a date with units of work on which nothing is expected follows from something upstream.
        return Category.CASCADING if day and day.final else None

    def root(self, target: Target) -> Target:
        """Where the trouble of a target begins: itself, or what it waits for, over any number of steps.

        Of several the one that is no expected absence.
        """
        if self.verdict(target) is not Verdict.BLOCKED:
            return target
        found = self._roots.get(target)
        if found is None:
            self._roots[target] = target  # for good measure: what a target reads cannot wait for it
            roots = (self.root(cause) for cause in self._causes(target))
            first = next(roots, target)
            found = (
                first
                if self.category(first) not in EXPECTED
                else next((other for other in roots if self.category(other) not in EXPECTED), first)
            )
            self._roots[target] = found
        return found

    def waits_for_expected(self, target: Target) -> bool:
        """Whether a target waits for nothing but what is expected to be absent."""
        root = self.root(target)
        return root != target and self.category(root) in EXPECTED

    def _causes(self, target: Target) -> Iterator[Target]:
        """What a blocked target waits for: of its own date, else in its look-back windows, the newest first."""
        edges = self.pipeline.processors[target.processor].upstream.items()
        own = [
            Target(name, target.day)
            for name, edge in edges
            if edge.reads_own_day(target.day < self.today)
            and not self.pipeline.processors[name].optional
            and self.verdict(Target(name, target.day)) in IS_A_GAP | {Verdict.NOT_DUE}
        ]
        yield from own
        if own:
            return
        for name, edge in edges:
            if self.pipeline.processors[name].optional or not edge.version:
                continue
            for back in range(1, edge.lookback_days + 1):
                cause = Target(name, target.day - timedelta(days=back))
                if self.verdict(cause) in IS_A_GAP:
                    yield cause
                    break


class DayLine(NamedTuple):
    """One date as the guide's table of December 2021 has it."""

    day: date
    scheduled: int
    final: int
    status: str  # ok, postponed, partial, open, or that there are no units of work
    data: str  # ok, stale, missing, partial, wrong, none
    issue: str
    processors: tuple[str, ...] = ()  # the ones that the issue is about


def by_date(classifier: Classifier, names: Sequence[str], first: date, last: date) -> list[DayLine]:
    """Every date with units of work, or with rows where there were none, and the worst that is the matter there."""
    lines = []
    for offset in range((last - first).days + 1):
        day = first + timedelta(days=offset)
        targets = [
            target
            for target in (Target(name, day) for name in names)
            if classifier.verdict(target) not in (None, Verdict.OFF_DAY)
        ]
        if targets or classifier.day(day):
            lines.append(_line(classifier, day, targets))
    return lines


def _line(classifier: Classifier, day: date, targets: Sequence[Target]) -> DayLine:
    known = classifier.day(day)
    scheduled, final = (known.scheduled, known.final) if known else (0, 0)
    status = _status(classifier.pipeline, known, is_open=day >= classifier.today and final < scheduled)
    categories = {target: classifier.category(target) for target in targets}
    worst = next((category for category in Category if category in categories.values()), None)
    if worst is None:
        data = "ok" if any(classifier.seen(target).rows for target in targets) else "none"
        return DayLine(day, scheduled, final, status, data, "none")
    concerned = [target for target, category in categories.items() if category is worst]
    data, issue = _matter(classifier.pipeline, worst, [classifier.seen(target) for target in concerned])
    return DayLine(day, scheduled, final, status, data, issue, tuple(target.processor for target in concerned))


def _status(pipeline: Pipeline, known: Day | None, *, is_open: bool) -> str:
    """How the units of work of a date went."""
    if is_open:
        return "open"
    if known is None:
        return f"no {pipeline.words.unit}" if pipeline.calendar else "no calendar"
    if not known.final:
        return "postponed"
    return "ok" if known.final == known.scheduled else "partial"


def _matter(pipeline: Pipeline, worst: Category, concerned: Sequence[Seen]) -> tuple[str, str]:
    """The state of a date's data and the issue with it, from what was seen of the targets that it concerns."""
    if worst is Category.TRUE_GAP and all(seen.covered for seen in concerned):
        least = min(seen.coverage_pct for seen in concerned)
        return "partial", f"{least:.0f} % complete"
    return {
        Category.TRUE_GAP: ("missing", "true gap"),
        Category.CASCADING: ("wrong", "cascading"),
        Category.DAMAGED: ("wrong", "damaged"),
        Category.STALE_SCHEDULED: ("stale", f"data for no {pipeline.words.unit}"),
    }.get(worst, ("none", str(worst).replace("_", " ")))
