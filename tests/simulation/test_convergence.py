"""Random pipelines, damage, crashes, races and lost messages: whatever happened, the next applies make it right.

Everything runs on the twins of `tests.twin`. A run is interrupted at the steps where the twins pause: killed there
(it then does nothing any more), or left standing while another run goes on.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gapless.declare.pipeline import Pipeline
from gapless.engine import ApplyReport, Engine
from gapless.errors import ClaimLost, GaplessError, TransientFailure
from gapless.model import Policy, Scope, Target, Verdict, days_between
from tests.twin import Clock, Row, Rows, Twin, World, declare, fingerprint

FIRST, LAST = date(2024, 1, 4), date(2024, 1, 11)
DAYS = tuple(days_between(FIRST, LAST))
EVERYTHING = Scope(FIRST, LAST)
POLICY = Policy(max_abandoned=10_000)
MIDDAY = datetime(2024, 1, 10, 17, tzinfo=UTC)  # two dates are not over, so "historical" and "upcoming" both happen
ENOUGH = 8  # applies: more than the longest chain of three-day windows over the pipelines below needs
QUICK = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


class Killed(BaseException):
    """The process is gone: nobody catches it."""


# -- random worlds --------------------------------------------------------------------------------------------------


@st.composite
def pipelines(draw: st.DrawFn) -> Pipeline:
    """One or two sources and two to four processors; each reads the whole of what it takes its keys from."""
    sources = [f"s{i}" for i in range(draw(st.integers(1, 2)))]
    processors: dict[str, Mapping[str, Any]] = {name: {"run": "none"} for name in sources}
    for number in range(draw(st.integers(2, 4))):
        earlier = list(processors)
        base = draw(st.sampled_from(earlier))
        upstream: dict[str, Any] = {
            name: {
                "own_day": draw(st.sampled_from(["always", "historical", "upcoming"])),
                "lookback_days": draw(st.integers(0, 3)),
            }
            for name in draw(st.sets(st.sampled_from(earlier), max_size=2))
        }
        for name in draw(st.sets(st.sampled_from(earlier), max_size=1)):
            upstream[name] = {"own_day": "never", "lookback_days": draw(st.integers(1, 3))}
        upstream[base] = {"own_day": "always", "lookback_days": draw(st.integers(0, 2))}
        for name in draw(st.sets(st.sampled_from(earlier), max_size=1)) - {base}:
            # read where it has enough of the base's keys, and replaced by it elsewhere
            upstream[name] = {"own_day": draw(st.sampled_from(["always", "historical", "upcoming"])), "fallback": base}
        processors[f"p{number}"] = {
            "phase": 2,
            "expect": {"keys_of": base},
            "upstream": dict(sorted(upstream.items())),
            "max_dates_per_run": draw(st.sampled_from([1, 3, 100])),
            "optional": draw(st.sampled_from([False, False, False, True])),
        }
    return declare(processors, topics={2: "done"})


def load(world: World, off_days: frozenset[date] = frozenset()) -> None:
    """Two to four keys in every source on every date with games."""
    for p in world.pipeline.processors.values():
        if p.run == "none":
            for number, day in enumerate(DAYS):
                if day not in off_days:
                    keys = "abcd"[: 2 + number % 3]
                    world.fill(p.name, day, {key: fingerprint(p.name, day, key) for key in keys})


def fresh(pipeline: Pipeline, off_days: frozenset[date] = frozenset(), policy: Policy = POLICY) -> Twin:
    twin = Twin(World(pipeline, Clock(MIDDAY)), policy)
    load(twin.world, off_days)
    return twin


def apply(engine: Engine, scope: Scope = EVERYTHING) -> ApplyReport:
    return engine.apply(engine.scan(scope))


def heal(twin: Twin) -> int:
    """Apply until nothing is asked for; the number of applies that it took."""
    for number in range(ENOUGH + 1):
        twin.world.clock.advance(timedelta(minutes=41))  # leases end and backoffs pass
        engine = twin.engine(f"healer {number}")
        look = engine.scan(EVERYTHING)
        if look.judgement.complete:
            return number
        engine.apply(look)
    raise AssertionError(f"not complete after {ENOUGH} applies: {twin.engine().scan(EVERYTHING).judgement.gaps}")


def assert_right_and_quiet(twin: Twin) -> None:
    """The content is what an undisturbed run makes, and looking again asks for nothing and does nothing."""
    assert twin.world.contents() == twin.world.undisturbed(DAYS, twin.today).contents()
    look = twin.engine().scan(EVERYTHING)
    assert not look.plan.waves
    assert not look.plan.held
    before = (dict(twin.world.partitions), len(twin.world.attempts), len(twin.world.outcomes))
    twin.engine().apply(look)
    assert (dict(twin.world.partitions), len(twin.world.attempts), len(twin.world.outcomes)) == before


# -- damage ---------------------------------------------------------------------------------------------------------


def damage(rows: Rows, kind: str) -> Rows:
    """What people, scripts and half-finished loads do to a partition."""
    first, *rest = rows
    return {
        "delete": (),
        "truncate": tuple(rest),
        "corrupt": (first._replace(value=first.value + 1), *rest),
        "wrong key": (first._replace(key="nobody"), *rest),
        "duplicate": (first, *rows),
        "triplicate": (first, first, *rows),
        "foreign": (*rows, Row("stranger", 7)),
        "suspect": (first._replace(suspect=True), *rest),
        "built on something else": tuple(row._replace(inputs=12345) for row in rows),
        "mixed runs": (first._replace(inputs=12345), *rest),
    }[kind]


DAMAGES = (
    "delete",
    "truncate",
    "corrupt",
    "wrong key",
    "duplicate",
    "triplicate",
    "foreign",
    "suspect",
    "built on something else",
    "mixed runs",
)


def change(world: World, target: Target, kind: str) -> None:
    """What happens to a source: a correction, a key more, a key less. It is then the truth."""
    rows = world.rows(target)
    values = {row.key: row.value for row in rows}
    if kind == "corrected":
        values[rows[0].key] += 1
    elif kind == "one more":
        values[f"new{len(rows)}"] = len(rows)
    elif len(values) > 1:
        values.popitem()
    world.fill(target.processor, target.day, values)


def with_rows(world: World, run: str) -> list[Target]:
    processors = world.pipeline.processors
    return sorted(t for t, rows in world.partitions.items() if rows and processors[t.processor].run == run)


def computed_targets(world: World) -> list[Target]:
    return with_rows(world, "sql")


def source_targets(world: World) -> list[Target]:
    return with_rows(world, "none")


# -- interruptions --------------------------------------------------------------------------------------------------


class KilledAt:
    """Kills the run at its n-th pause; a dead run does nothing any more."""

    def __init__(self, number: int) -> None:
        self.left = number
        self.step = ""

    def __call__(self, step: str) -> None:
        self.left -= 1
        if self.left < 0:
            self.step = self.step or step
            raise Killed(step)


def killed(twin: Twin, number: int, call: Callable[[], object]) -> str:
    """Where the call was killed; empty if it ended before."""
    hook = KilledAt(number)
    twin.world.pause = hook
    try:
        call()
    except Killed:
        pass
    except GaplessError:
        assert not hook.step
    finally:
        twin.world.pause = lambda _step: None
    return hook.step


class Interleaved:
    """Runs several calls, one at a time, and lets `choose` say at every pause which goes on.

    Each call is a thread that waits for its turn, so the order is the chooser's and not the machine's.
    """

    def __init__(self, twin: Twin, choose: Callable[[int], int]) -> None:
        self.twin = twin
        self.choose = choose
        self.turns: list[threading.Semaphore] = []
        self.main = threading.Semaphore(0)
        self.here = threading.local()
        self.errors: list[BaseException] = []
        self.waiting: int | None = None  # needs another one to go on first

    def run(self, *calls: Callable[[], object]) -> None:
        self.turns = [threading.Semaphore(0) for _ in calls]
        alive = [True] * len(calls)
        threads = [
            threading.Thread(target=self._body, args=(number, call, alive), daemon=True)
            for number, call in enumerate(calls)
        ]
        self.twin.world.pause = lambda _step: self._yield()
        self.twin.warehouse.wait = self._wait
        for thread in threads:
            thread.start()
        while any(alive):
            ready = [number for number, living in enumerate(alive) if living and number != self.waiting]
            self.waiting = None
            self.turns[ready[self.choose(len(ready))]].release()
            self.main.acquire()
        for thread in threads:
            thread.join()
        self.twin.world.pause = lambda _step: None
        self.twin.warehouse.wait = None
        for error in self.errors:
            raise error

    def _body(self, number: int, call: Callable[[], object], alive: list[bool]) -> None:
        self.here.number = number
        self.turns[number].acquire()
        try:
            call()
        except GaplessError:
            pass  # an explained failure: what it left is looked at afterwards
        except BaseException as error:  # noqa: BLE001  (raised again by `run`)
            self.errors.append(error)
        finally:
            alive[number] = False
            self.main.release()

    def _wait(self) -> None:
        self.waiting = self.here.number
        self._yield()

    def _yield(self) -> None:
        number = self.here.number
        self.main.release()
        self.turns[number].acquire()


def chooser(choices: list[int]) -> Callable[[int], int]:
    """The choices in turn, and from the first again."""
    stream = itertools.cycle(choices or [0])
    return lambda ready: next(stream) % ready


def assert_claims_never_overlap(twin: Twin) -> None:
    """A target is claimed again only after the claim before ended with an outcome or ran out."""
    world = twin.world
    ended = {(o.target, o.number): o.processed_at for o in world.outcomes}
    assert len({(a.number, a.target) for a in world.attempts}) == len(world.attempts)
    runs: dict[int, set[str]] = {}
    latest: dict[Target, Any] = {}
    for attempt in world.attempts:
        runs.setdefault(attempt.number, set()).add(attempt.owner)
        before = latest.get(attempt.target)
        if before:
            end = ended.get((before.target, before.number), before.lease_until)
            assert min(end, before.lease_until) <= attempt.claimed_at, (before, attempt)
        latest[attempt.target] = attempt
    assert all(len(owners) == 1 for owners in runs.values())


def assert_every_partition_is_whole(twin: Twin, damaged: frozenset[Target]) -> None:
    """What a run published is one run's work, without gaps or doubles: nobody ever reads half of it."""
    for target in computed_targets(twin.world):
        rows = twin.world.rows(target)
        if target not in damaged:
            assert len({(row.run, row.inputs, row.changed_at) for row in rows}) == 1, target
            assert len({row.key for row in rows}) == len(rows), target


