"""Validation: five questions to a range of dates, answered from one look and two more queries.

Coverage, cascade and consistency, and what the look knows of single rows, follow from the look that every command
takes. Quality counts what the declaration says of columns, in one query over all tables; history compares with the
ledger, in one query. However many dates, tables and checks, that is three jobs at most. Nothing is changed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import date, timedelta

from gapless.declare.pipeline import Pipeline
from gapless.engine import Engine, Look
from gapless.errors import BadInput, Storm
from gapless.judge.acknowledged import holds
from gapless.judge.verdicts import civil_today
from gapless.model import IS_A_GAP, Policy, Scope, Target, Verdict
from gapless.plan.planner import plan
from gapless.questions.classify import EXPECTED, Category, Classifier
from gapless.questions.validation import history, quality
from gapless.questions.validation.report import (
    Check,
    CheckAnswer,
    Fault,
    Finding,
    Severity,
    ValidationReport,
    folded,
)
from gapless.questions.validation.tables import Tables
from gapless.verdict import Repair
from gapless.warehouse.ports import Param, Warehouse

__all__ = ["Check", "CheckAnswer", "Finding", "Repair", "Severity", "ValidationReport", "read_by", "validate"]


@dataclass(frozen=True)
class Reach:
    """What a later phase reads for a range: per processor, how many days before it."""

    phase: int
    days: Mapping[str, int]

    @property
    def longest(self) -> int:
        return max(self.days.values())


@dataclass(frozen=True)
class Rest:
    """What the look does not tell."""

    counted: Mapping[str, quality.CountedTable]
    earlier: Mapping[Target, history.Earlier]


def read_by(pipeline: Pipeline, phase: int, processors: Collection[str] = ()) -> Reach:
    """What a phase reads of the phases before it, of the given processors or of all; raises `BadInput` for nothing."""
    pipeline.select((), (phase,))
    days: dict[str, int] = {}
    for p in pipeline.processors.values():
        for name, edge in p.upstream.items() if p.phase == phase else ():
            if pipeline.processors[name].phase < phase and (not processors or name in processors):
                days[name] = max(days.get(name, 0), edge.lookback_days)
    if not days:
        raise BadInput(f"phase {phase} reads nothing of what you chose; its upstream: {_upstream(pipeline, phase)}")
    return Reach(phase, days)


def _upstream(pipeline: Pipeline, phase: int) -> str:
    names = {name: None for p in pipeline.processors.values() if p.phase == phase for name in p.upstream}
    return ", ".join(name for name in names if pipeline.processors[name].phase < phase) or "nothing"


def validate(
    engine: Engine, warehouse: Warehouse, scope: Scope, checks: Collection[Check] = tuple(Check),
    reach: Reach | None = None,
) -> ValidationReport:  # fmt: skip
    """Ask the checks about a scope; with `reach`, about what a later phase reads for it, look-back windows included."""
    pipeline = engine.pipeline
    if reach:
        first = scope.first - timedelta(days=min(reach.longest, (scope.first - date.min).days))
        scope = replace(scope, first=first, processors=frozenset(reach.days))
    with ThreadPoolExecutor() as pool:  # three jobs at a time, of which the look takes longest
        counted = pool.submit(_counted, pipeline, warehouse, scope) if Check.QUALITY in checks else None
        earlier = pool.submit(_earlier, engine, warehouse, scope) if Check.HISTORY in checks else None
        look = engine.scan(replace(scope, processors=_seen_with(pipeline, scope, checks)))
        tables = Tables(Classifier(pipeline, look), _wanted(scope, reach))
        rest = Rest(counted.result() if counted else {}, earlier.result() if earlier else {})
    said = [_ask(check, tables, rest) for check in Check if check in checks]
    findings = folded((fault for _, faults in said for fault in faults), _places(look), list(pipeline.processors))
    return ValidationReport(
        look, tuple(name for name in look.observation.columns if not scope.processors or name in scope.processors),
        max(scope.first, look.judgement.first), scope.last, tuple(answer for answer, _ in said),
        tuple(f for f in findings if f.severity is not Severity.EXPECTED),
        tuple(f for f in findings if f.severity is Severity.EXPECTED),
        tuple(_notes(tables, reach)),
    )  # fmt: skip


def _ask(check: Check, tables: Tables, rest: Rest) -> tuple[CheckAnswer, list[Fault]]:
    """One check's answer, and the faults behind it."""
    examined, unit = len(tables.targets), "targets"
    if check is Check.COVERAGE:
        faults = list(tables.coverage())
    elif check is Check.QUALITY:
        faults = [*tables.damage(), *_of_columns(tables, rest.counted)]
        examined, unit = sum(len(counted.columns) for counted in rest.counted.values()), "columns"
    elif check is Check.CASCADE:
        faults = list(tables.cascade())
    elif check is Check.CONSISTENCY:
        faults = list(tables.consistency())
        examined, unit = len(tables.rules), "rules"
    else:
        faults = list(_losses(tables, rest.earlier))
        examined, unit = sum(map(tables.wanted, rest.earlier)), "outcomes"
    of = Counter(fault.severity for fault in faults)
    answer = CheckAnswer(check, examined, unit, of[Severity.CRITICAL], of[Severity.WARNING], of[Severity.EXPECTED])
    return answer, faults


