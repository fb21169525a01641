"""The table about the days to come is whole, partial or missing: what is made of its date, and what is told of it.

One evening on a real warehouse. The processor of the upcoming context is down, so that what is taken from its table
stays away until a test brings it back.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from math import ceil
from pathlib import Path
from typing import Any

import pytest

from gapless.declare.settings import read_settings
from gapless.engine import ApplyReport
from gapless.execute.workshop import SqlWorkshop, staging_table
from gapless.files import read
from gapless.files.kinds import declared_kinds
from gapless.local import warehouse as local
from gapless.model import Batch, Outcome, Status, Target, Verdict
from gapless.nba.sample.season import write_season
from gapless.tasks.load import load
from gapless.warehouse.names import quoted
from gapless.wiring import connect
from tests.conftest import SEASON, Bench, Clock
from tests.emulator.test_upcoming import AFTERNOON, FORECAST, TODAY, TOMORROW, cut, on, pa, to_come

UPCG, PCF = "upcoming_player_game_context", "player_composite_factors"
YESTERDAY = TODAY - timedelta(days=1)
FIRST = date(2022, 11, 25)
FEATURES = (PCF, "player_daily_cache", "ml_feature_store_v2")


@dataclass
class Evening:
    """The warehouse on the afternoon of a day with games, everything complete, and how many players are expected."""

    bench: Bench
    broken: Bench  # the same, with a processor of the upcoming context that fails
    roster: tuple[str, ...]

    def have(self, players: int) -> None:
        """Leave the upcoming table so many of today's players, and take away what was made of them."""
        self.restore()
        self.bench.run(
            f"DELETE FROM `nba_analytics.{UPCG}` WHERE game_date = @day AND NOT player_lookup IN UNNEST(@stay)",
            day=TODAY,
            stay=[*self.roster[:players], "nobody"],
        )
        for name in FORECAST:
            self.bench.delete(Target(name, TODAY))

    def restore(self) -> None:
        """As it landed, row for row."""
        self.bench.run(f"DELETE FROM `nba_analytics.{UPCG}` WHERE game_date = @day", day=TODAY)
        self.bench.run(f"INSERT INTO `nba_analytics.{UPCG}` SELECT * FROM `nba_orchestration.kept_upcoming`")

    def apply(self) -> ApplyReport:
        return self.broken.apply(TODAY, TODAY)

    def sources(self, name: str, day: date = TODAY) -> dict[str, int]:
        p = self.bench.pipeline.processor(name)
        return dict(
            self.bench.rows(
                f"SELECT data_source, COUNT(*) FROM {quoted(p.table)} WHERE {p.date_column} = @day GROUP BY 1", day=day
            )
        )

    def players(self, name: str) -> set[str]:
        p = self.bench.pipeline.processor(name)
        sql = f"SELECT player_lookup FROM {quoted(p.table)} WHERE {p.date_column} = @day"
        return {player for (player,) in self.bench.rows(sql, day=TODAY)}

    def verdicts(self) -> dict[str, Verdict | None]:
        judgement = self.broken.scan(TODAY, TODAY).judgement
        return {name: judgement.verdict(Target(name, TODAY)) for name in (UPCG, *FORECAST)}


@pytest.fixture(scope="module")
def evening(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Evening]:
    home = tmp_path_factory.mktemp("evening")
    bench = Bench(connect(read_settings({}, home=home), Clock(AFTERNOON)), home)
    try:
        bench.gapless.create()
        with tempfile.TemporaryDirectory() as folder:
            write_season(Path(folder), season=SEASON)
            files = {
                raw.processor: raw
                for raw in read(Path(folder), bench.pipeline, declared_kinds(bench.pipeline), date(2024, 1, 1)).rows
            }

        def put(name: str, rows: Any) -> None:
            load(bench.gapless.warehouse, bench.pipeline, cut(files[name], rows), bench.gapless.clock())

        schedule, boxes = files["schedule"].rows, files["boxscores"].rows
        put("schedule", pa.concat_tables([on(schedule, FIRST, YESTERDAY), to_come(on(schedule, TODAY, TOMORROW))]))
        put("boxscores", on(boxes, FIRST, YESTERDAY))
        report = bench.apply()
        assert report.after is not None
        assert report.after.judgement.complete
        bench.run(
            f"CREATE TABLE `nba_orchestration.kept_upcoming` AS SELECT * FROM `nba_analytics.{UPCG}` "
            "WHERE game_date = @day",
            day=TODAY,
        )
        texts = {**bench.pipeline.texts, UPCG: "SELECT no_such_column FROM {schedule}"}
        broken = replace(bench, gapless=replace(bench.gapless, pipeline=replace(bench.pipeline, texts=texts)))
        listed = Evening(bench, broken, ()).players(UPCG)
        yield Evening(bench, broken, tuple(sorted(listed)))
    finally:
        local.stop(home)


