"""Publishing: what was staged takes the place of whole partitions."""

from __future__ import annotations

from collections.abc import Iterator

from gapless.declare.processor import Processor
from gapless.warehouse.fingerprints import row_hash
from gapless.warehouse.names import listed, quoted, same
from gapless.warehouse.template import Template, template

_PUBLISH = template(__file__, "publish")
_FENCE = Template("""
WHERE NOT EXISTS (
  SELECT 1 FROM {attempts} AS a
  WHERE a.processor_name = @processor AND a.target_date = d AND a.claim_number > @claim
)
""")
_REPLACED = Template("""
SELECT CAST(NULL AS DATE) AS _clear, {new}
FROM {staged} AS s
WHERE s.{day} IN (SELECT day FROM free)
""")
_KEPT = Template("""
, kept AS (
  SELECT {names} FROM {table}
  WHERE {day} BETWEEN @first AND @last
    AND {day} IN (SELECT day FROM free)
    AND row_hash = {content} AND NOT IFNULL({suspect}, FALSE)
  QUALIFY ROW_NUMBER() OVER (PARTITION BY {key} ORDER BY processed_at, run_id) = 1
)
""")
_ADDED = Template("""
SELECT CAST(NULL AS DATE) AS _clear, {names} FROM kept
UNION ALL
SELECT CAST(NULL AS DATE), {new}
FROM {staged} AS s
LEFT JOIN kept AS k ON {same_key}
WHERE s.{day} IN (SELECT day FROM free) AND k.{day} IS NULL
""")


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
    names = [*p.columns, *p.engine_columns]
    is_record = p.restate == "never"
    return _PUBLISH.fill(
        table=quoted(p.table),
        fence=_FENCE.fill(attempts=quoted(attempts)) if attempts else "",
        kept=_kept(p, names) if is_record else "",
        written=_added(p, names, staged) if is_record else _replaced(p, staged),
        nothing=listed(["NULL"] * len(names)),
        day=p.date_column,
        narrowed="" if attempts else _narrowed(p),
        names=listed(names),
        values=listed(names, "n"),
    )


def _new(p: Processor) -> Iterator[str]:
    """The columns of a row that was staged (s), as they are written."""
    for column in p.columns.values():
        yield f"{'@now' if column.stamp else f's.{column.name}'} AS {column.name}"
    if p.row_hash == "stored":
        yield from ("s.row_hash", "s.inputs_hash", "@run_id AS run_id")
    yield "@now AS processed_at"


def _replaced(p: Processor, staged: str) -> str:
    """What was staged is all that a date has."""
    return _REPLACED.fill(new=listed(_new(p)), staged=quoted(staged), day=p.date_column)


def _kept(p: Processor, names: list[str]) -> str:
    """The rows of a record that are whole; of a key that is there twice the first."""
    return _KEPT.fill(
        names=listed(names),
        table=quoted(p.table),
        day=p.date_column,
        content=row_hash(p.content),
        suspect=p.suspect or "FALSE",
        key=listed((p.date_column, *p.key)),
    )


def _added(p: Processor, names: list[str], staged: str) -> str:
    """A record's rows that are kept, and what was staged beside them."""
    key = dict.fromkeys((p.date_column, *p.key))
    return _ADDED.fill(
        names=listed(names),
        new=listed(_new(p)),
        staged=quoted(staged),
        same_key=same(key, "k", "s"),
        day=p.date_column,
    )


def _narrowed(p: Processor) -> str:
    """A load replaces only what its own source wrote."""
    return " ".join(f"AND t.{name} = @{name}" for name in p.replace_by)
