"""The documented incidents of the production pipeline, as switches on a warehouse that holds a complete season.

An incident does what the fault did and leaves no other trace: rows that it writes or changes carry the fingerprint of
their content, as if a processor had published them, and what was built on them says so. Only then does a scan prove
that it finds the fault and not the tampering.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple

from gapless.declare.pipeline import Pipeline
from gapless.declare.processor import ENGINE_COLUMNS, Processor
from gapless.errors import BadInput
from gapless.ledger import table
from gapless.model import Target
from gapless.nba.sample.model import Fixture, SampleSeason, analytics_game_id
from gapless.warehouse.fingerprints import row_hash
from gapless.warehouse.names import listed, quoted
from gapless.warehouse.ports import Param, Scalar, Warehouse
from gapless.warehouse.template import template

_KEEP_THE_FIRST = template(__file__, "keep_the_first")
_KEEP_THOSE_OF = template(__file__, "keep_those_of")
_COPY_THE_FIRST = template(__file__, "copy_the_first")
_PHANTOMS = template(__file__, "phantoms")
_FOLD = template(__file__, "fold")
COMPOSITE = "player_composite_factors"
DAILY = "player_daily_cache"
FEATURES = "ml_feature_store_v2"
PREDICTIONS = "player_prop_predictions"
GRADING = "prediction_accuracy"
SUMMARY = "player_game_summary"
UPCOMING = "upcoming_player_game_context"
TEAM_DEFENSE = "team_defense_zone_analysis"

PLAYERS_LEFT = (1, 68)  # of 187 and 175


class Statement(NamedTuple):
    """One statement with its parameters."""

    sql: str
    params: Mapping[str, Param]


Statements = Iterable[Statement]
Damage = Iterable[Target]


@dataclass(frozen=True)
class Incident:
    """One fault: what happened in production, which targets it damages, and the statements that do it."""

    name: str
    happened: str
    _damage: Callable[[SampleSeason, Pipeline], Damage]
    _statements: Callable[[SampleSeason, Pipeline], Statements]

    def targets(self, season: SampleSeason, pipeline: Pipeline) -> tuple[Target, ...]:
        """The targets whose rows are wrong or missing afterwards."""
        return tuple(sorted(self._damage(season, pipeline)))

    def downstream(self, season: SampleSeason, pipeline: Pipeline) -> tuple[Target, ...]:
        """The intact targets that build on the damaged ones, over any number of steps: a scan may hold them back."""
        damaged = set(self.targets(season, pipeline))
        reached, front = set(damaged), damaged
        while front:
            front = {target for name, day in front for target in _readers(season, pipeline, name, day)} - reached
            reached |= front
        return tuple(sorted(reached - damaged))

    def statements(self, season: SampleSeason, pipeline: Pipeline) -> tuple[Statement, ...]:
        """The statements that do the damage, in order."""
        return tuple(self._statements(season, pipeline))

    def apply(self, warehouse: Warehouse, season: SampleSeason, pipeline: Pipeline) -> int:
        """Do the damage and return the number of rows changed."""
        return sum(
            warehouse.execute(sql, params, purpose="incident") for sql, params in self.statements(season, pipeline)
        )


def by_name(name: str) -> Incident:
    """An incident by name; raises `BadInput` naming the ones that exist."""
    for incident in ALL:
        if incident.name == name:
            return incident
    raise BadInput(f"there is no incident '{name}'; there are {', '.join(incident.name for incident in ALL)}")


def _readers(season: SampleSeason, pipeline: Pipeline, name: str, day: date) -> Iterable[Target]:
    for reader in pipeline.processors.values():
        edge = reader.upstream.get(name)
        if edge is None or not reader.applies(historical=True):
            continue
        first = day if edge.reads_own_day(historical=True) else day + timedelta(days=1)
        last = day + timedelta(days=edge.lookback_days)
        yield from (Target(reader.name, later) for later in season.game_dates if first <= later <= last)


# ---------------------------------------------------------------- a backfill that stopped after one player


def _thin_days(season: SampleSeason) -> list[tuple[date, int]]:
    return list(zip(season.days.after_break, PLAYERS_LEFT, strict=True))


def _partial_backfill_damage(season: SampleSeason, _: Pipeline) -> Damage:
    for day, _left in _thin_days(season):
        yield from (Target(name, day) for name in (COMPOSITE, DAILY, FEATURES, PREDICTIONS, GRADING))


def _partial_backfill(season: SampleSeason, pipeline: Pipeline) -> Statements:
    source = pipeline.processor(COMPOSITE)
    for day, left in _thin_days(season):
        yield Statement(
            _KEEP_THE_FIRST.fill(
                table=quoted(source.table), day=source.date_column, key=listed(source.key), left=str(left)
            ),
            {"day": day},
        )
        for name in (DAILY, FEATURES, PREDICTIONS, GRADING):
            target = pipeline.processor(name)
            yield Statement(
                _KEEP_THOSE_OF.fill(
                    table=quoted(target.table),
                    day=target.date_column,
                    source=quoted(source.table),
                    source_day=source.date_column,
                ),
                {"day": day},
            )


# ---------------------------------------------------------------- rows of the past in a table for the future


def _stale_upcoming_damage(season: SampleSeason, _: Pipeline) -> Damage:
    return [Target(UPCOMING, day) for day, _left in _thin_days(season)]


def _stale_upcoming(season: SampleSeason, pipeline: Pipeline) -> Statements:
    into, source = pipeline.processor(UPCOMING), pipeline.processor(SUMMARY)
    values = {
        "games_in_last_30_days": "10",
        "has_prop_line": "FALSE",
        "completeness_percentage": "100",
        "is_production_ready": "TRUE",
        "backfill_bootstrap_mode": "FALSE",
        "data_source": "'schedule'",
    }
    for name in into.columns:
        values.setdefault(name, f"r.{name}" if name in source.columns else "NULL")
    for day, left in _thin_days(season):
        yield Statement(
            _COPY_THE_FIRST.fill(
                table=quoted(into.table),
                names=_names(into),
                values=listed(values[name] for name in into.columns),
                source=quoted(source.table),
                day=source.date_column,
                key=listed(source.key),
                left=str(left),
            ),
            {"day": day, "run_id": _run_id("stale_upcoming")},
        )
        yield _seal(into, [day], _run_id("stale_upcoming"))


# ---------------------------------------------------------------- team defence missing, factors built on zeros


def _defense_day(season: SampleSeason) -> date:
    return season.nearest_game_date(season.days.in_season(12, 4))


def _missing_team_defense_damage(season: SampleSeason, _: Pipeline) -> Damage:
    return [Target(name, _defense_day(season)) for name in (TEAM_DEFENSE, COMPOSITE, FEATURES)]


def _missing_team_defense(season: SampleSeason, pipeline: Pipeline) -> Statements:
    day = _defense_day(season)
    defense, composite, features = (pipeline.processor(name) for name in (TEAM_DEFENSE, COMPOSITE, FEATURES))
    gone = Statement(f"DELETE FROM {quoted(defense.table)} WHERE {defense.date_column} = @day", {"day": day})
    yield from _built_upon(pipeline, defense, (COMPOSITE, FEATURES), [day], [gone])
    yield from _built_upon(pipeline, composite, (DAILY, FEATURES), [day], _zero_strength(composite, day))
    yield from _zero_strength(features, day)


def _zero_strength(processor: Processor, day: date) -> list[Statement]:
    return [
        Statement(
            f"UPDATE {quoted(processor.table)} SET opponent_strength_score = 0 WHERE {processor.date_column} = @day",
            {"day": day},
        ),
        _seal(processor, [day]),
    ]


# ---------------------------------------------------------------- features for games that were not played


def _postponed_games_damage(season: SampleSeason, _: Pipeline) -> Damage:
    days = {_original_day(fixture) for fixture in season.postponed}
    return [Target(name, day) for name in (COMPOSITE, FEATURES) for day in days]


def _postponed_games(season: SampleSeason, pipeline: Pipeline) -> Statements:
    # sources that another incident empties would make the result depend on the order of the two
    teams = list(_phantom_teams(season, frozenset(_skipped_days(season))))
    days = sorted({_original_day(fixture) for fixture in season.postponed})
    composite, features = pipeline.processor(COMPOSITE), pipeline.processor(FEATURES)
    yield from _built_upon(pipeline, composite, (DAILY, FEATURES), days, _phantom_rows(composite, days, teams))
    yield from _phantom_rows(features, days, teams)


def _phantom_teams(season: SampleSeason, emptied: frozenset[date]) -> Iterable[Mapping[str, Scalar | None]]:
    for fixture in season.postponed:
        day = _original_day(fixture)
        for team, opponent in ((fixture.home, fixture.away), (fixture.away, fixture.home)):
            yield {
                "day": day,
                "game_id": analytics_game_id(day, fixture.away, fixture.home),
                "team": team,
                "opponent": opponent,
                "home": team == fixture.home,
                "source_day": season.last_played(team, day, emptied),
            }


def _phantom_rows(
    processor: Processor, days: Sequence[date], teams: Sequence[Mapping[str, Scalar | None]]
) -> list[Statement]:
    """The players of each team's latest game, put into a game that never took place."""
    table, column = quoted(processor.table), processor.date_column
    changed = {
        "game_id": "g.game_id",
        column: "g.day",
        "analysis_date": "g.day",
        "opponent_team_abbr": "g.opponent",
        "home_game": "g.home",
    }
    values = [changed.get(name, f"r.{name}") for name in processor.columns]
    sources = sorted({team["source_day"] for team in teams if isinstance(team["source_day"], date)})
    run_id = _run_id("postponed_games")
    return [
        Statement(
            _PHANTOMS.fill(table=table, names=_names(processor), values=listed(values), day=column),
            {"days": days, "teams": teams, "sources": sources, "run_id": run_id},
        ),
        _seal(processor, days, run_id),
    ]


