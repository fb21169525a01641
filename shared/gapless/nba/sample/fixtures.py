"""The regular season's fixtures: who plays whom, and when.

Every team meets its division four times, six other teams of its conference four times, the remaining four three
times and the other conference twice. Games are then placed on dates one by one; a game that fits nowhere pushes out
the few that are in its way, and those are placed again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from itertools import combinations, product
from random import Random
from zoneinfo import ZoneInfo

from gapless.errors import GaplessError
from gapless.nba.sample.days import REGULAR_DAYS, SeasonDays
from gapless.nba.sample.model import REGULAR, Fixture
from gapless.nba.sample.teams import CONFERENCES, LATE_TIPOFFS, LEAGUE, TEAMS

Pairing = tuple[str, str]  # home, away

EASTERN = ZoneInfo("America/New_York")
MOST_GAMES = 15  # all thirty teams
BY_WEEKDAY = (8, 6, 10, 4, 10, 7, 8)  # the league's habit, Monday first
SPARE_PLACES = 24  # room beyond the 1,230 games, without which placing the last ones takes long


def pairings() -> list[Pairing]:
    """The 1,230 games of a season, 41 at home for every team."""
    games: list[Pairing] = []
    for conference in LEAGUE:
        for division in conference:
            for one, other in combinations(division, 2):
                games += [(one, other), (other, one)] * 2
        for left, right in combinations(conference, 2):
            for i, j in product(range(5), range(5)):
                games += _conference_meetings(left[i], right[j], (j - i) % 5)
    for east, west in product(*CONFERENCES):
        games += [(east, west), (west, east)]
    return games


def _conference_meetings(one: str, other: str, step: int) -> list[Pairing]:
    """Four meetings, or three where the two teams' places in their divisions say so; home games come out even."""
    both = [(one, other), (other, one)]
    if step == 0:
        return [*both, (one, other)]
    if step == 1:
        return [*both, (other, one)]
    return both * 2


def regular_fixtures(days: SeasonDays, rng: Random) -> list[Fixture]:
    """The regular season as it was played, in the order in which it was first published."""
    calendar, originals = _calendar(days, rng)
    order = sorted(range(len(calendar.games)), key=lambda game: (originals[game], calendar.games[game]))
    fixtures = []
    for number, game in enumerate(order, start=1):
        home, away = calendar.games[game]
        original = days.opening + timedelta(days=originals[game])
        fixtures.append(
            Fixture(
                game_id=f"002{days.season % 100:02d}{number:05d}",
                stage=REGULAR,
                day=days.opening + timedelta(days=calendar.day_of[game]),
                original_day=original,
                home=home,
                away=away,
                tipoff=tipoff(original, home, rng),
            )
        )
    return fixtures


def tipoff(day: date, home: str, rng: Random) -> datetime:
    """A starting time such as the home team keeps."""
    if day.weekday() >= 5 and rng.random() < 0.3:
        local = rng.choice((time(13, 0), time(15, 30), time(18, 0)))
    elif home in LATE_TIPOFFS:
        local = rng.choice((time(21, 0), time(22, 0), time(22, 0), time(22, 30)))
    else:
        local = rng.choice((time(19, 0), time(19, 0), time(19, 30), time(20, 0), time(20, 0)))
    return datetime.combine(day, local, EASTERN).astimezone(ZoneInfo("UTC"))


