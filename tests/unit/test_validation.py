"""The checks as decisions: what was seen goes in, findings come out. The SQL is tested on the embedded warehouse."""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gapless.declare.pipeline import DEFAULT_FILE, Pipeline, Rule, build_pipeline, load_pipeline
from gapless.engine import Engine
from gapless.errors import BadInput, BadPipeline
from gapless.model import Acknowledged, Day, History, Ledger, Observation, Policy, Scope, Seen, Target, days_between
from gapless.questions.classify import Category
from gapless.questions.validation import Check, Finding, Repair, Severity, ValidationReport, quality, read_by, validate
from gapless.questions.validation.quality import wonders
from gapless.warehouse.ports import Answer
from tests.support.observations import sparse
from tests.twin import declare

TINY = Path(__file__).parents[1] / "tiny" / "pipeline.yaml"
FIRST = date(2024, 1, 1)
DAY = date(2024, 1, 5)
NOW = datetime(2024, 1, 20, 17, tzinfo=UTC)
RULES = (
    Rule(name="zones where shots", if_rows_of="shots", then_rows_of="zones", says="block downstream"),
    Rule(name="no more features", rows_of="features", at_most=1.1, of="zones", severity="warning"),
)
CHAIN: Mapping[str, Mapping[str, Any]] = {
    "games": {"run": "none", "expect": {"query": "games"}, "upstream": {}},
    "shots": {"run": "none", "optional": True},
    "zones": {
        "phase": 2, "expect": {"keys_of": "games"}, "suspect": "rating = 0",
        "upstream": {"games": {"own_day": True, "lookback_days": 3}},
    },
    "features": {"phase": 3, "expect": {"keys_of": "zones"}, "upstream": {"zones": {"own_day": True}}},
}  # fmt: skip


@dataclass
class Books:
    """A warehouse that knows the answers to the two other queries."""

    quality: Sequence[tuple[Any, ...]] = ()
    history: Sequence[tuple[Any, ...]] = ()
    asked: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)

    def rows(self, _sql: str, params: Mapping[str, Any], *, purpose: str) -> Answer:
        self.asked.append((purpose, params))
        return Answer({"quality": self.quality, "history": self.history}[purpose], 0)


@dataclass
class Eyes:
    """An observer that has seen everything already."""

    observation: Observation

    def observe(self, _scope: Scope, _today: date) -> Observation:
        return self.observation


def keys(count: int, **more: Any) -> Seen:
    return Seen(count, count, count, inputs=0)._replace(**more)


def examined(
    columns: Mapping[str, Mapping[date, Seen]], *, books: Books | None = None, checks: Collection[Check] = tuple(Check),
    days: int = 10, ledger: Ledger | None = None, calendar: Mapping[date, Day] | None = None,
    processors: Mapping[str, Mapping[str, Any]] = CHAIN, scope: Scope | None = None,
    now: datetime = NOW,
) -> ValidationReport:  # fmt: skip
    """A validation of the given columns; a date that is not given is sound in every processor."""
    pipeline = declare(processors, consistency=RULES if processors is CHAIN else ())
    last = FIRST + timedelta(days=days - 1)
    known = {Target(name, day): History(last_complete=NOW) for name in processors for day in days_between(FIRST, last)}
    observation = sparse(
        processors, columns, FIRST, last,
        otherwise=lambda _name, _day: keys(10), calendar=calendar, ledger=ledger or Ledger(known),
    )  # fmt: skip
    engine = Engine(pipeline, Eyes(observation), None, Policy(lift_storm=True), lambda: now)  # type: ignore[arg-type]
    return validate(engine, books or Books(), scope or Scope(FIRST, last), checks)  # type: ignore[arg-type]


def only(report: ValidationReport) -> Finding:
    (finding,) = report.findings
    return finding


def begins(report: ValidationReport) -> list[tuple[str, str, str]]:
    return [(f.check.value, f.rule, f.processor) for f in report.findings if not f.follows]


