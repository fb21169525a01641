"""What follows a run in its own phase: who asks for it, for which dates, and that it costs one look and runs once."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from gapless.declare.pipeline import Pipeline, load_pipeline
from gapless.errors import GaplessError, TransientFailure
from gapless.judge.verdicts import civil_today
from gapless.messages import RUN_TOPIC, read_run_request
from gapless.model import Scope, Target, days_between
from gapless.tasks.advance import following
from gapless.warehouse.names import quoted
from gapless.wiring import InProcessBus
from tests.conftest import Shop, shop_pipeline
from tests.functions.conftest import Call, Reply, push

FIRST, LAST = date(2024, 2, 1), date(2024, 2, 8)
DAY, NEW = date(2024, 2, 4), date(2024, 2, 9)
PHASES = ("phase2_to_phase3", "phase3_to_phase4", "phase4_to_phase5")
CHAIN = ("revenue", "forecast", "standing", "league", "medal", "prize")


NOTHING = (
    "SELECT day, branch, 0 AS cents_3_days, 0 AS forecast_cents FROM {revenue} WHERE day IN UNNEST(@dates) AND FALSE"
)


def reads(name: str, phase: int) -> dict[str, Any]:
    """A processor that repeats another's rows."""
    return {
        "phase": phase,
        "key": ["branch"],
        "date_column": "day",
        "expect": {"keys_of": name},
        "upstream": {name: {"own_day": True}},
        "columns": {"day": "DATE required", "branch": "STRING required", "cents": "INT64 required"},
    }


def row_pipeline(folder: Path, change: Mapping[str, Mapping[str, Any]] | None = None) -> Pipeline:
    """Two processors in a row in phase 3, three in phase 4, one in phase 5. The medal also reads the revenue itself."""
    shop_pipeline(folder, change={"revenue": {"phase": 3}})
    raw = yaml.safe_load((folder / "pipeline.yaml").read_text(encoding="utf-8"))
    raw["topics"] |= {5: "shop-5"}
    for name, upstream, phase in (("league", "standing", 4), ("medal", "league", 4), ("prize", "medal", 5)):
        raw["processors"][name] = {"table": f"shop_mart.{name}", **reads(upstream, phase)}
        cents = "cents_3_days" if upstream == "standing" else "cents"
        sql = f"SELECT day, branch, {cents} AS cents FROM {{{upstream}}} WHERE day IN UNNEST(@dates)"
        (folder / "sql" / f"{name}.sql").write_text(sql, encoding="utf-8")
    raw["processors"]["medal"]["upstream"] |= {"revenue": {"own_day": True}}
    for name, fields in (change or {}).items():
        raw["processors"][name] |= fields
    (folder / "pipeline.yaml").write_text(yaml.safe_dump(raw, sort_keys=False), encoding="utf-8")
    return load_pipeline(folder / "pipeline.yaml")


def rebuilt(chain: Shop, pipeline: Pipeline) -> Shop:
    """The shop with such a pipeline, complete."""
    shop = replace(chain, gapless=replace(chain.gapless, pipeline=pipeline, bus=InProcessBus()))
    shop.gapless.create()
    for name in ("league", "medal", "prize"):  # the others were emptied with the shop
        shop.run(f"DELETE FROM {quoted(pipeline.processors[name].table)} WHERE TRUE")
    shop.built(FIRST, LAST)
    shop.bus.sent.clear()
    return shop


@pytest.fixture
def row(chain: Shop, tmp_path: Path) -> Shop:
    """orders -> revenue -> forecast | standing -> league -> medal | prize: the bars are between phases."""
    return rebuilt(chain, row_pipeline(tmp_path))


def ask(call: Call, shop: Shop, name: str, *days: date, **more: Any) -> Reply:
    request = {
        "processor": name,
        "dates": [day.isoformat() for day in days or (DAY,)],
        "force": more.pop("force", False),
    }
    return call("run_processor", shop.gapless, push(request, **more))


def asked(shop: Shop) -> list[tuple[str, tuple[date, ...], bool]]:
    """The runs that were asked for so far."""
    requests = [read_run_request(message) for topic, message in shop.bus.sent if topic == RUN_TOPIC]
    return [(each.processor, each.days, each.force) for each in requests]


def claims(shop: Shop, since: int = 0) -> list[tuple[str, date]]:
    """What was claimed after a number of claims, a target as often as it was."""
    table = shop.ledger_table("attempts")
    found = shop.rows(
        f"SELECT processor_name, target_date FROM {table} WHERE claim_number > @since ORDER BY claim_number",
        since=since,
    )
    return [(name, day) for name, day in found]


