"""What the embedded warehouse keeps in memory, and what it does not."""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
import threading
from typing import Any

_MEMORY = "1200MB"  # for DuckDB, which would take 80 % of the machine; more than that goes to disk
_KEPT_RESULTS = 500
_KEPT_BYTES = 64 * 2**20  # of results; the newest _NEVER_DROPPED may take more
_NEVER_DROPPED = 50
_COLUMN_BYTES = 2**14  # what DuckDB gives a column of a result, if it has one value only
_RANDOM = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")  # an id of Google's client
_KEPT_CHARACTERS = 200  # of the text of a statement that is over


def bound(threads: int) -> None:
    """Give DuckDB limits: of memory, so that the warehouse of four seasons fits on a small machine, and of threads.

    And lift one: it makes a result ready a megabyte at a time, and where that is full before the last branch of a
    UNION ALL has begun, it waits for a reader that waits for it, for ever. All of a result is read at once here.
    """
    import duckdb

    connect = duckdb.connect
    limits: dict[str, Any] = {"memory_limit": _MEMORY} | ({"threads": threads} if threads else {})

    def bounded(*arguments: Any, **options: Any) -> Any:
        options.setdefault("config", limits)
        connection = connect(*arguments, **options)
        connection.execute("SET streaming_buffer_size = '1TB'")
        return connection

    duckdb.connect = bounded


def keep_not_looking_for_pandas() -> None:
    """Tell DuckDB once that there is no pandas; it looks through all folders again for every value of a parameter."""
    if importlib.util.find_spec("pandas") is None:
        sys.modules["pandas"] = None  # type: ignore[assignment]  # what the import system takes for "is not there"


def keep_no_old_versions() -> None:
    """Let a write be a write: for its time travel the emulator copies the whole table after every one of them.

    A retention of 0 days only makes it drop the copies later. Nothing here reads the past of a table.
    """
    from bqemulator.domain.events import TableDataChanged
    from bqemulator.versioning.snapshots import SnapshotManager

    def record_change(self: Any, project_id: str, dataset_id: str, table_id: str) -> None:
        self._events.publish(TableDataChanged(project_id, dataset_id, table_id))

    if not callable(getattr(SnapshotManager, "record_change", None)):
        raise ImportError("bqemulator has no SnapshotManager.record_change any more: see keep_no_old_versions")
    SnapshotManager.record_change = record_change  # type: ignore[method-assign]


def keep_few_results() -> None:
    """Drop the results that nobody asked for lately: the emulator keeps every job's, 16 KB a column at the least.

    A result that is read page by page is asked for with every page. Where a dropped one is asked for after all, the
    emulator answers 404 as for any it does not have; the job itself stays known.
    """
    executor: Any = importlib.import_module("bqemulator.jobs.executor")
    results, schemas = executor.JOB_RESULTS, executor.JOB_SCHEMAS
    if results != {} or schemas != {}:
        raise ImportError("bqemulator keeps results in another way: see keep_few_results")
    executor.JOB_RESULTS = recent = RecentResults(schemas)
    routes: Any = importlib.import_module("bqemulator.api.routes.jobs")
    if routes.JOB_RESULTS is not recent or routes.JOB_SCHEMAS is not schemas:
        raise ImportError("bqemulator reads results from elsewhere: see keep_few_results")


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


def keep_few_jobs() -> None:
    """Keep of a job its id, state and numbers, and not its text; write down only those whose ids somebody chose.

    The observing statement is 45 KB, and whoever asks for a job asks how it ended. Google's client gives each job an id
    that nobody can know after a restart; writing such a job down takes as long as a small statement. Should bqemulator
    store jobs elsewhere one day, the attributes are missing and it does not start.
    """
    from bqemulator.catalog.duckdb_repository import DuckDBCatalogRepository

    upsert, write = DuckDBCatalogRepository.upsert_job, DuckDBCatalogRepository._write_job

    def upsert_job(self: Any, job: Any) -> Any:
        return upsert(self, job.model_copy(update={"configuration": _shortened(job.configuration)}))

    def write_job(self: Any, job: Any) -> None:
        if not _RANDOM.fullmatch(job.job_id):
            write(self, job)

    DuckDBCatalogRepository.upsert_job = upsert_job  # type: ignore[method-assign]
    DuckDBCatalogRepository._write_job = write_job  # type: ignore[method-assign]


def _shortened(configuration: dict[str, Any]) -> dict[str, Any]:
    query = configuration.get("query")
    if not isinstance(query, dict):
        return configuration
    kept = {name: value for name, value in query.items() if name != "queryParameters"}
    return {**configuration, "query": {**kept, "query": str(query.get("query", ""))[:_KEPT_CHARACTERS]}}