# -- the whole -------------------------------------------------------------------------------------------------------


def test_nothing_is_wrong_with_what_is_sound() -> None:
    report = examined({})
    assert report.findings == report.absences == ()
    assert report.passed(strict=True)
    assert [answer.check for answer in report.answers] == list(Check)


def test_three_jobs_answer_five_questions_and_one_answers_three() -> None:
    books = Books()
    examined({}, books=books)
    assert sorted(purpose for purpose, _ in books.asked) == ["history", "quality"]
    examined({}, books=(quiet := Books()), checks=(Check.COVERAGE, Check.CASCADE, Check.CONSISTENCY))
    assert quiet.asked == []


def test_a_warning_passes_and_fails_where_it_is_asked_to() -> None:
    report = examined({"zones": {DAY: Seen(100, 93, 93, inputs=0)}, "features": {DAY: keys(93)}})
    assert (only(report).severity, only(report).rule) == (Severity.WARNING, "below the warning threshold")
    assert report.passed()
    assert not report.passed(strict=True)


def test_dates_without_a_sound_one_between_them_are_one_finding_with_the_worst_as_evidence() -> None:
    days = [DAY + timedelta(days=i) for i in range(4)]
    lost = {days[0]: Seen(10, 4, 4, inputs=0), days[1]: Seen(10, 1, 1, inputs=0), days[3]: Seen(10, 5, 5, inputs=0)}
    report = examined({"features": lost}, checks=(Check.COVERAGE,))
    assert [f.days for f in report.findings] == [(days[0], days[1]), (days[3],)]
    assert (report.findings[0].expected, report.findings[0].found) == (20, 5)
    assert report.findings[0].evidence.startswith(f"{days[1]}: 1 of 10 expected keys")


def test_days_off_between_two_dates_do_not_part_them() -> None:
    columns = {name: {DAY + timedelta(days=1): Seen(0, 0)} for name in CHAIN}
    gone = {DAY: Seen(10, 0), DAY + timedelta(days=2): Seen(10, 0)}
    report = examined({**columns, "features": columns["features"] | gone}, checks=(Check.COVERAGE,))
    assert only(report).days == (DAY, DAY + timedelta(days=2))


# -- coverage and cascade --------------------------------------------------------------------------------------------


def test_a_missing_source_is_the_beginning_and_the_rest_follows() -> None:
    report = examined({"games": {DAY: Seen(4, 0)}}, checks=(Check.COVERAGE, Check.CASCADE))
    assert begins(report) == [("coverage", "nothing there", "games")]
    first = report.findings[0]
    assert (first.category, first.remedy.kind, first.expected, first.found) == (Category.TRUE_GAP, Repair.LOAD, 4, 0)
    follow = {f.processor for f in report.findings if f.follows}
    assert follow == {"zones", "features"}
    assert {f.category for f in report.findings if f.follows} == {Category.CASCADING}
    assert {f.remedy.at for f in report.findings} == {Target("games", DAY)}


def test_rows_that_say_that_they_are_wrong_are_named_though_something_upstream_is_too() -> None:
    rows = keys(10, suspect=10)
    report = examined({"games": {DAY: Seen(4, 0)}, "zones": {DAY: rows}}, checks=(Check.CASCADE,))
    assert ("cascade", "built on missing input", "zones") in begins(report)
    told = next(f.evidence for f in report.findings if f.rule == "built on missing input")
    assert told == "10 of 10 rows where rating = 0; not complete now: games"


def test_rows_built_before_their_upstream_are_found() -> None:
    report = examined({"zones": {DAY: keys(10, inputs=7)}}, checks=(Check.CASCADE,))
    assert begins(report) == [("cascade", "built before its upstream", "zones")]
    assert (report.findings[0].remedy.kind, report.findings[0].remedy.at) == (Repair.APPLY, Target("zones", DAY))


