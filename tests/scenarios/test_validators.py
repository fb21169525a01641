"""Every check finds each kind of damage, wherever it is done, and nothing where nothing was done."""

from __future__ import annotations

import os
import random
import re
import shlex
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gapless import ledger
from gapless.declare.pipeline import Rule
from gapless.declare.settings import read_settings
from gapless.files import RawRows, read
from gapless.files.kinds import declared_kinds
from gapless.local import warehouse as local
from gapless.model import Target, days_between
from gapless.nba.sample.incidents import by_name
from gapless.nba.sample.known import read_season
from gapless.questions.classify import Category, Classifier, by_date
from gapless.questions.validation import Check, Severity, ValidationReport, validate
from gapless.tasks.load import load
from gapless.warehouse.fingerprints import row_hash
from gapless.wiring import connect, utcnow
from tests.conftest import Bench, Result, Season, Shop, shop_pipeline

PCF, MLFS, TDZA, PGS = (
    "player_composite_factors", "ml_feature_store_v2", "team_defense_zone_analysis", "player_game_summary",
)  # fmt: skip


def checked(bench: Bench, first: date | None = None, last: date | None = None) -> ValidationReport:
    return validate(bench.engine(lift_storm=True), bench.gapless.warehouse, bench.scope(first, last))


class Expected(NamedTuple):
    """What a damage has to be found as."""

    target: Target
    check: Check
    rule: str = ""  # empty: other damage may give it another name


def missed(report: ValidationReport, expected: list[Expected]) -> list[Expected]:
    """What was done and not found."""
    told = {
        (Target(f.processor, day), f.check, rule) for f in report.findings for day in f.days for rule in (f.rule, "")
    }
    return [each for each in expected if each not in told]


def seal(bench: Bench, target: Target) -> None:
    """Give rows the fingerprint of their content, as if a processor had published them."""
    bench.update(target, f"row_hash = {row_hash(bench.pipeline.processors[target.processor].content)}")


# ------------------------------------------------------------------------------------------ the shop, at random

FIRST, LAST = date(2024, 1, 15), date(2024, 2, 4)
COLUMNS = {
    "forecast": {"day": "DATE required", "branch": "STRING required", "cents": "INT64 required 0..1000000000"},
    "standing": {
        "day": "DATE required", "branch": "STRING required", "cents_3_days": "INT64 required 0..1000000000",
        "forecast_cents": "INT64 required",  # the table takes NULLs; the declaration does not
    },
}  # fmt: skip
RULE = Rule(name="no more standings", rows_of="standing", at_most=1.1, of="revenue")
DERIVED = ("revenue", "forecast", "standing")
NUMBER = {"revenue": "amount_cents_7_days", "forecast": "cents", "standing": "cents_3_days"}


def gone(shop: Shop, target: Target) -> list[Expected]:
    shop.delete(target)
    return [Expected(target, Check.COVERAGE), Expected(target, Check.HISTORY)]


def thin(shop: Shop, target: Target) -> list[Expected]:
    shop.delete(target, "branch NOT IN ('A', 'B', 'C')")
    return [Expected(target, Check.COVERAGE), Expected(target, Check.HISTORY)]


def a_little_less(shop: Shop, target: Target) -> list[Expected]:
    """Between the warning threshold and the gate, and sold so by everything that is there."""
    shop.delete(target, "branch = 'A'")
    return [Expected(target, Check.COVERAGE)]


def twice(shop: Shop, target: Target) -> list[Expected]:
    shop.copy_rows(target, target.day, "branch = 'D'")
    return [Expected(target, Check.QUALITY, "duplicate keys")]


def changed(shop: Shop, target: Target) -> list[Expected]:
    column = NUMBER[target.processor]
    shop.update(target, f"{column} = {column} + 1", "branch = 'D'")
    return [Expected(target, Check.QUALITY, "changed rows")]


def outside(shop: Shop, target: Target) -> list[Expected]:
    column = NUMBER[target.processor]
    shop.update(target, f"{column} = -1", "branch = 'D'")
    seal(shop, target)
    return [Expected(target, Check.QUALITY, f"range of {column}")]


def zeros(shop: Shop, target: Target) -> list[Expected]:
    column = NUMBER[target.processor]
    shop.update(target, f"{column} = 0")
    seal(shop, target)
    return [Expected(target, Check.QUALITY, f"zeros in {column}")]


