"""January 2026: 2,344 runs without a record were reported, and most of them had written their data.

What is lost is what the tables lack. A run history that says otherwise is a fault of the history, and no reason to run
anything; nor does it keep anything from being run.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gapless.model import Target
from gapless.nba.sample.incidents import by_name
from gapless.questions.reports.comparison import Comparison, Confirmation, compare
from gapless.questions.reports.failures import causes
from gapless.questions.reports.run_history import Tracker, read_outcomes, read_runs
from tests.conftest import Bench, Result, Season, Shop
from tests.emulator.test_audit import spoiled

PGS, PCF = "player_game_summary", "player_composite_factors"
DAYS = tuple(date(2023, 1, number) for number in (8, 9, 10, 11))


def compared(bench: Bench, first: date, last: date, *processors: str) -> Comparison:
    look = bench.scan(first, last, *processors)
    return compare(bench.pipeline, look, read_runs(bench.gapless.warehouse, bench.pipeline, first, last, look.at))


@pytest.fixture
def tracked(built_season: Season) -> Iterator[Season]:
    """The season, with a tracker that says 0 records for four dates on which all players are there."""
    by_name("tracking_fault").apply(built_season.gapless.warehouse, built_season.season, built_season.pipeline)
    yield built_season
    built_season.run("DELETE FROM `nba_orchestration.reported_runs` WHERE TRUE")


def test_four_dates_of_which_the_history_says_0_are_tracking_faults_and_no_loss(
    tracked: Season, gapless: Callable[..., Result]
) -> None:
    """8 to 11 January of a season like that one: 0 by the history, and every player of every game is there."""
    found = compared(tracked, DAYS[0], DAYS[-1])
    assert found.losses == []
    assert found.findings[Tracker.TRACKER] == {Confirmation.FAULT: 12}
    assert found.findings[Tracker.OWN][Confirmation.FAULT] == 0
    summary = {f.target.day: (f.told.records, f.seen.rows, f.units) for f in found.faults if f.target.processor == PGS}
    players = tracked.season.players_on
    assert summary == {day: (0, players[day], tracked.season.games_on[day]) for day in DAYS}
    assert all(players[day] > 100 for day in DAYS)

    result = gapless("report", "runs", "--start-date", DAYS[0], "--end-date", DAYS[-1], "--home", tracked.home)
    assert result.code == 0
    assert "Data loss that the tables confirm: nothing" in result.out
    assert "gapless apply" not in result.out  # nothing is offered to be run
    line = next(line for line in result.out.splitlines() if line.startswith(f"{DAYS[3]}  PGS"))
    told = ("tracker: success, 0 records", f"{players[DAYS[3]]} rows", f"{tracked.season.games_on[DAYS[3]]} games")
    assert all(words in line for words in told)


def test_0_records_by_the_history_and_106_347_211_and_348_in_the_table(shop: Shop) -> None:
    """The very numbers of January 2026."""
    there = {date(2024, 1, 8): 106, date(2024, 1, 9): 347, date(2024, 1, 10): 211, date(2024, 1, 11): 348}
    for day, rows in there.items():
        shop.sell(day, day, branches="".join(chr(0x4E00 + n) for n in range(rows)), orders=1)
    shop.apply()
    shop.run(
        f"INSERT INTO {shop.ledger_table('reported_runs')} (processor_name, data_date, run_id, status, processed_at, "
        "records_processed) SELECT 'revenue', day, CAST(day AS STRING), 'success', @now, 0 FROM UNNEST(@days) AS day",
        now=shop.clock(), days=list(there),
    )  # fmt: skip
    found = compared(shop, min(there), max(there))
    assert found.losses == []
    assert {f.target.day: (f.told.records, f.seen.rows) for f in found.faults} == {
        day: (0, rows) for day, rows in there.items()
    }  # fmt: skip
    assert not any(fault.written_after for fault in found.faults)  # the rows were there when the history was written


def test_a_true_loss_among_false_ones_is_the_only_entry_of_the_inventory_and_its_command_mends_it(
    tracked: Season, gapless: Callable[..., Result]
) -> None:
    lost = Target(PCF, DAYS[1])
    tracked.delete(lost)
    where = ("--start-date", DAYS[0], "--end-date", DAYS[-1], "--home", tracked.home)
    result = gapless("report", "runs", "--json", *where)
    assert result.code == 1
    told = json.loads(result.out)
    (row,) = told["losses"]["rows"]
    assert (row["dates"], row["processor"], row["verdict"]) == (str(lost.day), PCF, "missing")
    assert row["history says"] == "gapless: success; tracker: success, 0 records"
    assert row["table has"] == f"0 of {tracked.season.players_on[lost.day]} keys"
    assert len(told["faults"]["rows"]) == 11  # the other dates of the same tracker are faults of its own
    assert gapless(*shlex.split(row["command"])[1:]).code == 0
    assert tracked.differences() == []
    assert compared(tracked, DAYS[0], DAYS[-1]).losses == []


def test_what_a_history_claims_is_no_data(shop: Shop) -> None:
    """A run that says 348 records, of a date that its table lacks: the table decides."""
    first, last, day = date(2024, 2, 1), date(2024, 2, 10), date(2024, 2, 3)
    shop.built(first, last)
    shop.run(
        f"INSERT INTO {shop.ledger_table('reported_runs')} (processor_name, data_date, run_id, status, processed_at, "
        "records_processed) SELECT 'RevenueProcessor', @day, 'theirs', 'success', @now, 348",
        now=shop.clock(), day=day,
    )  # fmt: skip
    assert compared(shop, first, last).losses == []
    shop.delete(Target("revenue", day))
    found = compared(shop, first, last)
    assert [(loss.gap.target, [each.records for each in loss.says]) for loss in found.losses] == [
        (Target("revenue", day), [3, 348])
    ]  # fmt: skip


def test_a_run_without_records_never_blocks_a_retry(chain: Shop, tmp_path: Path) -> None:
    """Neither another system's nor an own one: the table lacks the date, so the next apply fills it."""
    first, last, day = date(2024, 2, 1), date(2024, 2, 4), date(2024, 2, 3)
    chain.sell(first, last)
    chain.run(
        f"INSERT INTO {chain.ledger_table('reported_runs')} (processor_name, data_date, run_id, status, processed_at, "
        "records_processed) SELECT 'revenue', day, 'theirs', 'success', @now, 0 FROM UNNEST(@days) AS day",
        now=chain.clock(), days=[first, day],
    )  # fmt: skip
    chain.variant(tmp_path, sql={"revenue": spoiled("day != '2024-02-03'")}).apply()
    before = compared(chain, first, last, "revenue")
    assert [loss.gap.target for loss in before.losses] == [Target("revenue", day)]
    assert before.findings[Tracker.OWN][Confirmation.LOSS] == 1
    assert {fault.target.day for fault in before.faults} == {first}

    chain.clock.now += timedelta(hours=1)
    report = chain.apply()
    assert not report.failed
    assert report.after is not None
    assert report.after.judgement.complete
    after = compared(chain, first, last, "revenue")
    assert after.losses == []
    assert {fault.target.day for fault in after.faults} == {first, day}  # the tracker still says 0


