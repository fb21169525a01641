"""The runbook of the old pipeline, scenario by scenario, each as one command with the result that the runbook asks for.

First on a generated season, then on the real results of the very dates where their folder is there. What the runbook
checks by hand, and what a repair must not change, is checked here from the rows themselves.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from gapless.declare.settings import read_settings
from gapless.files import RawRows, read
from gapless.files.kinds import declared_kinds
from gapless.local import warehouse as local
from gapless.model import Target, days_between
from gapless.nba.sample.incidents import by_name
from gapless.nba.sample.known import read_season
from gapless.tasks.load import load
from gapless.wiring import connect, utcnow
from tests.conftest import Bench, Part, Result, Season
from tests.scenarios.test_incidents import between, damage

PCF, PDC, MLFS = "player_composite_factors", "player_daily_cache", "ml_feature_store_v2"
TDZA = "team_defense_zone_analysis"
Run = Callable[..., Result]


@pytest.fixture
def run(built_season: Season, gapless: Run) -> Run:
    return lambda *words: gapless(*words, "--home", built_season.home)


def targets(result: Result) -> dict[str, dict[str, Any]]:
    """Per processor what a repair of one date says of it."""
    return {each["processor"]: each for each in json.loads(result.out)["targets"]}


def opponent_scores(bench: Bench, name: str, day: date) -> tuple[int, int]:
    """How many different opponent scores there are, and how many are 0."""
    found = bench.rows(
        "SELECT COUNT(DISTINCT opponent_strength_score), COUNTIF(opponent_strength_score = 0) FROM "
        f"`{bench.pipeline.processor(name).table}` WHERE game_date = @day",
        day=day,
    )
    return found[0]  # type: ignore[return-value]


# ------------------------------------------------------------------------------------------ a generated season


def test_scenario_1_missing_team_defence_is_one_command(run: Run, built_season: Season) -> None:
    """Runbook: TDZA, PCF and ML by hand for the date; 30 teams, and opponent scores that vary."""
    day = built_season.season.nearest_game_date(built_season.season.days.in_season(12, 4))
    players = built_season.season.players_on[day]
    damage(built_season, "missing_team_defense")
    assert opponent_scores(built_season, PCF, day) == (1, players)

    result = run("repair", "--date", day, "--json")
    assert (result.code, result.err) == (0, "")
    told = targets(result)
    assert {name: (told[name]["before"]["covered"], told[name]["after"]["covered"]) for name in (TDZA, PCF)} == {
        TDZA: (0, 30), PCF: (players, players),
    }  # fmt: skip
    for name in (PCF, MLFS):
        assert (told[name]["before"]["suspect"], told[name]["after"]["suspect"]) == (players, 0)
        distinct, zeros = opponent_scores(built_season, name, day)
        assert distinct > 5
        assert zeros == 0
    assert [name for name in told if told[name]["rebuilt"]] == [TDZA, PCF, PDC, MLFS]
    assert built_season.differences() == []
    assert built_season.scan().judgement.complete


def test_scenario_2_true_gaps_are_one_command(run: Run, built_season: Season) -> None:
    """Runbook: find the dates, run the feature store for each. 23 and 31 December: 0 rows."""
    damage(built_season, "feature_store_never_ran")
    season = built_season.season
    days = [season.nearest_game_date(season.days.in_season(12, n)) for n in (23, 31)]
    assert [built_season.count(Target(MLFS, day)) for day in days] == [0, 0]
    result = run("repair", "--date", days[0], "--date", days[1], "--json")
    assert (result.code, result.err) == (0, "")
    assert [built_season.count(Target(MLFS, day)) for day in days] == [season.players_on[day] for day in days]
    assert built_season.differences() == []


def test_scenario_3_rows_of_postponed_games_are_one_command_and_can_come_back(run: Run, built_season: Season) -> None:
    """Runbook: DELETE FROM the feature store WHERE game_date IN eight dates. Here by key, after a backup."""
    season = built_season.season
    first, last = season.days.in_season(12, 14), season.days.in_season(12, 31)
    hurt = damage(built_season, "postponed_games")
    whole_slates = {target for target in hurt if target.day in season.days.postponed_slates}
    too_many = {target: built_season.count(target) - season.players_on.get(target.day, 0) for target in hurt}
    assert whole_slates
    assert min(too_many.values()) > 0
    words = ("clean-phantoms", "--start-date", first, "--end-date", last)
    proposed = json.loads(run(*words, "--json").out)
    assert proposed["rows"] == sum(too_many.values())
    assert {(each["processor"], each["date"]): each["rows"] for each in proposed["proposed"]} == {
        (name, str(day)): n for (name, day), n in too_many.items()
    }
    assert set(built_season.differences()) == hurt

    done = run(*words, "--apply")
    assert (done.code, done.err) == (0, "")
    assert not json.loads(run("scan", "--json").out)["phantoms"]
    assert {target: built_season.count(target) for target in hurt} == {
        target: season.players_on.get(target.day, 0) for target in hurt
    }
    assert not json.loads(run(*words, "--apply", "--json").out)["tables"]
    rest = done.out.partition("or at once: gapless ")[2].split(" --home")[0]
    assert run(*rest.split()).code == 0  # what was built on the rows that are gone
    assert built_season.differences() == []

    backup = next(line for line in done.out.splitlines() if "restore backup_ml_feature_store_v2" in line)
    assert run(*backup.partition("with: gapless ")[2].split(" --home")[0].split()).code == 0
    assert {t: built_season.count(t) for t in hurt if t.processor == MLFS} == {
        t: season.players_on.get(t.day, 0) + n for t, n in too_many.items() if t.processor == MLFS
    }
    assert run(*words, "--apply").code == 0
    built_season.apply(first, last)
    assert built_season.differences() == []


def test_a_date_with_1_of_187_players_and_one_with_39_percent_are_whole_again(run: Run, built_season: Season) -> None:
    """Each is one command, and leaves the other as it is; everything that was built on them follows."""
    first, second = built_season.season.days.after_break
    damage(built_season, "partial_backfill")
    result = run("repair", "--date", first)
    assert result.code == 0
    assert "1 of 187 → 187 of 187" in result.out
    assert built_season.count(Target(PCF, second)) == 68
    assert {target.day for target in built_season.differences()} == {second}
    told = targets(run("repair", "--date", second, "--json"))[PCF]
    assert (told["before"]["coverage_pct"], told["after"]["coverage_pct"]) == (38.86, 100.0)
    assert (told["before"]["covered"], told["after"]["covered"]) == (68, 175)
    assert built_season.differences() == []


# ------------------------------------------------------------------------------------------------ real results

CHAIN = ("PGS", "TDGS", "TOGS", "TDZA", "PSZA", "PCF", "PDC", "MLFS")
SLICES = ((date(2021, 10, 19), date(2021, 12, 31)), (date(2023, 1, 10), date(2023, 2, 24)))


def postponed(files: Sequence[RawRows]) -> Iterator[RawRows]:
    """The schedule's other rows of the games that were put off in December 2021: when they were played."""
    import pyarrow as pa
    import pyarrow.compute as pc

    (schedule,) = [raw for raw in files if raw.processor == "schedule"]
    late = pc.and_(
        pc.match_substring_regex(schedule.rows.column("game_status_text"), "(?i)^postponed"),
        pc.is_in(schedule.rows.column("game_date"), value_set=pa.array(days_between(*SLICES[0]))),
    )
    games = schedule.rows.filter(late).column("game_id")
    rows = schedule.rows.filter(pc.is_in(schedule.rows.column("game_id"), value_set=games))
    rows = rows.filter(pc.greater(rows.column("game_date"), pa.scalar(SLICES[0][1])))
    yield RawRows("schedule", rows, schedule.source, tuple(sorted(set(rows.column("game_date").to_pylist()))))