def test_complete_rows_over_a_window_with_a_hole_fail_and_begin_at_the_hole() -> None:
    report = examined({"games": {DAY: Seen(4, 0)}, "zones": {DAY: Seen(0, 0)}}, checks=(Check.CASCADE,))
    spans = [f for f in report.findings if f.rule == "window spans a gap"]
    assert {day for f in spans for day in f.days} == {DAY + timedelta(days=i) for i in (1, 2, 3)}
    assert all(f.severity is Severity.CRITICAL and f.follows for f in spans)
    assert f"spans games {DAY} (missing)" in spans[0].evidence


def test_a_root_outside_of_what_was_asked_leaves_its_consequences_in_front() -> None:
    scope = Scope(FIRST, FIRST + timedelta(days=9), frozenset({"features"}))
    report = examined({"zones": {DAY: Seen(10, 0)}, "features": {DAY: Seen(0, 0)}}, scope=scope)
    finding = next(f for f in report.findings if f.check is Check.COVERAGE)
    assert not finding.follows
    assert (finding.remedy.kind, finding.remedy.at) == (Repair.APPLY, Target("zones", DAY))
    assert not report.passed()


def test_rows_that_nobody_expects_are_a_warning_with_what_the_calendar_says() -> None:
    processors = {**CHAIN, "games": {"run": "none"}}
    columns = {name: {DAY: Seen(0, 0)} for name in CHAIN} | {"features": {DAY: Seen(0, 0, 30, extra=30, inputs=0)}}
    report = examined(columns, processors=processors, checks=(Check.COVERAGE,))
    finding = only(report)
    assert (finding.severity, finding.category) == (Severity.WARNING, Category.STALE_SCHEDULED)
    assert (finding.remedy.kind, finding.remedy.at) == (Repair.CLEAN, Target("features", DAY))


# -- quality ---------------------------------------------------------------------------------------------------------

RATED = {
    "games": {"run": "none", "columns": {"day": "DATE required", "key": "STRING required", "score": "INT64 0..100"}},
}


def counted(*parts: tuple[int, int, list[int]]) -> Books:
    """The answer of the quality query: days from `FIRST`, rows, and nulls of day and key, outside, values, zeros."""
    start = (FIRST - date(1970, 1, 1)).days
    return Books(quality=[("games", ",".join(str([start + n, rows, counts]) for n, rows, counts in parts))])


def test_nulls_and_values_out_of_range_are_told_with_their_numbers() -> None:
    books = counted((0, 10, [0, 0, 0, 10, 1]), (4, 10, [0, 3, 2, 10, 1]))
    report = examined({}, books=books, processors=RATED, checks=(Check.QUALITY,))
    assert [(f.rule, f.days, f.expected, f.found, f.evidence) for f in report.findings] == [
        ("range of score", (DAY,), 10, 8, "2 of 10 rows have a score outside 0 to 100"),
        ("required key", (DAY,), 10, 7, "3 of 10 rows have no key, which is required"),
    ]
    assert {f.category for f in report.findings} == {Category.DAMAGED}
    assert {f.remedy.kind for f in report.findings} == {Repair.LOAD}


def test_a_column_of_zeros_is_found_by_what_the_other_dates_have() -> None:
    dates = [(n - 30, 200, [0, 0, 0, 200, 24]) for n in range(30)]
    books = counted(*dates, (4, 200, [0, 0, 0, 200, 200]))
    report = examined({}, books=books, processors=RATED, checks=(Check.QUALITY,))
    assert (only(report).rule, only(report).days, only(report).found) == ("zeros in score", (DAY,), 0)
    assert only(report).evidence == "all 200 values of score are 0; on other dates at most 12.0 % are"


DAYS = [FIRST + timedelta(days=i) for i in range(40)]


