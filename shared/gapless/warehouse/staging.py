"""Staging: a processor's rows, made beside its table."""

from __future__ import annotations

from gapless.declare.pipeline import Pipeline
from gapless.declare.processor import Processor, Upstream
from gapless.warehouse.fingerprints import row_hash, version_of
from gapless.warehouse.names import quoted
from gapless.warehouse.template import Template, template
from gapless.warehouse.texts import render

_STAGE = Template("""
CREATE OR REPLACE TABLE {table}
OPTIONS (expiration_timestamp = TIMESTAMP_ADD(CURRENT_TIMESTAMP(), INTERVAL 1 DAY)) AS
{rows}
""")
_BUILT = template(__file__, "built")
_INPUTS = template(__file__, "inputs")
# Whether a target of date d reads the upstream's partition of that date, besides the days before it.
_READS = {
    "always": "v.day <= d",
    "never": "v.day < d",
    "historical": "(v.day < d OR (v.day = d AND d < @today))",
    "upcoming": "(v.day < d OR (v.day = d AND d >= @today))",
}


def stage(pipeline: Pipeline, p: Processor, into: str) -> str:
    """Run a processor for @dates into a staging table, with the fingerprint of what it read."""
    return _STAGE.fill(table=quoted(into), rows=built(pipeline, p))


def built(pipeline: Pipeline, p: Processor) -> str:
    """The SELECT behind `stage`: the processor's rows for @dates, cast to their declared types, and both hashes."""
    reads = [_inputs(pipeline.processor(name), edge) for name, edge in p.upstream.items() if edge.version]
    return _BUILT.fill(
        inputs="\nUNION ALL\n".join(reads),
        query=render(pipeline, p.name, p),
        row_hash=row_hash(p.content, "r"),
        casts=",\n    ".join(f"CAST(r.{c.name} AS {c.type}) AS {c.name}" for c in p.content),
        day=p.date_column,
    )


def _inputs(source: Processor, edge: Upstream) -> str:
    """The versions of an upstream's partitions that each of @dates reads."""
    return _INPUTS.fill(
        day=source.date_column,
        version=version_of(source),
        table=quoted(source.table),
        lookback=str(edge.lookback_days),
        own_day=_READS[edge.own_day],
    )