def test_71354_of_71363_runs_that_a_clean_up_called_failed_are_no_failures(shop: Shop) -> None:
    """A run's begin and end are rows of their own; a cleaner of stuck runs added a failure to almost every one."""
    first, last = date(2024, 2, 1), date(2024, 2, 10)
    shop.built(first, last)
    rows = shop.run(
        f"""INSERT INTO {shop.ledger_table("reported_runs")}
  (processor_name, data_date, run_id, status, started_at, processed_at, records_processed)
SELECT 'revenue', DATE_ADD(@first, INTERVAL MOD(n, 10) DAY), CONCAT('run-', CAST(n AS STRING)), s.status, @at,
  TIMESTAMP_ADD(@at, INTERVAL s.minutes MINUTE), s.records
FROM UNNEST(GENERATE_ARRAY(1, 71363)) AS n
JOIN UNNEST(@steps) AS s ON s.status = 'running' OR n <= 71354""",
        first=first,
        at=datetime(2024, 2, 11, tzinfo=UTC),
        steps=[
            {"status": "success", "minutes": 4, "records": 3},
            {"status": "failed", "minutes": 300, "records": 0},
            {"status": "running", "minutes": 0, "records": None},
        ],
    )
    assert rows == 71_363 + 2 * 71_354
    found = compared(shop, first, last)
    counted = found.processors["revenue"]
    assert (counted.false_failures, counted.never_ended, counted.empty) == (71_354, 9, 0)
    assert counted.runs == 71_363 + 10  # with its own
    assert (found.losses, found.faults) == ([], [])


def test_permanent_failures_are_grouped_apart_from_transient_ones_and_the_tables_close_them(
    chain: Shop, tmp_path: Path, gapless: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, last = date(2024, 2, 1), date(2024, 2, 6)
    chain.sell(first, last)
    faulty = chain.variant(
        tmp_path,
        sql={
            "revenue": spoiled("NOT (day IN ('2024-02-03', '2024-02-05') AND branch = 'A')"),
            "forecast": "SELECT day, branch, no_such_column AS cents FROM {revenue} WHERE day IN UNNEST(@dates)",
        },
    )
    faulty.apply()
    found = _causes(chain)
    assert [(cause.permanent, cause.processors, len(cause.targets)) for cause in found] == [
        (True, ("forecast",), 4), (False, ("revenue",), 2),
    ]  # fmt: skip
    assert "no_such_column" in found[0].text
    assert found[1].text == "N of N expected keys (N %), below the gate of N %"

    monkeypatch.setenv("GAPLESS_PIPELINE", str(chain.pipeline.sql_folder.parent / "pipeline.yaml"))
    place = ("--home", chain.home, "--now", "2024-02-12T16:00Z")
    result = gapless("history", *place)
    assert result.code == 1
    permanent, transient = (result.out.index(f"{kind} failures") for kind in ("Permanent", "Transient"))
    assert "forecast" in result.out[permanent:transient]
    assert "no_such_column" in result.out[permanent:transient]
    commands = [line.strip() for line in result.out.splitlines() if line.startswith("  gapless ")]
    assert [("--force" in line, line.startswith("gapless apply")) for line in commands] == [(True, True), (False, True)]

    for line in reversed(commands):  # the cause is mended: the pipeline of this command line is the sound one
        assert gapless(*shlex.split(line)[1:]).code in (0, 1)
    told: dict[str, Any] = json.loads(gapless("history", "--json", *place).out)
    assert told["open"] == 0
    states = {row["state"] for kind in ("permanent", "transient") for row in told[kind]["rows"]}
    assert states == {"resolved"}
    assert gapless("history", *place).code == 0


def _causes(shop: Shop) -> list[Any]:
    found = read_outcomes(shop.gapless.warehouse, shop.pipeline, date(2024, 1, 20), date(2024, 2, 12))
    return sorted(causes(found.failures, found.still_open), key=lambda cause: not cause.permanent)
