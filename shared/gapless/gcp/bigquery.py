"""The `Warehouse` port on BigQuery's API."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import TimeoutError as FutureTimeout
from datetime import date, datetime
from typing import Any, BinaryIO, TypeVar

from google.api_core import exceptions as api
from google.api_core.retry import Retry
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import DefaultCredentialsError, TransportError
from google.cloud import bigquery
from google.cloud.bigquery.retry import DEFAULT_RETRY
from requests.exceptions import ConnectionError as Unreachable
from requests.exceptions import Timeout

from gapless.declare.settings import Settings
from gapless.errors import BadInput, CannotObserve, ClaimLost, GaplessError, StillRunning, TransientFailure
from gapless.gcp.words import short
from gapless.warehouse.ports import Answer, Param

T = TypeVar("T")
# BigQuery's client does not retry lost DML races; the statements here can all be repeated.
_LOST_RACE = ("could not serialize access", "concurrent update", "too many dml statements")
_TRIES = 5
# BigQuery answers the request for a job at once, an emulator may do so when the job is over. After the job's time limit
# and this many seconds no answer is waited for.
_SLACK = 30.0
NO_JOB_RETRY: Any = None  # documented to switch it off, though the annotation does not say so


class BigQueryWarehouse:
    """The `Warehouse` port on BigQuery's API."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._retry: Retry = DEFAULT_RETRY.with_timeout(20.0 if settings.emulator else 120.0)
        self._client = _explained(lambda: self._connect(settings), "connecting", settings)

    @staticmethod
    def _connect(settings: Settings) -> bigquery.Client:
        if settings.emulator:
            return bigquery.Client(
                project=settings.project,
                credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
                client_options={"api_endpoint": settings.emulator},
                location=settings.location,
            )
        return bigquery.Client(project=settings.project, location=settings.location)

    def rows(self, sql: str, params: Mapping[str, Param] | None = None, *, purpose: str) -> Answer:
        def call() -> Answer:
            job = self._run(sql, params, purpose)
            result = job.result(retry=self._retry)
            columns = tuple(field.name for field in result.schema)
            return Answer([row.values() for row in result], job.total_bytes_processed or 0, columns)

        return _explained(call, purpose, self._settings)

    def execute(
        self,
        sql: str,
        params: Mapping[str, Param] | None = None,
        *,
        purpose: str,
        job_id: str | None = None,
        patience: float | None = None,
    ) -> int:
        if job_id:
            return _explained(lambda: self._once(sql, params, purpose, job_id, patience), purpose, self._settings)

        def call() -> int:
            job = self._run(sql, params, purpose)
            job.result(retry=self._retry)
            return job.num_dml_affected_rows or 0

        return _explained(lambda: _repeated(call), purpose, self._settings)

    def _run(self, sql: str, params: Mapping[str, Param] | None, purpose: str) -> bigquery.QueryJob:
        # Not `query_and_wait`: the emulator answers a failed statement there with an empty result and no error. A job
        # of its own fails as it does on BigQuery.
        return self._client.query(
            sql,
            job_config=self._config(params, purpose),
            retry=self._retry,
            job_retry=NO_JOB_RETRY,
            timeout=self._settings.timeout_seconds + _SLACK,
        )

    def job_state(self, job_id: str) -> str:
        def call() -> str:
            try:
                job: Any = self._client.get_job(job_id, retry=self._retry)
            except api.NotFound:
                return "missing"
            if job.state != "DONE":
                return "running"
            return str(job.error_result.get("message", "failed")) if job.error_result else "done"

        return _explained(call, "job", self._settings)

    def _once(
        self, sql: str, params: Mapping[str, Param] | None, purpose: str, job_id: str, patience: float | None
    ) -> int:
        """Run under a job id that is accepted once. A 409 may answer our own repeated request: the label tells."""
        owner = uuid.uuid4().hex
        config = self._config(params, purpose, owner)
        if patience:
            config.job_timeout_ms = self._settings.long_seconds * 1000
        limit = (self._settings.long_seconds if patience else self._settings.timeout_seconds) + _SLACK
        try:
            job: Any = self._client.query(
                sql, job_config=config, job_id=job_id, retry=self._retry, job_retry=None, timeout=limit
            )
        except api.Conflict as conflict:
            try:
                job = self._client.get_job(job_id, retry=self._retry)
            except (api.Forbidden, api.NotFound) as error:
                # Somebody else's job is not ours to see; 404 can follow a 409 while the job is being created.
                raise ClaimLost(f"job {job_id} belongs to another run", settled=False) from error
            if (job.labels or {}).get("owner") != owner:
                try:
                    job.result(retry=self._retry)
                except api.GoogleAPICallError:
                    pass  # its number stays unused; the caller reads the table and takes the next one
                raise ClaimLost(f"job {job_id} belongs to another run") from conflict
        try:
            job.result(retry=self._retry, timeout=patience)
        except FutureTimeout as error:
            raise StillRunning(f"job {job_id} goes on after {patience:g} s; a later call picks it up") from error
        return int(job.num_dml_affected_rows or 0)

    def price(self, sql: str, params: Mapping[str, Param] | None = None) -> int:
        config = self._config(params, "price")
        config.dry_run = True
        config.use_query_cache = False
        return _explained(
            lambda: int(self._client.query(sql, job_config=config, retry=self._retry).total_bytes_processed or 0),
            "price",
            self._settings,
        )

    def upload(self, table: str, parquet: BinaryIO) -> int:
        config = bigquery.LoadJobConfig(
            source_format=bigquery.SourceFormat.PARQUET,
            write_disposition=bigquery.WriteDisposition.WRITE_APPEND,
            labels={"gapless": "upload"},
        )

        def call() -> int:
            # Resumable (no size=): the emulator does not take multipart uploads.
            job = self._client.load_table_from_file(parquet, f"{self._settings.project}.{table}", job_config=config)
            job.result(retry=self._retry)
            return int(job.output_rows or 0)

        return _explained(call, "upload", self._settings)

    def drop(self, table: str) -> None:
        _explained(
            lambda: self._client.delete_table(f"{self._settings.project}.{table}", not_found_ok=True),
            "drop",
            self._settings,
        )

    def tables(self, dataset: str) -> Mapping[str, Sequence[str]]:
        def call() -> Mapping[str, Sequence[str]]:
            try:
                self._client.get_dataset(dataset)
            except api.NotFound:
                return {}
            answer = self.rows(
                f"SELECT table_name, column_name FROM `{dataset}`.INFORMATION_SCHEMA.COLUMNS "
                "ORDER BY table_name, ordinal_position",
                purpose="catalogue",
            )
            found: dict[str, list[str]] = {}
            for name, column in answer.rows:
                found.setdefault(name, []).append(column)
            return found

        return _explained(call, "catalogue", self._settings)

    def create_dataset(self, dataset: str) -> None:
        def call() -> None:
            made = bigquery.Dataset(f"{self._settings.project}.{dataset}")
            made.location = self._settings.location
            self._client.create_dataset(made, exists_ok=True, retry=self._retry)

        _explained(call, "create", self._settings)

    def _config(
        self, params: Mapping[str, Param] | None, purpose: str, owner: str | None = None
    ) -> bigquery.QueryJobConfig:
        labels = {"gapless": purpose} | ({"owner": owner} if owner else {})
        return bigquery.QueryJobConfig(
            query_parameters=[parameter(name, value) for name, value in (params or {}).items()],
            labels=labels,
            maximum_bytes_billed=int(self._settings.max_gib_billed * 2**30),
            job_timeout_ms=self._settings.timeout_seconds * 1000,
        )