def newest(shop: Shop) -> int:
    return shop.scan().observation.ledger.newest_claim


class OnlyRuns(InProcessBus):
    """Loses every completion event, and delivers requests for runs."""

    def publish(self, topic: str, message: Mapping[str, Any]) -> str:
        return super().publish(topic, message) if topic == RUN_TOPIC else "lost"


def deliver_runs(call: Call, shop: Shop) -> int:
    """Deliver requests for runs, and those that these lead to, until none are left; how many there were."""
    delivered = 0
    while shop.bus.sent:
        topic, message = shop.bus.sent.pop(0)
        assert topic == RUN_TOPIC
        reply = call("run_processor", shop.gapless, push(message))
        assert (reply.status, reply.body["failed"]) == (200, [])
        delivered += 1
    return delivered


# -- which targets follow: pure ----------------------------------------------------------------------------------------

SHIPPED = load_pipeline()
TODAY = date(2024, 1, 20)
PAST = date(2023, 3, 1)


def scope_of(names: Sequence[str], *days: date) -> Scope:
    return Scope(min(days), max(days), frozenset(names), frozenset(days))


def test_everything_of_its_phase_that_builds_on_it_follows_for_the_same_date() -> None:
    followers = {
        "team_defense_zone_analysis": ["player_composite_factors", "player_daily_cache", "ml_feature_store_v2"],
        "player_composite_factors": ["player_daily_cache", "ml_feature_store_v2"],
        "player_daily_cache": ["ml_feature_store_v2"],
        "player_prop_predictions": ["prediction_accuracy"],
    }
    for name, readers in followers.items():
        assert following(SHIPPED, name, [PAST], TODAY) == scope_of(readers, PAST), name


@pytest.mark.parametrize("name", ["ml_feature_store_v2", "prediction_accuracy", "export", "team_defense_game_summary"])
def test_nothing_follows_what_nobody_of_its_phase_reads(name: str) -> None:
    assert following(SHIPPED, name, [PAST], TODAY) is None


def test_nothing_follows_a_run_that_made_nothing() -> None:
    assert following(SHIPPED, "team_defense_zone_analysis", [], TODAY) is None


def test_a_look_back_is_followed_where_it_reaches_dates_of_the_reader() -> None:
    """The context of the days to come reads 30 days of summaries: those of yesterday concern it, older ones do not."""
    to_come = (TODAY, TODAY + timedelta(days=1))
    expected = scope_of(["upcoming_player_game_context"], *to_come)
    yesterday, edge = TODAY - timedelta(days=1), TODAY - timedelta(days=30)
    assert following(SHIPPED, "player_game_summary", [yesterday, PAST], TODAY) == expected
    assert following(SHIPPED, "player_game_summary", [edge], TODAY) == scope_of(expected.processors, TODAY)
    assert following(SHIPPED, "player_game_summary", [edge - timedelta(days=1), PAST], TODAY) is None


def test_the_dates_of_a_look_back_end_at_the_horizon(tmp_path: Path) -> None:
    pipeline = shop_pipeline(tmp_path, change={name: {"phase": 4} for name in ("revenue", "forecast", "standing")})
    readers = ("forecast", "standing")  # the second reads two days back
    days = tuple(days_between(DAY, DAY + timedelta(days=2)))
    assert following(pipeline, "revenue", [DAY], LAST) == scope_of(readers, *days)
    assert following(pipeline, "revenue", [DAY], DAY + timedelta(days=1)) == scope_of(readers, *days[:2])
    assert following(pipeline, "revenue", [DAY, DAY + timedelta(days=1)], LAST) == scope_of(
        readers, *days, DAY + timedelta(days=3)
    )


def test_a_date_whose_own_day_is_not_read_does_not_follow(tmp_path: Path) -> None:
    back = {"upstream": {"standing": {"lookback_days": 2}}}
    assert following(row_pipeline(tmp_path, {"league": back}), "standing", [DAY], LAST) == scope_of(
        ["league", "medal"], DAY + timedelta(days=1), DAY + timedelta(days=2)
    )
    to_come = row_pipeline(tmp_path, {"league": {"upstream": {"standing": {"own_day": "upcoming"}}}})
    assert following(to_come, "standing", [DAY, LAST], LAST) == scope_of(["league", "medal"], LAST)


