"""The failures of the production pipeline that must not happen again, by their number in the list of failures.

Entries about functions, deployments, alerts and quotas (4, 8 in part, 9, 16, 17, 19) are tested beside what they
concern.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gapless.errors import CannotObserve, Halted, Storm, TransientFailure
from gapless.files import RawRows
from gapless.model import Policy, Status, Target, Verdict, Wanted, days_between
from gapless.tasks.load import load
from gapless.wiring import InProcessBus
from tests.conftest import Result, Season, Shop, processors_that_run
from tests.emulator.test_audit import spoiled

FIRST, LAST = date(2024, 2, 1), date(2024, 2, 8)
DAY = date(2024, 2, 4)


class DeafBus:
    """A topic that takes no message."""

    def publish(self, topic: str, message: Mapping[str, Any]) -> str:
        raise TransientFailure(f"{topic} is away ({len(message)} fields)")


def recorded(shop: Shop) -> list[tuple[Any, ...]]:
    return shop.rows(
        "SELECT processor_name, analysis_date, claim_number, status FROM `shop_gapless.backfill_date_outcomes` "
        "ORDER BY 1, 2, 3"
    )


def test_a_blocked_gate_is_no_success(chain: Shop, tmp_path: Path) -> None:
    """1. Gate block recorded as success: what was not run has no outcome and no message, and says what it waits for."""
    chain.sell(FIRST, LAST)
    faulty = chain.variant(tmp_path, sql={"revenue": spoiled("branch != 'A'")})
    report = faulty.apply()
    assert {o.target.processor for o in report.outcomes} == {"revenue"}
    assert {o.status for o in report.outcomes} == {Status.FAILED}
    assert {t.processor for t in report.waiting} == {"forecast", "standing"}
    assert all("revenue" in why or "upstream" in why for why in report.waiting.values())
    assert faulty.bus.sent == []
    assert {row[0] for row in recorded(chain)} == {"revenue"}
    assert report.after is not None
    assert not report.after.judgement.complete


def test_a_run_that_dies_after_its_claim_leaves_nothing_that_hides_the_gap(shop: Shop) -> None:
    """2. Dedup write before the transaction: only the claim is written before the data, and it ends with its owner."""
    shop.sell(FIRST, LAST)
    bench, watched = shop.watched()

    def die(purpose: str) -> None:
        if purpose == "claim":
            raise KeyboardInterrupt

    watched.after = die
    with pytest.raises(KeyboardInterrupt):
        bench.apply()
    assert shop.versions() == {}
    assert recorded(shop) == []
    # the process still lives, so its lease counts; a dead one's would not
    assert {gap.verdict for gap in shop.scan().judgement.gaps} == {Verdict.IN_FLIGHT}
    shop.clock.now += Policy().lease
    report = shop.apply()
    assert len(report.outcomes) == 8
    assert not report.failed
    assert report.after is not None
    assert report.after.judgement.complete


def test_attempts_are_counted_until_data_lands_and_then_a_person_is_asked(shop: Shop, tmp_path: Path) -> None:
    """3. Self-heal treadmill: runs without result are counted, wait longer, and end; new inputs start anew."""
    shop.sell(FIRST, LAST)
    faulty = replace(shop.variant(tmp_path, sql={"revenue": spoiled("FALSE")}))
    runs = []
    for minutes in (11, 11, 11, 500):  # the second try is due after 10 minutes, the third 20 after that, a fourth never
        runs.append(len(faulty.apply(DAY, DAY, "revenue").outcomes))
        shop.clock.now += timedelta(minutes=minutes)
    runs.append(len(faulty.apply(DAY, DAY, "revenue").outcomes))
    assert runs == [1, 1, 0, 1, 0]
    assert sum(runs) == Policy().max_failures
    gap = next(gap for gap in shop.scan(DAY, DAY).judgement.gaps if gap.target.day == DAY)
    assert gap.verdict is Verdict.EXHAUSTED
    assert "3 attempts" in gap.detail
    assert "0 of 3 expected keys were written" in gap.detail
    assert shop.scan(DAY, DAY).plan.size == 0

    shop.run("UPDATE `shop_raw.orders` SET amount_cents = amount_cents + 1 WHERE order_day = @day", day=DAY)
    report = shop.apply(DAY, DAY, "revenue")
    assert [o.status for o in report.outcomes] == [Status.COMPLETE]
    assert shop.scan(DAY, DAY).judgement.verdict(Target("revenue", DAY)) is Verdict.COMPLETE


def test_an_off_season_is_never_retried(built_season: Season) -> None:
    """3. Off-season rows cycled for 53 days: where no game was played nothing is asked for, and nothing is run."""
    first = date(2023, 7, 1)
    report = built_season.apply(first, first + timedelta(days=90))
    assert report.outcomes == []
    assert not report.waiting


def test_existence_is_not_coverage(shop: Shop) -> None:
    """5. 1 of 187 players was a success: one row of three is partial, and three rows of the wrong keys are nothing."""
    shop.sell(FIRST, LAST)
    shop.apply()
    built = shop.versions()
    shop.delete(Target("revenue", DAY), "branch != 'A'")
    shop.update(Target("revenue", LAST), "branch = CONCAT('x', branch)")
    found = {gap.target.day: (gap.verdict, gap.seen.covered, gap.seen.rows) for gap in shop.scan().judgement.gaps}
    assert found == {DAY: (Verdict.PARTIAL, 1, 1), LAST: (Verdict.MISSING, 0, 3)}
    shop.apply()
    assert shop.versions() == built


def test_an_error_is_not_an_empty_table(shop: Shop) -> None:
    """6. Error = empty = OK: a query that fails stops everything before anything is changed, wherever it fails."""
    shop.sell(FIRST, LAST)
    bench, watched = shop.watched()

    def fail(purpose: str) -> None:
        if purpose == "observe":
            raise CannotObserve("the query failed")

    watched.before = fail
    with pytest.raises(CannotObserve):
        bench.apply()
    assert watched.calls == [("rows", "observe")]

    watched.before = lambda purpose: (_ for _ in ()).throw(CannotObserve("no audit")) if purpose == "audit" else None
    with pytest.raises(CannotObserve):
        bench.apply()
    assert shop.versions() == {}
    assert bench.bus.sent == []


def test_a_run_without_records_never_keeps_later_data_out(shop: Shop, tmp_path: Path) -> None:
    """7. Zero-record success blocks later good data: whatever was recorded, new data asks for a run."""
    shop.sell(FIRST, DAY)
    shop.apply()
    shop.run(
        "INSERT INTO `shop_gapless.reported_runs` (processor_name, data_date, run_id, status, records_processed, "
        "processed_at) SELECT 'revenue', day, 'theirs', 'success', 0, @now FROM UNNEST(@days) AS day",
        now=shop.clock(),
        days=list(days_between(FIRST, LAST)),
    )
    shop.variant(tmp_path, sql={"revenue": spoiled("FALSE")}).apply(FIRST, LAST, "revenue", force=True)
    shop.clock.now += timedelta(hours=1)
    shop.sell(DAY + timedelta(days=1), LAST)
    report = shop.apply()
    assert not report.failed
    assert report.after is not None
    assert report.after.judgement.complete
    assert {t.day for t in shop.versions()} == set(days_between(FIRST, LAST))


def test_the_same_gap_seen_twice_is_run_once(shop: Shop) -> None:
    """8. Double triggering: two runs that planned the same work, and only one of them does it."""
    shop.sell(FIRST, LAST)
    one, other = shop.engine(), shop.engine()
    look, same = one.scan(shop.scope()), other.scan(shop.scope())
    first, second = one.apply(look), other.apply(same)
    assert len(first.outcomes) == 8
    assert second.outcomes == []
    assert set(second.waiting.values()) == {"another run claimed it"}
    assert [row[:2] for row in recorded(shop)] == [("revenue", day) for day in days_between(FIRST, LAST)]


def test_a_completion_message_has_the_fields_that_consumers_know(chain: Shop) -> None:
    """10. Message drift: one contract; a single date has date, a range has start_date, end_date, dates."""
    chain.sell(FIRST, LAST)
    chain.apply(DAY, DAY, "revenue")
    chain.apply(FIRST, LAST, "revenue")
    (_, single), (topic, many) = chain.bus.sent
    assert topic == "shop-2"
    assert (single["event_type"], single["date"], single["dates"]) == (
        "processor_complete",
        "2024-02-04",
        ["2024-02-04"],
    )
    assert many["event_type"] == "backfill_complete"
    assert (many["start_date"], many["end_date"], len(many["dates"])) == ("2024-02-01", "2024-02-08", 7)
    assert "date" not in many
    for message in (single, many):
        assert {
            "processor_name",
            "phase",
            "execution_id",
            "correlation_id",
            "output_dataset",
            "output_table",
            "status",
            "record_count",
            "timestamp",
            "trigger_source",
        } <= set(message)
        assert (message["output_dataset"], message["output_table"]) == ("shop_mart", "revenue")
        assert message["record_count"] == 3 * len(message["dates"])
        assert json.loads(json.dumps(message)) == message


def test_a_message_that_is_lost_loses_no_target(chain: Shop) -> None:
    """10. Delivery is not completion: with a topic that takes nothing everything is built and the failure is noted."""
    chain.sell(FIRST, LAST)
    deaf = replace(chain, gapless=replace(chain.gapless, bus=DeafBus()))
    engine = deaf.engine()
    report = engine.apply(engine.scan(deaf.scope()))
    assert report.after is not None
    assert report.after.judgement.complete
    assert len(report.notes) == 3
    assert all("was not announced" in note for note in report.notes)


def test_schedule_ids_and_analytics_ids_join_by_teams(built_season: Season) -> None:
    """11. game_id formats never join: numeric in the schedule, YYYYMMDD_AWAY_HOME elsewhere; no game is missing."""
    ids = built_season.rows(
        "SELECT (SELECT MAX(LENGTH(game_id)) FROM `nba_raw.nbac_schedule`), "
        "(SELECT MAX(LENGTH(game_id)) FROM `nba_raw.bdl_player_boxscores`), "
        "(SELECT COUNT(DISTINCT s.game_id) FROM `nba_raw.nbac_schedule` AS s "
        "JOIN `nba_raw.bdl_player_boxscores` AS b ON s.game_id = b.game_id)"
    )
    assert ids == [(10, 16, 0)]
    look = built_season.scan(None, None, "boxscores")
    seen = [look.observation.seen(Target("boxscores", day)) for day in built_season.season.game_dates]
    assert all(s is not None and s.expected == s.covered > 0 and not s.extra for s in seen)


def test_a_day_is_a_day_in_the_pipelines_own_time_zone(built_season: Season) -> None:
    """12. Day and time zone boundary: at 11 PM Eastern it is still that game day, whatever day UTC has."""
    evening = datetime(2023, 1, 11, 4, 0, tzinfo=UTC)  # 23:00 on the 10th in New York
    morning = datetime(2023, 1, 11, 6, 0, tzinfo=UTC)  # 01:00 on the 11th
    verdicts = {}
    for now in (evening, morning):
        there = replace(built_season, gapless=replace(built_season.gapless, clock=lambda now=now: now))
        day = date(2023, 1, 10)
        verdicts[now] = there.scan(day, day).judgement.verdict(Target("player_game_summary", day))
    assert verdicts[evening] is None  # today is not before today
    assert verdicts[morning] is Verdict.COMPLETE


def test_unfinished_games_are_waited_for_from_their_last_tip_off(built_season: Season) -> None:
    """12, 13. Games that are not final yet are no gap before five hours after the last tip-off, and one afterwards."""
    day = built_season.season.days.in_season(1, 10)
    table = "`nba_raw.nbac_schedule`"
    saved = built_season.content(Target("schedule", day))
    boxes = built_season.rows("SELECT COUNT(*) FROM `nba_raw.bdl_player_boxscores` WHERE game_date = @day", day=day)
    assert boxes[0][0] > 0
    ((last_tip,),) = built_season.rows(f"SELECT MAX(tipoff_utc) FROM {table} WHERE game_date = @day", day=day)
    built_season.update(Target("schedule", day), "game_status = 1, game_status_text = '7:00 pm ET'")
    built_season.run("DELETE FROM `nba_raw.bdl_player_boxscores` WHERE game_date = @day", day=day)
    try:
        found = {}
        for hours in (4.9, 5.1, 60):
            now = last_tip + timedelta(hours=hours)
            there = replace(built_season, gapless=replace(built_season.gapless, clock=lambda now=now: now))
            look = there.scan(day, day, "boxscores", "player_game_summary")
            found[hours] = tuple(
                look.judgement.verdict(Target(name, day)) for name in ("boxscores", "player_game_summary")
            )
            assert look.plan.size == 0, hours
    finally:
        built_season.restore()
    assert found[4.9] == (Verdict.NOT_DUE, Verdict.NOT_DUE)
    assert Verdict.MISSING not in found[5.1]
    assert found[60][0] is Verdict.MISSING  # the games were played, and their box scores never came
    assert found[60][1] in (Verdict.BLOCKED, Verdict.NOT_DUE)
    assert saved


def test_postponed_games_are_expected_nowhere_until_they_are_played(built_season: Season) -> None:
    """14. Postponed and reused game ids: the id stands on two dates of the schedule, and one of them counts."""
    season = built_season.season
    twice = built_season.rows(
        "SELECT game_id, COUNT(DISTINCT game_date) FROM `nba_raw.nbac_schedule` WHERE data_source = 'schedule' "
        "GROUP BY 1 HAVING COUNT(DISTINCT game_date) > 1"
    )
    assert len(twice) == len(season.postponed) == 11
    look = built_season.scan(season.days.opening, season.days.regular_end)
    expected = sum(seen.expected for seen in look.observation.columns["boxscores"] if seen)
    assert expected == 1230
    slates = [look.judgement.verdict(Target("player_game_summary", day)) for day in season.days.postponed_slates]
    assert set(slates) == {Verdict.OFF_DAY}


def test_a_wrong_table_name_starts_no_repairs(chain: Shop, tmp_path: Path) -> None:
    """15. Self-healer with wrong names: a table that does not exist cannot be observed, and an empty one is a storm."""
    first = LAST - timedelta(days=59)
    chain.sell(first, LAST)
    chain.apply()
    missing = chain.variant(tmp_path / "missing", change={"revenue": {"table": "shop_mart.revenues"}})
    with pytest.raises(CannotObserve):
        missing.apply()
    chain.run("CREATE TABLE `shop_mart.revenue_v2` LIKE `shop_mart.revenue`")
    try:
        empty = chain.variant(tmp_path / "empty", change={"revenue": {"table": "shop_mart.revenue_v2"}})
        with pytest.raises(Storm) as refused:
            empty.scan(storm_least=50, storm_pct=30.0)
        assert "60 of the 180 targets" in str(refused.value)
        assert "--lift-storm" in str(refused.value)
        assert empty.scan(storm_least=50, storm_pct=30.0, lift_storm=True).plan.size >= 60
    finally:
        chain.run("DROP TABLE `shop_mart.revenue_v2`")


def test_a_storm_on_the_command_line_is_a_refusal_with_its_numbers(
    chain: Shop, gapless: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    """15. More than half of what was complete looks lost: exit code 3, nothing is run."""
    chain.sell(LAST - timedelta(days=59), LAST)
    chain.apply()
    for p in ("revenue", "forecast", "standing"):
        chain.run(f"DELETE FROM `shop_mart.{p}` WHERE TRUE")
    monkeypatch.setenv("GAPLESS_PIPELINE", str(chain.pipeline.sql_folder.parent / "pipeline.yaml"))
    result = gapless("apply", "--home", chain.home, "--json", "--now", "2024-02-12T11:30Z")
    assert (result.code, result.out) == (3, "")
    assert "180 of the 180 targets that were complete before look lost (100 %" in result.err
    assert chain.versions() == {}


def test_a_refused_statement_is_permanent_and_a_silent_server_is_not(shop: Shop) -> None:
    """18. Permanent or transient: the error itself says whether the same call may succeed later."""
    with pytest.raises(CannotObserve) as refused:
        shop.rows("SELECT no_such_column FROM `shop_raw.orders`")
    assert refused.value.permanent
    with pytest.raises(CannotObserve) as gone:
        shop.rows("SELECT 1 FROM `shop_raw.no_such_table`")
    assert gone.value.permanent
    assert not TransientFailure("x").permanent


def test_one_counter_has_one_writer(shop: Shop, tmp_path: Path) -> None:
    """18. Three writers burned the attempt cap: attempts are the claims; looking and planning cost nothing."""
    shop.sell(FIRST, LAST)
    faulty = shop.variant(tmp_path, sql={"revenue": spoiled("FALSE")})
    faulty.apply(DAY, DAY, "revenue")
    for _ in range(2):
        faulty.apply(DAY, DAY, "revenue")  # backs off: no claim, no attempt
    with pytest.raises(Halted):
        faulty.engine(halted=True).apply(faulty.scan(DAY, DAY))
    history = faulty.scan(DAY, DAY).observation.ledger.history[Target("revenue", DAY)]
    assert (history.attempts, history.failures) == (1, 1)


def test_a_gap_of_any_age_is_seen(built_season: Season) -> None:
    """20. Blind windows: monitors looked 1 to 14 days back and 109 dates were missing for months."""
    days = [built_season.season.game_dates[i] for i in (20, 80, 150)]
    for day in days:
        built_season.delete(Target("export", day))
    look = built_season.scan()
    assert {gap.target for gap in look.judgement.gaps} == {Target("export", day) for day in days}
    assert {gap.verdict for gap in look.judgement.gaps} == {Verdict.MISSING}
    report = built_season.engine().apply(look)
    assert not report.failed
    assert built_season.differences() == []


def test_a_cap_takes_newest_and_oldest_in_turn(shop: Shop) -> None:
    """20. Oldest-first with a limit lets stuck rows starve new gaps: under a cap both ends move."""
    shop.sell(FIRST, LAST)
    order = []
    for _ in range(4):
        report = shop.apply(max_targets=2)
        order.append({o.target.day.day for o in report.outcomes})
    assert order == [{8, 1}, {7, 2}, {6, 3}, {5, 4}]
    assert shop.scan().judgement.complete


def test_an_old_gap_waits_for_a_person_unless_its_dates_are_named(shop: Shop) -> None:
    """20. Nothing is silent: a gap older than the limit is reported with the command that repairs it."""
    shop.sell(FIRST, LAST)
    shop.clock.now += timedelta(days=31)
    look = shop.scan()
    assert len(look.judgement.gaps) == 8
    assert look.plan.size == 0
    assert all("--start-date" in why for _, why in look.plan.held)
    assert len(shop.apply(FIRST, LAST).outcomes) == 8
    assert shop.scan().judgement.complete


def test_a_late_source_is_as_old_as_its_arrival(shop: Shop) -> None:
    """20. A season of raw data loaded today is 0 days old: it flows through at once, whatever dates it holds."""
    shop.clock.now = datetime(2024, 12, 1, tzinfo=UTC)
    shop.sell(FIRST, LAST)
    assert {gap.age(shop.clock()).days for gap in shop.scan().judgement.gaps} == {0}
    assert len(shop.apply().outcomes) == 8


def test_a_claim_of_another_machine_does_not_let_a_second_run_start(shop: Shop) -> None:
    """8. A lease per target: who works elsewhere is waited for, and its lease ends by itself."""
    shop.sell(FIRST, LAST)
    seen = shop.scan().observation.ledger
    elsewhere = shop.book(f"x{socket.gethostname()}/{os.getpid()}/1/a")
    elsewhere.claim(
        [Wanted(Target("revenue", day), 0, "missing") for day in days_between(FIRST, LAST)],
        seen.newest_claim,
        seen.generation,
        "elsewhere",
    )
    assert shop.apply().outcomes == []
    shop.clock.now += timedelta(minutes=16)
    assert len(shop.apply().outcomes) == 8


def test_partial_data_for_one_branch_does_not_hold_up_the_others(chain: Shop) -> None:
    """13. All or nothing rejects valid games: one branch's late orders are one key of a date, and the rest is built."""
    pa = pytest.importorskip("pyarrow")
    chain.sell(FIRST, LAST, "AB")
    chain.apply()
    assert chain.scan().judgement.complete
    table = pa.table({"order_id": ["late"], "order_day": [DAY], "branch": ["C"], "amount_cents": [1]})
    before = chain.content(Target("orders", DAY))
    chain.sell(DAY, DAY, "C")
    report = chain.apply()
    assert report.after is not None
    assert report.after.judgement.complete
    assert chain.count(Target("revenue", DAY)) == 3
    # a load replaces the date: what it does not hold is gone, and that, too, is followed to the end
    load(chain.gapless.warehouse, chain.pipeline, RawRows("orders", table, "late.csv", (DAY,)), chain.clock())
    chain.apply()
    assert chain.count(Target("revenue", DAY)) == 1
    assert len(before) == 4
    assert isinstance(chain.gapless.bus, InProcessBus)


def test_dates_after_a_hole_are_built_in_one_apply(built_season: Season) -> None:
    """A hole before the dates that are named, and so left alone, does not keep the first apply from building these."""
    played = built_season.season.game_dates
    hole, named = played[60:70], played[70:76]
    for p in processors_that_run(built_season.pipeline):
        condition = f"{p.date_column} BETWEEN @first AND @last"
        built_season.run(f"DELETE FROM `{p.table}` WHERE {condition}", first=hole[0], last=named[-1])
    report = built_season.apply(named[0], named[-1], lift_storm=True)
    assert not report.waiting
    assert not report.failed
    assert built_season.scan(named[0], named[-1]).plan.size == 0
    # when the hole is filled, what was built beside it follows
    after = built_season.apply(lift_storm=True).after
    assert after is not None
    assert after.judgement.complete
    # predictions are records: those that were made beside the hole stay, and so do the grades and exports of them
    records = {"player_prop_predictions", "prediction_accuracy", "export"}
    assert {t for t in built_season.differences() if t.processor not in records} == set()