@pytest.mark.parametrize(
    ("share", "rows", "found"),
    [
        (0.0, 4, True),  # never 0 elsewhere: four rows are enough
        (0.12, 200, True),  # points: one player in eight has none
        (0.12, 5, False),  # five such players can meet
        (0.5, 20, False),
        (0.9, 20, False),  # blocks
        (0.9, 300, True),
        (1.0, 300, False),
    ],
)
def test_how_many_zeros_are_a_wonder(share: float, rows: int, found: bool) -> None:
    values = [100] * len(DAYS)
    zeros = [int(100 * share)] * len(DAYS)
    values[20] = zeros[20] = rows
    hits = [i for i, _ in wonders(DAYS, values, zeros)]
    assert hits == ([20] if found else [])


def test_the_worst_other_date_counts_and_not_the_average() -> None:
    zeros = [0] * len(DAYS)
    zeros[20] = 30
    assert wonders(DAYS, [30] * len(DAYS), zeros)
    zeros[7] = 29  # it has happened almost
    assert not wonders(DAYS, [30] * len(DAYS), zeros)


def test_the_first_date_after_a_week_without_rows_is_not_judged() -> None:
    """After the all-star break nobody has played in the last seven days."""
    zeros = [0] * len(DAYS)
    zeros[20] = 200
    values = [200] * len(DAYS)
    for i in range(14, 20):
        values[i] = 0
    assert wonders(DAYS, values, zeros) == []
    values[19] = 200
    assert [i for i, _ in wonders(DAYS, values, zeros)] == [20]


def test_too_few_other_dates_tell_nothing() -> None:
    zeros = [0] * 10
    zeros[9] = 200
    assert wonders(DAYS[:10], [200] * 10, zeros) == []
    assert wonders(DAYS[:11], [200] * 11, [*zeros[:9], 0, 200])


@given(st.lists(st.tuples(st.integers(0, 400), st.floats(0, 1)), min_size=1, max_size=40))
def test_only_dates_of_zeros_are_ever_told(parts: list[tuple[int, float]]) -> None:
    values = [rows for rows, _ in parts]
    zeros = [int(rows * share) for rows, share in parts]
    for i, _ in wonders(DAYS, values, zeros):
        assert zeros[i] == values[i] > 0


def test_the_statement_counts_each_table_once() -> None:
    pipeline = load_pipeline()
    sql = quality.statement(list(pipeline.processors.values()))
    for p in pipeline.processors.values():
        assert sql.count(f"`{p.table}`") == 1
    assert sql.count("BETWEEN @first AND @last") == len(pipeline.processors)


# -- consistency -----------------------------------------------------------------------------------------------------


def test_a_rule_between_two_processors_holds_on_each_date() -> None:
    report = examined({"zones": {DAY: Seen(10, 0)}}, checks=(Check.CONSISTENCY,))
    first, second = report.findings
    assert (first.rule, first.days, first.found) == ("zones where shots", (DAY,), 0)
    assert first.evidence == "no rows, although shots has 10: block downstream"
    assert (first.severity, first.remedy.kind) == (Severity.CRITICAL, Repair.APPLY)
    assert (second.rule, second.severity) == ("no more features", Severity.WARNING)
    assert second.evidence == "10 rows, more than 1.1 times the 0 of zones"


@pytest.mark.parametrize(("rows", "broken"), [(100, False), (110, False), (111, True)])
def test_a_tenth_more_rows_are_allowed(rows: int, broken: bool) -> None:
    columns = {"zones": {DAY: keys(100)}, "features": {DAY: keys(100, rows=rows)}}
    assert bool(examined(columns, checks=(Check.CONSISTENCY,)).findings) == broken


def test_a_rule_about_one_processor_looks_at_the_other_too() -> None:
    scope = Scope(FIRST, FIRST + timedelta(days=9), frozenset({"zones"}))
    report = examined({"zones": {DAY: Seen(10, 0)}}, scope=scope, checks=(Check.CONSISTENCY,))
    assert [f.rule for f in report.findings] == ["zones where shots"]
    assert report.look.judgement.scope.processors == {"zones", "shots"}


