"""Games, played out player by player.

A forecast made from earlier games is worth something because what decides a game lasts: the strength of a team, the
skill and the form of a player, the home floor, and tired legs on the second of two days.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import accumulate
from random import Random
from typing import NamedTuple

from gapless.nba.sample.model import PLAYOFFS, Fixture, Game
from gapless.nba.sample.people import Player, Roster

FEWEST, MOST = 9, 11  # players who appear for a team
BASE_MINUTES = (34.5, 33.5, 32.0, 30.0, 28.0, 22.0, 19.0, 16.0, 12.0, 9.0, 7.0)
LONGEST = 43  # minutes that one player gets without overtime
MOST_FOULS = 6


class Line(NamedTuple):
    """One player's row of a box score, as far as it is counted in the game."""

    fixture: Fixture
    player: Player
    team: str
    opponent: str
    home: bool
    won: bool
    starter: bool
    minutes: int
    fgm: int
    fga: int
    fg3m: int
    fg3a: int
    ftm: int
    fta: int
    oreb: int
    dreb: int
    ast: int
    stl: int
    blk: int
    tov: int
    pf: int
    pts: int
    plus_minus: int


@dataclass(frozen=True)
class Strength:
    """How a team shoots above its players' average, how it lowers the other's shooting, and its shots a game."""

    offense: float
    defense: float
    shots: float


def strengths(teams: Iterable[str], rng: Random) -> dict[str, Strength]:
    """Draw the strengths of a season's teams."""
    return {team: Strength(rng.gauss(0, 0.008), rng.gauss(0, 0.008), rng.gauss(88.3, 1.8)) for team in teams}


@dataclass
class Condition:
    """What changes from game to game; a copy lets playoffs be played again."""

    form: dict[int, float] = field(default_factory=dict)
    out_for: dict[int, int] = field(default_factory=dict)
    scoring: dict[int, float] = field(default_factory=dict)
    last_played: dict[str, date] = field(default_factory=dict)

    def copy(self) -> Condition:
        return Condition(dict(self.form), dict(self.out_for), dict(self.scoring), dict(self.last_played))


@dataclass
class _Side:
    """One team's game while it is played; the lists run parallel to `players`."""

    players: list[Player]
    starters: frozenset[int]
    minutes: list[int]
    counts: dict[str, list[int]]

    @property
    def points(self) -> int:
        return 2 * sum(self.counts["fgm"]) + sum(self.counts["fg3m"]) + sum(self.counts["ftm"])


