"""Coverage: what is expected and what is there."""

from __future__ import annotations

from gapless.declare.pipeline import Pipeline
from gapless.declare.processor import Processor
from gapless.warehouse.expectation import expected_keys, keys_of
from gapless.warehouse.fingerprints import row_hash
from gapless.warehouse.names import listed, quoted, same
from gapless.warehouse.template import template

_COVERAGE = template(__file__, "coverage")
_OF_ITSELF = template(__file__, "coverage_of_itself")
_ACTUAL = template(__file__, "actual")
_TOTALS = template(__file__, "totals")


def coverage(
    pipeline: Pipeline, p: Processor, *, table: str = "", only_dates: bool = False, sources: bool = False
) -> str:
    """What is expected and what is there, one row per date, by key intersection.

    Columns: day, expected, covered, n_rows, extra, suspect, altered, duplicates, version, inputs, changed_at, source,
    and with `sources` preferred: how many of the expected keys the upstream has that has a fallback. `altered` counts
    rows whose content is not what their hash says. A staged table (`table` given) has `unfit` instead: the rows that
    break `required` or a declared range. Reads @first, @last, @today and, with `only_dates`, @dates.
    """
    flaw = "unfit" if table else "altered"
    actual = _actual(p, table, flaw, only_dates=only_dates, sources=sources)
    preferred = _preferred(p, sources)
    wanted = expected_keys(pipeline, p)
    if wanted is None:
        return _OF_ITSELF.fill(totals=_TOTALS.fill(extra="0", flaw=flaw, preferred=preferred), actual=actual)
    return _COVERAGE.fill(
        totals=_TOTALS.fill(extra="COUNTIF(w.day IS NULL)", flaw=flaw, preferred=preferred),
        wanted=wanted,
        chosen="WHERE day IN UNNEST(@dates)" if only_dates else "",
        actual=actual,
        same_key=same(("day", *p.expect_on), "w", "h"),
        beside=_beside(pipeline, p) if sources else "",
    )


def _actual(p: Processor, staged: str, flaw: str, *, only_dates: bool, sources: bool) -> str:
    """What is there by date and key, in the processor's table or in a staged one."""
    has_source = sources and "data_source" in p.columns
    return _ACTUAL.fill(
        day=p.date_column,
        on=listed(p.expect_on),
        suspect=p.suspect or "FALSE",
        flaw=flaw,
        distinct=_distinct([name for name in p.key if name not in p.expect_on]),
        source="MAX(data_source)" if has_source else "''",
        table=quoted(staged or p.table),
        chosen=f"AND {p.date_column} IN UNNEST(@dates)" if only_dates else "",
        **(_of_staged(p) if staged else _of_published(p)),
    )


def _distinct(rest: list[str]) -> str:
    """How many rows there may be for what is matched: one, or one for each value of the rest of the key."""
    if not rest:
        return "1"
    if len(rest) == 1:
        return f"COUNT(DISTINCT {rest[0]})"
    return f"COUNT(DISTINCT TO_JSON_STRING(STRUCT({listed(rest)})))"


_WITHOUT_INPUTS = {"least_inputs": "0", "most_inputs": "0", "no_inputs": "0"}


def _of_staged(p: Processor) -> dict[str, str]:
    """What is staged is asked for declared rules; its fingerprints are not published yet."""
    return {"flawed": _breaks_a_rule(p), "version": "0", "changed_at": "0", **_WITHOUT_INPUTS}


def _of_published(p: Processor) -> dict[str, str]:
    """What is published is asked for its fingerprints, which are computed where others write it."""
    changed_at = "UNIX_MICROS(MAX(processed_at))"
    content = row_hash(p.content)
    if p.row_hash == "computed":
        return {"flawed": "FALSE", "version": f"BIT_XOR({content})", "changed_at": changed_at, **_WITHOUT_INPUTS}
    return {
        "flawed": f"row_hash IS NULL OR row_hash != {content}",
        "version": "BIT_XOR(row_hash)",
        "changed_at": changed_at,
        "least_inputs": "MIN(inputs_hash)",
        "most_inputs": "MAX(inputs_hash)",
        "no_inputs": "COUNTIF(inputs_hash IS NULL)",
    }


def _breaks_a_rule(p: Processor) -> str:
    rules = []
    for column in p.content:
        if column.required:
            rules.append(f"{column.name} IS NULL")
        if column.low is not None and column.high is not None:
            rules.append(f"{column.name} NOT BETWEEN {column.low:g} AND {column.high:g}")
    return " OR ".join(rules) or "FALSE"


def _preferred(p: Processor, sources: bool) -> str:
    """The column that counts keys of the upstream that has a fallback, where it is asked for."""
    if not sources:
        return ""
    return f", {'COUNTIF(u.day IS NOT NULL)' if p.preferred else 'CAST(NULL AS INT64)'} AS preferred"


def _beside(pipeline: Pipeline, p: Processor) -> str:
    """The keys of the upstream that has a fallback, beside those that are expected."""
    if not p.preferred:
        return ""
    upstream, _ = p.preferred
    keys = keys_of(pipeline.processor(upstream), p.expect_on)
    return f"LEFT JOIN (\n{keys}\n) AS u ON {same(('day', *p.expect_on), 'u', 'w')}"
