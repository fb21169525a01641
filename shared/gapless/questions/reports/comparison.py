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
from gapless.questions.reports.run_history import RunHistory, Teller, Told, Word
from gapless.verdict import HAS_ITS_KEYS


class Finding(StrEnum):
    """How a history's word about one date stands against the table."""

    AGREES = "agrees"
    FAULT = "tracking fault"  # says nothing came; the table holds the date
    LOSS = "confirmed loss"  # the table lacks it, whatever is said
    UNCONFIRMED = "unconfirmed"  # says that rows were written; there are none, and none are expected
    WAITING = "not known yet"  # what should be there depends on a gap upstream
    NOT_COMPARED = "not compared"  # not among the dates that this table is about


class Fault(NamedTuple):
    """A history's word that the table refutes."""

    target: Target
    told: Told
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
    says: tuple[Told, ...]


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

    findings: Mapping[Teller, Counter[Finding]]
    faults: Sequence[Fault]
    losses: Sequence[Loss]
    unconfirmed: Sequence[Fault]
    waiting: Mapping[str, int]  # gaps of which it is not known what they lack, by processor
    spoilt: Mapping[str, int]  # gaps that hold their keys and have to be made anew, by processor
    processors: Mapping[str, PerProcessor]
    unknown: Mapping[str, int] = field(default_factory=dict)  # runs by names that are not declared
    undated: int = 0
    abandoned: Sequence[Target] = ()  # claims whose run ended without an outcome


def compare(pipeline: Pipeline, look: Look, history: RunHistory) -> Comparison:
    """Hold a run history against a look at the same dates."""
    unknown: Counter[str] = Counter()
    findings: dict[Teller, Counter[Finding]] = {teller: Counter() for teller in Teller}
    processors: dict[str, PerProcessor] = {}
    faults: list[Fault] = []
    unconfirmed: list[Fault] = []
    said: dict[Target, list[Told]] = {}
    lost: dict[Target, Gap] = {}
    scope = look.judgement.scope
    known = {told.processor: resolved(pipeline, told.processor) for told in history.told}
    for told in history.told:
        p = known[told.processor]
        if p is None:
            unknown[told.processor] += told.runs
            continue
        target = Target(p.name, told.day)
        if not scope.holds(target):
            continue
        counted = processors.setdefault(p.name, PerProcessor())
        _count(counted, told)
        said.setdefault(target, []).append(told)
        finding = _weigh(p, target, told, look)
        findings[told.teller][finding] += 1
        seen = look.observation.seen(target) or NOTHING
        entry = look.observation.day(told.day)
        units = (entry.final if entry else 0) if pipeline.calendar else None
        if finding is Finding.FAULT:
            faults.append(Fault(target, told, seen, units))
            counted.faults += 1
        elif finding is Finding.UNCONFIRMED:
            unconfirmed.append(Fault(target, told, seen, units))
        elif finding is Finding.LOSS and not p.expect:
            lost[target] = Gap(target, Verdict.MISSING, seen, 0, None)
    waiting: Counter[str] = Counter()
    spoilt: Counter[str] = Counter()
    for gap in look.judgement.gaps:
        if has_data(pipeline.processors[gap.target.processor], gap.seen):
            spoilt[gap.target.processor] += 1
        elif gap.seen.expected:
            lost[gap.target] = gap
        else:
            waiting[gap.target.processor] += 1
    for target in lost:
        processors.setdefault(target.processor, PerProcessor()).losses += 1
    newest_first = sorted(faults, key=lambda fault: (-fault.target.day.toordinal(), fault.target.processor))
    return Comparison(
        findings, newest_first,
        [Loss(lost[target], tuple(said.get(target, ()))) for target in sorted(lost)],
        unconfirmed, waiting, spoilt,
        {name: processors[name] for name in pipeline.processors if name in processors},
        unknown, history.undated, _abandoned(look),
    )  # fmt: skip


def resolved(pipeline: Pipeline, name: str) -> Processor | None:
    """The processor that a tracker means: by name, short name, table, or the name of its class."""
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
    wanted = {name.lower(), snake, snake.removesuffix("_processor")}
    for p in pipeline.processors.values():
        if wanted & {p.name, p.alias.lower(), p.table, p.table.split(".")[1]} - {""}:
            return p
    return None


def _count(counted: PerProcessor, told: Told) -> None:
    counted.runs += told.runs
    counted.empty += told.empty
    counted.never_ended += told.never_ended
    counted.running += told.running
    counted.false_failures += told.false_failures


def _weigh(p: Processor, target: Target, told: Told, look: Look) -> Finding:
    verdict = look.judgement.verdict(target)
    if verdict is None:
        return Finding.NOT_COMPARED
    seen = look.observation.seen(target) or NOTHING
    if has_data(p, seen):
        if told.is_running:
            return Finding.AGREES
        says_nothing = told.records == 0 or told.word in (Word.NOTHING, Word.NEVER_ENDED)
        return (
            Finding.FAULT if says_nothing or (told.word is Word.FAILED and verdict in HAS_ITS_KEYS) else Finding.AGREES
        )
    if verdict in IS_A_GAP:
        return Finding.LOSS if seen.expected else Finding.WAITING
    if told.says_data and not seen.rows and verdict is not Verdict.ACKNOWLEDGED:
        # A source of which nothing is expected by rule: what its tracker counted is all that there is to go by.
        return Finding.UNCONFIRMED if p.expect else Finding.LOSS
    return Finding.AGREES


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


def says(told: Sequence[Told]) -> str:
    """What the histories say of a date, without the numbers of records other than none."""
    return "; ".join(f"{each.teller}: {_word(each)}" for each in told) or "no run"


def _word(told: Told) -> str:
    if told.is_running:
        return "running"
    return f"{told.word}, 0 records" if told.records == 0 else str(told.word)


def span(group: Sequence[Loss]) -> tuple[date, date]:
    """The first and last date of a group."""
    return group[0].gap.target.day, group[-1].gap.target.day