# -- the model ------------------------------------------------------------------------------------------------------


class Convergence(RuleBasedStateMachine):
    """Anything may happen between two applies, and inside them."""

    @initialize(pipeline=pipelines(), off=st.sets(st.sampled_from(DAYS), max_size=2))
    def begin(self, pipeline: Pipeline, off: set[date]) -> None:
        self.twin = fresh(pipeline, frozenset(off))
        self.damaged: dict[Target, Rows] = {}

    @property
    def world(self) -> World:
        return self.twin.world

    @rule()
    def scan_and_apply(self) -> None:
        self._explained(lambda: apply(self.twin.engine()))

    @rule(number=st.integers(0, 60))
    def a_run_is_killed(self, number: int) -> None:
        killed(self.twin, number, lambda: apply(self.twin.engine("the killed")))

    @rule(choices=st.lists(st.integers(0, 1), max_size=60))
    def two_runs_at_once(self, choices: list[int]) -> None:
        Interleaved(self.twin, chooser(choices)).run(
            lambda: apply(self.twin.engine("left")), lambda: apply(self.twin.engine("right"))
        )

    @rule(number=st.integers(0, 40))
    def a_stalled_run_comes_back_after_its_lease(self, number: int) -> None:
        left = iter(range(number))

        def until_the_lease_is_over(ready: int) -> int:
            if ready == 1 or next(left, None) is not None:
                return 0
            return 1

        def later() -> None:
            self.world.clock.advance(POLICY.lease * 2)
            apply(self.twin.engine("the other"))

        Interleaved(self.twin, until_the_lease_is_over).run(lambda: apply(self.twin.engine("the stalled")), later)

    @rule(kind=st.sampled_from(DAMAGES), data=st.data())
    def something_is_damaged(self, kind: str, data: st.DataObject) -> None:
        targets = computed_targets(self.world)
        if targets:
            target = data.draw(st.sampled_from(targets))
            rows = damage(self.world.rows(target), kind)
            self.world.put({target: rows})
            self.damaged[target] = rows

    @rule(kind=st.sampled_from(["corrected", "one more", "one less"]), data=st.data())
    def a_source_changes(self, kind: str, data: st.DataObject) -> None:
        change(self.world, data.draw(st.sampled_from(source_targets(self.world))), kind)

    @rule(data=st.data())
    def a_source_is_lost_and_loaded_again(self, data: st.DataObject) -> None:
        target = data.draw(st.sampled_from(source_targets(self.world)))
        rows = self.world.rows(target)
        self.world.put({target: ()})
        self._explained(lambda: apply(self.twin.engine()))
        self.world.put({target: rows})

    @rule(minutes=st.sampled_from([1, 9, 16, 45, 180, 700]))
    def time_passes(self, minutes: int) -> None:
        self.world.clock.advance(timedelta(minutes=minutes))

    @precondition(lambda self: self.world.messages)
    @rule(data=st.data(), keep=st.booleans())
    def a_message_arrives(self, data: st.DataObject, keep: bool) -> None:
        """In any order; one that is kept arrives again."""
        number = data.draw(st.integers(0, len(self.world.messages) - 1))
        _, message = self.world.messages[number] if keep else self.world.messages.pop(number)
        scope = Scope(date.fromisoformat(message["start_date"]), date.fromisoformat(message["end_date"]))
        self._explained(lambda: apply(self.twin.engine("subscriber"), scope))

    @precondition(lambda self: self.world.messages)
    @rule()
    def messages_are_lost(self) -> None:
        self.world.messages.clear()

    @rule()
    def the_next_message_is_refused(self) -> None:
        self.twin.bus.refuse_next = True

    @rule()
    def the_next_claim_fails(self) -> None:
        self.twin.warehouse.fail_next = True

    @rule()
    def the_answer_to_the_next_claim_is_lost(self) -> None:
        self.twin.warehouse.lose_next = True

    def _explained(self, call: Callable[[], object]) -> None:
        with contextlib.suppress(TransientFailure, ClaimLost):
            call()

    @invariant()
    def claims_never_overlap(self) -> None:
        assert_claims_never_overlap(self.twin)

    @invariant()
    def partitions_are_whole(self) -> None:
        self.damaged = {t: rows for t, rows in self.damaged.items() if self.world.rows(t) == rows}
        assert_every_partition_is_whole(self.twin, frozenset(self.damaged))

    def teardown(self) -> None:
        if hasattr(self, "twin"):
            self.twin.warehouse.fail_next = False
            heal(self.twin)
            assert_right_and_quiet(self.twin)
            assert_claims_never_overlap(self.twin)


