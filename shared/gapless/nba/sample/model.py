"""What a generated season consists of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from pathlib import Path

from gapless.nba.sample.days import SeasonDays

REGULAR = "Regular Season"
PLAYOFFS = "Playoffs"


def analytics_game_id(day: date, away: str, home: str) -> str:
    """The id that the analytics tables give a game; it names the date, so a postponed game has two over its life."""
    return f"{day:%Y%m%d}_{away}_{home}"


@dataclass(frozen=True)
class Fixture:
    """A game before it is played; `original_day` is where the first schedule had it, unknown for playoffs."""

    game_id: str
    stage: str
    day: date
    original_day: date | None
    home: str
    away: str
    tipoff: datetime

    @property
    def was_postponed(self) -> bool:
        return self.original_day is not None and self.original_day != self.day


@dataclass(frozen=True)
class Game:
    """A played game."""

    fixture: Fixture
    home_points: int
    away_points: int

    @property
    def winner(self) -> str:
        return self.fixture.home if self.home_points > self.away_points else self.fixture.away


@dataclass(frozen=True)
class SampleSeason:
    """What `write_season` wrote: the files, and the facts about them that tests and incidents need."""

    season: int
    seed: int
    days: SeasonDays
    games: tuple[Game, ...]
    players_on: Mapping[date, int]
    prop_rows: int
    box: Path
    schedule: Path | None = None
    props: Path | None = None

    @property
    def label(self) -> str:
        return self.days.label

    @property
    def player_rows(self) -> int:
        return sum(self.players_on.values())

    @cached_property
    def game_dates(self) -> tuple[date, ...]:
        """Every date on which a game was played."""
        return tuple(sorted({game.fixture.day for game in self.games}))

    @cached_property
    def playoff_dates(self) -> tuple[date, ...]:
        """Every date on which a playoff game was played."""
        return tuple(sorted({game.fixture.day for game in self.games if game.fixture.stage == PLAYOFFS}))

    @cached_property
    def postponed(self) -> tuple[Fixture, ...]:
        """The games that were not played on the date first published, by that date."""
        moved = [(game.fixture.original_day, game.fixture) for game in self.games if game.fixture.was_postponed]
        return tuple(fixture for original, fixture in sorted(moved, key=lambda pair: (pair[0], pair[1].game_id)))

    @cached_property
    def games_on(self) -> Mapping[date, int]:
        """How many games each date had; a date that is not there had none."""
        return Counter(game.fixture.day for game in self.games)

    def nearest_game_date(self, day: date) -> date:
        """The date with games that is nearest to a day, the earlier one of two."""
        return min(self.game_dates, key=lambda candidate: (abs(candidate - day), candidate))

    def last_played(self, team: str, before: date, skipping: frozenset[date] = frozenset()) -> date:
        """The nearest date before a day on which a team played."""
        return max(
            game.fixture.day
            for game in self.games
            if team in (game.fixture.home, game.fixture.away)
            and game.fixture.day < before
            and game.fixture.day not in skipping
        )