@pytest.fixture(scope="module")
def real(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Bench, dict[Target, Part]]]:
    """Autumn 2021 and the weeks before 24 February 2023, as they were played, through phase 4."""
    home = tmp_path_factory.mktemp("real")
    bench = Bench(connect(read_settings({}, home=home)), home)
    try:
        bench.gapless.create()
        with tempfile.TemporaryDirectory() as folder:
            for name in ("player_box_2021-22.parquet", "player_box_2022-23.parquet", "schedule.parquet"):
                (Path(folder) / name).symlink_to((real_data / name).resolve())
            files = list(read(Path(folder), bench.pipeline, declared_kinds(bench.pipeline), date(2025, 12, 1)).rows)
        for slice_ in SLICES:
            for raw in between(files, *slice_):
                load(bench.gapless.warehouse, bench.pipeline, raw, utcnow())
        for raw in postponed(files):
            load(bench.gapless.warehouse, bench.pipeline, raw, utcnow())
        report = bench.apply(None, None, *CHAIN)
        assert not report.failed
        yield bench, bench.versions()
    finally:
        local.stop(home)


def test_4_december_2021_as_it_was_played(real: tuple[Bench, dict[Target, Part]], gapless: Run) -> None:
    """By the box scores 144 players in 7 games: an opponent score of 0 for all of them before, for none after."""
    bench, built = real
    day = date(2021, 12, 4)
    season = read_season(bench.gapless.warehouse, bench.pipeline, 2021)
    by_name("missing_team_defense").apply(bench.gapless.warehouse, season, bench.pipeline)
    assert opponent_scores(bench, PCF, day) == (1, 144)
    result = gapless("repair", "--date", day, "--home", bench.home, "--json")
    assert (result.code, result.err) == (0, "")
    told = targets(result)
    assert (told[TDZA]["before"]["covered"], told[TDZA]["after"]["covered"]) == (0, 30)
    assert bench.count(Target(TDZA, day)) == 30
    for name in (PCF, MLFS):
        distinct, zeros = opponent_scores(bench, name, day)
        assert distinct > 5
        assert zeros == 0
        assert told[name]["after"]["coverage_pct"] == 100.0
    assert {t: part for t, part in bench.versions().items() if t in built} == built