TestConvergence = Convergence.TestCase
TestConvergence.settings = settings(
    max_examples=250, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck)
)


# -- one thing at a time --------------------------------------------------------------------------------------------

CHAIN = declare(
    {
        "games": {"run": "none"},
        "summary": {"phase": 3, "expect": {"keys_of": "games"}, "upstream": {"games": {"own_day": True}}},
        "rolling": {
            "phase": 4,
            "expect": {"keys_of": "summary"},
            "upstream": {"summary": {"own_day": True, "lookback_days": 2}},
        },
        "export": {"phase": 6, "expect": {"keys_of": "rolling"}, "upstream": {"rolling": {"own_day": True}}},
        "aside": {"phase": 3, "expect": {"keys_of": "games"}, "upstream": {"games": {"own_day": True}}},
    },
    topics={3: "phase3", 4: "phase4"},
)


def complete(pipeline: Pipeline = CHAIN, policy: Policy = POLICY) -> Twin:
    twin = fresh(pipeline, policy=policy)
    heal(twin)
    assert_right_and_quiet(twin)
    return twin


def steps_of(call: Callable[[], object], twin: Twin) -> list[str]:
    seen: list[str] = []
    twin.world.pause = seen.append
    call()
    twin.world.pause = lambda _step: None
    return seen


