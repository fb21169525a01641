"""The daily detector on a real warehouse: what is healed, told and remembered, and how often."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Any

import pytest

from gapless.engine import Engine
from gapless.errors import CannotObserve, ClaimLost, GaplessError, NothingLoaded, Storm, TransientFailure
from gapless.logs import Log
from gapless.messages import RUN_TOPIC
from gapless.model import Target, Wanted
from gapless.tasks.detect.detector import PREFIX, Detection, GapHistory, detect
from gapless.tell.alerts import Alert, Channel, LogChannel, SqlAlertBook, Teller, Urgency
from gapless.tell.slack import Undelivered
from tests.conftest import Bench, Season, Shop, Watched

FIRST, LAST = date(2024, 2, 1), date(2024, 2, 6)
DAY = timedelta(days=1)
MONTH = timedelta(days=31)


@dataclass
class Sink:
    """A channel that takes what it is given, until a test says that it does not."""

    name: str = "sink"
    sent: list[str] = field(default_factory=list)
    failure: BaseException | None = None

    def send(self, text: str) -> None:
        if self.failure:
            raise self.failure
        self.sent.append(text)


@dataclass
class Lines:
    """What was logged."""

    written: list[dict[str, Any]] = field(default_factory=list)

    def write(self, text: str) -> int:
        if text.strip():
            self.written.append(json.loads(text))
        return len(text)

    def flush(self) -> None:
        pass

    def of(self, action: str) -> list[dict[str, Any]]:
        return [line for line in self.written if line["action"] == action]


@dataclass
class Morning:
    """The detector on a bench, as it is called day after day."""

    bench: Bench
    channel: Channel = field(default_factory=Sink)
    log: Lines = field(default_factory=Lines)

    @property
    def sent(self) -> list[str]:
        assert isinstance(self.channel, Sink)
        return self.channel.sent

    @property
    def teller(self) -> Teller:
        gapless = self.bench.gapless
        book = SqlAlertBook(gapless.warehouse, gapless.pipeline.ledger, PREFIX, gapless.clock, lambda _: None)
        return Teller(book, self.channel, Log("gap_detector", out=self.log), "shop")  # type: ignore[arg-type]

    @property
    def history(self) -> GapHistory:
        gapless = self.bench.gapless
        return GapHistory(gapless.warehouse, gapless.pipeline.ledger, gapless.clock)

    def __call__(self, *, dry_run: bool = False, engine: Engine | None = None, **policy: Any) -> Detection:
        gapless = self.bench.gapless
        return detect(
            engine or self.bench.engine(**policy), gapless.everything(), gapless.bus, self.teller, self.history,
            dry_run=dry_run,
        )  # fmt: skip

    def told(self) -> dict[str, list[str]]:
        """The states of every key, in order."""
        found: dict[str, list[str]] = {}
        for key, state in self.bench.rows(
            f"SELECT alert_key, state FROM {self.bench.ledger_table('alert_log')} "
            "WHERE NOT STARTS_WITH(alert_key, 'report/') ORDER BY sent_at"
        ):
            found.setdefault(key, []).append(state)
        return found

    def reports(self) -> list[tuple[date, int]]:
        """The days of the history with their rows."""
        table = self.bench.ledger_table("gap_history")
        rows = self.bench.rows(f"SELECT reported_on, COUNT(*) FROM {table} GROUP BY 1 ORDER BY 1")
        return [(day, n) for day, n in rows]


def forgotten(bench: Bench) -> None:
    for name in ("gap_history", "alert_log"):
        bench.run(f"DELETE FROM {bench.ledger_table(name)} WHERE TRUE")


@pytest.fixture
def shop(chain: Shop) -> Shop:
    forgotten(chain)
    return chain


def later(shop: Shop, by: timedelta) -> None:
    shop.clock.now += by


def keys(found: Detection) -> list[str]:
    return [notice.alert.key for notice in found.delivery.notices]


# -- healing -----------------------------------------------------------------------------------------------------------


def test_a_complete_pipeline_is_quiet_and_its_report_says_so(shop: Shop) -> None:
    shop.built(FIRST, LAST)
    morning = Morning(shop)
    found = morning()
    assert (found.alerts, found.delivery.notices, found.advance.triggered) == ((), (), 0)
    assert found.reported
    assert found.summary == (
        "2024-02-01 to 2024-02-06: 100.0 % complete, 0 gaps",
        "orders: 100.0 % complete",
        "revenue: 100.0 % complete",
        "forecast: 100.0 % complete",
        "standing: 100.0 % complete",
        "triggered: nothing",
    )
    assert (morning.sent, morning.told(), morning.reports()) == ([], {}, [])


def test_what_is_recent_is_started_and_nobody_is_told(shop: Shop) -> None:
    shop.sell(FIRST, LAST)
    found = Morning(shop)()
    assert [topic for topic, _ in shop.bus.sent] == [RUN_TOPIC]
    assert found.advance.triggered == 6
    assert found.alerts == ()
    assert "triggered: revenue 6 dates" in found.summary


def test_what_stood_open_for_a_month_is_told_and_not_started(shop: Shop) -> None:
    shop.sell(FIRST, LAST)
    later(shop, MONTH)
    shop.sell(date(2024, 3, 10), date(2024, 3, 10))
    morning = Morning(shop)
    found = morning()
    assert [(m["processor"], m["game_dates"] if "game_dates" in m else m["dates"]) for _, m in shop.bus.sent] == [
        ("revenue", ["2024-03-10"])
    ]
    assert keys(found) == ["gaps/old/revenue"]
    assert "2024-02-01, 2024-02-02, 2024-02-03, 2024-02-04, 2024-02-05, 2024-02-06" in morning.sent[0]
    assert "gapless apply --start-date 2024-02-01 --end-date 2024-02-06" in morning.sent[0]
    assert "6 open for more than 30 days" in "\n".join(found.summary)


def test_more_than_a_hundred_gaps_page_and_a_hundred_do_not(shop: Shop) -> None:
    shop.sell(date(2023, 11, 1), date(2024, 2, 8))
    morning = Morning(shop)
    found = morning()
    assert (len(found.advance.look.judgement.gaps), found.advance.triggered) == (300, 100)  # 200 only wait for them
    assert (keys(found), found.delivery.paged) == ([], 0)
    shop.sell(date(2024, 2, 9), date(2024, 2, 9))
    found = morning()
    assert (keys(found), found.delivery.paged) == (["gaps/flood"], 1)
    assert "PAGE (new): 101 gaps are open, more than 100\n101 missing; most of them: revenue 101" in morning.sent[0]
    assert "2023-11-10 and 91 more\n202 targets behind them blocked; Gapless can heal 303 of all" in morning.sent[0]


def test_a_spent_retry_budget_is_told_with_what_was_tried(shop: Shop) -> None:
    shop.sell(FIRST, FIRST)
    look = shop.scan()
    target = Target("revenue", FIRST)
    wanted = [Wanted(target, look.judgement.inputs_of(target), "missing")]
    shop.book("//gone").claim(wanted, 0, look.observation.ledger.generation, "run-1")
    later(shop, timedelta(hours=1))
    morning = Morning(shop)
    assert keys(morning(max_abandoned=1)) == ["gaps/exhausted/revenue"]
    assert "1 attempts without the data landing" in morning.sent[0]
    assert (
        "mend the cause, then: gapless apply --force --start-date 2024-02-01 --end-date 2024-02-01 --processors revenue"
        in morning.sent[0]
    )


def test_acknowledged_gaps_are_neither_told_nor_reported(shop: Shop) -> None:
    shop.sell(FIRST, FIRST)
    later(shop, MONTH)
    for name in ("revenue", "forecast", "standing"):
        shop.book().acknowledge(name, FIRST, FIRST, "lost", "me", None)
    morning = Morning(shop)
    assert morning().alerts == ()
    assert morning.reports() == []
    shop.run(f"DELETE FROM {shop.ledger_table('acknowledged_gaps')} WHERE TRUE")


def test_healing_that_is_switched_off_is_told_once(shop: Shop) -> None:
    shop.sell(FIRST, LAST)
    morning = Morning(shop)
    found = morning(report_only=True)
    assert (keys(found), found.advance.triggered, shop.bus.sent) == (["gaps/switched_off"], 0, [])
    assert "triggered: nothing of 6 dates ready" in found.summary
    later(shop, DAY)
    assert keys(morning(report_only=True)) == []


def test_runs_that_nobody_takes_are_told(shop: Shop) -> None:
    @dataclass
    class Broken:
        def publish(self, topic: str, message: Mapping[str, Any]) -> str:  # noqa: ARG002
            raise CannotObserve(f"there is no topic {topic}")

    shop.sell(FIRST, LAST)
    broken = Morning(replace(shop, gapless=replace(shop.gapless, bus=Broken())))
    found = broken()
    assert (keys(found), found.delivery.paged) == (["gaps/dispatch"], 1)
    assert isinstance(found.advance.failure, CannotObserve)


# -- telling -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def old(shop: Shop) -> Shop:
    """Six dates that stood open for a month."""
    shop.sell(FIRST, LAST)
    later(shop, MONTH)
    return shop


def test_a_page_is_told_once_a_day_and_its_end_once(shop: Shop) -> None:
    shop.sell(FIRST, LAST)
    morning = Morning(shop)
    for _ in range(3):
        morning(page_above=5)
    assert len(morning.sent) == 1
    later(shop, DAY)
    morning(page_above=5)
    assert "PAGE (still)" in morning.sent[1]
    shop.apply(FIRST, LAST)
    for _ in range(2):
        found = morning(page_above=5)
    assert found.delivery.recovered == 0
    assert morning.sent[2].splitlines()[1] == "OVER: 6 gaps are open, more than 5"
    assert len(morning.sent) == 3
    assert morning.told() == {"gaps/flood": ["claimed", "sent", "claimed", "sent", "claimed", "recovered"]}


def test_a_new_process_knows_what_was_told(old: Shop) -> None:
    first, second = Morning(old), Morning(old)
    first()
    second()
    assert (len(first.sent), second.sent) == (1, [])


def test_what_the_channel_does_not_take_is_loud_and_told_by_the_next_run(old: Shop) -> None:
    morning = Morning(old, Sink(failure=Undelivered("Slack answered 404 (no_service)", permanent=True)))
    found = morning()
    assert found.delivery.failure is not None
    line = morning.log.of("alert_undelivered")[0]
    assert (line["severity"], line["permanent"], line["keys"]) == ("ERROR", True, ["gaps/old/revenue"])
    assert morning.log.of("alert")[0]["message"].startswith("revenue: 6 dates")
    assert morning.told() == {"gaps/old/revenue": ["claimed", "undelivered"]}
    repaired = Morning(old)
    repaired()
    repaired()
    assert len(repaired.sent) == 1
    assert morning.told() == {"gaps/old/revenue": ["claimed", "undelivered", "claimed", "sent"]}


def test_a_run_that_dies_while_telling_is_followed_by_one_that_tells(old: Shop) -> None:
    dying = Morning(old, Sink(failure=KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        dying()
    morning = Morning(old)
    morning()
    assert morning.sent == []  # it may still be at it
    later(old, timedelta(minutes=16))
    morning()
    assert len(morning.sent) == 1


def test_of_many_detectors_at_once_exactly_one_tells(old: Shop) -> None:
    channel = Sink()
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: Morning(old, channel)(), range(4)))
    assert len(channel.sent) == 1
    assert sum(len(each.delivery.notices) for each in found) == 1
    assert sum(each.reported for each in found) == 1
    assert Morning(old).reports() == [(date(2024, 3, 14), 18)]


def test_who_read_the_log_before_another_told_reads_it_again(old: Shop) -> None:
    alert = Alert("gaps/x", Urgency.PAGE, 1, "x")
    slow, fast = Morning(old), Morning(old)
    memory = slow.teller.book.read()
    notices = fast.teller.tell([alert]).notices
    assert slow.teller.book.claim(notices, memory, "sink") is False
    assert slow.teller.tell([alert]).notices == ()


@dataclass
class OneTimeIds(Watched):
    """Refuses a job id that was used, as BigQuery does and the emulator does not."""

    used: set[str] = field(default_factory=set)
    fail_next: bool = False

    def execute(
        self, sql: str, params: Mapping[str, Any] | None = None, *, purpose: str, job_id: str | None = None
    ) -> int:
        if job_id in self.used:
            raise ClaimLost(f"job {job_id} belongs to another run")
        if job_id:
            self.used.add(job_id)
            if self.fail_next:
                self.fail_next = False
                raise TransientFailure("the job ended with an error")
        return self.real.execute(sql, params, purpose=purpose, job_id=job_id)


def test_an_id_that_a_failed_insert_used_up_silences_nobody(old: Shop) -> None:
    warehouse = OneTimeIds(old.gapless.warehouse, fail_next=True)
    alert = Alert("gaps/x", Urgency.PAGE, 1, "x")
    morning = Morning(replace(old, gapless=replace(old.gapless, warehouse=warehouse)))
    morning.teller.tell([alert])  # sent, though it cannot be remembered
    assert (len(morning.sent), morning.told()) == (1, {})
    morning.teller.tell([alert])
    assert (len(morning.sent), morning.told()) == (2, {"gaps/x": ["claimed", "sent"]})


def test_an_id_that_a_failed_insert_used_up_costs_no_report(old: Shop) -> None:
    warehouse = OneTimeIds(old.gapless.warehouse)
    morning = Morning(replace(old, gapless=replace(old.gapless, warehouse=warehouse)))
    look = old.scan()
    generation = look.observation.ledger.generation
    report = look.judgement.gaps, date(2024, 3, 14), look.at, generation, ["summary"]
    warehouse.fail_next = True
    with pytest.raises(TransientFailure):
        morning.history.write(*report)
    assert morning.history.write(*report)
    assert not morning.history.write(*report)
    assert morning.reports() == [(date(2024, 3, 14), 18)]


def test_other_peoples_lines_in_the_log_are_left_alone(old: Shop) -> None:
    old.run(
        f"INSERT INTO {old.ledger_table('alert_log')} (alert_key, severity, channel, state, message, sent_at) "
        "SELECT 'cleanup/x', 'page', 'mail', 'sent', 'plain text', CURRENT_TIMESTAMP()"
    )
    morning = Morning(old)
    assert keys(morning()) == ["gaps/old/revenue"]
    assert morning.told()["cleanup/x"] == ["sent"]


def test_a_dry_run_foretells_and_changes_nothing(old: Shop) -> None:
    old.sell(date(2024, 3, 10), date(2024, 3, 10))
    morning = Morning(old)
    found = morning(dry_run=True)
    assert keys(found) == ["gaps/old/revenue"]
    assert (found.reported, found.advance.triggered, found.advance.ready) == (False, 0, 1)
    assert (old.bus.sent, morning.sent, morning.told(), morning.reports()) == ([], [], {}, [])


# -- what stops it -----------------------------------------------------------------------------------------------------


def test_a_refused_storm_is_a_page_before_it_goes_on(shop: Shop) -> None:
    shop.built(FIRST, LAST)
    morning = Morning(shop)
    for name in ("revenue", "forecast", "standing"):
        shop.run(f"DELETE FROM `shop_mart.{name}` WHERE TRUE")
    for _ in range(2):
        with pytest.raises(Storm):
            morning(storm_least=3)
    assert len(morning.sent) == 1
    assert "PAGE (new): nothing is healed: a storm was refused\n18 of the 18 targets" in morning.sent[0]
    shop.apply(FIRST, LAST)
    morning(storm_least=3)
    assert "OVER: nothing is healed: a storm was refused" in morning.sent[1]


def failing(shop: Shop, error: GaplessError, *purposes: str) -> Shop:
    watching, watched = shop.watched()

    def fail(purpose: str) -> None:
        if purpose in purposes:
            raise error

    watched.before = fail
    assert isinstance(watching, Shop)
    return watching


@pytest.mark.parametrize(
    ("error", "severity"), [(CannotObserve("no such table"), "PAGE"), (TransientFailure("timed out"), "WARNING")]
)
def test_tables_that_cannot_be_read_are_told_and_end_nothing(shop: Shop, error: GaplessError, severity: str) -> None:
    shop.sell(FIRST, LAST)
    later(shop, MONTH)
    morning = Morning(shop)
    morning()
    blind = Morning(failing(shop, error, "observe"))
    for _ in range(2):
        with pytest.raises(type(error)):
            blind()
    assert len(blind.sent) == 1
    assert f"{severity} (new): the tables could not be looked at" in blind.sent[0]
    assert str(error) in blind.sent[0]
    assert "OVER" not in blind.sent[0]
    morning()
    assert "OVER: the tables could not be looked at" in morning.sent[1]


def test_where_even_the_log_of_alerts_cannot_be_read_people_are_told(shop: Shop) -> None:
    blind = Morning(failing(shop, CannotObserve("no permission"), "observe", "alerts"))
    with pytest.raises(CannotObserve):
        blind()
    assert "the tables could not be looked at" in blind.sent[0]
    assert blind.log.of("alert_log_unusable")[0]["severity"] == "ERROR"


def test_an_empty_warehouse_is_never_complete(shop: Shop) -> None:
    morning = Morning(shop)
    with pytest.raises(NothingLoaded, match="hold nothing at all"):
        morning()
    assert morning.told() == {"gaps/scan": ["claimed", "sent"]}


# -- the history -------------------------------------------------------------------------------------------------------


def test_one_report_a_day_with_one_row_per_open_gap(old: Shop) -> None:
    morning = Morning(old)
    assert morning().reported
    assert not morning().reported
    assert morning.reports() == [(date(2024, 3, 14), 18)]
    rows = old.rows(
        "SELECT processor_name, verdict, expected_count, actual_count, age_days, detail FROM "
        f"{old.ledger_table('gap_history')} WHERE target_date = @day ORDER BY processor_name",
        day=FIRST,
    )
    assert rows[1][:4] == ("revenue", "missing", 3, 0)
    assert rows[1][4] == pytest.approx(31, abs=0.1)
    assert rows[0][1] == "blocked"
    assert rows[0][5] == "waits for revenue 2024-02-01"


def test_the_next_day_says_what_healed_and_what_is_new(shop: Shop) -> None:
    shop.sell(FIRST, LAST)
    morning = Morning(shop)
    morning()
    shop.apply(FIRST, date(2024, 2, 4))
    later(shop, DAY)
    shop.sell(date(2024, 2, 9), date(2024, 2, 9))
    found = morning()
    assert found.summary[-1] == "since the report of 2024-02-12: 12 healed, 3 new"
    oldest = "the oldest 2024-02-05 missing, fillable for 1 day"
    assert f"revenue: 57.1 % complete, 3 gaps (1 new), {oldest}" in found.summary
    shop.apply()
    later(shop, DAY)
    assert morning().summary[-1] == "since the report of 2024-02-13: 9 healed, 0 new"
    later(shop, DAY)
    assert morning().summary[-1] == "since the report of 2024-02-14: 0 healed, 0 new"


def test_a_gap_that_opens_after_the_days_report_waits_for_the_next(shop: Shop) -> None:
    shop.built(FIRST, LAST)
    morning = Morning(shop)
    assert morning().reported
    shop.sell(date(2024, 2, 9), date(2024, 2, 9))
    assert not morning().reported
    assert morning.reports() == []


# -- a season ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def season(built_season: Season) -> Iterator[Season]:
    forgotten(built_season)
    yield built_season
    forgotten(built_season)


def test_a_whole_season_off_season_and_bootstrap_included_is_no_alert(season: Season) -> None:
    morning = Morning(season, LogChannel())
    found = morning()
    assert [alert for alert in found.alerts if alert.severity is not Urgency.INFO] == []
    assert found.summary[0].endswith("100.0 % complete, 0 gaps")
    assert morning.reports() == []
