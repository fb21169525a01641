"""Every incident names what it damages, and its statements touch exactly that."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

import pytest
import yaml

from gapless.declare.pipeline import DEFAULT_FILE, Pipeline, build_pipeline
from gapless.errors import BadInput
from gapless.model import Target
from gapless.nba.sample.incidents import ALL, Incident, by_name
from gapless.nba.sample.model import SampleSeason
from gapless.nba.sample.season import write_box_only
from gapless.warehouse.ports import Param

sqlglot = pytest.importorskip("sqlglot")

FEATURES, PREDICTIONS, GRADING = "ml_feature_store_v2", "player_prop_predictions", "prediction_accuracy"
COMPOSITE, DAILY = "player_composite_factors", "player_daily_cache"


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    """The tables and edges that ship; what the processors compute does not matter here."""
    raw = yaml.safe_load(DEFAULT_FILE.read_text(encoding="utf-8"))
    folder = tmp_path_factory.mktemp("sql")
    queries = {name for fields in raw["processors"].values() if (name := (fields.get("expect") or {}).get("query"))}
    for name in {*raw["processors"], raw["calendar"], *queries}:
        (folder / f"{name}.sql").write_text("SELECT 1", encoding="utf-8")
    return build_pipeline(raw, folder)


@pytest.fixture(scope="module")
def season(tmp_path_factory: pytest.TempPathFactory) -> SampleSeason:
    return write_box_only(tmp_path_factory.mktemp("season"))


@pytest.fixture(scope="module")
def later_season(tmp_path_factory: pytest.TempPathFactory) -> SampleSeason:
    return write_box_only(tmp_path_factory.mktemp("season"), season=2024)


every_incident = pytest.mark.parametrize("incident", ALL, ids=lambda incident: incident.name)


class Recorder:
    """A warehouse that changes three rows whatever it is told."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []

    def execute(
        self, sql: str, params: Mapping[str, Param] | None = None, *, purpose: str, job_id: str | None = None
    ) -> int:
        assert params is not None
        assert job_id is None
        self.calls.append((sql, purpose))
        return 3

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"an incident has no business with {name}")


def damaged(incident: str, season: SampleSeason, pipeline: Pipeline) -> set[tuple[str, date]]:
    return {(name, day) for name, day in by_name(incident).targets(season, pipeline)}


def test_the_incidents_come_in_a_fixed_order_and_are_found_by_name() -> None:
    names = [incident.name for incident in ALL]
    assert names == [
        "partial_backfill",
        "stale_upcoming",
        "missing_team_defense",
        "postponed_games",
        "feature_store_never_ran",
        "playoffs_never_ran",
        "tracking_fault",
    ]
    assert [by_name(name) for name in names] == list(ALL)


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(BadInput, match=r"'flood'.*partial_backfill.*tracking_fault"):
        by_name("flood")


@every_incident
def test_what_happened_is_told_with_a_number(incident: Incident) -> None:
    assert any(character.isdigit() for character in incident.happened)
    assert incident.happened.endswith(".")


@every_incident
def test_every_statement_is_one_valid_googlesql_statement_with_its_parameters(
    incident: Incident, season: SampleSeason, pipeline: Pipeline
) -> None:
    statements = incident.statements(season, pipeline)
    assert statements
    for sql, params in statements:
        (parsed,) = sqlglot.parse(sql, read="bigquery")
        assert {parameter.name for parameter in parsed.find_all(sqlglot.exp.Parameter)} == set(params)


@every_incident
def test_every_statement_is_limited_to_dates(incident: Incident, season: SampleSeason, pipeline: Pipeline) -> None:
    """Large partitioned tables refuse, or charge for, a statement without a filter on the date."""
    for sql, params in incident.statements(season, pipeline):
        assert {"day", "days", "first", "runs"} & set(params), sql


@every_incident
def test_only_declared_tables_and_columns_are_written(
    incident: Incident, season: SampleSeason, pipeline: Pipeline
) -> None:
    tables = {processor.table: processor for processor in pipeline.processors.values()}
    for sql, _ in incident.statements(season, pipeline):
        (parsed,) = sqlglot.parse(sql, read="bigquery")
        used = {f"{table.db}.{table.name}" for table in parsed.find_all(sqlglot.exp.Table) if table.db}
        assert used <= {*tables, "nba_orchestration.reported_runs"}
        if isinstance(parsed, sqlglot.exp.Insert) and isinstance(parsed.this, sqlglot.exp.Schema):
            into = tables.get(f"{parsed.this.this.db}.{parsed.this.this.name}")
            columns = [column.name for column in parsed.this.expressions]
            assert len(columns) == len(parsed.expression.expressions)
            if into:
                assert columns == [*into.columns, "row_hash", "inputs_hash", "run_id", "processed_at"]


@every_incident
def test_damage_is_done_to_targets_that_were_played_or_postponed(
    incident: Incident, season: SampleSeason, later_season: SampleSeason, pipeline: Pipeline
) -> None:
    for one in (season, later_season):
        days = {*one.game_dates, *one.days.postponed_slates}
        targets = incident.targets(one, pipeline)
        assert {target.day for target in targets} <= days
        assert len(targets) == len(set(targets))
        assert all(pipeline.processor(target.processor).name == target.processor for target in targets)


