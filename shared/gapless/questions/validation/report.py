"""What a validation found, as values: faults of single targets, folded into findings, and one answer per check."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import NamedTuple

from gapless.engine import Look
from gapless.judge.remedies import Remedy
from gapless.model import Target
from gapless.questions.classify import Category


class Check(StrEnum):
    """One question to a range of dates."""

    COVERAGE = "coverage"
    QUALITY = "quality"
    CASCADE = "cascade"
    CONSISTENCY = "consistency"
    HISTORY = "history"


class Severity(StrEnum):
    """What a finding means for the answer: a failure, something to look at, or nothing."""

    CRITICAL = "critical"
    WARNING = "warning"
    EXPECTED = "expected"


class Fault(NamedTuple):
    """One thing that is wrong with one target, or absent from it and not missed."""

    check: Check
    rule: str
    severity: Severity
    category: Category
    target: Target
    expected: int
    found: int
    evidence: str
    remedy: Remedy
    follows: bool  # from a fault that this validation has, too


@dataclass(frozen=True)
class Finding:
    """The same fault on dates that follow each other, nothing sound between them."""

    check: Check
    rule: str
    severity: Severity
    category: Category
    processor: str
    days: tuple[date, ...]
    expected: int
    found: int
    evidence: str  # of the worst date
    remedy: Remedy  # of all the dates, from that at which work begins first
    follows: bool  # from another finding, and is repaired with it

    @property
    def first(self) -> date:
        return self.days[0]

    @property
    def last(self) -> date:
        return self.days[-1]


@dataclass(frozen=True)
class CheckAnswer:
    """What one check said."""

    check: Check
    examined: int
    unit: str  # of what was examined
    critical: int
    warnings: int
    expected: int

    def passed(self, *, strict: bool = False) -> bool:
        """Whether nothing is wrong; `strict` counts warnings too."""
        return not self.critical and not (strict and self.warnings)


@dataclass(frozen=True)
class ValidationReport:
    """A validation of a range of dates."""

    look: Look
    processors: tuple[str, ...]  # the ones that were asked about
    first: date
    last: date
    answers: tuple[CheckAnswer, ...]
    findings: tuple[Finding, ...]  # the critical ones first, what follows from others last, upstream first
    absences: tuple[Finding, ...]  # what is expected to be absent
    notes: tuple[str, ...] = ()

    def passed(self, *, strict: bool = False) -> bool:
        """Whether every check passed."""
        return all(answer.passed(strict=strict) for answer in self.answers)


def folded(faults: Iterable[Fault], places: Mapping[str, Mapping[date, int]], order: Sequence[str]) -> list[Finding]:
    """Faults as findings. `places` numbers each processor's dates: same and next number follow each other."""
    ranks = {name: rank for rank, name in enumerate(order)}
    kinds = {kind: rank for rank, kind in enumerate((*Severity, *Check))}

    def of_a_kind(fault: Fault) -> tuple[object, ...]:
        remedy = fault.remedy
        return (
            kinds[fault.severity], kinds[fault.check], ranks[fault.target.processor], fault.rule, fault.category,
            fault.follows, remedy.kind, remedy.at.processor,
        )  # fmt: skip

    runs: list[list[Fault]] = []
    before: tuple[object, ...] = ()
    for fault in sorted(faults, key=lambda f: (of_a_kind(f), f.target.day)):
        kind, place = of_a_kind(fault), places[fault.target.processor]
        if kind == before and place[fault.target.day] <= place[runs[-1][-1].target.day] + 1:
            runs[-1].append(fault)
        else:
            runs.append([fault])
        before = kind
    found = [_finding(run) for run in runs]
    return sorted(found, key=lambda f: (kinds[f.severity], f.follows, ranks[f.processor], f.first, kinds[f.check]))


def _finding(run: Sequence[Fault]) -> Finding:
    fault = run[0]
    worst = max(run, key=lambda f: abs(f.found - f.expected) / max(f.expected, 1))
    return Finding(
        fault.check, fault.rule, fault.severity, fault.category, fault.target.processor,
        tuple(dict.fromkeys(f.target.day for f in run)), sum(f.expected for f in run), sum(f.found for f in run),
        f"{worst.target.day}: {worst.evidence}" if len(run) > 1 else worst.evidence,
        min((f.remedy for f in run), key=lambda remedy: remedy.at.day).over(fault.target.day, run[-1].target.day),
        fault.follows,
    )  # fmt: skip