def of(report: ApplyReport, name: str) -> Outcome:
    return next(o for o in report.outcomes if o.target == Target(name, TODAY))


def stored(evening: Evening, name: str, day: date = TODAY) -> tuple[Any, ...]:
    """What the view that people query says of the newest attempt."""
    (row, *_) = evening.bench.rows(
        "SELECT expected_players, actual_players, coverage_pct, data_source, upcoming_count, upcoming_pct, "
        "source_reason FROM `nba_processing.processing_metadata` WHERE processor_name = @name AND analysis_date = @day "
        "ORDER BY created_at DESC",
        name=name,
        day=day,
    )
    return row


def test_a_whole_upcoming_table_is_read_and_nothing_falls_back(evening: Evening) -> None:
    n = len(evening.roster)
    evening.have(n)
    report = evening.apply()
    assert not report.failed
    assert all(set(evening.sources(name)) == {"UPCG"} for name in FORECAST)
    choice = of(report, PCF).choice
    assert choice == (n, False, f"{UPCG} has {n} of {n} (100.0 %)")
    assert stored(evening, PCF) == (n, n, 100.0, "UPCG", n, 100.0, choice.reason)
    assert of(report, "player_daily_cache").choice is None


@pytest.mark.parametrize("share", ["0 %", "39 %", "89.9 %"])
def test_a_missing_or_partial_upcoming_table_is_replaced_and_its_date_flows_to_predictions(
    evening: Evening, share: str
) -> None:
    n = len(evening.roster)
    there = {"0 %": 0, "39 %": round(0.39 * n), "89.9 %": ceil(0.9 * n) - 1}[share]
    evening.have(there)
    engine = evening.broken.engine()
    look = engine.scan(evening.broken.scope(TODAY, TODAY))
    for name in (PCF, "ml_feature_store_v2"):  # what is expected does not shrink with it
        seen = look.observation.seen(Target(name, TODAY))
        assert seen is not None
        assert (seen.expected, seen.covered, seen.rows) == (n, 0, 0)
    assert look.judgement.verdict(Target(PCF, TODAY)) is Verdict.MISSING
    report = engine.apply(look)
    assert {o.target for o in report.failed} <= {Target(UPCG, TODAY)}
    assert not report.waiting
    assert all(set(evening.sources(name)) == {"PGS_SYNTHETIC"} for name in FORECAST)
    assert evening.players(PCF) == evening.players("ml_feature_store_v2") == set(evening.roster)
    assert 0 < len(evening.players("player_prop_predictions")) <= n
    verdicts = evening.verdicts()
    assert verdicts.pop(UPCG) is not Verdict.COMPLETE
    assert set(verdicts.values()) == {Verdict.COMPLETE}
    pct = 100 * there / n
    why = f"{UPCG} has {there} of {n} ({pct:.1f} %), below 90 %: synthetic context from player_game_summary"
    assert of(report, PCF).choice == (there, True, why)
    assert stored(evening, PCF) == (n, n, 100.0, "PGS_SYNTHETIC", there, pytest.approx(pct, abs=0.005), why)


