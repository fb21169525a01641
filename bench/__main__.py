"""`make bench`: prints a table and writes JSON to bench/results. Figures are medians of repeated, alternating runs."""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from bench import cold, judge, questions
from gapless.cli.load import load_path
from gapless.declare.settings import read_settings
from gapless.judge.verdicts import civil_today
from gapless.local import warehouse as local
from gapless.model import Policy, Scope
from gapless.nba.sample.season import write_season
from gapless.observe.observer import ancestors, statement
from gapless.tasks.advance import advance, answer
from gapless.warehouse.names import quoted
from gapless.warehouse.ports import Param, Warehouse
from gapless.warehouse.staging import built
from gapless.wiring import Gapless, connect, utcnow

BUDGETS = {
    "scan / bare SQL": 1.3,
    "heal / bare SQL": 1.5,
    "judge and plan, all complete, s": 1.0,
    "judge and plan, every second missing, s": 1.0,
    "judge and plan, peak MB": 300.0,
    "event with nothing to do, our own ms": 150.0,
    "event with nothing to do, jobs": 1.0,
    "hourly scan with nothing to do, jobs": 1.0,
    "cold import of a function, s": cold.BUDGET_S,
    "cold import of a function, MB": cold.BUDGET_MB,
} | {f"{name}, everything, s": questions.BUDGET_S for name in ("preflight", "validate", "look behind a report")}
# At least so much, where the others are at most.
LEAST = {
    f"{name}, times faster for a season": questions.BUDGET_RATIO
    for name in ("preflight", "validate", "look behind a report")
}


@click.command()
@click.option("--data", type=click.Path(path_type=Path, exists=True), help="A folder of real seasons.")
@click.option("--rounds", default=3, show_default=True)
def main(data: Path | None, rounds: int) -> None:
    """Measure on the generated season, or on the seasons of a folder."""
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "warehouse"
        try:
            gapless = connect(read_settings({}, home=home))
            figures |= _flow(gapless, data, Path(folder))
            figures |= _scan(gapless, rounds)
            figures |= _heal(gapless, rounds)
            figures |= _quiet(gapless, rounds)
            figures |= questions.run(gapless, _season(gapless))
        finally:
            local.stop(home)
    figures |= judge.run() | cold.run()
    _report(figures, data)