@dataclass
class _Calendar:
    """Games on days. A team's days are the bits of one integer, so that what blocks it is a few shifts away."""

    games: Sequence[Pairing]
    room: list[int]
    day_of: list[int]
    slate: list[list[int]]
    fixed: set[int] = field(default_factory=set)
    busy: dict[str, int] = field(default_factory=lambda: dict.fromkeys(TEAMS, 0))

    def put(self, game: int, day: int) -> None:
        self.day_of[game] = day
        self.slate[day].append(game)
        for team in self.games[game]:
            self.busy[team] |= 1 << day

    def take(self, game: int) -> None:
        day = self.day_of[game]
        self.day_of[game] = -1
        self.slate[day].remove(game)
        for team in self.games[game]:
            self.busy[team] &= ~(1 << day)

    def blocked(self, game: int) -> int:
        """Days on which a team of this game plays already, or would play for the third day in a row."""
        days = 0
        for team in self.games[game]:
            b = self.busy[team]
            days |= b | (b << 1 & b << 2) | (b >> 1 & b >> 2) | (b << 1 & b >> 1)
        return days

    def strictly_blocked(self, game: int) -> int:
        """Days on which a team of this game plays already, or would play for the fourth day in a row."""
        days = 0
        for team in self.games[game]:
            b = self.busy[team]
            before, after = b << 1 & b << 2, b >> 1 & b >> 2
            days |= b | (before & b << 3) | (after & b >> 3) | (before & b >> 1) | (after & b << 1)
        return days

    def beside(self, game: int) -> int:
        """Days before and after the days on which a team of this game plays."""
        days = 0
        for team in self.games[game]:
            days |= self.busy[team] << 1 | self.busy[team] >> 1
        return days

    def in_the_way(self, game: int, day: int, rng: Random) -> list[int] | None:
        """The games that would have to leave for this one to fit on a day; None when one of them is fixed."""
        leaving = {other for other in self.slate[day] if set(self.games[other]) & set(self.games[game])}
        if not leaving and len(self.slate[day]) >= self.room[day]:
            leaving.add(rng.choice(self.slate[day]))
        for team in self.games[game]:
            for first in (day - 2, day - 1, day):
                others = [d for d in range(first, first + 3) if d != day]
                if all(d >= 0 and self.busy[team] >> d & 1 for d in others):
                    near = others[0] if first < day else others[-1]
                    leaving.update(other for other in self.slate[near] if team in self.games[other])
        return None if leaving & self.fixed else sorted(leaving)


def _calendar(days: SeasonDays, rng: Random) -> tuple[_Calendar, list[int]]:
    """A calendar with its postponements, and the day on which each game was first to be played."""
    for _ in range(20):
        calendar = _place_all(days, rng)
        originals = list(calendar.day_of)
        if _postpone(calendar, days, rng):
            return calendar, originals
    raise GaplessError(f"no calendar of {days.label} has room for its postponed games; try another seed")


def _place_all(days: SeasonDays, rng: Random) -> _Calendar:
    games = pairings()
    exact = _exact_slates(days)
    calendar = _Calendar(games, _room(days, exact, rng), [-1] * len(games), [[] for _ in range(REGULAR_DAYS)])
    _fill_exact(calendar, exact, rng)
    waiting = deque(game for game, day in enumerate(calendar.day_of) if day < 0)
    rng.shuffle(waiting)
    _place(calendar, waiting, frozenset(exact), rng)
    return calendar


def _exact_slates(days: SeasonDays) -> dict[int, int]:
    """Days whose number of games is given, by their offset from opening night."""
    given = {days.regular_end: MOST_GAMES, days.opening: 2, days.in_season(12, 25): 5}
    given |= dict(zip(days.after_break, (9, 8), strict=True))
    given |= dict.fromkeys(days.postponed_slates, 2)
    return {(day - days.opening).days: count for day, count in given.items()}


def _room(days: SeasonDays, exact: dict[int, int], rng: Random) -> list[int]:
    """How many games each day takes, in total a few more than there are."""
    room = []
    for offset in range(REGULAR_DAYS):
        day = days.opening + timedelta(days=offset)
        usual = 0 if day in days.off_days else BY_WEEKDAY[day.weekday()] + rng.randint(-2, 2)
        room.append(exact.get(offset, usual))
    flexible = [offset for offset, places in enumerate(room) if places and offset not in exact]
    while surplus := sum(room) - len(pairings()) - SPARE_PLACES:
        offset = rng.choice(flexible)
        room[offset] = min(MOST_GAMES - 1, max(2, room[offset] - (1 if surplus > 0 else -1)))
    return room


