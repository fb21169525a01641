"""The calendar of a look: one row a month, one sign a day."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import date, timedelta

from rich.console import Console
from rich.text import Text

from gapless.engine import Look
from gapless.model import Target, Verdict
from gapless.verdict import WORST_FIRST, Asks

Month = tuple[tuple[int, int], dict[int, Verdict]]  # year and month, and the worst verdict by day of the month
_DAYS = range(1, 32)
_INDENT = " " * 9  # a month's name and two blanks


def show_calendar(console: Console, look: Look, most: int = 18) -> None:
    """One row a month, one sign a day: the worst verdict of its targets. Months of off days alone are left out.

    Of more than `most` months the latest are shown in which something asks for a run.
    """
    months = _months(_worst_by_day(look))
    shown = _chosen(months, most)
    if not shown:
        return
    numbers = "".join(f"{day:<5}" for day in _DAYS[:30:5])
    console.print(Text(_INDENT + numbers, style="bright_black"))
    for month in shown:
        console.print(_row(month))
    left_out = len(months) - len(shown)
    if left_out:
        console.print(f"({left_out} more months)", style="bright_black")
    console.print(_legend(shown))


def _chosen(months: list[Month], most: int) -> list[Month]:
    if len(months) <= most:
        return months
    interesting = [month for month in months if _asks_for_runs(month)]
    return (interesting or months)[-most:]


def _worst_by_day(look: Look) -> dict[date, Verdict]:
    judgement = look.judgement
    worst: dict[date, Verdict] = {}
    for name, column in judgement.verdicts.items():
        for i, verdict in enumerate(column):
            day = judgement.first + timedelta(days=i)
            if verdict is None or not judgement.scope.holds(Target(name, day)):
                continue
            if day not in worst or verdict.meaning.rank > worst[day].meaning.rank:
                worst[day] = verdict
    return worst


def _months(worst: Mapping[date, Verdict]) -> list[Month]:
    by_month: dict[tuple[int, int], dict[int, Verdict]] = defaultdict(dict)
    for day, verdict in worst.items():
        by_month[day.year, day.month][day.day] = verdict
    return [(month, days) for month, days in sorted(by_month.items()) if set(days.values()) != {Verdict.OFF_DAY}]


def _row(row: Month) -> Text:
    (year, month), days = row
    text = Text(f"{year}-{month:02d}  ")
    for number in _DAYS:
        if number in days:
            meaning = days[number].meaning
            text.append(meaning.sign, style=meaning.style)
        else:
            text.append(" ")
    return text


def _asks_for_runs(row: Month) -> bool:
    return any(verdict.meaning.asks in (Asks.RUN, Asks.UPSTREAM) for verdict in row[1].values())


def _legend(shown: Iterable[Month]) -> Text:
    used = {verdict for _, days in shown for verdict in days.values()}
    signed = [verdict for verdict in WORST_FIRST if verdict in used and verdict.meaning.sign.strip()]
    return Text("  ").join(Text(f"{v.meaning.sign} {v}", style=v.meaning.style) for v in signed)