def test_one_apply_takes_a_season_from_its_sources_to_the_last_phase() -> None:
    twin = fresh(CHAIN)
    report = apply(twin.engine())
    assert len(report.outcomes) == 4 * len(DAYS)
    assert not report.failed
    assert_right_and_quiet(twin)


def test_a_run_killed_at_any_step_is_made_good_and_leaves_no_partition_half_written() -> None:
    steps = steps_of(lambda: apply(twin.engine()), twin := fresh(CHAIN))
    names = {step.split(" ", 1)[1] for step in steps}
    assert names == {"observe", "claim", "stage", "audit", "publish", "discard", "measure", "outcomes", "message"}
    for number, step in enumerate(steps):
        twin = fresh(CHAIN)
        assert killed(twin, number, lambda twin=twin: apply(twin.engine("the killed"))) == step
        assert_every_partition_is_whole(twin, frozenset())
        assert heal(twin) <= 2, step
        assert_right_and_quiet(twin)
        assert_claims_never_overlap(twin)


def test_what_a_killed_run_claimed_waits_for_its_lease_and_no_longer() -> None:
    twin = fresh(CHAIN)
    killed(
        twin,
        steps_of(lambda: apply(fresh_twin.engine()), fresh_twin := fresh(CHAIN)).index("before stage"),
        lambda: apply(twin.engine("the killed")),
    )
    claimed = {a.target for a in twin.world.attempts}
    look = twin.engine().scan(EVERYTHING)
    assert claimed
    assert {look.judgement.verdict(t) for t in claimed} == {Verdict.IN_FLIGHT}
    assert not {t for action in look.plan.actions for t in action.targets} & claimed
    twin.world.clock.advance(POLICY.lease)
    assert {twin.engine().scan(EVERYTHING).judgement.verdict(t) for t in claimed} == {Verdict.MISSING}


