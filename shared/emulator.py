"""Starts the embedded warehouse: `bqemulator` as published, with what an offline machine and long statements need."""

from __future__ import annotations

import gc
from collections import OrderedDict
from typing import Any

_KEPT = 64
_MEMORY = "1200MB"  # for DuckDB, which would take 80 % of the machine; more than that goes to disk
_WORTH_KEEPING = 400  # characters


def main() -> None:
    """Run the server in this process; its arguments are those of the `bqemulator` command."""
    from duckdb_extensions import import_extension

    # Syntax trees are millions of small objects that live as long as a statement; the default thresholds make the
    # garbage collector walk all of them again and again, for half of the time that a translation takes.
    gc.set_threshold(100_000, 50, 100)
    import_extension("spatial")  # the emulator insists on it; this copies it out of the package, nothing is downloaded
    _parse_once()
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

    SnapshotManager.record_change = record_change  # type: ignore[method-assign]


if __name__ == "__main__":
    main()