def test_exactly_90_percent_is_read_and_what_it_lacks_is_a_warning_all_the_way_down(evening: Evening) -> None:
    n = len(evening.roster)
    there = ceil(0.9 * n)
    evening.have(there)
    report = evening.apply()
    assert not report.failed
    assert set(evening.sources(PCF)) == {"UPCG"}
    assert evening.players(PCF) == evening.players("ml_feature_store_v2") == set(evening.roster[:there])
    factors = of(report, PCF)
    assert (factors.status, factors.expected, factors.covered) == (Status.COMPLETE, n, there)
    assert factors.choice == (there, False, f"{UPCG} has {there} of {n} ({100 * there / n:.1f} %)")
    # form is known of every player, so a few who are not listed keep no gate below from being passed
    cache = of(report, "player_daily_cache")
    assert cache.expected == cache.covered
    assert of(report, "player_prop_predictions").status is Status.COMPLETE


def test_when_the_upcoming_table_lands_later_its_date_is_rebuilt_from_it(evening: Evening) -> None:
    p = evening.bench.pipeline.processor(PCF)
    columns = ", ".join(c for c in p.columns if c != "data_source")
    content = f"SELECT {columns} FROM {quoted(p.table)} WHERE game_date = @day ORDER BY game_id, player_lookup"
    evening.have(round(0.39 * len(evening.roster)))
    evening.apply()
    assert set(evening.sources(PCF)) == {"PGS_SYNTHETIC"}
    stood_in = evening.bench.rows(content, day=TODAY)
    evening.restore()
    look = evening.bench.scan(TODAY, TODAY)
    assert look.judgement.verdict(Target(PCF, TODAY)) is Verdict.CONTAMINATED
    report = evening.apply()
    assert not report.failed
    assert all(set(evening.sources(name)) == {"UPCG"} for name in FEATURES)
    assert evening.bench.rows(content, day=TODAY) == stood_in  # the source is all that tells them apart
    assert evening.bench.scan().judgement.complete
    # a prediction is a record: what was said in the meantime stays
    assert set(evening.sources("player_prop_predictions")) == {"PGS_SYNTHETIC"}


def test_a_game_that_is_called_off_leaves_what_stands_in_too(evening: Evening) -> None:
    evening.have(0)
    evening.apply()
    (game, text, away, home) = evening.bench.rows(
        "SELECT game_id, game_status_text, away_team_tricode, home_team_tricode FROM `nba_raw.nbac_schedule` "
        "WHERE game_date = @day ORDER BY game_id LIMIT 1",
        day=TODAY,
    )[0]
    change = "UPDATE `nba_raw.nbac_schedule` SET game_status_text = @text WHERE game_id = @game"
    try:
        evening.bench.run(change, text="Postponed", game=game)
        assert evening.broken.scan(TODAY, TODAY).judgement.verdict(Target(PCF, TODAY)) is Verdict.CONTAMINATED
        evening.apply()
        for name in (PCF, "ml_feature_store_v2"):
            assert evening.bench.count(Target(name, TODAY), f"game_id = '20221221_{away}_{home}'") == 0
            assert evening.bench.count(Target(name, TODAY)) > 0
    finally:
        evening.bench.run(change, text=text, game=game)


def test_a_game_of_three_weeks_ago_is_part_of_what_stands_in(evening: Evening) -> None:
    day, target = TODAY - timedelta(days=21), Target(PCF, TODAY)
    change = "UPDATE `nba_analytics.player_game_summary` SET row_hash = row_hash + @by WHERE game_date = @day"
    before = evening.bench.scan(TODAY, TODAY).judgement.inputs_of(target)
    evening.bench.run(change, by=1, day=day)
    try:
        assert evening.bench.scan(TODAY, TODAY).judgement.inputs_of(target) != before
    finally:
        evening.bench.run(change, by=-1, day=day)
    assert evening.bench.scan(TODAY, TODAY).judgement.inputs_of(target) == before