def _original_day(fixture: Fixture) -> date:
    if fixture.original_day is None:
        raise AssertionError(f"game {fixture.game_id} was postponed from an unknown date")
    return fixture.original_day


# ---------------------------------------------------------------- dates that a backfill never reached


def _skipped_days(season: SampleSeason) -> list[date]:
    return [season.nearest_game_date(season.days.in_season(12, day)) for day in (23, 31)]


def _feature_store_never_ran_damage(season: SampleSeason, _: Pipeline) -> Damage:
    return [Target(name, day) for name in (FEATURES, PREDICTIONS, GRADING) for day in _skipped_days(season)]


def _feature_store_never_ran(season: SampleSeason, pipeline: Pipeline) -> Statements:
    for name in (FEATURES, PREDICTIONS, GRADING):
        processor = pipeline.processor(name)
        yield Statement(
            f"DELETE FROM {quoted(processor.table)} WHERE {processor.date_column} IN UNNEST(@days)",
            {"days": _skipped_days(season)},
        )


def _derived(pipeline: Pipeline) -> list[Processor]:
    return [processor for processor in pipeline.processors.values() if processor.phase >= 3]


def _playoffs_never_ran_damage(season: SampleSeason, pipeline: Pipeline) -> Damage:
    for processor in _derived(pipeline):
        if processor.applies(historical=True):
            yield from (Target(processor.name, day) for day in season.playoff_dates)


