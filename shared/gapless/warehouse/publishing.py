"""Publishing: what was staged takes the place of whole partitions."""

from __future__ import annotations

from gapless.declare.processor import Processor
from gapless.warehouse.fingerprints import row_hash
from gapless.warehouse.names import quoted


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
