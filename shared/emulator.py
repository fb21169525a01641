"""Starts the embedded warehouse: `bqemulator` as published, with what an offline machine and long statements need."""

from __future__ import annotations

import gc
import importlib
import re
from collections import OrderedDict
from typing import Any

_KEPT = 64
_MEMORY = "1200MB"  # for DuckDB, which would take 80 % of the machine; more than that goes to disk
_WORTH_KEEPING = 400  # characters
_KEPT_TRANSLATIONS = 256
_CLAIM = re.compile(r"(?<=[a-z0-9]_)\d{9}(?=_\d+[`\"])")  # in the name of a staging table, see workshop.py
_MASK = "_gaplessclaim_"
_DEPENDS_ON_MORE = re.compile(r"information_schema|for\s+system_time|\*`|_table_suffix", re.IGNORECASE)


def main() -> None:
    """Run the server in this process; its arguments are those of the `bqemulator` command."""
    from duckdb_extensions import import_extension

    # Syntax trees are millions of small objects that live as long as a statement; the default thresholds make the
    # garbage collector walk all of them again and again, for half of the time that a translation takes.
    gc.set_threshold(100_000, 50, 100)
    import_extension("spatial")  # the emulator insists on it; this copies it out of the package, nothing is downloaded
    _parse_once()
    _translate_once()
    _keep_memory_small()
    _keep_no_old_versions()
    from bqemulator.cli import main as serve

    serve()


def _parse_once() -> None:
    """Let the emulator parse a statement once instead of forty times.

    Each of its rewriting passes parses the text again, which for the observing statement (45 KB) takes seconds. Parsed
    trees are kept by text and handed out as copies; what the passes do with them is unchanged.
    """
    from sqlglot.dialects.dialect import Dialect

    parse = Dialect.parse
    kept: OrderedDict[tuple[str, str], list[Any]] = OrderedDict()

    def remembered(self: Any, sql: str, **options: Any) -> list[Any]:
        if options or len(sql) < _WORTH_KEEPING:
            return list(parse(self, sql, **options))
        key = (type(self).__name__, sql)
        trees = kept.get(key)
        if trees is None:
            trees = kept[key] = list(parse(self, sql))
            if len(kept) > _KEPT:
                kept.popitem(last=False)
        return [tree if tree is None else tree.copy() for tree in trees]

    Dialect.parse = remembered  # type: ignore[method-assign]


def _translate_once() -> None:
    """Keep translations: the statements of a repair differ from the last one's in the number of the claim only.

    A translation follows from the text and from the columns of the tables that it names; where it could follow from
    more (the catalogue's own views, wildcards, the past), it is made anew. The claim's number, which stands in the name
    of a staging table, is left out of what is compared and put back into what is returned.
    """
    executor: Any = importlib.import_module("bqemulator.jobs.executor")
    from bqemulator.sql.catalog_schema import build_catalog_schema

    translate, qualify = executor.rewrite_and_translate_statement, executor.rewrite_table_refs
    kept: OrderedDict[tuple[str, ...], str] = OrderedDict()

    def remember(key: tuple[str, ...], text: str, claim: str) -> str:
        kept[key] = _MASK.join(text.split(f"_{claim}_")) if claim else text
        if len(kept) > _KEPT_TRANSLATIONS:
            kept.popitem(last=False)
        return text

    async def translated(sql: str, *, project_id: str, ctx: Any, caller: Any, translator: Any) -> str:
        masked, claim = _masked(sql)
        schema = repr(build_catalog_schema(sql, project_id=project_id, catalog=ctx.catalog))
        key = ("translate", project_id, str(caller), masked, schema.replace(f"_{claim}_", _MASK) if claim else schema)
        if key in kept:
            return _unmasked(kept[key], claim)
        text: str = await translate(sql, project_id=project_id, ctx=ctx, caller=caller, translator=translator)
        return text if _DEPENDS_ON_MORE.search(sql) else remember(key, text, claim)

    def qualified(sql: str, project_id: str, **options: Any) -> str:
        masked, claim = _masked(sql)
        key = ("qualify", project_id, masked)
        if options or key not in kept:
            text: str = qualify(sql, project_id, **options)
            return text if options else remember(key, text, claim)
        return _unmasked(kept[key], claim)

    executor.rewrite_and_translate_statement = translated
    executor.rewrite_table_refs = qualified


def _masked(sql: str) -> tuple[str, str]:
    """A statement without its claim's number, and the number; nothing is left out where there are several."""
    claims = set(_CLAIM.findall(sql))
    if len(claims) != 1 or _MASK in sql:
        return sql, ""
    claim = claims.pop()
    return sql.replace(f"_{claim}_", _MASK), claim


def _unmasked(text: str, claim: str) -> str:
    return text.replace(_MASK, f"_{claim}_") if claim else text


def _keep_memory_small() -> None:
    """Give DuckDB a limit, so that the warehouse of four seasons fits on a small machine."""
    import duckdb

    connect = duckdb.connect

    def bounded(*arguments: Any, **options: Any) -> Any:
        options.setdefault("config", {"memory_limit": _MEMORY})
        return connect(*arguments, **options)

    duckdb.connect = bounded


def _keep_no_old_versions() -> None:
    """Let a write be a write: for its time travel the emulator copies the whole table after every one of them.

    A retention of 0 days only makes it drop the copies later. Nothing here reads the past of a table.
    """
    from bqemulator.domain.events import TableDataChanged
    from bqemulator.versioning.snapshots import SnapshotManager

    def record_change(self: Any, project_id: str, dataset_id: str, table_id: str) -> None:
        self._events.publish(TableDataChanged(project_id, dataset_id, table_id))

    if not callable(getattr(SnapshotManager, "record_change", None)):
        raise ImportError("bqemulator has no SnapshotManager.record_change any more: see _keep_no_old_versions")
    SnapshotManager.record_change = record_change  # type: ignore[method-assign]


if __name__ == "__main__":
    main()