def _playoffs_never_ran(season: SampleSeason, pipeline: Pipeline) -> Statements:
    for processor in _derived(pipeline):
        yield Statement(
            f"DELETE FROM {quoted(processor.table)} WHERE {processor.date_column} BETWEEN @first AND @last",
            {"first": season.days.playoffs_start, "last": season.days.playoffs_end},
        )


# ---------------------------------------------------------------- a tracker that says 0 while the rows are there


def _no_damage(_: SampleSeason, __: Pipeline) -> Damage:
    return ()


def _tracking_fault(season: SampleSeason, pipeline: Pipeline) -> Statements:
    phases = {3: "phase_3_analytics", 4: "phase_4_precompute"}
    runs: list[Mapping[str, Scalar | None]] = []
    for day in dict.fromkeys(season.nearest_game_date(season.days.in_season(1, number)) for number in (8, 9, 10, 11)):
        for name in (SUMMARY, COMPOSITE, FEATURES):
            started = datetime.combine(day + timedelta(days=1), time(11, 0), UTC)
            runs.append(
                {
                    "processor_name": name,
                    "data_date": day,
                    "run_id": f"tracker-{name}-{day:%Y%m%d}",
                    "status": "success",
                    "started_at": started,
                    "processed_at": started + timedelta(minutes=4),
                    "phase": phases[pipeline.processor(name).phase],
                    "records_processed": 0,
                }
            )
    names = ", ".join(runs[0])
    values = ", ".join(f"r.{name}" for name in runs[0])
    yield Statement(
        f"INSERT INTO {quoted(table(pipeline.ledger, 'reported_runs'))} ({names})\n"
        f"SELECT {values} FROM UNNEST(@runs) AS r",
        {"runs": runs},
    )