def test_the_postponed_games_of_december_2021(real: tuple[Bench, dict[Target, Part]], gapless: Run) -> None:
    """Eleven games of 14 to 30 December 2021 were put off; each had its teams' latest players in two tables."""
    bench, built = real
    season = read_season(bench.gapless.warehouse, bench.pipeline, 2021)
    by_name("postponed_games").apply(bench.gapless.warehouse, season, bench.pipeline)
    words = ("clean-phantoms", "--start-date", "2021-12-14", "--end-date", "2021-12-30", "--home", bench.home, "--json")
    found = json.loads(gapless(*words).out)
    games = bench.rows(
        "SELECT COUNT(DISTINCT game_id) FROM `nba_predictions.ml_feature_store_v2` AS m WHERE game_date BETWEEN "
        "'2021-12-14' AND '2021-12-30' AND NOT EXISTS (SELECT 1 FROM `nba_analytics.player_game_summary` AS p "
        "WHERE p.game_date = m.game_date AND p.game_id = m.game_id)"
    )
    assert games == [(11,)]
    assert {each["processor"] for each in found["proposed"]} == {PCF, MLFS}
    assert len({each["date"] for each in found["proposed"]}) == 9
    done = gapless(*words, "--apply")
    assert (done.code, done.err) == (0, "")
    assert sum(each["rows_deleted"] for each in json.loads(done.out)["tables"]) == found["rows"] > 400
    bench.apply(date(2021, 12, 14), date(2021, 12, 30), *CHAIN)
    assert {t: part for t, part in bench.versions().items() if t in built} == built


def test_23_and_24_february_2023_as_they_were_played(real: tuple[Bench, dict[Target, Part]], gapless: Run) -> None:
    bench, built = real
    first, second = date(2023, 2, 23), date(2023, 2, 24)
    season = read_season(bench.gapless.warehouse, bench.pipeline, 2022)
    by_name("partial_backfill").apply(bench.gapless.warehouse, season, bench.pipeline)
    result = gapless("repair", "--date", first, "--date", second, "--home", bench.home, "--json")
    assert (result.code, result.err) == (0, "")
    told = {each["date"]: each for each in json.loads(result.out)["targets"] if each["processor"] == PCF}
    assert {day: (each["before"]["covered"], each["after"]["covered"]) for day, each in told.items()} == {
        str(first): (1, 187), str(second): (68, 175),
    }  # fmt: skip
    assert {each["after"]["coverage_pct"] for each in told.values()} == {100.0}
    assert {t: part for t, part in bench.versions().items() if t in built} == built