def _seen_with(pipeline: Pipeline, scope: Scope, checks: Collection[Check]) -> frozenset[str]:
    """The processors of a scope, with those that a rule compares them with."""
    if not scope.processors or Check.CONSISTENCY not in checks:
        return scope.processors
    partners = {rule.processors[1] for rule in pipeline.consistency if rule.processors[0] in scope.processors}
    return scope.processors | partners


def _wanted(scope: Scope, reach: Reach | None) -> Callable[[Target], bool]:
    if reach is None:
        return scope.holds
    begins = {name: scope.first + timedelta(days=reach.longest - days) for name, days in reach.days.items()}
    return lambda target: scope.holds(target) and target.day >= begins[target.processor]


def _places(look: Look) -> dict[str, dict[date, int]]:
    """Per processor its dates, numbered: one on which it has no business has the number of the one before it."""
    places: dict[str, dict[date, int]] = {}
    for name, column in look.judgement.verdicts.items():
        number, numbered = 0, {}
        for i, verdict in enumerate(column):
            number += verdict is not None and verdict is not Verdict.OFF_DAY
            numbered[look.judgement.first + timedelta(days=i)] = number
        places[name] = numbered
    return places


def _notes(tables: Tables, reach: Reach | None) -> Iterator[str]:
    pipeline, look = tables.pipeline, tables.look
    if reach:
        read = ", ".join(f"{name} {days}" for name, days in reach.days.items())
        yield f"what phase {reach.phase} reads, so many days back: {read}"
    if not tables.targets:
        yield "nothing is due in these dates, so there was nothing to check"
    if look.judgement.gaps:
        try:
            plan(pipeline, look.judgement, look.observation.ledger, Policy(), look.at)
        except Storm as storm:
            yield f"apply will refuse at first: {storm}"


# -- the two other queries -------------------------------------------------------------------------------------------


def _counted(pipeline: Pipeline, warehouse: Warehouse, scope: Scope) -> Mapping[str, quality.CountedTable]:
    chosen = [
        p
        for p in pipeline.processors.values()
        if (not scope.processors or p.name in scope.processors) and quality.can_be_judged(p)
    ]
    if not chosen:
        return {}
    first = scope.first - timedelta(days=min(quality.BASELINE_DAYS, (scope.first - date.min).days))
    answer = warehouse.rows(quality.statement(chosen), {"first": first, "last": scope.last}, purpose="quality")
    return quality.parse(pipeline, answer)


