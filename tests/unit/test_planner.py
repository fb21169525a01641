"""Which gaps are worked on, in which order and batches, and which are left to a person with what reason."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gapless.errors import Storm
from gapless.judge.verdicts import judge
from gapless.model import (
    Action,
    History,
    Ledger,
    Observation,
    Plan,
    Policy,
    Scope,
    Seen,
    Target,
    Verdict,
    days_between,
)
from gapless.plan.planner import interleaved, plan
from tests.twin import declare

NOW = datetime(2024, 3, 1, 17, tzinfo=UTC)
FIRST, LAST = date(2024, 2, 1), date(2024, 2, 29)
DAYS = tuple(days_between(FIRST, LAST))
DAY = date(2024, 2, 10)
LANDED = NOW - timedelta(days=1)

PIPELINE: Mapping[str, Mapping[str, Any]] = {
    "games": {"run": "none"},
    "summary": {"phase": 3, "expect": {"keys_of": "games"}, "upstream": {"games": {"own_day": True}}},
    "teams": {"phase": 3, "expect": {"keys_of": "games"}, "upstream": {"games": {"own_day": True}}},
    "rolling": {
        "phase": 4,
        "expect": {"keys_of": "summary"},
        "upstream": {"summary": {"own_day": True, "lookback_days": 2}},
    },
    "export": {"phase": 6, "expect": {"keys_of": "rolling"}, "upstream": {"rolling": {"own_day": True}}},
}
# What a complete target was built on, in a world in which every partition has version 1 and a window of three.
INPUTS = {"feed": 0, "games": 0, "summary": 1, "teams": 1, "rolling": 1, "export": 1}
MISSING = Seen(10, 0)


def seen_complete(name: str, day: date, when: datetime = LANDED) -> Seen:
    window = min((day - FIRST).days + 1, 3) % 2 if name == "rolling" else INPUTS[name]
    return Seen(10, 10, 10, version=1, inputs=window, changed_at=int(when.timestamp() * 1e6))


def planned(
    damaged: Mapping[Target, Seen],
    *,
    processors: Mapping[str, Mapping[str, Any]] = PIPELINE,
    policy: Policy | None = None,
    ledger: Ledger | None = None,
    scope: Scope | None = None,
    landed: datetime = LANDED,
    now: datetime = NOW,
) -> Plan:
    """The plan for a world that is complete but for what is given."""
    pipeline = declare(processors)
    columns = {
        name: [damaged.get(Target(name, day), seen_complete(name, day, landed)) for day in DAYS] for name in processors
    }
    observation = Observation(FIRST, columns, [None] * len(DAYS), ledger or Ledger())
    policy, scope = policy or Policy(), scope or Scope(FIRST, LAST)
    return plan(pipeline, judge(pipeline, observation, policy, scope, now), observation.ledger, policy, now)


def missing(name: str, days: Iterable[date]) -> dict[Target, Seen]:
    return {Target(name, day): MISSING for day in days}


def runs(of: Plan) -> list[list[tuple[str, list[int]]]]:
    """Per wave, which processors run on which days of the month."""
    return [[(action.processor, [day.day for day in action.run]) for action in wave] for wave in of.waves]


def held(of: Plan) -> dict[Target, str]:
    return {gap.target: reason for gap, reason in of.held}


# -- order ----------------------------------------------------------------------------------------------------------


def test_a_complete_world_asks_for_nothing() -> None:
    nothing = planned({})
    assert not nothing.waves
    assert not nothing.held
    assert nothing.size == 0


def test_a_gap_at_the_root_is_carried_to_the_last_phase_in_one_plan_upstream_first() -> None:
    """The two days after it were built on the lost date: they are stale and part of the plan."""
    everything = missing("summary", [DAY]) | missing("rolling", [DAY]) | missing("export", [DAY])
    window = [10, 11, 12]
    assert runs(planned(everything)) == [[("summary", [10])], [("rolling", window)], [("export", window)]]


def test_what_does_not_depend_on_each_other_shares_a_wave() -> None:
    first, *_ = runs(planned(missing("summary", [DAY]) | missing("teams", [DAY])))
    assert first == [("summary", [10]), ("teams", [10])]


SUSPECT = {Target("summary", DAY): Seen(10, 10, 10, suspect=1, version=1, inputs=1)}  # of the content that others read


def test_what_reads_a_repaired_date_is_looked_at_again_in_its_wave() -> None:
    """Whether they have to be rebuilt is known when the repaired date is: they may get the same content to read."""
    waves = planned(SUSPECT).waves
    after = (DAY + timedelta(days=1), DAY + timedelta(days=2))
    assert waves[0] == (Action("summary", (DAY,), (), ((Verdict.CONTAMINATED, 1),)),)
    assert waves[1] == (Action("rolling", (DAY,), after, ((Verdict.BLOCKED, 1),)),)
    assert waves[2] == (Action("export", (DAY,), after, ((Verdict.BLOCKED, 1),)),)


def test_a_record_is_never_looked_at_again() -> None:
    record = {**PIPELINE, "rolling": {**PIPELINE["rolling"], "restate": "never"}}
    assert [action.recheck for action in planned(SUSPECT, processors=record).actions] == [(), (), ()]


def test_only_what_is_in_scope_is_looked_at_again() -> None:
    narrow = Scope(FIRST, DAY + timedelta(days=1), frozenset({"summary", "rolling"}))
    again = {action.processor: action.recheck for action in planned(SUSPECT, scope=narrow).actions}
    assert again == {"summary": (), "rolling": (DAY + timedelta(days=1),)}


def test_batches_hold_consecutive_dates_up_to_the_limit_of_their_processor() -> None:
    small = {**PIPELINE, "export": {**PIPELINE["export"], "max_dates_per_run": 4}}
    days = DAYS[:10]
    assert runs(planned(missing("export", reversed(days)), processors=small)) == [
        [("export", [1, 2, 3, 4]), ("export", [5, 6, 7, 8]), ("export", [9, 10])]
    ]


def test_an_action_says_how_many_of_its_dates_run_for_which_reason() -> None:
    damaged = {
        Target("export", DAYS[0]): MISSING,
        Target("export", DAYS[1]): MISSING,
        Target("export", DAYS[2]): Seen(10, 3, 3, inputs=1),
        Target("export", DAYS[3]): Seen(10, 10, 10, suspect=2, inputs=1),
    }
    (action,) = planned(damaged).actions
    assert action.reasons == ((Verdict.CONTAMINATED, 1), (Verdict.MISSING, 2), (Verdict.PARTIAL, 1))
    assert list(action.targets) == list(damaged)


# -- the cap --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("days", "order"),
    [([], []), ([3], [3]), ([1, 2], [2, 1]), ([1, 2, 3, 4, 5], [5, 1, 4, 2, 3]), ([9, 1, 9, 5], [9, 1, 5])],
)
def test_newest_and_oldest_alternate(days: list[int], order: list[int]) -> None:
    assert [d.day for d in interleaved(date(2024, 2, day) for day in days)] == order


@given(st.sets(st.dates()))
def test_interleaving_loses_no_date(days: set[date]) -> None:
    result = interleaved(days)
    assert len(result) == len(days)
    assert set(result) == days


def test_a_cap_takes_newest_and_oldest_dates_so_that_neither_starves() -> None:
    capped = planned(missing("export", DAYS), policy=Policy(max_targets=4))
    assert runs(capped) == [[("export", [1, 2, 28, 29])]]
    assert len(capped.held) == len(DAYS) - 4
    assert "beyond the 4 targets of one plan" in held(capped)[Target("export", DAY)]


def test_a_cap_keeps_the_chain_of_a_date_together() -> None:
    everything = missing("summary", DAYS) | missing("rolling", DAYS) | missing("export", DAYS)
    capped = planned(everything, policy=Policy(max_targets=7))
    assert runs(capped) == [[("summary", [1, 29])], [("rolling", [1, 29])], [("export", [1, 29])]]


def test_a_date_that_alone_is_above_the_cap_is_worked_on_all_the_same() -> None:
    everything = missing("summary", [DAY]) | missing("rolling", [DAY]) | missing("export", [DAY])
    assert planned(everything, policy=Policy(max_targets=1), scope=Scope(DAY, DAY)).size == 3


def test_under_the_smallest_cap_a_plan_works_on_something_that_waits_for_nothing_else() -> None:
    """The newest stale date waits for the oldest: a plan of the newest alone would get nowhere, for ever."""
    first, *_ = planned(missing("summary", [DAY]), policy=Policy(max_targets=1)).actions
    assert (first.processor, first.run) == ("summary", (DAY,))


def test_whatever_the_cap_repeated_plans_reach_every_date() -> None:
    left = set(DAYS)
    for _ in range(len(DAYS)):
        capped = planned(missing("export", left), policy=Policy(max_targets=3))
        taken = {day for action in capped.actions for day in action.run}
        assert taken
        left -= taken
        if not left:
            break
    assert not left


# -- age ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("age", "waits"), [(29, False), (30, False), (31, True)])
def test_a_gap_that_could_have_been_filled_for_longer_than_the_limit_waits_for_a_person(age: int, waits: bool) -> None:
    old = planned(missing("export", [DAY]), landed=NOW - timedelta(days=age))
    assert bool(old.held) is waits
    assert bool(old.size) is not waits
    if waits:
        reason = held(old)[Target("export", DAY)]
        assert "31 days (limit 30)" in reason
        assert "--start-date 2024-02-10 --end-date 2024-02-10" in reason


def test_a_season_loaded_today_is_not_old_however_long_ago_it_was_played() -> None:
    assert planned(missing("export", DAYS), now=NOW, landed=NOW).size == len(DAYS)
    assert planned(missing("export", DAYS), now=LANDED + timedelta(days=3650), landed=LANDED).size == 0


def test_naming_dates_lifts_the_age_limit() -> None:
    named = Scope(DAY, DAY, explicit=True)
    assert planned(missing("export", [DAY]), landed=NOW - timedelta(days=400), scope=named).size == 1


def test_naming_dates_lifts_nothing_but_the_age_limit() -> None:
    named = Scope(DAY, DAY, explicit=True)
    spent = Ledger({Target("export", DAY): History(3, 3, inputs=1)})
    assert planned(missing("export", [DAY]), scope=named, ledger=spent).size == 0


# -- budget ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("failures", "minutes"), [(1, 10), (2, 20)])
def test_the_wait_before_another_try_doubles_with_every_failure(failures: int, minutes: int) -> None:
    def after(wait: timedelta) -> Plan:
        history = History(failures, failures, inputs=1, last_attempt=NOW - wait)
        return planned(missing("export", [DAY]), ledger=Ledger({Target("export", DAY): history}))

    early = after(timedelta(minutes=minutes) - timedelta(seconds=1))
    assert early.size == 0
    assert f"failed {failures} times" in held(early)[Target("export", DAY)]
    assert after(timedelta(minutes=minutes)).size == 1


def test_new_inputs_end_the_wait() -> None:
    history = History(2, 2, inputs=99, last_attempt=NOW)
    assert planned(missing("export", [DAY]), ledger=Ledger({Target("export", DAY): history})).size == 1


def test_attempts_without_failures_do_not_wait() -> None:
    history = History(2, 0, inputs=1, last_attempt=NOW)
    assert planned(missing("export", [DAY]), ledger=Ledger({Target("export", DAY): history})).size == 1


def test_a_person_is_needed_for_an_exhausted_target() -> None:
    spent = Ledger({Target("export", DAY): History(3, 3, inputs=1)})
    assert "a person is needed" in held(planned(missing("export", [DAY]), ledger=spent))[Target("export", DAY)]


def test_force_runs_what_is_exhausted_waiting_or_complete_in_scope_and_nothing_else() -> None:
    ledger = Ledger({Target("export", DAY): History(3, 3, inputs=1, last_attempt=NOW)})
    scope = Scope(DAY, DAY + timedelta(days=1), frozenset({"export"}))
    forced = planned(missing("export", [DAY]), ledger=ledger, scope=scope, policy=Policy(force=True))
    assert runs(forced) == [[("export", [10, 11])]]


def test_force_never_runs_a_source() -> None:
    forced = planned({}, scope=Scope(DAY, DAY), policy=Policy(force=True))
    assert [action.processor for action in forced.actions] == ["summary", "teams", "rolling", "export"]


# -- held -----------------------------------------------------------------------------------------------------------


def test_a_source_has_to_be_loaded_and_what_reads_it_waits_for_it() -> None:
    feed = {"expect": {"keys_of": "feed"}, "upstream": {"feed": {"own_day": True, "version": False}}}
    fed = {"feed": {"run": "none"}, **PIPELINE, "games": {"run": "none", **feed}}
    gone = missing("games", [DAY]) | missing("summary", [DAY]) | missing("rolling", [DAY])
    nothing = planned(gone, processors=fed, scope=Scope(DAY, DAY))
    assert nothing.size == 0
    reasons = held(nothing)
    assert reasons[Target("games", DAY)] == "a source; it has to be loaded"
    assert reasons[Target("summary", DAY)] == f"waits for games {DAY}, which this plan does not repair"
    assert reasons[Target("rolling", DAY)] == f"waits for summary {DAY}, which this plan does not repair"


def test_what_another_run_is_at_work_on_is_left_to_it_with_all_that_reads_it() -> None:
    claimed = Ledger({Target("rolling", DAY): History(1, lease_until=NOW + timedelta(minutes=1))})
    waiting = planned(missing("rolling", [DAY]) | missing("export", [DAY]), ledger=claimed, scope=Scope(DAY, DAY))
    assert waiting.size == 0
    assert held(waiting) == {
        Target("rolling", DAY): "another run is at work on it",
        Target("export", DAY): f"waits for rolling {DAY}, which this plan does not repair",
    }


def test_every_gap_is_either_run_or_held_with_a_reason() -> None:
    everything = missing("summary", DAYS) | missing("rolling", DAYS) | missing("export", DAYS)
    history = {Target("summary", day): History(3, 3, inputs=1) for day in DAYS[::3]}
    mixed = planned(everything, ledger=Ledger(history), policy=Policy(max_targets=20))
    run = {target for action in mixed.actions for target in action.targets}
    assert run | held(mixed).keys() == everything.keys()
    assert not run & held(mixed).keys()
    assert all(held(mixed).values())


# -- storm ----------------------------------------------------------------------------------------------------------


def lost(share: int, of: int = 200, **policy: Any) -> Plan:
    """A plan where `share` of `of` once complete targets look lost."""
    days = tuple(days_between(FIRST, FIRST + timedelta(days=of - 1)))
    pipeline = declare({"games": {"run": "none"}, "summary": {**PIPELINE["summary"]}})
    good = Seen(10, 10, 10, version=1, inputs=1, changed_at=int(NOW.timestamp() * 1e6))
    columns = {"games": [good] * of, "summary": [MISSING] * share + [good] * (of - share)}
    ledger = Ledger({Target("summary", day): History(last_complete=LANDED) for day in days})
    observation = Observation(FIRST, columns, [None] * of, ledger)
    limits, now = Policy(**policy), NOW + timedelta(days=of)
    scope = Scope(FIRST, days[-1])
    limits = replace(limits, age_limit_days=1000)
    return plan(pipeline, judge(pipeline, observation, limits, scope, now), ledger, limits, now)


def test_an_implausible_loss_is_refused_with_the_numbers() -> None:
    with pytest.raises(Storm, match=r"100 of the 200 targets .*\(50 %, limit 50 %.*--lift-storm") as refusal:
        lost(100)
    assert refusal.value.exit_code == 3


@pytest.mark.parametrize(
    ("share", "policy"),
    [(99, {}), (100, {"storm_pct": 51}), (150, {"lift_storm": True}), (150, {"storm_least": 151})],
    ids=["fewer than counts", "a smaller share", "lifted", "fewer than set"],
)
def test_a_plausible_loss_is_repaired(share: int, policy: dict[str, Any]) -> None:
    assert lost(share, **policy).size == share


def test_a_first_load_is_no_storm() -> None:
    everything = missing("summary", DAYS) | missing("teams", DAYS) | missing("rolling", DAYS) | missing("export", DAYS)
    assert planned(everything, policy=Policy(storm_least=1)).size == len(everything)


# -- checksum -------------------------------------------------------------------------------------------------------

ACTIONS = st.lists(
    st.lists(
        st.builds(
            lambda name, run, recheck, reason: Action(
                name, tuple(sorted(run)), tuple(sorted(recheck - run)), ((reason, len(run)),) if run else ()
            ),
            st.sampled_from(["a", "b", "ab"]),
            st.frozensets(st.sampled_from(DAYS[:4])),
            st.frozensets(st.sampled_from(DAYS[:4])),
            st.sampled_from([Verdict.MISSING, Verdict.PARTIAL]),
        ),
        min_size=1,
        max_size=2,
    ),
    max_size=2,
)


@settings(max_examples=300)
@given(ACTIONS, ACTIONS)
def test_two_plans_have_one_checksum_exactly_if_they_do_the_same(
    one: list[list[Action]], other: list[list[Action]]
) -> None:
    first, second = (Plan(tuple(tuple(wave) for wave in waves)) for waves in (one, other))
    same = [sorted(wave) for wave in one] == [sorted(wave) for wave in other]
    assert (first.checksum == second.checksum) is same


def test_the_checksum_is_the_same_an_hour_later_and_changes_with_the_gaps() -> None:
    first = planned(missing("export", [DAY]))
    assert planned(missing("export", [DAY]), now=NOW + timedelta(hours=1)).checksum == first.checksum
    assert planned(missing("export", [DAY - timedelta(days=1)])).checksum != first.checksum
    assert planned({Target("export", DAY): Seen(10, 4, 4, inputs=1)}).checksum != first.checksum


# -- growth ---------------------------------------------------------------------------------------------------------


def steps_to_plan(days: int) -> int:
    """How many lines of our code it takes to judge and plan that many dates, everything missing. No clock."""
    import sys

    count = 0

    def trace(frame: Any, event: str, _: Any) -> Any:
        nonlocal count
        if "/gapless/" not in frame.f_code.co_filename:
            return None
        count += event == "line"
        return trace

    pipeline = declare(PIPELINE)
    columns = {name: [seen_complete(name, FIRST) if name == "games" else MISSING] * days for name in PIPELINE}
    observation = Observation(FIRST, columns, [None] * days)
    scope, policy = Scope(FIRST, FIRST + timedelta(days=days - 1)), Policy(max_targets=10**6, age_limit_days=10**6)
    now = NOW + timedelta(days=days)
    before = sys.gettrace()
    sys.settrace(trace)
    try:
        judgement = judge(pipeline, observation, policy, scope, now)
        plan(pipeline, judgement, Ledger(), policy, now)
    finally:
        sys.settrace(before)
    return count


def test_the_work_grows_with_the_number_of_targets_and_no_faster() -> None:
    small, large = steps_to_plan(200), steps_to_plan(800)
    assert 3 < large / small < 4.4