@pytest.mark.parametrize("kind", DAMAGES)
@pytest.mark.parametrize("name", ["summary", "rolling", "export"])
def test_repairing_a_damaged_partition_touches_nothing_but_what_takes_its_keys_from_it(name: str, kind: str) -> None:
    """The repair brings the same content back. While keys were lost, what was expected of the next table is unknown."""
    twin = complete()
    target = Target(name, date(2024, 1, 7))
    before = dict(twin.world.partitions)
    twin.world.put({target: damage(twin.world.rows(target), kind)})
    report = apply(twin.engine())
    run = [o.target for o in report.outcomes]
    keyed = {"summary": "rolling", "rolling": "export"}.get(name)
    assert run in ([target], [target, Target(str(keyed), target.day)])
    if kind in ("corrupt", "duplicate", "triplicate", "suspect", "built on something else", "mixed runs"):
        assert run == [target]
    assert {t for t, rows in twin.world.partitions.items() if rows != before[t]} == set(run)
    assert_right_and_quiet(twin)


def readers(pipeline: Pipeline, changed: set[Target], today: date) -> set[Target]:
    """Everything whose content can depend on what changed."""
    reached = set(changed)
    for p in pipeline.processors.values():
        for name, edge in p.upstream.items():
            for day in DAYS:
                window = days_between(day - timedelta(days=edge.lookback_days), day)
                if any(Target(name, d) in reached for d in window if d < day or edge.reads_own_day(day < today)):
                    reached.add(Target(p.name, day))
    return reached


@QUICK
@given(pipelines(), st.data())
def test_a_changed_source_rebuilds_what_reads_it_and_nothing_else(pipeline: Pipeline, data: st.DataObject) -> None:
    twin = complete(pipeline)
    source = data.draw(st.sampled_from(source_targets(twin.world)))
    before = dict(twin.world.partitions)
    change(twin.world, source, data.draw(st.sampled_from(["corrected", "one more", "one less"])))
    assume(twin.world.rows(source) != before[source])
    attempts = len(twin.world.attempts)
    heal(twin)
    affected = readers(pipeline, {source}, twin.today)
    assert {t for t, rows in twin.world.partitions.items() if rows != before[t]} == affected
    assert {a.target for a in twin.world.attempts[attempts:]} == affected - {source}
    assert_right_and_quiet(twin)


