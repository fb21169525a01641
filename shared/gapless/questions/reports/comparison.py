"""What run histories say, held against what the tables hold.

The tables decide. A history that says nothing came, where the table holds the date, is a tracking fault and no loss. A
loss is what the tables lack, whatever any history says; only that is worth a run.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from gapless.declare.pipeline import Pipeline
from gapless.declare.processor import Processor
from gapless.engine import Look
from gapless.judge.verdicts import NOTHING
from gapless.model import IS_A_GAP, Gap, Seen, Target, Verdict, from_micros
from gapless.questions.reports.coverage import has_data
from gapless.questions.reports.run_history import RunHistory, Tracked, Tracker, Word
from gapless.verdict import HAS_ITS_KEYS


class Confirmation(StrEnum):
    """How a history's word about one date stands against the table."""

    AGREES = "agrees"
    FAULT = "tracking fault"  # says nothing came; the table holds the date
    LOSS = "confirmed loss"  # the table lacks it, whatever is said
    UNCONFIRMED = "unconfirmed"  # says that rows were written; there are none, and none are expected
    WAITING = "not known yet"  # what should be there depends on a gap upstream
    NOT_COMPARED = "not compared"  # not among the dates that this table is about


class Refuted(NamedTuple):
    """A history's word that the table refutes."""

    target: Target
    told: Tracked
    seen: Seen
    units: int | None  # of work on that date, where there is a calendar

    @property
    def written_after(self) -> bool:
        """Whether rows of the date were published after the run had ended, so that its word may once have been true."""
        return self.told.ended_at is not None and self.seen.changed_at > self.told.ended_at.timestamp() * 1_000_000

    @property
    def written_at(self) -> datetime | None:
        return from_micros(self.seen.changed_at) if self.seen.changed_at else None


class Loss(NamedTuple):
    """A date that its table lacks, with what the histories say of it."""

    gap: Gap
    says: tuple[Tracked, ...]


@dataclass
class PerProcessor:
    """One processor's runs and what became of their dates."""

    runs: int = 0
    empty: int = 0  # runs that ended without a record, or failed
    faults: int = 0
    losses: int = 0
    never_ended: int = 0
    running: int = 0
    false_failures: int = 0


@dataclass
class Comparison:
    """Everything that comparing brought out."""

    findings: Mapping[Tracker, Counter[Confirmation]]
    faults: Sequence[Refuted]
    losses: Sequence[Loss]
    unconfirmed: Sequence[Refuted]
    waiting: Mapping[str, int]  # gaps of which it is not known what they lack, by processor
    spoilt: Mapping[str, int]  # gaps that hold their keys and have to be made anew, by processor
    processors: Mapping[str, PerProcessor]
    unknown: Mapping[str, int] = field(default_factory=dict)  # runs by names that are not declared
    undated: int = 0
    abandoned: Sequence[Target] = ()  # claims whose run ended without an outcome


def compare(pipeline: Pipeline, look: Look, history: RunHistory) -> Comparison:
    """Hold a run history against a look at the same dates."""
    comparing = _Comparing(pipeline, look)
    known = {told.processor: resolved(pipeline, told.processor) for told in history.told}
    for told in history.told:
        comparing.hear(told, known[told.processor])
    for gap in look.judgement.gaps:
        comparing.sort_out(gap)
    return comparing.result(history.undated)


class _Comparing:
    """Takes what is said and what is missing one by one, and adds it up."""

    def __init__(self, pipeline: Pipeline, look: Look) -> None:
        self._pipeline = pipeline
        self._look = look
        self._unknown: Counter[str] = Counter()
        self._findings: dict[Tracker, Counter[Confirmation]] = {teller: Counter() for teller in Tracker}
        self._processors: dict[str, PerProcessor] = {}
        self._faults: list[Refuted] = []
        self._unconfirmed: list[Refuted] = []
        self._said: dict[Target, list[Tracked]] = {}
        self._lost: dict[Target, Gap] = {}
        self._waiting: Counter[str] = Counter()
        self._spoilt: Counter[str] = Counter()

    def hear(self, told: Tracked, p: Processor | None) -> None:
        """One word of a teller about a processor, if there is such a processor and the date is in scope."""
        if p is None:
            self._unknown[told.processor] += told.runs
            return
        target = Target(p.name, told.day)
        if not self._look.judgement.scope.holds(target):
            return
        counted = self._of(p.name)
        _count(counted, told)
        self._said.setdefault(target, []).append(told)
        finding = _weigh(p, target, told, self._look)
        self._findings[told.teller][finding] += 1
        seen = self._look.observation.seen(target) or NOTHING
        if finding is Confirmation.FAULT:
            self._faults.append(Refuted(target, told, seen, self._units(told.day)))
            counted.faults += 1
        elif finding is Confirmation.UNCONFIRMED:
            self._unconfirmed.append(Refuted(target, told, seen, self._units(told.day)))
        elif finding is Confirmation.LOSS and not p.expect:
            self._lost[target] = Gap(target, Verdict.MISSING, seen, 0, None)

    def sort_out(self, gap: Gap) -> None:
        """A gap lacks something, has to be made anew, or it is not known what it lacks."""
        name = gap.target.processor
        if has_data(self._pipeline.processors[name], gap.seen):
            self._spoilt[name] += 1
        elif gap.seen.expected:
            self._lost[gap.target] = gap
        else:
            self._waiting[name] += 1

    def result(self, undated: int) -> Comparison:
        """Everything that was heard and sorted out; `undated` runs could not be compared."""
        for target in self._lost:
            self._of(target.processor).losses += 1
        return Comparison(
            findings=self._findings,
            faults=sorted(self._faults, key=_newest_first),
            losses=[Loss(self._lost[target], tuple(self._said.get(target, ()))) for target in sorted(self._lost)],
            unconfirmed=self._unconfirmed,
            waiting=self._waiting,
            spoilt=self._spoilt,
            processors={name: self._processors[name] for name in self._pipeline.processors if name in self._processors},
            unknown=self._unknown,
            undated=undated,
            abandoned=_abandoned(self._look),
        )

    def _of(self, name: str) -> PerProcessor:
        return self._processors.setdefault(name, PerProcessor())

    def _units(self, day: date) -> int | None:
        """The units of work that took place on a date; None where no calendar says."""
        if not self._pipeline.calendar:
            return None
        entry = self._look.observation.day(day)
        return entry.final if entry else 0


