"""Starts the embedded warehouse: `bqemulator` as published, with what an offline machine and long statements need."""

from __future__ import annotations

import gc
import importlib
import re
import threading
from collections import OrderedDict
from typing import Any

_KEPT = 64
_MEMORY = "1200MB"  # for DuckDB, which would take 80 % of the machine; more than that goes to disk
_WORTH_KEEPING = 400  # characters
_KEPT_TRANSLATIONS = 256
_KEPT_RESULTS = 500
_KEPT_BYTES = 64 * 2**20  # of results; the newest _NEVER_DROPPED may take more
_NEVER_DROPPED = 50
_COLUMN_BYTES = 2**14  # what DuckDB gives a column of a result, if it has one value only
_KEPT_CHARACTERS = 200  # of the text of a statement that is over
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
    _keep_few_results()
    _keep_no_statements()
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


def _keep_few_results() -> None:
    """Drop the results that nobody asked for lately: the emulator keeps every job's, 16 KB a column at the least.

    A result that is read page by page is asked for with every page. Where a dropped one is asked for after all, the
    emulator answers 404 as for any it does not have; the job itself stays known.
    """
    executor: Any = importlib.import_module("bqemulator.jobs.executor")
    results, schemas = executor.JOB_RESULTS, executor.JOB_SCHEMAS
    if results != {} or schemas != {}:
        raise ImportError("bqemulator keeps results in another way: see _keep_few_results")
    executor.JOB_RESULTS = recent = RecentResults(schemas)
    routes: Any = importlib.import_module("bqemulator.api.routes.jobs")
    if routes.JOB_RESULTS is not recent or routes.JOB_SCHEMAS is not schemas:
        raise ImportError("bqemulator reads results from elsewhere: see _keep_few_results")


class RecentResults(dict[str, Any]):
    """Results by the id of their job, the least recently used first; what is too much goes, with its schema."""

    def __init__(self, schemas: dict[str, Any]) -> None:
        super().__init__()
        self._schemas = schemas
        self._sizes: dict[str, int] = {}
        self._lock = threading.RLock()  # jobs run in the server's loop, pages are read in threads

    def __setitem__(self, job: str, result: Any) -> None:
        with self._lock:
            self.pop(job, None)
            super().__setitem__(job, result)
            self._sizes[job] = result.nbytes + _COLUMN_BYTES * result.num_columns
            while len(self) > _KEPT_RESULTS or (len(self) > _NEVER_DROPPED and sum(self._sizes.values()) > _KEPT_BYTES):
                oldest = next(iter(self))
                self.pop(oldest)
                self._schemas.pop(oldest, None)

    def __getitem__(self, job: str) -> Any:
        with self._lock:
            result = super().pop(job)
            super().__setitem__(job, result)  # at the end now
            return result

    def get(self, job: str, default: Any = None) -> Any:
        try:
            return self[job]
        except KeyError:
            return default

    def pop(self, job: str, *default: Any) -> Any:
        with self._lock:
            self._sizes.pop(job, None)
            return super().pop(job, *default)


def _keep_no_statements() -> None:
    """Keep of a job its id, state and numbers, and not its text: all jobs are in memory, after a restart too.

    The observing statement is 45 KB, and whoever asks for a job asks how it ended. Should bqemulator store jobs
    elsewhere one day, the attribute is missing and it does not start.
    """
    from bqemulator.catalog.duckdb_repository import DuckDBCatalogRepository

    upsert = DuckDBCatalogRepository.upsert_job

    def upsert_job(self: Any, job: Any) -> Any:
        return upsert(self, job.model_copy(update={"configuration": _shortened(job.configuration)}))

    DuckDBCatalogRepository.upsert_job = upsert_job  # type: ignore[method-assign]


def _shortened(configuration: dict[str, Any]) -> dict[str, Any]:
    query = configuration.get("query")
    if not isinstance(query, dict):
        return configuration
    kept = {name: value for name, value in query.items() if name != "queryParameters"}
    return {**configuration, "query": {**kept, "query": str(query.get("query", ""))[:_KEPT_CHARACTERS]}}


if __name__ == "__main__":
    main()
