"""The GoogleSQL that Gapless writes from a declaration: tables, fingerprints, coverage, staging, publishing.

Every statement here is valid on BigQuery as it stands; what only the emulator was ever asked is listed in
`docs/decisions/0004-statements-on-the-emulator.md`. Values travel as parameters, never as text.

Fingerprints. `row_hash` is 60 bits of the MD5 of a row's declared content as JSON; a partition's version is the XOR of
its row hashes, so it does not depend on order. `inputs_hash` is the XOR of the versions of every upstream partition
that a target reads, taken in the same statement, and so from the same snapshot, as the rows that were built from them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from gapless.declare.pipeline import Pipeline
from gapless.declare.processor import Column, Keys, Processor
from gapless.declare.texts import GATE, PLACEHOLDER

MOST_DATES = 2000  # of one statement that changes a table; BigQuery lets a job touch 4,000 partitions


def quoted(table: str) -> str:
    return f"`{table}`"


def render(pipeline: Pipeline, name: str, owner: Processor | None) -> str:
    """A SQL file with its placeholders filled: tables and look-backs of the owner's upstream, and the owner's gate."""

    def fill(match: re.Match[str]) -> str:
        name, lookback, days = match.groups()
        if lookback and owner:
            return days or str(owner.upstream[name].lookback_days)
        return quoted(pipeline.processor(name).table)

    lines = (line for line in pipeline.texts[name].splitlines() if line.strip() and not line.lstrip().startswith("--"))
    text = "\n".join(lines)
    if owner:
        text = text.replace(GATE, f"{owner.gate_pct:g}")
    return PLACEHOLDER.sub(fill, text).rstrip().rstrip(";")


def row_hash(columns: Sequence[Column], alias: str = "") -> str:
    """The fingerprint of one row's content as an INT64 expression."""
    prefix = f"{alias}." if alias else ""
    # NUMERIC goes through FLOAT64 so that 4, 4.0 and 4.000 are one value whatever scale a table stores it at.
    parts = (
        f"CAST({prefix}{c.name} AS FLOAT64) AS {c.name}" if c.type.startswith("NUMERIC") else f"{prefix}{c.name}"
        for c in columns
    )
    # MD5, because FARM_FINGERPRINT is a hundred times slower on the emulator; both are exact functions of the text.
    return f"CAST(CONCAT('0x', SUBSTR(TO_HEX(MD5(TO_JSON_STRING(STRUCT({', '.join(parts)})))), 1, 15)) AS INT64)"


def version_of(processor: Processor) -> str:
    """The fingerprint column of an upstream table, or its expression where the table does not store one."""
    return "row_hash" if processor.row_hash == "stored" else row_hash(processor.content)


def create_table(processor: Processor) -> str:
    """The table of a processor, partitioned by its date and clustered by its key."""
    columns = [f"{c.name} {c.type}{' NOT NULL' if c.required else ''}" for c in processor.columns.values()]
    columns += [f"{name} {kind}" for name, kind in processor.engine_columns.items()]
    # at most four columns, and none of a type that BigQuery cannot cluster by
    fit = (c for c in map(processor.columns.get, processor.key) if c and not c.type.startswith("FLOAT"))
    cluster = [c.name for c in fit if c.name != processor.date_column][:4]
    return (
        f"CREATE TABLE IF NOT EXISTS {quoted(processor.table)} (\n  " + ",\n  ".join(columns) + "\n)\n"
        f"PARTITION BY {processor.date_column}" + (f"\nCLUSTER BY {', '.join(cluster)}" if cluster else "")
    )


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


def coverage(
    pipeline: Pipeline, p: Processor, *, table: str = "", only_dates: bool = False, sources: bool = False
) -> str:
    """What is expected and what is there, one row per date, by key intersection.

    Columns: day, expected, covered, n_rows, extra, suspect, unfit, duplicates, version, inputs, changed_at, source, and
    with `sources` preferred: how many of the expected keys the upstream has that has a fallback. For a published table
    `unfit` counts rows whose content is not what their hash says; for a staged one (`table` given) the rows that break
    `required` or a declared range. Reads @first, @last, @today and, with `only_dates`, @dates.
    """
    staged = bool(table)
    on = p.expect_on
    hashed = not staged and p.row_hash == "stored"
    if staged:
        unfit = _unfit(p)
    elif hashed:
        unfit = f"row_hash IS NULL OR row_hash != {row_hash(p.content)}"
    else:
        unfit = "FALSE"
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
        f"COUNTIF({unfit}) AS unfit, COUNT(*) - {distinct} AS duplicates, {version} AS version, "
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
        "IFNULL(SUM(unfit), 0) AS unfit, IFNULL(SUM(duplicates), 0) AS duplicates, "
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