def parameter(name: str, value: Param) -> Any:
    """A Python value as a query parameter; see `gapless.warehouse.ports` for the types."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        if value and isinstance(value[0], Mapping):
            rows: list[Mapping[str, Any]] = list(value)  # type: ignore[arg-type]
            types = {key: _type(next((row[key] for row in rows if row[key] is not None), "")) for key in rows[0]}
            return bigquery.ArrayQueryParameter(
                name,
                "STRUCT",
                [
                    bigquery.StructQueryParameter(
                        None, *(bigquery.ScalarQueryParameter(key, types[key], row[key]) for key in types)
                    )
                    for row in rows
                ],
            )
        return bigquery.ArrayQueryParameter(name, _type(value[0]) if value else "DATE", list(value))
    return bigquery.ScalarQueryParameter(name, _type(value), value)


def _type(value: Any) -> str:
    # bool before int and datetime before date: each is a subclass of the other
    for kind, name in (
        (bool, "BOOL"),
        (int, "INT64"),
        (float, "FLOAT64"),
        (datetime, "TIMESTAMP"),
        (date, "DATE"),
        (str, "STRING"),
    ):
        if isinstance(value, kind):
            return name
    raise BadInput(f"a query parameter cannot be a {type(value).__name__}")


def _repeated(call: Callable[[], T]) -> T:
    for attempt in range(1, _TRIES + 1):
        try:
            return call()
        except api.GoogleAPICallError as error:
            if attempt == _TRIES or not any(text in str(error).lower() for text in _LOST_RACE):
                raise
            time.sleep(0.2 * 2**attempt)
    raise AssertionError("unreachable")


def _explained(call: Callable[[], T], purpose: str, settings: Settings) -> T:
    """Run a call; what goes wrong becomes an error that says where and what to try."""
    where = settings.emulator or f"project {settings.project}"
    try:
        return call()
    except GaplessError:
        raise
    except DefaultCredentialsError as error:
        raise CannotObserve(
            f"there are no Google Cloud credentials for {where}; run: gcloud auth application-default login"
        ) from error
    except (api.Forbidden, api.Unauthorized) as error:
        raise CannotObserve(
            f"{purpose}: no permission in {where}: {short(error)}; "
            "roles/bigquery.jobUser and roles/bigquery.dataEditor are needed"
        ) from error
    except api.NotFound as error:
        raise CannotObserve(
            f"{purpose}: {short(error)} (in {where}); if the tables were never created, run: gapless init"
        ) from error
    except (Unreachable, Timeout, TransportError, api.RetryError, api.ServerError, api.TooManyRequests) as error:
        raise TransientFailure(f"{purpose}: BigQuery at {where} did not answer: {short(error)}; try again") from error
    except (api.GoogleAPICallError, ValueError) as error:
        raise CannotObserve(f"{purpose}: BigQuery refused the statement in {where}: {short(error)}") from error