def test_a_reader_that_another_service_runs_is_asked_for_too_and_a_source_is_not(tmp_path: Path) -> None:
    pipeline = row_pipeline(tmp_path, {"league": {"run": "http", "endpoint": "https://league.example/start"}})
    assert following(pipeline, "standing", [DAY], LAST) == scope_of(["league", "medal"], DAY)
    assert following(SHIPPED, "schedule", [PAST], TODAY) is None


# -- one run -----------------------------------------------------------------------------------------------------------


def test_a_run_asks_for_what_reads_it_in_its_phase_and_says_so(call: Call, row: Shop) -> None:
    for name in ("standing", "league", "medal", "prize"):
        row.delete(Target(name, DAY))
    reply = ask(call, row, "standing")
    assert asked(row) == [("league", (DAY,), False)]  # not the medal, which is blocked, nor the prize of a later phase
    (told,) = reply.body["followed_by"]
    assert (told["processor"], told["first"], told["last"], told["dates"]) == ("league", f"{DAY}", f"{DAY}", 1)
    assert told["message_id"]
    assert (reply.body["complete"], reply.body["notes"]) == (True, [])
    (line,) = (line for line in reply.log if line["action"] == "run_done")
    assert line["followed"] == 1
    message = next(message for topic, message in row.bus.sent if topic == RUN_TOPIC)
    assert message["requested_by"] == "run_processor"


@pytest.mark.parametrize(("name", "looks"), [("standing", 2), ("league", 2), ("medal", 1), ("prize", 1)])
def test_it_costs_one_look_and_none_where_nothing_of_the_phase_reads_it(
    call: Call, row: Shop, name: str, looks: int
) -> None:
    row.delete(Target(name, DAY))
    watching, watched = row.watched()
    reply = call("run_processor", watching.gapless, push({"processor": name, "dates": [DAY.isoformat()]}))
    assert reply.body["outcomes"] == {"complete": 1}
    assert watched.calls.count(("rows", "observe")) == looks
    assert reply.body["followed_by"] == []  # what reads it is complete


def test_a_look_at_what_follows_is_one_job_whatever_the_number_of_dates(call: Call, row: Shop) -> None:
    days = tuple(days_between(DAY, LAST))
    for day in days:
        row.delete(Target("standing", day))
        row.delete(Target("league", day))
    watching, watched = row.watched()
    reply = ask(call, replace(row, gapless=watching.gapless), "standing", *days)
    assert watched.calls.count(("rows", "observe")) == 2
    assert [(each["processor"], each["dates"]) for each in reply.body["followed_by"]] == [("league", len(days))]


def test_a_request_with_nothing_to_do_is_one_job_and_asks_for_nothing(call: Call, row: Shop) -> None:
    row.delete(Target("league", DAY))  # a scan's business, not that of a message that comes twice
    watching, watched = row.watched()
    reply = ask(call, replace(row, gapless=watching.gapless), "standing")
    assert (reply.body["outcomes"], reply.body["followed_by"]) == ({}, [])
    assert watched.calls == [("rows", "observe")]


def test_only_dates_that_landed_are_followed(call: Call, row: Shop, tmp_path: Path) -> None:
    days = (DAY, DAY + timedelta(days=2))
    for day in days:
        row.delete(Target("standing", day))
        row.delete(Target("league", day))
    shop = replace(row, gapless=replace(row.gapless, pipeline=row_pipeline(tmp_path / "faulty")))
    faulty = dict(shop.pipeline.texts) | {
        "standing": shop.pipeline.texts["standing"] + f" AND d != DATE '{days[1]}'",
    }
    shop.gapless.pipeline = replace(shop.pipeline, texts=faulty)
    watching, watched = shop.watched()
    reply = ask(call, replace(shop, gapless=watching.gapless), "standing", *days)
    assert reply.body["outcomes"] == {"complete": 1, "failed": 1}
    assert [(each["processor"], each["last"]) for each in reply.body["followed_by"]] == [("league", f"{days[0]}")]
    assert watched.statements[-1][1]["last"] == days[0]  # the look at what follows saw nothing of the other


def test_after_a_run_of_which_nothing_landed_nobody_looks_further(call: Call, row: Shop) -> None:
    row.delete(Target("standing", DAY))
    row.gapless.pipeline = replace(row.pipeline, texts=dict(row.pipeline.texts) | {"standing": NOTHING})
    watching, watched = row.watched()
    reply = ask(call, replace(row, gapless=watching.gapless), "standing")
    assert (reply.body["outcomes"], reply.body["followed_by"]) == ({"failed": 1}, [])
    assert watched.calls.count(("rows", "observe")) == 1