# -- history ---------------------------------------------------------------------------------------------------------


def landed(*outcomes: tuple[str, date, int]) -> Books:
    at = int(datetime(2024, 1, 10, tzinfo=UTC).timestamp())
    return Books(
        history=[(name, "run1", f"[{(day - date(1970, 1, 1)).days},{count},{at}]") for name, day, count in outcomes]
    )


@pytest.mark.parametrize(("before", "found"), [(10, False), (11, False), (12, True)])
def test_a_drop_below_the_gate_is_found_though_nothing_more_is_expected(before: int, found: bool) -> None:
    report = examined({}, books=landed(("zones", DAY, before)), checks=(Check.HISTORY,))
    assert bool(report.findings) == found
    if found:
        finding = only(report)
        assert finding.evidence == (
            "10 keys now, 12 when run run1 landed on 2024-01-10 00:00 UTC. "
            "No more are expected now: a source lost rows, or was corrected"
        )
        assert (finding.severity, finding.remedy.kind, finding.remedy.at) == (
            Severity.CRITICAL,
            Repair.LOOK,
            Target("zones", DAY),
        )


@pytest.mark.parametrize(("left", "found"), [(55, False), (54, True)])
def test_a_share_that_is_exactly_the_gate_is_no_drop(left: int, found: bool) -> None:
    processors = {**CHAIN, "zones": {**CHAIN["zones"], "gate_pct": 55}}
    columns = {"zones": {DAY: keys(left)}}
    report = examined(columns, books=landed(("zones", DAY, 100)), checks=(Check.HISTORY,), processors=processors)
    assert bool(report.findings) == found


def test_a_drop_of_a_gap_is_repaired_as_the_gap_is() -> None:
    report = examined(
        {"features": {DAY: Seen(10, 2, 2, inputs=0)}}, books=landed(("features", DAY, 10)), checks=(Check.HISTORY,)
    )
    assert (only(report).remedy.kind, only(report).remedy.at) == (Repair.APPLY, Target("features", DAY))


def test_a_drop_downstream_follows_from_the_one_upstream() -> None:
    report = examined({}, books=landed(("zones", DAY, 20), ("features", DAY, 20)), checks=(Check.HISTORY,))
    assert begins(report) == [("history", "fewer than before", "zones")]
    follows = next(f for f in report.findings if f.follows)
    assert follows.processor == "features"
    assert follows.evidence.endswith(f"; it began with zones {DAY}")


def test_a_drop_that_a_person_has_acknowledged_is_no_fault() -> None:
    words = [Acknowledged("zones", DAY, DAY, "corrected", "me")]
    ledger = Ledger({Target(n, FIRST + timedelta(days=i)): History() for n in CHAIN for i in range(10)}, words)
    report = examined({}, books=landed(("zones", DAY, 20)), ledger=ledger, checks=(Check.HISTORY,))
    assert report.findings == ()
    (absence,) = report.absences
    assert absence.category is Category.ACKNOWLEDGED


def test_targets_that_no_run_recorded_are_untracked_and_sources_never_are() -> None:
    report = examined({"features": {DAY: Seen(10, 0)}}, ledger=Ledger(), checks=(Check.HISTORY,))
    assert {(f.processor, f.category, f.severity) for f in report.findings} == {
        ("zones", Category.UNTRACKED, Severity.WARNING), ("features", Category.UNTRACKED, Severity.WARNING),
    }  # fmt: skip
    assert report.passed()


# -- what a later phase reads ----------------------------------------------------------------------------------------


def test_what_phase_4_reads_of_phase_3_has_its_windows() -> None:
    reach = read_by(load_pipeline(), 4, load_pipeline().select((), (3,)))
    assert reach.days == {
        "player_game_summary": 370, "upcoming_player_game_context": 0, "team_offense_game_summary": 60,
        "team_defense_game_summary": 120,
    }  # fmt: skip
    assert read_by(load_pipeline(), 5).days["ml_feature_store_v2"] == 0


