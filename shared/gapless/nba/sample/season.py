"""A whole season, played and written to files.

`write_season` fixes the calendar, plays every game in order, and writes what a loader would get: box scores, the
schedule with its postponements, and points lines for the later part of the season. Everything follows from the seed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from random import Random
from types import MappingProxyType

from gapless.nba.sample.days import SeasonDays
from gapless.nba.sample.files import write_box, write_props, write_schedule
from gapless.nba.sample.fixtures import regular_fixtures
from gapless.nba.sample.model import Fixture, Game, SampleSeason
from gapless.nba.sample.odds import PointsLine, points_lines
from gapless.nba.sample.people import rosters
from gapless.nba.sample.play import FEWEST, MOST, Floor, Line, strengths
from gapless.nba.sample.playoffs import play_playoffs
from gapless.nba.sample.teams import TEAMS

__all__ = ["SampleSeason", "write_box_only", "write_season"]

# The incident that made coverage checks necessary left 1 of 187 and 68 of 175 players on these two dates.
PLAYERS_AFTER_BREAK = (187, 175)


def write_season(folder: Path, seed: int = 7, season: int = 2022) -> SampleSeason:
    """Write the box scores, schedule and points lines of one season; the same seed gives the same bytes."""
    days, games, lines, props = _play(seed, season)
    folder.mkdir(parents=True, exist_ok=True)
    return SampleSeason(
        season=season,
        seed=seed,
        days=days,
        games=tuple(games),
        players_on=_players_on(lines),
        prop_rows=len(props),
        box=write_box(folder, days, lines),
        schedule=write_schedule(folder, days, games),
        props=write_props(folder, days, props),
    )


def write_box_only(folder: Path, seed: int = 7, season: int = 2022) -> SampleSeason:
    """Write nothing but the box scores of the same season: they alone must flow through the pipeline."""
    days, games, lines, _ = _play(seed, season)
    folder.mkdir(parents=True, exist_ok=True)
    return SampleSeason(
        season=season,
        seed=seed,
        days=days,
        games=tuple(games),
        players_on=_players_on(lines),
        prop_rows=0,
        box=write_box(folder, days, lines),
    )


def _play(seed: int, season: int) -> tuple[SeasonDays, list[Game], list[Line], list[PointsLine]]:
    days = SeasonDays(season)
    rng = Random(f"season:{seed}:{season}")
    fixtures = regular_fixtures(days, rng)
    floor = Floor(rosters(season, seed), strengths(TEAMS, rng), rng)
    counts = _counts_after_break(days, fixtures, rng)
    odds = Random(f"odds:{seed}:{season}")
    games: list[Game] = []
    lines: list[Line] = []
    props: list[PointsLine] = []
    for day, played, called_off in _agenda(fixtures):
        if day >= days.first_odds:
            for fixture in (*called_off, *played):
                props += points_lines(fixture, day, floor.rosters, floor.condition.scoring, odds)
        for fixture in played:
            game, rows = floor.play(fixture, (counts.get((day, fixture.home)), counts.get((day, fixture.away))))
            floor.remember_scoring(rows)
            games.append(game)
            lines += rows
    more_games, more_lines = play_playoffs(days, games, floor, seed)
    return days, games + more_games, lines + more_lines, props


def _agenda(fixtures: Sequence[Fixture]) -> list[tuple[date, list[Fixture], list[Fixture]]]:
    """Every date with the games that it saw and the games that were called off."""
    agenda: dict[date, tuple[list[Fixture], list[Fixture]]] = {}
    for fixture in fixtures:
        agenda.setdefault(fixture.day, ([], []))[0].append(fixture)
        if fixture.was_postponed and fixture.original_day is not None:
            agenda.setdefault(fixture.original_day, ([], []))[1].append(fixture)
    return [(day, *agenda[day]) for day in sorted(agenda)]


def _counts_after_break(days: SeasonDays, fixtures: Sequence[Fixture], rng: Random) -> dict[tuple[date, str], int]:
    """How many players each team uses on the two dates whose number of players is known."""
    counts: dict[tuple[date, str], int] = {}
    for day, total in zip(days.after_break, PLAYERS_AFTER_BREAK, strict=True):
        teams = [team for fixture in fixtures if fixture.day == day for team in (fixture.home, fixture.away)]
        usual, more = divmod(total, len(teams))
        if not FEWEST <= usual < MOST:
            raise AssertionError(f"{total} players cannot come from {len(teams)} teams on {day}")
        larger = set(rng.sample(teams, more))
        counts |= {(day, team): usual + (team in larger) for team in teams}
    return counts


def _players_on(lines: Sequence[Line]) -> MappingProxyType[date, int]:
    return MappingProxyType(Counter(line.fixture.day for line in lines))