@dataclass
class Floor:
    """Plays the games of a season in order and remembers the condition of every player."""

    rosters: dict[str, Roster]
    strengths: dict[str, Strength]
    rng: Random
    condition: Condition = field(default_factory=Condition)

    def play(
        self, fixture: Fixture, appearing: tuple[int | None, int | None] = (None, None)
    ) -> tuple[Game, list[Line]]:
        """Play a game; `appearing` fixes how many players the home and the away team use."""
        home = self._side(fixture, fixture.home, fixture.away, appearing[0])
        away = self._side(fixture, fixture.away, fixture.home, appearing[1])
        if home.points == away.points:
            self._overtime(home, away)
        self._share_rest(home, away)
        margin = home.points - away.points
        lines = [
            *self._lines(fixture, home, home=True, margin=margin),
            *self._lines(fixture, away, home=False, margin=-margin),
        ]
        for team in (fixture.home, fixture.away):
            self.condition.last_played[team] = fixture.day
        return Game(fixture, home.points, away.points), lines

    def _side(self, fixture: Fixture, team: str, opponent: str, count: int | None) -> _Side:
        players = self._appearing(team, count or self._usual_count(fixture.stage))
        minutes = self._minutes(players)
        edge = self.strengths[team].offense - self.strengths[opponent].defense
        edge += 0.008 if team == fixture.home else -0.008
        if (last := self.condition.last_played.get(team)) is not None and (fixture.day - last).days == 1:
            edge -= 0.006
        shots = (self.strengths[team].shots + self.strengths[opponent].shots) / 2 + self.rng.gauss(0, 4.5)
        starters = frozenset(player.player_id for player in players[:5])
        return _Side(players, starters, minutes, self._shooting(players, minutes, round(shots), edge))

    def _usual_count(self, stage: str) -> int:
        return self.rng.choice((9, 9, 10) if stage == PLAYOFFS else (9, 10, 10, 11))

    def _appearing(self, team: str, count: int) -> list[Player]:
        """The players a team uses, the starters first; never so many injured that it cannot field eleven."""
        rng, out_for = self.rng, self.condition.out_for
        roster = self.rosters[team].players
        fit = []
        injured = 0
        for player in roster:
            if out_for.get(player.player_id, 0) > 0:
                out_for[player.player_id] -= 1
                injured += 1
            else:
                fit.append(player)
        if len(roster) - injured > MOST and rng.random() < 0.13:
            out_for[rng.choice(fit).player_id] = rng.randint(1, 12)
        rotation, bench = fit[:7], fit[7:]
        bench.sort(key=lambda player: player.talent + 0.25 * rng.gauss(0, 1), reverse=True)
        return [*rotation, *bench][:count]

    def _minutes(self, players: Sequence[Player]) -> list[int]:
        """Whole minutes that make 240."""
        rng = self.rng
        wanted = [base * max(0.4, rng.gauss(1, 0.13)) for base in BASE_MINUTES[: len(players)]]
        scale = 240 / sum(wanted)
        minutes = [min(LONGEST, max(2, round(share * scale))) for share in wanted]
        at = 5
        while (left := 240 - sum(minutes)) != 0:
            step = 1 if left > 0 else -1
            if 2 <= minutes[at] + step <= LONGEST:
                minutes[at] += step
            at = (at + 1) % len(minutes)
        return minutes

    def _shooting(
        self, players: Sequence[Player], minutes: Sequence[int], shots: int, edge: float
    ) -> dict[str, list[int]]:
        rng, form = self.rng, self.condition.form
        chance = rng.random
        forms = []
        for player in players:
            now = 0.85 * form.get(player.player_id, 0.0) + rng.gauss(0, 0.12)
            form[player.player_id] = now
            forms.append(now)
        appetite = [p.usage * m * (1 + 0.7 * f) for p, m, f in zip(players, minutes, forms, strict=True)]
        attempts = self._deal(shots, [max(0.1, weight) for weight in appetite])
        free = self._deal(
            max(6, round(rng.gauss(23.4, 5.5))), [p.foul_drawing * w for p, w in zip(players, appetite, strict=True)]
        )
        counts: dict[str, list[int]] = {name: [] for name in ("fgm", "fga", "fg3m", "fg3a", "ftm", "fta")}
        for player, tried, freebies, now in zip(players, attempts, free, forms, strict=True):
            lift = edge + 0.04 * now
            threes = sum([chance() < player.three_rate for _ in range(tried)])
            made_threes = sum([chance() < player.three_pct + lift for _ in range(threes)])
            made_twos = sum([chance() < player.two_pct + lift for _ in range(tried - threes)])
            made_free = sum([chance() < player.free_throw_pct for _ in range(freebies)])
            for name, value in zip(
                counts, (made_twos + made_threes, tried, made_threes, threes, made_free, freebies), strict=True
            ):
                counts[name].append(value)
        return counts

    def _overtime(self, home: _Side, away: _Side) -> None:
        """Five more minutes, and one basket that decides: a tie is the only result that a box score cannot have."""
        for side in (home, away):
            for index in sorted(range(len(side.minutes)), key=lambda i: (-side.minutes[i], i))[:5]:
                side.minutes[index] += 5
        winner = self.rng.choice((home, away))
        scorer = self.rng.randrange(5)
        for name in ("fgm", "fga"):
            winner.counts[name][scorer] += 1

    def _share_rest(self, home: _Side, away: _Side) -> None:
        """Rebounds, assists, steals, blocks, turnovers and fouls follow from the shooting."""
        for side, other in ((home, away), (away, home)):
            gauss, counts = self.rng.gauss, side.counts
            made, missed = sum(counts["fgm"]), sum(counts["fga"]) - sum(counts["fgm"])
            missed_by_other = sum(other.counts["fga"]) - sum(other.counts["fgm"])
            boards = self._weights(side, "rebounding")
            counts["oreb"] = self._deal(max(1, round(missed * gauss(0.225, 0.05))), boards)
            counts["dreb"] = self._deal(max(12, round(missed_by_other * gauss(0.715, 0.05))), boards)
            counts["ast"] = self._deal(
                max(8, min(made, round(made * gauss(0.6, 0.06)))), self._weights(side, "passing")
            )
            counts["stl"] = self._deal(max(0, round(gauss(7.3, 2.8))), self._weights(side, "stealing"))
            counts["blk"] = self._deal(max(0, round(gauss(4.7, 2.3))), self._weights(side, "blocking"))
            counts["tov"] = self._deal(max(3, round(gauss(13.3, 3.6))), self._weights(side, "usage"))
            fouls = self._deal(max(8, round(gauss(20.2, 4))), self._weights(side, "fouling"))
            counts["pf"] = [min(MOST_FOULS, count) for count in fouls]

    @staticmethod
    def _weights(side: _Side, skill: str) -> list[float]:
        return [getattr(player, skill) * played for player, played in zip(side.players, side.minutes, strict=True)]

    def _deal(self, count: int, weights: Sequence[float]) -> list[int]:
        """Deal things out one by one, each to a player chosen by weight."""
        chance = self.rng.random
        bounds = list(accumulate(weights))
        total, last = bounds[-1], len(bounds) - 1
        dealt = [0] * len(bounds)
        for _ in range(count):
            dealt[bisect(bounds, chance() * total, 0, last)] += 1
        return dealt

    def _lines(self, fixture: Fixture, side: _Side, *, home: bool, margin: int) -> list[Line]:
        team, opponent = (fixture.home, fixture.away) if home else (fixture.away, fixture.home)
        lines = []
        for index, (player, played) in enumerate(zip(side.players, side.minutes, strict=True)):
            count = {name: values[index] for name, values in side.counts.items()}
            lines.append(
                Line(
                    fixture=fixture,
                    player=player,
                    team=team,
                    opponent=opponent,
                    home=home,
                    won=margin > 0,
                    starter=player.player_id in side.starters,
                    minutes=played,
                    pts=2 * count["fgm"] + count["fg3m"] + count["ftm"],
                    plus_minus=round(margin * played / 48 + self.rng.gauss(0, 1.3 * played**0.5)),
                    **count,
                )
            )
        return lines

    def remember_scoring(self, lines: Iterable[Line]) -> None:
        """Keep what a bookmaker would know: each player's recent points."""
        scoring = self.condition.scoring
        for line in lines:
            before = scoring.get(line.player.player_id, float(line.pts))
            scoring[line.player.player_id] = 0.88 * before + 0.12 * line.pts