# ---------------------------------------------------------------- writing as a processor would have


def _run_id(name: str) -> str:
    return f"incident-{name}"


def _names(processor: Processor) -> str:
    return ", ".join((*processor.columns, *ENGINE_COLUMNS))


def _seal(processor: Processor, days: Sequence[date], run_id: str | None = None) -> Statement:
    """Give rows the fingerprint of their content."""
    mine = " AND run_id = @run_id" if run_id else ""
    params: dict[str, Param] = {"days": days}
    return Statement(
        f"UPDATE {quoted(processor.table)} SET row_hash = {row_hash(processor.content)} "
        f"WHERE {processor.date_column} IN UNNEST(@days){mine}",
        params | ({"run_id": run_id} if run_id else {}),
    )


def _built_upon(
    pipeline: Pipeline, changed: Processor, readers: Iterable[str], days: Sequence[date], change: Sequence[Statement]
) -> Statements:
    """A change of one table's dates, after which its readers look as if they had been built on the changed rows.

    `inputs_hash` is an XOR of what was read, so the old version of a date is folded out of it and the new one in.
    """
    fold = [
        Statement(
            _FOLD.fill(
                table=quoted(reader.table),
                day=reader.date_column,
                source=quoted(changed.table),
                source_day=changed.date_column,
            ),
            {"days": days},
        )
        for reader in map(pipeline.processor, readers)
    ]
    return [*fold, *change, *fold]


ALL: tuple[Incident, ...] = (
    Incident(
        "partial_backfill",
        "On 6 January 2026 a backfill of player_composite_factors wrote 1 of 187 players for 2023-02-23 and 68 of 175 "
        "for 2023-02-24, reported success, and nobody noticed for six days.",
        _partial_backfill_damage,
        _partial_backfill,
    ),
    Incident(
        "stale_upcoming",
        "The same backfill had found 1 and 68 old rows in upcoming_player_game_context for 2023-02-23 and 2023-02-24; "
        "because the table was not empty, the fallback to player_game_summary never started.",
        _stale_upcoming_damage,
        _stale_upcoming,
    ),
    Incident(
        "missing_team_defense",
        "For 4 December 2021 team_defense_zone_analysis had 0 of 30 teams; a backfill that skipped its checks wrote "
        "131 players with an opponent_strength_score of 0, and 131 feature rows were built on them.",
        _missing_team_defense_damage,
        _missing_team_defense,
    ),
    Incident(
        "postponed_games",
        "Between 16 and 30 December 2021 games were postponed, on some dates all of them, and the feature store kept "
        "rows for games that were never played.",
        _postponed_games_damage,
        _postponed_games,
    ),
    Incident(
        "feature_store_never_ran",
        "On 23 and 31 December 2021 12 and 10 games were played and ml_feature_store_v2 has 0 rows: the backfill "
        "stopped before these dates, and so there was nothing to predict from or to grade.",
        _feature_store_never_ran_damage,
        _feature_store_never_ran,
    ),
    Incident(
        "playoffs_never_ran",
        "The playoffs of 2021-22 to 2023-24, by the report about 430 games, had box scores in phase 2 and no rows in "
        "phases 3 to 6: the trigger had been reduced to monitoring, and nobody ran them by hand.",
        _playoffs_never_ran_damage,
        _playoffs_never_ran,
    ),
    Incident(
        "tracking_fault",
        "On 14 January 2026 the run history said 0 records for 8 to 11 January while the tables held 106 to 348 "
        "players a day; of 2,344 reported zero-record runs most were such false alarms.",
        _no_damage,
        _tracking_fault,
    ),
)