def test_dates_whose_look_back_holds_what_was_remade_follow_where_it_came_out_different(
    call: Call, chain: Shop, tmp_path: Path
) -> None:
    """An order that came late: the standing of the two days after it was built on other revenue."""
    one_phase = {name: {"phase": 4} for name in ("revenue", "forecast", "standing")}
    shop = chain.variant(tmp_path, change=one_phase)
    shop.built(FIRST, LAST)
    shop.bus.sent.clear()
    shop.update(Target("orders", DAY), "amount_cents = amount_cents + 700", "order_id LIKE '%A0'")
    shop.clock.now += timedelta(minutes=1)
    reply = ask(call, shop, "revenue", *days_between(DAY, LAST))
    assert reply.body["outcomes"] == {"complete": 5}
    assert asked(shop) == [("standing", tuple(days_between(DAY, LAST)), False)]  # a forecast is never restated
    shop.bus.sent.clear()
    shop.delete(Target("revenue", DAY))
    assert ask(call, shop, "revenue").body["outcomes"] == {"complete": 1}
    assert [name for name, _, _ in asked(shop)] == ["standing"]
    assert asked(shop)[0][1] == tuple(days_between(DAY, DAY + timedelta(days=2)))  # exactly those that read it


def test_a_forced_run_forces_nothing_after_it(call: Call, row: Shop) -> None:
    reply = ask(call, row, "standing", force=True)
    assert reply.body["outcomes"] == {"complete": 1}
    assert asked(row) == []  # it came out the same, so nothing that reads it asks for a run


@pytest.mark.parametrize("switch", ["report_only", "halted"])
def test_where_healing_is_switched_off_nothing_is_run_and_nothing_asked_for(call: Call, row: Shop, switch: str) -> None:
    row.delete(Target("standing", DAY))
    row.delete(Target("league", DAY))
    settings = replace(row.gapless.settings, **{switch: True})
    reply = ask(call, replace(row, gapless=replace(row.gapless, settings=settings)), "standing")
    assert reply.status == 409
    assert row.bus.sent == []


# -- what goes wrong ---------------------------------------------------------------------------------------------------


class NoRuns(InProcessBus):
    """Takes every message but requests for runs."""

    def publish(self, topic: str, message: Mapping[str, Any]) -> str:
        if topic == RUN_TOPIC:
            raise TransientFailure(f"{topic} is away")
        return super().publish(topic, message)


def test_a_request_that_no_topic_took_is_a_note_and_not_a_failure_of_the_run(call: Call, row: Shop) -> None:
    row.delete(Target("standing", DAY))
    row.delete(Target("league", DAY))
    shop = replace(row, gapless=replace(row.gapless, bus=NoRuns()))
    reply = ask(call, shop, "standing")
    assert (reply.status, reply.body["outcomes"], reply.body["complete"]) == (200, {"complete": 1}, True)
    assert reply.body["followed_by"] == []
    (note,) = reply.body["notes"]
    assert "what follows standing in its phase was not asked for" in note
    assert f"{RUN_TOPIC} is away" in note
    assert [(line["severity"], line["message"]) for line in reply.log if line["action"] == "note"] == [
        ("WARNING", note)
    ]
    assert [topic for topic, _ in shop.bus.sent] == ["shop-4"]  # its completion was announced
    again = call("phase3_to_phase4", row.gapless, {"scan_for_gaps": True})
    assert again.body["triggered"] == 1


@pytest.mark.parametrize("error", [TransientFailure("no answer"), GaplessError("refused")])
def test_a_look_that_fails_after_the_run_is_a_note_too(call: Call, row: Shop, error: GaplessError) -> None:
    row.delete(Target("standing", DAY))
    row.delete(Target("league", DAY))
    watching, watched = row.watched()
    watched.before = second_look(error)
    reply = ask(call, replace(row, gapless=watching.gapless), "standing")
    assert (reply.status, reply.body["outcomes"], reply.body["followed_by"]) == (200, {"complete": 1}, [])
    assert str(error) in reply.body["notes"][0]


def second_look(error: BaseException) -> Callable[[str], None]:
    """Fails the look at what follows."""
    looks: list[str] = []

    def fail(purpose: str) -> None:
        looks.extend([purpose] if purpose == "observe" else [])
        if len(looks) == 2:
            raise error

    return fail


