"""The rules of the league's calendar, from which every season's dates follow."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property

from gapless.errors import BadInput

FIRST_SEASON, LAST_SEASON = 2000, 2099

REGULAR_DAYS = 174  # opening night to the last Sunday; the same in every season since 2021-22
PLAYOFFS_AFTER = 6  # the play-in fills the week between
PLAYOFF_DAYS = 59

# In December's outbreak of 2021 eleven games were postponed: whole slates on some dates, single games on others.
POSTPONED_SLATES = ((12, 16), (12, 20), (12, 28), (12, 30))
POSTPONED_SINGLES = ((12, 19), (12, 21), (12, 29))


@dataclass(frozen=True)
class SeasonDays:
    """The dates of the season that starts in a year."""

    season: int

    def __post_init__(self) -> None:
        if not FIRST_SEASON <= self.season <= LAST_SEASON:
            raise BadInput(
                f"season {self.season} cannot be generated; give a year from {FIRST_SEASON} to {LAST_SEASON}"
            )

    @property
    def label(self) -> str:
        return f"{self.season}-{(self.season + 1) % 100:02d}"

    @cached_property
    def opening(self) -> date:
        """The Tuesday from 18 to 24 October."""
        return _weekday_on_or_after(date(self.season, 10, 18), 1)

    @property
    def regular_end(self) -> date:
        return self.opening + timedelta(days=REGULAR_DAYS - 1)

    @property
    def playoffs_start(self) -> date:
        return self.regular_end + timedelta(days=PLAYOFFS_AFTER)

    @property
    def playoffs_end(self) -> date:
        """The last day on which a game can be played."""
        return self.playoffs_start + timedelta(days=PLAYOFF_DAYS - 1)

    @cached_property
    def all_star_break(self) -> tuple[date, ...]:
        """Friday before the third Sunday of February to the Wednesday after it."""
        sunday = _weekday_on_or_after(date(self.season + 1, 2, 15), 6)
        return tuple(sunday + timedelta(days=offset) for offset in range(-2, 4))

    @property
    def after_break(self) -> tuple[date, date]:
        """The first two dates after the break, the ones that a backfill once left almost empty."""
        wednesday = self.all_star_break[-1]
        return wednesday + timedelta(days=1), wednesday + timedelta(days=2)

    @cached_property
    def off_days(self) -> frozenset[date]:
        """Dates inside the regular season on which the league does not play."""
        election = _weekday_on_or_after(date(self.season, 11, 1), 0) + timedelta(days=1)
        thanksgiving = _weekday_on_or_after(date(self.season, 11, 22), 3)
        college_final = self.regular_end - timedelta(days=6)
        return frozenset({election, thanksgiving, date(self.season, 12, 24), college_final, *self.all_star_break})

    @cached_property
    def postponed_slates(self) -> tuple[date, ...]:
        """Dates on which every scheduled game was postponed."""
        return tuple(self.in_season(month, day) for month, day in POSTPONED_SLATES)

    @cached_property
    def postponed_singles(self) -> tuple[date, ...]:
        """Dates on which one of several scheduled games was postponed."""
        return tuple(self.in_season(month, day) for month, day in POSTPONED_SINGLES)

    @property
    def first_odds(self) -> date:
        """Nobody recorded betting lines in the first two months."""
        return self.in_season(12, 18)

    def in_season(self, month: int, day: int) -> date:
        """The civil date that a month and day have in this season, which turns in July."""
        return date(self.season if month >= 7 else self.season + 1, month, day)


def _weekday_on_or_after(day: date, weekday: int) -> date:
    return day + timedelta(days=(weekday - day.weekday()) % 7)