def publish(p: Processor, staged: str, attempts: str | None) -> str:
    """Replace the partitions @dates of a table by what was staged, all at once or not at all.

    One MERGE does both halves. A source row `_clear` matches, and so deletes, every row of its date; the staged rows
    match nothing and are inserted. A date for which the attempts table holds a newer claim than @claim is left out of
    both halves, so a late writer changes nothing; where two such statements overlap, BigQuery reruns the later one on
    the new snapshot, and it sees the newer claim. `attempts` None publishes without a claim, as the loader does; it
    replaces only rows that agree with the parameters named by `replace_by`.

    Where a table is a record (`restate: never`), rows that are whole stay as they are, with their time and run, and
    only what is missing beside them is added.
    """
    names = [c.name for c in p.columns.values()] + list(p.engine_columns)
    new = [("@now" if c.stamp else f"s.{c.name}") + f" AS {c.name}" for c in p.columns.values()]
    if p.row_hash == "stored":
        new += ["s.row_hash", "s.inputs_hash", "@run_id AS run_id"]
    new.append("@now AS processed_at")
    fence = (
        f"\n    WHERE NOT EXISTS (SELECT 1 FROM {quoted(attempts)} AS a WHERE a.processor_name = @processor "
        "AND a.target_date = d AND a.claim_number > @claim)"
        if attempts
        else ""
    )
    nothing = ", ".join(["NULL"] * len(names))
    day = p.date_column
    if p.restate == "never":
        whole = f"row_hash = {row_hash(p.content)} AND NOT IFNULL({p.suspect or 'FALSE'}, FALSE)"
        kept = (
            f"  ), kept AS (\n    SELECT {', '.join(names)} FROM {quoted(p.table)}\n"
            f"    WHERE {day} BETWEEN @first AND @last AND {day} IN (SELECT day FROM free) AND {whole}\n"
            "    QUALIFY ROW_NUMBER() OVER (\n"
            f"      PARTITION BY {', '.join((day, *p.key))} ORDER BY processed_at, run_id) = 1\n"
        )
        same = " AND ".join(f"k.{name} = s.{name}" for name in dict.fromkeys((day, *p.key)))
        writes = (
            f"  SELECT CAST(NULL AS DATE) AS _clear, {', '.join(names)} FROM kept\n  UNION ALL\n"
            f"  SELECT CAST(NULL AS DATE), {', '.join(new)} FROM {quoted(staged)} AS s\n"
            f"  LEFT JOIN kept AS k ON {same}\n"
            f"  WHERE s.{day} IN (SELECT day FROM free) AND k.{day} IS NULL\n"
        )
    else:
        kept = ""
        writes = (
            f"  SELECT CAST(NULL AS DATE) AS _clear, {', '.join(new)} FROM {quoted(staged)} AS s\n"
            f"  WHERE s.{day} IN (SELECT day FROM free)\n"
        )
    narrow = "" if attempts else "".join(f" AND t.{name} = @{name}" for name in p.replace_by)
    opening = f"{kept}  )\n" if kept else "  )\n"
    return (
        f"MERGE INTO {quoted(p.table)} AS t\nUSING (\n"
        f"  WITH free AS (\n    SELECT d AS day FROM UNNEST(@dates) AS d{fence}\n{opening}"
        f"{writes}"
        f"  UNION ALL\n  SELECT day, {nothing} FROM free\n"
        f") AS n\n"
        f"ON t.{day} = n._clear AND t.{day} BETWEEN @first AND @last{narrow}\n"
        "WHEN MATCHED THEN DELETE\n"
        f"WHEN NOT MATCHED AND n._clear IS NULL THEN\n"
        f"  INSERT ({', '.join(names)}) VALUES ({', '.join('n.' + name for name in names)})"
    )
