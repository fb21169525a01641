"""Observations from what a test says of a few dates."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import date

from gapless.model import Day, Ledger, Observation, Seen, days_between


def sparse(
    processors: Collection[str],
    columns: Mapping[str, Mapping[date, Seen]],
    first: date,
    last: date,
    *,
    otherwise: Callable[[str, date], Seen | None] = lambda _name, _day: None,
    calendar: Mapping[date, Day] | None = None,
    ledger: Ledger | None = None,
) -> Observation:
    """An observation of every date between two; where nothing is given, of a column or a day, it is as `otherwise`."""
    days = list(days_between(first, last))
    games = calendar or {}
    return Observation(
        first,
        {name: _column(name, columns.get(name, {}), days, otherwise) for name in processors},
        [games.get(day) for day in days],
        ledger or Ledger(),
    )


def _column(
    name: str, given: Mapping[date, Seen], days: Sequence[date], otherwise: Callable[[str, date], Seen | None]
) -> list[Seen | None]:
    return [given[day] if day in given else otherwise(name, day) for day in days]
