"""Repeated failures, grouped by cause, and whether things get better: pure, from the ledger's outcomes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import NamedTuple

from gapless.model import Target
from gapless.questions.reports.run_history import DayOfRuns, Failure

# What differs between two failures of one cause: names of jobs and runs, times, dates, numbers.
_VARIABLE = (
    (re.compile(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", re.I), "ID"),
    (re.compile(r"\bgapless-[\w-]*\d[\w-]*"), "ID"),
    (re.compile(r"\b(?=[0-9a-f]*\d)(?=[0-9a-f]*[a-f])[0-9a-f]{8,}\b", re.I), "ID"),
    (re.compile(r"\b\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:?\d{2})?)?"), "DATE"),
    (re.compile(r"(?<![\w.])-?\d[\d,]*(\.\d+)?"), "N"),
    (re.compile(r"(?<=[_-])\d+\b"), "N"),
    (re.compile(r"\s+"), " "),
)
_LONGEST = 300


@dataclass(frozen=True)
class RepeatedFailure:
    """Failures that say the same, whatever their processor and date."""

    text: str
    category: str
    permanent: bool
    processors: tuple[str, ...]
    times: int
    first_seen: datetime
    last_seen: datetime
    targets: frozenset[Target]
    open: frozenset[Target]  # of these, the ones that their tables still lack
    example: str

    @property
    def resolved(self) -> bool:
        return not self.open


def cause_of(text: str) -> str:
    """An error's text without what differs from one failure to the next."""
    for pattern, instead in _VARIABLE:
        text = pattern.sub(instead, text)
    text = text.strip()
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def causes(failures: Iterable[Failure], still_open: Set[Target]) -> list[RepeatedFailure]:
    """Failures by cause, open ones and frequent ones first; `still_open` is what the tables were seen to lack."""
    groups: dict[tuple[str, str, bool], list[Failure]] = {}
    for failure in failures:
        groups.setdefault((cause_of(failure.text), failure.category, failure.permanent), []).append(failure)
    found = []
    for (text, category, permanent), members in groups.items():
        newest = max(members, key=lambda failure: failure.last_seen)
        targets: set[Target] = set()
        waiting: set[Target] = set()
        for each in members:
            targets.update(Target(each.processor, day) for day in each.days)
            waiting.update(Target(each.processor, day) for day in each.open_days)
        found.append(
            RepeatedFailure(
                text=text or "no text",
                category=category,
                permanent=permanent,
                processors=tuple(sorted({each.processor for each in members})),
                times=sum(each.times for each in members),
                first_seen=min(each.first_seen for each in members),
                last_seen=newest.last_seen,
                targets=frozenset(targets),
                open=frozenset(waiting & still_open),
                example=newest.text,
            )
        )
    return sorted(found, key=lambda cause: (cause.resolved, -cause.times, cause.text))


# -- the trend ---------------------------------------------------------------------------------------------------------


class Half(NamedTuple):
    """The outcomes of one half of a range of days."""

    first: date
    last: date
    targets: int = 0
    complete: int = 0
    failed: int = 0  # partial ones too
    coverage_pct: float | None = None

    @property
    def complete_pct(self) -> float | None:
        return 100.0 * self.complete / self.targets if self.targets else None


def halves(first: date, last: date) -> tuple[tuple[date, date], tuple[date, date]]:
    """A range of days cut in two; the second half is the longer one where they differ."""
    middle = first + timedelta(days=((last - first).days + 1) // 2)
    return (first, middle - timedelta(days=1)), (middle, last)


def half(days: Sequence[DayOfRuns], first: date, last: date) -> Half:
    """What the days from first to last came to."""
    chosen = [day for day in days if first <= day.day <= last]
    return Half(
        first=first,
        last=last,
        targets=sum(day.targets for day in chosen),
        complete=sum(day.complete for day in chosen),
        failed=sum(day.partial + day.failed for day in chosen),
        coverage_pct=_mean_coverage(chosen),
    )


def _mean_coverage(days: Sequence[DayOfRuns]) -> float | None:
    """The mean over all targets of the days of which a coverage is known."""
    total, weight = 0.0, 0
    for day in days:
        if day.coverage_pct is not None:
            total += day.coverage_pct * day.targets
            weight += day.targets
    return total / weight if weight else None


def newest_between(counts: Mapping[date, int], first: date, last: date) -> int | None:
    """The count of the newest day in a range that has one."""
    days = [day for day in counts if first <= day <= last]
    return counts[max(days)] if days else None


def direction(before: float | None, after: float | None, *, more_is_better: bool) -> str | None:
    """An arrow in words: better, worse or level; which side is unknown, or None for both."""
    if before is None or after is None:
        return "nothing before" if after is not None else "nothing lately" if before is not None else None
    if abs(after - before) < 0.05:
        return "→ level"
    up = after > before
    return f"{'↑' if up else '↓'} {'better' if up == more_is_better else 'worse'}"