def test_a_phase_that_reads_nothing_of_it_is_wrong_use() -> None:
    with pytest.raises(BadInput, match="phase 2 reads nothing"):
        read_by(load_pipeline(), 2)
    with pytest.raises(BadInput, match="there is no phase 8"):
        read_by(load_pipeline(), 8)


# -- the declaration -------------------------------------------------------------------------------------------------


def test_the_three_rules_of_the_guide_are_declared() -> None:
    rules = {rule.processors: (rule.at_most, rule.severity) for rule in load_pipeline(DEFAULT_FILE).consistency}
    assert rules == {
        ("team_defense_zone_analysis", "player_shot_zone_analysis"): (None, "critical"),
        ("ml_feature_store_v2", "player_composite_factors"): (1.1, "critical"),
        ("player_composite_factors", "player_shot_zone_analysis"): (1.1, "warning"),
    }


def shop(change: Callable[[dict[str, Any]], None]) -> Pipeline:
    raw = copy.deepcopy(yaml.safe_load(TINY.read_text(encoding="utf-8")))
    change(raw)
    return build_pipeline(raw, TINY.parent / "sql", "shop.yaml")


def test_a_pipeline_without_rules_has_none() -> None:
    assert shop(lambda _: None).consistency == ()


THEN = {"name": "r", "if_rows_of": "orders", "then_rows_of": "revenue"}
MISTAKES = [
    ({**THEN, "then_rows": "revenue"}, "consistency rule 'r': then_rows: unknown field"),
    ({**THEN, "then_rows_of": "revenu"}, "consistency rule 'r': then_rows_of: 'revenu' is not declared"),
    ({**THEN, "at_most": 1.1}, "consistency rule 'r': either if_rows_of and then_rows_of"),
    ({"name": "r", "if_rows_of": "orders"}, "consistency rule 'r': either if_rows_of and then_rows_of"),
    ({"name": "r", "rows_of": "orders", "of": "revenue"}, "consistency rule 'r': either if_rows_of"),
    ({"name": "r", "rows_of": "orders", "at_most": 0, "of": "revenue"}, "consistency rule 'r': at_most"),
    ({"name": "r", "rows_of": "orders", "at_most": 2, "of": "orders"}, "'orders' is compared with itself"),
    ({**THEN, "severity": "medium"}, "consistency rule 'r': severity"),
    ({"if_rows_of": "orders", "then_rows_of": "revenue"}, "consistency rule '1': name: Field required"),
]


@pytest.mark.parametrize(("rule", "told"), MISTAKES)
def test_a_mistake_in_a_rule_names_the_rule_and_the_field(rule: Mapping[str, Any], told: str) -> None:
    with pytest.raises(BadPipeline) as error:
        shop(lambda raw: raw.update(consistency=[dict(rule)]))
    assert told in str(error.value)
    assert str(error.value).startswith("shop.yaml: ")


def test_two_rules_of_one_name_are_a_mistake() -> None:
    with pytest.raises(BadPipeline, match="there is another rule of this name"):
        shop(lambda raw: raw.update(consistency=[dict(THEN), dict(THEN)]))


def test_a_report_says_when_apply_would_refuse_the_work() -> None:
    days = [FIRST + timedelta(days=i) for i in range(150)]
    ledger = Ledger({Target("features", day): History(last_complete=NOW) for day in days})
    scope, gone = Scope(FIRST, days[-1]), {"features": dict.fromkeys(days, Seen(10, 0))}
    report = examined(
        gone, days=150, scope=scope, checks=(Check.COVERAGE,), ledger=ledger, now=NOW + timedelta(days=200)
    )
    (note,) = report.notes
    assert note.startswith("apply will refuse at first: ")