def empty(shop: Shop, target: Target) -> list[Expected]:
    target = Target("standing", target.day)
    shop.update(target, "forecast_cents = NULL", "branch = 'D'")
    seal(shop, target)
    return [Expected(target, Check.QUALITY, "required forecast_cents")]


def suspect(shop: Shop, target: Target) -> list[Expected]:
    target = Target("revenue", target.day)
    shop.update(target, "orders_today = orders_7_days + 1")
    seal(shop, target)
    return [Expected(target, Check.CASCADE, "built on missing input")]


def corrected_below(shop: Shop, target: Target) -> list[Expected]:
    """A source changes after what was made from it."""
    shop.update(Target("orders", target.day), "amount_cents = amount_cents + 1", "branch = 'D'")
    return [Expected(Target("revenue", target.day), Check.CASCADE)]


def foreign(shop: Shop, target: Target) -> list[Expected]:
    """Rows that nobody expects, and more than their neighbours allow."""
    target = Target("standing", target.day)
    shop.copy_rows(target, target.day, "branch IN ('D', 'E')", branch="CONCAT('x', branch)")
    seal(shop, target)
    return [Expected(target, Check.COVERAGE), Expected(target, Check.CONSISTENCY, "no more standings")]


def unrecorded(shop: Shop, target: Target) -> list[Expected]:
    for name, column in (("attempts", "target_date"), ("backfill_date_outcomes", "analysis_date")):
        shop.run(
            f"DELETE FROM {shop.ledger_table(name)} WHERE processor_name = @name AND {column} = @day",
            name=target.processor,
            day=target.day,
        )
    return [Expected(target, Check.HISTORY, "untracked")]


KINDS: tuple[Callable[[Shop, Target], list[Expected]], ...] = (
    gone, thin, a_little_less, twice, changed, outside, zeros, empty, suspect, corrected_below, foreign, unrecorded,
)  # fmt: skip


@pytest.fixture
def ten(chain: Shop, tmp_path: Path) -> Iterator[tuple[Shop, Callable[[], None]]]:
    """Three weeks of ten branches, with what puts every table back."""
    chain.sell(FIRST, LAST, "ABCDEFGHIJ")
    assert not chain.apply().failed
    names = [p.table for p in chain.pipeline.processors.values()]
    names += [ledger.table(chain.pipeline.ledger, name) for name in ("attempts", "backfill_date_outcomes")]
    kept_in = f"{chain.pipeline.staging}_before"
    chain.gapless.warehouse.create_dataset(kept_in)
    kept = {name: f"{kept_in}.{name.replace('.', '_')}" for name in names}
    for name, copy in kept.items():
        chain.run(f"CREATE OR REPLACE TABLE `{copy}` AS SELECT * FROM `{name}`")

    def restore() -> None:
        for name, copy in kept.items():
            chain.run(f"DELETE FROM `{name}` WHERE TRUE")
            chain.run(f"INSERT INTO `{name}` SELECT * FROM `{copy}`")

    pipeline = shop_pipeline(tmp_path, change={name: {"columns": columns} for name, columns in COLUMNS.items()})
    pipeline = replace(pipeline, consistency=(RULE,))
    yield replace(chain, gapless=replace(chain.gapless, pipeline=pipeline)), restore
    for copy in kept.values():
        chain.gapless.warehouse.drop(copy)


DAMAGE = st.lists(
    st.tuples(st.sampled_from(KINDS), st.sampled_from(DERIVED), st.integers(13, 20)),
    min_size=1, max_size=3, unique_by=lambda each: each[2],
)  # fmt: skip


def test_every_damage_is_found_wherever_it_is_done(ten: tuple[Shop, Callable[[], None]]) -> None:
    shop, restore = ten
    clean = checked(shop)
    assert clean.findings == clean.absences == ()
    assert clean.passed(strict=True)

    day = FIRST + timedelta(days=15)
    for kind in KINDS:
        expected = kind(shop, Target("standing", day))
        report = checked(shop)
        restore()
        assert missed(report, expected) == [], kind.__name__
        touched = {d for f in report.findings for d in f.days}
        assert touched <= set(days_between(day, day + timedelta(days=9))), kind.__name__

    @settings(max_examples=10, suppress_health_check=list(HealthCheck))
    @given(DAMAGE)
    def several(damage: list[tuple[Callable[[Shop, Target], list[Expected]], str, int]]) -> None:
        expected: list[Expected] = []
        for kind, name, offset in damage:
            expected += kind(shop, Target(name, FIRST + timedelta(days=offset)))
        report = checked(shop)
        restore()
        assert missed(report, expected) == []
        assert not report.passed(strict=True)
        # whatever the judge calls a gap fails a check
        told = {Target(f.processor, day) for f in report.findings if f.severity is Severity.CRITICAL for day in f.days}
        assert {gap.target for gap in report.look.judgement.gaps} <= told

    several()


