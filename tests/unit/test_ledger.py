"""How claims are won, lost and given up, and what the ledger's rows add up to."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapless import ledger
from gapless.errors import CannotObserve, ClaimLost, TransientFailure
from gapless.ledger import balance, generation_of, owner_is_gone, this_process
from gapless.ledger import owner as owners
from gapless.ledger.balance import HeadRow, HistoryRow
from gapless.ledger.book import ClaimedRow, OutcomeRow, SpokenRow
from gapless.ledger.tables import ACKNOWLEDGED_GAPS, ATTEMPTS, OUTCOMES, LedgerTable
from gapless.model import Claim, History, Outcome, Policy, Scope, Status, Target, Verdict, Wanted
from gapless.observe.observer import parse
from tests.twin import Rows, Twin, World, declare

DAYS = [date(2024, 1, day) for day in range(1, 10)]
TARGETS = [Target("summary", day) for day in DAYS]
PIPELINE = declare(
    {
        "games": {"run": "none"},
        "summary": {"phase": 3, "expect": {"keys_of": "games"}, "upstream": {"games": {"own_day": True}}},
    }
)


def world() -> Twin:
    return Twin(World(PIPELINE))


def wanting(*targets: Target) -> list[Wanted]:
    return [Wanted(target, 7, "missing") for target in targets]


def won(claim: Claim) -> list[Target]:
    return [w.target for w in claim.wanted]


# -- claims ---------------------------------------------------------------------------------------------------------


def test_claims_are_numbered_without_gaps_and_say_who_until_when_and_why() -> None:
    twin = world()
    first = twin.ledger("a").claim(wanting(*TARGETS[:2]), 0, "twin", "run-1")
    second = twin.ledger("b").claim(wanting(TARGETS[2]), 1, "twin", "run-2")
    assert (first.number, second.number) == (1, 2)
    row = twin.world.attempts[0]
    assert (row.number, row.run, row.target, row.inputs, row.owner) == (1, "run-1", TARGETS[0], 7, "twin/a")
    assert row.lease_until - row.claimed_at == Policy().lease


def test_the_job_id_of_a_claim_names_the_generation_and_the_number() -> None:
    twin = world()
    twin.ledger().claim(wanting(TARGETS[0]), 41, "9f00c0ffee11", "run")
    assert list(twin.warehouse.jobs) == ["gapless-claim-9f00c0ffee11-000000042"]
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,1024}", next(iter(twin.warehouse.jobs)))


def test_of_two_runs_that_saw_the_same_one_gets_the_number_and_the_other_what_is_left() -> None:
    twin = world()
    twin.ledger("a").claim(wanting(*TARGETS[:3]), 0, "twin", "a")
    late = twin.ledger("b").claim(wanting(*TARGETS[1:5]), 0, "twin", "b")
    assert late.number == 2
    assert won(late) == TARGETS[3:5]
    assert late.others == frozenset(TARGETS[:3])


def test_a_claim_of_what_others_have_taken_altogether_is_a_claim_of_nothing() -> None:
    twin = world()
    twin.ledger("a").claim(wanting(*TARGETS[:3]), 0, "twin", "a")
    nothing = twin.ledger("b").claim(wanting(TARGETS[1]), 0, "twin", "b")
    assert not nothing.wanted
    assert nothing.others == frozenset(TARGETS[:3])
    assert {a.owner for a in twin.world.attempts} == {"twin/a"}


def test_what_was_claimed_since_the_look_is_dropped_even_if_it_has_ended() -> None:
    """What the late run knows of it is older than that outcome."""
    twin = world()
    book = twin.ledger("a")
    claim = book.claim(wanting(TARGETS[0]), 0, "twin", "a")
    book.record([outcome(TARGETS[0], claim.number, twin.world.clock())], "a")
    assert not twin.ledger("b").claim(wanting(TARGETS[0]), 0, "twin", "b").wanted


def test_what_was_claimed_before_the_look_can_be_claimed_again() -> None:
    twin = world()
    twin.ledger("a").claim(wanting(TARGETS[0]), 0, "twin", "a")
    assert won(twin.ledger("b").claim(wanting(TARGETS[0]), 1, "twin", "b")) == TARGETS[:1]


def test_a_lost_answer_is_recognised_by_its_token_and_claims_once() -> None:
    twin = world()
    twin.warehouse.lose_next = True
    claim = twin.ledger().claim(wanting(TARGETS[0]), 0, "twin", "a")
    assert (claim.number, len(twin.world.attempts)) == (1, 1)


def test_the_same_owner_is_no_proof_that_a_job_is_ones_own() -> None:
    """A restarted run of the same name finds its predecessor's job: that one's claim stands."""
    twin = world()
    twin.ledger("a").claim(wanting(TARGETS[0]), 0, "twin", "before")
    assert not twin.ledger("a").claim(wanting(TARGETS[0]), 0, "twin", "after").wanted


def test_a_failed_insert_burns_its_number_and_the_next_run_steps_over_it() -> None:
    twin = world()
    twin.warehouse.fail_next = True
    with pytest.raises(TransientFailure):
        twin.ledger("a").claim(wanting(TARGETS[0]), 0, "twin", "a")
    claim = twin.ledger("b").claim(wanting(TARGETS[0]), 0, "twin", "b")
    assert (claim.number, won(claim)) == (2, TARGETS[:1])


@given(st.lists(st.booleans(), max_size=12), st.integers(0, 11))
def test_however_many_numbers_were_taken_or_burned_a_run_gets_the_first_free_one(
    history: list[bool], seen: int
) -> None:
    """True: claimed by another run; False: burned by a failed INSERT. The run looked when `seen` of them were there."""
    twin = world()
    for number, claimed in enumerate(history):
        twin.warehouse.fail_next = not claimed
        try:
            twin.ledger("other").claim(wanting(TARGETS[0]), number, "twin", "other")
        except TransientFailure:
            assert not claimed
    known = max((a.number for a in twin.world.attempts if a.number <= seen), default=0)
    claim = twin.ledger("late").claim(wanting(TARGETS[0], TARGETS[1]), known, "twin", "late")
    assert claim.number == len(history) + 1
    assert won(claim) == ([TARGETS[1]] if any(history[known:]) else TARGETS[:2])


def test_a_run_that_is_overtaken_twenty_times_gives_up_and_says_so() -> None:
    twin = world()
    others = iter(range(1, 1000))

    def overtaken(step: str) -> None:
        if step == "before claim":
            hook, twin.world.pause = twin.world.pause, lambda _step: None
            twin.ledger("other").claim(wanting(Target("games", DAYS[0])), next(others) - 1, "twin", "other")
            twin.world.pause = hook

    twin.world.pause = overtaken
    with pytest.raises(ClaimLost, match="20 other claims came first while 1 targets") as lost:
        twin.ledger("slow").claim(wanting(TARGETS[0]), 0, "twin", "slow")
    assert not lost.value.permanent
    assert {a.owner for a in twin.world.attempts} == {"twin/other"}


# -- outcomes and history -------------------------------------------------------------------------------------------


def outcome(target: Target, number: int, at: datetime, status: Status = Status.COMPLETE, error: str = "") -> Outcome:
    return Outcome(target, status, 4, 4 if status is Status.COMPLETE else 0, number, 7, at, at, error)


def test_recording_nothing_sends_nothing() -> None:
    twin = world()
    steps: list[str] = []
    twin.world.pause = steps.append
    twin.ledger().record([], "run")
    assert not steps


def test_every_outcome_is_one_row_with_its_attempt_and_error() -> None:
    twin = world()
    at = twin.world.clock()
    twin.ledger().record([outcome(TARGETS[0], 3, at), outcome(TARGETS[1], 3, at, Status.FAILED, 'it\'s "so"\n')], "r")
    assert [(o.target, o.number, o.status, o.error) for o in twin.world.outcomes] == [
        (TARGETS[0], 3, "complete", ""),
        (TARGETS[1], 3, "failed", 'it\'s "so"\n'),
    ]


def tries(twin: Twin, *statuses: Status | None) -> History:
    """What is known after attempts that ended like this; None is a run that was killed."""
    book = twin.ledger()
    for number, status in enumerate(statuses):
        claim = book.claim(wanting(TARGETS[0]), number, "twin", "run")
        if status:
            error = "" if status is Status.COMPLETE else "x"
            book.record([outcome(TARGETS[0], claim.number, twin.world.clock(), status, error)], "run")
    seen = parse(twin.world.state(DAYS[0], DAYS[-1]), ["summary"], DAYS[-1], 0)
    return seen.ledger.history[TARGETS[0]]


@pytest.mark.parametrize(
    ("statuses", "attempts", "failures"),
    [
        ([Status.COMPLETE], 0, 0),
        ([Status.FAILED], 1, 1),
        ([Status.FAILED, Status.PARTIAL], 2, 2),
        ([Status.FAILED, None], 2, 1),
        ([Status.FAILED, Status.COMPLETE], 0, 0),
        ([Status.COMPLETE, Status.FAILED], 1, 1),
        ([Status.FAILED, Status.COMPLETE, None, Status.FAILED], 2, 1),
        ([Status.SKIPPED], 0, 0),
        ([Status.FAILED, Status.SKIPPED], 1, 1),
        ([Status.SKIPPED, None, Status.SKIPPED, Status.PARTIAL], 2, 1),
        ([Status.COMPLETE, Status.SKIPPED], 0, 0),
    ],
)
def test_attempts_are_counted_until_the_data_lands(statuses: list[Status | None], attempts: int, failures: int) -> None:
    history = tries(world(), *statuses)
    assert (history.attempts, history.failures) == (attempts, failures)
    assert history.claim == len(statuses)


def test_a_claim_without_an_outcome_holds_its_lease_and_one_with_an_outcome_does_not() -> None:
    assert tries(world(), None).lease_until
    assert not tries(world(), None, Status.FAILED).lease_until
    assert tries(world(), Status.FAILED, None).lease_until


def test_the_last_error_is_that_of_the_newest_attempt() -> None:
    assert tries(world(), Status.FAILED).last_error == "x"
    assert tries(world(), Status.FAILED, Status.COMPLETE).last_error == ""


def test_a_skipped_attempt_ends_its_claim_and_leaves_time_and_error_of_the_last_one_that_was_made() -> None:
    assert not tries(world(), None, Status.SKIPPED).is_open
    failed, skipped = tries(world(), Status.FAILED), tries(world(), Status.FAILED, Status.SKIPPED)
    assert (skipped.last_error, skipped.last_attempt) == ("x", failed.last_attempt)


def test_what_was_only_ever_skipped_never_landed() -> None:
    """Beside it, under the same claim, is a target that landed."""
    twin = world()
    claim = twin.ledger().claim(wanting(*TARGETS[:2]), 0, "twin", "run")
    at = twin.world.clock()
    ends = (Status.COMPLETE, Status.SKIPPED)
    twin.ledger().record([outcome(t, claim.number, at, end) for t, end in zip(TARGETS, ends, strict=False)], "run")
    history = parse(twin.world.state(DAYS[0], DAYS[-1]), ["summary"], DAYS[-1], 0).ledger.history
    assert [history[t].last_complete for t in TARGETS[:2]] == [at, None]


def test_a_table_is_created_as_it_is_declared_with_the_columns_that_were_added_later() -> None:
    outcomes = ledger.TABLES["backfill_date_outcomes"]
    created = outcomes.create("d")
    assert created.startswith(
        "CREATE TABLE IF NOT EXISTS `d.backfill_date_outcomes` (\n  backfill_run_id STRING NOT NULL"
    )
    assert created.endswith("\nPARTITION BY analysis_date\nCLUSTER BY processor_name, status")
    assert [column.name for column in outcomes.added][:2] == ["failure_category", "permanent"]
    for column in outcomes.added:
        assert not column.required, "rows of earlier versions lack it"
        assert f"\n  {column.name} {column.type}" in created


@pytest.mark.parametrize(
    ("row", "table", "otherwise"),
    [
        (ClaimedRow, ATTEMPTS, ["claim_number", "run_id", "owner", "claimed_at", "lease_until"]),
        (OutcomeRow, OUTCOMES, ["backfill_run_id"]),
        (SpokenRow, ACKNOWLEDGED_GAPS, ["withdrawn"]),
    ],
)
def test_what_is_written_of_a_row_and_beside_it_fills_every_column_of_its_table(
    row: type[Any], table: LedgerTable, otherwise: list[str]
) -> None:
    assert sorted([*row._fields, *otherwise]) == sorted(table.columns)


def test_an_insert_names_a_column_that_the_table_lacks_or_requires() -> None:
    names = ["run_id", "processor_name", "owner", "claimed_at", "lease_until"]
    with pytest.raises(ValueError, match="attempts is not written like this: shoe_size, claim_number"):
        ATTEMPTS.insert("d", dict.fromkeys([*names, "shoe_size"], "@x"))


def test_an_acknowledgement_travels_with_reason_owner_and_expiry() -> None:
    twin = world()
    twin.ledger().acknowledge("summary", DAYS[0], DAYS[2], "arena fire\nno data", "ana", DAYS[8])
    seen = parse(twin.world.state(DAYS[0], DAYS[-1]), ["summary"], DAYS[-1], 0)
    (word,) = seen.ledger.acknowledged
    assert (word.processor, word.first, word.last, word.expires) == ("summary", DAYS[0], DAYS[2], DAYS[8])
    assert (word.reason, word.owner) == ("arena fire\nno data", "ana")
    assert word.since == twin.world.clock.now


def test_new_inputs_give_a_whole_new_budget() -> None:
    """As `verdicts._spent` promises: new inputs give a new one."""
    twin = world()
    twin.world.fill("games", DAYS[0], {"a": 1})

    def broken(_target: Target, _rows: Rows) -> Rows:
        raise TransientFailure("the service is down")

    twin.world.spoil = broken
    one = Scope(DAYS[0], DAYS[0])

    def tries_until_exhausted() -> int:
        before = len(twin.world.attempts)
        for _ in range(10):
            twin.engine().apply(twin.engine().scan(one))
            twin.world.clock.advance(timedelta(hours=2))
        assert twin.engine().scan(one).judgement.verdict(TARGETS[0]) is Verdict.EXHAUSTED
        return len(twin.world.attempts) - before

    assert tries_until_exhausted() == 3
    twin.world.fill("games", DAYS[0], {"a": 2})
    assert tries_until_exhausted() == 3


# -- owners and generations -----------------------------------------------------------------------------------------


def history_row(owner: str) -> tuple[Any, ...]:
    micros = int(datetime(2024, 1, 10, tzinfo=UTC).timestamp() * 1e6)
    row = HistoryRow(
        name="summary",
        day=DAYS[0],
        attempts=1,
        failures=0,
        inputs_hash=7,
        last_attempt=micros,
        last_complete=None,
        claim_number=1,
        lease_until=micros,
        note=owner,
    )
    return balance.HISTORY.encode(row)


HEAD = balance.HEAD.encode(HeadRow(1, "9f00c0ffee11"))


def lease(owner: str) -> datetime | None:
    rows = [history_row(owner), HEAD]
    return parse(rows, ["summary"], DAYS[-1], 0).ledger.history[TARGETS[0]].lease_until


def test_the_lease_of_a_running_process_counts() -> None:
    assert not owner_is_gone(this_process())
    assert lease(this_process())


def another_pid(owner: str) -> str:
    host, pid, started, token = owner.split("/")
    return "/".join((host, pid, str(int(started) + 1) if started.isdigit() else "0", token))


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes can only be checked where /proc is")
def test_the_lease_of_a_process_that_died_here_does_not_count() -> None:
    """The same process id was given to another process since."""
    assert owner_is_gone(another_pid(this_process()))
    assert lease(another_pid(this_process())) is None


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes can only be checked where /proc is")
def test_a_dead_process_that_its_parent_has_not_asked_about_yet_is_dead() -> None:
    """In a container nobody may ever ask."""
    with subprocess.Popen(["sleep", "60"]) as child:
        host = this_process().partition("/")[0]
        owner = f"{host}/{child.pid}/{owners._started(child.pid)}/x"
        assert not owner_is_gone(owner)
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert owner_is_gone(owner)


@pytest.mark.parametrize("owner", ["elsewhere/1/1/x", "", "no slashes", f"{os.uname().nodename}/x/1/y"])
def test_an_owner_elsewhere_is_never_known_to_be_dead(owner: str) -> None:
    assert not owner_is_gone(owner)
    assert lease(owner)


def test_every_process_has_a_token_of_its_own() -> None:
    assert this_process() != this_process()


@pytest.mark.parametrize("rows", [[], [balance.HEAD.encode(HeadRow(None, None))]])
def test_an_empty_ledger_is_an_error_and_never_a_fresh_start(rows: list[tuple[Any, ...]]) -> None:
    with pytest.raises(CannotObserve, match="gapless init"):
        parse(rows, ["summary"], DAYS[-1], 0)


def test_a_ledger_knows_its_generation() -> None:
    assert generation_of("9f00c0ffee11") == "9f00c0ffee11"
    assert parse([HEAD], ["summary"], DAYS[-1], 0).ledger.generation == "9f00c0ffee11"


def test_a_row_that_nobody_knows_is_an_error() -> None:
    with pytest.raises(CannotObserve, match="unknown kind 'surprise'"):
        parse([("surprise", "", None, *[None] * 11), HEAD], ["summary"], DAYS[-1], 0)


@pytest.mark.parametrize("column", ["processor_name", "target_date", "claim_number", "owner", "lease_until"])
def test_the_attempts_table_has_what_a_claim_writes(column: str) -> None:
    sent: list[str] = []

    class Listening:
        def execute(self, sql: str, *_: Any, **__: Any) -> int:
            sent.append(sql)
            return 1

    book = ledger.SqlLedger(Listening(), "twin_gapless", {}, CLOCK, timedelta(minutes=1), "me")  # type: ignore[arg-type]
    book.claim(wanting(TARGETS[0]), 0, "twin", "run")
    assert re.search(rf"\b{column}\b", sent[0])
    assert column in ledger.TABLES["attempts"].columns


CLOCK: Callable[[], datetime] = lambda: datetime(2024, 1, 10, tzinfo=UTC)  # noqa: E731
