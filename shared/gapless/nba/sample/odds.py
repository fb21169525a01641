"""Points lines, as two bookmakers would have set them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from random import Random

from gapless.nba.sample.model import Fixture
from gapless.nba.sample.people import Player, Roster

BOOKMAKERS = ("draftkings", "fanduel")
PLAYERS_WITH_LINES = 7
LOWEST_LINE = 4.5


@dataclass(frozen=True)
class PointsLine:
    """One bookmaker's line for a player's points, with American odds."""

    fixture: Fixture
    day: date
    player: Player
    bookmaker: str
    line: float
    over: int
    under: int

    @property
    def commences(self) -> datetime:
        """The start that the line was for: the fixture's usual hour, on the day of the line."""
        return self.fixture.tipoff + (self.day - (self.fixture.original_day or self.fixture.day))

    @property
    def postponed_that_day(self) -> bool:
        return self.day != self.fixture.day


def points_lines(
    fixture: Fixture, day: date, rosters: Mapping[str, Roster], scoring: Mapping[int, float], rng: Random
) -> list[PointsLine]:
    """The lines that were open for a game on a day: for a postponed game also on the day it was first to be played."""
    lines = []
    for team in (fixture.home, fixture.away):
        known = [player for player in rosters[team].players if player.player_id in scoring]
        known.sort(key=lambda player: (-scoring[player.player_id], player.player_id))
        for player in known[:PLAYERS_WITH_LINES]:
            line = max(LOWEST_LINE, round(scoring[player.player_id] + rng.gauss(0, 0.4)) - 0.5)
            for bookmaker in BOOKMAKERS:
                tilt = rng.randint(-8, 8)
                own = line + (1 if rng.random() < 0.12 else 0)
                lines.append(PointsLine(fixture, day, player, bookmaker, own, -112 - tilt, -112 + tilt))
    return lines