def test_a_call_that_died_before_it_asked_is_made_good_by_its_next_delivery(call: Call, row: Shop) -> None:
    """Pub/Sub numbers its deliveries; the first has no need to look further, and makes do with one job."""
    row.delete(Target("standing", DAY))
    row.delete(Target("league", DAY))
    dying, watched = row.watched()
    watched.before = second_look(SystemExit())
    with pytest.raises(SystemExit):
        ask(call, replace(row, gapless=dying.gapless), "standing")
    assert asked(row) == []
    reply = ask(call, row, "standing", deliveryAttempt=2)
    assert (reply.body["outcomes"], [each["processor"] for each in reply.body["followed_by"]]) == ({}, ["league"])
    assert asked(row) == [("league", (DAY,), False)]


# -- together ----------------------------------------------------------------------------------------------------------


def test_with_every_completion_event_lost_one_scan_per_phase_carries_a_loaded_date_through_its_phases(
    call: Call, row: Shop
) -> None:
    """A4: one scan interval per phase at most, however many processors stand in a row in a phase."""
    row.sell(NEW, NEW)
    shop = replace(row, gapless=replace(row.gapless, bus=OnlyRuns()))
    before = newest(shop)
    delivered = {}
    for name in PHASES:
        assert call(name, shop.gapless, {"scan_for_gaps": True}).body["triggered"] == 1
        delivered[name] = deliver_runs(call, shop)
    assert delivered == {"phase2_to_phase3": 2, "phase3_to_phase4": 3, "phase4_to_phase5": 1}
    assert shop.scan().judgement.complete
    assert claims(shop, before) == [(name, NEW) for name in CHAIN]


def test_a_season_that_was_loaded_late_takes_one_scan_per_phase_too(call: Call, row: Shop) -> None:
    """Every date at once, a hole with what was built around it on top: the runs are of batches."""
    for name in CHAIN:
        for day in days_between(FIRST, LAST):
            row.delete(Target(name, day))
    shop = replace(row, gapless=replace(row.gapless, bus=OnlyRuns()))
    for name in PHASES:
        call(name, shop.gapless, {"scan_for_gaps": True})
        assert deliver_runs(call, shop) <= 3
    assert shop.scan().judgement.complete


def test_what_waited_for_a_target_that_came_to_need_no_run_follows_too(call: Call, row: Shop) -> None:
    """An order of nothing: the standing is made anew and comes out the same, so the league between is left alone."""
    row.run(
        "INSERT INTO `shop_raw.orders` (order_id, order_day, branch, amount_cents, processed_at) "
        "VALUES ('late', @day, 'A', 0, @now)",
        day=DAY,
        now=row.clock(),
    )
    row.clock.now += timedelta(minutes=1)
    before = newest(row)
    shop = replace(row, gapless=replace(row.gapless, bus=OnlyRuns()))
    for name in PHASES:
        call(name, shop.gapless, {"scan_for_gaps": True})
        deliver_runs(call, shop)
    assert shop.scan().judgement.complete
    claimed = claims(shop, before)
    assert {name for name, _ in claimed} == {"revenue", "standing", "medal"}
    assert len(set(claimed)) == len(claimed)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_events_and_runs_that_both_ask_run_nothing_twice(call: Call, row: Shop, seed: int) -> None:
    """Every function hears of its own phase too, messages come in any order, some of them twice."""
    chance = random.Random(seed)
    row.sell(NEW, NEW)
    before = newest(row)
    listeners = {"shop-3": PHASES[:2], "shop-4": PHASES[1:], "shop-5": PHASES[2:], RUN_TOPIC: ("run_processor",)}
    row.bus.sent.clear()
    waiting: list[tuple[str, Mapping[str, Any]]] = [("phase2_to_phase3", {"date": NEW.isoformat()})] * 2
    while waiting:
        name, message = waiting.pop(chance.randrange(len(waiting)))
        assert call(name, row.gapless, push(message)).status == 200
        for topic, published in row.bus.sent:
            waiting += [(listener, published) for listener in listeners[topic]] * chance.choice((1, 1, 2))
        row.bus.sent.clear()
    assert row.scan().judgement.complete
    assert claims(row, before) == [(name, NEW) for name in CHAIN]


def test_today_is_that_of_the_pipelines_zone(call: Call, row: Shop) -> None:
    """The dates that follow end at a horizon in Berlin, where it is the next day already."""
    row.clock.now = datetime(2024, 2, 8, 23, 30, tzinfo=UTC)
    assert civil_today(row.pipeline, row.clock()) == NEW
    row.sell(NEW, NEW)
    for name in CHAIN[:2]:
        row.apply(NEW, NEW, name)
    reply = ask(call, row, "standing", NEW)
    assert [each["first"] for each in reply.body["followed_by"]] == [NEW.isoformat()]
