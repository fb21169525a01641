"""The playoffs: sixteen teams, best of seven, four rounds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from random import Random

from gapless.errors import GaplessError
from gapless.nba.sample.days import SeasonDays
from gapless.nba.sample.fixtures import tipoff
from gapless.nba.sample.model import PLAYOFFS, Fixture, Game
from gapless.nba.sample.play import Floor, Line
from gapless.nba.sample.teams import CONFERENCES

USUAL_LENGTH = range(82, 91)  # games that the playoffs of the last years had
HIGHER_SEED_AT_HOME = (True, True, False, False, True, False, True)
# Days after the first playoff date; a series never waits for another one of its round.
FIRST_ROUND = ((0, 2, 5, 7, 10, 12, 14), (1, 3, 6, 8, 11, 13, 15))
SECOND_ROUND = ((17, 19, 21, 23, 25, 27, 29), (18, 20, 22, 24, 26, 28, 30))
THIRD_ROUND = ((31, 33, 35, 37, 39, 41, 43), (32, 34, 36, 38, 40, 42, 44))
FINALS = ((46, 48, 50, 52, 54, 56, 58),)
ROUNDS = (FIRST_ROUND, SECOND_ROUND, THIRD_ROUND, FINALS)


@dataclass(frozen=True)
class _Seeded:
    team: str
    wins: int


def play_playoffs(days: SeasonDays, regular: Sequence[Game], floor: Floor, seed: int) -> tuple[list[Game], list[Line]]:
    """Play the bracket; one that comes out unusually short or long is played again."""
    before = floor.condition
    for attempt in range(200):
        floor.condition = before.copy()
        floor.rng = Random(f"playoffs:{seed}:{days.season}:{attempt}")
        games, lines = _bracket(days, regular, floor)
        if len(games) in USUAL_LENGTH:
            lines.sort(key=lambda line: (line.fixture.day, line.fixture.game_id))
            return sorted(games, key=lambda game: (game.fixture.day, game.fixture.game_id)), lines
    raise GaplessError(f"no playoffs of {USUAL_LENGTH.start} to {USUAL_LENGTH.stop - 1} games; try another seed")


def _bracket(days: SeasonDays, regular: Sequence[Game], floor: Floor) -> tuple[list[Game], list[Line]]:
    wins = Counter(game.winner for game in regular)
    alive: list[_Seeded] = []
    for conference in CONFERENCES:
        best = sorted(conference, key=lambda team: (-wins[team], team))[:8]
        # neighbours meet, and so do the winners of neighbours
        alive += [_Seeded(best[place], wins[best[place]]) for place in (0, 7, 3, 4, 2, 5, 1, 6)]
    games: list[Game] = []
    lines: list[Line] = []
    for number, calendars in enumerate(ROUNDS, start=1):
        winners = []
        for series, pair in enumerate(zip(alive[::2], alive[1::2], strict=True)):
            higher, lower = sorted(pair, key=lambda seeded: (-seeded.wins, seeded.team))
            calendar = calendars[series % len(calendars)]
            prefix = f"004{days.season % 100:02d}00{number}{series}"
            winner, played, rows = _series(days, higher, lower, calendar, prefix, floor)
            winners.append(winner)
            games += played
            lines += rows
        alive = winners
    return games, lines


def _series(
    days: SeasonDays, higher: _Seeded, lower: _Seeded, calendar: Sequence[int], prefix: str, floor: Floor
) -> tuple[_Seeded, list[Game], list[Line]]:
    games: list[Game] = []
    lines: list[Line] = []
    won: Counter[str] = Counter()
    for number, (offset, at_higher) in enumerate(zip(calendar, HIGHER_SEED_AT_HOME, strict=True), start=1):
        home, away = (higher, lower) if at_higher else (lower, higher)
        day = days.playoffs_start + timedelta(days=offset)
        fixture = Fixture(
            f"{prefix}{number}", PLAYOFFS, day, None, home.team, away.team, tipoff(day, home.team, floor.rng)
        )
        game, rows = floor.play(fixture)
        floor.remember_scoring(rows)
        games.append(game)
        lines += rows
        won[game.winner] += 1
        if won[game.winner] == 4:
            break
    return (higher if won[higher.team] == 4 else lower), games, lines