@pytest.mark.parametrize("spoil", ["raises", "writes nothing", "half of it", "doubles", "strangers", "suspect rows"])
def test_a_target_that_always_fails_is_tried_three_times_and_the_others_converge(spoil: str) -> None:
    bad = Target("summary", date(2024, 1, 6))

    def spoiled(target: Target, rows: Rows) -> Rows:
        if target != bad:
            return rows
        if spoil == "raises":
            raise GaplessError("division by zero")
        return {
            "writes nothing": (),
            "half of it": rows[:1],
            "doubles": (*rows, rows[0]),
            "strangers": (*rows, Row("stranger", 1)),
            "suspect rows": tuple(row._replace(suspect=True) for row in rows),
        }[spoil]

    declared = {p.name: p.model_dump(exclude={"columns", "name"}) for p in CHAIN.processors.values()}
    twin = fresh(declare({name: {**fields, "max_dates_per_run": 1} for name, fields in declared.items()}))
    twin.world.spoil = spoiled
    for _ in range(10):
        apply(twin.engine())
        twin.world.clock.advance(timedelta(minutes=41))
        assert twin.world.rows(bad) == (), "what failed its audit was published"
    assert sum(a.target == bad for a in twin.world.attempts) == POLICY.max_failures
    look = twin.engine().scan(EVERYTHING)
    assert look.judgement.verdict(bad) is Verdict.EXHAUSTED
    assert "3 attempts" in next(g.detail for g in look.judgement.gaps if g.target == bad)
    assert not look.plan.waves
    waiting = {Target("rolling", bad.day), Target("export", bad.day)}
    assert {g.target for g in look.judgement.gaps} == {bad, *waiting}
    assert {look.judgement.verdict(t) for t in waiting} == {Verdict.BLOCKED}
    twin.world.spoil = lambda _target, rows: rows
    change(twin.world, Target("games", bad.day), "corrected")  # new inputs are a new reason to try
    heal(twin)
    assert_right_and_quiet(twin)


def test_a_failing_rebuild_leaves_the_old_partition_as_it_was() -> None:
    twin = complete()
    source = Target("games", date(2024, 1, 6))
    before = dict(twin.world.partitions)
    change(twin.world, source, "corrected")
    twin.world.spoil = lambda _target, rows: rows[:1]
    for _ in range(5):
        apply(twin.engine())
        twin.world.clock.advance(timedelta(hours=2))
    assert {t for t, rows in twin.world.partitions.items() if rows != before[t]} == {source}


def test_a_complete_pipeline_does_nothing_however_often_and_in_which_order_messages_arrive() -> None:
    twin = complete()
    attempts = len(twin.world.attempts)
    messages = list(reversed(twin.world.messages)) * 3
    assert messages
    for _, message in messages:
        apply(twin.engine(), Scope(date.fromisoformat(message["start_date"]), date.fromisoformat(message["end_date"])))
    assert len(twin.world.attempts) == attempts


def test_a_message_that_was_not_taken_costs_no_data() -> None:
    twin = fresh(CHAIN)
    twin.bus.refuse_next = True
    report = apply(twin.engine())
    assert len(report.notes) == 1
    assert not report.failed
    assert_right_and_quiet(twin)


def test_the_lost_answer_to_a_claim_is_recognised_as_ones_own() -> None:
    twin = fresh(CHAIN)
    twin.warehouse.lose_next = True
    report = apply(twin.engine())
    assert not report.waiting
    assert_right_and_quiet(twin)
    assert len({a.number for a in twin.world.attempts}) == 3