def test_applying_an_incident_runs_its_statements_and_counts_the_rows(season: SampleSeason, pipeline: Pipeline) -> None:
    warehouse = Recorder()
    incident = by_name("missing_team_defense")
    changed = incident.apply(warehouse, season, pipeline)
    assert [sql for sql, _ in warehouse.calls] == [sql for sql, _ in incident.statements(season, pipeline)]
    assert {purpose for _, purpose in warehouse.calls} == {"incident"}
    assert changed == 3 * len(warehouse.calls)


# ---------------------------------------------------------------- each one


def test_the_partial_backfill_thins_two_dates_down_to_grading(season: SampleSeason, pipeline: Pipeline) -> None:
    days = (date(2023, 2, 23), date(2023, 2, 24))
    names = (COMPOSITE, DAILY, FEATURES, PREDICTIONS, GRADING)
    assert damaged("partial_backfill", season, pipeline) == {(name, day) for name in names for day in days}
    text = " ".join(" ".join(sql.split()) for sql, _ in by_name("partial_backfill").statements(season, pipeline))
    assert "LIMIT 1 )" in text
    assert "LIMIT 68 )" in text
    assert "date_exports" not in text


def test_the_stale_rows_are_in_the_table_for_upcoming_games(season: SampleSeason, pipeline: Pipeline) -> None:
    assert damaged("stale_upcoming", season, pipeline) == {
        ("upcoming_player_game_context", date(2023, 2, day)) for day in (23, 24)
    }


def test_missing_team_defense_leaves_zeros_behind(season: SampleSeason, pipeline: Pipeline) -> None:
    assert damaged("missing_team_defense", season, pipeline) == {
        (name, date(2022, 12, 4)) for name in ("team_defense_zone_analysis", COMPOSITE, FEATURES)
    }


def test_phantoms_lie_on_every_original_date(season: SampleSeason, pipeline: Pipeline) -> None:
    originals = {fixture.original_day for fixture in season.postponed}
    assert damaged("postponed_games", season, pipeline) == {
        (name, day) for name in (COMPOSITE, FEATURES) for day in originals
    }


def test_phantoms_are_copied_from_an_earlier_game_of_the_same_team(season: SampleSeason, pipeline: Pipeline) -> None:
    played = {(team, game.fixture.day) for game in season.games for team in (game.fixture.home, game.fixture.away)}
    skipped = {target.day for target in by_name("feature_store_never_ran").targets(season, pipeline)}
    teams = next(
        params["teams"] for _, params in by_name("postponed_games").statements(season, pipeline) if "teams" in params
    )
    assert isinstance(teams, list)
    assert len(teams) == 2 * len(season.postponed)
    for team in teams:
        assert (team["team"], team["source_day"]) in played
        assert team["source_day"] < team["day"]
        assert team["source_day"] not in skipped
        away, home = (team["opponent"], team["team"]) if team["home"] else (team["team"], team["opponent"])
        assert team["game_id"] == f"{team['day']:%Y%m%d}_{away}_{home}"


def test_the_feature_store_misses_two_dates_with_games(season: SampleSeason, pipeline: Pipeline) -> None:
    days = (date(2022, 12, 23), date(2022, 12, 31))
    assert damaged("feature_store_never_ran", season, pipeline) == {
        (name, day) for name in (FEATURES, PREDICTIONS, GRADING) for day in days
    }


def test_the_playoffs_lose_everything_derived_and_nothing_raw(season: SampleSeason, pipeline: Pipeline) -> None:
    targets = by_name("playoffs_never_ran").targets(season, pipeline)
    names = {target.processor for target in targets}
    assert names == {
        processor.name
        for processor in pipeline.processors.values()
        if processor.phase >= 3 and processor.applies(historical=True)
    }
    assert set(targets) == {Target(name, day) for name in names for day in season.playoff_dates}


def test_the_tracking_fault_damages_nothing(season: SampleSeason, pipeline: Pipeline) -> None:
    assert damaged("tracking_fault", season, pipeline) == set()
    ((sql, params),) = by_name("tracking_fault").statements(season, pipeline)
    assert "`nba_orchestration.reported_runs`" in sql
    runs = params["runs"]
    assert isinstance(runs, list)
    assert {run["data_date"] for run in runs} == {date(2023, 1, day) for day in (8, 9, 10, 11)}
    assert {run["records_processed"] for run in runs} == {0}
    assert len({run["run_id"] for run in runs}) == len(runs) == 12


def test_other_seasons_have_the_same_incidents_on_their_own_dates(
    later_season: SampleSeason, pipeline: Pipeline
) -> None:
    assert {day for _, day in damaged("partial_backfill", later_season, pipeline)} == {
        date(2025, 2, 20),
        date(2025, 2, 21),
    }
    assert {day for _, day in damaged("missing_team_defense", later_season, pipeline)} == {date(2024, 12, 4)}


def test_what_builds_on_the_damage_is_known_apart_from_it(season: SampleSeason, pipeline: Pipeline) -> None:
    day = date(2022, 12, 4)
    assert by_name("missing_team_defense").downstream(season, pipeline) == tuple(
        Target(name, day) for name in ("export", DAILY, PREDICTIONS, GRADING)
    )
    assert by_name("playoffs_never_ran").downstream(season, pipeline) == ()
    assert by_name("tracking_fault").downstream(season, pipeline) == ()