# ------------------------------------------------------------------------------------------ a season of the NBA


def test_a_season_that_is_complete_has_nothing_to_answer_for(built_season: Season) -> None:
    report = checked(built_season)
    assert report.findings == ()
    assert report.passed(strict=True)
    assert {absence.category for absence in report.absences} == {Category.BOOTSTRAP}
    opening = built_season.season.days.opening
    assert {(f.first, f.last, len(f.days)) for f in report.absences} == {(opening, opening + timedelta(days=13), 14)}


def test_each_kind_of_damage_is_found_in_every_table_that_a_run_fills(built_season: Season) -> None:
    """One kind per table, at random dates, all at once: nothing hides anything else."""
    chance = random.Random("validators")
    days = [day for day in built_season.season.game_dates if date(2022, 12, 20) <= day <= date(2023, 4, 1)]
    expected: list[Expected] = []
    tables = [p for p in built_season.pipeline.processors.values() if p.run == "sql" and p.applies(historical=True)]
    for p in tables:
        lost, doubled, zero = (Target(p.name, day) for day in chance.sample(days, 3))
        built_season.delete(lost)
        expected += [Expected(lost, Check.COVERAGE), Expected(lost, Check.HISTORY, "fewer than before")]
        built_season.copy_rows(doubled, doubled.day)
        expected.append(Expected(doubled, Check.QUALITY, "duplicate keys"))
        scores = [c.name for c in p.content if c.type == "INT64" and c.low == 0 and c.high == 100 and c.required]
        for column in scores[:1]:
            built_season.update(zero, f"{column} = 0")
            expected += [
                Expected(zero, Check.QUALITY, "changed rows"), Expected(zero, Check.QUALITY, f"zeros in {column}"),
            ]  # fmt: skip
    outside = Target(PGS, chance.choice(days))
    built_season.update(outside, "usage_rate = 100.1", "usage_rate IS NOT NULL")
    expected.append(Expected(outside, Check.QUALITY, "range of usage_rate"))
    report = checked(built_season)
    assert missed(report, expected) == []
    assert len(expected) > 3 * len(tables)
    gaps = {gap.target for gap in report.look.judgement.gaps}
    assert gaps <= {Target(f.processor, day) for f in report.findings for day in f.days}


def test_the_incidents_are_classified(built_season: Season) -> None:
    season = built_season.season
    hurt: dict[str, set[Target]] = {}
    for name in ("missing_team_defense", "feature_store_never_ran", "partial_backfill", "postponed_games"):
        incident = by_name(name)
        hurt[name] = set(incident.targets(season, built_season.pipeline))
        incident.apply(built_season.gapless.warehouse, season, built_season.pipeline)
    report = checked(built_season)
    found: dict[Target, set[Category]] = defaultdict(set)
    for f in report.findings:
        for day in f.days:
            found[Target(f.processor, day)].add(f.category)
    assert set().union(*hurt.values()) <= set(found)
    defence = season.nearest_game_date(season.days.in_season(12, 4))
    assert found[Target(TDZA, defence)] == {Category.TRUE_GAP}
    assert found[Target(PCF, defence)] == found[Target(MLFS, defence)] == {Category.CASCADING}
    rules = {(f.check, f.rule) for f in report.findings if defence in f.days and f.processor in (TDZA, PCF)}
    assert rules >= {
        (Check.COVERAGE, "nothing there"), (Check.CONSISTENCY, "team defence where there are shot zones"),
        (Check.CASCADE, "built on missing input"), (Check.QUALITY, "zeros in opponent_strength_score"),
    }  # fmt: skip
    never_ran = [target for target in hurt["feature_store_never_ran"] if target.processor == MLFS]
    assert [found[target] for target in never_ran] == [{Category.TRUE_GAP}] * 2
    assert all(Category.STALE_SCHEDULED in found[target] for target in hurt["postponed_games"])