def _newest_first(fault: Refuted) -> tuple[int, str]:
    return -fault.target.day.toordinal(), fault.target.processor


def resolved(pipeline: Pipeline, name: str) -> Processor | None:
    """The processor that a tracker means: by name, short name, table, or the name of its class."""
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
    wanted = {name.lower(), snake, snake.removesuffix("_processor")}
    for p in pipeline.processors.values():
        if wanted & {p.name, p.alias.lower(), p.table, p.table.split(".")[1]} - {""}:
            return p
    return None


def _count(counted: PerProcessor, told: Tracked) -> None:
    counted.runs += told.runs
    counted.empty += told.empty
    counted.never_ended += told.never_ended
    counted.running += told.running
    counted.false_failures += told.false_failures


def _weigh(p: Processor, target: Target, told: Tracked, look: Look) -> Confirmation:
    verdict = look.judgement.verdict(target)
    if verdict is None:
        return Confirmation.NOT_COMPARED
    seen = look.observation.seen(target) or NOTHING
    if has_data(p, seen):
        return Confirmation.FAULT if _is_refuted(told, verdict) else Confirmation.AGREES
    if verdict in IS_A_GAP:
        return Confirmation.LOSS if seen.expected else Confirmation.WAITING
    if told.says_data and not seen.rows and verdict is not Verdict.ACKNOWLEDGED:
        # A source of which nothing is expected by rule: what its tracker counted is all that there is to go by.
        return Confirmation.UNCONFIRMED if p.expect else Confirmation.LOSS
    return Confirmation.AGREES


def _is_refuted(told: Tracked, verdict: Verdict) -> bool:
    """Whether it says of a date that the table holds that nothing came of it."""
    if told.is_running:
        return False
    says_nothing = told.records == 0 or told.word in (Word.NOTHING, Word.NEVER_ENDED)
    return says_nothing or (told.word is Word.FAILED and verdict in HAS_ITS_KEYS)


def _abandoned(look: Look) -> list[Target]:
    """Targets whose newest claim has no outcome, though nobody can be at work on them any more."""
    held = look.judgement.scope.holds
    return sorted(
        target
        for target, history in look.observation.ledger.history.items()
        if history.is_open and held(target) and not history.is_held(look.at)
    )


def runs_of_days(losses: Sequence[Loss]) -> list[list[Loss]]:
    """Losses of one processor and verdict, with the same words said of them, whose dates are close, as groups."""
    found: dict[tuple[str, Verdict, str], list[list[Loss]]] = {}
    for loss in losses:
        groups = found.setdefault((loss.gap.target.processor, loss.gap.verdict, says(loss.says)), [])
        if groups and loss.gap.target.day - groups[-1][-1].gap.target.day <= timedelta(days=7):
            groups[-1].append(loss)
        else:
            groups.append([loss])
    together = [group for groups in found.values() for group in groups]
    return sorted(together, key=lambda group: (group[0].gap.target.day, group[0].gap.target.processor))


def says(told: Sequence[Tracked]) -> str:
    """What the histories say of a date, without the numbers of records other than none."""
    return "; ".join(f"{each.teller}: {_word(each)}" for each in told) or "no run"


def _word(told: Tracked) -> str:
    if told.is_running:
        return "running"
    return f"{told.word}, 0 records" if told.records == 0 else str(told.word)


def span(group: Sequence[Loss]) -> tuple[date, date]:
    """The first and last date of a group."""
    return group[0].gap.target.day, group[-1].gap.target.day
