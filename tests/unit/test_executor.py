"""One wave, step by step: what is published, what is recorded, what is announced, and what an apply refuses."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

import pytest

from gapless.declare.processor import Processor
from gapless.errors import GaplessError, Halted, PlanChanged, TransientFailure
from gapless.execute.executor import Orders, cause, chosen, fault
from gapless.model import Cause, Choice, Policy, Scope, Seen, Status, Target, Verdict, Wanted, days_between
from tests.twin import Row, Rows, Twin, World, declare

FIRST, LAST = date(2024, 1, 1), date(2024, 1, 6)
DAYS = tuple(days_between(FIRST, LAST))
EVERYTHING = Scope(FIRST, LAST)
DAY = date(2024, 1, 3)

SHOP: Mapping[str, Mapping[str, Any]] = {
    "orders": {"run": "none"},
    "revenue": {"phase": 2, "expect": {"keys_of": "orders"}, "upstream": {"orders": {"own_day": True}}},
    "report": {
        "phase": 3,
        "expect": {"keys_of": "revenue"},
        "upstream": {"revenue": {"own_day": True, "lookback_days": 1}},
        "topic": "reports",
    },
}


def shop(processors: Mapping[str, Mapping[str, Any]] = SHOP, policy: Policy | None = None) -> Twin:
    twin = Twin(World(declare(processors, topics={2: "phase2"})), policy or Policy())
    for day in DAYS:
        twin.world.fill("orders", day, {"a": day.day, "b": day.day, "c": day.day, "d": day.day})
    return twin


def spoil(twin: Twin, bad: Target, how: Any) -> None:
    twin.world.spoil = lambda target, rows: how(rows) if target == bad else rows


def one_short(rows: Rows) -> Rows:
    return rows[1:]


def broken(_: Rows) -> Rows:
    raise GaplessError("no such column: amount")


# -- the audit ------------------------------------------------------------------------------------------------------

REVENUE = Processor.model_validate(
    {
        "name": "revenue",
        "phase": 2,
        "table": "mart.revenue",
        "date_column": "day",
        "key": ["key"],
        "columns": {"day": "DATE", "key": "STRING"},
        "suspect": "amount < 0",
    }
)


@pytest.mark.parametrize(
    ("staged", "words"),
    [
        (Seen(10, 10, 10), ""),
        (Seen(10, 9, 9), ""),
        (Seen(0, 0), ""),
        (Seen(10, 0), "0 of 10 expected keys"),
        (Seen(10, 8, 8), "8 of 10 expected keys (80.0 %), below the gate of 90 %"),
        (Seen(110, 99, 99), ""),
        (Seen(110, 98, 98), "98 of 110 expected keys (89.1 %), below the gate of 90 %"),
        (Seen(10, 10, 10, suspect=2), "2 of 10 rows are built on missing inputs (amount < 0)"),
        (Seen(10, 10, 10, unfit=3), "3 of 10 rows lack a required value or are out of range"),
        (Seen(10, 10, 10, altered=3), "3 of 10 rows are not as they were published"),
        (Seen(10, 10, 11, duplicates=1), "1 rows repeat a key"),
        (Seen(10, 10, 11, extra=1), "1 keys are not expected"),
        (Seen(187, 0, 187, extra=187), "0 of 187 expected keys"),
    ],
)
def test_what_may_not_be_published_says_why_in_numbers(staged: Seen, words: str) -> None:
    problem = fault(REVENUE, staged)
    assert words in problem
    assert bool(problem) is bool(words)


@pytest.mark.parametrize(
    ("seen", "kind"),
    [
        (Seen(10, 0), Cause.INCOMPLETE_COVERAGE),
        (Seen(187, 1, 1), Cause.INCOMPLETE_COVERAGE),
        (Seen(1000, 899, 899), Cause.INCOMPLETE_COVERAGE),
        (Seen(1000, 900, 900, suspect=1), Cause.PROCESSING_ERROR),
        (Seen(10, 10, 10, unfit=3), Cause.PROCESSING_ERROR),
        (Seen(10, 10, 10, altered=3), Cause.PROCESSING_ERROR),
        (Seen(10, 1, 1, suspect=1), Cause.INCOMPLETE_COVERAGE),
    ],
)
def test_what_was_refused_is_incomplete_or_wrong(seen: Seen, kind: Cause) -> None:
    assert cause(REVENUE, seen) is kind


def test_lifting_the_gate_lifts_nothing_else() -> None:
    assert not fault(REVENUE, Seen(10, 1, 1), gate=False)
    assert fault(REVENUE, Seen(10, 0), gate=False)
    assert fault(REVENUE, Seen(10, 1, 1, suspect=1), gate=False)
    assert fault(REVENUE, Seen(10, 1, 2, duplicates=1), gate=False)


def test_a_record_may_hold_more_than_is_expected() -> None:
    assert not fault(REVENUE.model_copy(update={"restate": "never"}), Seen(10, 10, 11, extra=1))


# -- one wave -------------------------------------------------------------------------------------------------------


def test_a_wave_claims_stages_audits_publishes_measures_records_and_announces_in_this_order() -> None:
    twin = shop()
    look = twin.engine().scan(Scope(DAY, DAY, frozenset({"revenue"})))
    steps: list[str] = []
    twin.world.pause = steps.append
    twin.engine().apply(look)
    order = [step.removeprefix("before ") for step in steps if step.startswith("before ")]
    assert order == ["claim", "stage", "audit", "publish", "discard", "measure", "outcomes", "message", "observe"]


def test_only_dates_that_pass_their_audit_are_published_and_the_others_keep_what_they_had() -> None:
    twin = shop()
    bad = Target("revenue", DAY)
    old = (Row("a", 1), Row("b", 2))
    twin.world.put({bad: old})
    spoil(twin, bad, one_short)
    report = twin.engine().apply(twin.engine().scan(Scope(FIRST, LAST, frozenset({"revenue"}))))
    assert twin.world.rows(bad) == old
    assert all(len(twin.world.rows(Target("revenue", day))) == 4 for day in DAYS if day != DAY)
    (failed,) = report.failed
    assert (failed.target, failed.expected, failed.covered) == (bad, 4, 2)
    assert failed.error == "3 of 4 expected keys (75.0 %), below the gate of 90 %"


@pytest.mark.parametrize(
    ("before", "how", "status"),
    [
        ((), broken, Status.FAILED),
        ((), one_short, Status.FAILED),
        ((Row("a", 1), Row("b", 2)), one_short, Status.FAILED),  # what is there was written by somebody else
    ],
)
def test_an_outcome_says_what_the_table_holds_and_why_it_is_not_more(before: Rows, how: Any, status: Status) -> None:
    twin = shop()
    bad = Target("revenue", DAY)
    twin.world.put({bad: before})
    spoil(twin, bad, how)
    report = twin.engine().apply(twin.engine().scan(Scope(DAY, DAY, frozenset({"revenue"}))))
    (outcome,) = report.outcomes
    assert outcome.status is status
    assert outcome.error
    assert [(o.status, o.error) for o in twin.world.outcomes] == [(status, outcome.error)]


def test_rows_that_were_changed_after_their_publication_are_recorded_as_that_and_not_as_breaking_a_rule() -> None:
    twin = shop()
    bad = Target("revenue", DAY)

    def tamper(step: str) -> None:
        if step == "after publish":
            first, *others = twin.world.rows(bad)
            twin.world.put({bad: (first._replace(value=0), *others)})

    twin.world.pause = tamper
    twin.engine().apply(twin.engine().scan(Scope(DAY, DAY, frozenset({"revenue"}))))
    recorded = [(o.status, o.error) for o in twin.world.outcomes]
    assert recorded == [(Status.FAILED, "1 of 4 rows are not as they were published")]


def test_a_rebuild_that_failed_over_whole_but_stale_rows_is_partial() -> None:
    twin = shop()
    twin.engine().apply(twin.engine().scan(EVERYTHING))
    bad = Target("revenue", DAY)
    twin.world.fill("orders", DAY, {"a": 9, "b": 9, "c": 9, "d": 9})
    spoil(twin, bad, broken)
    report = twin.engine().apply(twin.engine().scan(Scope(DAY, DAY, frozenset({"revenue"}))))
    assert [(o.status, o.covered, o.error) for o in report.outcomes] == [(Status.PARTIAL, 4, "no such column: amount")]


def unavailable(_: Rows) -> Rows:
    raise TransientFailure("BigQuery did not answer")


@pytest.mark.parametrize(
    ("how", "kind", "permanent"),
    [
        (broken, Cause.PERMANENT_ERROR, True),
        (unavailable, Cause.PROCESSING_ERROR, False),
        (one_short, Cause.INCOMPLETE_COVERAGE, False),
        (lambda _rows: (), Cause.INCOMPLETE_COVERAGE, False),
        (lambda rows: tuple(row._replace(suspect=True) for row in rows), Cause.PROCESSING_ERROR, False),
        (lambda rows: rows, None, False),
    ],
)
def test_an_outcome_says_whether_trying_again_can_help(how: Any, kind: Cause | None, permanent: bool) -> None:
    twin = shop()
    spoil(twin, Target("revenue", DAY), how)
    report = twin.engine().apply(twin.engine().scan(Scope(DAY, DAY, frozenset({"revenue"}))))
    assert [(o.cause, o.permanent) for o in report.outcomes] == [(kind, permanent)]


def two_sources(own_day: Any = "upcoming", gate_pct: float = 90) -> Processor:
    upstream = {"games": {"own_day": "historical"}, "lines": {"own_day": own_day, "fallback": "games"}}
    return REVENUE.model_validate(REVENUE.model_dump(exclude={"columns"}) | {
        "columns": {"day": "DATE", "key": "STRING"}, "expect": {"keys_of": "games"}, "upstream": upstream,
        "gate_pct": gate_pct,
    })  # fmt: skip


@pytest.mark.parametrize(
    ("expected", "there", "historical", "fallback", "reason"),
    [
        (187, 1, True, False, "historical date: games is read, never lines (1 of 187, 0.5 %)"),
        (187, 0, True, False, "historical date: games is read, never lines (0 of 187, 0.0 %)"),
        (0, 0, True, False, "historical date: games is read, never lines (0 of 0)"),
        (175, 0, False, True, "lines has 0 of 175 (0.0 %), below 90 %: synthetic context from games"),
        (175, 68, False, True, "lines has 68 of 175 (38.9 %), below 90 %: synthetic context from games"),
        (1000, 899, False, True, "lines has 899 of 1000 (89.9 %), below 90 %: synthetic context from games"),
        (1000, 900, False, False, "lines has 900 of 1000 (90.0 %)"),
        (110, 99, False, False, "lines has 99 of 110 (90.0 %)"),
        (175, 175, False, False, "lines has 175 of 175 (100.0 %)"),
        (0, 0, False, False, "lines has 0 of 0"),
    ],
)
def test_which_source_is_read_is_said_with_both_counts(
    expected: int, there: int, historical: bool, fallback: bool, reason: str
) -> None:
    seen = Seen(expected, expected, preferred=there)
    assert chosen(two_sources(), seen, historical) == Choice(there, fallback, reason)


def test_a_processor_with_one_source_has_no_choice_to_tell_of() -> None:
    assert chosen(REVENUE, Seen(10, 10), historical=False) is None


def test_a_source_for_dates_before_today_says_the_same_of_those_to_come() -> None:
    choice = chosen(two_sources("historical", 50), Seen(10, 10, preferred=5), historical=False)
    assert choice == Choice(5, False, "upcoming date: games is read, never lines (5 of 10, 50.0 %)")
    choice = chosen(two_sources("historical", 50), Seen(10, 10, preferred=5), historical=True)
    assert choice == Choice(5, False, "lines has 5 of 10 (50.0 %)")


def test_a_preferred_source_that_fails_in_this_run_is_replaced_in_this_run_and_comes_back_later() -> None:
    processors = {
        "orders": SHOP["orders"],
        "listed": {"expect": {"keys_of": "orders"}, "upstream": {"orders": {"own_day": True}}},
        "report": {
            "phase": 3,
            "expect": {"keys_of": "orders"},
            "upstream": {"orders": {"own_day": True}, "listed": {"own_day": True, "fallback": "orders"}},
        },
    }
    twin = shop(processors)
    spoil(twin, Target("listed", DAY), broken)
    report = twin.engine().apply(twin.engine().scan(Scope(DAY, DAY)))
    ended = {o.target.processor: o for o in report.outcomes}
    assert (ended["listed"].status, ended["report"].status) == (Status.FAILED, Status.COMPLETE)
    why = "listed has 0 of 4 (0.0 %), below 90 %: synthetic context from orders"
    assert ended["report"].choice == Choice(0, True, why)
    assert [ended[name].upstream_available for name in ("listed", "report")] == [True, False]
    assert not report.waiting

    twin.world.spoil = lambda _target, rows: rows
    twin.world.clock.advance(timedelta(hours=1))
    report = twin.engine().apply(twin.engine().scan(Scope(DAY, DAY)))
    assert [o.target.processor for o in report.outcomes] == ["listed", "report"]
    assert report.outcomes[-1].choice == Choice(4, False, "listed has 4 of 4 (100.0 %)")
    assert report.after
    assert report.after.judgement.complete


def test_what_a_stopped_run_did_not_come_to_is_skipped_and_can_be_run_at_once() -> None:
    twin = shop()
    look = twin.engine().scan(Scope(FIRST, LAST, frozenset({"revenue"})))
    report = twin.engine().apply(look, stopped=lambda: True)
    assert {(o.status, o.cause) for o in report.outcomes} == {(Status.SKIPPED, None)}
    again = twin.engine().apply(twin.engine().scan(EVERYTHING))
    assert again.after
    assert again.after.judgement.complete


def test_a_batch_that_fails_takes_only_its_own_dates_down() -> None:
    twin = shop({**SHOP, "revenue": {**SHOP["revenue"], "max_dates_per_run": 2}})
    spoil(twin, Target("revenue", DAY), broken)
    report = twin.engine().apply(twin.engine().scan(Scope(FIRST, LAST, frozenset({"revenue"}))))
    assert [o.target.day for o in report.failed] == [DAY, DAY + timedelta(days=1)]


def test_a_batch_holds_no_more_dates_than_its_processor_takes() -> None:
    twin = shop({**SHOP, "revenue": {**SHOP["revenue"], "max_dates_per_run": 4}})
    sizes: list[list[int]] = []

    def watch(step: str) -> None:
        if step == "before audit":
            sizes.append([len(days) for days in twin.world.staged.values()])

    twin.world.pause = watch
    twin.engine().apply(twin.engine().scan(Scope(FIRST, LAST, frozenset({"revenue"}))))
    assert sizes == [[4, 2]]


@pytest.mark.parametrize("how", [broken, one_short, lambda rows: rows])
def test_nothing_staged_is_left_behind(how: Any) -> None:
    twin = shop()
    spoil(twin, Target("revenue", DAY), how)
    twin.engine().apply(twin.engine().scan(EVERYTHING))
    assert not twin.world.staged


def test_an_audit_that_cannot_be_read_publishes_nothing_and_stops_the_run() -> None:
    twin = shop()
    look = twin.engine().scan(EVERYTHING)

    def fail(step: str) -> None:
        if step == "before audit":
            raise TransientFailure("BigQuery did not answer")

    twin.world.pause = fail
    with pytest.raises(TransientFailure):
        twin.engine().apply(look)
    assert not any(t.processor != "orders" for t in twin.world.partitions)
    assert not twin.world.outcomes
    assert not twin.world.staged


# -- messages -------------------------------------------------------------------------------------------------------


def test_what_is_complete_is_announced_once_per_processor_on_its_own_or_its_phases_topic() -> None:
    twin = shop()
    twin.engine().apply(twin.engine().scan(EVERYTHING))
    assert [(topic, m["processor_name"], m["start_date"], m["end_date"]) for topic, m in twin.world.messages] == [
        ("phase2", "revenue", "2024-01-01", "2024-01-06"),
        ("reports", "report", "2024-01-01", "2024-01-06"),
    ]
    assert twin.world.messages[0][1]["record_count"] == 24


def test_what_failed_is_not_announced() -> None:
    twin = shop()
    spoil(twin, Target("revenue", DAY), one_short)
    twin.engine().apply(twin.engine().scan(Scope(FIRST, LAST, frozenset({"revenue"}))))
    ((_, message),) = twin.world.messages
    assert DAY.isoformat() not in message["dates"]
    assert len(message["dates"]) == 5


def test_a_topic_that_does_not_take_the_message_is_noted_and_costs_no_data() -> None:
    twin = shop()
    twin.bus.refuse_next = True
    report = twin.engine().apply(twin.engine().scan(EVERYTHING))
    assert len(report.notes) == 1
    assert "revenue" in report.notes[0]
    assert "phase2" in report.notes[0]
    assert not report.failed


# -- several waves --------------------------------------------------------------------------------------------------


def test_what_reads_a_failed_date_waits_and_says_for_what() -> None:
    twin = shop()
    bad = Target("revenue", DAY)
    spoil(twin, bad, one_short)
    report = twin.engine().apply(twin.engine().scan(EVERYTHING))
    assert report.waiting == {
        Target("report", DAY): f"{bad} is still not complete",
        Target("report", DAY + timedelta(days=1)): f"{bad} failed in this run",
    }
    assert {o.target.day for o in report.outcomes if o.target.processor == "report"} == {*DAYS} - {
        DAY,
        DAY + timedelta(days=1),
    }


def test_the_failure_of_a_day_that_is_not_read_holds_nothing_back() -> None:
    """The report reads the day before only."""
    processors = {
        **SHOP,
        "report": {
            **SHOP["report"],
            "expect": {"keys_of": "orders"},
            "upstream": {"orders": {"own_day": True}, "revenue": {"lookback_days": 1}},
        },
    }
    twin = shop(processors)
    spoil(twin, Target("revenue", DAY), one_short)
    report = twin.engine().apply(twin.engine().scan(EVERYTHING))
    assert set(report.waiting) == {Target("report", DAY + timedelta(days=1))}


def test_the_failure_of_something_optional_holds_nothing_back() -> None:
    processors = {
        **SHOP,
        "revenue": {**SHOP["revenue"], "optional": True},
        "report": {
            **SHOP["report"],
            "expect": {"keys_of": "orders"},
            "upstream": {"orders": {"own_day": True}, "revenue": {"own_day": True, "lookback_days": 1}},
        },
    }
    twin = shop(processors)
    spoil(twin, Target("revenue", DAY), one_short)
    report = twin.engine().apply(twin.engine().scan(EVERYTHING))
    assert [o.target for o in report.failed] == [Target("revenue", DAY)]
    assert not report.waiting


def test_a_run_reports_the_look_afterwards() -> None:
    twin = shop()
    spoil(twin, Target("revenue", DAY), one_short)
    report = twin.engine().apply(twin.engine().scan(EVERYTHING))
    assert report.after
    assert report.after.judgement.verdict(Target("revenue", DAY)) is Verdict.MISSING
    assert "the next try is due" in {g.target: why for g, why in report.after.plan.held}[Target("revenue", DAY)]


# -- what an apply refuses ------------------------------------------------------------------------------------------


def test_a_plan_that_is_not_the_reviewed_one_is_refused_and_nothing_changes() -> None:
    twin = shop()
    reviewed = twin.engine().scan(EVERYTHING).plan.checksum
    twin.world.put({Target("orders", DAY): ()})
    look = twin.engine().scan(EVERYTHING)
    with pytest.raises(PlanChanged, match=reviewed) as refusal:
        twin.engine().apply(look, reviewed)
    assert look.plan.checksum in str(refusal.value)
    assert not twin.world.attempts


def test_the_reviewed_plan_is_applied() -> None:
    twin = shop()
    reviewed = twin.engine().scan(EVERYTHING).plan.checksum
    assert twin.engine().apply(twin.engine().scan(EVERYTHING), reviewed).outcomes


@pytest.mark.parametrize(
    ("policy", "switch"), [(Policy(halted=True), "GAPLESS_HALT"), (Policy(report_only=True), "GAPLESS_REPORT_ONLY")]
)
def test_a_switched_off_engine_looks_and_changes_nothing(policy: Policy, switch: str) -> None:
    twin = shop(policy=policy)
    look = twin.engine().scan(EVERYTHING)
    assert look.plan.size == 2 * len(DAYS)
    with pytest.raises(Halted, match=rf"{switch} .* 12 targets"):
        twin.engine().apply(look)
    assert not twin.world.attempts


def test_force_runs_what_is_complete_and_leaves_a_trace_of_it() -> None:
    twin = shop()
    twin.engine().apply(twin.engine().scan(EVERYTHING))
    forced = twin.engine(policy=Policy(force=True))
    report = forced.apply(forced.scan(Scope(DAY, DAY, frozenset({"revenue"}))))
    assert [(o.target, o.status, o.lifted) for o in report.outcomes] == [
        (Target("revenue", DAY), Status.COMPLETE, "force")
    ]


def test_a_target_that_somebody_completed_since_the_look_is_not_run_again() -> None:
    twin = shop()
    look = twin.engine().scan(EVERYTHING)
    twin.engine("somebody").apply(twin.engine("somebody").scan(EVERYTHING))
    commits = dict(twin.world.commits)
    report = twin.engine().apply(look)
    assert not report.outcomes
    why = {text if text == "another run claimed it" else text[-21:] for text in report.waiting.values()}
    assert why <= {"another run claimed it", "is still not complete"}
    assert twin.world.commits == commits


def test_progress_is_told_wave_by_wave_with_the_targets_done() -> None:
    twin = shop()
    told: list[tuple[str, int]] = []
    twin.engine().apply(twin.engine().scan(EVERYTHING), progress=lambda text, done: told.append((text, done)))
    assert told[0] == ("wave 1 of 2: revenue", 0)
    assert sum(done for _, done in told) == 2 * len(DAYS)


def test_the_executor_alone_takes_targets_of_several_processors_under_one_claim() -> None:
    twin = shop({**SHOP, "margin": {**SHOP["revenue"]}})
    wanted = [Wanted(Target(name, DAY), 0, "missing") for name in ("revenue", "margin")]
    outcomes, measured, claim = twin.engine().executor.run(wanted, 0, Orders("run", "twin"), DAYS[-1])
    assert claim.number == 1
    assert {o.target for o in outcomes} == set(measured) == {w.target for w in wanted}
    assert {a.number for a in twin.world.attempts} == {1}