def test_a_historical_date_never_reads_the_upcoming_table_and_says_so(evening: Evening) -> None:
    """The incident of 6 January 2026: 1 of 187 players in the table about the days to come."""
    ((day, n),) = evening.bench.rows(
        "SELECT game_date, COUNT(*) FROM `nba_analytics.player_game_summary` GROUP BY 1 ORDER BY 1 DESC LIMIT 1"
    )
    target = Target(PCF, day)
    before = evening.bench.content(target)
    evening.bench.run(
        f"INSERT INTO `nba_analytics.{UPCG}` SELECT u.* REPLACE (s.game_date AS game_date, s.game_id AS game_id, "
        f"s.player_lookup AS player_lookup) FROM `nba_orchestration.kept_upcoming` AS u "
        "CROSS JOIN (SELECT * FROM `nba_analytics.player_game_summary` WHERE game_date = @day "
        "ORDER BY player_lookup LIMIT 1) AS s ORDER BY u.player_lookup LIMIT 1",
        day=day,
    )
    try:
        evening.bench.delete(target)
        (outcome,) = evening.broken.apply(day, day, PCF).outcomes
        why = f"historical date: player_game_summary is read, never {UPCG} (1 of {n}, {100 / n:.1f} %)"
        assert outcome.choice == (1, False, why)
        assert evening.sources(PCF, day) == {"PGS_SYNTHETIC": n}
        assert [row[:-2] for row in evening.bench.content(target)] == [row[:-2] for row in before]
        assert stored(evening, PCF, day) == (n, n, 100.0, "PGS_SYNTHETIC", 1, pytest.approx(100 / n, abs=0.005), why)
    finally:
        evening.bench.run(f"DELETE FROM `nba_analytics.{UPCG}` WHERE game_date = @day", day=day)


def test_rows_of_players_whom_nobody_expects_are_neither_counted_nor_read(evening: Evening) -> None:
    """187 rows of the wrong players are 0 %."""
    n = len(evening.roster)
    evening.have(n)
    evening.bench.run(
        f"UPDATE `nba_analytics.{UPCG}` SET player_lookup = CONCAT(player_lookup, 'x') WHERE game_date = @day",
        day=TODAY,
    )
    workshop = SqlWorkshop(evening.bench.gapless.warehouse, evening.bench.pipeline)
    assert staged(evening, workshop, 1) == (set(evening.roster), {"PGS_SYNTHETIC"})
    seen = evening.broken.engine().executor.measure([Target(PCF, TODAY)], TODAY)[Target(PCF, TODAY)]
    assert (seen.expected, seen.preferred) == (n, 0)
    evening.restore()


@pytest.mark.parametrize("seed", range(8))
def test_of_any_part_of_the_upcoming_table_either_that_part_is_used_or_the_whole_roster(
    evening: Evening, seed: int
) -> None:
    chance = random.Random(seed)
    n = len(evening.roster)
    size = chance.choice([0, 1, n, ceil(0.9 * n) - 1, ceil(0.9 * n), *range(n), *range(ceil(0.85 * n), n)])
    part = set(chance.sample(evening.roster, size))
    evening.restore()
    evening.bench.run(
        f"DELETE FROM `nba_analytics.{UPCG}` WHERE game_date = @day AND NOT player_lookup IN UNNEST(@stay)",
        day=TODAY,
        stay=[*part, "nobody"],
    )
    workshop = SqlWorkshop(evening.bench.gapless.warehouse, evening.bench.pipeline)
    covers = 10 * size >= 9 * n
    expected = (part, {"UPCG"}) if covers else (set(evening.roster), {"PGS_SYNTHETIC"})
    assert staged(evening, workshop, 100 + seed) == expected
    seen = evening.broken.engine().executor.measure([Target(PCF, TODAY)], TODAY)[Target(PCF, TODAY)]
    assert (seen.expected, seen.preferred) == (n, size)
    evening.restore()


def staged(evening: Evening, workshop: SqlWorkshop, number: int) -> tuple[set[str], set[str]]:
    """Players and sources of what the factors' processor makes of today, with a date before and one after beside it."""
    batch = Batch(PCF, (YESTERDAY, TODAY, TOMORROW), 900_000_000 + number, 0)
    workshop.stage(batch, TODAY)
    try:
        rows = evening.bench.rows(
            f"SELECT player_lookup, data_source FROM {quoted(staging_table(evening.bench.pipeline, batch))} "
            "WHERE game_date = @day",
            day=TODAY,
        )
    finally:
        workshop.discard(batch)
    assert len({player for player, _ in rows}) == len(rows)
    return {player for player, _ in rows}, {source for _, source in rows}
