"""Any damage: what is broken is found, what was there comes back, and nothing is touched that has no part in it."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import date, timedelta

import pytest

from gapless.declare.processor import Processor
from gapless.model import ASKS_FOR_A_RUN, Target, Verdict
from tests.conftest import Season

WEEKS = 3
Damage = Callable[[Season, Target, random.Random], int]


def everything(season: Season, target: Target, _: random.Random) -> int:
    return season.delete(target)


def all_but_a_few(season: Season, target: Target, chance: random.Random) -> int:
    """Less than the gate is left; small losses are tested as what they are, a warning."""
    kept = chance.randrange(3)
    p = season.pipeline.processors[target.processor]
    key = f"TO_JSON_STRING(STRUCT({', '.join(p.key)}))"
    return season.delete(
        target,
        f"{key} NOT IN (SELECT {key} FROM `{p.table}` WHERE {p.date_column} = @day ORDER BY 1 LIMIT {kept})"
        if kept
        else "TRUE",
    )


def a_value(season: Season, target: Target, chance: random.Random) -> int:
    p = season.pipeline.processors[target.processor]
    numbers = [c.name for c in p.content if c.type.startswith(("INT64", "NUMERIC")) and c.required]
    column = chance.choice(numbers)
    return season.update(target, f"{column} = {column} + 1", one_row(season, p, target))


def a_key(season: Season, target: Target, _: random.Random) -> int:
    p = season.pipeline.processors[target.processor]
    column = next(name for name in p.key if p.columns[name].type == "STRING")
    return season.update(target, f"{column} = CONCAT('x', {column})", one_row(season, p, target))


def a_row_twice(season: Season, target: Target, _: random.Random) -> int:
    p = season.pipeline.processors[target.processor]
    return season.copy_rows(target, target.day, one_row(season, p, target))


def rows_of_another_date(season: Season, target: Target, chance: random.Random) -> int:
    p = season.pipeline.processors[target.processor]
    others = sorted(t for t in season.built if t.processor == target.processor and t.day != target.day)
    other = chance.choice(others)
    column = next(name for name in p.key if p.columns[name].type == "STRING")
    return season.copy_rows(other, target.day, one_row(season, p, other), **{column: f"CONCAT('foreign-', {column})"})


def one_row(season: Season, p: Processor, target: Target) -> str:
    """A condition that holds for the first row of a partition."""
    key = f"TO_JSON_STRING(STRUCT({', '.join(p.key)}))"
    ((value,),) = season.rows(f"SELECT MIN({key}) FROM `{p.table}` WHERE {p.date_column} = @day", day=target.day)
    quoted = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"{key} = '{quoted}'"


KINDS: tuple[Damage, ...] = (everything, all_but_a_few, a_value, a_key, a_row_twice, rows_of_another_date)


def readers(season: Season, targets: set[Target]) -> set[Target]:
    """Everything that reads these targets, over any number of steps."""
    reached, front = set(targets), set(targets)
    while front:
        found = set()
        for name, day in front:
            for p in season.pipeline.processors.values():
                edge = p.upstream.get(name)
                if not edge:
                    continue
                start = 0 if edge.reads_own_day(historical=True) else 1
                found |= {Target(p.name, day + timedelta(days=n)) for n in range(start, edge.lookback_days + 1)}
        front = (found & season.built.keys()) - reached
        reached |= front
    return reached


@pytest.mark.parametrize("number", range(8))
def test_any_damage_is_found_and_repaired_to_what_was_there(built_season: Season, number: int) -> None:
    chance = random.Random(f"damage:{number}")
    days = built_season.season.days
    first = days.opening + timedelta(days=chance.randrange(30, 190))
    last = first + timedelta(weeks=WEEKS)
    candidates = sorted(t for t in built_season.built if first <= t.day <= last)
    damaged: dict[Target, str] = {}
    for target in chance.sample(candidates, chance.randint(2, 6)):
        kind = chance.choice(KINDS)
        if kind(built_season, target, chance):
            damaged[target] = kind.__name__
    assert damaged
    runs = built_season.runs(first, date.max)

    look = built_season.scan(first, last)
    verdicts = {target: look.judgement.verdict(target) for target in damaged}
    assert {t: v for t, v in verdicts.items() if v not in ASKS_FOR_A_RUN | {Verdict.BLOCKED}} == {}, damaged
    report = built_season.engine().apply(look)

    assert report.failed == [], damaged
    assert report.after is not None
    assert report.after.judgement.complete, damaged
    assert report.after.plan.size == 0
    assert built_season.differences() == [], damaged
    now = built_season.runs(first, date.max)
    touched = {target for target in now if now[target] != runs.get(target)}
    # of a record only the damaged rows are replaced: the run that is named there may be the first one still
    records = {t for t in damaged if built_season.pipeline.processors[t.processor].restate == "never"}
    assert touched >= set(damaged) - records
    assert touched <= readers(built_season, set(damaged))


def test_a_small_loss_is_a_warning_with_its_numbers_and_a_forced_run_repairs_it(built_season: Season) -> None:
    """Above the gate a target is complete; what is missing is said, and nothing is run unasked for it alone."""
    day = built_season.season.game_dates[100]
    summary = Target("player_composite_factors", day)
    rows = built_season.built[summary].rows
    lost = rows * 7 // 100
    assert lost
    key = "TO_JSON_STRING(STRUCT(game_id, player_lookup))"
    gone = built_season.delete(
        summary,
        f"{key} IN (SELECT {key} FROM `nba_precompute.player_composite_factors` WHERE game_date = @day "
        f"ORDER BY 1 LIMIT {lost})",
    )
    look = built_season.scan(day, day)
    (warning,) = look.judgement.warnings
    assert (warning.target, warning.seen.covered, warning.seen.expected) == (summary, rows - gone, rows)
    report = built_season.apply(day, day, "PCF", force=True)
    assert [o.target for o in report.outcomes] == [summary]
    assert not report.failed
    assert built_season.differences() == []