def test_a_claim_that_failed_burns_its_number_and_the_next_run_takes_another() -> None:
    twin = fresh(CHAIN)
    twin.warehouse.fail_next = True
    with pytest.raises(GaplessError):
        apply(twin.engine())
    assert not twin.world.attempts
    apply(twin.engine())
    assert min(a.number for a in twin.world.attempts) == 2
    assert_right_and_quiet(twin)


def test_a_run_leaves_alone_what_another_one_claimed_while_it_worked_on_an_earlier_wave() -> None:
    """The other takes the next number for a target of the run's second wave; the run learns of it in its first."""
    twin = complete()
    early, later = Target("summary", date(2024, 1, 4)), Target("rolling", date(2024, 1, 9))
    twin.world.put({early: (), later: ()})
    engine = twin.engine("the run")
    look = engine.scan(EVERYTHING)
    assert {early, later} < {t for action in look.plan.actions for t in action.targets}
    killed(twin, 4, lambda: apply(twin.engine("the other"), Scope(later.day, later.day, frozenset({"rolling"}))))
    claimed = [a for a in twin.world.attempts if a.target == later]
    assert claimed[-1].owner == "twin/the other"
    report = engine.apply(look)
    assert report.waiting[later] == "another run claimed it"
    assert later not in {o.target for o in report.outcomes}
    assert [a for a in twin.world.attempts if a.target == later] == claimed
    assert_claims_never_overlap(twin)


def test_a_run_that_outlived_its_lease_changes_nothing_that_a_newer_one_published() -> None:
    twin = fresh(CHAIN)
    target = Target("summary", date(2024, 1, 6))
    one = Scope(target.day, target.day, frozenset({"summary"}))
    newer: list[Rows] = []

    def overtaken(step: str) -> None:
        if step == "before publish" and not newer:
            newer.append(())
            twin.world.clock.advance(POLICY.lease)
            change(twin.world, Target("games", target.day), "corrected")
            apply(twin.engine("the newer"), one)
            newer[0] = twin.world.rows(target)

    twin.world.pause = overtaken
    report = apply(twin.engine("the stale"), one)
    assert newer[0]
    assert twin.world.rows(target) == newer[0]
    assert [o.status for o in report.outcomes] == ["complete"]  # it says what the table holds, not what it did
    assert [a.number for a in twin.world.attempts] == [1, 2]


def test_a_stale_run_that_is_overtaken_inside_its_publication_is_run_again_and_fenced() -> None:
    """The newer run claims and publishes after the older statement took its snapshot: a DML conflict."""
    twin = fresh(CHAIN)
    target = Target("summary", date(2024, 1, 6))
    one = Scope(target.day, target.day, frozenset({"summary"}))
    newer: list[Rows] = []

    def overtaken(step: str) -> None:
        if step == "during publish" and not newer:
            newer.append(())
            twin.world.clock.advance(POLICY.lease)
            change(twin.world, Target("games", target.day), "corrected")
            apply(twin.engine("the newer"), one)
            newer[0] = twin.world.rows(target)

    twin.world.pause = overtaken
    apply(twin.engine("the stale"), one)
    assert newer[0]
    assert twin.world.rows(target) == newer[0]


EITHER = {
    "games": {"run": "none"},
    "roster": {"phase": 3, "expect": {"keys_of": "games"}, "upstream": {"games": {"own_day": True}}},
    "listed": {"phase": 3, "expect": {"keys_of": "roster"}, "upstream": {"roster": {"own_day": True}}},
    "factors": {
        "phase": 4,
        "expect": {"keys_of": "roster"},
        "upstream": {"roster": {"own_day": True}, "listed": {"own_day": "upcoming", "fallback": "roster"}},
    },
    "features": {
        "phase": 4,
        "expect": {"keys_of": "roster"},
        "upstream": {"roster": {"own_day": True}, "factors": {"own_day": True}},
    },
}


