"""Load: checked rows replace the partitions that they hold, all of a table's dates at once or none."""

from __future__ import annotations

import io
import uuid
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from typing import Any, NamedTuple

from gapless.declare.pipeline import Pipeline
from gapless.declare.processor import Processor
from gapless.files import RawRows
from gapless.files.arrow import arrow_parquet, pa, pc
from gapless.warehouse.names import quoted
from gapless.warehouse.ports import MOST_DATES, Param, Warehouse
from gapless.warehouse.publishing import publish
from gapless.warehouse.template import Template

_CREATE = Template("""
CREATE TABLE {table} ({columns})
OPTIONS (expiration_timestamp = TIMESTAMP_ADD(CURRENT_TIMESTAMP(), INTERVAL 1 DAY))
""")


class Loaded(NamedTuple):
    """What was written to one raw table."""

    processor: str
    rows: int
    dates: int
    first: date
    last: date


def load(warehouse: Warehouse, pipeline: Pipeline, raw: RawRows, now: datetime) -> Loaded:
    """Replace the dates that `raw` holds; other dates stay as they are. Repeating it changes nothing."""
    processor = pipeline.processor(raw.processor)
    for values, rows in _slices(processor, raw.rows):
        days = sorted(set(rows.column(processor.date_column).to_pylist()))
        for start in range(0, len(days), MOST_DATES):
            _replace(warehouse, pipeline, processor, rows, days[start : start + MOST_DATES], values, now)
    return Loaded(processor.name, raw.rows.num_rows, len(raw.dates), raw.dates[0], raw.dates[-1])


def _slices(processor: Processor, rows: Any) -> Iterator[tuple[dict[str, Param], Any]]:
    """The rows by the values of `replace_by`, so that one source's load never removes another's rows."""
    if not processor.replace_by:
        yield {}, rows
        return
    (column,) = processor.replace_by
    for value in sorted(set(rows.column(column).to_pylist())):
        yield {column: value}, rows.filter(pc.equal(rows.column(column), value))


def _replace(
    warehouse: Warehouse,
    pipeline: Pipeline,
    processor: Processor,
    rows: Any,
    days: Sequence[date],
    values: dict[str, Param],
    now: datetime,
) -> None:
    chosen = rows.filter(pc.is_in(rows.column(processor.date_column), value_set=pa.array(days, pa.date32())))
    staged = f"{pipeline.staging}.load_{processor.name}_{uuid.uuid4().hex[:12]}"
    columns = ", ".join(f"{c.name} {c.type}" for c in processor.content)
    warehouse.execute(
        _CREATE.fill(table=quoted(staged), columns=columns),
        purpose="load",
    )
    try:
        file = io.BytesIO()
        arrow_parquet.write_table(chosen, file)
        file.seek(0)
        warehouse.upload(staged, file)
        warehouse.execute(
            publish(processor, staged, None),
            {"dates": list(days), "first": days[0], "last": days[-1], "now": now, **values},
            purpose="load",
        )
    finally:
        warehouse.drop(staged)