def _fill_exact(calendar: _Calendar, exact: dict[int, int], rng: Random) -> None:
    """Give the days whose number of games is known exactly as many, and fix them."""
    unplaced: dict[frozenset[str], list[int]] = {}
    for game, pair in enumerate(calendar.games):
        unplaced.setdefault(frozenset(pair), []).append(game)
    for day in sorted(exact, key=lambda offset: (-exact[offset], offset)):
        rested = list(TEAMS)
        rng.shuffle(rested)
        rested.sort(key=lambda team: bin(calendar.busy[team] >> max(0, day - 2) & 0b11111).count("1"))
        for home, away in _pairs_with_games_left(rested[: 2 * exact[day]], unplaced, rng):
            candidates = unplaced[frozenset((home, away))]
            game = candidates.pop(rng.randrange(len(candidates)))
            calendar.put(game, day)
            calendar.fixed.add(game)


def _pairs_with_games_left(
    teams: list[str], unplaced: dict[frozenset[str], list[int]], rng: Random
) -> list[tuple[str, str]]:
    """Pair up teams; of two that met as often as they may, each needs another opponent."""
    for _ in range(1000):
        rng.shuffle(teams)
        pairs = list(zip(teams[::2], teams[1::2], strict=True))
        if all(unplaced[frozenset(pair)] for pair in pairs):
            return pairs
    raise GaplessError(f"no {len(teams) // 2} games are left among {', '.join(sorted(teams))}; try another seed")


def _place(calendar: _Calendar, waiting: deque[int], closed: frozenset[int], rng: Random) -> None:
    """Find a day for every waiting game."""
    open_days = [day for day, places in enumerate(calendar.room) if places and day not in closed]
    pushed_out = [0] * len(calendar.games)
    for _ in range(60 * len(calendar.games)):
        if not waiting:
            return
        game = waiting.popleft()
        free = ~calendar.blocked(game)
        quiet = free & ~calendar.beside(game)
        fitting = [day for day in open_days if free >> day & 1 and len(calendar.slate[day]) < calendar.room[day]]
        if fitting:
            calendar.put(
                game,
                max(
                    [day for day in fitting if quiet >> day & 1] or fitting,
                    key=lambda day: 1 - len(calendar.slate[day]) / calendar.room[day] + 0.2 * rng.random(),
                ),
            )
            continue
        ways = [
            (sum(1 + pushed_out[other] for other in leaving), day, leaving)
            for day in rng.sample(open_days, 16)
            if (leaving := calendar.in_the_way(game, day, rng)) is not None
        ]
        if not ways:
            waiting.append(game)
            continue
        _, day, leaving = min(ways)
        for other in leaving:
            calendar.take(other)
            pushed_out[other] += 1
            waiting.append(other)
        calendar.put(game, day)
    raise GaplessError(f"{len(waiting)} of {len(calendar.games)} games found no date; try another seed")


def _postpone(calendar: _Calendar, days: SeasonDays, rng: Random) -> bool:
    """Move the games of the December block to dates in the new year; False when two teams are never free together."""
    offsets = {day: (day - days.opening).days for day in (*days.postponed_slates, *days.postponed_singles)}
    whole = [game for day in days.postponed_slates for game in calendar.slate[offsets[day]]]
    single = [rng.choice(calendar.slate[offsets[day]]) for day in days.postponed_singles]
    closed = _exact_slates(days)
    first, last = (days.in_season(1, 12) - days.opening).days, REGULAR_DAYS - 2
    for game in sorted({*whole, *single}, key=lambda game: (calendar.day_of[game], game)):
        calendar.take(game)
        free = ~calendar.strictly_blocked(game)  # the league accepts a crowded week for a game that it has to make up
        fitting = [
            day
            for day in range(first, last + 1)
            if calendar.room[day] and day not in closed and free >> day & 1 and len(calendar.slate[day]) < MOST_GAMES
        ]
        rested = [day for day in fitting if ~calendar.blocked(game) >> day & 1]
        if not fitting:
            return False
        calendar.put(game, rng.choice(rested or fitting))
    return True
