"""Coverage: what is expected and what is there."""

from __future__ import annotations

from gapless.declare.pipeline import Pipeline
from gapless.declare.processor import Processor
from gapless.warehouse.expectation import expected_keys
from gapless.warehouse.fingerprints import row_hash
from gapless.warehouse.names import quoted


def coverage(
    pipeline: Pipeline, p: Processor, *, table: str = "", only_dates: bool = False, sources: bool = False
) -> str:
    """What is expected and what is there, one row per date, by key intersection.

    Columns: day, expected, covered, n_rows, extra, suspect, altered, duplicates, version, inputs, changed_at, source,
    and with `sources` preferred: how many of the expected keys the upstream has that has a fallback. `altered` counts
    rows whose content is not what their hash says. A staged table (`table` given) has `unfit` instead: the rows that
    break `required` or a declared range. Reads @first, @last, @today and, with `only_dates`, @dates.
    """
    staged = bool(table)
    on = p.expect_on
    hashed = not staged and p.row_hash == "stored"
    if staged:
        flaw, flawed = "unfit", _unfit(p)
    elif hashed:
        flaw, flawed = "altered", f"row_hash IS NULL OR row_hash != {row_hash(p.content)}"
    else:
        flaw, flawed = "altered", "FALSE"
    rest = [name for name in p.key if name not in on]
    distinct = (
        "1"
        if not rest
        else f"COUNT(DISTINCT {rest[0]})"
        if len(rest) == 1
        else f"COUNT(DISTINCT TO_JSON_STRING(STRUCT({', '.join(rest)})))"
    )
    version = "BIT_XOR(row_hash)" if hashed else "0" if staged else f"BIT_XOR({row_hash(p.content)})"
    engine = p.row_hash == "stored" and not staged
    empty = "''"
    narrowed = f" AND {p.date_column} IN UNNEST(@dates)" if only_dates else ""
    actual = (
        f"SELECT {p.date_column} AS day, {', '.join(on)}, COUNT(*) AS n, COUNTIF({p.suspect or 'FALSE'}) AS suspect, "
        f"COUNTIF({flawed}) AS {flaw}, COUNT(*) - {distinct} AS duplicates, {version} AS version, "
        f"{'MIN(inputs_hash)' if engine else '0'} AS least_inputs, "
        f"{'MAX(inputs_hash)' if engine else '0'} AS most_inputs, "
        f"{'COUNTIF(inputs_hash IS NULL)' if engine else '0'} AS no_inputs, "
        f"{'0' if staged else 'UNIX_MICROS(MAX(processed_at))'} AS changed_at, "
        f"{'MAX(data_source)' if sources and 'data_source' in p.columns else empty} AS source "
        f"FROM {quoted(table or p.table)} WHERE {p.date_column} BETWEEN @first AND @last{narrowed} "
        f"GROUP BY day, {', '.join(on)}"
    )
    wanted = expected_keys(pipeline, p)
    totals = (
        "IFNULL(SUM(n), 0) AS n_rows, {extra} AS extra, IFNULL(SUM(suspect), 0) AS suspect, "
        f"IFNULL(SUM({flaw}), 0) AS {flaw}, IFNULL(SUM(duplicates), 0) AS duplicates, "
        "IFNULL(BIT_XOR(version), 0) AS version, "
        "IF(MIN(least_inputs) = MAX(most_inputs) AND SUM(no_inputs) = 0, MIN(least_inputs), NULL) AS inputs, "
        "MAX(changed_at) AS changed_at, IFNULL(MAX(source), '') AS source"
    )
    upstream = p.preferred[0] if sources and p.preferred else ""
    if sources:
        totals += ", COUNTIF(u.day IS NOT NULL) AS preferred" if upstream else ", CAST(NULL AS INT64) AS preferred"
    if wanted is None:
        sums = totals.format(extra="0")
        return f"SELECT day, COUNT(*) AS expected, COUNT(*) AS covered, {sums} FROM ({actual}) GROUP BY day"
    narrowed = " WHERE day IN UNNEST(@dates)" if only_dates else ""
    join = " AND ".join(f"w.{name} = h.{name}" for name in ("day", *on))
    beside = ""
    if upstream:
        u = pipeline.processor(upstream)
        beside = (
            f"\nLEFT JOIN (SELECT DISTINCT {u.date_column} AS day, {', '.join(on)} FROM {quoted(u.table)} "
            f"WHERE {u.date_column} BETWEEN @first AND @last) AS u ON "
            + " AND ".join(f"u.{name} = w.{name}" for name in ("day", *on))
        )
    return (
        "SELECT IFNULL(w.day, h.day) AS day, COUNTIF(w.day IS NOT NULL) AS expected, "
        "COUNTIF(w.day IS NOT NULL AND h.day IS NOT NULL) AS covered, "
        f"{totals.format(extra='COUNTIF(w.day IS NULL)')}\n"
        f"FROM (SELECT * FROM (\n{wanted}\n){narrowed}) AS w\nFULL JOIN ({actual}) AS h ON {join}{beside}\nGROUP BY 1"
    )


def _unfit(p: Processor) -> str:
    rules = []
    for c in p.content:
        if c.required:
            rules.append(f"{c.name} IS NULL")
        if c.low is not None and c.high is not None:
            rules.append(f"{c.name} NOT BETWEEN {c.low:g} AND {c.high:g}")
    return " OR ".join(rules) or "FALSE"