def _timed(work: Callable[[], Any]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def _flow(gapless: Gapless, data: Path | None, folder: Path) -> dict[str, float]:
    """Raw files to a complete pipeline, once."""
    if data is None:
        data = folder / "season"
        data.mkdir()
        write_season(data)
    load = _timed(lambda: load_path(gapless, data, quiet=True))
    engine = gapless.engine(Policy())
    apply = _timed(lambda: engine.apply(engine.scan(gapless.everything())))
    if not engine.scan(gapless.everything()).judgement.complete:
        raise SystemExit("the pipeline is not complete after apply; nothing was measured")
    return {"load, s": load, "apply everything, s": apply}


def _scan(gapless: Gapless, rounds: int) -> dict[str, float]:
    """A scan (observe, judge, plan) against its own statement run bare through the same client."""
    engine, scope = gapless.engine(Policy()), gapless.everything()
    today = civil_today(gapless.pipeline, gapless.clock())
    sql = statement(gapless.pipeline, ancestors(gapless.pipeline, ()))
    lookback = timedelta(days=gapless.pipeline.longest_lookback)
    params: Mapping[str, Param] = {"first": scope.first - lookback, "last": scope.last, "today": today}
    engine.scan(scope)
    pairs = [
        (
            _timed(lambda: engine.scan(scope)),
            _timed(lambda: gapless.warehouse.rows(sql, params, purpose="bench")),
        )
        for _ in range(rounds)
    ]
    return _paired("scan", pairs)


def _heal(gapless: Gapless, rounds: int) -> dict[str, float]:
    """90 dates missing in every downstream processor: apply, against one INSERT per processor."""
    days = [
        row[0]
        for row in gapless.warehouse.rows(
            "SELECT DISTINCT game_date FROM `nba_analytics.player_game_summary` "
            "WHERE game_date BETWEEN '1946-11-01' AND '2100-01-01' ORDER BY game_date",
            purpose="bench",
        ).rows
    ]
    days = days[len(days) // 3 :][:90]
    scope = Scope(days[0], days[-1], explicit=True)
    pairs = []
    for _ in range(rounds):
        _delete(gapless, days)
        engine = gapless.engine(Policy(lift_storm=True))
        look = engine.scan(scope)
        marks = [time.perf_counter()]
        # The last progress call comes before the look afterwards, which has a budget of its own.
        engine.apply(look, progress=partial(_mark, marks))
        _delete(gapless, days)
        pairs.append((marks[-1] - marks[0], _timed(lambda: _bare(gapless, days))))
    engine = gapless.engine(Policy())
    if not engine.scan(scope).judgement.complete:
        raise SystemExit("the bare SQL did not leave the same tables; the comparison is worth nothing")
    return {"dates healed": float(len(days))} | _paired("heal", pairs)


def _season(gapless: Gapless) -> list[date]:
    """The dates of the first season, from its opening day."""
    look = gapless.engine(Policy()).scan(gapless.everything())
    calendar = [(i, day) for i, day in enumerate(look.observation.calendar) if day and day.opening]
    opening = calendar[0][1].opening
    return [look.observation.first + timedelta(days=i) for i, day in calendar if day.opening == opening]


def _quiet(gapless: Gapless, rounds: int) -> dict[str, float]:
    """What a phase transition costs beside BigQuery's time when there is nothing to do: an event, the hourly scan."""
    timed = _Timed(gapless.warehouse)
    engine = replace(gapless, warehouse=timed).engine(Policy())
    members = frozenset(p.name for p in gapless.pipeline.processors.values() if p.phase == 4)
    whole = gapless.everything()
    newest = "SELECT MAX(game_date) AS d FROM `nba_exports.date_exports`"
    day = gapless.warehouse.rows(newest, purpose="bench").rows[0][0]
    scopes = {
        "event": Scope(day, day, members, frozenset({day})),
        "hourly scan": Scope(whole.first, whole.last, members),
    }
    figures = {}
    for name, scope in scopes.items():
        own = []
        for _ in range(rounds + 1):
            timed.jobs, timed.spent = 0, 0.0
            begin = time.perf_counter()
            answer(advance(engine, engine.scan(scope), gapless.bus, "bench"), engine)
            own.append(1000 * (time.perf_counter() - begin - timed.spent))
        figures |= {
            f"{name} with nothing to do, our own ms": statistics.median(own[1:]),
            f"{name} with nothing to do, jobs": float(timed.jobs),
        }
    return figures


class _Timed:
    """A warehouse that counts its jobs and the time that they take."""

    def __init__(self, real: Warehouse) -> None:
        self._real = real
        self.jobs = 0
        self.spent = 0.0

    def __getattr__(self, name: str) -> Any:
        work = getattr(self._real, name)

        def call(*given: Any, **named: Any) -> Any:
            begin = time.perf_counter()
            try:
                return work(*given, **named)
            finally:
                self.jobs += 1
                self.spent += time.perf_counter() - begin

        return call


def _mark(marks: list[float], _text: str, _done: int) -> None:
    marks.append(time.perf_counter())


def _runnable(gapless: Gapless) -> list[Any]:
    return [p for p in gapless.pipeline.processors.values() if p.run == "sql" and p.applies_to != "upcoming"]


def _delete(gapless: Gapless, days: list[date]) -> None:
    for p in _runnable(gapless):
        gapless.warehouse.execute(
            f"DELETE FROM {quoted(p.table)} WHERE {p.date_column} IN UNNEST(@dates)", {"dates": days}, purpose="bench"
        )


def _bare(gapless: Gapless, days: list[date]) -> None:
    """What anybody would write by hand: no claim, no audit, no look afterwards; the same rows."""
    params: dict[str, Param] = {
        "dates": days,
        "first": days[0],
        "last": days[-1],
        "now": utcnow(),
        "today": civil_today(gapless.pipeline, gapless.clock()),
    }
    for p in _runnable(gapless):
        names = [c.name for c in p.columns.values()]
        values = ["@now" if c.stamp else f"s.{c.name}" for c in p.columns.values()]
        gapless.warehouse.execute(
            f"INSERT INTO {quoted(p.table)} ({', '.join([*names, *p.engine_columns])})\n"
            f"SELECT {', '.join(values)}, s.row_hash, s.inputs_hash, 'bare', @now\n"
            f"FROM (\n{built(gapless.pipeline, p)}\n) AS s",
            params,
            purpose="bench",
        )


def _paired(name: str, pairs: list[tuple[float, float]]) -> dict[str, float]:
    return {
        f"{name}, s": statistics.median(ours for ours, _ in pairs),
        f"{name}, bare SQL, s": statistics.median(bare for _, bare in pairs),
        f"{name} / bare SQL": statistics.median(ours / bare for ours, bare in pairs),
    }


def _report(figures: Mapping[str, float], data: Path | None) -> None:
    table = Table(box=None, pad_edge=False)
    for column in ("what", "figure", "budget"):
        table.add_column(column, justify="left" if column == "what" else "right")
    for name, value in figures.items():
        budget, least = BUDGETS.get(name), LEAST.get(name)
        verdict = "" if budget is None else f"{budget:g}" + ("" if value <= budget else " OVER")
        if least is not None:
            verdict = f"at least {least:g}" + ("" if value >= least else " UNDER")
        table.add_row(name, f"{value:,.2f}", verdict)
    Console().print(table)
    folder = Path(__file__).parent / "results"
    folder.mkdir(exist_ok=True)
    target = folder / f"{'real' if data else 'sample'}.json"
    target.write_text(json.dumps({"python": sys.version.split()[0], "figures": dict(figures)}, indent=2) + "\n")
    click.echo(f"written to {target.relative_to(Path.cwd()) if target.is_relative_to(Path.cwd()) else target}")


if __name__ == "__main__":
    main()
