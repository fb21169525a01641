"""Staging: a processor's rows, made beside its table."""

from __future__ import annotations

from gapless.declare.pipeline import Pipeline
from gapless.declare.processor import Processor
from gapless.warehouse.fingerprints import row_hash, version_of
from gapless.warehouse.names import quoted
from gapless.warehouse.texts import render


def stage(pipeline: Pipeline, p: Processor, into: str) -> str:
    """Run a processor for @dates into a staging table, with the fingerprint of what it read."""
    return (
        f"CREATE OR REPLACE TABLE {quoted(into)}\n"
        "OPTIONS (expiration_timestamp = TIMESTAMP_ADD(CURRENT_TIMESTAMP(), INTERVAL 1 DAY)) AS\n"
        f"{built(pipeline, p)}"
    )


def built(pipeline: Pipeline, p: Processor) -> str:
    """The SELECT behind `stage`: the processor's rows for @dates, cast to their declared types, and both hashes."""
    casts = ",\n    ".join(f"CAST(r.{c.name} AS {c.type}) AS {c.name}" for c in p.content)
    reads = []
    for name, edge in p.upstream.items():
        if not edge.version:
            continue
        source = pipeline.processor(name)
        own = {
            "always": "v.day <= d",
            "never": "v.day < d",
            "historical": "(v.day < d OR (v.day = d AND d < @today))",
            "upcoming": "(v.day < d OR (v.day = d AND d >= @today))",
        }[edge.own_day]
        reads.append(
            f"  SELECT d, v.version FROM UNNEST(@dates) AS d JOIN (\n"
            f"    SELECT {source.date_column} AS day, BIT_XOR({version_of(source)}) AS version\n"
            f"    FROM {quoted(source.table)}\n"
            f"    WHERE {source.date_column} BETWEEN DATE_SUB(@first, INTERVAL {edge.lookback_days} DAY) AND @last\n"
            f"    GROUP BY day\n"
            f"  ) AS v ON v.day >= DATE_SUB(d, INTERVAL {edge.lookback_days} DAY) AND {own}"
        )
    inputs = "\n  UNION ALL\n".join(reads)
    return (
        "WITH gapless_inputs AS (\n"
        f"  SELECT d AS read_for, BIT_XOR(version) AS inputs_hash FROM (\n{inputs}\n  ) GROUP BY d\n),\n"
        f"gapless_rows AS (\n{render(pipeline, p.name, p)}\n)\n"
        f"SELECT r.*, {row_hash(p.content, 'r')} AS row_hash FROM (\n"
        f"  SELECT\n    {casts},\n    IFNULL(i.inputs_hash, 0) AS inputs_hash\n"
        f"  FROM gapless_rows AS r LEFT JOIN gapless_inputs AS i ON i.read_for = r.{p.date_column}\n) AS r"
    )
