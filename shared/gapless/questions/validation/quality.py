"""Quality: what the declaration says of columns, counted over whole tables by one query. Pure but for the text of it.

A required column has no NULLs, and a declared range holds. And a number is not 0 in every row of a date, where that
would be a wonder: on the worst other date a share z of the values is 0, so n values drawn on such a date are all 0 with
a probability of z to the power of n. Below `WONDER` it is a fault. The worst date and not the average, because such
values come in clusters: what belongs together rests together. The first date after a week without rows is not judged:
what counts the last seven days is rightly 0 for everybody there.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from itertools import pairwise
from typing import NamedTuple

from gapless.declare.pipeline import Pipeline
from gapless.declare.processor import Column, Processor
from gapless.model import Target
from gapless.observe.observer import EPOCH
from gapless.warehouse.names import quoted
from gapless.warehouse.ports import Answer
from gapless.warehouse.rows import decoded
from gapless.warehouse.template import template

_STATEMENT = template(__file__, "quality")
BASELINE_DAYS = 60  # before the dates that are asked about: what is usual is learnt from them too
LEAST_DATES = 10  # fewer other dates tell nothing
LARGEST_SHARE = 0.2  # of dates that may be all 0; a column that often is tells nothing
WONDER = 1e-9
PAUSE = timedelta(days=7)


class ColumnCounts(NamedTuple):
    """What was counted of one column, one entry per date; empty where nothing was asked."""

    nulls: Sequence[int] = ()
    outside: Sequence[int] = ()
    values: Sequence[int] = ()  # that are not NULL, of a number that may be 0
    zeros: Sequence[int] = ()


class CountedTable(NamedTuple):
    """The partitions of one table, in the order of their dates."""

    days: Sequence[date]
    rows: Sequence[int]
    columns: Mapping[str, ColumnCounts]


class _TableRow(NamedTuple):
    name: str
    dates: str | None  # JSON lists of a day since 1970, its rows, and the counts of `_counts`


class Flaw(NamedTuple):
    """Something wrong with a column of a target."""

    target: Target
    rule: str
    rows: int
    bad: int
    evidence: str


def can_be_judged(p: Processor) -> bool:
    """Whether anything is declared of its columns."""
    return any(column.required or _ranged(column) for column in p.content)


def statement(processors: Sequence[Processor]) -> str:
    """One row per table: its name, and its dates as JSON lists of days since 1970, rows, and the counts of `parse`.

    One row, because thousands cost the client more time than counting takes. Reads @first, @last.
    """
    return "\nUNION ALL\n".join(_of_table(p) for p in processors)


def _of_table(p: Processor) -> str:
    counts = [count for column in p.content for count in _counts(column)]
    return _STATEMENT.fill(name=p.name, day=p.date_column, counts=", ".join(counts), table=quoted(p.table))


def _counts(column: Column) -> Iterator[str]:
    if column.required:
        yield f"COUNTIF({column.name} IS NULL)"
    if _ranged(column):
        yield f"COUNTIF({column.name} NOT BETWEEN {column.low:g} AND {column.high:g})"
    if _may_be_zero(column):
        yield f"COUNT({column.name})"
        yield f"COUNTIF({column.name} = 0)"


def _ranged(column: Column) -> bool:
    return column.low is not None and column.high is not None


def _may_be_zero(column: Column) -> bool:
    return column.low is not None and column.high is not None and column.low <= 0 <= column.high


def parse(pipeline: Pipeline, answer: Answer) -> dict[str, CountedTable]:
    """The counts of a result, by processor."""
    found = {}
    for name, dates in decoded(_TableRow, answer):
        parts = sorted(json.loads(f"[{dates or ''}]"))
        series = iter([*zip(*(counts for _, _, counts in parts), strict=True)])
        columns = {}
        for column in pipeline.processors[name].content if parts else ():
            if not (column.required or _ranged(column)):
                continue
            nulls = next(series) if column.required else ()
            outside = next(series) if _ranged(column) else ()
            values, zeros = (next(series), next(series)) if _may_be_zero(column) else ((), ())
            columns[column.name] = ColumnCounts(nulls, outside, values, zeros)
        found[name] = CountedTable([EPOCH + timedelta(days=n) for n, _, _ in parts], [n for _, n, _ in parts], columns)
    return found


def flaws(pipeline: Pipeline, counted: Mapping[str, CountedTable]) -> Iterator[Flaw]:
    """What is wrong with the columns of partitions."""
    for name, (days, rows, columns) in counted.items():
        for column, counts in columns.items():
            declared = pipeline.processors[name].columns[column]
            for i in _some(counts.nulls):
                text = f"{counts.nulls[i]:,} of {rows[i]:,} rows have no {column}, which is required"
                yield Flaw(Target(name, days[i]), f"required {column}", rows[i], counts.nulls[i], text)
            for i in _some(counts.outside):
                limits = f"{declared.low:g} to {declared.high:g}"
                text = f"{counts.outside[i]:,} of {rows[i]:,} rows have a {column} outside {limits}"
                yield Flaw(Target(name, days[i]), f"range of {column}", rows[i], counts.outside[i], text)
            for i, usual in wonders(days, counts.values, counts.zeros):
                others = f"at most {100 * usual:.1f} % are" if usual else "none is"
                text = f"all {counts.values[i]:,} values of {column} are 0; on other dates {others}"
                yield Flaw(Target(name, days[i]), f"zeros in {column}", rows[i], counts.values[i], text)


def _some(numbers: Sequence[int]) -> list[int]:
    return [i for i, number in enumerate(numbers) if number] if any(numbers) else []


def wonders(days: Sequence[date], values: Sequence[int], zeros: Sequence[int]) -> list[tuple[int, float]]:
    """Where a column is 0 in every row and that is no chance; with it the share of zeros on the worst other date."""
    some = [i for i, number in enumerate(values) if number]
    zero = [i for i in some if zeros[i] == values[i]]
    others = [i for i in some if zeros[i] < values[i]]
    tells_nothing = len(others) < LEAST_DATES or len(zero) > LARGEST_SHARE * len(some)
    if not zero or tells_nothing:
        return []
    worst = max(zeros[i] / values[i] for i in others)
    # A share that was never seen is not 0: the next value may be the first.
    share = max(worst, 1 / sum(values[i] for i in others))
    judged = set(zero) - _after_a_pause(days, some)
    return [(i, worst) for i in sorted(judged) if values[i] * math.log(share) <= math.log(WONDER)]


def _after_a_pause(days: Sequence[date], some: Sequence[int]) -> set[int]:
    """Of the dates that hold something, the first one, and those before which nothing was for long."""
    follow = pairwise(some)
    return {*some[:1], *(i for before, i in follow if days[i] - days[before] >= PAUSE)}
