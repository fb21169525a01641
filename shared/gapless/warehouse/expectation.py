"""The keys that should exist."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from gapless.declare.pipeline import Pipeline
from gapless.declare.processor import Keys, Processor
from gapless.warehouse.names import listed, quoted
from gapless.warehouse.template import Template
from gapless.warehouse.texts import render

_OF_A_TABLE = Template("""
SELECT DISTINCT {day} AS day, {names}
FROM {table}
WHERE {day} BETWEEN @first AND @last
""")
_OF_A_QUERY = Template("""
SELECT DISTINCT {day} AS day, {names} FROM (
{query}
)
""")
_CONSTANT = Template("""
SELECT day, {names}
FROM (SELECT DISTINCT {day} AS day FROM {table} WHERE {day} BETWEEN @first AND @last)
CROSS JOIN {lists}
""")
_OF_SOME_DATES = Template("""
SELECT * FROM (
  {keys}
) WHERE day {sign} @today
""")


def expected_keys(pipeline: Pipeline, p: Processor) -> str | None:
    """One row per key that should exist, for dates from @first to @last: `day` and the columns of `expect_on`."""
    return _keys(pipeline, p, p.expect) if p.expect else None


def keys_of(source: Processor, names: Sequence[str]) -> str:
    """The keys that a table has, in the same form."""
    return _OF_A_TABLE.fill(day=source.date_column, names=listed(names), table=quoted(source.table))


def _keys(pipeline: Pipeline, p: Processor, form: Keys) -> str:
    names = listed(p.expect_on)
    if form.historical or form.upcoming:
        return " UNION ALL ".join(_by_kind_of_date(pipeline, p, form))
    if form.query:
        return _OF_A_QUERY.fill(day=p.date_column, names=names, query=render(pipeline, form.query, p))
    if form.constant and form.on_dates_of:
        source = pipeline.processor(form.on_dates_of)
        return _CONSTANT.fill(
            day=source.date_column, names=names, table=quoted(source.table), lists=_lists(form.constant)
        )
    return keys_of(pipeline.processor(form.keys_of or ""), p.expect_on)


def _by_kind_of_date(pipeline: Pipeline, p: Processor, form: Keys) -> Iterator[str]:
    if form.historical:
        yield _OF_SOME_DATES.fill(keys=_keys(pipeline, p, form.historical), sign="<")
    if form.upcoming:
        yield _OF_SOME_DATES.fill(keys=_keys(pipeline, p, form.upcoming), sign=">=")


def _lists(constant: Mapping[str, Sequence[str]]) -> str:
    """Every combination of the declared values."""
    parts = []
    for name, values in constant.items():
        literals = ", ".join(repr(value) for value in values)
        parts.append(f"UNNEST([{literals}]) AS {name}")
    return " CROSS JOIN ".join(parts)