def test_the_printed_command_repairs_the_fourth_of_december(
    built_season: Season, gapless: Callable[..., Result]
) -> None:
    """Scenario 1 of the guide was four backfills and two queries by hand."""
    by_name("missing_team_defense").apply(
        built_season.gapless.warehouse, built_season.season, built_season.pipeline
    )  # fmt: skip
    day = built_season.season.nearest_game_date(built_season.season.days.in_season(12, 4))
    words = ("--start-date", day, "--end-date", day, "--home", built_season.home)
    before = gapless("validate", *words)
    assert before.code == 1
    (fix,) = set(re.findall(r"fix: (gapless .*)", before.out))
    assert gapless(*shlex.split(fix)[1:]).code == 0
    after = gapless("validate", *words, "--strict")
    assert (after.code, after.err) == (0, ""), after.out
    assert built_season.differences() == []


# ------------------------------------------------------------------------------------------ the real December


def between(raw: RawRows, first: date, last: date) -> RawRows:
    days = raw.rows.column("game_date")
    rows = raw.rows.filter(pc.and_(pc.greater_equal(days, pa.scalar(first)), pc.less_equal(days, pa.scalar(last))))
    return RawRows(raw.processor, rows, raw.source, tuple(sorted(set(rows.column("game_date").to_pylist()))))


def test_the_real_december_of_2021_with_its_eleven_postponed_games(real_data: Path, tmp_path: Path) -> None:
    """Nothing is wrong with it. With features for the postponed games, and two dates never run, exactly that is."""
    begin, first, last = date(2021, 11, 22), date(2021, 12, 6), date(2021, 12, 31)
    changes = pq.read_table(real_data / "schedule_changes.parquet").to_pylist()
    postponed = [
        date.fromisoformat(str(change["original_date"]))
        for change in changes
        if change["season"] == "2021-22" and change["kind"] == "postponed"
    ]
    assert len(postponed) == 11
    home = tmp_path / "real"
    bench = Bench(connect(read_settings({}, home=home)), home)
    try:
        bench.gapless.create()
        with tempfile.TemporaryDirectory() as folder:
            for name in ("player_box_2021-22.parquet", "schedule.parquet"):
                (Path(folder) / name).symlink_to((real_data / name).resolve())
            files = list(read(Path(folder), bench.pipeline, declared_kinds(bench.pipeline), date(2025, 12, 1)).rows)
        for raw in files:  # of the schedule the rest of the season too, where the games were made up for
            until = last if raw.processor == "boxscores" else date(2022, 6, 30)
            load(bench.gapless.warehouse, bench.pipeline, between(raw, begin, until), utcnow())
        assert not bench.apply(begin, last).failed
        clean = checked(bench, begin, last)
        assert clean.findings == ()

        season = read_season(bench.gapless.warehouse, bench.pipeline, 2021)
        originals = [fixture.original_day for fixture in season.postponed]
        assert sorted(day for day in originals if day and day <= last) == sorted(postponed)
        for name in ("postponed_games", "feature_store_never_ran"):
            by_name(name).apply(bench.gapless.warehouse, season, bench.pipeline)
        never_ran = (date(2021, 12, 23), date(2021, 12, 31))
        report = checked(bench, first, last)
        lines = by_date(Classifier(bench.pipeline, report.look), (MLFS,), first, last)
        games = dict(
            bench.rows(
                "SELECT game_date, COUNT(DISTINCT game_id) FROM `nba_raw.bdl_player_boxscores` "
                "WHERE game_date >= @first GROUP BY game_date",
                first=first,
            )
        )
        assert {line.day: line[1:6] for line in lines} == {
            day: (n, n, "ok", "missing", "true gap") if day in never_ran
            else (n, n, "ok", "stale", "data for no game") if day in postponed
            else (n, n, "ok", "ok", "none")
            for day, n in games.items()
        }  # fmt: skip
        told = {day for f in report.findings if f.category is Category.STALE_SCHEDULED for day in f.days}
        assert told == set(postponed)
    finally:
        local.stop(home)


def test_four_real_seasons_have_nothing_to_answer_for() -> None:
    """On a home that was loaded and built before: `gapless load`, `gapless apply`, GAPLESS_BUILT=that home."""
    built = os.environ.get("GAPLESS_BUILT")
    if not built:
        pytest.skip("it takes a minute to build four seasons; name a home that holds them with GAPLESS_BUILT")
    bench = Bench(connect(read_settings({}, home=Path(built))), Path(built))
    report = checked(bench)
    assert report.findings == ()
    assert {absence.category for absence in report.absences} <= {Category.BOOTSTRAP, Category.NOT_DUE}