@QUICK
@given(st.data())
def test_whatever_part_of_a_preferred_table_is_there_its_reader_is_whole_and_follows_when_it_lands(
    data: st.DataObject,
) -> None:
    """Any part of it is taken away, and what fills it is down. From 90 % on that part is read, below it nothing."""
    pipeline = declare({name: {**fields, "max_dates_per_run": 1} for name, fields in EITHER.items()})
    twin = Twin(World(pipeline, Clock(MIDDAY)), POLICY)
    for day in DAYS:
        count = data.draw(st.integers(1, 30))
        twin.world.fill("games", day, {f"p{i:02}": fingerprint(day, i) for i in range(count)})
    heal(twin)
    whole = dict(twin.world.partitions)
    parts: dict[date, frozenset[str]] = {}
    for day in DAYS:
        rows = whole[Target("listed", day)]
        drawn = data.draw(st.sets(st.sampled_from(rows), max_size=len(rows)))
        parts[day] = frozenset(row.key for row in drawn)
        for name in ("factors", "features"):
            twin.world.put({Target(name, day): ()})
        twin.world.put({Target("listed", day): tuple(row for row in rows if row in drawn)})

    def down(target: Target, rows: Rows) -> Rows:
        if target.processor == "listed":
            raise GaplessError("it is down")
        return rows

    twin.world.spoil = down
    report = apply(twin.engine())
    assert not report.waiting
    told = {o.target.day: o.choice for o in report.outcomes if o.target.processor == "factors"}
    for day in DAYS:
        roster = frozenset(row.key for row in whole[Target("roster", day)])
        enough = 10 * len(parts[day]) >= 9 * len(roster)
        read = day >= twin.today
        expected = parts[day] if read and enough else roster
        assert twin.world.keys(Target("factors", day)) == expected
        choice = told[day]
        assert choice
        assert (choice.covered, choice.fallback) == (len(parts[day]), read and not enough)
    look = twin.engine().scan(EVERYTHING)
    assert {gap.target.processor for gap in look.judgement.gaps} <= {"listed"}
    twin.world.spoil = lambda _target, rows: rows
    for day, part in parts.items():
        if 10 * len(part) >= 9 * len(whole[Target("listed", day)]):  # nobody asks for the rest of it
            twin.world.put({Target("listed", day): ()})
    heal(twin)
    assert_right_and_quiet(twin)
    assert twin.world.contents() == {t: frozenset((r.key, r.value) for r in rows) for t, rows in whole.items()}


@pytest.mark.parametrize("choices", [[0, 1], [1, 0, 0], [0] * 9 + [1] * 5, [1, 1, 0, 0, 0, 1]])
def test_two_runs_at_once_do_the_work_once(choices: list[int]) -> None:
    twin = fresh(CHAIN)
    Interleaved(twin, chooser(choices)).run(lambda: apply(twin.engine("left")), lambda: apply(twin.engine("right")))
    heal(twin)
    assert_right_and_quiet(twin)
    assert_claims_never_overlap(twin)
    first_wave = [a.target for a in twin.world.attempts if a.target.processor in ("summary", "aside")]
    assert len(first_wave) == len(set(first_wave)) == 2 * len(DAYS)


def test_a_record_keeps_its_whole_rows_for_ever_and_gets_only_what_is_missing_beside_them() -> None:
    pipeline = declare(
        {
            "lines": {"run": "none"},
            "predictions": {
                "phase": 5,
                "restate": "never",
                "expect": {"keys_of": "lines"},
                "upstream": {"lines": {"own_day": True}},
            },
        }
    )
    twin = fresh(pipeline)
    apply(twin.engine())
    target = Target("predictions", date(2024, 1, 6))
    before = {row.key: row for row in twin.world.rows(target)}
    change(twin.world, Target("lines", target.day), "corrected")
    assert twin.engine().scan(EVERYTHING).judgement.verdict(target) is Verdict.COMPLETE
    change(twin.world, Target("lines", target.day), "one more")
    twin.world.put({target: tuple(row for row in twin.world.rows(target) if row.key != "a")})
    assert heal(twin) == 1
    after = {row.key: row for row in twin.world.rows(target)}
    assert after.keys() == before.keys() | {f"new{len(before)}"}
    assert {key: row for key, row in after.items() if key in before and key != "a"} == {
        key: row for key, row in before.items() if key != "a"
    }
    assert not twin.engine().scan(EVERYTHING).plan.waves
