"""The keys that should exist."""

from __future__ import annotations

from gapless.declare.pipeline import Pipeline
from gapless.declare.processor import Keys, Processor
from gapless.warehouse.names import quoted
from gapless.warehouse.texts import render


def expected_keys(pipeline: Pipeline, p: Processor) -> str | None:
    """One row per key that should exist, for dates from @first to @last: `day` and the columns of `expect_on`."""
    return _keys(pipeline, p, p.expect) if p.expect else None


def _keys(pipeline: Pipeline, p: Processor, form: Keys) -> str:
    names = ", ".join(p.expect_on)
    if form.historical or form.upcoming:
        parts = [
            f"SELECT * FROM ({_keys(pipeline, p, part)}) WHERE day {sign} @today"
            for part, sign in ((form.historical, "<"), (form.upcoming, ">="))
            if part
        ]
        return " UNION ALL ".join(parts)
    if form.query:
        text = render(pipeline, form.query, p)
        return f"SELECT DISTINCT {p.date_column} AS day, {names} FROM (\n{text}\n)"
    if form.constant and form.on_dates_of:
        source = pipeline.processor(form.on_dates_of)
        lists = " CROSS JOIN ".join(
            f"UNNEST([{', '.join(repr(v) for v in values)}]) AS {name}" for name, values in form.constant.items()
        )
        return (
            f"SELECT day, {names} FROM (SELECT DISTINCT {source.date_column} AS day FROM {quoted(source.table)} "
            f"WHERE {source.date_column} BETWEEN @first AND @last) CROSS JOIN {lists}"
        )
    source = pipeline.processor(form.keys_of or "")
    return (
        f"SELECT DISTINCT {source.date_column} AS day, {names} FROM {quoted(source.table)} "
        f"WHERE {source.date_column} BETWEEN @first AND @last"
    )