def _of_columns(tables: Tables, counted: Mapping[str, quality.CountedTable]) -> Iterator[Fault]:
    """What is wrong with columns, as faults of the targets that were asked about."""
    for flaw in quality.flaws(tables.pipeline, counted):
        # no verdict: none of the processor's business any more, such as a past date of a table about days to come
        if tables.wanted(flaw.target) and tables.classifier.verdict(flaw.target):
            # zeros are what a row has that was built without its input
            cascades = tables.classifier.category(flaw.target) is Category.CASCADING
            yield tables.fault(
                Check.QUALITY, flaw.rule, flaw.target, flaw.rows, flaw.rows - flaw.bad, flaw.evidence,
                category=Category.CASCADING if cascades else Category.DAMAGED, own_rows=True,
            )  # fmt: skip


def _earlier(engine: Engine, warehouse: Warehouse, scope: Scope) -> Mapping[Target, history.Earlier]:
    pipeline = engine.pipeline
    today = civil_today(pipeline, engine.clock())
    params: dict[str, Param] = {
        "first": scope.first, "last": scope.last, "today": today, "zone": pipeline.timezone.key,
    }  # fmt: skip
    return history.parse(warehouse.rows(history.statement(pipeline.ledger), params, purpose="history"))


def _losses(tables: Tables, earlier: Mapping[Target, history.Earlier]) -> Iterator[Fault]:
    """Targets that hold much less than they did, and targets that no run ever recorded anything for."""
    pipeline, classifier = tables.pipeline, tables.classifier
    asked = {t: best for t, best in earlier.items() if tables.wanted(t) and classifier.verdict(t)}
    drops = {
        target: best
        for target, best in asked.items()
        if not pipeline.processors[target.processor].has_enough(_keys(classifier, target), best.keys)
    }
    for target, best in drops.items():
        now = _keys(classifier, target)
        text = f"{now:,} keys now, {best.keys:,} when run {best.run} landed on {best.at:%Y-%m-%d %H:%M} UTC"
        severity, category, remedy = None, None, None
        begins = _begins(pipeline, target, drops)
        if _given_up(tables.look, target, classifier.today):
            severity, category = Severity.EXPECTED, Category.ACKNOWLEDGED
            remedy = tables.made(Repair.NOTHING, target)
        elif begins != target:
            gone = classifier.verdict(begins) in IS_A_GAP
            category, remedy = Category.CASCADING, tables.remedy(begins) if gone else tables.made(Repair.LOOK, begins)
            text += f"; it began with {begins}"
        elif classifier.verdict(target) not in IS_A_GAP:
            category, remedy = Category.CASCADING, tables.made(Repair.LOOK, target)
            text += ". No more are expected now: a source lost rows, or was corrected"
        yield tables.fault(
            Check.HISTORY, "fewer than before", target, best.keys, now, text, severity, category, remedy
        )  # fmt: skip
    told = tables.look.observation.ledger.history
    for target, verdict, seen in tables.targets:
        silent = target not in told and target not in earlier and pipeline.processors[target.processor].run != "none"
        if silent and (seen.rows or verdict in IS_A_GAP) and classifier.category(target) not in EXPECTED:
            text = f"{seen.rows:,} rows" if seen.rows else f"nothing of {seen.expected:,} expected keys"
            yield tables.fault(
                Check.HISTORY, "untracked", target, seen.expected, seen.covered,
                f"{text}, and no run has recorded anything for it", Severity.WARNING, Category.UNTRACKED,
            )  # fmt: skip


def _keys(classifier: Classifier, target: Target) -> int:
    """What a target holds; where nothing is known to be expected, its rows."""
    seen = classifier.seen(target)
    return seen.covered if seen.expected else seen.rows


def _begins(pipeline: Pipeline, target: Target, drops: Collection[Target]) -> Target:
    """Where a drop begins: at the target, or at something that it reads of its date and that has dropped as well."""
    for name, edge in pipeline.processors[target.processor].upstream.items():
        upstream = Target(name, target.day)
        if edge.own_day != "never" and upstream in drops:
            return _begins(pipeline, upstream, drops)
    return target


def _given_up(look: Look, target: Target, today: date) -> bool:
    """Whether a person has acknowledged what is missing of a target."""
    words = look.observation.ledger.acknowledged
    return any(word.processor == target.processor and holds(word, target.day, today) for word in words)
