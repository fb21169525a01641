"""Preflight, validation and the season report of a season, against one COUNT query per date and table.

That loop is what the source documents of the pipeline do, in their scripts and runbooks. Both are run through the same
client on the same warehouse, in turn.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import date

from gapless.judge.verdicts import civil_today
from gapless.model import Policy, Scope
from gapless.questions.preflight import check, sources, statement
from gapless.questions.validation import validate
from gapless.warehouse.names import quoted
from gapless.wiring import Gapless

BUDGET_S = 5.0  # each, over everything that is loaded
BUDGET_RATIO = 20.0  # at least so many times faster than the loop
_DAY = "SELECT COUNT(*) AS n FROM {table} WHERE {column} = @day"


def run(gapless: Gapless, days: list[date]) -> dict[str, float]:
    """Seconds of every question over all history, and how much faster each is than the loop over a season's `days`."""
    everything, season = gapless.everything(), Scope(days[0], days[-1], explicit=True)
    questions: dict[str, Callable[[Scope], object]] = {
        "preflight": lambda scope: _preflight(gapless, scope),
        "validate": lambda scope: validate(gapless.engine(Policy()), gapless.warehouse, scope),
        "look behind a report": lambda scope: gapless.engine(Policy()).scan(scope),
    }
    figures: dict[str, float] = {}
    seasons: dict[str, float] = {}
    for name, ask in questions.items():
        ask(everything)  # the warehouse has translated the statements
        figures[f"{name}, everything, s"] = _timed(ask, everything)
        ask(season)
        seasons[name] = _timed(ask, season)
    loop = _timed(lambda _scope: _loop(gapless, days), season)
    figures["one COUNT per date and table, a season, s"] = loop
    return figures | {f"{name}, times faster for a season": loop / spent for name, spent in seasons.items()}


def _timed(ask: Callable[[Scope], object], scope: Scope) -> float:
    begin = time.perf_counter()
    ask(scope)
    return time.perf_counter() - begin


def _preflight(gapless: Gapless, scope: Scope) -> None:
    today = civil_today(gapless.pipeline, gapless.clock())
    pairs = sources(gapless.pipeline)
    params = {"first": scope.first, "last": scope.last, "today": today}
    rows = gapless.warehouse.rows(statement(gapless.pipeline, pairs), params, purpose="preflight").rows
    check(gapless.pipeline, gapless.engine(Policy()).scan(scope), pairs, rows, today)


def _loop(gapless: Gapless, days: list[date]) -> None:
    """One query for every date of every table, as a script does it."""
    for day in days:
        for p in gapless.pipeline.processors.values():
            sql = _DAY.format(table=quoted(p.table), column=p.date_column)
            gapless.warehouse.rows(sql, {"day": day}, purpose="bench")
