"""The coverage gate is one rule: whoever asks whether enough is there gets the same answer as anybody else."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from gapless.declare.pipeline import Pipeline
from gapless.declare.processor import Processor
from gapless.engine import Look
from gapless.execute.executor import cause, chosen, fault
from gapless.judge.verdicts import judge
from gapless.model import Cause, Observation, Plan, Policy, Scope, Seen, Target, Verdict
from gapless.questions.classify import Category, Classifier
from gapless.questions.preflight import CountedRow, Readiness, Sources, check
from gapless.questions.reports.coverage import has_data
from gapless.questions.validation.report import Check
from gapless.questions.validation.tables import Tables
from tests.twin import declare

FIRST = date(2024, 1, 1)
EXPECTED = 100
# Every tenth of a percent would do as well; these take a second, and hold the gates at which shares used to differ.
GATES = sorted({*range(1, 101), *(gate + 0.5 for gate in range(1, 100)), 80.1, 99.9, 33.3})
NAME = "summary"


def counts(gate: float) -> list[int]:
    """How many of the expected keys are there, one date after the other: none, all, and what lies about the gate."""
    return [0, 1, *range(max(int(gate) - 2, 2), min(int(gate) + 3, EXPECTED)), EXPECTED]


def looked(gate: float) -> tuple[Pipeline, Look]:
    """A look at one processor, on each date with another count."""
    pipeline = declare({
        "raw": {"run": "none"},
        "listed": {"run": "none", "applies_to": "upcoming"},
        NAME: {"gate_pct": gate, "warn_pct": 100, "expect": {"keys_of": "raw"}},
    })  # fmt: skip
    seen = [Seen(EXPECTED, n, n, inputs=0) for n in counts(gate)]
    nothing: list[Seen | None] = [None] * len(seen)
    observation = Observation(FIRST, {"raw": nothing, "listed": nothing, NAME: seen}, [None] * len(seen))
    scope, now = Scope(FIRST, observation.last), datetime(2024, 6, 1, tzinfo=UTC)
    judgement = judge(pipeline, observation, Policy(), scope, now)
    return pipeline, Look(observation, judgement, Plan(), now)


@pytest.mark.parametrize("gate", GATES)
def test_everybody_says_the_same_of_a_gate(gate: float) -> None:
    pipeline, look = looked(gate)
    p = pipeline.processors[NAME]
    classifier = Classifier(pipeline, look)
    faults = {each.target.day: each for each in Tables(classifier, lambda _target: True).coverage()}
    for place, there in enumerate(counts(gate)):
        target = Target(NAME, FIRST + timedelta(days=place))
        seen = classifier.seen(target)
        enough = 10 * 100 * there >= round(10 * gate) * EXPECTED
        assert p.has_enough(there, EXPECTED) is enough
        assert p.is_thin(there, EXPECTED) is (enough and there < EXPECTED)
        verdict = Verdict.COMPLETE if enough else Verdict.PARTIAL if there else Verdict.MISSING
        assert look.judgement.verdict(target) is verdict
        assert (fault(p, seen) == "") is enough
        assert cause(p, seen) is (Cause.PROCESSING_ERROR if enough else Cause.INCOMPLETE_COVERAGE)
        assert classifier.is_short(p, seen) is not enough
        assert classifier.category(target) is (None if enough else Category.TRUE_GAP)
        assert has_data(p, seen) is enough
        rule = "keys missing" if there else "nothing there"
        thin = "below the warning threshold" if there < EXPECTED else None
        said = faults.get(target.day)
        assert (said.rule if said else None) == (thin if enough else rule)
        assert said is None or said.check is Check.COVERAGE


@pytest.mark.parametrize("gate", GATES)
def test_a_choice_between_two_sources_and_a_preflight_say_the_same_of_a_gate(gate: float) -> None:
    pipeline, look = looked(gate)
    summary, listed = pipeline.processors[NAME], pipeline.processors["listed"]
    reader = Processor.model_validate(summary.model_dump(exclude={"columns"}) | {
        "columns": {"day": "DATE", "key": "STRING"},
        "upstream": {"listed": {"own_day": True, "fallback": "raw"}, "raw": {"own_day": True}},
    })  # fmt: skip
    days = {FIRST + timedelta(days=place): there for place, there in enumerate(counts(gate))}
    rows = [CountedRow("listed", day, EXPECTED, there, 1) for day, there in days.items()]
    checked = check(pipeline, look, [Sources(listed, summary)], rows, date(2024, 6, 1))
    for each in checked.dates:
        there = days[each.day]
        enough = summary.has_enough(there, EXPECTED)
        choice = chosen(reader, Seen(EXPECTED, 0, preferred=there), historical=True)
        assert choice is not None
        assert choice.fallback is not enough
        assert (each.standing is Readiness.PARTIAL) is not enough


@pytest.mark.parametrize("gate", [54, 55, 56, 67.5, 68, 80.5, 81])
def test_a_share_that_is_exactly_the_gate_passes_it(gate: float) -> None:
    p = looked(gate)[0].processors[NAME]
    expected = 1000
    there = round(10 * gate)
    assert p.has_enough(there, expected)
    assert not p.has_enough(there - 1, expected)
    assert fault(p, Seen(expected, there, there)) == ""
    assert not Classifier.is_short(p, Seen(expected, there, there))
